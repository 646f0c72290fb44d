"""Which items the log says were destroyed, as far as that can be told without a key.

The kind of an entry is open, and stands under checkpoints; whom it is of stands in the catalogue's index, which keys
confirm. A row alone is nobody's word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.access import Action
from archive.catalogue.accounts import list_staff
from archive.catalogue.models import EntryRow, EntrySubjectRow, ItemRow
from archive.catalogue.records import Approval, Item
from custody.entries import EventKind
from custody.register import OpenedEntry

DESTROYED = "destroyed"


def with_deaccession(session: Session) -> frozenset[UUID]:
    """Return the items that an entry of the kind `deaccession` is indexed for, where any row says destroyed."""
    if session.execute(select(ItemRow.id).where(ItemRow.state == DESTROYED).limit(1)).first() is None:
        return frozenset()
    kind = f'"event":"{EventKind.DEACCESSION}"'.encode("ascii")
    statement = (
        select(EntrySubjectRow.owner_id)
        .join(EntryRow, EntryRow.seq == EntrySubjectRow.seq)
        .where(func.instr(EntryRow.leaf, kind) > 0, EntrySubjectRow.run_number.is_not(None))
    )
    return frozenset(session.execute(statement).scalars())


def destroying_entry(session: Session, item_id: UUID) -> int | None:
    """Return the entry of that kind that is indexed for an item: the first, for a broken-off act is entered again."""
    statement = (
        select(func.min(EntryRow.seq))
        .join(EntrySubjectRow, EntryRow.seq == EntrySubjectRow.seq)
        .where(EntrySubjectRow.owner_id == item_id, EntrySubjectRow.run_number.is_not(None))
        .where(func.instr(EntryRow.leaf, f'"event":"{EventKind.DEACCESSION}"'.encode("ascii")) > 0)
    )
    return session.execute(statement).scalar()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destruction:
    """How an item was destroyed. `entry` is None where no entry says so.

    Who asked and agreed, and when, stands open in the catalogue; `reason` stands in the entry and is None while that is
    closed. `runs` are the item's running numbers by entry.
    """

    entry: int | None
    asked_by: str | None
    asked_time: datetime | None
    agreed_by: str | None
    agreed_time: datetime | None
    reason: str | None
    runs: Mapping[int, int]

    def document(self) -> dict[str, Any]:
        """Give it as JSON shows it."""
        return {
            "entry": self.entry,
            "asked_by": self.asked_by,
            "asked_time": self.asked_time.isoformat() if self.asked_time else None,
            "agreed_by": self.agreed_by,
            "agreed_time": self.agreed_time.isoformat() if self.agreed_time else None,
            "reason": self.reason,
        }


def destruction_of(session: Session, item: Item, entries: Sequence[OpenedEntry]) -> Destruction:
    """Say how an item was destroyed, as far as `entries` were opened."""
    table, names = Approval.table, {staff.id: staff.pseudonym for staff in list_staff(session)}
    wanted = (table.c.act == Action.DESTROY, table.c.subject_id == item.id, table.c.status == "approved")
    row = session.execute(select(table).where(*wanted).order_by(table.c.record_seq)).mappings().first()
    approval = Approval.from_row(row) if row is not None else None
    entry = destroying_entry(session, item.id)
    subject = EntrySubjectRow
    runs = select(subject.seq, subject.run_number).where(subject.owner_id == item.id, subject.run_number.is_not(None))
    return Destruction(
        entry=entry,
        asked_by=names.get(approval.requested_by) if approval else None,
        asked_time=approval.requested_time if approval else None,
        agreed_by=names.get(approval.approved_by) if approval and approval.approved_by else None,
        agreed_time=approval.decided_time if approval else None,
        reason=next((each.get("reason") for each in entries if each.entry.seq == entry), None),
        runs={seq: number for seq, number in session.execute(runs) if number is not None},
    )
