"""Languages on a weak line: a page that is kept on the phone answers in its own language only."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Playwright, expect, sync_playwright

from tests.web.phone import phone, until
from tests.web.served import Served, serving
from tests.web.weak_line import WeakLine


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("weak") / "archive") as site:
        yield site


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


def second_visit(page: Page, served: Served, line: WeakLine) -> None:
    """A page that is kept on the phone, as the service worker keeps it."""
    page.goto(f"{line.url}/d/{served.code}")
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    kept = "async () => (await (await caches.open('testigo-pages')).keys()).length"
    until(lambda: bool(page.evaluate(kept)))
    page.reload()


def tap(page: Page, language: str) -> None:
    page.locator(f".langs a[hreflang={language}]").click(no_wait_after=True)


def test_on_a_slow_line_each_language_link_brings_its_language(served: Served, playwright: Playwright) -> None:
    with WeakLine(served.port) as line, phone(playwright) as context:
        page = context.new_page()
        second_visit(page, served, line)
        line.latency = 1.5
        for language in ("es-US", "ko", "es-US", "bn"):
            tap(page, language)
            page.wait_for_url(f"**?lang={language}", timeout=30_000)
            expect(page.locator("html")).to_have_attribute("lang", language)
            expect(page.locator("[data-away]").first).to_be_attached()
        page.goto(f"{line.url}/d/{served.code}")
        expect(page.locator("html")).to_have_attribute("lang", "bn")


def test_without_a_signal_a_language_that_is_not_kept_is_told_in_its_own_words(
    served: Served, playwright: Playwright
) -> None:
    with WeakLine(served.port) as line, phone(playwright) as context:
        page = context.new_page()
        second_visit(page, served, line)
        tap(page, "ko")
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        line.cut()
        page.goto(f"{line.url}/d/{served.code}")
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        expect(page.locator("main > .note-warn[lang]")).to_have_count(0)
        tap(page, "bn")
        note = page.locator("main > .note-warn[lang=bn]")
        expect(note).to_be_visible()
        assert note.inner_text() == page.locator("a[hreflang=bn]").get_attribute("data-away")
        assert any("\u0980" <= sign <= "\u09ff" for sign in note.inner_text())
        expect(page.locator("#files")).to_be_attached()
        tap(page, "en")
        expect(page.locator("html")).to_have_attribute("lang", "en")
        expect(page.locator("main > .note-warn[lang]")).to_have_count(0)
        line.mend()
        tap(page, "bn")
        expect(page.locator("html")).to_have_attribute("lang", "bn")
