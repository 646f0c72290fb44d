"""Queries about incidents, imports and packets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from uuid import UUID

from sqlalchemy import CompoundSelect, func, select, union
from sqlalchemy.orm import Session

from archive.catalogue.records import Delivery, ImportBatch, ImportFile, Incident, Item, Visit
from archive.errors import NotFoundError

_incident = Incident.table.c
_import = ImportBatch.table.c
_file = ImportFile.table.c
_item = Item.table.c
_delivery = Delivery.table.c
_visit = Visit.table.c
_AT_ONCE = 500
_NUMBER = re.compile(r"I-\d{4}-\d{4,}")


def incident_by_number(session: Session, number: str) -> tuple[Incident, int]:
    """Return the incident and the entry its record stands in. Raises: NotFoundError `archive/no-such-incident`."""
    row = session.execute(select(Incident.table).where(_incident.number == number)).mappings().first()
    if row is None:
        known = session.execute(select(_incident.number)).scalars().all()
        # Of a number that is well formed, any other is as near: to name one would be to guess.
        near = [] if _NUMBER.fullmatch(number) else get_close_matches(number, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else " `testigo incident ls` lists the incidents."
        raise NotFoundError("archive/no-such-incident", "There is no such incident." + hint)
    return Incident.from_row(row), row["record_seq"]


def list_incidents(session: Session) -> list[tuple[Incident, int, int]]:
    """Return each incident, the entry its record stands in, and how many items it has."""
    statement = select(Item.table.c.incident_id, func.count()).group_by(Item.table.c.incident_id)
    counts: dict[UUID, int] = {row[0]: row[1] for row in session.execute(statement)}
    rows = session.execute(select(Incident.table).order_by(_incident.number)).mappings()
    return [(Incident.from_row(row), row["record_seq"], counts.get(row["id"], 0)) for row in rows]


def incidents_by_id(session: Session, ids: Sequence[UUID] | None = None) -> dict[UUID, Incident]:
    """Return all incidents, or those of `ids`, by their id."""
    statement = select(Incident.table) if ids is None else select(Incident.table).where(_incident.id.in_(ids))
    return {row["id"]: Incident.from_row(row) for row in session.execute(statement).mappings()}


def import_by_number(session: Session, number: str) -> tuple[ImportBatch, int]:
    """Return the import and the entry its record stands in. Raises: NotFoundError `archive/no-such-import`."""
    row = session.execute(select(ImportBatch.table).where(_import.number == number)).mappings().first()
    if row is None:
        raise NotFoundError("archive/no-such-import", "There is no such import here. Start it anew without --resume.")
    return ImportBatch.from_row(row), row["record_seq"]


def open_imports(session: Session, source_mac: bytes) -> list[ImportBatch]:
    """Find the imports of a source that were begun and not ended, the newest first."""
    statement = select(ImportBatch.table).where(_import.source_mac == source_mac, _import.status == "running")
    rows = session.execute(statement.order_by(_import.started_time.desc(), _import.number.desc())).mappings()
    return [ImportBatch.from_row(row) for row in rows]


def items_linked_to(session: Session, incident_id: UUID) -> set[UUID]:
    """Return the items of other incidents that an import or an observer of this one brought again: they were linked."""
    came = _came_for(incident_id)
    return set(session.execute(select(_item.id).where(_item.id.in_(came), _item.incident_id != incident_id)).scalars())


def _came_for(incident_id: UUID) -> CompoundSelect[UUID | None]:
    """Select the items that an import or an observer of an incident brought, whoever they belong to."""
    imported = select(_file.item_id).join(ImportBatch.table, _file.import_id == _import.id)
    delivered = select(_delivery.item_id).join(Visit.table, _delivery.visit_id == _visit.id)
    return union(
        imported.where(_import.incident_id == incident_id, _file.item_id.is_not(None)),
        delivered.where(_visit.incident_id == incident_id, _delivery.item_id.is_not(None)),
    )


def items_of_incident(session: Session, incident_id: UUID) -> list[tuple[Item, int]]:
    """Return the evidence of an incident in the order of its numbers: its own items, and those linked to it."""
    its = (_item.incident_id == incident_id) | _item.id.in_(_came_for(incident_id))
    rows = session.execute(select(Item.table).where(its).order_by(_item.number)).mappings()
    return [(Item.from_row(row), row["record_seq"]) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One time that an item's content came in: for which incident, and in which entry."""

    item_id: UUID
    incident_id: UUID
    seq: int


def receipts_of(session: Session, item_ids: Sequence[UUID]) -> list[Receipt]:
    """Return each receipt of these items by an import or from an observer, in the order of the log."""
    imported = select(_file.item_id, _import.incident_id, _file.record_seq).join(
        ImportBatch.table, _file.import_id == _import.id
    )
    delivered = select(_delivery.item_id, _visit.incident_id, _delivery.record_seq).join(
        Visit.table, _delivery.visit_id == _visit.id
    )
    found: list[Receipt] = []
    for start in range(0, len(item_ids), _AT_ONCE):
        some = item_ids[start : start + _AT_ONCE]
        for statement in (imported.where(_file.item_id.in_(some)), delivered.where(_delivery.item_id.in_(some))):
            found += [Receipt(item_id=row[0], incident_id=row[1], seq=row[2]) for row in session.execute(statement)]
    return sorted(found, key=lambda receipt: receipt.seq)


def import_files(session: Session, import_id: UUID) -> dict[bytes, ImportFile]:
    """Return what became of each file of an import, by the MAC that tells it from every other."""
    rows = session.execute(select(ImportFile.table).where(_file.import_id == import_id)).mappings()
    return {row["path_mac"]: ImportFile.from_row(row) for row in rows}
