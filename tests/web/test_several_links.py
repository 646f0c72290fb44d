"""One phone, several drop links: what was chosen under one is never kept under another, and each gets its receipt."""

import re
from html import unescape
from pathlib import Path

from playwright.sync_api import Page, Playwright, expect

from archive.catalogue.drops import deliveries_of, link_by_id, visit_by_number
from custody.receipt import parse_receipt
from tests.web.phone import film, phone, state, wait_for_state
from tests.web.served import Browser, Served
from tests.web.test_handing_over import multipart, post, return_code, seen_url, token_in
from tests.web.test_tus import content
from tests.web.weak_line import WeakLine


def receipt_of(page: Page) -> str:
    page.wait_for_url("**/receipt*")
    found = re.search(r"TG-\d{4}-\d{5}", page.locator("main").inner_text())
    assert found
    assert page.locator(".code").is_visible(), "every receipt shows its own return code"
    return found[0]


def delivered(served: Served, number: str) -> tuple[str, list[int]]:
    """Return the number of the link that a receipt's visit came through, and the sizes of its files."""
    archive = served.opened()
    try:
        with archive.rooms.database.reading() as session:
            visit = visit_by_number(session, number)
            link = link_by_id(session, visit.drop_link_id)
            sizes = [each.size or 0 for each in deliveries_of(session, visit.id)]
        return link.number, sorted(sizes)
    finally:
        archive.rooms.close()


