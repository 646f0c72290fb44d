"""Small things that people meet: what is left behind, what is guessed, what is asked for again."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from archive.jobs import JobKind, JobState
from cli import main
from tests.cli.conftest import at_a_terminal
from tests.way_in import ROOT, YEAR, WayIn, command_line, environment

Run = Callable[..., Result]


def test_a_set_up_that_fails_leaves_no_folder(run: Run, tmp_path: Path) -> None:
    new = tmp_path / "new"
    (tmp_path / "weak").write_text("weak\n")
    for file, code in ((tmp_path / "no such file", "cli/no-passphrase"), (tmp_path / "weak", "keys/weak-passphrase")):
        failed = run("init", "--print-recovery", "--passphrase-file", str(file), TESTIGO_HOME=str(new))
        assert failed.exit_code == 1
        assert code in failed.stderr
        assert not new.exists()
    new.mkdir()
    assert run("init", "--print-recovery", "--passphrase-file", str(tmp_path / "weak"), TESTIGO_HOME=str(new)).exit_code
    assert new.is_dir(), "a folder that was there before is left alone"


def test_what_is_no_evidence_is_refused_as_wrong_input_and_not_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root:x:0:0:root\n\nnobody\n")
    refused = run("verify", "--against", str(tmp_path / "secret"))
    assert refused.exit_code == 1
    assert "custody/not-evidence" in refused.stderr
    assert "root:x" not in refused.stderr + refused.stdout


def test_a_number_that_is_only_not_there_is_not_guessed_to_be_another(run: Run) -> None:
    absent = run("ls", "-i", f"I-{YEAR}-0100")
    assert absent.exit_code == 5
    assert "Did you mean" not in absent.stderr
    assert "`testigo incident ls`" in absent.stderr
    mistyped = run("ls", "-i", f"I{YEAR}-0001")
    assert f"Did you mean I-{YEAR}-0001?" in mistyped.stderr


def test_a_rebuilt_catalogue_asks_again_for_previews_and_comparisons(run: Run, home: Path, tmp_path: Path) -> None:
    with WayIn.existing(home) as archive:
        before = {(job.kind, job.subject) for job in archive.rooms.jobs.list() if job.kind is not JobKind.TIMESTAMP}
    assert {kind for kind, _ in before} == {JobKind.PREVIEW, JobKind.COMPARE}
    for path in home.glob("catalogue.sqlite*"):
        shutil.move(path, tmp_path / path.name)
    rebuilt = run("rebuild")
    assert rebuilt.exit_code == 0, rebuilt.stderr
    assert "for previews and comparisons will be done by `testigo worker`" in rebuilt.stdout
    with WayIn.existing(home) as archive:
        jobs = [job for job in archive.rooms.jobs.list() if job.kind is not JobKind.TIMESTAMP]
    assert {(job.kind, job.subject) for job in jobs} == before
    assert {job.state for job in jobs} == {JobState.NEW}


@pytest.mark.parametrize("json_asked", [False, True])
def test_the_verifier_says_to_whom_the_log_released_a_packet(
    run: Run, unlocked: WayIn, tmp_path: Path, json_asked: bool
) -> None:
    assert unlocked.rooms.agent.status() is not None
    packet = tmp_path / "packet"
    words = ("packet", "build", f"E-{YEAR}-00002", str(packet), "--to", "A. Ortiz", "--basis", "client file")
    assert run(*words).exit_code == 0
    for name in ("read-me-first.html", "bag-info.txt"):
        text = (packet / name).read_text(encoding="utf-8")
        (packet / name).write_text(text.replace("client file", "court order").replace("A. Ortiz", "FBI"))
    checked = run("packet", "check", str(packet), *(["--json"] if json_asked else []))
    if json_asked:
        told = json.loads(checked.stdout.splitlines()[-1])["release"]
        assert (told["recipient"], told["legal_basis"]) == ("A. Ortiz", "client file")
    else:
        assert "released to       A. Ortiz" in checked.stdout
        assert "on the basis of   client file" in checked.stdout
        assert "FBI" not in checked.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("words", [("ls",), ("ls", "--json"), ("--help",), ("completion", "bash")], ids=" ".join)
def test_output_that_cannot_be_written_is_told_as_that(home: Path, words: tuple[str, ...], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command_line(*words),
            env=environment(home, PYTHONUNBUFFERED=unbuffered),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("The output cannot be written to where it was sent (No space left on device).")
    assert done.stderr.endswith("(cli/output-lost, exit 1)\n")


def _in_bash(home: Path, line: str, **more: str) -> "subprocess.CompletedProcess[str]":
    known = environment(home, **more)
    return subprocess.run(["bash", "-c", line], env=known, capture_output=True, text=True, check=False)


def test_output_that_nobody_reads_any_more_is_no_trouble(home: Path) -> None:
    done = _in_bash(home, f"{{ sleep 1; {shlex.join(command_line('ls'))}; }} | true")
    assert (done.returncode, done.stderr) == (0, "")


def test_output_that_was_closed_before_is_told_and_shows_no_keys(home: Path, passphrase: Path, tmp_path: Path) -> None:
    done = _in_bash(home, f"{shlex.join(command_line('ls'))} >&-")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "(cli/output-lost, exit 1)")
    line = f"{shlex.join(command_line('init', '--print-recovery'))} >&-"
    done = _in_bash(tmp_path / "new", line, TESTIGO_PASSPHRASE_FILE=str(passphrase))
    assert (done.returncode, "cli/keys-not-shown" in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "new").exists()


def test_a_key_file_that_cannot_be_read_is_named_as_that(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.age").write_bytes(b"age-encryption.org/v1\n")
    refused = run("packet", "check", str(tmp_path / "s.age"), "--key-file", str(tmp_path / "nope"))
    assert refused.exit_code == 1
    assert "The key file cannot be read. Nothing was checked." in refused.stderr


def test_a_command_in_the_operations_page_has_every_option_that_it_needs() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    said = [
        *re.findall(r"`testigo ([^`]+ --?[a-z][^`]*)`", text),
        *re.findall(r"^testigo ([^#\n]+)", text, re.MULTILINE),
    ]
    assert any(words.startswith("names --counsel") for words in said)
    for words in set(said) - {"COMMAND --help"}:
        command: click.Command | None = main
        context, left = click.Context(main), shlex.split(words)
        while isinstance(command, click.Group) and left:
            command = command.get_command(context, left.pop(0))
        assert command is not None, words
        needed = [one for one in command.params if isinstance(one, click.Option) and one.required]
        given = {word.partition("=")[0] for word in left}
        lacking = [one.name for one in needed if not given & set(one.opts)]
        assert not lacking, f"testigo {words}: {lacking}"


def test_an_archive_without_any_authority_is_told_that_nobody_attests_its_times(run: Run) -> None:
    found = run("doctor").stdout
    assert "note  time-stamps" in found, found


def test_whoever_is_given_a_copy_of_the_office_key_never_gets_it_under_anothers_passphrase(run: Run) -> None:
    added = run("staff", "add", "ortiz", "--role", "attorney")
    name = added.stdout.split()[0]
    for line in (("keys", "grant", name), ("staff", "add", "rivera", "--role", "attorney", "--may-unlock")):
        refused = run(*line)
        assert (refused.exit_code, "cli/no-passphrase" in refused.stderr) == (1, True)
    assert run("staff", "ls").stdout.count("yes") == 1


def test_whoever_types_no_passphrase_is_told_that_nothing_was_changed(home: Path, tmp_path: Path) -> None:
    for line in (("unlock", "--home", str(home)), ("init", "--home", str(tmp_path / "new"))):
        shown, code = at_a_terminal(*line, keys={": ": b"\x04"})
        assert (code, "No passphrase was typed. Nothing was changed." in shown) == (1, True), shown


def test_parts_of_a_recovery_key_are_asked_for_one_by_one(run: Run, tmp_path: Path) -> None:
    made = run("init", "--home", str(tmp_path / "new"), "--print-recovery", "--split", "2of3")
    first, second = re.findall(r"(?s)# Testigo recovery key, share [12].*?\n\n", made.stdout)
    keys = {"part 1 of 2": first.encode() + b"\x04", "part 2 of 2": second.encode() + b"\x04"}
    shown, code = at_a_terminal("keys", "recovery", "-", "-", "--home", str(tmp_path / "new"), keys=keys)
    assert (code, "This is the recovery key of this archive." in shown) == (0, True), shown
