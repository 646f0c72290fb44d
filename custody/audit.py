"""The audit: register, store and catalogue against each other, and against what somebody outside has kept.

It never stops at the first problem and changes nothing. Without a key it reads the log, its copies in the store, the
objects and the key files; with the owners' keys it opens every value and recomputes the catalogue's rows.
"""

import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity
from archive.catalogue.columns import untyped
from archive.catalogue.database import Database
from archive.catalogue.items import items_by_id, totals
from archive.catalogue.models import CheckpointRow, EntryRow, EntrySubjectRow, ItemRow
from archive.errors import ConfigError, IntegrityError
from archive.keyfiles import KeyFiles
from archive.store.port import Store
from archive.types import Finding
from custody.audit_cells import check_cells
from custody.audit_item import check_items_opened
from custody.audit_keyrings import check_keyrings
from custody.audit_log import LogAudit
from custody.audit_objects import check_keys, check_numbers, check_objects, keys_apart
from custody.audit_opened import OpenedAudit, ReceivedFixity
from custody.audit_recorded import Spoken, check_recorded
from custody.audit_tokens import check_tokens
from custody.checkpoint import Checkpoint
from custody.destroyed import DESTROYED
from custody.findings import Found, from_error, surviving
from custody.outside import Outside, check_outside
from custody.signed_note import SignedNote, VerifierKey
from custody.timestamps import Authority

Watch = Callable[[str, int, int], None]
"""Hears how far a part of the audit is: its name, how much is done, of how much."""

_MOST_NAMED = 5


def silent(_part: str, _done: int, _total: int) -> None:
    """Watch nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much there is to audit. `destroyed` of the items are called so; `newest` is the newest checkpoint."""

    items: int
    destroyed: int
    octets: int
    entries: int
    checkpoints: int
    newest: Checkpoint | None


