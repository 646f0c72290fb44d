"""Queries about items and their objects."""

from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.catalogue.columns import untyped
from archive.catalogue.records import Item, StoredObject
from archive.errors import NotFoundError

NOT_SHOWN = frozenset({"original", "metadata", "likeness"})
"""Purposes of an item's objects that are no previews: all others were made to be looked at."""

_item = Item.table.c
_object = StoredObject.table.c
_AT_ONCE = 500


def item_by_number(session: Session, number: str) -> tuple[Item, int]:
    """Return the item and the entry that its record stands in. Raises: NotFoundError `archive/no-such-item`."""
    row = session.execute(select(Item.table).where(_item.number == number)).mappings().first()
    if row is None:
        raise NotFoundError(
            "archive/no-such-item", "There is no such item here, or you may not see it. `testigo ls` lists the items."
        )
    return Item.from_row(row), row["record_seq"]


def items_by_id(session: Session, ids: Sequence[UUID]) -> dict[UUID, Item]:
    rows = session.execute(select(Item.table).where(_item.id.in_(ids))).mappings()
    return {row["id"]: Item.from_row(row) for row in rows}


def list_items(session: Session, *, incident_id: UUID | None = None) -> list[tuple[Item, int]]:
    statement = select(Item.table).order_by(_item.number)
    if incident_id is not None:
        statement = statement.where(_item.incident_id == incident_id)
    return [(Item.from_row(row), row["record_seq"]) for row in session.execute(statement).mappings()]


def items_with_content(
    session: Session, macs: Sequence[bytes], is_here: Callable[[Item, StoredObject], bool]
) -> dict[bytes, Item]:
    """Find the first item of each content, by the MAC of its SHA-256, of which `is_here` says that it can be had.

    An item whose object or key was lost is no reason to leave out the same content when somebody brings it again.
    """
    rows = session.execute(select(Item.table).where(_item.content_mac.in_(macs)).order_by(_item.number))
    found: dict[bytes, Item] = {}
    for item in [Item.from_row(row) for row in rows.mappings()]:
        original = None if item.content_mac in found else objects_of(session, item.id).get("original")
        if item.content_mac is not None and original is not None and is_here(item, original):
            found[item.content_mac] = item
    return found


def objects_of(session: Session, item_id: UUID) -> dict[str, StoredObject]:
    """Return an item's objects by purpose."""
    rows = session.execute(select(StoredObject.table).where(_object.item_id == item_id)).mappings()
    return {row["purpose"]: StoredObject.from_row(row) for row in rows}


def objects_by_item(session: Session, item_ids: Sequence[UUID]) -> dict[UUID, dict[str, StoredObject]]:
    """Return the objects of several items, each by purpose; an item without any has an empty mapping."""
    found: dict[UUID, dict[str, StoredObject]] = {item_id: {} for item_id in item_ids}
    for start in range(0, len(item_ids), _AT_ONCE):
        some = item_ids[start : start + _AT_ONCE]
        rows = session.execute(select(StoredObject.table).where(_object.item_id.in_(some))).mappings()
        for row in rows:
            found[row["item_id"]][row["purpose"]] = StoredObject.from_row(row)
    return found


def object_digests(session: Session) -> set[bytes]:
    return set(session.execute(select(_object.blake3)).scalars())


def totals(session: Session) -> tuple[int, int]:
    """Return how many items there are and how many octets their originals hold."""
    count, octets = session.execute(
        select(func.count(), func.coalesce(func.sum(untyped(_item.size)), 0)).select_from(Item.table)
    ).one()
    return int(count), int(octets)
