"""The import command as a subject: a file acknowledged on its JSON lines must be in, and right, after any crash.

The check is made beside the program, not by it: from the catalogue's rows, the store and the key files it opens every
item and digests it anew, and it computes the log's root from the leaves with a tree of its own.
"""

import base64
import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from uuid import UUID

from archive.age.recipients import KeyIdentity, parse_identity
from archive.age.seekable import SeekableReader
from archive.age.stream import open_bytes
from archive.errors import TestigoError
from archive.fixity import check_all
from archive.keyfiles import KeyFiles
from archive.store.directory import DirectoryStore
from archive.types import Finding, StaffId
from tests.crash.laboratory import ROOT

_PASSPHRASE = "six words that nobody ever guesses"
_SETTINGS = """
[media]
confinement = "rlimits-only"
[ingest]
group_files = {group}
reserve_mib = 16
[keys]
scrypt_work_factor = 15
"""


class ImportSubject:
    """An import of `files` files in groups of `group`; every fifth has the same content as the one before it."""

    def __init__(self, *, files: int, group: int) -> None:
        self.name = f"import of {files} files"
        self._files = files
        self._group = group
        self._office: KeyIdentity | None = None

    def setup(self, folder: Path) -> None:
        home = folder / "archive"
        home.mkdir()
        (folder / "passphrase").write_text(_PASSPHRASE + "\n")
        (folder / "config.toml").write_text(_SETTINGS.format(group=self._group))
        source = folder / "card"
        source.mkdir()
        for number in range(self._files):
            (source / f"{number:03}.bin").write_bytes(_content(number - (number % 5 == 4)))
        self._testigo(folder, "init", "--print-recovery", "--yes", "--passphrase-file", str(folder / "passphrase"))
        said = self._testigo(folder, "incident", "new", "--title", "a crash", "--json")
        assert json.loads(said)["incident"].startswith("I-"), said
        (copy,) = (home / "keys" / "staff").glob("*.age")
        self._office = KeyFiles(home / "keys", work_factor=15).open_copy(StaffId(UUID(copy.stem)), _PASSPHRASE)

    def command(self, folder: Path) -> Sequence[str]:
        with closing(sqlite3.connect(folder / "archive" / "catalogue.sqlite")) as catalogue:
            (incident,) = catalogue.execute("SELECT number FROM incident").fetchone()
        return _line(folder, "import", str(folder / "card"), "-i", incident, "--json")

    def acknowledgement(self, line: str) -> object | None:
        told = json.loads(line) if line.startswith("{") else {}
        return told if told.get("outcome") in ("stored", "linked") else None

    def check(self, folder: Path, acknowledged: Sequence[object]) -> Sequence[str]:
        home = folder / "archive"
        try:
            with (
                DirectoryStore(home / "store") as store,
                closing(sqlite3.connect(home / "catalogue.sqlite")) as catalogue,
            ):
                store.sweep_staging()
                return [
                    *(
                        f"{one.name} is visible and wrong"
                        for one in check_all(store, 1)
                        if one.finding != Finding.MATCHES
                    ),
                    *_wrongs_of_log(store, catalogue),
                    *self._wrongs_of_items(home, store, catalogue, acknowledged),
                ]
        except (TestigoError, sqlite3.Error, ValueError) as error:  # ValueError: what it reads is not what was written.
            return [f"does not start: {type(error).__name__}: {error}"]

    def _wrongs_of_items(
        self, home: Path, store: DirectoryStore, catalogue: sqlite3.Connection, acknowledged: Sequence[object]
    ) -> Iterator[str]:
        assert self._office is not None
        (entries,) = catalogue.execute("SELECT COUNT(*) FROM entry").fetchone()
        published = int(store.read("log/checkpoint").split(b"\n")[1])
        rows = catalogue.execute(
            "SELECT item.number, item.id, blake3 FROM item JOIN object ON item_id = item.id WHERE purpose = 'original'"
        ).fetchall()
        items = {number: (UUID(item), bytes(blake3)) for number, item, blake3 in rows}
        if len(items) != len({blake3 for _, blake3 in items.values()}):
            yield "two items name one object"
        digests: dict[str, str] = {}
        for number, (item, blake3) in items.items():
            key = parse_identity(
                open_bytes((home / "keys" / f"{item}.age").read_bytes(), [self._office]).decode().rstrip("\n")
            )
            name = f"objects/{blake3.hex()[:2]}/{blake3.hex()[2:4]}/{blake3.hex()}.age"
            with store.open_range(name) as source, SeekableReader(source, identities=[key]) as opened:
                digests[number] = hashlib.sha256(opened.read()).hexdigest()
        right = {hashlib.sha256(_content(number)).hexdigest() for number in range(self._files)}
        yield from (f"{number} holds what was never given" for number, digest in digests.items() if digest not in right)
        if len(digests) != len(set(digests.values())):
            yield "one file was taken in twice"
        for ack in acknowledged:
            assert isinstance(ack, dict)
            if digests.get(ack["item"]) != ack["sha256"]:
                yield f"acknowledged {ack['item']} is lost or wrong"
            if not ack["entry"] < published <= entries:
                yield f"entry {ack['entry']} of acknowledged {ack['item']} is not under the checkpoint at {published}"

    def _testigo(self, folder: Path, *words: str) -> str:
        done = subprocess.run(_line(folder, *words), cwd=ROOT, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _line(folder: Path, command: str, *words: str) -> list[str]:
    where = ["--home", str(folder / "archive"), "--config", str(folder / "config.toml")]
    group = (command, words[0]) if command == "incident" else (command,)
    return [sys.executable, str(ROOT / "cli.py"), *group, *where, *words[len(group) - 1 :]]


def _wrongs_of_log(store: DirectoryStore, catalogue: sqlite3.Connection) -> Iterator[str]:
    (integrity,) = catalogue.execute("PRAGMA integrity_check").fetchone()
    if integrity != "ok":
        yield f"SQLite: {integrity}"
    rows = catalogue.execute("SELECT seq, leaf FROM entry ORDER BY seq").fetchall()
    if [seq for seq, _ in rows] != list(range(len(rows))):
        yield "the log has a gap"
    hashes = [hashlib.sha256(b"\x00" + leaf).digest() for _, leaf in rows]
    notes = [name for name in store.list("log/checkpoints/")] + ["log/checkpoint"]
    for name in notes:
        _, size, root, *_ = store.read(name).decode().split("\n")
        if int(size) > len(hashes) or base64.b64decode(root) != _root(hashes[: int(size)]):
            yield f"{name} speaks of another history"


def _root(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + _root(hashes[:middle]) + _root(hashes[middle:])).digest()


def _content(number: int) -> bytes:
    return hashlib.shake_128(b"file %d" % number).digest(10_000 + 7_000 * number)
