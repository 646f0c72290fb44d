"""A new catalogue from store and keys alone, when the catalogue's file is gone.

What comes back: every signed entry, its sealed values, the index of whom it speaks of, checkpoints, time-stamps, all
record rows (by the same fold that wrote them), the intake key and the counters of numbers. The entries are compared
with every checkpoint first; the file is built under another name and takes its place when it is whole. Opening the log
to rebuild it cannot be entered before it happens, because there is no log to enter it in; the `rebuild` entry that
follows says so.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from archive.age.keyring import open_identity
from archive.age.recipients import KeyIdentity
from archive.catalogue.accounts import keep_secrets, read_secret
from archive.catalogue.database import Database
from archive.catalogue.models import CheckpointRow, DisclosureRow, EntryRow, EntrySubjectRow, TimestampTokenRow
from archive.catalogue.numbers import restore_numbers
from archive.catalogue.records import RECORD_TYPES, Item
from archive.durable import storage_errors, sync, sync_folder
from archive.errors import (
    ConfigError,
    ConflictError,
    IntegrityError,
    LockedError,
    NotFoundError,
    TestigoError,
    UnavailableError,
)
from archive.jobs import JobKind, JobQueue
from archive.keyfiles import KeyFiles
from archive.store.port import Store
from archive.types import Clock, OwnerKind
from custody.audit_objects import rows_by_id
from custody.audit_recorded import OWNER_RECORDS
from custody.destroyed import DESTROYED
from custody.findings import Found, differs, from_error
from custody.fold import Folding
from custody.log_reading import LogReader, ReadEntry, SealedDisclosure
from custody.log_tree import LogTree
from custody.merkle import leaf_hash
from custody.publication import NEWEST, checkpoint_name, signed_time
from custody.signed_note import VerifierKey
from custody.stored_log import StoredLog

_AT_ONCE = 2000
_SIDE_FILES = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What was built. `problems` is what could not be brought back, `set_aside` what was put out of the way."""

    entries: int
    root: bytes
    owners: int
    problems: tuple[Found, ...]
    set_aside: tuple[str, ...]


