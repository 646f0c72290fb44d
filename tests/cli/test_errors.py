"""What goes wrong ends in words that say what happened, what is kept and what to do, and in its own exit code."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from itertools import product
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from archive import errors
from archive.access import Action, Condition, condition
from archive.catalogue.accounts import list_staff
from archive.types import Role
from cli import EXIT_CODES
from commands.door import common
from custody.drafts import Draft
from custody.entries import EventKind
from tests.crash import syscall_sweep
from tests.often import often
from tests.way_in import SAMPLES, SETTINGS, YEAR, WayIn, command_line, environment, run_testigo

CARD = str(SAMPLES / "Documents")
Run = Callable[..., Result]


def test_every_class_of_error_has_an_exit_code_and_no_two_share_one() -> None:
    assert set(EXIT_CODES) == set(errors.TestigoError.__subclasses__())
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)


def test_a_wrong_passphrase_ends_with_12_and_stands_in_the_log(run: Run, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("not the right passphrase")
    result = run("unlock", "--passphrase-file", str(tmp_path / "wrong"))
    assert result.exit_code == 12
    assert "The passphrase does not fit. Nothing was opened." in result.stderr
    assert "refusal" in run("log", "--closed", "--last", "1").stdout


def test_a_locked_archive_ends_with_12_and_says_how_to_unlock(run: Run) -> None:
    for words in (["show", f"E-{YEAR}-00001"], ["log"], ["item", "key", f"E-{YEAR}-00001", "--reason", "r"]):
        result = run(*words)
        assert result.exit_code == 12
        assert "testigo unlock" in result.stderr


def test_a_full_disk_ends_with_9_and_the_line_that_goes_on(home: Path) -> None:
    source = SAMPLES / "DCIM"

    def allow_small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    words = command_line("import", str(source), "-i", f"I-{YEAR}-0001")
    done = subprocess.run(
        words,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=allow_small_files_only,  # noqa: PLW1509 - no thread runs here
    )
    assert done.returncode == 9, done.stderr
    assert "The disk of the archive is full." in done.stderr
    assert f"To go on: testigo import {source} --resume imp-{YEAR}-0001" in done.stderr


@pytest.fixture
def disk_without_room(home: Path, tmp_path: Path) -> Iterator[Path]:
    """The archive's folder on a disk of which not one block is free."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    try:
        shutil.copytree(home, disk / "archive")
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(1 << 12)):
                pass
        yield disk / "archive"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.root
def test_a_disk_without_a_free_block_is_called_full_by_a_command_that_writes(disk_without_room: Path, run: Run) -> None:
    result = run("incident", "new", "--title", "t", TESTIGO_HOME=str(disk_without_room))
    assert result.exit_code == 9
    assert "The disk is full. What was acknowledged before is kept; nothing of this step was recorded" in result.stderr


@pytest.mark.parametrize("trouble", ["settings", "catalogue", "clock"])
def test_locking_is_done_and_said_before_anything_else_can_fail(unlocked: WayIn, trouble: str) -> None:
    match trouble:
        case "settings":
            (unlocked.home / "config.toml").write_text("[ingest]\ngroup_file = 3\n")
        case "catalogue":
            (unlocked.home / "catalogue.sqlite").rename(unlocked.home / "elsewhere")
        case "clock":
            if shutil.which("faketime") is None:
                pytest.skip("faketime is not here")
    before = ["faketime", "-f", "-2h"] if trouble == "clock" else []
    words = [*before, *command_line("lock")]
    done = subprocess.run(words, env=environment(unlocked.home), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "Locked.\n"), done.stderr
    assert "It is locked, but that could not be entered in the log." in done.stderr
    assert unlocked.rooms.agent.status() is None


def test_room_that_is_lacking_is_told_by_a_dry_run_with_9(home: Path, run: Run) -> None:
    reserve = (shutil.disk_usage(home).total >> 20) + 1
    (home / "config.toml").write_text(SETTINGS.replace("reserve_mib = 16", f"reserve_mib = {reserve}"))
    result = run("import", CARD, "-i", f"I-{YEAR}-0001", "--dry-run")
    assert result.exit_code == 9
    assert "There is not enough room" in result.stdout


def test_a_missing_tool_ends_with_2_and_names_the_package(run: Run) -> None:
    result = run("import", CARD, "-i", f"I-{YEAR}-0001", PATH="/nowhere")
    assert result.exit_code == 2
    assert "exiftool is not installed" in result.stderr
    assert "apt install" in result.stderr
    assert run("doctor", PATH="/nowhere").exit_code == 2


