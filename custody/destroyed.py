"""Which items the log says were destroyed, as far as that can be told without a key.

The kind of an entry is open, and stands under checkpoints; whom it is of stands in the catalogue's index, which keys
confirm. A row alone is nobody's word.
"""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.catalogue.models import EntryRow, EntrySubjectRow, ItemRow
from custody.entries import EventKind

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
