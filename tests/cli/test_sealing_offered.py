"""A packet in clear is somebody's choice: on a terminal sealing is offered first, and nothing is for nobody."""

import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from archive.age.recipients import KeyKind, generate_identity
from archive.age.seekable import SeekableReader
from export.packaging import FileRange
from tests.way_in import YEAR, WayIn, command_line, environment

Run = Callable[..., Result]
ITEM = f"E-{YEAR}-00002"


def at_a_terminal(home: Path, typed: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program with a terminal as its standard input, on which somebody types."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed.encode())
        return subprocess.run(
            command_line(*words),
            env=environment(home),
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            start_new_session=True,
        )
    finally:
        os.close(ours)
        os.close(theirs)


def build(place: Path, *more: str) -> tuple[str, ...]:
    return ("packet", "build", ITEM, str(place), "--to", "A. Ortiz", "--basis", "client file", *more)


def numbers_used(archive: WayIn) -> int:
    return archive.rows("packet")


def test_on_a_terminal_sealing_is_offered_and_who_chooses_nothing_gets_nothing(unlocked: WayIn, tmp_path: Path) -> None:
    for typed in ("\n", "y\n", "r\n\n"):
        done = at_a_terminal(unlocked.home, typed, *build(tmp_path / "packet"))
        assert done.returncode == 1, done.stderr
        assert "IN CLEAR" in done.stderr
        assert "seal it to the receiver's age recipient (best)" in done.stderr
        assert "export/not-chosen" in done.stderr
    assert not (tmp_path / "packet").exists()
    assert numbers_used(unlocked) == 0


def test_on_a_terminal_a_recipient_that_is_typed_seals_the_packet(unlocked: WayIn, tmp_path: Path) -> None:
    identity = generate_identity(KeyKind.X25519)
    done = at_a_terminal(unlocked.home, f"r\n{identity.recipient}\n", *build(tmp_path / "packet.age"))
    assert done.returncode == 0, done.stderr
    assert "was written IN CLEAR" not in done.stderr
    with (tmp_path / "packet.age").open("rb") as file:
        assert SeekableReader(FileRange(file), identities=[identity]).read(8)


def test_on_a_terminal_whoever_wants_it_in_clear_says_so_and_is_warned(unlocked: WayIn, tmp_path: Path) -> None:
    done = at_a_terminal(unlocked.home, "c\n", *build(tmp_path / "packet"))
    assert done.returncode == 0, done.stderr
    assert "was written IN CLEAR" in done.stderr
    assert (tmp_path / "packet" / "verify.py").is_file()


def test_a_script_is_asked_nothing_and_warned(run: Run, unlocked: WayIn, tmp_path: Path) -> None:
    result = run(*build(tmp_path / "one"))
    assert result.exit_code == 0, result.stderr
    assert "was written IN CLEAR" in result.stderr
    done = at_a_terminal(unlocked.home, "", *build(tmp_path / "two", "--yes"))
    assert done.returncode == 0, done.stderr
    assert "was written IN CLEAR" in done.stderr
    assert "Anything else stops here" not in result.stderr + done.stderr


@pytest.mark.parametrize("blank", ["", "  ", "\t", "\u200b", "\u00a0"])
def test_nothing_is_for_nobody_on_no_basis_or_without_a_name(run: Run, tmp_path: Path, blank: str) -> None:
    for words in (
        ("packet", "build", ITEM, str(tmp_path / "p"), "--to", blank, "--basis", "client file", "-n"),
        ("packet", "build", ITEM, str(tmp_path / "p"), "--to", "A. Ortiz", "--basis", blank, "-n"),
        ("hold", "add", ITEM, "--title", blank, "--trigger", "filed_case"),
        ("incident", "new", "--title", blank),
        ("item", "destroy", ITEM, "--reason", blank, "--yes"),
    ):
        result = run(*words)
        assert result.exit_code == 2, words
        assert "an empty text was given" in result.stderr, result.stderr
