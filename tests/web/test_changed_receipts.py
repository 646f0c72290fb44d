"""A receipt that was changed is refused: by the program, by the independent script, and by the page, offline."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect, sync_playwright

from cli import main
from tests.changed_receipts import changes_of, older_forms
from tests.often import often
from tests.way_in import ROOT, run_here
from tests.web.phone import phone
from tests.web.served import Served, serving
from tests.web.test_handing_over import multipart, send, token_in
from tests.web.test_tus import content

RIGHT, OLDER, REFUSED = "right", "older form", "refused"
MUST_BE_AMONG = {
    "receipt", "received_time", "items.0.number", "items.0.sha256", "items.0.size", "items without 1",
    "items with 0 twice", "items the other way round", "verifier_keys without 1", "checkpoint",
    "signed (line twice)", "signed (a stranger's line too)", "signed (spelling)", "signed (space)",
    "a byte order mark before it",
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An archive that stays locked: its server has no key but those that sign the log."""
    with serving(tmp_path_factory.mktemp("receipts") / "var") as served:
        yield served


@pytest.fixture(scope="module")
def offline(served: Served) -> Iterator[Page]:
    """The page that checks, once loaded and then without a network."""
    with sync_playwright() as playwright, phone(playwright) as context:
        page = context.new_page()
        page.goto(f"http://localhost:{served.port}/check")
        context.set_offline(True)
        yield page


@dataclass
class Checkers:
    """The three ways to check, each as its user meets it."""

    page: Page
    file: Path
    keys: Path
    asked: int = 0

    def say(self, receipt: bytes) -> dict[str, str]:
        # A browser does not notice that a file of the same name was chosen again.
        self.asked += 1
        self.file = self.file.with_name(f"receipt-{self.asked}.json")
        self.file.write_bytes(receipt)
        return {"program": self._program(), "script": self._script(), "page": self._page()}

    def _program(self) -> str:
        words = ["receipt", "check", str(self.file), "--log-key", str(self.keys), "--json"]
        result = CliRunner().invoke(main, words, env={"TESTIGO_HOME": str(self.file.parent / "no archive")})
        checks = json.loads(result.stdout.splitlines()[-1])["checks"]
        if result.exit_code == 4:
            return REFUSED
        # Nobody has stamped the log of this small archive, so the whole is 3 even where the receipt is right.
        assert result.exit_code == 3, result.output
        return RIGHT if all(check["finding"] == "MATCHES" for check in checks) else OLDER

    def _script(self) -> str:
        words = [str(ROOT / "scripts" / "check-receipt"), str(self.file), "--key", str(self.keys)]
        found = subprocess.run(words, capture_output=True, check=False, timeout=60)
        assert not found.stderr, found.stderr
        if found.returncode == 4:
            return REFUSED
        assert found.returncode == 3, found.stdout
        return OLDER if b"an older form" in found.stdout else RIGHT

    def _page(self) -> str:
        self.page.evaluate("document.getElementById('verdict').className = ''")
        self.page.set_input_files("#receipt", self.file)
        expect(self.page.locator("#verdict.note")).to_be_visible()
        shown = self.page.locator("#verdict").get_attribute("class")
        return {"note note-ok": RIGHT, "note note-warn": OLDER, "note note-bad": REFUSED}[str(shown)]


@pytest.fixture
def checkers(served: Served, offline: Page, tmp_path: Path) -> Checkers:
    return Checkers(offline, tmp_path / "receipt.json", served.home / "store" / "log" / "verifier-keys")


def all_say(word: str) -> dict[str, str]:
    return {"program": word, "script": word, "page": word}


def refuses_each_change(checkers: Checkers, receipt: bytes, step: int = 1) -> set[str]:
    """Try every so manieth change, and each that must be among them."""
    assert checkers.say(receipt) == all_say(RIGHT)
    names = set()
    for number, (name, changed) in enumerate(changes_of(receipt)):
        names.add(name)
        if number % step == 0 or name in MUST_BE_AMONG:
            assert checkers.say(changed) == all_say(REFUSED), name
    assert names >= MUST_BE_AMONG
    return names


@pytest.mark.parametrize("step", often([5, 1], 5))
def test_an_observers_receipt_changed_in_any_way_is_refused_also_one_given_again(
    served: Served, checkers: Checkers, step: int
) -> None:
    browser = send(served, [("a.bin", content(20_000, 71))], use="court")
    first = browser.get("/receipt.json").body
    assert checkers.say(first) == all_say(RIGHT)
    drop = browser.get("/d/-").text
    body, kind = multipart([("csrf_token", token_in(drop))], [("more.bin", content(9000, 72))])
    assert browser.post("/d/-", body, kind).status == 303
    again = browser.get("/receipt.json").body
    assert len(json.loads(again)["items"]) == 2
    names = refuses_each_change(checkers, again, step)
    assert {"use.level", "use.audiences without 0", "signed (Ed25519)"} <= names
    assert checkers.say(first) == all_say(RIGHT), "the one given before stays right for what it lists"


@pytest.mark.long
def test_an_imports_receipt_changed_in_any_way_is_refused(served: Served, checkers: Checkers, tmp_path: Path) -> None:
    folder = tmp_path / "card"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.bin").write_bytes(content(5000, 80 + number))
    given = tmp_path / "given.json"
    made = run_here(served.home, "import", str(folder), "-i", served.archive.raid.number, "--receipt", str(given))
    assert made.returncode == 0, made.stderr
    names = refuses_each_change(checkers, given.read_bytes())
    assert "use" in names, "a use that nobody stated cannot be put in"


def test_a_receipt_of_an_older_form_is_told_apart(served: Served, checkers: Checkers) -> None:
    browser = send(served, [("a.bin", content(20_000, 91))])
    for version, older in older_forms(browser.get("/receipt.json").body):
        assert checkers.say(older) == all_say(OLDER), version
        text = checkers.page.locator("#verdict-text").inner_text()
        assert "only what this file says" in text
