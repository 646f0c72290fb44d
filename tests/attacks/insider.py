"""An insider with root: full write access to the database file, the store and the log's signing keys.

`Insider` has a copy of an archive to spoil. It knows what every entry says (who is root can watch while people work),
so it can do more than change one place: `rewrite` makes the whole log anew from a changed history, with right
commitments, runs, hashes, tiles, disclosures, rows, triggers and signatures, so that nothing inside tells any more.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, text

from archive.age.keyring import open_identity
from archive.age.recipients import KeyIdentity, parse_recipient
from archive.age.stream import ValueSealer, open_bytes
from archive.catalogue import records
from archive.catalogue.models import CheckpointRow, DisclosureRow, EntryRow, NumberRow
from archive.catalogue.numbers import restore_numbers
from archive.errors import TestigoError
from archive.types import ItemId, Outcome, Owner, OwnerKind
from cli import Asked, Rooms
from custody.audit import Audit
from custody.audit_keys import key_owners
from custody.audit_opened import ReceivedFixity
from custody.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from custody.commitments import Disclosure
from custody.entries import RUN, Entry, EventKind, RunLink
from custody.findings import Found, from_error
from custody.ledger import seal_disclosures
from custody.merkle import Frontier, leaf_hash
from custody.outside import Outside
from custody.permit import EntryPermit
from custody.publication import checkpoint_name, disclosure_line, disclosures_name
from custody.register import parse_disclosures
from custody.tiles import WIDTH, encode_bundle, grow_tiles, tiles_to_write
from tests.archives import PASSPHRASE, MovableClock

RECORD_TABLES = [f'"{record_type.table.name}"' for record_type in reversed(records.RECORD_TYPES)]
LOG_TABLES = ["timestamp_token", "checkpoint", "entry_subject", "disclosure", "entry"]


@dataclass
class Part:
    """What an entry says for one owner: the texts of its disclosures."""

    owner: Owner
    recipient: str
    texts: list[str]

    def values(self) -> list[tuple[str, Any]]:
        return [(opened.name, opened.value) for opened in (Disclosure(each).parse() for each in self.texts)]

    def change(self, name: str, change: Callable[[Any], Any]) -> None:
        """Replace each value of that name for which `change` returns another one, under a fresh salt."""
        for place, (found, value) in enumerate(self.values()):
            if found == name and (new := change(deepcopy(value))) != value:
                self.texts[place] = Disclosure.make(name, new).text

    def put(self, name: str, value: Any) -> None:
        """Replace the one value of that name, unless it is this one already."""
        self.change(name, lambda _: value)


@dataclass
class Said:
    """One entry of a history: open part and what it says for each owner."""

    event: EventKind
    outcome: Outcome
    parts: list[Part] = field(default_factory=list)

    def part(self, kind: OwnerKind) -> Part:
        return next(part for part in self.parts if part.owner.kind is kind)

    @property
    def items(self) -> list[UUID]:
        return [part.owner.id for part in self.parts if part.owner.kind is OwnerKind.ITEM]


class Insider:
    """Spoils the archive in `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        asked = Asked(home=home, config=None, json=False, quiet=True, yes=True, dry_run=False, explain=False)
        self.rooms = Rooms(asked)
        self.rooms.clock = MovableClock()

    def close(self) -> None:
        self.rooms.close()

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def owner_keys(self) -> dict[UUID, KeyIdentity]:
        key_files = self.rooms.key_files
        office = key_files.open_copy(key_files.granted()[0], PASSPHRASE)
        return {owner: open_identity(key_files.read_sealed(owner), [office]) for owner in key_files.list()}

    def history(self, keys: dict[UUID, KeyIdentity]) -> list[Said]:
        """Read what every entry says."""
        with self.rooms.database.reading() as session:
            leaves = session.execute(select(EntryRow.leaf).order_by(EntryRow.seq)).scalars().all()
            said = [Said(event=entry.event, outcome=entry.outcome) for entry in map(Entry.parse, leaves)]
            for row in session.execute(select(DisclosureRow).order_by(DisclosureRow.id)).scalars():
                owner = Owner(kind=OwnerKind(row.owner_kind), id=row.owner_id)
                key = keys[row.owner_id]
                for seq, texts in parse_disclosures(open_bytes(row.sealed, [key])).items():
                    said[seq].parts.append(Part(owner=owner, recipient=str(key.recipient), texts=list(texts)))
        return said

    def sizes(self) -> list[tuple[int, datetime]]:
        with self.rooms.database.reading() as session:
            statement = select(CheckpointRow.size, CheckpointRow.signed_time).order_by(CheckpointRow.size)
            return [(size, signed) for size, signed in session.execute(statement)]

    # ── clumsy: one place only ───────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def sql(self, *, guards_back: bool = True) -> Iterator[sqlite3.Connection]:
        """Write to the database file with the triggers out of the way, and put these back."""
        self.rooms.close()
        with closing(sqlite3.connect(self.home / "catalogue.sqlite", isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            for name, _ in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            yield connection
            for _, statement in triggers if guards_back else ():
                connection.execute(statement)
            connection.execute("COMMIT")

    def object_path(self, blake3: bytes) -> Path:
        name = blake3.hex()
        return self.home / "store" / "objects" / name[:2] / name[2:4] / f"{name}.age"

    # ── thorough: everything anew ────────────────────────────────────────────────────────────────────────────────────

    def rewrite(self, history: Sequence[Said], sizes: Sequence[tuple[int, datetime]]) -> None:
        """Make catalogue and store say `history`, signed at `sizes`, as if it had always been so."""
        leaves, subjects, numbered = _written(history)
        with self.sql() as connection:
            for table in (*RECORD_TABLES, *LOG_TABLES):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        store = self.home / "store"
        shutil.rmtree(store / "log")
        hashes = [leaf_hash(leaf) for leaf in leaves]
        sealed = [
            (part.owner, seq, seal_disclosures({str(seq): part.texts}, ValueSealer([parse_recipient(part.recipient)])))
            for seq, said in enumerate(history)
            for part in said.parts
        ]
        notes = self._publish(store, leaves, hashes, sealed, sizes)
        self._fill(leaves, hashes, subjects, sealed, notes, numbered)
        self._count_anew()

    def _count_anew(self) -> None:
        """Set the counters of human numbers to what is left."""
        with self.rooms.database.writing() as session:
            tables = [each.table for each in records.RECORD_TYPES if "number" in each.table.c]
            used = [
                number for table in tables for number in session.execute(select(table.c.number)).scalars() if number
            ]
            session.execute(delete(NumberRow))
            restore_numbers(session, used)

    def _publish(
        self,
        store: Path,
        leaves: Sequence[bytes],
        hashes: Sequence[bytes],
        sealed: Sequence[tuple[Owner, int, bytes]],
        sizes: Sequence[tuple[int, datetime]],
    ) -> list[tuple[int, bytes, datetime]]:
        signers = self.rooms.signers
        size = sizes[-1][0]
        files: dict[str, bytes] = {"log/verifier-keys": "".join(f"{s.verifier_key}\n" for s in signers).encode()}
        for tile in tiles_to_write(0, size):
            if tile.level is None:
                start = tile.index * WIDTH
                files[f"log/{tile.path}"] = encode_bundle(leaves[start : start + tile.width])
        for tile, data in grow_tiles(0, hashes[:size], lambda _: None):
            files[f"log/{tile.path}"] = data
        notes = []
        before = 0
        for end, signed in sizes:
            root = Frontier().extend(hashes[:end]).root()
            note = sign_checkpoint(Checkpoint(origin=signers[0].name, size=end, root=root), signers, signed)
            notes.append((end, note, signed))
            files[checkpoint_name(end)] = files["log/checkpoint"] = note
            files[disclosures_name(before, end)] = b"".join(
                disclosure_line(owner.kind, owner.id, seq, seq + 1, octets)
                for owner, seq, octets in sealed
                if before <= seq < end
            )
            before = end
        for name, data in files.items():
            (store / name).parent.mkdir(parents=True, exist_ok=True)
            (store / name).write_bytes(data)
        return notes

    def _fill(
        self,
        leaves: Sequence[bytes],
        hashes: Sequence[bytes],
        subjects: Iterable[tuple[int, UUID, int | None]],
        sealed: Sequence[tuple[Owner, int, bytes]],
        notes: Sequence[tuple[int, bytes, datetime]],
        numbered: Sequence[tuple[int, Any]],
    ) -> None:
        database = self.rooms.database
        with database.writing() as session:
            session.execute(text("PRAGMA defer_foreign_keys = ON"))
            session.execute(
                insert(EntryRow),
                [
                    {"seq": seq, "leaf": leaf, "leaf_hash": digest}
                    for seq, (leaf, digest) in enumerate(zip(leaves, hashes, strict=True))
                ],
            )
            session.connection().exec_driver_sql(
                "INSERT INTO entry_subject VALUES (?, ?, ?)", [(seq, owner.hex, run) for seq, owner, run in subjects]
            )
            session.add_all(
                DisclosureRow(
                    id=number, first=seq, end=seq + 1, owner_kind=owner.kind, owner_id=owner.id, sealed=octets
                )
                for number, (owner, seq, octets) in enumerate(sealed, start=1)
            )
            keys = self.rooms.verifier_keys
            session.add_all(
                CheckpointRow(size=size, note=note, signed_time=verify_checkpoint(note, keys).cosigned_time)
                for size, note, _ in notes
            )
            session.flush()
            records.apply(session, numbered)


def _written(
    history: Sequence[Said],
) -> tuple[list[bytes], list[tuple[int, UUID, int | None]], list[tuple[int, Any]]]:
    """Write the leaves of a history, each item's run knitted anew; give the index of subjects and the records too."""
    runs: dict[UUID, tuple[int, bytes]] = {}
    leaves: list[bytes] = []
    subjects: list[tuple[int, UUID, int | None]] = []
    numbered: list[tuple[int, Any]] = []
    for seq, said in enumerate(history):
        owners: dict[UUID, int | None] = {}
        for part in said.parts:
            owners[part.owner.id] = None
            if part.owner.kind is OwnerKind.ITEM:
                number, previous = runs.get(part.owner.id, (0, None))
                link = RunLink(item=ItemId(part.owner.id), number=number + 1, previous=previous)
                part.put(RUN, link.value())
                owners[part.owner.id] = number + 1
            for name, value in part.values():
                if name == "record":
                    numbered.append((seq, value))
                if name == "subjects":
                    owners |= {UUID(each["id"]): None for each in value if UUID(each["id"]) not in owners}
        disclosures = [Disclosure(each) for part in said.parts for each in part.texts]
        leaf = Entry.make(seq=seq, event=said.event, outcome=said.outcome, disclosures=disclosures).leaf()
        runs |= {item: (owners[item] or 0, leaf_hash(leaf)) for item in said.items}
        leaves.append(leaf)
        subjects += [(seq, owner, run) for owner, run in owners.items()]
    return leaves, subjects, numbered


def audit_as_typed(home: Path, *, outside: Sequence[Outside] = ()) -> list[Found]:
    """Audit with the keys that `testigo verify` would get after the deed: of the owners that rows and log name, each
    checked as the key agent checks it; only the entries of its accesses are not made."""
    insider = Insider(home)
    keys: dict[UUID, KeyIdentity] = {}
    found: list[Found] = []
    try:
        permit = EntryPermit(insider.rooms.catalogue_path, 0)
        opened = insider.owner_keys()
        with insider.rooms.catalogue_as_it_lies.reading() as session:
            owners = key_owners(session, None)
        for each in owners:
            try:
                if each.owner.id in opened and permit.owns(each.owner.id, opened[each.owner.id]):
                    keys[each.owner.id] = opened[each.owner.id]
            except TestigoError as error:
                found.append(from_error(error, subject=each.name))
    finally:
        insider.close()
    return [*found, *audit(home, keys=keys, outside=outside)]


def audit(home: Path, *, keys: dict[UUID, KeyIdentity] | None = None, outside: Sequence[Outside] = ()) -> list[Found]:
    """Audit as the command does, with keys in hand and no entries; with outside evidence alone, the log only."""
    insider = Insider(home)
    try:
        looker: Audit = insider.rooms.audit
        found = [*looker.log(outside=outside)]
        if keys is not None or not outside:
            found += looker.holdings()
        if keys is not None:
            fixity: dict[UUID, ReceivedFixity] = {}
            found += looker.opened(keys, fixity)
        return found
    finally:
        insider.close()
