"""Coming back with the return code, in a browser: written as people write it, guessed at by others, and stopped."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from tests.way_in import SETTINGS
from tests.web.phone import film, phone, wait_for_state
from tests.web.served import Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Behind a proxy that says who calls, as the shipped ones do."""
    home = tmp_path_factory.mktemp("back") / "archive"
    with serving(home, settings=SETTINGS + "[web]\nproxies = 1\n") as site:
        yield site


def caller(playwright: Playwright, address: str) -> AbstractContextManager[BrowserContext]:
    return phone(playwright, extra_http_headers={"X-Forwarded-For": address})


def enter(page: Page, served: Served, code: str) -> float:
    """Return how long the answer took."""
    page.goto(f"http://localhost:{served.port}/r")
    page.fill("#code", code)
    began = time.monotonic()
    page.locator("main form button").click()
    page.wait_for_load_state()
    return time.monotonic() - began


def sent(context: BrowserContext, served: Served, clip: Path) -> str:
    page = context.new_page()
    page.goto(f"http://localhost:{served.port}/d/{served.code}")
    page.set_input_files("#files", clip)
    wait_for_state(page, "safe")
    page.locator("#receipt-now").click()
    page.wait_for_url("**/receipt*")
    return "".join(page.locator(".code span").all_inner_texts())


def test_the_code_is_taken_as_people_write_it_and_wrong_ones_are_slowed_and_lock_nobody(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    with caller(playwright, "10.1.1.1") as context:
        code = sent(context, served, film(tmp_path, "a.mp4", 20_000))
    assert len(code) == 16
    bangla = code.translate({ord(str(digit)): 0x09E6 + digit for digit in range(10)})
    with caller(playwright, "10.1.1.2") as context:
        page = context.new_page()
        for written in (f" {code[:4]} {code[4:8]}  {code[8:12]} {code[12:]} ", bangla):
            enter(page, served, written)
            expect(page).to_have_url(f"http://localhost:{served.port}/r/me")
            page.get_by_role("button", name="Close this page for good").click()
            page.wait_for_url("**/r")
    with caller(playwright, "10.1.1.3") as context:
        page = context.new_page()
        took = []
        for last in range(9):
            took.append(enter(page, served, f"111122223333444{last}"))
            expect(page.locator("#problem")).to_contain_text("This code is not known. Check each digit and try again.")
            assert page.locator("#code").get_attribute("aria-invalid") == "true"
        # From the sixth on each waits twice as long as the one before, four seconds at most.
        assert took[-1] > 4 and took[-1] > min(took[:5]) + 2, took
        with caller(playwright, "10.1.1.4") as others:
            assert enter(others.new_page(), served, "1111222233334449") < took[-1] - 1, "nobody else waits for it"
        # The guesser is slowed, not locked: with the right code they too come in.
        enter(page, served, code)
        expect(page).to_have_url(f"http://localhost:{served.port}/r/me")


def test_after_stop_the_page_says_so_and_the_code_stands_nowhere(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    with caller(playwright, "10.1.2.1") as context:
        code = sent(context, served, film(tmp_path, "b.mp4", 20_000))
        page = context.new_page()
        addresses: list[str] = []
        page.on("request", lambda request: addresses.append(request.url))
        enter(page, served, code)
        page.get_by_role("link", name="Say stop").click()
        expect(page.locator("main")).to_contain_text("goes into nothing new")
        began = time.monotonic()
        page.get_by_role("button", name="Yes, stop").click()
        expect(page.locator("main .note-ok")).to_contain_text("Stopped.")
        assert time.monotonic() - began < 5
        expect(page.locator("main .tag-warn")).to_be_visible()
        expect(page.get_by_role("link", name="Say stop")).to_have_count(0)
        assert code not in page.title() and all(code not in address for address in addresses)
    spaced = " ".join(code[at : at + 4] for at in range(0, 16, 4))
    for path in [served.log, *served.home.rglob("*")]:
        if path.is_file():
            octets = path.read_bytes()
            assert code.encode() not in octets and spaced.encode() not in octets, path
