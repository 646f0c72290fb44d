"""The full check: each original is opened and read to its end, its SHA-256 and size compared with those of its receipt.

Each item gets a `fixity check` entry with the outcome. The access itself is in the log before (`audit_keys`).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.items import items_by_id, objects_of
from archive.catalogue.records import Item
from archive.errors import IntegrityError, LockedError, TestigoError
from archive.types import Actor, Digest, DigestAlgorithm, Finding, Outcome
from archive.vault import Vault
from custody.audit_objects import rows_by_id
from custody.audit_opened import ReceivedFixity
from custody.canonical import Json
from custody.destroyed import DESTROYED
from custody.drafts import Draft, ItemPart, Values
from custody.entries import EventKind
from custody.findings import Found, differs, from_error, matches, unknown
from custody.ledger import Ledger

Watch = Callable[[str, int, int], None]

_BLOCK = 1 << 20
_IN_A_TRANSACTION = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What became of reading one original."""

    item: Item
    fixity: ReceivedFixity | None
    error: TestigoError | None


class FullCheck:
    """Opens originals. `keys` and `fixity` come from the audit that went before."""

    def __init__(self, *, database: Database, vault: Vault, ledger: Ledger, actor: Actor, threads: int) -> None:
        self._database = database
        self._vault = vault
        self._ledger = ledger
        self._actor = actor
        self._threads = threads

    def run(
        self,
        keys: Mapping[UUID, KeyIdentity],
        received: Mapping[UUID, ReceivedFixity],
        *,
        items: Sequence[UUID] | None,
        watch: Watch,
    ) -> Iterator[Found]:
        """Check every item, or those given; one entry each, in groups."""
        wanted: list[Item] = []
        with self._database.reading() as session:
            for number, known in self._rows(session, None if items is None else frozenset(items)):
                if known is None:
                    yield from_error(_unreadable(), subject=number)
                elif known.state != DESTROYED:
                    wanted.append(known)
        total = sum(item.size for item in wanted)
        done = good = 0
        with ThreadPoolExecutor(max_workers=self._threads, thread_name_prefix="full") as pool:
            reads = pool.map(lambda item: self._read(item, keys), wanted)
            while group := list(islice(reads, _IN_A_TRANSACTION)):
                findings = [(read, _compare(read, received.get(read.item.id))) for read in group]
                self._record(findings)
                for read, found in findings:
                    done += read.item.size
                    good += found is None
                    if found is not None:
                        yield found
                watch("originals", done, total)
        words = "originals open and have the SHA-256 and size of their receipt"
        one = "original opens and has the SHA-256 and size of its receipt"
        yield matches("originals", words, good, one=one)

    def _rows(self, session: Session, items: frozenset[UUID] | None) -> Iterator[tuple[str, Item | None]]:
        """Give each item by its number, and None for one whose row cannot be read: that keeps no other from this."""
        columns = Item.table.c
        numbered = [(str(number), item_id) for item_id, number in rows_by_id(session, columns.id, columns.number)]
        for number, item_id in sorted(numbered):
            if items is None or item_id in items:
                try:
                    yield number, items_by_id(session, [item_id])[item_id]
                except (IntegrityError, KeyError):
                    yield number, None

    def _read(self, item: Item, keys: Mapping[UUID, KeyIdentity]) -> _Read:
        try:
            with self._database.reading() as session:
                stored = objects_of(session, item.id).get("original")
            if stored is None or item.id not in keys:
                return _Read(item=item, fixity=None, error=None)
            digest = hashlib.sha256()
            with self._vault.open_object(keys[item.id], Digest(DigestAlgorithm.BLAKE3, stored.blake3)) as reader:
                buffer = memoryview(bytearray(_BLOCK))
                while count := reader.readinto(buffer):
                    digest.update(buffer[:count])
                size = reader.size
        except TestigoError as error:
            return _Read(item=item, fixity=None, error=error)
        return _Read(item=item, fixity=ReceivedFixity(sha256=digest.hexdigest(), size=size), error=None)

    def _record(self, findings: Sequence[tuple[_Read, Found | None]]) -> None:
        with self._ledger.transaction() as transaction:
            for read, found in findings:
                values: Values = (("purpose", "fixity check of the original"),)
                outcome = Outcome.SUCCESS
                if found is not None:
                    values = (*values, ("code", found.code))
                    outcome = Outcome.FAILURE if found.finding is Finding.DOES_NOT_MATCH else Outcome.WARNING
                own: Values = ()
                if read.fixity is not None:
                    stated: dict[str, Json] = {"sha256": read.fixity.sha256, "size": read.fixity.size}
                    own = (("fixity", {"item": str(read.item.id), "stage": "check", **stated}),)
                part = ItemPart(item_id=read.item.id, recipient=read.item.recipient, values=own)
                transaction.record(
                    Draft(
                        event=EventKind.FIXITY_CHECK, outcome=outcome, actor=self._actor, values=values, items=(part,)
                    )
                )


def _unreadable() -> IntegrityError:
    """Give what is said of a row in which somebody put what its column cannot hold."""
    return IntegrityError(
        "archive/row-unreadable",
        "A row of it holds what its column never held: it was changed. Its original was not opened.",
    )


def _compare(read: _Read, received: ReceivedFixity | None) -> Found | None:
    """Judge one reading; None where it matches."""
    number = read.item.number
    if isinstance(read.error, LockedError):
        words = "Its original does not open with its key: the object or the key was exchanged."
        return differs("custody/original-exchanged", words, subject=number)
    if read.error is not None:
        return from_error(read.error, subject=number)
    if read.fixity is None:
        words = "Its original could not be opened: its key or its record is not there."
        return unknown("custody/original-unopened", words, subject=number)
    if received is None:
        words = "The log does not tell what it was received with, so its content cannot be compared."
        return unknown("custody/fixity-unknown", words, subject=number)
    if read.fixity != received:
        return differs(
            "custody/content-differs",
            "The content differs from its first fingerprint.",
            subject=number,
            received=received.sha256,
            found=read.fixity.sha256,
            received_size=received.size,
            found_size=read.fixity.size,
        )
    return None