_WITHOUT_ROOTS_PRIVILEGE = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)
"""Root without the right to read what its mode forbids; the system user, and so the account, stays the same."""


def _import_of_a_card(home: Path, card: Path, *before: str) -> subprocess.CompletedProcess[str]:
    line = [*before, *command_line("import", str(card), "-i", f"I-{YEAR}-0001")]
    return subprocess.run(line, env=environment(home), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("how", ["forbidden", "input/output error"])
def test_an_unreadable_card_ends_with_1(home: Path, tmp_path: Path, how: str) -> None:
    card = tmp_path / "card"
    card.mkdir()
    (card / "photo.jpg").write_bytes(b"never read")
    match how:
        case "forbidden":
            card.chmod(0o000)
            before: tuple[str, ...] = _WITHOUT_ROOTS_PRIVILEGE if os.geteuid() == 0 else ()
        case _:
            if reason := syscall_sweep.unavailable():
                pytest.skip(reason)
            fault = ("-P", str(card), "-e", "inject=getdents64:error=EIO")
            before = ("strace", "-f", "-qq", "-o", "/dev/null", *fault)
    done = _import_of_a_card(home, card, *before)
    assert done.returncode == 1, done.stderr
    assert "The source cannot be read. Nothing was imported." in done.stderr
    assert "batch/source-unreadable" in done.stderr


def test_a_file_that_may_not_be_read_is_refused_by_name_with_3(home: Path, tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    (card / "one.txt").write_bytes(b"one")
    (card / "two.txt").write_bytes(b"two")
    (card / "two.txt").chmod(0o000)
    done = _import_of_a_card(home, card, *(_WITHOUT_ROOTS_PRIVILEGE if os.geteuid() == 0 else ()))
    assert done.returncode == 3, done.stderr
    assert "refused        two.txt: The file or folder could not be read." in done.stdout
    assert "2 seen = 1 stored + 0 linked + 1 refused" in done.stdout


def test_a_card_that_is_not_in_ends_with_1(run: Run) -> None:
    result = run("import", "/media/no-such-card", "-i", f"I-{YEAR}-0001")
    assert result.exit_code == 1
    assert "Check that the card is in" in result.stderr


def test_a_card_of_which_a_part_cannot_be_read_ends_with_3_and_names_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "good.txt").write_text("good")
    os.mkfifo(tmp_path / "card" / "pipe")
    result = run("import", str(tmp_path / "card"), "-i", f"I-{YEAR}-0001")
    assert result.exit_code == 3
    assert "refused        pipe: A device, pipe or socket is not a file" in result.stdout
    assert "2 seen = 1 stored + 0 linked + 1 refused" in result.stdout


def test_a_clock_that_ran_back_ends_with_2_and_nothing_is_recorded(home: Path, run: Run) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not here")
    entries = len(run("log", "--closed").stdout.splitlines())
    words = ["faketime", "-f", "-2h", *command_line("incident", "new", "--title", "too early")]
    done = subprocess.run(words, env=environment(home), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "clock stands before the last signed checkpoint" in done.stderr
    assert len(run("log", "--closed").stdout.splitlines()) == entries


@pytest.mark.parametrize("words", [["ls"], ["doctor"], ["unlock"], ["import", CARD, "-i", f"I-{YEAR}-0001"]])
def test_a_misspelt_settings_key_stops_every_command_with_2_and_the_right_spelling(
    home: Path, run: Run, words: list[str]
) -> None:
    (home / "config.toml").write_text("[ingest]\ngroup_file = 3\n")
    result = run(*words)
    assert result.exit_code == 2
    assert "unknown key in [ingest]: group_file. Did you mean group_files?" in result.stderr
    assert f"file: {home / 'config.toml'}" in result.stderr


def test_no_archive_ends_with_10_and_two_ways_out(run: Run, tmp_path: Path) -> None:
    result = run("ls", "--home", str(tmp_path / "nothing"))
    assert result.exit_code == 10
    assert "testigo init" in result.stderr
    assert "--home" in result.stderr


def test_no_such_incident_ends_with_5_and_the_nearest_one(run: Run) -> None:
    result = run("import", CARD, "-i", f"I-{YEAR}-001")
    assert result.exit_code == 5
    assert f"Did you mean I-{YEAR}-0001?" in result.stderr


def _change_my_account(home: Path, **changes: object) -> None:
    with WayIn.existing(home) as archive, archive.rooms.ledger.transaction() as transaction:
        (mine,) = list_staff(transaction.session)
        record = replace(mine, **changes).to_log()  # type: ignore[arg-type] # fields of an account
        values = (("purpose", "account changed"), ("record", record))
        transaction.record(Draft(event=EventKind.METADATA_MODIFICATION, actor=archive.actor, values=values))


def test_what_a_role_may_not_do_ends_with_6_and_says_who_may(home: Path, run: Run) -> None:
    _change_my_account(home, role=Role.OBSERVER)
    for words in (["ls"], ["show", f"E-{YEAR}-00001"], ["unlock"], ["hold", "ls"], ["log"], ["worker", "--once"]):
        result = run(*words)
        assert result.exit_code == 6, words
        assert "Your role (observer) does not allow this" in result.stderr
        assert "Ask a coordinator" in result.stderr


DOORS = {
    Action.LIST_RECORDS: ("ls",),
    Action.LIST_INCIDENTS: ("incident", "ls"),
    Action.JUDGE_REPORT: ("incident", "confirm", f"I-{YEAR}-9999"),
    Action.LIST_DROP_LINKS: ("drop", "ls"),
    Action.GIVE_DROP_LINK: ("drop", "new", "-i", f"I-{YEAR}-9999"),
    Action.OPEN_RECORD: ("show", f"E-{YEAR}-99999"),
    Action.READ_LOG: ("log", f"E-{YEAR}-99999"),
    Action.RELEASE_KEY: ("item", "key", f"E-{YEAR}-99999", "--reason", "r"),
    Action.DESTROY: ("item", "destroy", f"E-{YEAR}-99999", "--reason", "r", "--yes"),
    Action.LIFT_HOLD: ("hold", "lift", f"H-{YEAR}-9999", "--reason", "r"),
    Action.PLACE_HOLD: ("hold", "add", f"E-{YEAR}-00001", "--title", "t", "--trigger", "subpoena"),
    Action.CREATE_INCIDENT: ("incident", "new", "--title", "t"),
    Action.RECEIVE: ("import", "/no/such/card", "-i", f"I-{YEAR}-0001"),
    Action.UNLOCK: ("unlock", "--passphrase-file", "/dev/null"),
    Action.RUN_JOBS: ("worker", "--once"),
    Action.BACK_UP: ("backup", "/dev/null"),
    Action.ADMIT_STAFF: ("staff", "add", "a:b", "--role", "auditor"),
    Action.ROTATE_KEYS: ("keys", "rotate", "--passphrase-file", "/dev/null"),
    Action.READ_EXPOSURE: ("exposure",),
    Action.DESCRIBE: ("clock-offset", f"E-{YEAR}-99999", "--seconds", "1", "--method", "m"),
    Action.AUDIT: ("verify", "--keyless"),
    Action.BUILD_PACKET: ("packet", "build", f"E-{YEAR}-99999", "--to", "x", "--basis", "y", "/no/such/packet"),
}


@pytest.mark.parametrize("role", list(Role))
def test_every_command_asks_the_table_of_roles_before_it_looks(home: Path, run: Run, role: Role) -> None:
    _change_my_account(home, role=role)
    refused = {action for action, words in DOORS.items() if run(*words).exit_code == 6}
    assert refused == {action for action in DOORS if condition(role, action) is Condition.NEVER}


@pytest.mark.parametrize("role", list(Role))
def test_who_may_rotate_may_do_it_with_the_recovery_key_and_nobody_else(home: Path, run: Run, role: Role) -> None:
    _change_my_account(home, role=role)
    refused = run("keys", "rotate", "--recovery", "/dev/null").exit_code == 6
    assert refused == (condition(role, Action.ROTATE_KEYS) is Condition.NEVER)


def test_someone_without_an_account_is_told_so_with_6(home: Path, run: Run) -> None:
    _change_my_account(home, account_mac=None)
    result = run("ls")
    assert result.exit_code == 6
    assert "has no account in this archive" in result.stderr


@pytest.mark.parametrize("folder", ["keys", "store"])
def test_a_folder_whose_disk_is_not_mounted_ends_with_9_and_is_not_begun_anew(
    home: Path, run: Run, folder: str
) -> None:
    (home / folder).rename(home / "elsewhere")
    for words in (["incident", "new", "--title", "t"], ["import", CARD, "-i", f"I-{YEAR}-0001"]):
        result = run(*words)
        assert result.exit_code == 9
        assert "See that its disk is mounted" in result.stderr
        assert not (home / folder).exists()
    (home / "elsewhere").rename(home / folder)
    assert run("incident", "new", "--title", "t").exit_code == 0


@pytest.mark.parametrize("words", [("ls",), ("verify",), ("init", "--print-recovery"), ("rebuild",), ("doctor",)])
def test_a_file_where_the_home_should_be_is_called_a_file(tmp_path: Path, run: Run, words: tuple[str, ...]) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = run(*words, "--home", tmp_path / "file")
    assert (result.exit_code, "names is a file" in result.stderr) == (2, True), result.output


@pytest.mark.parametrize("signing_keys", [None, b"", b"junk", b"\xff\xfe"])
def test_without_its_signing_keys_nothing_is_entered(home: Path, run: Run, signing_keys: bytes | None) -> None:
    path = home / "secrets" / "log-signing-keys"
    path.unlink()
    if signing_keys is not None:
        path.write_bytes(signing_keys)
    for words in (["incident", "new", "--title", "t"], ["import", CARD, "-i", f"I-{YEAR}-0001"]):
        assert run(*words).exit_code in (2, 4)
    with closing(sqlite3.connect(home / "catalogue.sqlite")) as catalogue:
        assert catalogue.execute("SELECT COUNT(*) FROM incident").fetchone() == (1,)
        assert catalogue.execute("SELECT COUNT(*) FROM import").fetchone() == (0,)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _noise(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _without_a_guard(path: Path) -> None:
    with closing(sqlite3.connect(path)) as catalogue:
        catalogue.execute("DROP TRIGGER entry_refuses_update")


def _of_the_future(path: Path) -> None:
    with closing(sqlite3.connect(path)) as catalogue, catalogue:
        catalogue.execute("UPDATE alembic_version SET version_num = '9999'")


@pytest.mark.parametrize(
    ("damage", "status", "word"),
    [
        (_empty, 2, "testigo rebuild"),
        (_noise, 4, "testigo rebuild"),
        (_cut, 4, "testigo rebuild"),
        (_without_a_guard, 4, "guards"),
        (_of_the_future, 2, "newer Testigo"),
        (Path.unlink, 2, "testigo rebuild"),
    ],
)
def test_a_damaged_catalogue_is_told_and_never_written_to(
    home: Path, run: Run, damage: Callable[[Path], None], status: int, word: str
) -> None:
    damage(home / "catalogue.sqlite")
    for words in (["ls"], ["import", CARD, "-i", f"I-{YEAR}-0001"], ["incident", "new", "--title", "t"]):
        result = run(*words)
        assert result.exit_code == status
        assert word in result.stderr


def test_init_refuses_to_stand_on_what_is_there(home: Path, run: Run) -> None:
    assert run("init", "--print-recovery").exit_code == 8
    (home / "catalogue.sqlite").unlink()
    result = run("init", "--print-recovery")
    assert result.exit_code == 2
    assert "testigo rebuild" in result.stderr


def test_the_recovery_key_is_not_printed_where_nobody_reads_it(run: Run, tmp_path: Path) -> None:
    result = run("init", "--home", str(tmp_path / "new"))
    assert result.exit_code == 1
    assert "AGE-SECRET-KEY" not in result.output
    assert not (tmp_path / "new" / "catalogue.sqlite").exists()


@pytest.mark.parametrize(
    ("how", "words"),
    often(
        list(product(["full disk", "closed pipe"], [(), ("--split", "2of3"), ("--json",)])),
        ("full disk", ()),
        ("closed pipe", ("--json",)),
    ),
)
def test_where_the_keys_cannot_be_shown_no_archive_is_set_up(
    tmp_path: Path, passphrase: Path, how: str, words: tuple[str, ...]
) -> None:
    new = tmp_path / "new"
    if how == "full disk":
        out = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, out = os.pipe()
        os.close(reading)
    try:
        result = subprocess.run(
            command_line("init", "--print-recovery", "--passphrase-file", str(passphrase), *words),
            env=environment(new), stdout=out, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(out)
    assert result.returncode == 1
    assert "Nothing was made" in result.stderr and "Traceback" not in result.stderr, result.stderr
    assert not new.exists()
    again = run_testigo(new, "init", "--print-recovery", "--passphrase-file", str(passphrase), *words)
    assert again.returncode == 0, again.stderr
    assert "SECRET" in again.stdout or "part" in again.stdout.lower(), "with --json, too, somebody gets the keys"


HOSTILE = ("", "-1", "../../no/such", f"E-{YEAR}-99999", "' OR 1=1 --", "%s%n", "\x1b]0;x\x07", "x" * 5000, "\udcff")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_end_in_words_everywhere(run: Run, text: str) -> None:
    lines = [
        ["show", text],
        ["log", text],
        ["ls", "-i", text],
        ["item", "key", text, "--reason", "r"],
        ["item", "destroy", text, "--reason", "r", "--yes"],
        ["hold", "add", text, "--title", "t", "--trigger", "subpoena"],
        ["hold", "lift", text, "--reason", "r"],
        ["staff", "close", text],
        ["staff", "add", text, "--role", text],
        ["keys", "grant", text],
        ["keys", "recovery", text],
        ["import", text, "-i", f"I-{YEAR}-0001", "-n"],
        ["import", CARD, "-i", text],
        ["import", CARD, "--resume", text],
        ["import", CARD, "-i", f"I-{YEAR}-0001", "-n", "--manifest", text],
        ["incident", text],
        ["unlock", "--minutes", text],
        ["completion", text],
        ["log", "--last", text],
        [text],
    ]
    for words in lines:
        result = run(*words)
        assert result.exit_code in (1, 2, 5), (words, result.output)
        assert result.stderr.strip(), words
        assert "cli/unforeseen" not in result.stderr, words
        assert "\x1b" not in result.output


def test_an_empty_path_is_not_taken_for_this_folder(run: Run) -> None:
    for words in (["backup", ""], ["import", "", "-i", f"I-{YEAR}-0001"], ["ls", "--home", ""]):
        result = run(*words)
        assert result.exit_code == 2
        assert "an empty path was given" in result.stderr


def test_a_mistake_of_the_program_itself_ends_in_words_too() -> None:
    @click.command("broken")
    @common
    def broken(_rooms: object) -> int:
        raise ZeroDivisionError("secret detail")

    result = CliRunner().invoke(broken, [])
    assert result.exit_code == 1
    assert "cli/unforeseen" in result.stderr
    assert "TESTIGO_TRACEBACK=1" in result.stderr
    assert "secret detail" not in result.output


def test_errors_are_json_where_json_is_asked_for(run: Run) -> None:
    result = run("show", f"E-{YEAR}-99999", "--json")
    assert json.loads(result.stdout) == {
        "message_type": "error",
        "ok": False,
        "code": "archive/no-such-item",
        "error": "There is no such item here, or you may not see it. `testigo ls` lists the items.",
        "exit": 5,
    }


def test_a_second_coordinator_is_needed_to_destroy_and_to_lift(run: Run) -> None:
    assert run("hold", "add", f"E-{YEAR}-00001", "--title", "Doe v. Noem", "--trigger", "filed_case").exit_code == 0
    held = run("item", "destroy", f"E-{YEAR}-00001", "--reason", "asked", "--yes")
    assert held.exit_code == 6
    assert "on legal hold" in held.stderr
    first = run("hold", "lift", f"H-{YEAR}-0001", "--reason", "dismissed")
    assert first.exit_code == 6
    assert "Nothing was done yet" in first.stdout
    assert run("hold", "lift", f"H-{YEAR}-0001", "--reason", "dismissed").exit_code == 6
    assert "active" in run("hold", "ls").stdout


def test_an_account_is_closed_only_with_the_right_passphrase_and_never_by_its_own_person(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "theirs").write_text("another long passphrase")
    (tmp_path / "wrong").write_text("not the right passphrase")
    theirs = str(tmp_path / "theirs")
    added = run("staff", "add", "ortiz", "--role", "coordinator", "--may-unlock", "--their-passphrase-file", theirs)
    assert added.exit_code == 0, added.output
    before = run("staff", "ls").stdout
    name = added.stdout.split()[0]
    wrong = run("staff", "close", name, "--passphrase-file", str(tmp_path / "wrong"))
    assert (wrong.exit_code, run("staff", "ls").stdout) == (12, before)
    (own,) = {line.split()[0] for line in before.splitlines()[1:]} - {name}
    refused = run("staff", "close", own)
    assert (refused.exit_code, run("staff", "ls").stdout) == (8, before)
    assert "access/own-account" in refused.stderr
    assert run("staff", "close", name).exit_code == 0


def test_a_lost_catalogue_is_told_from_no_archive(home: Path, run: Run, tmp_path: Path) -> None:
    assert run("ls", TESTIGO_HOME=str(tmp_path / "nothing")).exit_code == 10
    (home / "catalogue.sqlite").rename(tmp_path / "kept")
    lost = run("ls")
    assert (lost.exit_code, "Run `testigo rebuild`" in lost.stderr) == (2, True)
    assert not (home / "catalogue.sqlite").exists()
