"""A frightened person on a bad network, and everything that goes wrong on such a day. Each ends in words that a person
understands, and nothing is lost."""

import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, Request, Route, expect

from archive.catalogue.items import list_items
from tests.often import often
from tests.way_in import run_here
from tests.web.phone import (
    all_copied,
    dialogs_of,
    film,
    meanwhile,
    phone,
    records,
    safe_octets,
    state,
    until,
    wait_for_state,
)
from tests.web.served import Served
from tests.web.test_handing_over import return_code
from tests.web.weak_line import WeakLine

KIB, MIB = 1 << 10, 1 << 20
COPIES = """async () => {
    const names = [];
    for await (const name of (await (await navigator.storage.getDirectory())
        .getDirectoryHandle("queue", { create: true })).keys()) names.push(name);
    return names;
}"""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stored_digests(served: Served) -> list[str]:
    archive = served.opened()
    try:
        with archive.rooms.database.reading() as session:
            items = [item.id for item, _ in list_items(session)]
        return [hashlib.sha256(archive.stored(item)).hexdigest() for item in items]
    finally:
        archive.rooms.close()


def opened(context: BrowserContext, served: Served, line: WeakLine | None = None, code: str = "") -> Page:
    page = context.new_page()
    page.goto(f"{line.url if line else f'http://localhost:{served.port}'}/d/{code or served.code}")
    return page


def with_service_worker(page: Page) -> None:
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    until(lambda: bool(page.evaluate("() => Boolean(navigator.serviceWorker.controller)")), 10)


class Chunks:
    """The requests with octets of films that pages make: how many began, and how many arrived whole."""

    def __init__(self, *pages: Page) -> None:
        self.begun = self.arrived = self.ended = 0
        for page in pages:
            page.on("request", lambda request: self._count("begun", request))
            page.on("requestfinished", lambda request: self._count("arrived", request))
            page.on("requestfailed", lambda request: self._count("ended", request))

    def _count(self, what: str, request: Request) -> None:
        if request.method == "PATCH":
            setattr(self, what, getattr(self, what) + 1)

    @property
    def under_way(self) -> int:
        return self.begun - self.arrived - self.ended


# ── finishing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_finish_waits_for_the_files_or_gives_a_receipt_for_what_is_safe_and_the_rest_follows(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    small, large = film(tmp_path, "small.jpg", 30_000), film(tmp_path, "large.mp4", 3 * MIB)
    with WeakLine(served.port, rate=300_000) as line, phone(playwright) as context:
        page = opened(context, served, line)
        page.set_input_files("#files", [small, large])
        expect(page.locator("#rows .tag-ok")).to_have_count(1, timeout=20_000)
        page.fill("#happened", "I saw it from the corner.")
        page.locator("#finish").click()
        expect(page.locator("#finish-text")).to_have_text(
            "Your receipt comes as soon as all files are safe. Keep this page open."
        )
        page.get_by_role("button", name="Get a receipt now for what is safe").click()
        page.wait_for_url("**/receipt*")
        number = _number(page)
        expect(page.locator("#waiting-text")).to_contain_text("Files that still wait on this phone: 1.")
        page.get_by_role("button", name="Clear this phone").click()
        expect(page.locator("#clear-warning")).to_contain_text("Not everything is sent yet.")
        line.rate = 0
        page.get_by_role("link", name="Go on sending").click()
        wait_for_state(page, "safe")
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
        assert _number(page) == number, "the rest belongs to the same sending"
        expect(page.locator("#waiting")).to_be_hidden()
        with page.expect_download() as download:
            page.get_by_role("link", name="Save receipt").click()
        items = json.loads(Path(download.value.path()).read_text())["items"]
    digests = {item["sha256"] for item in items}
    assert len(items) == 3 and {sha256(small), sha256(large)} <= digests, "two files and the statement"


def _number(page: Page) -> str:
    found = re.search(r"TG-\d{4}-\d{5}", page.locator("main").inner_text())
    assert found
    return found[0]


