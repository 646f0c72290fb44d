"""`verify --since`: which items anything was entered of from a place in the log on."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from archive.catalogue.models import EntrySubjectRow, ItemRow
from archive.errors import InputError
from cli import Rooms
from custody.outside import Outside
from custody.outside_files import read_outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """A place in the log, the evidence that named it, and the items that entries from there on speak of.

    `items` is None where they are so many that all are looked at; `others` counts those that are not.
    """

    entry: int
    evidence: Outside | None
    items: list[UUID] | None
    others: int


_MOST_NAMED = 30_000
"""A statement of the catalogue names so many items; where there are more, all are checked."""


def read_since(rooms: Rooms, text: str) -> Since:
    """Read an entry's number, or a file that holds a checkpoint, whose size is the number of the next entry.

    A checkpoint of a longer log than the one here is not refused: comparing it tells that the log was set back.
    Raises: InputError `custody/no-such-entry`; as `read_outside`.
    """
    evidence = None if text.isascii() and text.isdigit() else read_outside(Path(text))
    entry = int(text) if evidence is None else evidence.checkpoint.size
    extent = rooms.audit.extent()
    if evidence is None and entry > extent.entries:
        raise InputError(
            "custody/no-such-entry",
            "The log has no entry of that number yet. Nothing was checked. Where you know that it had one, the log was "
            "set back: compare it with `testigo verify --against` and a checkpoint or receipt of that time.",
            evidence={"asked for": entry, "entries": extent.entries},
        )
    with rooms.catalogue_as_it_lies.reading() as session:
        spoken_of = select(EntrySubjectRow.owner_id).where(EntrySubjectRow.seq >= entry)
        statement = select(ItemRow.id).where(ItemRow.id.in_(spoken_of)).order_by(ItemRow.id)
        items = list(session.execute(statement).scalars())
    if len(items) > _MOST_NAMED:
        return Since(entry=entry, evidence=evidence, items=None, others=0)
    return Since(entry=entry, evidence=evidence, items=items, others=extent.items - len(items))
