"""The archives that are measured: founded by the command line with every default, then used through the same rooms.

What is measured is the shipped code. One part alone is exchanged: `FirstBytes` stands in the workbench's place where a
figure says "without metadata", so that a file takes all seven steps, and steps 3 and 4 start no tool.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from cli import Asked, Rooms
from media.claims import read_claims
from media.identify import HEAD_OCTETS, identify
from media.metadata_reader import Extraction
from media.ranges import RangeSource, SeekableFile, as_ranges
from media.workbench import Examination

REPOSITORY = Path(__file__).resolve().parents[2]
TESTIGO = REPOSITORY / ".venv" / "bin" / "testigo"
SAMPLES = REPOSITORY / "demo" / "samples" / "DCIM" / "Camera"
PASSPHRASE = "a passphrase of many words for measuring only"  # noqa: S105 - opens nothing but what is measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """An archive with one incident and nothing in it."""

    home: Path
    incident: str

    def again(self) -> "Founded":
        """Give another, as fresh as the first was."""
        home = self.home.with_name(f"{self.home.name}-{time.monotonic_ns()}")
        shutil.copytree(self.home, home, symlinks=True)
        return Founded(home=home, incident=self.incident)

    def set_workers(self, count: int) -> None:
        """Say in its settings how many media tools may run at once."""
        with (self.home / "config.toml").open("a") as settings:
            settings.write(f"[media]\nworkers = {count}\n")

    def remove(self) -> None:
        shutil.rmtree(self.home)


def found(home: Path) -> Founded:
    """Run `testigo init` and `testigo incident new`: hybrid keys, key files for office and recovery, every default."""
    home.mkdir(parents=True, mode=0o700)
    passphrase = home.with_name(home.name + ".passphrase")
    passphrase.write_text(PASSPHRASE + "\n")
    environment = os.environ | {"TESTIGO_HOME": str(home), "TESTIGO_PASSPHRASE_FILE": str(passphrase)}
    _testigo(environment, "init", "--print-recovery")
    number = _testigo(environment, "incident", "new", "--title", "Measuring").strip()
    passphrase.unlink()
    return Founded(home=home, incident=number)


def open_rooms(home: Path) -> Rooms:
    """Give the command line's own rooms over an archive."""
    return Rooms(Asked(home=home, config=None, json=False, quiet=True, yes=True, dry_run=False, explain=False))


class FirstBytes:
    """Takes the workbench's place: tells a file's format from its first bytes, and extracts nothing."""

    at_once = os.cpu_count() or 1

    def examine(
        self, source: RangeSource | SeekableFile, head: bytes | None = None, *, untrusted_name: str = ""
    ) -> Examination:
        del untrusted_name  # Nothing is graded.
        ranges = as_ranges(source)
        head = ranges.read_range(0, min(HEAD_OCTETS, ranges.size)) if head is None else head
        return Examination(
            format=identify(head, ranges, ()),
            extraction=Extraction(tool="", version="", raw=b"", problem=None),
            streams=None,
            claims=read_claims(()),
            not_processed=(),
        )

    def make_ready(self) -> None:
        """There is nothing to start."""

    def close(self) -> None:
        """There is nothing to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What `subject.py` says of one import in a process of its own. Units: seconds, KiB.

    `wall` and `cpu` run from the import's first step to its last acknowledgement, `whole` from the start of Python to
    its end. The tools' own time is not in `cpu`.
    """

    wall: float
    cpu: float
    whole: float
    peak_kib: int
    stored: int


class Importing:
    """An import that runs in a process of its own; everything written before is on the disk when it starts."""

    def __init__(self, archive: Founded, source: Path, *, metadata: bool = False) -> None:
        os.sync()
        self._start = time.perf_counter()
        command = [sys.executable, str(Path(__file__).with_name("subject.py")), str(archive.home), archive.incident]
        command += [str(source), *(("--with-metadata",) if metadata else ())]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program

    def told(self) -> Told:
        told, _ = self._process.communicate()
        whole = time.perf_counter() - self._start
        if self._process.returncode:
            raise RuntimeError("an import that was measured failed; what it said stands above")
        return Told(whole=whole, **json.loads(told))


def _testigo(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program and fixed words
        [str(TESTIGO), *words], env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"`testigo {words[0]}` failed: {done.stderr}")
    return done.stdout
