"""A small archive in one program: objects in the store, rows in SQLite, a checkpoint, key files.

It does in little what an import does in large, in the same order: keys and objects durable, then the rows in one
transaction, then the checkpoint, then the acknowledgement. Run again, it goes on where it was stopped.
"""

import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from blake3 import blake3

from archive.durable import create_durably, make_folder_durably, remove_durably, sweep_partials, write_durably
from archive.errors import ConflictError, NotFoundError, TestigoError
from archive.fixity import check_all, check_object
from archive.store.directory import DirectoryStore
from archive.store.port import object_name
from archive.types import Digest, DigestAlgorithm, Finding
from tests.crash.laboratory import ack_line

_SCHEMA = """
    CREATE TABLE item (
        number INTEGER PRIMARY KEY, object TEXT NOT NULL, sha256 TEXT NOT NULL, head TEXT NOT NULL
    ) STRICT;
"""


class StoreSubject:
    """`items` objects, in groups of one and of `group` by turns."""

    def __init__(self, *, items: int, group: int, largest: int = 200_000) -> None:
        self.name = f"store of {items} objects"
        self._items = items
        self._group = group
        self._largest = largest

    def setup(self, folder: Path) -> None:
        make_folder_durably(folder / "keys")
        DirectoryStore(folder / "store").close()
        with closing(_connect(folder)) as catalogue:
            catalogue.executescript(_SCHEMA)

    def command(self, folder: Path) -> Sequence[str]:
        numbers = (str(number) for number in (self._items, self._group, self._largest))
        return [sys.executable, __file__, str(folder), *numbers]

    def acknowledgement(self, line: str) -> object | None:
        return ack_line(line)

    def check(self, folder: Path, acknowledged: Sequence[object]) -> Sequence[str]:
        try:
            with DirectoryStore(folder / "store") as store, closing(_connect(folder)) as catalogue:
                store.sweep_staging()
                return list(_wrongs(folder, store, catalogue, acknowledged))
        except (TestigoError, sqlite3.Error, ValueError) as error:  # ValueError: what it reads is not what was written.
            return [f"does not start: {type(error).__name__}: {error}"]


def _wrongs(
    folder: Path, store: DirectoryStore, catalogue: sqlite3.Connection, acknowledged: Sequence[object]
) -> Iterator[str]:
    (integrity,) = catalogue.execute("PRAGMA integrity_check").fetchone()
    if integrity != "ok":
        yield f"SQLite: {integrity}"
    rows = {number: row for number, *row in catalogue.execute("SELECT number, object, sha256, head FROM item")}
    head = ""
    for expected, (number, (name, sha256, stated_head)) in enumerate(sorted(rows.items())):
        head = _next_head(head, sha256)
        if number != expected or head != stated_head:
            yield f"the chain breaks at row {number}"
        if check_object(store, name) is not Finding.MATCHES or hashlib.sha256(store.read(name)).hexdigest() != sha256:
            yield f"row {number} has no right object"
    yield from (
        f"{found.name} is visible and wrong" for found in check_all(store, 1) if found.finding != Finding.MATCHES
    )
    count, stated = _checkpoint(store)
    if count and (count - 1 not in rows or rows[count - 1][2] != stated):
        yield f"the checkpoint at {count} speaks of another history"
    removed = set()
    for ack in acknowledged:
        assert isinstance(ack, dict)
        if "removed" in ack:
            removed.add(ack["removed"])
        elif rows.get(ack["number"], [None, None])[:2] != [ack["object"], ack["sha256"]]:
            yield f"acknowledged row {ack['number']} is lost"
        elif count <= ack["number"]:
            yield f"acknowledged row {ack['number']} is not under the checkpoint at {count}"
    for ack in acknowledged:
        assert isinstance(ack, dict)
        number = ack.get("number")
        if number is not None and number % 5 and _read_key(folder, number) != _key(number):
            yield f"the key of acknowledged row {number} is lost"
    yield from (f"removed key {number} is back" for number in removed if _key_of(folder, number).exists())
    if any(path.read_bytes() != _key(int(path.stem)) for path in (folder / "keys").glob("[0-9]*")):
        yield "a key file is half written"


