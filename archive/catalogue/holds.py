"""Queries about holds and approvals."""

from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from archive.catalogue.records import Approval, Hold, Item
from archive.errors import NotFoundError

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
    """Return the holds in force on an item, its own and its incident's (new items of a held incident are caught)."""
    statement = select(Hold.table).where(
        _hold.status == "active", or_(_hold.item_id == item.id, _hold.incident_id == item.incident_id)
    )
    return [Hold.from_row(row) for row in session.execute(statement.order_by(_hold.number)).mappings()]


def waiting_approval(session: Session, act: str, subject_id: UUID) -> Approval | None:
    """Return the approval that was asked for and not yet decided."""
    statement = select(Approval.table).where(
        _approval.act == act, _approval.subject_id == subject_id, _approval.status == "requested"
    )
    row = session.execute(statement).mappings().first()
    return Approval.from_row(row) if row is not None else None