class Audit:
    """The room object for checking.

    `log_lock` is the publisher's: while the log is read, nothing is published, so that catalogue and store are of one
    moment. It may be missing (a copy on a read-only medium). `unusable` says of authorities, by name, why the settings'
    word of them cannot be used: that is told, and ends no check.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: Store,
        key_files: KeyFiles,
        verifier_keys: Sequence[VerifierKey],
        authorities: Sequence[Authority],
        unusable: Mapping[str, ConfigError],
        log_lock: Path,
        threads: int,
    ) -> None:
        self._database = database
        self._store = store
        self._key_files = key_files
        self._keys = tuple(verifier_keys)
        self._authorities = tuple(authorities)
        self._unusable = dict(unusable)
        self._log_lock = log_lock
        self._threads = threads

    def extent(self, items: Sequence[UUID] | None = None) -> Extent:
        """Count what there is; of some items only where these are given."""
        with self._database.reading() as session:
            number, octets = totals(session)
            if items is not None:
                known = items_by_id(session, items).values()
                number, octets = len(known), sum(item.size for item in known)
            statement = select(untyped(CheckpointRow.note)).order_by(CheckpointRow.size.desc()).limit(1)
            newest = session.execute(statement).scalar_one_or_none()
            return Extent(
                items=number,
                destroyed=_destroyed(session, items),
                octets=octets,
                entries=session.execute(select(func.count()).select_from(EntryRow)).scalar_one(),
                checkpoints=session.execute(select(func.count()).select_from(CheckpointRow)).scalar_one(),
                newest=_parsed(newest),
            )

    def kept_among(self, numbers: Collection[str], items: Sequence[UUID] | None = None) -> int:
        """Count those of the numbers, of some items only where these are given, whose item has a row that keeps it."""
        with self._database.reading() as session:
            statement = select(untyped(ItemRow.id), untyped(ItemRow.number)).where(ItemRow.state != DESTROYED)
            wanted = None if items is None else {item.hex for item in items}
            rows = session.execute(statement)
            return sum(number in numbers and (wanted is None or item in wanted) for item, number in rows)

    def log(self, *, outside: Sequence[Outside] = (), watch: Watch = silent) -> list[Found]:
        """Check the log and its copies, its time-stamps, and what somebody outside holds of it."""
        found: list[Found] = []
        try:
            self._database.check_guards()
        except IntegrityError as error:
            found.append(from_error(error, subject="catalogue"))
        # Collected before anyone hears of them: whoever listens may want to publish, which waits for this lock.
        with self._holding_publication(), self._database.reading() as session:
            audit = LogAudit(session, self._store, self._keys, watch)
            found += surviving(audit.run(), subject="log")
            tokens = check_tokens(session, self._store, self._authorities, self._unusable)
            found += surviving(tokens, subject="time-stamps")
            found += surviving(check_outside(outside, audit.tree, session, self._keys), subject="log")
            numbers = {item: number for piece in outside for item, number in piece.numbers.items()}
            found += surviving(check_recorded(session, numbers, frozenset(self._key_files.list())), subject="catalogue")
            return [_with_items(session, each) for each in found]

    def holdings(
        self, *, items: Sequence[UUID] | None = None, apart: bool = False, watch: Watch = silent
    ) -> Iterator[Found]:
        """Check objects, key files and counters; of some items only their objects.

        `apart` tells that this may be a copy, whose key files lie elsewhere: that there are none is no alarm then.
        """
        with self._database.reading() as session:
            if items is None:
                yield from surviving(check_cells(session), subject="catalogue")
            objects = check_objects(session, self._store, only=items, threads=self._threads, watch=watch)
            yield from surviving(objects, subject="objects")
            if items is None:
                if apart and not self._key_files.list():
                    yield from keys_apart()
                else:
                    yield from surviving(check_keys(session, self._key_files), subject="keys")
                    yield from surviving(check_keyrings(session, self._key_files, self._keys), subject="keys")
                yield from surviving(check_numbers(session), subject="catalogue")

    def opened(
        self,
        keys: Mapping[UUID, KeyIdentity],
        fixity: dict[UUID, ReceivedFixity],
        *,
        items: Sequence[UUID] | None = None,
        watch: Watch = silent,
        spoken: Spoken | None = None,
    ) -> Iterator[Found]:
        """Check what only keys can tell; put into `fixity` what each item was received with.

        `spoken` is filled with what the log names, where the whole of it is read.
        """
        if items is not None:
            yield from surviving(check_items_opened(self._database, keys, items, fixity), subject="log")
            return
        heard = spoken if spoken is not None else Spoken()
        with self._database.reading() as session:
            for each in surviving(OpenedAudit(session, keys, fixity, heard, watch).run(), subject="log"):
                yield _with_items(session, each)

    @contextmanager
    def _holding_publication(self) -> Iterator[None]:
        try:
            descriptor = os.open(self._log_lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield  # Nothing was ever published here, or this is a copy that nobody publishes.
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)


def _parsed(note: object) -> Checkpoint | None:
    """Read a checkpoint's note; one that cannot be read is named by the check of the log."""
    with suppress(IntegrityError):
        return Checkpoint.parse(SignedNote.parse(note).text) if isinstance(note, bytes) else None
    return None


def _destroyed(session: Session, items: Sequence[UUID] | None) -> int:
    statement = select(func.count()).select_from(ItemRow).where(ItemRow.state == DESTROYED)
    if items is not None:
        statement = statement.where(ItemRow.id.in_(items))
    return session.execute(statement).scalar_one()


def _with_items(session: Session, found: Found) -> Found:
    """Name the items that the entries of a finding speak of, as far as the catalogue's index knows them."""
    first, end = found.evidence.get("first"), found.evidence.get("end")
    if found.finding is Finding.MATCHES or not isinstance(first, int) or not isinstance(end, int):
        return found
    statement = (
        select(untyped(ItemRow.number))
        .join(EntrySubjectRow, EntrySubjectRow.owner_id == ItemRow.id)
        .where(EntrySubjectRow.seq >= first, EntrySubjectRow.seq < end)
        .distinct()
        .order_by(ItemRow.number)
        .limit(_MOST_NAMED + 1)
    )
    numbers = session.execute(statement).scalars().all()
    if not numbers:
        return found
    named = {"items": tuple(map(str, numbers)), "more_items": len(numbers) > _MOST_NAMED}
    return replace(found, evidence={**found.evidence, **named})
