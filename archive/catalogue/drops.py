"""Queries about drop links, visits and what they delivered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.orm import Session

from archive.catalogue.drop_models import SlipRow, UploadRow
from archive.catalogue.models import CheckpointRow
from archive.catalogue.records import Consent, Delivery, DropLink, Incident, Question, Visit
from archive.errors import NotFoundError
from archive.types import Owner, OwnerKind

RECEIVING = "receiving"
CLOSING = "closing"
"""Takes no more octets; what arrived is about to become an item."""
ENDED = "ended"
DAMAGED = "damaged"
"""Takes no more octets either: some of those that it had do not open any more. People were told to look."""
WAITING = (RECEIVING, CLOSING, DAMAGED)
SILENT_FOR = timedelta(seconds=30)
SLOW_FOR, SLOW_OCTETS = timedelta(minutes=10), 64 << 10
"""Whoever brings less than so much in such a while keeps a place with an octet now and then."""

_link = DropLink.table.c
_visit = Visit.table.c
_delivery = Delivery.table.c
_consent = Consent.table.c
_question = Question.table.c
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload as its row says. Shapes: `name` is the digest of its address."""

    name: bytes
    visit_id: UUID
    drop_link_id: UUID
    declared: int
    received: int
    state: str
    changed_time: datetime

    @property
    def is_whole(self) -> bool:
        return self.received == self.declared


def sender_compartment(visit_id: UUID) -> UUID:
    """Give the id of a sender's own compartment, which the office has no key of; the visit's has another."""
    return uuid5(visit_id, "sender")


def _upload(row: UploadRow) -> Upload:
    return Upload(
        name=row.name,
        visit_id=row.visit_id,
        drop_link_id=row.drop_link_id,
        declared=row.declared,
        received=row.received,
        state=row.state,
        changed_time=row.changed_time,
    )


def upload_by_name(session: Session, name: bytes) -> Upload | None:
    row = session.get(UploadRow, name)
    return _upload(row) if row is not None else None


def link_by_mac(session: Session, code_mac: bytes) -> tuple[DropLink, int] | None:
    row = session.execute(select(DropLink.table).where(_link.code_mac == code_mac)).mappings().first()
    return (DropLink.from_row(row), row["record_seq"]) if row is not None else None


def link_by_id(session: Session, link_id: UUID) -> DropLink:
    return DropLink.from_row(session.execute(select(DropLink.table).where(_link.id == link_id)).mappings().one())


def link_by_number(session: Session, number: str) -> DropLink:
    """Return a drop link. Raises: NotFoundError `drop/no-such-link`."""
    row = session.execute(select(DropLink.table).where(_link.number == number)).mappings().first()
    if row is None:
        raise NotFoundError("drop/no-such-link", "There is no such drop link. `testigo drop ls` lists them.")
    return DropLink.from_row(row)


def list_links(session: Session) -> list[tuple[DropLink, str, int, int]]:
    """Return each link, its incident's number, and how many visits and octets came through it."""
    statement = select(DropLink.table, Incident.table.c.number.label("incident")).join(
        Incident.table, Incident.table.c.id == _link.incident_id
    )
    return [
        (
            DropLink.from_row(row),
            row["incident"],
            visits_through(session, row["id"]),
            octets_through(session, row["id"]),
        )
        for row in session.execute(statement.order_by(_link.number)).mappings()
    ]


def visits_through(session: Session, link_id: UUID) -> int:
    statement = select(func.count()).select_from(Visit.table).where(_visit.drop_link_id == link_id)
    return session.execute(statement).scalar() or 0


def octets_through(session: Session, link_id: UUID) -> int:
    """Count what arrived through a link: what was delivered, and what unfinished uploads have received."""
    delivered = (
        select(func.coalesce(func.sum(_delivery.size), 0))
        .join(Visit.table, _visit.id == _delivery.visit_id)
        .where(_visit.drop_link_id == link_id)
    )
    waiting = select(func.coalesce(func.sum(UploadRow.received), 0)).where(
        UploadRow.drop_link_id == link_id, UploadRow.state.in_(WAITING), ~_is_delivered()
    )
    return int(session.execute(delivered).scalar() or 0) + int(session.execute(waiting).scalar() or 0)


def files_through(session: Session, link_id: UUID) -> int:
    """Count the files that were delivered through a link, and those of which anything arrived, or that are empty.

    Deliveries are records, which a rebuilt catalogue has, too; the list of uploads is none.
    """
    delivered = select(func.count()).select_from(Delivery.table).join(Visit.table, _visit.id == _delivery.visit_id)
    came = (UploadRow.drop_link_id == link_id) & ((UploadRow.received > 0) | (UploadRow.declared == 0))
    others = select(func.count()).select_from(UploadRow).where(came, ~_is_delivered())
    counts = delivered.where(_visit.drop_link_id == link_id), others
    return sum(session.execute(count).scalar() or 0 for count in counts)