class Rebuild:
    """Builds the catalogue at `target` anew."""

    def __init__(
        self,
        *,
        target: Path,
        store: Store,
        key_files: KeyFiles,
        verifier_keys: Sequence[VerifierKey],
        authorities: Sequence[str],
        clock: Clock,
    ) -> None:
        self._target = target
        self._store = store
        self._key_files = key_files
        self._verifier_keys = tuple(verifier_keys)
        self._authorities = tuple(authorities)
        self._clock = clock
        self._problems: list[Found] = []

    def run(self, identity: KeyIdentity) -> Rebuilt:
        """Build, compare, and put in place.

        Raises: ConflictError `archive/already-there`; LockedError `keys/opens-nothing`; IntegrityError where the store
        does not agree with its newest checkpoint, and `custody/staff-key-lost`. Nothing is left behind then.
        """
        if self._target.exists():
            raise ConflictError(
                "archive/already-there",
                "There is a catalogue here. Nothing was changed. Move it away first, and keep it.",
            )
        log = StoredLog(self._store, self._verifier_keys)
        tree = self._read_tree(log)
        keys = self._open_keys(identity)
        partial = self._target.with_name(f".{self._target.name}-rebuild-{os.getpid()}")
        try:
            self._build(partial, log, keys)
            set_aside = [*self._put_in_place(partial), *self._set_aside(log), *self._name_newest(log)]
        finally:
            for path in _with_side_files(partial):
                path.unlink(missing_ok=True)
        self._problems += _lost_checkpoints(log)
        self._problems += [
            differs("custody/bad-note", "It is not what it should be and was left out.", subject=name)
            for name in log.refused
        ]
        return Rebuilt(
            entries=log.size,
            root=tree.root(log.size),
            owners=len(keys),
            problems=tuple(self._problems),
            set_aside=tuple(set_aside),
        )

    def _read_tree(self, log: StoredLog) -> LogTree:
        tree = LogTree()
        for start in range(0, log.size, _AT_ONCE):
            for leaf in log.leaves(start, start + _AT_ONCE):
                tree.append(leaf_hash(leaf))
        for each in log.checkpoints:
            if tree.root(each.size) != each.verified.checkpoint.root:
                raise IntegrityError(
                    "custody/root-mismatch",
                    "The entries in the store are not those that a checkpoint was signed over. Nothing was built. Look "
                    "for another copy of the store.",
                    evidence={"checkpoint": each.size},
                )
        return tree

    def _open_keys(self, identity: KeyIdentity) -> dict[UUID, KeyIdentity]:
        """Open every key file; one that does not open keeps its owner's values closed, and is named."""
        keys: dict[UUID, KeyIdentity] = {}
        for owner_id in self._key_files.list():
            try:
                keys[owner_id] = open_identity(self._key_files.read_sealed(owner_id), [identity])
            except TestigoError as error:
                self._problems.append(from_error(error, subject=f"key {owner_id}"))
        if not keys:
            raise LockedError(
                "keys/opens-nothing",
                "This key opens none of the key files that are here. Nothing was built. Give the office passphrase or "
                "the recovery key of this archive, and see that the folder of key files is there.",
            )
        return keys

    def _build(self, partial: Path, log: StoredLog, keys: Mapping[UUID, KeyIdentity]) -> None:
        with storage_errors():
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        database = Database(partial)
        try:
            database.migrate()
            with database.writing() as session:
                # A record may stand in the log before the one that it points to, within one transaction.
                session.execute(text("PRAGMA defer_foreign_keys = ON"))
                self._write_log(session, log)
                self._write_values(session, log, keys)
                self._name_lost(session, keys)
                self._write_checkpoints(session, log)
                _restore_counters(session)
                self._request_timestamps(JobQueue(database, self._clock), session, log)
                self._drop_dangling(session)
        finally:
            database.close()

    def _write_log(self, session: Session, log: StoredLog) -> None:
        for start in range(0, log.size, _AT_ONCE):
            rows = [
                {"seq": seq, "leaf": leaf, "leaf_hash": leaf_hash(leaf)}
                for seq, leaf in enumerate(log.leaves(start, start + _AT_ONCE), start=start)
            ]
            session.execute(insert(EntryRow), rows)

    def _write_values(self, session: Session, log: StoredLog, keys: Mapping[UUID, KeyIdentity]) -> None:
        folding = Folding(session)
        reader = LogReader(log.leaves, keys, {})
        runs: dict[UUID, int] = {}
        subjects: list[dict[str, object]] = []
        for read in reader.read(_kept(session, log.disclosures())):
            if isinstance(read, Found):
                self._problems.append(read)
                continue
            subjects += _subjects(read, runs)
            self._problems += folding.add(read.records())
            _keep_intake_key(session, read)
            if len(subjects) >= _AT_ONCE:
                session.execute(insert(EntrySubjectRow), subjects)
                subjects = []
        if subjects:
            session.execute(insert(EntrySubjectRow), subjects)
        self._problems += folding.settle()
        self._problems += reader.rest(log.size)

    def _name_lost(self, session: Session, keys: Mapping[UUID, KeyIdentity]) -> None:
        """Name every owner whose key is not here though no entry says that it was destroyed.

        Raises: IntegrityError `custody/staff-key-lost`.
        """
        item, row, first = Item.table.c, DisclosureRow, func.min(DisclosureRow.first)
        gone = set(session.execute(select(item.id).where(item.state == DESTROYED)).scalars())
        owners = select(row.owner_kind, row.owner_id, first).where(row.owner_kind.in_(OWNER_RECORDS))
        for kind, owner_id, seq in session.execute(owners.group_by(row.owner_kind, row.owner_id).order_by(first)):
            if owner_id in keys or owner_id in gone:
                continue
            words = (
                f"Its key is not here or does not open, so what entry {seq} and others say of it alone could not be "
                "brought back. Put its file back from a backup of the keys, and rebuild once more."
            )
            self._problems.append(differs("custody/key-missing", words, subject=f"{kind} {owner_id}"))
        try:
            read_secret(session, "intake-key")
        except ConfigError as error:
            staff = select(row.owner_id).where(row.owner_kind == OwnerKind.STAFF).limit(1)
            raise IntegrityError(
                "custody/staff-key-lost",
                "The key of the staff compartment, which every entry is sealed to, is not here or does not open. "
                "Nothing was built. Put its file back from a backup of the keys.",
                evidence={"key_file": f"{session.execute(staff).scalar()}.age"},
            ) from error

    def _write_checkpoints(self, session: Session, log: StoredLog) -> None:
        rows = [
            {
                "size": each.size,
                "note": each.note,
                "signed_time": signed_time(each.note, self._verifier_keys, self._clock),
            }
            for each in log.checkpoints
        ]
        session.execute(insert(CheckpointRow), rows)
        tokens = [
            {
                "size": each.size,
                "authority": each.authority,
                "token": each.token,
                "chain": each.chain,
                "attested_time": each.attested_time,
            }
            for each in log.tokens()
        ]
        if tokens:
            session.execute(insert(TimestampTokenRow), tokens)

    def _request_timestamps(self, jobs: JobQueue, session: Session, log: StoredLog) -> None:
        """Ask again for what was pending: a token on the newest checkpoint attests all before it."""
        statement = select(TimestampTokenRow.authority).where(TimestampTokenRow.size == log.size)
        have = set(session.execute(statement).scalars())
        jobs.enqueue(
            session, JobKind.TIMESTAMP, [f"{log.size}/{name}" for name in self._authorities if name not in have]
        )

    def _drop_dangling(self, session: Session) -> None:
        """Leave out rows that point to what could not be brought back, and say so."""
        items = Item.table.c
        numbers = {each.hex: str(number) for each, number in rows_by_id(session, items.id, items.number)}
        while dangling := session.execute(text("PRAGMA foreign_key_check")).all():
            for table, row_id, parent in sorted({(table, row_id, parent) for table, row_id, parent, _ in dangling}):
                statement = text(f'SELECT * FROM "{table}" WHERE rowid = :row')  # noqa: S608 - SQLite names it
                row = session.execute(statement, {"row": row_id}).mappings().first()
                if row is None:
                    continue  # It pointed to more than one such thing.
                named = row.get("number") or numbers.get(row.get("item_id", "")) or f"{table} {row.get('id', row_id)}"
                words = f"A row of {table} points to what could not be brought back ({parent}); it was left out."
                self._problems.append(differs("custody/record-missing", words, subject=str(named)))
                session.execute(text(f'DELETE FROM "{table}" WHERE rowid = :row'), {"row": row_id})  # noqa: S608 - SQLite names it

    def _put_in_place(self, partial: Path) -> Iterator[str]:
        """Give the finished file its name; side files of the lost catalogue must not be taken for its own."""
        if any(path.exists() for path in _with_side_files(partial)[1:]):
            raise UnavailableError(
                "archive/busy", "Another process has the new catalogue open. Nothing was built. Run the same again."
            )
        with storage_errors():
            for path in _with_side_files(self._target)[1:]:
                if path.exists():
                    aside = path.with_name(f"{path.name}.of-lost-catalogue")
                    path.rename(aside)
                    yield aside.name
            descriptor = os.open(partial, os.O_RDONLY | os.O_CLOEXEC)
            try:
                sync(descriptor)
            finally:
                os.close(descriptor)
            try:
                os.link(partial, self._target)
            except FileExistsError as error:
                raise ConflictError(
                    "archive/already-there", "A catalogue was put here meanwhile. It was kept as it is."
                ) from error
            sync_folder(self._target.parent)

    def _set_aside(self, log: StoredLog) -> Iterator[str]:
        """Move what no checkpoint covers out of the way of the next publication; nothing of it is thrown away."""
        for name in log.left_over():
            self._store.put(f"log/unsigned/{name.removeprefix('log/')}", self._store.read(name), replace=True)
            self._store.delete(name)
            yield name

    def _name_newest(self, log: StoredLog) -> Iterator[str]:
        """Put the newest checkpoint where the store names it: nothing is signed over a log that names another."""
        note = log.newest.note
        for name in (checkpoint_name(log.size), NEWEST):
            kept = self._read(name)
            if kept == note:
                continue
            if kept is not None:
                self._store.put(f"log/unsigned/{name.removeprefix('log/')}", kept, replace=True)
                yield name
            self._store.put(name, note, replace=True)
            words = (
                f"It was not there, or was another than checkpoint {log.size}, the newest that is rightly signed. This "
                "was put back from its other copy."
            )
            self._problems.append(differs("custody/checkpoint-missing", words, subject=name))

    def _read(self, name: str) -> bytes | None:
        try:
            return self._store.read(name)
        except NotFoundError:
            return None


