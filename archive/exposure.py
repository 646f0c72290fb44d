"""What each kind of demand could obtain today, computed from the live database and the classes of its columns.

A column's class decides who can read it; this module only counts. It names no row and opens nothing.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select

from archive.catalogue import drop_models  # noqa: F401 - what is in its tables can be demanded too
from archive.catalogue.database import Database
from archive.catalogue.models import COLUMN_CLASSES, Base, DisclosureRow
from archive.types import OwnerKind


class Demand(StrEnum):
    """Kinds of demand, theft or order, from the least to the most that it yields."""

    LOG_WITNESS = "someone who holds a copy of the log's tiles and checkpoints"
    STORE_HOST = "whoever hosts the objects and the log"
    SEIZED_DISK = "the whole disk, archive locked (its resting state)"
    SIGNING_KEY = "the log signing key, stolen"
    UNLOCKED = "the machine while unlocked, or a passphrase given up"
    COUNSEL = "counsel's identity key, besides the disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """How many rows of a table hold something in a column, and the column's class."""

    table: str
    column: str
    column_class: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What one kind of demand would obtain: columns in clear, and sealed values that it could open, by owner kind."""

    demand: Demand
    readable: tuple[Holding, ...]
    sealed_values_opened: dict[str, int]
    also: tuple[str, ...]


_READABLE = {
    Demand.LOG_WITNESS: (),
    Demand.STORE_HOST: (),
    Demand.SEIZED_DISK: ("open", "internal", "secret"),
    Demand.SIGNING_KEY: (),
    Demand.UNLOCKED: ("open", "internal", "secret"),
    Demand.COUNSEL: ("open", "internal", "secret"),
}
_ALSO = {
    Demand.LOG_WITNESS: (
        "how many entries there are, what kind of event each is, how it ended, and when checkpoints were signed",
        "no item, person, place, time of an event, or digest: those are salted commitments",
    ),
    Demand.STORE_HOST: (
        "everything a log witness sees, and the size and age of each sealed object",
        "no key file: those lie apart",
    ),
    Demand.SEIZED_DISK: (
        "sizes, kinds, times of receipt, random ids and human numbers of all items; no name, title, place or content",
        "with the intake key and a candidate file: whether that very file is here (turn off `archive.intake_equality`)",
        "with the intake key and an observer's phone: what waits on that phone, sealed to this archive's arrival key",
        "the log signing key; sealed objects and key files, which only a recipient of the vault keyring opens",
    ),
    Demand.SIGNING_KEY: (
        "new false entries and checkpoints after the last checkpoint that someone outside holds",
        "never a quiet change before it; and no content at all",
    ),
    Demand.UNLOCKED: (
        "every item's content, metadata and record; every custody entry in clear",
        "not the names and contacts that are sealed to counsel's key",
    ),
    Demand.COUNSEL: ("the names, contacts and consent forms in the identity keyring",),
}
_OPENS = {
    Demand.UNLOCKED: {OwnerKind.ITEM, OwnerKind.INCIDENT, OwnerKind.PERSON, OwnerKind.STAFF, OwnerKind.VISIT},
    Demand.COUNSEL: {OwnerKind.IDENTITY},
}


def measure(database: Database) -> tuple[Exposure, ...]:
    """Count, for each kind of demand, what the live database would give."""
    holdings: list[Holding] = []
    with database.reading() as session:
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                rows = session.execute(select(func.count(column))).scalar() or 0
                holdings.append(
                    Holding(table=table.name, column=column.name, column_class=column.info["class"], rows=rows)
                )
        kinds = select(DisclosureRow.owner_kind, func.count()).group_by(DisclosureRow.owner_kind)
        sealed = {OwnerKind(row[0]): row[1] for row in session.execute(kinds)}
    return tuple(
        Exposure(
            demand=demand,
            readable=tuple(h for h in holdings if h.rows and h.column_class in _READABLE[demand]),
            sealed_values_opened={str(k): n for k, n in sealed.items() if k in _OPENS.get(demand, set())},
            also=_ALSO[demand],
        )
        for demand in Demand
    )


def columns_without_class() -> list[str]:
    """Name every column whose class is missing or unknown; a test fails if there is one."""
    return [
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.info.get("class") not in COLUMN_CLASSES
    ]
