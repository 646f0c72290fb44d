"""The log's own tables as an append needs them: where the log stands, in one question, and its new rows.

Plain statements over the connection: an append of one entry is on the way of every access, and the unit of work of an
ORM session would be most of its time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Dialect, Table, func, insert, select

from archive.catalogue.models import Base, CheckpointRow, DisclosureRow, EntryRow
from archive.catalogue.records import Organisation

Rows = Sequence[dict[str, Any]]

_organisation = Organisation.table.c
_EDGE = select(
    select(func.max(EntryRow.seq)).scalar_subquery(),
    select(func.max(DisclosureRow.id)).scalar_subquery(),
    select(CheckpointRow.signed_time).order_by(CheckpointRow.size.desc()).limit(1).scalar_subquery(),
    select(_organisation.id).limit(1).scalar_subquery(),
    select(_organisation.staff_recipient).limit(1).scalar_subquery(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEdge:
    """Where the log stands. `staff` is the organisation with its staff compartment's recipient; none before the first
    entry."""

    size: int
    last_disclosure: int
    signed_time: datetime | None
    staff: tuple[UUID, str] | None


def log_edge(connection: Connection) -> LogEdge:
    """Read where the log stands. Sequence numbers have no gap, so the highest tells how many entries there are."""
    highest, disclosure, signed, organisation_id, recipient = connection.execute(_EDGE).one()
    return LogEdge(
        size=0 if highest is None else highest + 1,
        last_disclosure=disclosure or 0,
        signed_time=signed,
        staff=(organisation_id, recipient) if organisation_id is not None else None,
    )


def append_rows(connection: Connection, *, entries: Rows, subjects: Rows, disclosures: Rows) -> None:
    """Write the rows of new entries; what is there already is never replaced."""
    for statement, rows in zip(_inserts(connection.dialect), (entries, subjects, disclosures), strict=True):
        statement.execute(connection, rows)


class _Insert:
    """An INSERT of whole rows, put into the driver's words once: doing that each time takes as long as the disk."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self._words = str(insert(table).compile(dialect=dialect))
        self._columns = [(each.name, each.type.dialect_impl(dialect).bind_processor(dialect)) for each in table.columns]

    def execute(self, connection: Connection, rows: Rows) -> None:
        columns = self._columns
        told = [tuple([bind(row[name]) if bind else row[name] for name, bind in columns]) for row in rows]
        connection.exec_driver_sql(self._words, told)


@lru_cache(maxsize=8)
def _inserts(dialect: Dialect) -> tuple[_Insert, ...]:
    return tuple(_Insert(Base.metadata.tables[name], dialect) for name in ("entry", "entry_subject", "disclosure"))