def test_files_chosen_under_one_link_are_sent_from_the_page_of_another_and_keep_their_own_receipt(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    first, second = served.new_link("--label", "First"), served.new_link("--label", "Second")
    with WeakLine(served.port, rate=400_000) as line, phone(playwright) as context:
        page = context.new_page()
        page.goto(f"{line.url}/d/{first}")
        page.set_input_files("#files", [film(tmp_path, name, 400_000) for name in ("a.mp4", "b.mp4")])
        expect(page.locator("#rows .file")).to_have_count(2)
        page.wait_for_timeout(500)
        page.goto(f"{line.url}/d/{second}")
        expect(page.locator("#others-text")).to_contain_text("belong to another link: 2")
        page.set_input_files("#more", film(tmp_path, "c.mp4", 70_000))
        wait_for_state(page, "safe")
        page.locator("#receipt-now").click()
        of_second = receipt_of(page)
        page.goto(f"{line.url}/d/{second}")
        page.get_by_role("button", name="Get the receipt for those").click()
        of_first = receipt_of(page)
        page.goto(f"{line.url}/d/{first}")
        assert state(page) == "empty"
    assert of_first != of_second
    (link_of_first, sizes_of_first), (link_of_second, sizes_of_second) = (
        delivered(served, of_first),
        delivered(served, of_second),
    )
    assert link_of_first != link_of_second
    assert (sizes_of_first, sizes_of_second) == ([400_000, 400_000], [70_000])


def test_a_receipt_is_of_the_page_that_asked_for_it_though_another_was_opened_since(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    first, second = served.new_link(), served.new_link()
    with phone(playwright) as context:
        page, other = context.new_page(), context.new_page()
        page.goto(f"http://localhost:{served.port}/d/{first}")
        other.goto(f"http://localhost:{served.port}/d/{second}")
        page.set_input_files("#files", film(tmp_path, "a.mp4", 61_000))
        wait_for_state(page, "safe")
        page.locator("#receipt-now").click()
        _, sizes = delivered(served, receipt_of(page))
        assert sizes == [61_000]
        with page.expect_download() as download:
            page.get_by_role("link", name="Save receipt").click()
        assert '"size":61000' in Path(download.value.path()).read_text()
        # The other page goes on as another sending.
        other.set_input_files("#files", film(tmp_path, "b.mp4", 62_000))
        wait_for_state(other, "safe")
        other.locator("#receipt-now").click()
        assert delivered(served, receipt_of(other))[1] == [62_000]


def test_a_link_for_one_sending_opens_again_for_whoever_began_it_also_after_another_link(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    once, other = served.new_link("--once"), served.new_link()
    with phone(playwright) as context:
        page = context.new_page()
        page.goto(f"http://localhost:{served.port}/d/{once}")
        page.set_input_files("#files", film(tmp_path, "a.mp4", 51_000))
        wait_for_state(page, "safe")
        page.goto(f"http://localhost:{served.port}/d/{other}")
        page.goto(f"http://localhost:{served.port}/d/{once}")
        wait_for_state(page, "safe")
        page.locator("#receipt-now").click()
        assert delivered(served, receipt_of(page))[1] == [51_000]
        page.goto(f"http://localhost:{served.port}/d/{once}")
        assert page.locator("#files").count() == 1, "whoever began may add to it"
    with phone(playwright) as stranger:
        page = stranger.new_page()
        page.goto(f"http://localhost:{served.port}/d/{once}")
        expect(page.locator("main")).to_contain_text("This code does not work, or does not work any more.")


def test_without_scripts_a_second_link_does_not_take_the_receipt_of_the_first(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    first, second = served.new_link(), served.new_link()
    with phone(playwright, java_script_enabled=False) as context:
        page, other = context.new_page(), context.new_page()
        page.goto(f"http://localhost:{served.port}/d/{first}")
        other.goto(f"http://localhost:{served.port}/d/{second}")
        page.set_input_files("#files", film(tmp_path, "a.mp4", 41_000))
        page.locator("#finish").click()
        assert delivered(served, receipt_of(page))[1] == [41_000]
        other.set_input_files("#files", film(tmp_path, "b.mp4", 42_000))
        other.locator("#finish").click()
        assert delivered(served, receipt_of(other))[1] == [42_000]


def test_a_page_that_comes_late_from_a_slow_line_does_not_bring_its_own_receipt(served: Served) -> None:
    first, second = served.new_link(), served.new_link()
    browser = Browser(served)
    page = browser.get(f"/d/{first}").text
    browser.get(f"/d/{second}")
    late = dict(browser.cookies)
    location = receipt_after(browser, first, page)
    browser.cookies = dict(late)
    shown = browser.get(location).text
    number = re.search(r"TG-\d{4}-\d{5}", shown)
    assert number and return_code(shown)
    assert delivered(served, number[0])[1] == [8_000]
    browser.cookies = dict(late)
    saved, written = (re.search(f'{name}="(/receipt[^"]*)"', shown) for name in ("href", "action"))
    assert saved and written
    assert parse_receipt(browser.get(saved[1]).body).number == number[0]
    browser.cookies = dict(late)
    assert browser.get(seen_url(shown)).status == 200
    assert post(browser, written[1], shown) == 303
    assert "is not shown again" in browser.get(location).text
    stranger = Browser(served)
    assert stranger.get(location).status == 404, "the address alone opens nothing"
    assert stranger.get(saved[1]).status == 404


def test_the_code_of_another_receipt_is_not_taken_away_by_a_page_that_the_cookie_does_not_know(served: Served) -> None:
    one, other = finished(served), finished(served)
    page = other[0].get(other[1]).text
    written = re.search('action="(/receipt/written[^"]*)"', page)
    assert written
    assert post(one[0], written[1], one[0].get(one[1]).text) == 404
    assert return_code(one[0].get(one[1]).text), "it is still shown"


def finished(served: Served) -> tuple[Browser, str]:
    """Send a file through a link of its own; return the browser and the address of its receipt."""
    link, browser = served.new_link(), Browser(served)
    return browser, receipt_after(browser, link, browser.get(f"/d/{link}").text)


def receipt_after(browser: Browser, link: str, page: str) -> str:
    """Send a file from a drop page as its script does; return the address of the receipt."""
    fields = [("csrf_token", token_in(page)), ("visit", visit_in(page)), ("use", "legal")]
    form = multipart(fields, [(f"{link}.mp4", content(8_000))])
    location: str = browser.post(f"/d/{link}", *form, Accept="application/json").json()["location"]
    return location


def visit_in(page: str) -> str:
    found = re.search(r'name="visit" value="([^"]+)"', page)
    assert found
    return unescape(found[1])


def test_a_receipt_comes_also_where_the_late_page_was_asked_for_before_the_link_was_opened(served: Served) -> None:
    early = Browser(served)
    early.get(f"/d/{served.new_link()}")
    browser, location = finished(served)
    browser.cookies["testigo"] = early.cookies["testigo"]  # It knows nothing of the visit that was finished.
    shown = browser.get(location).text
    assert return_code(shown)
    assert post(browser, "/forget", shown) == 303
    assert not browser.cookies["finished"]
    assert browser.get(location).status == 404


def test_of_many_links_a_browser_forgets_the_oldest(served: Served) -> None:
    browser = Browser(served)
    links = [served.new_link() for _ in range(5)]
    visits = [visit_in(browser.get(f"/d/{link}").text) for link in links]
    for link, visit in list(zip(links, visits, strict=True))[:0:-1]:
        assert visit_in(browser.get(f"/d/{link}").text) == visit
