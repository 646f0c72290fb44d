"""A server that finds no archive sets one up, once, for whoever has the address from its terminal."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from archive.age.recipients import KeyKind, generate_identity
from archive.age.recovery import combine, read_identity
from archive.age.stream import open_bytes
from tests.often import often
from tests.way_in import SETTINGS, command_line, environment, run_testigo
from tests.web.phone import PHONE, phone
from tests.web.served import Browser, Served, free_port, new_token
from tests.web.test_handing_over import token_in
from tests.web.test_pages_for_people import faults_of

PASSPHRASE = "correct horse battery staple again"


class FirstStart(Served):
    """A server in a folder where nothing is; `address` is what its terminal printed."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home, self.port = home, free_port()
        self.log = home.parent / "server.log"
        words = ("serve", "--listen", f"127.0.0.1:{self.port}", "--threads", "8", *options)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command_line(*words),
                env=environment(home, TESTIGO_TRACEBACK="1", PYTHONUNBUFFERED="1"),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.05)
        found = re.search(r"http://\S+(/setup/\S+)", self.log.read_text())
        assert found, self.log.read_text()
        self.address = found[1]

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)  # type: ignore[union-attr]  # it runs
        self.process.wait()  # type: ignore[union-attr]


@contextmanager
def first_start(home: Path, *options: str) -> Iterator[FirstStart]:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(SETTINGS + "[keys]\nscrypt_work_factor = 15\n")
    started = FirstStart(home, *options)
    try:
        yield started
    finally:
        started.stop()


def filled(started: FirstStart, **fields: str) -> tuple[Browser, str, int]:
    from urllib.parse import urlencode

    browser = Browser(started)
    page = browser.get(started.address)
    assert page.status == 200, page.text
    given = {"passphrase": PASSPHRASE, "again": PASSPHRASE, "split": "whole", "counsel": "", **fields}
    body = urlencode({"csrf_token": token_in(page.text), **given}).encode()
    answer = browser.post(started.address, body, "application/x-www-form-urlencoded")
    return browser, answer.text, answer.status


def keys_in(page: str) -> list[str]:
    """The texts of the key sections, each as lines."""
    sections = re.findall(r'<section class="card[^>]*>(.*?)</section>', page, re.DOTALL)
    return ["\n".join(map(unescape, re.findall(r'<p class="mono" dir="ltr">(.*?)</p>', each))) for each in sections]


def opens(home: Path, identity: object) -> bool:
    sealed = next(path for path in (home / "keys").glob("*.age"))
    return bool(open_bytes(sealed.read_bytes(), [identity]))  # type: ignore[list-item]  # an identity


def test_an_archive_is_set_up_by_a_page_and_its_door_is_open_at_once(tmp_path: Path) -> None:
    with first_start(tmp_path / "var") as started:
        for path in ("/", "/d", "/setup/", "/setup/" + new_token(), started.address[:-1]):
            other = started.ask("GET", path)
            assert other.status in (404, 503), path
            assert "default-src 'none'" in other.headers["Content-Security-Policy"]
            assert started.address not in other.text
        browser, page, status = filled(started)
        assert status == 200, page
        recovery, counsel = keys_in(page)
        assert opens(started.home, read_identity(recovery))
        assert read_identity(counsel)
        assert browser.get(started.address).status == 409, "the keys are shown once"
        body = f"csrf_token={token_in(page)}&kept=on".encode()
        following = browser.post(f"{started.address}/done", body, "application/x-www-form-urlencoded")
        assert following.status == 200, following.text
        assert "testigo incident new" in following.text
        assert browser.get(started.address).status == 404, "the address is good for nothing any more"
        assert started.ask("GET", "/d").status == 200
        made = run_testigo(started.home, "incident", "new", "--title", "Raid", "--json")
        assert made.returncode == 0, made.stderr
        told = run_testigo(started.home, "drop", "new", "-i", re.findall(r"I-\d+-\d+", made.stdout)[0], "--json")
        started.code = re.findall(r'"code": "(\w+)"', told.stdout)[0]
        where = started.create(1000, new_token()).headers["Location"]
        assert started.patch(where, 0, bytes(1000)).status == 204
        started.wait_for(where, "safe")
        log = started.log.read_text()
    assert "Traceback" not in log, log
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    unlocked = run_testigo(tmp_path / "var", "unlock", "--passphrase-file", str(tmp_path / "passphrase"))
    try:
        assert unlocked.returncode == 0, unlocked.stderr
        assert run_testigo(tmp_path / "var", "verify", "--full").returncode in (0, 3)
    finally:
        run_testigo(tmp_path / "var", "lock")
    secrets = [line.split(": ")[1].partition(" - ")[0] for line in recovery.splitlines()[1:]]
    held = b"".join(path.read_bytes() for path in (tmp_path / "var").rglob("*") if path.is_file())
    assert not [line for line in secrets if line.encode() in held or line.replace(" ", "").encode() in held]


