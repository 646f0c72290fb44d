"""The command line in this process: quick, and with the real archive below it."""

import os
import pty
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Timer

import pytest
from click.testing import CliRunner, Result

from cli import main
from tests.archives import PASSPHRASE
from tests.way_in import AN_HOUR_AGO, SAMPLES, WayIn, arrival, command_line, environment

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def kept_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive at rest with one photo, a note and a note's companion. Copied, never changed."""
    home = tmp_path_factory.mktemp("kept") / "archive"
    with WayIn(home, now=AN_HOUR_AGO) as archive:
        archive.take_in(
            [
                arrival(
                    "IMG_5195.HEIC",
                    SAMPLES / "DCIM" / "Camera" / "IMG_5195.HEIC",
                    claims={"file_modified": "2021-04-11T20:48:00.000000000Z", "who": "\x1b[31mAna"},
                ),
                arrival("note.txt", b"a note\n"),
                arrival("note.xmp", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", main=1),
            ]
        )
    return home


@pytest.fixture
def home(kept_home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept_home, tmp_path / "archive"))


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    return path


@pytest.fixture
def run(home: Path, passphrase: Path) -> Run:
    """Return a function that runs a command against a copy of the kept archive."""

    def run(*words: str, **environment: str) -> Result:
        known = {"TESTIGO_HOME": str(home), "TESTIGO_PASSPHRASE_FILE": str(passphrase), "NO_COLOR": "1"}
        result = CliRunner().invoke(main, list(words), env=known | environment, prog_name="testigo")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def unlocked(home: Path) -> Iterator[WayIn]:
    """The same archive, unlocked."""
    with WayIn.existing(home) as archive, archive.unlocked():
        yield archive


def at_a_terminal(*words: str, keys: dict[str, bytes]) -> tuple[str, int]:
    """Run a command on a terminal of its own and type `keys` where their prompts appear."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command_line(*words), env=environment(Path("unused")), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        patience = Timer(60, process.kill)  # A prompt that never comes.
        patience.start()
        shown, waiting = b"", dict(keys)
        with suppress(OSError):  # How Linux says that the other side of a terminal is closed.
            while piece := os.read(ours, 4096):
                shown += piece
                for prompt in [each for each in waiting if each.encode() in shown]:
                    os.write(ours, waiting.pop(prompt))
        patience.cancel()
    os.close(ours)
    return shown.decode(), process.returncode