def promised_by(session: Session, visit_id: UUID) -> tuple[int, int]:
    """Return the octets that a visit's uploads have yet to bring, and the files of it of which nothing came."""
    left = func.coalesce(func.sum(UploadRow.declared - UploadRow.received), 0)
    coming = select(left).where(UploadRow.visit_id == visit_id, UploadRow.state == RECEIVING)
    of_it = (UploadRow.visit_id == visit_id) & (UploadRow.received == 0) & (UploadRow.declared > 0)
    empty = select(func.count()).select_from(UploadRow).where(of_it, UploadRow.state == RECEIVING)
    return int(session.execute(coming).scalar() or 0), session.execute(empty).scalar() or 0


def room_promised(session: Session, now: datetime, share: int) -> int:
    """Count the room that open uploads will take until they are in, staged and stored.

    What an upload has yet to bring counts up to what it has brought, and a share while somebody sends it; or a few that
    bring nothing would take all room by what they declare.
    """
    left = UploadRow.declared - UploadRow.received
    most = UploadRow.received + case((_hardly_moves(now), 0), else_=share)
    coming = case((left < most, left), else_=most)
    open_ = UploadRow.state.in_(WAITING)
    total = select(func.coalesce(func.sum(UploadRow.received + 2 * coming), 0)).where(open_)
    return int(session.execute(total).scalar() or 0)


def _hardly_moves(now: datetime) -> ColumnElement[bool]:
    silent = UploadRow.changed_time < now - SILENT_FOR
    slow = (UploadRow.created_time < now - SLOW_FOR) & (UploadRow.received < SLOW_OCTETS)
    return silent | slow


def uploads_that_give_way(
    session: Session, now: datetime, most: int, *, link_id: UUID | None = None, visit_id: UUID | None = None
) -> list[tuple[bytes, int]]:
    """Return the open uploads that nobody sends, or that hardly move, and the octets that each has: the smallest first,
    then the oldest."""
    where = _open(link_id, visit_id) & _hardly_moves(now)
    statement = select(UploadRow.name, UploadRow.received).where(where)
    smallest = statement.order_by(UploadRow.received, UploadRow.changed_time).limit(most)
    return [(row[0], row[1]) for row in session.execute(smallest)]


def uploads_of_closed_links(session: Session, now: datetime, most: int) -> list[bytes]:
    """Return the names of open uploads whose link was revoked, or has expired while nobody sent them."""
    expired = (_link.expires_time <= now) & (UploadRow.changed_time < now - SLOW_FOR)
    statement = (
        select(UploadRow.name)
        .join(DropLink.table, _link.id == UploadRow.drop_link_id)
        .where(_open() & ((_link.status != "open") | expired))
        .order_by(UploadRow.changed_time)
    )
    return list(session.execute(statement.limit(most)).scalars())


def close_uploads_of(session: Session, link_id: UUID) -> None:
    """Have the open uploads of a link take no more; what arrived of them waits to become items."""
    session.execute(update(UploadRow).where(_open(link_id)).values(state=CLOSING))


def _open(link_id: UUID | None = None, visit_id: UUID | None = None) -> ColumnElement[bool]:
    its = (UploadRow.state == RECEIVING) & (UploadRow.received < UploadRow.declared)
    if link_id is not None:
        its &= UploadRow.drop_link_id == link_id
    return its if visit_id is None else its & (UploadRow.visit_id == visit_id)


def _is_delivered() -> ColumnElement[bool]:
    return select(_delivery.id).where(_delivery.upload == UploadRow.name).exists()


def open_uploads(session: Session, *, link_id: UUID | None = None, visit_id: UUID | None = None) -> int:
    statement = select(func.count()).select_from(UploadRow).where(_open(link_id, visit_id))
    return session.execute(statement).scalar() or 0


def unfinished_uploads(session: Session) -> list[Upload]:
    """Return the uploads that are no items yet, the oldest first."""
    statement = select(UploadRow).where(UploadRow.state.in_(WAITING)).order_by(UploadRow.changed_time, UploadRow.name)
    return [_upload(row) for row in session.execute(statement).scalars()]


def uploads_of(session: Session, visit_id: UUID) -> list[Upload]:
    statement = select(UploadRow).where(UploadRow.visit_id == visit_id).order_by(UploadRow.created_time, UploadRow.name)
    return [_upload(row) for row in session.execute(statement).scalars()]


def has_brought(session: Session, visit_id: UUID) -> bool:
    """Tell whether anything arrived of a visit, in whatever state it is."""
    came = select(UploadRow.name).where(UploadRow.visit_id == visit_id, UploadRow.received > 0)
    delivered = select(_delivery.id).where(_delivery.visit_id == visit_id)
    return any(session.execute(each.limit(1)).first() is not None for each in (came, delivered))


def close_uploads_of_visit(session: Session, visit_id: UUID) -> None:
    """See that nothing more is acknowledged of a visit's uploads; whoever writes one finds out at its next look."""
    under_way = (
        (UploadRow.visit_id == visit_id) & (UploadRow.state == RECEIVING) & (UploadRow.received < UploadRow.declared)
    )
    session.execute(update(UploadRow).where(under_way).values(state=CLOSING))


