"""What tests of the way in share: an archive whose media tools run, arrivals, and reading back beside the program."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from typing import Any, BinaryIO, Self
from uuid import UUID

from click.testing import CliRunner

from archive.age.recipients import KeyIdentity, KeyKind, generate_identity, parse_identity
from archive.age.seekable import SeekableReader
from archive.age.stream import open_bytes
from archive.catalogue.accounts import organisation
from archive.catalogue.incidents import incidents_by_id
from archive.catalogue.items import objects_of
from archive.catalogue.records import Incident, Item
from archive.types import StaffId
from cli import main
from commands.account import os_user
from custody.accounts import actor_of
from custody.founding import Founded
from custody.register import OpenedEntry
from ingest.reception import Arrival, Reception, Result
from tests.archives import PASSPHRASE, START, MovableClock, SmallArchive

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "demo" / "samples"

AN_HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)
"""For archives that other processes go on with: their clock must not find itself before the last checkpoint."""

YEAR = AN_HOUR_AGO.year
"""The year in the numbers that such archives give."""

SETTINGS = """
[media]
confinement = "rlimits-only"
[ingest]
reserve_mib = 16
"""
"""Where namespaces are closed the tools run under limits alone; where they are open this setting changes nothing."""


class WayIn(SmallArchive):
    """A small archive with the real tools, one incident, and eyes of its own."""

    def __init__(
        self, home: Path, *, settings: str = SETTINGS, archive_settings: str = "", now: datetime = START
    ) -> None:
        super().__init__(home, settings=settings, now=now)
        if archive_settings:
            config = home / "config.toml"
            config.write_text(config.read_text().replace("[archive]", f"[archive]\n{archive_settings}"))
            self.reopen()
        self.raid: Incident = self.incident()
        self._office = self.rooms.key_files.open_copy(StaffId(self.actor.staff_id), PASSPHRASE)

    @classmethod
    def existing(cls, home: Path) -> Self:
        """Open an archive that was founded before."""
        archive = cls.__new__(cls)
        archive.home, archive.clock = home, MovableClock(datetime.now(UTC))
        archive.rooms = archive.open_rooms()
        archive.actor = actor_of(archive.rooms.database, os_user())
        with archive.rooms.database.reading() as session:
            archive.raid = next(iter(incidents_by_id(session).values()))
            ours = organisation(session)
        archive.founded = Founded(
            organisation=ours, founder=archive.actor, recovery=generate_identity(KeyKind.X25519), counsel=None
        )
        archive._office = archive.rooms.key_files.open_copy(StaffId(archive.actor.staff_id), PASSPHRASE)
        return archive

    @property
    def reception(self) -> Reception:
        return Reception(
            actor=self.actor, organisation=self.founded.organisation, incident=self.raid, method="handed in"
        )

    def take_in(self, arrivals: Sequence[Arrival]) -> list[Result]:
        return self.rooms.intake.receive(self.reception, arrivals)

    def key_of(self, owner_id: UUID) -> KeyIdentity:
        """Open an owner's key file beside the program, with the office identity."""
        sealed = self.rooms.key_files.read_sealed(owner_id)
        return parse_identity(open_bytes(sealed, [self._office]).decode().rstrip("\n"))

    def stored(self, item_id: UUID, purpose: str = "original") -> bytes:
        """Open one object of an item beside the program."""
        with self.rooms.database.reading() as session:
            blake3 = objects_of(session, item_id)[purpose].blake3.hex()
        name = f"objects/{blake3[:2]}/{blake3[2:4]}/{blake3}.age"
        with (
            self.rooms.store.open_range(name) as source,
            SeekableReader(source, identities=[self.key_of(item_id)]) as opened,
        ):
            return opened.read()

    def log_of(self, item: Item | UUID) -> list[OpenedEntry]:
        item_id = item if isinstance(item, UUID) else item.id
        keys = {each: self.key_of(each) for each in (item_id, self.founded.organisation.id)}
        return self.rooms.register.open(self.rooms.register.seqs_of(item_id), keys)

    def last_entries(self, count: int) -> list[OpenedEntry]:
        """Open what the newest entries say in general."""
        size = self.rooms.ledger.size()
        keys = {self.founded.organisation.id: self.key_of(self.founded.organisation.id)}
        return self.rooms.register.open(list(range(size - count, size)), keys)

    def rows(self, table: str) -> int:
        with self.rooms.database.reading() as session:
            from sqlalchemy import text

            return int(session.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar() or 0)  # noqa: S608 - ours

    def staged(self) -> list[Path]:
        """Find what lies half sealed in staging."""
        return [path for path in (self.home / "store" / ".staging").rglob("*") if path.is_file()]

    def objects(self) -> list[str]:
        return list(self.rooms.store.list("objects/"))