def test_the_recovery_key_may_be_split_and_counsel_may_bring_a_recipient(tmp_path: Path) -> None:
    counsel = str(generate_identity(KeyKind.HYBRID).recipient)
    with first_start(tmp_path / "var") as started:
        _, page, status = filled(started, split="2of3", counsel=f" {counsel}\n")
        assert status == 200, page
        parts = keys_in(page)
        assert len(parts) == 3, "three parts, and no key of counsel's"
        assert opens(started.home, combine(parts[1:], KeyKind.HYBRID))


@pytest.mark.parametrize(
    ("fields", "words"),
    often(
        [
            ({"passphrase": "short", "again": "short"}, "Choose a longer passphrase"),
            ({"again": "another"}, "not the same"),
            ({"counsel": "age1nonsense"}, "no age recipient"),
            ({"split": "7of9"}, "Choose one of the ways"),
        ],
        ({"again": "another"}, "not the same"),
    ),
)
def test_what_cannot_be_taken_is_said_and_nothing_is_made(tmp_path: Path, fields: dict[str, str], words: str) -> None:
    with first_start(tmp_path / "var") as started:
        _, page, status = filled(started, **fields)
        assert status == 422
        assert words in page
        assert "Nothing was made yet." in page
        assert sorted(path.name for path in started.home.iterdir()) == ["config.toml"]
        assert filled(started)[2] == 200, "and then it is made"


def test_a_form_of_another_site_and_a_second_founder_are_refused(tmp_path: Path) -> None:
    with first_start(tmp_path / "var") as started:
        body = f"passphrase={PASSPHRASE}&again={PASSPHRASE}&split=whole&counsel=".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert started.ask("POST", started.address, headers, body).status == 409
        assert not (started.home / "catalogue.sqlite").exists()
        assert filled(started)[2] == 200
        assert started.ask("GET", started.address).status == 409


def test_a_set_up_is_not_offered_to_the_network_unless_told(tmp_path: Path) -> None:
    refused = run_testigo(tmp_path / "var", "serve", "--listen", "0.0.0.0:0")
    assert refused.returncode == 1
    assert "web/set-up-on-loopback" in refused.stderr
    assert not (tmp_path / "var").exists()


def test_an_archive_whose_catalogue_is_lost_is_not_set_up_anew(tmp_path: Path) -> None:
    (tmp_path / "var" / "store").mkdir(parents=True)
    refused = run_testigo(tmp_path / "var", "serve", "--listen", "127.0.0.1:0")
    assert refused.returncode == 2
    assert "testigo rebuild" in refused.stderr


def look(page: Page, shot: Path, *, scripts: bool) -> None:
    """Take a picture; where scripts run, have axe read the page, on a small phone."""
    page.screenshot(path=shot, full_page=True)
    if scripts:
        page.set_viewport_size({"width": 320, "height": 800})
        assert faults_of(page) == []
        page.set_viewport_size(PHONE)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_person_sets_an_archive_up_in_a_browser_in_spanish(tmp_path: Path, scripts: bool) -> None:
    with (
        first_start(tmp_path / "var") as started,
        sync_playwright() as playwright,
        phone(playwright, java_script_enabled=scripts, locale="es-US") as context,
    ):
        page = context.new_page()
        shots = Path(os.environ.get("TESTIGO_SHOTS", tmp_path))
        page.goto(f"http://127.0.0.1:{started.port}{started.address}")
        assert page.get_by_role("heading", level=1).inner_text() == "Configurar este archivo"
        look(page, shots / "setup-form.png", scripts=scripts)
        page.get_by_label("Elija una frase de contraseña").fill(PASSPHRASE)
        page.get_by_label("Otra vez la misma").fill("mistyped")
        page.get_by_role("button").click()
        assert "no son iguales" in page.get_by_role("alert").inner_text()
        page.get_by_label("Elija una frase de contraseña").fill(PASSPHRASE)
        page.get_by_label("Otra vez la misma").fill(PASSPHRASE)
        page.get_by_label("En tres partes").check()
        page.get_by_role("button").click()
        assert page.get_by_role("heading", level=1).inner_text() == "Llévese estas claves ahora"
        look(page, shots / "setup-keys.png", scripts=scripts)
        parts = [one.inner_text() for one in page.locator("section").all()]
        assert len(parts) == 4
        page.get_by_label("Las tengo en papel").check()
        page.get_by_role("button").click()
        assert page.get_by_role("heading", level=1).inner_text() == "La puerta está abierta"
        look(page, shots / "setup-next.png", scripts=scripts)
        page.get_by_role("link", name="como la ve un observador").click()
        expect(page.get_by_label(re.compile("código"))).to_be_visible()
