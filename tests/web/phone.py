"""An observer's phone: Debian's Chromium with the size, the network and the habits of one; and what its page says."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Dialog, Page, Playwright, ViewportSize, expect

CHROMIUM = "/usr/bin/chromium"
# A container gives Chromium no namespaces of its own; what it opens here is our own site on loopback.
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage")
ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "web" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
PHONE: ViewportSize = {"width": 390, "height": 844}


@contextmanager
def phone(playwright: Playwright, **options: Any) -> Iterator[BrowserContext]:
    """A browser with a fresh profile that is gone afterwards."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
    try:
        yield browser.new_context(**{"viewport": PHONE, "service_workers": "allow", **options})
    finally:
        browser.close()


class LastingPhone:
    """A browser whose profile outlives it, so that it can be killed as a phone's empty battery does."""

    def __init__(self, playwright: Playwright, profile: Path) -> None:
        self._playwright, self._profile = playwright, profile
        self.context: BrowserContext | None = None

    def open(self, url: str) -> Page:
        self.context = self._playwright.chromium.launch_persistent_context(
            str(self._profile), executable_path=CHROMIUM, args=list(FLAGS), viewport=PHONE
        )
        page = self.context.pages[0] if self.context.pages else self.context.new_page()
        page.goto(url)
        return page

    def kill(self) -> None:
        """End every process of this profile in an instant."""
        mark = f"--user-data-dir={self._profile}".encode()
        killed = 0
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if mark in command.read_bytes().split(b"\0"):
                    os.kill(int(command.parent.name), signal.SIGKILL)
                    killed += 1
            except (FileNotFoundError, ProcessLookupError):
                continue
        assert killed, "no browser was killed"
        self.context = None
        for name in ("SingletonLock", "SingletonSocket", "SingletonCookie"):
            (self._profile / name).unlink(missing_ok=True)

    def close(self) -> None:
        if self.context is not None:
            self.context.close()
            self.context = None


def state(page: Page) -> str:
    """How sending stands, in the page's own word."""
    panel = page.locator("#panel")
    return page.locator("#state").get_attribute("data-state") or "empty" if panel.is_visible() else "empty"


def wait_for_state(page: Page, wanted: str, seconds: float = 60) -> float:
    """Return how long it took."""
    began = time.monotonic()
    expect(page.locator(f"#state[data-state={wanted}]")).to_be_visible(timeout=seconds * 1000)
    return time.monotonic() - began


def records(page: Page) -> list[dict[str, Any]]:
    """What the phone has written down of its queue."""
    return list(
        page.evaluate(
            """() => new Promise((resolve, reject) => {
            const opened = indexedDB.open("testigo-queue");
            opened.onerror = () => reject(opened.error);
            opened.onsuccess = () => {
                const asked = opened.result.transaction("files").objectStore("files").getAll();
                asked.onsuccess = () => { opened.result.close(); resolve(asked.result); };
            };
        })"""
        )
    )


def safe_octets(page: Page) -> int:
    """What the page's own record says that the archive has written."""
    return sum(int(record.get("accepted") or 0) for record in records(page))


def all_copied(page: Page) -> bool:
    """Whether the copy of each file on the phone is whole."""
    return all(record.get("copied") for record in records(page))


def until(condition: Callable[[], bool], seconds: float = 60, step: float = 0.05) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come to be"
        time.sleep(step)
    return time.monotonic() - began


def meanwhile(page: Page, condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait while the browser's events are heard, as `until` does not let them be."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come to be"
        page.wait_for_timeout(100)


def dialogs_of(page: Page) -> list[str]:
    """What the browser asks the person from now on; each is answered with yes."""
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    return asked


def film(folder: Path, name: str, octets: int) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(octets))
    return path
