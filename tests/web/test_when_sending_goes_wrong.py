"""What a person is told when a file arrives changed, is not taken, or cannot be kept on the phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, Route, expect, sync_playwright

from tests.web.phone import film, phone, safe_octets, until, wait_for_state
from tests.web.served import Served, serving
from tests.web.weak_line import WeakLine

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("wrong") / "archive") as site:
        yield site


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


def test_a_file_that_arrived_changed_is_never_called_safe(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    with phone(playwright, service_workers="block") as context:
        page = context.new_page()

        def say_another(route: Route) -> None:
            route.continue_(post_data='{"sha256":"' + "0" * 64 + '"}')

        page.route("**/tus/*/digest", say_another)
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        page.set_input_files("#files", film(tmp_path, "clip.mp4", 3 * MIB))
        wait_for_state(page, "differs")
        expect(page.locator("#rows .tag")).to_have_text("Not the same")
        expect(page.locator("#state-text")).to_contain_text("What arrived is kept")


def test_without_a_private_file_system_the_page_says_so_and_choosing_again_goes_on(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip = film(tmp_path, "clip.mp4", 4 * MIB)
    with WeakLine(served.port, rate=1_000_000) as line, phone(playwright, service_workers="block") as context:
        page = context.new_page()
        # The worker's own file system is closed to it, as in a private window. The page loads it before it is needed.
        page.route("**/static/spool.worker-*.js", lambda route: _without_files(route))
        page.goto(f"{line.url}/d/{served.code}")
        before = line.sent
        page.set_input_files("#files", clip)
        expect(page.locator("#state-text")).to_contain_text("Keep this page open until all is sent.")
        until(lambda: safe_octets(page) > 0)
        page.reload()
        wait_for_state(page, "lost")
        expect(page.locator("#state-title")).to_have_text("Choose the files once more")
        page.set_input_files("#more", clip)
        wait_for_state(page, "safe")
        expect(page.locator("#rows .file")).to_have_count(1)
        # What a closed socket still drains is at most what the system had taken from the browser.
        assert line.sent - before < clip.stat().st_size + 2 * MIB


def _without_files(route: Route) -> None:
    source = route.fetch().text()
    closed = "navigator.storage.getDirectory = () => Promise.reject(new DOMException('no', 'SecurityError'));"
    route.fulfill(body=closed + source, content_type="text/javascript")


def test_what_a_link_does_not_take_waits_for_another_code(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    small = served.new_link("--files", "1")
    files = [film(tmp_path, name, 50_000) for name in ("one.jpg", "two.jpg")]
    with phone(playwright) as context:
        page = context.new_page()
        page.goto(f"http://localhost:{served.port}/d/{small}")
        page.set_input_files("#files", files)
        wait_for_state(page, "refused")
        expect(page.locator("#rows .tag-bad")).to_have_count(1)
        expect(page.locator("#rows")).to_contain_text("Ask whoever gave you the link for a new one.")
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        page.get_by_role("button", name="Send the waiting files with this code").click()
        wait_for_state(page, "safe")


def test_clearing_the_phone_leaves_nothing_on_it(served: Served, playwright: Playwright, tmp_path: Path) -> None:
    with phone(playwright) as context:
        page = context.new_page()
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        page.set_input_files("#files", film(tmp_path, "one.jpg", 50_000))
        wait_for_state(page, "safe")
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
        page.get_by_role("button", name="Clear this phone").click()
        page.wait_for_url("**/forgotten")
        left = page.evaluate(
            """async () => {
                const root = await navigator.storage.getDirectory();
                const files = [];
                for await (const name of root.keys()) files.push(name);
                const workers = await navigator.serviceWorker.getRegistrations();
                return [...files, ...(await caches.keys()), ...workers.map((one) => one.scope),
                        ...(await indexedDB.databases()).map((one) => one.name)];
            }"""
        )
        assert left == []
        assert not [cookie for cookie in context.cookies() if cookie["name"] in ("shown", "returning")]


def test_a_lost_answer_to_the_last_step_still_ends_with_the_code(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    with phone(playwright, service_workers="block") as context:
        page = context.new_page()
        lost: list[int] = []

        def lose_the_first(route: Route) -> None:
            if route.request.method != "POST" or lost:
                return route.continue_()
            lost.append(route.fetch().status)
            return route.abort()

        page.route(f"**/d/{served.code}", lose_the_first)
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        page.set_input_files("#files", film(tmp_path, "clip.mp4", MIB))
        wait_for_state(page, "safe")
        page.get_by_label("What did you see and hear yourself?").fill("It was on Alvarado Street.")
        page.locator("#finish").click()
        page.wait_for_url("**/receipt*")
        assert lost == [200]
        expect(page.locator(".code")).to_have_count(1)
        expect(page.locator("main")).to_contain_text("Files: 2.")
        page.get_by_role("button", name="I wrote it down").click()
        expect(page.locator(".code")).to_have_count(0)
        expect(page.locator("main")).to_contain_text("Your code was shown on this page before.")
