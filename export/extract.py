"""The extract of the custody log that a packet carries: every entry of its items, opened as far as this reader may see.

An entry that also speaks of another item stays closed in whatever is that item's own, and in a free text that could
speak of it. The same content may have come in for several incidents: that it did is never left out, but what a sender
gave along (names, claims) is opened only of receipts for the matter that the packet is of. What stays closed is still
committed to, and can be opened by order without opening anything else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.models import EntrySubjectRow
from custody.canonical import canonical_bytes
from custody.entries import EventKind
from custody.register import OpenedEntry, OpenedValue, Register
from export.selection import Selection

_GENERAL = frozenset(
    {"recorded_time", "event_time", "actor", "role", "instrument", "purpose", "reason", "code", "authority"}
)
_OF_ITEMS = frozenset(
    {
        "run",
        "fixity",
        "object",
        "original_name",
        "format",
        "extraction",
        "claims",
        "policy",
        "duplicate",
        "received_as",
        "credentials",
        "clock_offset",
        "small_copy",
        "copy",
        "intake",
        "derivative",
        "not_processed",
    }
)
_OF_SENDERS = frozenset({"original_name", "claims", "duplicate"})
_FREE_TEXT = frozenset({"reason"})
_OF_RELEASE = frozenset({"packet"})
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of `custody-log.jsonl`, and what a page tells of it. `numbers` are the running numbers by item."""

    seq: int
    text: bytes
    event: str
    outcome: str
    general: Mapping[str, Any]
    numbers: Mapping[UUID, int]
    closed: int


def read_extract(
    database: Database,
    register: Register,
    keys: Mapping[UUID, KeyIdentity],
    selection: Selection,
    *,
    release: int,
) -> Iterator[Line]:
    """Yield a line for every entry that names one of the items, in the order of the log, up to the release."""
    items = [item.id for item in selection.items]
    with database.reading() as session:
        seqs = _seqs_of(session, items, release)
        strangers = _entries_with_others(session, seqs, frozenset(items))
    for start in range(0, len(seqs), _AT_ONCE):
        for opened in register.open(seqs[start : start + _AT_ONCE], keys):
            seq = opened.entry.seq
            rule = _Rule(
                selection=selection,
                items=frozenset(items),
                seq=seq,
                is_receipt=opened.entry.event is EventKind.INGESTION,
                is_release=seq == release,
                speaks_of_others=seq in strangers,
            )
            yield _line(opened, [value for value in opened.values if rule.opens(value)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """Which values of one entry this reader may see."""

    selection: Selection
    items: frozenset[UUID]
    seq: int
    is_receipt: bool
    is_release: bool
    speaks_of_others: bool

    def opens(self, value: OpenedValue) -> bool:
        if value.owner_id == self.selection.organisation.id:
            if value.name in _FREE_TEXT and self.speaks_of_others:
                return False
            return value.name in _GENERAL or (self.is_release and value.name in _OF_RELEASE)
        # The owner is who could open it, the member is whom it is about; both must be an item of this packet.
        about = value.value.get("item") if isinstance(value.value, dict) else None
        if value.owner_id not in self.items or about != str(value.owner_id) or value.name not in _OF_ITEMS:
            return False
        return value.name not in _OF_SENDERS or self._is_of_the_matter(value.owner_id)

    def _is_of_the_matter(self, item: UUID) -> bool:
        """Tell whether this receipt was one for the packet's matter; one of which nothing is known is none."""
        if self.is_receipt:
            return item not in self.selection.linked
        return self.seq in self.selection.received_here.get(item, ())


def _line(opened: OpenedEntry, shown: Sequence[OpenedValue]) -> Line:
    record = {"disclosures": [value.disclosure.text for value in shown], "leaf": opened.leaf.decode("ascii")}
    return Line(
        seq=opened.entry.seq,
        text=canonical_bytes(record) + b"\n",
        event=str(opened.entry.event),
        outcome=str(opened.entry.outcome),
        general={value.name: value.value for value in shown if value.name in _GENERAL},
        numbers={value.owner_id: value.value["number"] for value in shown if value.name == "run"},
        closed=len(opened.entry.sd) - len(shown),
    )


def _seqs_of(session: Session, items: Sequence[UUID], release: int) -> list[int]:
    found: set[int] = set()
    for some in _cut(items):
        statement = select(EntrySubjectRow.seq).where(
            EntrySubjectRow.owner_id.in_(some), EntrySubjectRow.seq <= release
        )
        found.update(session.execute(statement).scalars())
    return sorted(found)


def _entries_with_others(session: Session, seqs: Sequence[int], items: frozenset[UUID]) -> frozenset[int]:
    """Find the entries that also speak of an item outside the packet; only items have running numbers."""
    found: set[int] = set()
    for some in _cut(seqs):
        statement = select(EntrySubjectRow.seq, EntrySubjectRow.owner_id).where(
            EntrySubjectRow.seq.in_(some), EntrySubjectRow.run_number.is_not(None)
        )
        found.update(seq for seq, owner_id in session.execute(statement) if owner_id not in items)
    return frozenset(found)


def _cut(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
