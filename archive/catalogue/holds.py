"""Queries about holds and approvals."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.catalogue.incidents import items_linked_to
from archive.catalogue.records import Approval, Hold, Item
from archive.errors import NotFoundError

WITHDRAWN = "withdrawn"
"""The state of an approval that nobody can agree to any more: the account that asked was closed."""

_hold = Hold.table.c
_approval = Approval.table.c


def hold_by_number(session: Session, number: str) -> tuple[Hold, int]:
    """Return the hold and the entry its record stands in. Raises: NotFoundError `archive/no-such-hold`."""
    row = session.execute(select(Hold.table).where(_hold.number == number)).mappings().first()
    if row is None:
        raise NotFoundError("archive/no-such-hold", "There is no such hold. `testigo hold ls` lists the holds.")
    return Hold.from_row(row), row["record_seq"]


def list_holds(session: Session) -> list[tuple[Hold, int]]:
    rows = session.execute(select(Hold.table).order_by(_hold.number)).mappings()
    return [(Hold.from_row(row), row["record_seq"]) for row in rows]


def holds_on(session: Session, item: Item) -> list[Hold]:
    """Return the holds in force on one item, as `holds_on_each`."""
    return holds_on_each(session, [item])[item.id]


def holds_on_each(session: Session, items: Sequence[Item]) -> dict[UUID, list[Hold]]:
    """Return the holds in force on each item: its own, its incident's, and those of incidents it was linked to.

    A hold catches what its incident still receives, also where the same content was here already for another incident.
    """
    rows = session.execute(select(Hold.table).where(_hold.status == "active").order_by(_hold.number)).mappings()
    active = [Hold.from_row(row) for row in rows]
    linked = {hold.id: items_linked_to(session, hold.incident_id) for hold in active if hold.incident_id is not None}
    return {
        item.id: [
            hold
            for hold in active
            if hold.item_id == item.id or hold.incident_id == item.incident_id or item.id in linked.get(hold.id, ())
        ]
        for item in items
    }


def waiting_approval(session: Session, act: str, subject_id: UUID) -> Approval | None:
    """Return the approval that was asked for and not yet decided."""
    statement = select(Approval.table).where(
        _approval.act == act, _approval.subject_id == subject_id, _approval.status == "requested"
    )
    row = session.execute(statement).mappings().first()
    return Approval.from_row(row) if row is not None else None


def waiting_approvals(session: Session) -> list[Approval]:
    """Return every approval that was asked for and not yet decided, oldest first."""
    statement = select(Approval.table).where(_approval.status == "requested").order_by(_approval.requested_time)
    return [Approval.from_row(row) for row in session.execute(statement).mappings()]
