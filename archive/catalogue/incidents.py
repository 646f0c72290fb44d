"""Queries about incidents, imports and packets."""

from difflib import get_close_matches
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.catalogue.records import ImportBatch, ImportFile, Incident, Item
from archive.errors import NotFoundError

_incident = Incident.table.c
_import = ImportBatch.table.c
_file = ImportFile.table.c


def incident_by_number(session: Session, number: str) -> tuple[Incident, int]:
    """Return the incident and the entry its record stands in. Raises: NotFoundError `archive/no-such-incident`."""
    row = session.execute(select(Incident.table).where(_incident.number == number)).mappings().first()
    if row is None:
        known = session.execute(select(_incident.number)).scalars().all()
        near = get_close_matches(number, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else " `testigo incident ls` lists the incidents."
        raise NotFoundError("archive/no-such-incident", "There is no such incident." + hint)
    return Incident.from_row(row), row["record_seq"]


def list_incidents(session: Session) -> list[tuple[Incident, int, int]]:
    """Return each incident, the entry its record stands in, and how many items it has."""
    statement = select(Item.table.c.incident_id, func.count()).group_by(Item.table.c.incident_id)
    counts: dict[UUID, int] = {row[0]: row[1] for row in session.execute(statement)}
    rows = session.execute(select(Incident.table).order_by(_incident.number)).mappings()
    return [(Incident.from_row(row), row["record_seq"], counts.get(row["id"], 0)) for row in rows]


def incidents_by_id(session: Session) -> dict[UUID, Incident]:
    return {row["id"]: Incident.from_row(row) for row in session.execute(select(Incident.table)).mappings()}


def import_by_number(session: Session, number: str) -> tuple[ImportBatch, int]:
    """Return the import and the entry its record stands in. Raises: NotFoundError `archive/no-such-import`."""
    row = session.execute(select(ImportBatch.table).where(_import.number == number)).mappings().first()
    if row is None:
        raise NotFoundError("archive/no-such-import", "There is no such import here. Start it anew without --resume.")
    return ImportBatch.from_row(row), row["record_seq"]


def open_import(session: Session, source_mac: bytes, incident_id: UUID) -> ImportBatch | None:
    """Find an import of the same source into the same incident that was begun and not ended."""
    statement = select(ImportBatch.table).where(
        _import.source_mac == source_mac, _import.incident_id == incident_id, _import.status == "running"
    )
    row = session.execute(statement).mappings().first()
    return ImportBatch.from_row(row) if row is not None else None


def items_linked_to(session: Session, incident_id: UUID) -> set[UUID]:
    """Return the items of other incidents that an import of this incident brought again, and that were linked."""
    statement = (
        select(_file.item_id)
        .join(ImportBatch.table, _file.import_id == _import.id)
        .join(Item.table, _file.item_id == Item.table.c.id)
        .where(_import.incident_id == incident_id, Item.table.c.incident_id != incident_id)
    )
    return {item_id for item_id in session.execute(statement).scalars() if item_id is not None}


def import_files(session: Session, import_id: UUID) -> dict[bytes, ImportFile]:
    """Return what became of each file of an import, by the MAC of its path."""
    rows = session.execute(select(ImportFile.table).where(_file.import_id == import_id)).mappings()
    return {row["path_mac"]: ImportFile.from_row(row) for row in rows}
