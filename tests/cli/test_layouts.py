"""An archive whose store and key files lie elsewhere than in its home is an archive like any other.

It is set up, read, copied, checked, lost and rebuilt by the same commands.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import main
from tests.archives import CONFIG, PASSPHRASE
from tests.export.packet_archive import authority_settings
from tests.often import often
from tests.running_authority import StartAuthority
from tests.way_in import SETTINGS, YEAR, command_line, environment
from tests.web.served import free_port

pytest_plugins = ("tests.authority_fixture",)

LAYOUTS = {
    "default": ("store", "keys"),
    "other names": ("objects-and-log", "key-files"),
    "relative elsewhere": ("../disk/store", "../testigo-keys"),
    "absolute": ("{place}/disk/store", "{place}/other-disk/keys"),
}
ITEM = f"E-{YEAR}-00001"
INCIDENT = f"I-{YEAR}-0001"


class Laid:
    """A home with settings that name places, and the command line over it."""

    def __init__(self, place: Path, store: str, keys: str, more: str = "") -> None:
        self.place, self.home = place, place / "home"
        self.home.mkdir()
        self.named = [each.format(place=place) for each in (store, keys)]
        lines = "".join(f'{part} = "{named}"\n' for part, named in zip(("store", "keys"), self.named, strict=True))
        (self.home / "config.toml").write_text(CONFIG.replace("[archive]\n", f"[archive]\n{lines}") + SETTINGS + more)
        (place / "passphrase").write_text(PASSPHRASE)
        (place / "note.txt").write_text("what was seen\n")
        self.store, self.keys = (Path(os.path.normpath(self.home / each)) for each in self.named)

    def __call__(self, *words: object, rc: int | None = 0) -> Result:
        known = {"TESTIGO_HOME": str(self.home), "TESTIGO_PASSPHRASE_FILE": str(self.place / "passphrase")}
        result = CliRunner().invoke(main, [str(word) for word in words], env=known, prog_name="testigo")
        assert rc is None or result.exit_code == rc, f"{words}: {result.output}"
        assert "unforeseen" not in result.output, result.output
        return result

    def set_up(self) -> None:
        self("init", "--print-recovery")

    def take_in(self) -> None:
        self("incident", "new", "--title", "Raid")
        self("import", self.place / "note.txt", "-i", INCIDENT)

    def lose_the_catalogue(self) -> None:
        for path in self.home.glob("catalogue.sqlite*"):
            path.unlink()


@pytest.fixture(params=often(LAYOUTS, "relative elsewhere"))
def laid(request: pytest.FixtureRequest, tmp_path: Path) -> Laid:
    return Laid(tmp_path, *LAYOUTS[request.param])


@pytest.fixture
def elsewhere(tmp_path: Path) -> Laid:
    return Laid(tmp_path, *LAYOUTS["absolute"])


def test_an_archive_is_set_up_read_and_handed_over_wherever_its_parts_lie(laid: Laid) -> None:
    laid.set_up()
    assert (laid.store / "log" / "checkpoint").is_file()
    assert list((laid.keys / "staff").glob("*.age"))
    assert not list(laid.place.rglob("*init-partial*"))
    folders = (laid.home, laid.store, laid.keys)
    assert {folder.stat().st_mode & 0o077 for folder in folders} == {0}
    laid.take_in()
    assert "1 item has its bytes and its key" in laid("verify").stdout
    laid("unlock")
    try:
        assert "1 item matches" in laid("verify", "--full").stdout
        assert ITEM in laid("show", ITEM).stdout
        laid("packet", "build", "-i", INCIDENT, "--to", "A. Ortiz", "--basis", "file", laid.place / "packet")
    finally:
        laid("lock")
    assert "MATCHES" in laid("packet", "check", laid.place / "packet", rc=3).stdout


def test_a_copy_is_checked_and_restored_by_itself_wherever_the_archive_lies(laid: Laid) -> None:
    laid.set_up()
    laid.take_in()
    copy, keys = laid.place / "copies" / "copy", laid.place / "copies" / "keys"
    laid("backup", copy, "--keys-to", keys)
    for folder in (laid.home, laid.store, laid.keys):  # What is checked must be the copy: the archive is gone.
        if folder.exists():
            shutil.move(folder, laid.place / "gone" / folder.name)
    checked = laid("verify", "--keyless", "--home", copy, rc=3).stdout
    assert "1 item has its bytes" in checked and "DOES NOT MATCH" not in checked
    (sealed, *_) = (copy / "store" / "objects").rglob("*.age")
    octets = sealed.read_bytes()
    sealed.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
    laid("verify", "--keyless", "--home", copy, rc=4)
    sealed.unlink()
    laid("verify", "--keyless", "--home", copy, rc=4)
    sealed.write_bytes(octets)
    shutil.copytree(keys, copy / "keys")
    laid("verify", "--home", copy)
    laid("unlock", "--home", copy)
    try:
        assert "1 item matches" in laid("verify", "--full", "--home", copy).stdout
    finally:
        laid("lock", "--home", copy)
    assert not any(folder.exists() for folder in (laid.store, laid.keys))


def test_damage_to_the_copys_store_is_seen_while_the_archive_is_whole(elsewhere: Laid) -> None:
    elsewhere.set_up()
    elsewhere.take_in()
    elsewhere("backup", elsewhere.place / "copy")
    elsewhere("verify", "--keyless", "--home", elsewhere.place / "copy", rc=3)
    shutil.rmtree(elsewhere.place / "copy" / "store" / "objects")
    elsewhere("verify", "--keyless", "--home", elsewhere.place / "copy", rc=4)
    elsewhere("verify")


def test_a_lost_catalogue_is_told_and_made_anew_wherever_the_rest_lies(laid: Laid) -> None:
    laid.set_up()
    laid.take_in()
    listed = laid("ls").stdout
    laid.lose_the_catalogue()
    for words in (("ls",), ("init", "--print-recovery"), ("serve", "--listen", "127.0.0.1:0")):
        assert "Run `testigo rebuild`" in laid(*words, rc=2).stderr
    laid("rebuild")
    assert laid("ls").stdout == listed
    laid("verify")


@pytest.mark.parametrize("part", ["store", "keys"])
def test_a_disk_that_is_not_mounted_is_told_by_a_rebuild_and_nothing_is_begun_on_it(elsewhere: Laid, part: str) -> None:
    elsewhere.set_up()
    elsewhere.lose_the_catalogue()
    place = {"store": elsewhere.store, "keys": elsewhere.keys}[part]
    place.rename(place.with_name("away"))
    assert "See that its disk is mounted" in elsewhere("rebuild", rc=9).stderr
    assert not place.exists()
    elsewhere("init", "--print-recovery", rc=2)


def test_empty_folders_that_wait_for_an_archive_are_taken(elsewhere: Laid) -> None:
    for folder in (elsewhere.store / "lost+found", elsewhere.keys):
        folder.mkdir(parents=True)
    (elsewhere.keys / ".init-partial-0").mkdir()  # Of a set-up that was killed: no process has that number.
    elsewhere.set_up()
    elsewhere("verify")
    assert (elsewhere.store / "lost+found").is_dir()
    assert not list(elsewhere.place.rglob("*init-partial*"))


@pytest.mark.parametrize("part", ["store", "keys"])
def test_a_folder_that_holds_other_things_is_not_taken_and_stays_as_it_is(elsewhere: Laid, part: str) -> None:
    place = {"store": elsewhere.store, "keys": elsewhere.keys}[part]
    place.mkdir(parents=True)
    (place / "thesis.odt").write_text("four years of work")
    before = sorted(elsewhere.place.rglob("*"))
    assert "archive/place-taken" in elsewhere("init", "--print-recovery", rc=8).stderr
    assert sorted(elsewhere.place.rglob("*")) == before


def test_a_set_up_that_fails_leaves_nothing_anywhere(elsewhere: Laid) -> None:
    before = sorted(elsewhere.place.rglob("*"))
    (elsewhere.place / "passphrase").write_text("weak")
    elsewhere("init", "--print-recovery", rc=1)
    assert sorted(elsewhere.place.rglob("*")) == before


@pytest.mark.parametrize(("store", "keys"), [("store", "../home/store/keys"), ("store", "{place}/home/store/keys")])
def test_keys_inside_the_store_are_refused_before_anything_is_made(tmp_path: Path, store: str, keys: str) -> None:
    laid = Laid(tmp_path, store, keys)
    assert "config/keys-inside-store" in laid("init", "--print-recovery", rc=2).stderr
    assert [path.name for path in laid.home.iterdir()] == ["config.toml"]


def test_a_settings_file_given_at_set_up_holds_for_every_later_command(tmp_path: Path) -> None:
    laid = Laid(tmp_path, *LAYOUTS["relative elsewhere"])
    (tmp_path / "etc").mkdir()
    (laid.home / "config.toml").rename(tmp_path / "etc" / "testigo.toml")
    laid("init", "--print-recovery", "--config", tmp_path / "etc" / "testigo.toml")
    assert (laid.store / "log").is_dir()
    laid.take_in()
    laid("verify")


def test_a_given_settings_file_that_the_homes_own_contradicts_is_refused(tmp_path: Path) -> None:
    laid = Laid(tmp_path, *LAYOUTS["default"])
    other = tmp_path / "other.toml"
    other.write_text((laid.home / "config.toml").read_text().replace('"store"', '"../disk"'))
    assert "archive/two-settings" in laid("init", "--print-recovery", "--config", other, rc=8).stderr
    assert [path.name for path in laid.home.iterdir()] == ["config.toml"]


# ── what the settings name ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_copy_holds_the_roots_that_the_settings_name_and_is_checked_by_them(
    tmp_path: Path, start_authority: StartAuthority
) -> None:
    one = start_authority("one")
    named = authority_settings(one).replace(str(one.root), "authorities/one-root.pem")
    laid = Laid(tmp_path, *LAYOUTS["default"], named)
    (laid.home / "authorities").mkdir()
    shutil.copy(one.root, laid.home / "authorities" / "one-root.pem")
    laid.set_up()
    laid.take_in()
    laid("worker", "--once")
    laid("backup", tmp_path / "copy")
    laid("worker", "--once")
    shutil.move(laid.home, tmp_path / "gone")
    checked = laid("verify", "--keyless", "--home", tmp_path / "copy", rc=3).stdout
    assert "time-stamp stands over its checkpoint" in checked or "time-stamps stand over their checkpoints" in checked
    assert "authority" not in "".join(line for line in checked.splitlines() if "CANNOT TELL" in line)


def test_an_authority_that_cannot_be_loaded_is_one_thing_that_cannot_be_told_and_ends_no_check(
    tmp_path: Path, start_authority: StartAuthority
) -> None:
    one, two = start_authority("one"), start_authority("two")
    laid = Laid(tmp_path, *LAYOUTS["default"], authority_settings(one, two))
    laid.set_up()
    laid("worker", "--once")
    laid.take_in()
    laid("worker", "--once")
    laid("verify")
    one.root.rename(tmp_path / "root-of-one")
    found = [json.loads(line) for line in laid("verify", "--json", rc=3).stdout.splitlines()]
    untold = [each for each in found if each.get("finding") == "CANNOT TELL" and each.get("code")]
    assert [(each["code"], each["subject"]) for each in untold] == [
        ("custody/bad-authority", "time-stamp authority one")
    ]
    laid("incident", "new", "--title", "Another")
    asked = one.requests, two.requests
    assert "testigo doctor" in laid("worker", "--once", rc=3).stdout
    assert (one.requests, two.requests) == (asked[0], asked[1] + 1)
    doctor = laid("doctor", rc=2).stdout
    assert "FAIL  authority one" in doctor and "good  authority two" in doctor
    assert "is not in the copy" in laid("backup", tmp_path / "copy").stderr
    laid("verify", "--keyless", "--home", tmp_path / "copy", rc=3)
    (tmp_path / "root-of-one").rename(one.root)
    laid("worker", "--once", "--now")
    assert one.requests > asked[0]
    laid("verify")


# ── what leaves ──────────────────────────────────────────────────────────────────────────────────────────────────────

OUTPUTS: dict[str, Sequence[str]] = {
    "clean": ("clean", ITEM, "--audience", "press", "-o"),
    "clean a file": ("clean", "--file", "{place}/note.txt", "--audience", "press", "-o"),
    "preview": ("preview", ITEM, "--kind", "text", "-o"),
    "checkpoint show": ("checkpoint", "show", "-o"),
    "checkpoint prove": ("checkpoint", "prove", "--since", "{place}/checkpoint", "-o"),
    "receipt": ("import", "{place}/note.txt", "-i", INCIDENT, "--receipt"),
    "certificate": ("item", "destroy", ITEM, "--reason", "r", "--yes", "--certificate"),
    "card of a new link": ("drop", "new", "-i", INCIDENT, "--card"),
    "card": ("drop", "card", "ABCDEF"),
    "packet": ("packet", "build", ITEM, "--to", "A", "--basis", "b", "--yes"),
    "backup": ("backup",),
    "keys of a backup": ("backup", "{place}/copy", "--keys-to"),
}


def test_nothing_is_written_out_into_the_archives_own_folders_by_any_command(elsewhere: Laid) -> None:
    elsewhere.set_up()
    elsewhere.take_in()
    elsewhere("checkpoint", "show", "-o", elsewhere.place / "checkpoint")
    elsewhere("unlock")
    try:
        for name, words in OUTPUTS.items():
            for folder in (elsewhere.home, elsewhere.home / "secrets", elsewhere.store, elsewhere.keys):
                before = sorted(path for path in folder.rglob("*") if "log" not in path.parts)
                said = [word.format(place=elsewhere.place) for word in words]
                refused = elsewhere(*said, folder / "out", rc=1)
                assert "/inside-archive" in refused.stderr, (name, refused.output)
                assert not (folder / "out").exists(), name
                assert sorted(path for path in folder.rglob("*") if "log" not in path.parts) == before, name
    finally:
        elsewhere("lock")


def test_every_option_that_names_a_file_to_be_written_is_among_them() -> None:
    import click

    written = {"output", "card", "certificate", "receipt_file", "destination", "keys_to"}
    found = set()
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        inner = command.commands if isinstance(command, click.Group) else {"": command}
        for sub, each in inner.items():
            assert each is not None
            names = {param.name for param in each.params if isinstance(param.type, click.Path)}
            found |= {(f"{name} {sub}".strip(), option) for option in names & written}
            assert not {option for option in names if option and option.startswith("to_")}
    assert len(found) == len(OUTPUTS) - 1  # `clean` stands there twice, of an item and of a file.


def test_a_checkpoint_never_replaces_a_file_that_the_settings_rest_on(elsewhere: Laid) -> None:
    elsewhere.set_up()
    given = elsewhere.place / "given.toml"
    shutil.copy(elsewhere.home / "config.toml", given)
    before = given.read_bytes()
    refused = elsewhere("checkpoint", "show", "--config", given, "-o", given, rc=1)
    assert "export/over-settings" in refused.stderr
    assert given.read_bytes() == before


def test_a_backup_is_never_made_around_the_archives_own_store(tmp_path: Path) -> None:
    laid = Laid(tmp_path, "{place}/disk/store", "keys")
    laid.set_up()
    assert "backup/inside-archive" in laid("backup", tmp_path / "disk", rc=1).stderr
    assert not (tmp_path / "disk" / "catalogue.sqlite").exists()


# ── a first start ────────────────────────────────────────────────────────────────────────────────────────────────────


def _serves(laid: Laid, wanted: Callable[[str], bool]) -> str:
    """Start the server; return what it says once that is what was wanted."""
    log = laid.place / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command_line("serve", "--listen", f"127.0.0.1:{free_port()}", "--threads", "4"),
            env=environment(laid.home, PYTHONUNBUFFERED="1"),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        for _ in range(200):
            if wanted(log.read_text()):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        return log.read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_server_offers_to_set_up_where_nothing_is_and_serves_where_an_archive_is(laid: Laid) -> None:
    assert "/setup/" in _serves(laid, lambda said: "/setup/" in said)
    laid.set_up()
    said = _serves(laid, lambda said: "Serving on" in said)
    assert "/setup/" not in said


def test_a_set_up_leaves_in_the_home_only_what_belongs_there(elsewhere: Laid) -> None:
    elsewhere.set_up()
    assert sorted(path.name for path in elsewhere.home.iterdir()) == [
        "catalogue.sqlite",
        "config.toml",
        "run",
        "secrets",
    ]