def _lost_checkpoints(log: StoredLog) -> Iterator[Found]:
    for size in log.lost_checkpoints():
        words = (
            "It was signed and is not in the store. The entries that it stood for are here, under a later one; its "
            "time-stamps cannot be checked without it and were left out. Put the file back from a copy of the store, "
            "and rebuild once more."
        )
        yield differs("custody/checkpoint-missing", words, subject=f"checkpoint {size}")


def _with_side_files(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in _SIDE_FILES)]


def _kept(session: Session, sealed: Iterator[SealedDisclosure]) -> Iterator[SealedDisclosure]:
    """Write each sealed disclosure's row as it passes, numbered in the order of writing."""
    rows: list[dict[str, object]] = []
    for number, each in enumerate(sealed, start=1):
        rows.append(
            {
                "id": number,
                "first": each.first,
                "end": each.end,
                "owner_kind": str(each.owner.kind),
                "owner_id": each.owner.id,
                "sealed": each.sealed,
            }
        )
        if len(rows) >= _AT_ONCE:
            session.execute(insert(DisclosureRow), rows)
            rows = []
        yield each
    if rows:
        session.execute(insert(DisclosureRow), rows)


def _subjects(read: ReadEntry, runs: dict[UUID, int]) -> Iterator[dict[str, object]]:
    """Give the index rows of one entry. Of an item whose key is gone the runs are counted: they have no gap."""
    for owner_id, number in read.subjects.items():
        if number is None and owner_id in read.closed_items:
            number = runs.get(owner_id, 0) + 1
        if number is not None:
            runs[owner_id] = number
        yield {"seq": read.seq, "owner_id": owner_id, "run_number": number}


def _keep_intake_key(session: Session, read: ReadEntry) -> None:
    for value in read.opened.values:
        match value.name, value.value:
            case "record", {"kind": "organisation", "sealed": {"intake_key": str(key)}}:
                keep_secrets(session, [("intake-key", bytes.fromhex(key))])


def _restore_counters(session: Session) -> None:
    used = [
        number
        for record_type in RECORD_TYPES
        if "number" in record_type.table.c
        for number in session.execute(select(record_type.table.c.number)).scalars()
        if number
    ]
    restore_numbers(session, used)