def arrival(name: str, source: bytes | Path | Callable[[], BinaryIO], **more: object) -> Arrival:
    """Make an arrival of octets, of a file, or of whatever opens as a stream."""

    def opener() -> BinaryIO:
        if isinstance(source, Path):
            return source.open("rb")
        return BytesIO(source) if isinstance(source, bytes) else source()

    path = more.pop("path", f"handed/{name}")
    return Arrival(open=opener, untrusted_name=name, untrusted_path=str(path), **more)  # type: ignore[arg-type] # ours


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree_of(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Take down every file below a folder: its digest, its mode and the time it was written."""
    return {
        str(path.relative_to(folder)): (sha256_of(path), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


class Watcher:
    """Looks, again and again, through every file of some folders for octets that must not be there.

    Of the folders that everyone may write to, only what is new there since the start is looked at.
    """

    SHARED = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))

    def __init__(self, folders: Sequence[Path], markers: Sequence[bytes]) -> None:
        self.found: set[tuple[str, bytes]] = set()
        self.rounds = 0
        self._folders = folders
        self._before = {path for folder in self.SHARED if folder.is_dir() for path in folder.iterdir()}
        self._markers = markers
        self._stop = Event()

    @contextmanager
    def watching(self) -> Iterator["Watcher"]:
        thread = Thread(target=self._watch)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def look(self) -> None:
        new = {path for folder in self.SHARED if folder.is_dir() for path in folder.iterdir()} - self._before
        for path, octets in _files_of([*self._folders, *new]):
            self.found |= {(path, marker) for marker in self._markers if marker in octets}

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.look()
            self.rounds += 1


def _files_of(places: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Give each file's octets, with its name before them; what vanishes meanwhile is let go."""
    for place in places:
        for path in [place, *_below(place)]:
            try:
                if path.is_file() and not path.is_symlink() and path.stat().st_size <= 256 << 20:
                    yield str(path), bytes(path) + b"\n" + path.read_bytes()
            except OSError:
                continue


def run_testigo(home: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the program as a technician does, in a process of its own."""
    return subprocess.run(
        command_line(*words), env=environment(home), capture_output=True, text=True, check=False, **options
    )


def run_here(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: there are many, and their start is mostly not what is looked at."""
    done = CliRunner().invoke(main, list(words), env={"TESTIGO_HOME": str(home)}, prog_name="testigo")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def unpack(tar: bytes, folder: Path) -> None:
    """Unpack an archive with the system's own program: Debian's Python has no filter for it yet."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=tar, check=True)


def command_line(*words: str) -> list[str]:
    return [sys.executable, str(ROOT / "cli.py"), *words]


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "TESTIGO_HOME": str(home), "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1", **more}


def _below(place: Path) -> Iterator[Path]:
    """Give what lies below a folder; a folder that vanishes meanwhile is let go."""
    if not place.is_symlink():
        for folder, folders, files in os.walk(place):  # It passes over what it cannot list.
            yield from (Path(folder, name) for name in (*folders, *files))
