"""What the commands say: help with an example first, records as pages, progress, completion, and JSON beside it."""

import json
import os
import pty
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from cli import main
from commands.summaries import SUMMARIES
from commands.talk import fold, octets, tail
from tests.way_in import SAMPLES, YEAR, WayIn, command_line, environment

Run = Callable[..., Result]


def _commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        yield (name,), command
        if isinstance(command, click.Group):
            yield from (((name, inner), found) for inner, found in command.commands.items())


ALL = dict(_commands())


@pytest.mark.parametrize("words", [(), *ALL], ids=" ".join)
def test_help_begins_with_an_example_and_ends_with_0(run: Run, words: tuple[str, ...]) -> None:
    for option in ("--help", "-h"):
        result = run(*words, option)
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: testigo")
        assert result.stdout.index("Example:") < result.stdout.index("Options:")
        assert "testigo " + " ".join(words) in result.stdout.partition("Example:")[2].partition("Options:")[0]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_option_explains_itself(words: tuple[str, ...]) -> None:
    silent = [option.name for option in ALL[words].params if isinstance(option, click.Option) and not option.help]
    assert not silent


def test_every_command_has_a_line_in_the_list(run: Run) -> None:
    shown = run("--help").stdout
    assert all(f"  {name} " in shown and summary in shown for name, summary in SUMMARIES.items())
    assert "130 interrupted" in " ".join(shown.split())


def test_a_misspelt_command_is_answered_with_the_right_one(run: Run) -> None:
    result = run("incdent", "ls")
    assert result.exit_code == 2
    assert "Did you mean 'incident'?" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell_and_bash_takes_it(run: Run, shell: str) -> None:
    printed = run("completion", shell).stdout
    assert "_TESTIGO_COMPLETE" in printed
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=printed, text=True, check=True)