def test_finishing_with_nothing_says_what_to_do_with_and_without_scripts(
    served: Served, playwright: Playwright
) -> None:
    words = "Nothing has arrived yet. Choose files or write what you saw, then ask for the receipt."
    with phone(playwright) as context:
        page = opened(context, served)
        page.fill("#when", "at noon")
        page.keyboard.press("Enter")
        assert page.url.endswith(f"/d/{served.code}") and page.locator("#problem").is_hidden()
        page.locator("#finish").click()
        expect(page.locator("#problem-text")).to_have_text(words)
        assert page.evaluate("() => document.activeElement.id") == "problem"
    with phone(playwright, java_script_enabled=False) as context:
        page = opened(context, served)
        page.locator("#finish").click()
        expect(page.locator("main")).to_contain_text(words)


def test_a_page_that_is_older_than_its_cookie_still_gets_its_receipt(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = film(tmp_path, "a.mp4", 40_000)
    with phone(playwright) as context:
        page = opened(context, served)
        page.set_input_files("#files", clip)
        wait_for_state(page, "safe")
        context.clear_cookies()
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
        expect(page.locator(".code")).to_be_visible()


def test_the_way_back_from_the_receipt_leads_to_the_same_sending(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    with phone(playwright) as context:
        page = opened(context, served)
        page.set_input_files("#files", film(tmp_path, "a.mp4", 40_000))
        wait_for_state(page, "safe")
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
        number = _number(page)
        page.go_back()
        assert state(page) == "empty"
        page.set_input_files("#files", film(tmp_path, "b.mp4", 50_000))
        wait_for_state(page, "safe")
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
        assert _number(page) == number
        expect(page.locator("main .note-ok")).to_contain_text("Files: 2.")


# ── the phone ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", often(["gone", "changed"], "gone"))
def test_a_file_that_the_phone_takes_away_is_asked_for_again_and_not_called_a_lost_signal(
    served: Served, playwright: Playwright, tmp_path: Path, how: str
) -> None:
    clip = tmp_path / "clip.mp4"
    with clip.open("wb") as made:
        made.truncate(150 * MIB)
    with WeakLine(served.port, rate=500_000) as line, phone(playwright, service_workers="block") as context:
        page = opened(context, served, line)
        page.set_input_files("#files", clip)
        wait_for_state(page, "sending")
        content = b"now something else" * 1000
        if how == "gone":
            clip.unlink()
        else:
            clip.write_bytes(content)
        wait_for_state(page, "lost")
        expect(page.locator("#rows")).to_contain_text("The phone no longer gives it to this page.")
        assert page.evaluate(COPIES) == [], "a copy that is not whole does not stay on the phone"
        clip.write_bytes(content)
        line.rate = 0
        page.set_input_files("#more", clip)
        expect(page.locator("#rows .tag-ok")).to_have_count(1, timeout=20_000)
    assert hashlib.sha256(content).hexdigest() in stored_digests(served)


def test_a_copy_that_the_browser_threw_away_is_asked_for_again(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = film(tmp_path, "clip.mp4", 2 * MIB)
    with WeakLine(served.port) as line, phone(playwright) as context:
        page = opened(context, served, line)
        with_service_worker(page)
        until(lambda: bool(page.evaluate("async () => (await (await caches.open('testigo-pages')).keys()).length")))
        line.cut()
        page.set_input_files("#files", clip)
        until(lambda: len(records(page)) == 1 and all_copied(page))
        wait_for_state(page, "offline")
        page.goto("about:blank")
        page.goto(f"{line.url}/d/{served.code}")
        page.evaluate("async () => (await navigator.storage.getDirectory()).removeEntry('queue', { recursive: true })")
        line.mend()
        wait_for_state(page, "lost")
        page.set_input_files("#more", clip)
        wait_for_state(page, "safe")
    assert sha256(clip) in stored_digests(served)


def test_an_empty_file_is_named_and_the_others_are_sent(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    (tmp_path / "nothing.jpg").touch()
    clip = film(tmp_path, "clip.mp4", 30_000)
    with phone(playwright) as context:
        page = opened(context, served)
        page.set_input_files("#files", [tmp_path / "nothing.jpg", clip])
        expect(page.locator("#problem-text")).to_have_text(
            "“nothing.jpg” is empty and was not sent. Choose the photo or video itself."
        )
        wait_for_state(page, "safe")
        expect(page.locator("#rows .file")).to_have_count(1)


def test_whoever_chooses_before_the_script_has_come_is_heard(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = film(tmp_path, "clip.mp4", 30_000)
    with phone(playwright, service_workers="block") as context:
        page = context.new_page()
        held: list[Route] = []
        page.route("**/static/drop-*.js", lambda route: held.append(route))
        page.goto(f"http://localhost:{served.port}/d/{served.code}", wait_until="commit")
        page.set_input_files("#files", clip)
        meanwhile(page, lambda: bool(held))
        held[0].continue_()
        wait_for_state(page, "safe")
    assert sha256(clip) in stored_digests(served)


def test_the_same_file_chosen_twice_is_sent_once(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    clip = film(tmp_path, "clip.mp4", MIB)
    with WeakLine(served.port, rate=1_000_000) as line, phone(playwright) as context:
        page = opened(context, served, line)
        before = line.sent
        page.set_input_files("#files", clip)
        wait_for_state(page, "sending")
        page.set_input_files("#more", clip)
        expect(page.locator("#problem-text")).to_have_text("“clip.mp4” stands in the list already. It is sent once.")
        wait_for_state(page, "safe")
        expect(page.locator("#rows .file")).to_have_count(1)
        assert line.sent - before < 1.3 * MIB


def test_a_phone_without_room_says_so_and_sends_from_where_the_file_is(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = film(tmp_path, "clip.mp4", 4 * MIB)
    with WeakLine(served.port, rate=1_500_000) as line, phone(playwright, service_workers="block") as context:
        page = opened(context, served, line)
        said = context.new_cdp_session(page)
        said.send("Storage.overrideQuotaForOrigin", {"origin": line.url, "quotaSize": 1 * MIB})
        page.set_input_files("#files", clip)
        expect(page.locator("#state-text")).to_contain_text(
            "This phone has no room for a second copy. Keep this page open until all is sent."
        )
        wait_for_state(page, "safe")
    assert sha256(clip) in stored_digests(served)


def test_a_phone_that_can_write_nothing_at_all_sends_all_the_same(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clips = [film(tmp_path, f"{number}.mp4", 300_000) for number in range(3)]
    with phone(playwright, service_workers="block") as context:
        # The record itself finds no room, as on a disk that is full to the last byte.
        context.add_init_script(
            "IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); };"
        )
        page = opened(context, served)
        page.set_input_files("#files", clips)
        wait_for_state(page, "safe")
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
        expect(page.locator("main .note-ok")).to_contain_text("Files: 3.")


def test_a_choice_that_the_phone_cannot_remember_holds_and_that_is_said(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = film(tmp_path, "clip.mp4", MIB)
    with WeakLine(served.port, rate=400_000) as line, phone(playwright, service_workers="block") as context:
        # Only choices find no room; the queue itself does.
        context.add_init_script(
            "const put = IDBObjectStore.prototype.put;"
            "IDBObjectStore.prototype.put = function (...all) {"
            " if (this.name === 'settings') throw new DOMException('full', 'QuotaExceededError');"
            " return put.apply(this, all); };"
        )
        page = opened(context, served, line)
        unheard: list[str] = []
        page.on("pageerror", lambda error: unheard.append(str(error)))
        page.set_input_files("#files", clip)
        wait_for_state(page, "sending")
        page.locator("#pause").click()
        expect(page.locator("#problem-text")).to_have_text(
            "This phone has no room to remember that choice. It holds until this page is closed or loaded again."
        )
        wait_for_state(page, "paused")
        line.rate = 0
        page.locator("#pause").click()
        wait_for_state(page, "safe")
        assert not unheard
    assert sha256(clip) in stored_digests(served)


def test_as_long_as_anything_is_missing_it_does_not_read_like_all(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    with WeakLine(served.port) as line, phone(playwright, service_workers="block") as context:
        page = opened(context, served, line)
        page.set_input_files("#files", film(tmp_path, "most.mp4", 3_050_000))
        wait_for_state(page, "safe")
        line.cut()
        page.set_input_files("#more", film(tmp_path, "rest.mp4", 90_000))
        wait_for_state(page, "offline")
        expect(page.locator("#state-text")).to_contain_text("3\u00a0MB of 3.1\u00a0MB")


def test_what_is_taken_back_while_it_is_copied_leaves_no_copy(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    with clip.open("wb") as made:
        made.truncate(200 * MIB)
    with WeakLine(served.port, rate=500_000) as line, phone(playwright) as context:
        page = opened(context, served, line)
        page.set_input_files("#files", clip)
        until(lambda: len(page.evaluate(COPIES)) == 1)
        page.get_by_role("button", name="Do not send: clip.mp4").click()
        expect(page.locator("#panel")).to_be_hidden()
        until(lambda: page.evaluate(COPIES) == [], 10)


@pytest.mark.parametrize("year", often([2001, 2049], 2001))
def test_a_phone_whose_clock_is_wrong_sends_and_gets_its_receipt(
    served: Served, playwright: Playwright, tmp_path: Path, year: int
) -> None:
    with phone(playwright) as context:
        context.add_init_script(
            f"const right = Date.now(), wrong = Date.UTC({year}, 0); Date.now = () => wrong + performance.now();"
        )
        page = opened(context, served)
        page.set_input_files("#files", film(tmp_path, "clip.mp4", 100_000))
        wait_for_state(page, "safe")
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
        assert str(time.gmtime().tm_year) in page.locator("main").inner_text(), "the time is the archive's"


@pytest.mark.long
def test_three_hundred_files_at_once_all_arrive(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    clips = [film(tmp_path, f"{number:03}.jpg", 2000 + number) for number in range(300)]
    with phone(playwright) as context:
        page = opened(context, served)
        began = time.monotonic()
        page.set_input_files("#files", clips)
        expect(page.locator("#rows .file")).to_have_count(300, timeout=20_000)
        wait_for_state(page, "safe", 400)
        print(f"300 files: {time.monotonic() - began:.1f} s")
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
        expect(page.locator("main .note-ok")).to_contain_text("Files: 300.")
    assert {sha256(clip) for clip in clips} <= set(stored_digests(served))


# ── tabs, leaving, languages ─────────────────────────────────────────────────────────────────────────────────────────


def test_two_tabs_send_each_file_once_and_a_pause_holds_in_both(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    one, two = film(tmp_path, "one.mp4", MIB), film(tmp_path, "two.mp4", MIB)
    with WeakLine(served.port, rate=600_000) as line, phone(playwright) as context:
        first, second = opened(context, served, line), opened(context, served, line)
        chunks = Chunks(first, second)
        before = line.sent
        first.set_input_files("#files", one)
        expect(second.locator("#rows .file")).to_have_count(1)
        second.set_input_files("#more", two)
        expect(first.locator("#rows .file")).to_have_count(2)
        second.get_by_role("button", name="Pause").click()
        wait_for_state(first, "paused", 10)
        begun, arrived = chunks.begun, chunks.arrived
        meanwhile(first, lambda: chunks.under_way == 0, 5)
        # The system still delivers what it had taken from the browser, at the pace of the line; then all is still.
        meanwhile(first, lambda: line.sent == _later(first, 500, line), 15)
        held = line.sent
        first.wait_for_timeout(1500)
        assert line.sent - held < 20 * KIB, "no tab sends what was paused in one"
        assert (chunks.begun, chunks.arrived) == (begun, arrived), "what ran was ended, and nothing was begun"
        first.get_by_role("button", name="Go on").click()
        wait_for_state(first, "safe")
        wait_for_state(second, "safe")
        assert line.sent - before < 2 * MIB + 600 * KIB
    assert {sha256(one), sha256(two)} <= set(stored_digests(served))


def test_finishing_in_another_tab_after_the_receipt_was_taken_gives_the_same_receipt_and_loses_no_word(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    with phone(playwright) as context:
        first, second = opened(context, served), opened(context, served)
        first.set_input_files("#files", film(tmp_path, "seen-twice.mp4", 30_000))
        wait_for_state(first, "safe")
        second.fill("#happened", "Written in the other tab.")
        first.locator("#finish").click()
        first.wait_for_url("**/receipt*")
        number, code = _number(first), return_code(first.content())
        second.locator("#finish").click()
        second.wait_for_url("**/receipt*")
        assert (_number(second), return_code(second.content())) == (number, code)
        with second.expect_download() as download:
            second.get_by_role("link", name="Save receipt").click()
        items = json.loads(Path(download.value.path()).read_text())["items"]
    assert len(items) == 2, "the film and the words"


def _later(page: Page, milliseconds: int, line: WeakLine) -> int:
    page.wait_for_timeout(milliseconds)
    return line.sent


def test_a_pause_between_two_requests_holds(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    clip = film(tmp_path, "clip.mp4", 600_000)
    with phone(playwright, service_workers="block") as context:
        page = context.new_page()
        chunks = Chunks(page)
        held: list[Route] = []
        page.route("**/tus/*/digest", lambda route: held.append(route))
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        page.set_input_files("#files", clip)
        meanwhile(page, lambda: bool(held))
        page.get_by_role("button", name="Pause").click()
        wait_for_state(page, "paused")
        held[0].continue_()
        page.wait_for_timeout(1500)
        assert chunks.begun == 0, "nothing leaves the phone after the pause"
        page.unroute("**/tus/*/digest")
        page.get_by_role("button", name="Go on").click()
        wait_for_state(page, "safe")
    assert sha256(clip) in stored_digests(served)


def test_leaving_quickly_asks_nothing_and_the_files_go_on_later(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    with clip.open("wb") as made:
        made.truncate(120 * MIB)
    with WeakLine(served.port, rate=300_000) as line, phone(playwright) as context:
        context.route("https://*/**", lambda route: route.fulfill(body="the weather"))
        page = opened(context, served, line)
        asked = dialogs_of(page)
        small = film(tmp_path, "small.jpg", 600_000)
        page.set_input_files("#files", small)
        until(lambda: len(page.evaluate(COPIES)) == 1)
        page.set_input_files("#more", clip)
        page.fill("#happened", "a neighbour was taken")
        page.get_by_role("link", name="Leave quickly").click()
        page.wait_for_url("https://**")
        assert not asked
        line.rate = 0
        page.goto(f"{line.url}/d/{served.code}")
        assert page.input_value("#happened") == "", "nothing that was typed is carried on"
        expect(page.locator("#rows .tag-ok")).to_have_count(1, timeout=20_000)
    assert sha256(small) in stored_digests(served)


def test_another_language_in_the_middle_costs_neither_files_nor_words(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    with clip.open("wb") as made:
        made.truncate(60 * MIB)
    with WeakLine(served.port, rate=300_000) as line, phone(playwright) as context:
        page = opened(context, served, line)
        asked = dialogs_of(page)
        with_service_worker(page)
        page.set_input_files("#files", clip)
        page.fill("#happened", "lo vi yo")
        page.locator("input[name=use][value=court]").check()
        page.locator("a[hreflang=ko]").click()
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        assert not asked
        expect(page.locator("#happened")).to_have_value("lo vi yo")
        expect(page.locator("input[name=use][value=court]")).to_be_checked()
        line.rate = 0
        line.cut_for(0.2)
        wait_for_state(page, "safe", 120)
        kept = page.evaluate("async () => JSON.stringify(await caches.keys())")
        assert "lo vi yo" not in kept


# ── the archive and the way to it ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("heard", [False, True], ids=["unheard", "heard"])
def test_a_link_that_ends_in_the_middle_leaves_the_files_to_another_code(
    served: Served, playwright: Playwright, tmp_path: Path, heard: bool
) -> None:
    begun, untouched = film(tmp_path, "begun.mp4", 6 * MIB), film(tmp_path, "untouched.mp4", 90_000)
    ending = served.new_link()
    listed = run_here(served.home, "drop", "ls", "--json").stdout.splitlines()
    number = max(json.loads(line)["drop_link"] for line in listed)
    with WeakLine(served.port, rate=200_000) as line, phone(playwright) as context:
        page = opened(context, served, line, ending)
        page.set_input_files("#files", [begun, untouched])
        until(lambda: safe_octets(page) > 0)  # Most of it takes half a minute more: the link ends before.
        until(lambda: all_copied(page))
        assert run_here(served.home, "drop", "revoke", number, "--reason", "test").returncode == 0
        if heard:  # Each file was refused by the time its sender looks again.
            line.rate = 0
            expect(page.locator("#rows .tag-bad")).to_have_count(2, timeout=60_000)
        page.reload()
        expect(page.locator("main")).to_contain_text("This link takes no more files. What you sent is kept.")
        page.get_by_role("link", name="Enter a code").click()
        expect(page.locator("#waiting-text")).to_contain_text("Files that wait on this phone: 2.")
        page.fill("#code", served.code)
        line.rate = 0
        page.locator("main form button").click()
        # Who revokes a link ends what is under way. Both are taken under the new code, once the person says so.
        expect(page.locator("#rows .tag-bad")).to_have_count(2, timeout=20_000)
        expect(page.locator("#rows")).to_contain_text("Ask for a new code.")
        page.get_by_role("button", name="Send the waiting files with this code").click()
        wait_for_state(page, "safe")
    assert {sha256(begun), sha256(untouched)} <= set(stored_digests(served))


@pytest.mark.parametrize(
    ("status", "words"),
    often([(503, "The archive does not answer."), (507, "The archive has no room")], (507, "The archive has no room")),
)
def test_an_archive_that_cannot_take_for_a_while_costs_no_tap(
    served: Served, playwright: Playwright, tmp_path: Path, status: int, words: str
) -> None:
    clip = film(tmp_path, "clip.mp4", 500_000)
    with phone(playwright, service_workers="block") as context:
        page = context.new_page()
        answers: list[int] = []

        def refuse(route: Route) -> None:
            answers.append(status)
            body: dict[str, Any] = {"ok": False, "error": "The archive has no room just now. What arrived is kept."}
            route.fulfill(status=status, json=body) if status == 507 else route.fulfill(status=status, body="<html>")

        page.route("**/tus/**", refuse)
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        page.set_input_files("#files", clip)
        wait_for_state(page, "server")
        expect(page.locator("#state")).to_contain_text(words)
        meanwhile(page, lambda: len(answers) > 2)
        page.unroute("**/tus/**")
        wait_for_state(page, "safe")
    assert sha256(clip) in stored_digests(served)


def test_a_sign_in_page_of_a_hotel_is_taken_for_what_it_is(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = film(tmp_path, "clip.mp4", 500_000)
    with phone(playwright, service_workers="block") as context:
        page = context.new_page()
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        page.route("**/tus/**", lambda route: route.fulfill(status=200, body="<html>Welcome to the hotel</html>"))
        page.set_input_files("#files", clip)
        wait_for_state(page, "server")
        expect(page.locator("#rows .tag-ok")).to_have_count(0)
        page.unroute("**/tus/**")
        wait_for_state(page, "safe")
    assert sha256(clip) in stored_digests(served)


def test_a_signal_that_goes_before_the_copying_script_came_costs_nothing(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = film(tmp_path, "clip.mp4", 700_000)
    with phone(playwright, service_workers="block") as context:
        page = context.new_page()
        tries: list[str] = []

        def lose(route: Route) -> None:
            tries.append(route.request.url)
            route.abort("internetdisconnected")

        page.route("**/static/spool.worker-*.js", lose)
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        page.set_input_files("#files", clip)
        meanwhile(page, lambda: len(tries) >= 3)
        page.unroute("**/static/spool.worker-*.js")
        wait_for_state(page, "safe")
    assert sha256(clip) in stored_digests(served)


def test_a_new_version_of_the_service_worker_during_an_upload_costs_nothing(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip, later = film(tmp_path, "clip.mp4", 2 * MIB), film(tmp_path, "later.mp4", 200_000)
    with WeakLine(served.port, rate=800_000) as line, phone(playwright) as context:
        page = opened(context, served, line)
        with_service_worker(page)
        page.set_input_files("#files", clip)
        until(lambda: safe_octets(page) > 0)
        # Another address is another version to a browser: it is installed and takes over while the page is open.
        page.evaluate(
            """async () => {
                const old = await caches.open("testigo-files");
                await old.put("/static/spool.worker-000000000000.js", new Response("the script of an older page"));
                const policy = trustedTypes.createPolicy("test", { createScriptURL: (text) => text });
                const taken = new Promise((resolve) =>
                    navigator.serviceWorker.addEventListener("controllerchange", resolve));
                await navigator.serviceWorker.register(policy.createScriptURL("/sw.js?newer"));
                await taken;
            }"""
        )
        page.set_input_files("#more", later)
        wait_for_state(page, "safe")
        kept = page.evaluate("async () => (await (await caches.open('testigo-files')).keys()).map((one) => one.url)")
        assert any("000000000000" in url for url in kept), "a page that is open keeps its scripts"
    assert {sha256(clip), sha256(later)} <= set(stored_digests(served))