def main(folder: Path, items: int, group: int, largest: int) -> None:
    with DirectoryStore(folder / "store") as store, closing(_connect(folder)) as catalogue:
        store.sweep_staging()
        sweep_partials(folder / "keys")
        (number,) = catalogue.execute("SELECT COUNT(*) FROM item").fetchone()
        _finish(folder, store, catalogue, range(max(0, number - group), number))
        while number < items:
            group_now = range(
                number, min(items, number + (group if (number // (group + 1)) * (group + 1) != number else 1))
            )
            _take_in(folder, store, catalogue, group_now, largest)
            number = group_now.stop


def _take_in(folder: Path, store: DirectoryStore, catalogue: sqlite3.Connection, numbers: range, largest: int) -> None:
    pairs, rows = [], []
    ((head,),) = catalogue.execute(
        "SELECT COALESCE((SELECT head FROM item ORDER BY number DESC LIMIT 1), '')"
    ).fetchall()
    for number in numbers:
        octets = _content(number, largest)
        staged = store.stage()
        staged.write(octets[: len(octets) // 2])
        staged.write(octets[len(octets) // 2 :])
        name = object_name(Digest(DigestAlgorithm.BLAKE3, blake3(octets).digest()))
        pairs.append((staged, name))
        sha256 = hashlib.sha256(octets).hexdigest()
        head = _next_head(head, sha256)
        rows.append((number, name, sha256, head))
        try:
            create_durably(_key_of(folder, number), _key(number))
        except ConflictError:
            write_durably(_key_of(folder, number), _key(number))
    store.publish(pairs)
    with catalogue:
        catalogue.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", rows)
    _finish(folder, store, catalogue, numbers)


def _finish(folder: Path, store: DirectoryStore, catalogue: sqlite3.Connection, numbers: range) -> None:
    """Write the checkpoint over rows that are committed, drop every fifth key, and acknowledge."""
    rows = catalogue.execute(
        "SELECT number, object, sha256, head FROM item WHERE number >= ? AND number < ?", (numbers.start, numbers.stop)
    ).fetchall()
    if rows:
        checkpoint = json.dumps([numbers.stop, rows[-1][3]]).encode()
        store.put_many([(f"log/checkpoints/{numbers.stop:012}", checkpoint), ("log/leaf", checkpoint)], replace=True)
        store.put("log/checkpoint", checkpoint, replace=True)
    for number, name, sha256, _ in rows:
        print("ACK", json.dumps({"number": number, "object": name, "sha256": sha256}), flush=True)
        if number % 5 == 0:
            remove_durably(_key_of(folder, number))
            print("ACK", json.dumps({"removed": number}), flush=True)


def _connect(folder: Path) -> sqlite3.Connection:
    catalogue = sqlite3.connect(folder / "catalogue.db")
    catalogue.execute("PRAGMA journal_mode=WAL")
    catalogue.execute("PRAGMA synchronous=FULL")
    return catalogue


def _checkpoint(store: DirectoryStore) -> tuple[int, str]:
    try:
        count, head = json.loads(store.read("log/checkpoint"))
    except NotFoundError:
        return 0, ""
    return count, head


def _next_head(head: str, sha256: str) -> str:
    return hashlib.sha256((head + sha256).encode()).hexdigest()


def _content(number: int, largest: int) -> bytes:
    size = int.from_bytes(hashlib.sha256(b"%d" % number).digest()[:4], "big") % largest
    return hashlib.shake_128(b"content %d" % number).digest(size)


def _key(number: int) -> bytes:
    return hashlib.shake_128(b"key %d" % number).digest(2000)


def _read_key(folder: Path, number: int) -> bytes | None:
    try:
        return _key_of(folder, number).read_bytes()
    except FileNotFoundError:
        return None


def _key_of(folder: Path, number: int) -> Path:
    return folder / "keys" / f"{number}.age"


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), *(int(text) for text in sys.argv[2:]))
    except TestigoError as refusal:
        sys.exit(f"{refusal.code}: {refusal}")
    except sqlite3.Error as refusal:
        sys.exit(f"the catalogue: {refusal}")
    except OSError as refusal:
        sys.exit(f"the output: {refusal}")
