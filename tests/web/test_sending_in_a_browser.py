"""A person hands over what they filmed, in a real browser, on a bad network: nothing is lost, nothing asked twice.

The measure is taken on the line between browser and server, and in what the archive has stored at the end.
"""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect, sync_playwright

from archive.catalogue.items import list_items
from tests.web.phone import LastingPhone, all_copied, film, phone, safe_octets, state, until, wait_for_state
from tests.web.served import Served, serving
from tests.web.weak_line import WeakLine

KIB, MIB = 1 << 10, 1 << 20
# Headers of requests, the page itself, questions of where it stands: what goes over the line beside the files.
OVERHEAD = 96 * KIB


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("drop") / "archive") as site:
        yield site


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


def stored_digests(served: Served) -> list[str]:
    """Open every original beside the program, with the office's key."""
    archive = served.opened()
    try:
        with archive.rooms.database.reading() as session:
            items = [item.id for item, _ in list_items(session)]
        return [hashlib.sha256(archive.stored(item)).hexdigest() for item in items]
    finally:
        archive.rooms.close()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_quiet(line: WeakLine) -> bool:
    before = line.sent
    time.sleep(0.7)
    return line.sent == before


def test_files_are_sent_at_once_and_are_the_same_in_the_archive(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    files = [film(tmp_path, name, size) for name, size in (("a.jpg", 300_000), ("b b.mp4", 900_000), ("ñ.m4a", 1))]
    with WeakLine(served.port, rate=500_000, latency=0.15) as line, phone(playwright) as context:
        page = context.new_page()
        page.goto(f"{line.url}/d/{served.code}")
        before = line.sent
        page.set_input_files("#files", files)
        until(lambda: line.sent - before > 2 * KIB)
        wait_for_state(page, "safe")
        expect(page.locator("#rows .tag-ok")).to_have_count(3)
        assert line.sent - before < sum(path.stat().st_size for path in files) + OVERHEAD
    assert {sha256(path) for path in files} <= set(stored_digests(served))


def cut_three_times(served: Served, playwright: Playwright, clip: Path, seconds: float) -> None:
    with WeakLine(served.port, rate=1_000_000) as line, phone(playwright) as context:
        page = context.new_page()
        page.goto(f"{line.url}/d/{served.code}")
        before, whole = line.sent, clip.stat().st_size
        page.set_input_files("#files", clip)
        for share in (0.2, 0.45, 0.7):
            wait_until_sent(line, before + share * whole)
            line.cut()
            assert wait_for_state(page, "offline", 3) < 3
            expect(page.locator("#state-text")).to_contain_text("Nothing is lost.")
            time.sleep(seconds)
            line.mend()
            assert until(lambda: state(page) != "offline", 10) < 3
        wait_for_state(page, "safe")
        print(f"three cuts: {(line.sent - before - whole) / KIB:.0f} KiB beside the film's own {whole / MIB:.0f} MiB")
        assert line.sent - before < whole + 3 * 64 * KIB + OVERHEAD
    assert sha256(clip) in stored_digests(served)


def wait_until_sent(line: WeakLine, octets: float) -> None:
    until(lambda: line.sent > octets)


def test_three_cuts_cost_no_tap_and_almost_nothing_sent_twice(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    cut_three_times(served, playwright, film(tmp_path, "clip.mp4", 6 * MIB), 1)


@pytest.mark.long
def test_three_long_cuts_of_a_long_film_cost_no_tap(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    cut_three_times(served, playwright, film(tmp_path, "clip.mp4", 20 * MIB), 3)


@pytest.mark.long
def test_a_first_sending_on_a_very_bad_network(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    """400 kbit/s down for the page; 1 Mbit/s up with 300 ms for the files."""
    files = [film(tmp_path, f"{number}.mp4", size * MIB) for number, size in enumerate((1, 4, 15))]
    with WeakLine(served.port, rate=125_000, down_rate=50_000, latency=0.15) as line, phone(playwright) as context:
        page = context.new_page()
        began = time.monotonic()
        page.goto(f"{line.url}/d/{served.code}", wait_until="domcontentloaded")
        expect(page.get_by_label("Choose videos and photos")).to_be_visible()
        usable = time.monotonic() - began
        assert usable < 2, "the page is usable within 2 s"
        page.wait_for_load_state()
        before = line.sent
        page.set_input_files("#files", files)
        left = until(lambda: line.sent - before > 4 * KIB)
        print(f"bad network: usable after {usable:.2f} s, first bytes {left:.2f} s after choosing")
        assert left < 3, "the first byte leaves within 3 s of choosing"
        wait_for_state(page, "safe", 400)
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
    assert {sha256(path) for path in files} <= set(stored_digests(served))


def test_a_killed_browser_goes_on_by_itself(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    clip = film(tmp_path, "clip.mp4", 8 * MIB)
    with WeakLine(served.port, rate=1_000_000) as line:
        lasting = LastingPhone(playwright, tmp_path / "profile")
        page = lasting.open(f"{line.url}/d/{served.code}")
        before = line.sent
        page.set_input_files("#files", clip)
        until(lambda: line.sent - before > clip.stat().st_size // 2)
        until(lambda: all_copied(page))
        lasting.kill()
        page = lasting.open(f"{line.url}/d/{served.code}")
        again = line.sent
        # Within 3 s on a machine that has nothing else to do; a busy one starts the browser's processes late.
        until(lambda: line.sent - again > 32 * KIB, 30)
        wait_for_state(page, "safe")
        print(f"killed browser: {(line.sent - before - clip.stat().st_size) / KIB:.0f} KiB beside the film's own")
        assert line.sent - before < clip.stat().st_size + 512 * KIB
        lasting.close()
    assert sha256(clip) in stored_digests(served)


def reload_while_sending(served: Served, playwright: Playwright, clip: Path, times: int) -> None:
    with WeakLine(served.port, rate=1_000_000) as line, phone(playwright) as context:
        page = context.new_page()
        page.goto(f"{line.url}/d/{served.code}")
        page.set_input_files("#files", clip)
        expect(page.locator("#rows .file")).to_have_count(1)
        # The copy on the phone must be whole before the page that holds the file goes.
        until(lambda: safe_octets(page) > 0 and all_copied(page))
        for _ in range(times):
            time.sleep(0.4)
            page.reload()
        wait_for_state(page, "safe", 120)
    assert sha256(clip) in stored_digests(served)


def test_reloads_while_sending_leave_the_file_right(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    reload_while_sending(served, playwright, film(tmp_path, "clip.mp4", 5 * MIB), 4)


@pytest.mark.long
def test_twenty_reloads_leave_the_file_right(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    reload_while_sending(served, playwright, film(tmp_path, "clip.mp4", 20 * MIB), 20)


def test_without_a_signal_the_page_opens_and_files_wait_for_it(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clips = [film(tmp_path, f"{number}.mp4", 700_000) for number in range(3)]
    with WeakLine(served.port) as line, phone(playwright) as context:
        page = context.new_page()
        page.goto(f"{line.url}/d/{served.code}")
        page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
        page.reload()
        line.cut()
        began = time.monotonic()
        page.goto(f"{line.url}/d/{served.code}")
        assert time.monotonic() - began < 2
        page.set_input_files("#files", clips)
        wait_for_state(page, "offline")
        expect(page.locator("#rows .file")).to_have_count(3)
        expect(page.locator("#state-text")).to_contain_text("0 B of 2.1 MB")
        until(lambda: all_copied(page))
        page.close()
        page = context.new_page()
        page.goto(f"{line.url}/d/{served.code}")
        expect(page.locator("#rows .file")).to_have_count(3)
        line.mend()
        assert wait_for_state(page, "safe") < 10
    assert {sha256(path) for path in clips} <= set(stored_digests(served))


def test_a_chunk_too_large_for_a_proxy_is_halved(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    clip = film(tmp_path, "clip.mp4", 3 * MIB)
    with phone(playwright) as context:
        page = context.new_page()
        refused = []

        def proxy(route: object, request: object) -> None:
            body = request.post_data_buffer  # type: ignore[attr-defined]  # playwright's own
            if request.method == "PATCH" and body and len(body) > 300 * KIB:  # type: ignore[attr-defined]
                refused.append(len(body))
                route.fulfill(status=413)  # type: ignore[attr-defined]
            else:
                route.continue_()  # type: ignore[attr-defined]

        page.route("**/tus/**", proxy)
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        page.set_input_files("#files", clip)
        wait_for_state(page, "safe")
        assert refused and len(refused) <= 4
    assert sha256(clip) in stored_digests(served)


def test_pausing_and_taking_back(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    first, second = (film(tmp_path, name, 2 * MIB) for name in ("first.mp4", "second.mp4"))
    with WeakLine(served.port, rate=1_000_000) as line, phone(playwright) as context:
        page = context.new_page()
        page.goto(f"{line.url}/d/{served.code}")
        page.set_input_files("#files", [first, second])
        page.get_by_role("button", name="Pause").click()
        wait_for_state(page, "paused")
        # What the system had taken from the browser before still drains.
        until(lambda: is_quiet(line), 10)
        page.reload()
        wait_for_state(page, "paused")
        page.get_by_role("button", name="Do not send: second.mp4").click()
        expect(page.locator("#rows .file")).to_have_count(1)
        page.get_by_role("button", name="Go on").click()
        wait_for_state(page, "safe")
    stored = stored_digests(served)
    assert sha256(first) in stored and sha256(second) not in stored


def test_videos_wait_for_wifi_when_asked_to(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    photo, clip = film(tmp_path, "photo.jpg", 200_000), film(tmp_path, "clip.mp4", 200_000)
    with phone(playwright) as context:
        # Desktop Chromium does not tell the kind of its line; a phone's does.
        context.add_init_script("""Object.defineProperty(navigator.connection, "type",
            { get: () => localStorage.getItem("line") ?? "cellular" })""")
        page = context.new_page()
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        page.set_input_files("#files", photo)
        wait_for_state(page, "safe")
        page.get_by_label("Use Wi-Fi only for videos").check()
        page.set_input_files("#more", clip)
        wait_for_state(page, "wifi")
        page.evaluate(
            "() => { localStorage.setItem('line', 'wifi'); navigator.connection.dispatchEvent(new Event('change')); }"
        )
        wait_for_state(page, "safe")
