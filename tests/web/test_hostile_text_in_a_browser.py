"""Hostile text where a person sees it: no script of it ever runs, and it reads back sign by sign."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, FilePayload, Page, Playwright, Route, expect

from archive.catalogue.items import list_items
from ingest.entering import safe_text
from tests.conftest import CorpusFinder
from tests.way_in import run_here
from tests.web.phone import dialogs_of, phone, wait_for_state
from tests.web.served import Served

ROWS = "() => [...document.querySelectorAll('#rows .name')].map((one) => one.textContent)"


@pytest.fixture(scope="module", params=[12, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"])
def strings(corpus: CorpusFinder, request: pytest.FixtureRequest) -> list[str]:
    texts: set[str] = set(json.loads((corpus("naughty-strings") / "blns.json").read_text(encoding="utf-8")))
    for path in sorted(corpus("web-attack-strings").rglob("*.txt")):
        if path.name != "COPYRIGHT.txt":
            texts |= set(path.read_text(encoding="utf-8", errors="replace").splitlines())
    return sorted(text for text in texts if text.strip())[:: request.param]


class Watched:
    """A page at which somebody looks who would notice: a dialog, an error, a broken policy, another address."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.dialogs = dialogs_of(self.page)
        self.said: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))

    def _hear(self, said: ConsoleMessage) -> None:
        if said.type == "error" and "Failed to load resource" not in said.text:
            self.said.append(said.text)

    def _note(self, url: str) -> None:
        if not url.startswith(("http://localhost:", "data:", "blob:http://localhost:")):
            self.elsewhere.append(url)

    def is_calm(self) -> None:
        assert not self.dialogs and not self.said and not self.elsewhere
        marks = self.page.evaluate(
            "() => [document.querySelectorAll('main script:not([type]), iframe, object').length]"
        )
        assert marks == [0]


def plain(texts: list[str], most: int) -> str:
    """One line of such texts, without what no command line and no line of a page can carry."""
    kept = ["".join(sign for sign in text if sign.isprintable()) for text in texts]
    return " | ".join(filter(None, kept))[:most].strip()


def test_names_of_files_stand_in_the_page_as_they_are_and_run_nothing(
    served: Served, playwright: Playwright, strings: list[str]
) -> None:
    with phone(playwright, service_workers="block") as context:
        watched = Watched(context)
        page = watched.page
        page.route("**/tus/**", lambda route: _no_signal(route))
        page.goto(f"http://localhost:{served.port}/d/{served.code}")
        for start in range(0, len(strings), 100):
            some = strings[start : start + 100]
            field = "#files" if start == 0 else "#more"
            page.set_input_files(field, [payload(text, b"x" * (at + 1)) for at, text in enumerate(some)])
            expect(page.locator("#rows .file")).to_have_count(start + len(some), timeout=60_000)
        # A browser gives every name with slashes read as colons; nothing else may differ.
        assert page.evaluate(ROWS) == [text.replace("/", ":") for text in strings] or page.evaluate(ROWS) == strings
        watched.is_calm()


def payload(name: str, octets: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/svg+xml", "buffer": octets}


def _no_signal(route: Route) -> None:
    route.abort("internetdisconnected")


def test_what_was_sent_written_asked_and_labelled_reads_back_the_same_and_runs_nothing(
    served: Served, playwright: Playwright, strings: list[str]
) -> None:
    label, question = plain(strings[::3], 300), plain(strings[1::3], 900)
    code = served.new_link("--label", label)
    words = "\n".join(text for text in strings if "\r" not in text)[:200_000].strip()
    with phone(playwright) as context:
        watched = Watched(context)
        page = watched.page
        page.goto(f"http://localhost:{served.port}/d/{code}")
        assert label in (page.locator("main").text_content() or "")
        for name in ("happened", "told"):
            page.fill(f"#{name}", words)
        names = [text for text in strings if len(text) < 200][:: max(1, len(strings) // 12)]
        page.set_input_files("#files", [payload(text, text.encode() + b".") for text in names])
        wait_for_state(page, "safe", 120)
        watched.is_calm()
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
        watched.is_calm()
        number = page.locator("dd.mono").first.inner_text()
        returning = " ".join(page.locator(".code span").all_inner_texts())
        asked = run_here(served.home, "drop", "ask", number, "--", question)
        assert asked.returncode == 0, asked.stderr
        page.goto(f"http://localhost:{served.port}/r")
        page.fill("#code", returning)
        page.locator("main form button").click()
        page.wait_for_url("**/r/me")
        assert question in (page.locator("main").text_content() or "")
        watched.is_calm()
        page.fill("textarea[name=answer]", words[:5000])
        page.get_by_role("button", name="Send the answer").click()
        expect(page.locator("main .note-ok")).to_be_visible()
        watched.is_calm()
    archive = served.opened()
    try:
        with archive.rooms.database.reading() as session:
            items = [item for item, _ in list_items(session)]
        kept = {archive.log_of(item)[0].get("original_name")["name"] for item in items}
        stored = [archive.stored(item.id) for item in items]
    finally:
        archive.rooms.close()
    assert {safe_text(text) for text in names} <= kept
    statement = next(each for each in stored if each.startswith(b"Language of this statement")).decode()
    assert statement.replace("\r\n", "\n").count(safe_text(words)) == 2


def test_a_hostile_receipt_and_hostile_addresses_run_nothing(
    served: Served, playwright: Playwright, strings: list[str], tmp_path: Path
) -> None:
    with phone(playwright, service_workers="block") as context:
        watched = Watched(context)
        page = watched.page
        page.goto(f"http://localhost:{served.port}/check")
        for text in strings[:: max(1, len(strings) // 40)]:
            told = {"checkpoint": text, "items": [{"number": text}], "receipt": text, "v": 1, "verifier_keys": [text]}
            (tmp_path / "receipt.json").write_text(json.dumps(told, sort_keys=True, ensure_ascii=False))
            page.locator("#result").evaluate("(one) => (one.hidden = true)")  # what is seen next is of this text
            page.set_input_files("#receipt", tmp_path / "receipt.json")
            expect(page.locator("#verdict.note-bad")).to_be_visible()
            page.set_input_files("#receipt", [])
        watched.is_calm()
        # Wrong guesses are answered slowly, so a few of them.
        for text in strings[:: max(1, len(strings) // 10)]:
            page.goto(f"http://localhost:{served.port}/d")
            page.fill("#code", "".join(sign for sign in text if sign.isprintable())[:60] or "x")
            page.locator("main form button").click()
            page.wait_for_load_state()
            watched.is_calm()