def visit_by_id(session: Session, visit_id: UUID) -> Visit | None:
    row = session.execute(select(Visit.table).where(_visit.id == visit_id)).mappings().first()
    return Visit.from_row(row) if row is not None else None


def list_visits(session: Session, visit_id: UUID | None = None) -> list[tuple[Visit, str, str]]:
    """Return visits, the oldest first, or one; each with the numbers of its incident and of its drop link."""
    statement = (
        select(Visit.table, Incident.table.c.number.label("incident"), _link.number.label("link"))
        .join(Incident.table, Incident.table.c.id == _visit.incident_id)
        .join(DropLink.table, _link.id == _visit.drop_link_id)
        .order_by(_visit.created_time, _visit.id)
    )
    if visit_id is not None:
        statement = statement.where(_visit.id == visit_id)
    rows = session.execute(statement).mappings()
    return [(Visit.from_row(row), row["incident"], row["link"]) for row in rows]


def visit_is_published(session: Session, visit_id: UUID) -> bool:
    """Tell whether a checkpoint covers the newest entry of a visit's record, so that the store alone would show it."""
    covered = select(func.coalesce(func.max(CheckpointRow.size), 0)).scalar_subquery()
    return bool(session.execute(select(_visit.record_seq < covered).where(_visit.id == visit_id)).scalar())


def visit_by_code(session: Session, code_digest: bytes) -> Visit | None:
    row = session.execute(select(Visit.table).where(_visit.code_digest == code_digest)).mappings().first()
    return Visit.from_row(row) if row is not None else None


def visit_by_number(session: Session, number: str) -> Visit:
    """Return a visit by its receipt number. Raises: NotFoundError `visits/no-such-receipt`."""
    row = session.execute(select(Visit.table).where(_visit.number == number)).mappings().first()
    if row is None:
        raise NotFoundError("visits/no-such-receipt", "There is no such receipt. Nothing was changed.")
    return Visit.from_row(row)


def delivery_of(session: Session, upload: bytes) -> Delivery | None:
    row = session.execute(select(Delivery.table).where(_delivery.upload == upload)).mappings().first()
    return Delivery.from_row(row) if row is not None else None


def deliveries_of(session: Session, visit_id: UUID) -> list[Delivery]:
    statement = select(Delivery.table).where(_delivery.visit_id == visit_id)
    rows = session.execute(statement.order_by(_delivery.delivered_time, _delivery.id)).mappings()
    return [Delivery.from_row(row) for row in rows]


def visits_of_item(session: Session, item_id: UUID) -> list[Visit]:
    """Return the visits through which an item came; one item may have come through several."""
    statement = select(Visit.table).where(_visit.id.in_(select(_delivery.visit_id).where(_delivery.item_id == item_id)))
    return [Visit.from_row(row) for row in session.execute(statement).mappings()]


def sender_owner(visit_id: UUID) -> Owner:
    """The sender's own compartment has an id of its own, for the office opens the visit's with another key."""
    return Owner(kind=OwnerKind.SENDER, id=sender_compartment(visit_id))


def senders_of(session: Session, item_ids: Sequence[UUID]) -> list[Owner]:
    """Return the senders of these items, to be named in the entry where a person looks at one.

    No machine names them; so their status tells a person's look from a preview's or an audit's, also while locked.
    """
    visits: set[UUID] = set()
    for start in range(0, len(item_ids), _AT_ONCE):
        some = item_ids[start : start + _AT_ONCE]
        visits.update(session.execute(select(_delivery.visit_id).where(_delivery.item_id.in_(some))).scalars())
    return [sender_owner(visit_id) for visit_id in sorted(visits)]


def newest_consent(session: Session, visit_id: UUID) -> Consent | None:
    statement = select(Consent.table).where(_consent.visit_id == visit_id).order_by(_consent.version.desc()).limit(1)
    row = session.execute(statement).mappings().first()
    return Consent.from_row(row) if row is not None else None


def items_without_consent(session: Session, visit_id: UUID) -> set[UUID]:
    """Return the items of a visit that came after its sender last said what they allow, and are new to it."""
    told = func.coalesce(
        select(func.max(_consent.record_seq)).where(_consent.visit_id == visit_id).scalar_subquery(), -1
    )
    ours = select(_delivery.item_id).where(_delivery.visit_id == visit_id, _delivery.item_id.is_not(None))
    covered = set(session.execute(ours.where(_delivery.record_seq < told)).scalars())
    return {item for item in session.execute(ours).scalars() if item is not None} - covered


def questions_of(session: Session, visit_id: UUID) -> list[tuple[Question, int]]:
    statement = select(Question.table).where(_question.visit_id == visit_id).order_by(_question.asked_time)
    return [(Question.from_row(row), row["record_seq"]) for row in session.execute(statement).mappings()]


def slips_of(session: Session, delivery_ids: Sequence[UUID]) -> dict[UUID, bytes]:
    statement = select(SlipRow.delivery_id, SlipRow.sealed).where(SlipRow.delivery_id.in_(delivery_ids))
    return {row[0]: row[1] for row in session.execute(statement)}