def test_completion_knows_the_commands(home: Path) -> None:
    asked = environment(home, _TESTIGO_COMPLETE="bash_complete", COMP_WORDS="testigo imp", COMP_CWORD="1")
    program = [str(Path(command_line()[0]).with_name("testigo"))]
    done = subprocess.run(program, env=asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,import"], done.stderr


def test_a_record_is_a_page_with_its_claims_one_a_line(run: Run, unlocked: WayIn) -> None:
    shown = run("show", f"E-{YEAR}-00001").stdout
    lines = shown.splitlines()
    assert lines[0] == f"E-{YEAR}-00001  IMG_5195.HEIC"
    assert "  what           original, photo: High Efficiency Image, HEVC (image/heic, fmt/1101)" in lines
    assert "                 first computed at receipt; nothing is proved before it" in lines
    assert any(
        re.match(r"  when +2021-04-11 20:47:53 UTC \(offset -05:00\)  \[ExifIFD:DateTimeOriginal", x) for x in lines
    )
    assert any(re.match(r"  where +39\.0513, -94\.2887  \[GPS:GPSLatitude\+GPSLongitude\]", x) for x in lines)
    assert any(re.match(r"  made with +make Apple  \[IFD0:Make\]", x) for x in lines)
    assert "  modified       2021-04-11 20:48:00 UTC, as the source's file system has it" in lines
    assert "  who            \\x1b[31mAna" in lines
    assert re.search(r"^ +1  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC +\d+ +ingestion ", shown, re.MULTILINE)
    assert max(map(len, lines)) <= 100
    assert unlocked.rooms.ledger.size() > 0


def test_each_opening_stands_in_the_items_own_log(run: Run, unlocked: WayIn) -> None:
    before = run("show", f"E-{YEAR}-00002", "--json")
    after = json.loads(run("show", f"E-{YEAR}-00002", "--json", "--reason", "for the hearing").stdout)
    told = json.loads(before.stdout)
    assert len(after["entries"]) == len(told["entries"]) + 1
    assert after["entries"][-1]["event"] == "access"
    assert {"name": "purpose", "value": "for the hearing"} in after["entries"][-1]["values"]
    assert "for the hearing" in run("log", f"E-{YEAR}-00002").stdout
    assert unlocked.rooms.agent.status() is not None


def test_a_companion_says_what_it_belongs_to(run: Run, unlocked: WayIn) -> None:
    assert f"  belongs to     E-{YEAR}-00002\n" in run("show", f"E-{YEAR}-00003").stdout
    assert unlocked.rooms.agent.status() is not None


def test_the_whole_metadata_is_there_on_request(run: Run, unlocked: WayIn) -> None:
    told = json.loads(run("show", f"E-{YEAR}-00001", "--metadata").stdout)
    tags = told["metadata"]["json"][0]
    assert any(name.endswith(":GPSLatitude") for name in tags)
    assert any(name.startswith("MakerNotes:Apple") for name in tags)
    assert unlocked.rooms.agent.status() is not None


def test_ls_says_what_is_there_and_json_says_the_same(run: Run) -> None:
    table = run("ls", "-i", f"I-{YEAR}-0001").stdout.splitlines()
    documents = [json.loads(line) for line in run("ls", "--json").stdout.splitlines()]
    assert table[0].split() == ["item", "incident", "kind", "size", "received", "(UTC)"]
    assert [line.split()[:3] for line in table[1:]] == [[d["item"], d["incident"], d["kind"]] for d in documents]
    assert [d["kind"] for d in documents] == ["photo", "document", "other"]


def test_an_incident_lists_what_it_brought_again_from_another(run: Run, tmp_path: Path) -> None:
    (tmp_path / "again.txt").write_text("a note\n")
    other = run("incident", "new", "--title", "other").stdout.strip()
    assert run("import", str(tmp_path / "again.txt"), "-i", other).exit_code == 0
    (line,) = run("ls", "-i", other).stdout.splitlines()[1:]
    assert line.split()[:2] == [f"E-{YEAR}-00002", f"I-{YEAR}-0001"]
    assert line.endswith("received here too")


def test_an_import_says_in_json_lines_what_became_of_each_file(run: Run, tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    (card / "new.txt").write_text("new")
    (card / "note.txt").write_text("a note\n")
    (card / "link").symlink_to("new.txt")
    result = run("import", str(card), "-i", f"I-{YEAR}-0001", "--json")
    assert result.exit_code == 3
    told = [json.loads(line) for line in result.stdout.splitlines()]
    outcomes = {each["path"]: each["outcome"] for each in told if each["message_type"] == "file"}
    assert outcomes == {"new.txt": "stored", "note.txt": "linked", "link": "refused"}
    assert told[-1] == {
        "message_type": "summary",
        "ok": False,
        "import": f"imp-{YEAR}-0001",
        "seen": 3,
        "stored": 1,
        "linked": 1,
        "refused": 1,
        "claims_without_file": [],
        "list_was_here": True,
        "exit": 3,
    }


def test_a_receipt_of_an_import_checks_out(run: Run, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    result = run("import", str(SAMPLES / "Documents"), "-i", f"I-{YEAR}-0001", "--receipt", str(receipt))
    assert result.exit_code == 0
    assert len(json.loads(receipt.read_text())["items"]) == 2
    checked = run("receipt", "check", str(receipt))
    assert "MATCHES" in checked.stdout
    assert "DOES NOT" not in checked.stdout


def test_explain_names_the_entries_and_writes_none(run: Run) -> None:
    entries = run("log", "--closed").stdout
    shown = run("import", str(SAMPLES / "Documents"), "-i", f"I-{YEAR}-0001", "--explain").stdout
    assert "Entries it would write:" in shown
    assert "2 ingestion, one for each new file" in shown
    assert run("log", "--closed").stdout == entries


def test_a_bar_shows_progress_on_a_terminal_without_colours_where_they_are_not_wanted(
    home: Path, tmp_path: Path
) -> None:
    card = tmp_path / "card"
    card.mkdir()
    (card / "[bold]x[").write_bytes(os.urandom(3 << 20))
    shown = _on_a_terminal(
        command_line("import", str(card), "-i", f"I-{YEAR}-0001"),
        environment(home, TERM="xterm-256color", NO_COLOR="1"),
    )
    assert "[bold]x[" in shown
    assert "100%" in shown
    assert "3.0/3.0 MiB" in shown
    assert "1 seen = 1 stored" in shown
    assert not re.search(r"\x1b\[[\d;]*[34]\d[\d;]*m", shown)


def _on_a_terminal(line: list[str], asked: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(line, env=asked, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # How Linux says that the other side of a terminal is closed.
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


def test_setting_up_hands_out_keys_that_open_the_archive(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "new"
    result = run("init", "--home", str(home), "--print-recovery", "--role", "attorney")
    assert result.exit_code == 0, result.output
    assert home.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in home.iterdir()) == ["catalogue.sqlite", "keys", "run", "secrets", "store"]
    key = tmp_path / "recovery.txt"
    key.write_text(result.stdout.partition("RECOVERY KEY")[2].partition("---\n")[2].partition("\n\n")[0])
    recovered = run("keys", "recovery", str(key), "--home", str(home))
    assert "recovery key of this archive" in recovered.stdout, recovered.output
    assert run("incident", "new", "--title", "first", "--home", str(home)).stdout == f"I-{YEAR}-0001\n"


def test_a_split_recovery_key_opens_the_archive_with_enough_parts(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "new"
    result = run("init", "--home", str(home), "--print-recovery", "--split", "2of3")
    assert result.exit_code == 0, result.output
    shown = result.stdout.partition("COUNSEL")[0]
    parts = re.split(r"(?m)^(?=.*(?:[Pp]art|[Ss]hare) \d of 3)", shown)[1:]
    assert len(parts) == 3, shown
    files = []
    for number, part in enumerate(parts):
        files.append(tmp_path / f"part-{number}.txt")
        files[-1].write_text(part.partition("\n--- ")[0])
    assert run("keys", "recovery", str(files[0]), "--home", str(home)).exit_code != 0
    enough = run("keys", "recovery", str(files[0]), str(files[2]), "--home", str(home))
    assert enough.exit_code == 0, enough.output


def test_what_a_copy_has_ahead_of_its_catalogue_is_kept_from_every_sweep(
    run: Run, home: Path, tmp_path: Path, passphrase: Path
) -> None:
    copy, keys = tmp_path / "disk-a", tmp_path / "disk-b"
    assert run("backup", str(copy), "--keys-to", str(keys)).exit_code == 0
    before = set((home / "store").rglob("*.age")) | set((home / "keys").glob("*.age"))
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "late.txt").write_text("came in while the copy was made")
    incident = run("ls", "--json").stdout
    number = json.loads(incident.splitlines()[0])["incident"]
    assert run("import", str(tmp_path / "card"), "-i", number).exit_code == 0
    shutil.copytree(keys, copy / "keys")
    ahead = []
    for path in sorted(
        (set((home / "store" / "objects").rglob("*.age")) | set((home / "keys").glob("*.age"))) - before
    ):
        ahead.append(copy / path.relative_to(home))
        ahead[-1].parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, ahead[-1])
    assert len(ahead) >= 2, "an object and its key, as a backup copies them that began before the commit"
    at = ("--home", str(copy))
    assert run("unlock", "--passphrase-file", str(passphrase), *at).exit_code == 0
    try:
        verified = run("verify", "--full", *at)
        assert verified.exit_code == 3 and "brought back from a backup" in " ".join(verified.stdout.split())
        assert "--sweep" not in verified.stdout
        run("verify", "--sweep", "--yes", *at)
        assert all(path.is_file() for path in ahead)
        (copy / "this-is-a-copy.txt").unlink()
        assert "testigo verify --sweep" in run("verify", *at).stdout, "as it is of a crash"
    finally:
        run("lock", *at)


def test_a_backup_restored_is_the_archive_again(run: Run, home: Path, tmp_path: Path) -> None:
    copy, keys = tmp_path / "disk-a" / "copy", tmp_path / "disk-b" / "keys"
    made = run("backup", str(copy), "--keys-to", str(keys))
    assert made.exit_code == 0, made.output
    assert run("ls", "--home", str(copy)).stdout == run("ls").stdout
    assert run("incident", "new", "--title", "t", "--home", str(copy)).exit_code == 9  # Its keys are elsewhere.
    shutil.copytree(keys, copy / "keys")
    assert run("verify", "--home", str(copy)).exit_code == run("verify").exit_code
    assert run("incident", "new", "--title", "t", "--home", str(copy)).exit_code == 0
    assert not (home / "copy").exists()


def test_words_are_folded_cut_and_counted_by_columns() -> None:
    assert fold("one two three", 7) == ["one two", "three"]
    assert fold("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert fold("", 10) == [""]
    assert fold("한국어 한국어", 6) == ["한국어", "한국어"]
    assert tail("DCIM/100GOPRO/GX010112.MP4", 15) == "…O/GX010112.MP4"
    assert tail("short", 15) == "short"
    assert [octets(n) for n in (0, 1023, 1024, 38_762_000_000)] == ["0 B", "1023 B", "1.0 KiB", "36.1 GiB"]


@pytest.mark.usefixtures("unlocked")
def test_show_says_how_it_was_received_and_what_it_gives_away(run: Run) -> None:
    shown = run("show", f"E-{YEAR}-00001").stdout
    assert "received as    edited (signs point to it)" in shown
    assert "was cropped or replaced" in " ".join(shown.split())
    assert "What this file gives away, if it is handed on as it is" in shown
    assert "with which device it was made: Apple iPhone 11 Pro Max" in " ".join(shown.split())
    document = json.loads(run("show", f"E-{YEAR}-00001", "--json").stdout)
    assert document["assessment"]["received_as"]["grade"] == "edited"
    assert {said["id"] for said in document["assessment"]["gives_away"]} >= {"risk/place", "risk/device", "risk/time"}


@pytest.mark.usefixtures("unlocked")
def test_a_clock_offset_is_shown_beside_the_claim_and_changes_nothing(run: Run) -> None:
    number = f"E-{YEAR}-00001"
    said = run("clock-offset", number, "--seconds", "3600", "--method", "filmed a GPS clock with it")
    assert said.exit_code == 0
    assert said.stdout == f"Recorded for {number}: the device's clock ran 3,600 s ahead.\n"
    shown = " ".join(run("show", number).stdout.split())
    assert "clock offset the device's clock ran 3,600 s ahead of the true time; found by: filmed a GPS clock" in shown
    assert "corrected: 2021-04-11 19:47:53 UTC" in shown
    assert "2021-04-11 20:47:53 UTC" in shown


@pytest.mark.parametrize(
    ("seconds", "method", "ends", "says"),
    [("5", "  ", 2, "an empty text"), ("99999999999", "m", 1, "custody/bad-offset")],
)
def test_an_offset_without_a_method_or_out_of_reach_is_refused(
    run: Run, seconds: str, method: str, ends: int, says: str
) -> None:
    said = run("clock-offset", f"E-{YEAR}-00001", "--seconds", seconds, "--method", method)
    assert said.exit_code == ends
    assert says in said.stderr


@pytest.mark.usefixtures("unlocked")
def test_what_was_told_of_incidents_and_holds_can_be_read_again(run: Run) -> None:
    told = ["--title", "Raid at the laundry", "--place", "6th and Alvarado", "--started", "2026-11-21 05:40"]
    number = run("incident", "new", *told).stdout.strip()
    assert run("hold", "add", number, "--title", "Doe v. Noem", "--trigger", "filed_case").exit_code == 0
    lines = run("incident", "ls", "--titles", "--json").stdout.splitlines()
    (incident,) = [each for each in map(json.loads, lines) if each["incident"] == number]
    assert [incident[name] for name in ("title", "place", "started_claim")] == told[1::2]
    holds = [json.loads(line) for line in run("hold", "ls", "--titles", "--json").stdout.splitlines()]
    assert [(each["on"], each["title"], each["trigger"]) for each in holds] == [(number, "Doe v. Noem", "filed_case")]
    assert "Doe v. Noem" in run("hold", "ls", "--titles").stdout and "Doe" not in run("hold", "ls").stdout
    assert all(text in run("incident", "ls", "--titles").stdout for text in told[1::2])
