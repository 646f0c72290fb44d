"""What the catalogue's rows say of senders: what they allow of each item, and which packets it already stands in.

Rows are quick and work while locked. Whether something leaves is decided from the log (`custody.consents`), which
must say the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.catalogue.drops import deliveries_of
from archive.catalogue.models import EntrySubjectRow
from archive.catalogue.records import Consent, Delivery, Item, Packet, Visit

WITHDRAWN_LEVEL = "vault_only"
STORED = "stored"
"""The outcome of a delivery that brought an item first."""

_delivery = Delivery.table.c
_consent = Consent.table.c
_packet = Packet.table.c
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the sender of one visit allows of an item, by their newest word.

    `level` is None where they have not said anything since they brought it: it was never handed over.
    """

    visit_id: UUID
    level: str | None
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One version of a consent; `seq` is its entry."""

    visit_id: UUID
    version: int
    seq: int
    level: str
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """That a visit brought an item; `seq` is the entry."""

    item_id: UUID
    visit_id: UUID
    seq: int
    first: bool


def said_of(brought: Sequence[Brought], words: Sequence[Word]) -> dict[UUID, tuple[Said, ...]]:
    """Lay what senders said beside what they brought, by item.

    An item is its sender's where a delivery brought it first; what the office had before stays the office's. To stop
    is of all that a visit ever brought; any other word, of what it had brought by then.
    """
    newest: dict[UUID, Word] = {}
    for word in sorted(words, key=lambda each: each.version):
        newest[word.visit_id] = word
    firsts: dict[tuple[UUID, UUID], int] = {}
    for each in brought:
        key = (each.item_id, each.visit_id)
        firsts[key] = min(each.seq, firsts.get(key, each.seq))
    theirs = {each.item_id for each in brought if each.first}
    found: dict[UUID, list[Said]] = {}
    for (item_id, visit_id), seq in sorted(firsts.items()):
        if item_id in theirs:
            found.setdefault(item_id, []).append(_said(visit_id, seq, newest.get(visit_id)))
    return {item_id: tuple(each) for item_id, each in found.items()}


def said_of_items(session: Session, item_ids: Sequence[UUID]) -> dict[UUID, tuple[Said, ...]]:
    """Return what the rows say of these items; those of no sender are not among them."""
    brought = [
        Brought(item_id=row.item_id, visit_id=row.visit_id, seq=row.record_seq, first=row.outcome == STORED)
        for some in _cut(item_ids)
        for row in session.execute(
            select(_delivery.item_id, _delivery.visit_id, _delivery.record_seq, _delivery.outcome).where(
                _delivery.item_id.in_(some)
            )
        )
    ]
    visits = sorted({each.visit_id for each in brought})
    words = [
        Word(
            visit_id=row.visit_id,
            version=row.version,
            seq=row.record_seq,
            level=row.level,
            audiences=audiences_of(row.audiences),
        )
        for some in _cut(visits)
        for row in session.execute(select(Consent.table).where(_consent.visit_id.in_(some)))
    ]
    return said_of(brought, words)


def audiences_of(text: str) -> tuple[str, ...]:
    """Read the audiences of a consent's record."""
    return tuple(filter(None, text.split(",")))


def packets_holding(session: Session, item_ids: Sequence[UUID]) -> list[str]:
    """Return the numbers of the packets that were released with one of these items in it, in order.

    The last entry of a released packet's record is its release, which names each of its items.
    """
    found: set[str] = set()
    for some in _cut(item_ids):
        named = select(EntrySubjectRow.seq).where(EntrySubjectRow.owner_id.in_(some))
        released = select(_packet.number).where(_packet.status == "released", _packet.record_seq.in_(named))
        found.update(session.execute(released).scalars())
    return sorted(found)


def recalls_of(session: Session) -> dict[UUID, list[str]]:
    """Return, by packet, the numbers of the items in it whose sender has said stop: its receiver is to be told."""
    statement = (
        select(_packet.id, Item.table.c.number)
        .join(EntrySubjectRow, EntrySubjectRow.seq == _packet.record_seq)
        .join(Item.table, Item.table.c.id == EntrySubjectRow.owner_id)
        .join(Delivery.table, _delivery.item_id == Item.table.c.id)
        .join(Visit.table, Visit.table.c.id == _delivery.visit_id)
        .where(_packet.status == "released", Visit.table.c.status == "stopped")
        .distinct()
        .order_by(Item.table.c.number)
    )
    found: dict[UUID, list[str]] = {}
    for packet_id, number in session.execute(statement):
        found.setdefault(packet_id, []).append(number)
    return found


def list_packets(session: Session) -> list[tuple[Packet, int]]:
    """Return each packet with the entry that its record stands in, the oldest first."""
    rows = session.execute(select(Packet.table).order_by(_packet.number)).mappings()
    return [(Packet.from_row(row), row["record_seq"]) for row in rows]


def packets_of_visit(session: Session, visit_id: UUID) -> list[str]:
    """Return the numbers of the packets that hold anything of what a visit brought."""
    return packets_holding(session, [each.item_id for each in deliveries_of(session, visit_id) if each.item_id])


def _said(visit_id: UUID, seq: int, word: Word | None) -> Said:
    if word is None or (word.seq < seq and word.level != WITHDRAWN_LEVEL):
        return Said(visit_id=visit_id, level=None, audiences=())
    return Said(visit_id=visit_id, level=word.level, audiences=word.audiences)


def _cut(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
