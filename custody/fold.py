"""The catalogue as a fold over the log: its rows computed from what the entries say, now or at any past moment.

The only writer of rows is `catalogue.records.apply`, here as when they were first recorded; so what differs from the
live rows was changed behind the log's back.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy import RowMapping, StaticPool, String, Table, cast, create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity
from archive.catalogue import records
from archive.catalogue.columns import UtcDateTime, untyped
from archive.catalogue.database import Database
from archive.catalogue.models import Base, DisclosureRow, EntryRow
from archive.catalogue.records import RECORD_TYPES, Item, Record, StoredObject
from archive.errors import IntegrityError
from archive.types import Owner, OwnerKind, utc_text
from custody.findings import Found, differs, entries, matches, unknown
from custody.log_reading import Leaves, LogReader, ReadEntry, SealedDisclosure

_AT_ONCE = 2000
_IDS_AT_ONCE = 500

Numbered = tuple[int, Any]
"""An entry's number and a `record` value of it."""

Row = Mapping[str, Any]


class Folding:
    """Applies records to `session` as they come, in groups."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._waiting: list[Numbered] = []

    def add(self, numbered: Iterable[Numbered]) -> Iterator[Found]:
        """Take records in the order of the log; yield those that cannot be read or contradict others."""
        self._waiting += numbered
        if len(self._waiting) >= _AT_ONCE:
            yield from self.settle()

    def settle(self) -> Iterator[Found]:
        """Apply what waits; needed once at the end."""
        waiting, self._waiting = self._waiting, []
        yield from changed_for_ever(self.session, waiting)
        try:
            with self.session.begin_nested():
                records.apply(self.session, waiting)
        except (IntegrityError, SQLAlchemyError):
            for numbered in waiting:
                yield from self._apply_alone(numbered)

    def _apply_alone(self, numbered: Numbered) -> Iterator[Found]:
        seq = numbered[0]
        place = {"first": seq, "end": seq + 1}
        try:
            with self.session.begin_nested():
                records.apply(self.session, [numbered])
        except IntegrityError as error:
            yield differs(error.code, error.message, subject=entries(seq, seq + 1), **place)
        except SQLAlchemyError as error:
            yield differs(
                "custody/record-contradicts",
                "A record of this entry contradicts another one of the log.",
                subject=entries(seq, seq + 1),
                **place,
                cause=str(error)[:500],
            )


def changed_for_ever(session: Session, numbered: Sequence[Numbered]) -> Iterator[Found]:
    """Name each record that says otherwise than an earlier one of the same id, where no act may change that.

    Acts write a record's whole state from its row. So what somebody changed in a row is in the log after the next act,
    and the row then agrees with the newest record: only the record before it still tells.
    """
    parsed: list[tuple[int, type[Record], dict[str, Any]]] = []
    wanted: dict[type[Record], set[UUID]] = {}
    for seq, record in numbered:
        with suppress(IntegrityError):  # Named where it is applied.
            record_type, values = records.columns_of(record)
            parsed.append((seq, record_type, values))
            wanted.setdefault(record_type, set()).add(values["id"])
    known = {
        (record_type, row["id"]): dict(row)
        for record_type, ids in wanted.items()
        for row in _rows_with(session, record_type.table, sorted(ids))
    }
    for seq, record_type, values in parsed:
        before = known.get((record_type, values["id"]))
        known[record_type, values["id"]] = values
        fixed = values.keys() - record_type.may_change
        changed = sorted(name for name in fixed if before is not None and before[name] != values[name])
        if before is not None and changed:
            name = before.get("number") or before.get("pseudonym") or f"{record_type.kind} {values['id']}"
            yield differs(
                "custody/record-changed",
                f"This entry gives it another {', '.join(changed)} ({record_type.table.name}) than the log gave it "
                "before, and no act changes that: its row was changed, and the next act wrote it into the log.",
                subject=f"{name} ({entries(seq, seq + 1)})",
                first=seq,
                end=seq + 1,
                before={each: str(before[each]) for each in changed},
                after={each: str(values[each]) for each in changed},
            )


def _rows_with(session: Session, table: Table, ids: Sequence[UUID]) -> Iterator[RowMapping]:
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield from session.execute(select(table).where(table.c.id.in_(ids[start : start + _IDS_AT_ONCE]))).mappings()


class Fold(Folding):
    """Rows in a database of their own, in memory; use as a context."""

    def __init__(self) -> None:
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        Base.metadata.create_all(self._engine)
        super().__init__(Session(self._engine))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self._engine.dispose()


def rows_of(session: Session, record_type: type[Record], wanted: tuple[str, set[str]] | None = None) -> Iterator[Row]:
    """Stream the rows of one record table, by id, as the database stores them.

    No type is applied: whoever changed a row may have put anything there. `wanted` is a column and the values to keep.
    """
    columns = [untyped(column).label(column.name) for column in record_type.table.c]
    statement = select(*columns).order_by(cast(record_type.table.c.id, String))
    for row in session.execute(statement.execution_options(yield_per=_AT_ONCE)).mappings():
        if wanted is None or row[wanted[0]] in wanted[1]:
            yield {name: row[name] for name in row}


def sealed_disclosures(session: Session) -> Iterator[SealedDisclosure]:
    """Stream the catalogue's sealed disclosures, in the order of their writing."""
    row = DisclosureRow
    statement = select(row.owner_kind, row.owner_id, row.first, row.end, row.sealed).order_by(row.id)
    for kind, owner_id, first, end, sealed in session.execute(statement.execution_options(yield_per=_AT_ONCE)):
        owner = Owner(kind=OwnerKind(kind), id=owner_id)
        yield SealedDisclosure(owner=owner, first=first, end=end, sealed=sealed)


def readable_disclosures(session: Session) -> Iterator[SealedDisclosure]:
    """As `sealed_disclosures`, less the rows that hold what their columns cannot: an audit goes on behind them."""
    row = DisclosureRow
    columns = (row.owner_kind, row.owner_id, row.first, row.end, row.sealed)
    statement = select(*(untyped(column) for column in columns)).order_by(row.id)
    for kind, owner_id, first, end, sealed in session.execute(statement.execution_options(yield_per=_AT_ONCE)):
        if not (type(first) is type(end) is int and type(owner_id) is str and type(sealed) is bytes):
            continue
        try:
            owner = Owner(kind=OwnerKind(kind), id=UUID(owner_id))
        except ValueError:
            continue
        yield SealedDisclosure(owner=owner, first=first, end=end, sealed=sealed)


def leaves_of(session: Session) -> Leaves:
    """Give a function that reads leaves from the catalogue."""

    def leaves(first: int, end: int) -> list[bytes]:
        statement = select(EntryRow.seq, EntryRow.leaf).where(EntryRow.seq >= first, EntryRow.seq < end)
        found = {seq: leaf for seq, leaf in session.execute(statement) if isinstance(leaf, bytes)}
        stop = max(found, default=first - 1) + 1
        return [found.get(seq, b"") for seq in range(first, stop)]

    return leaves


@contextmanager
def catalogue_as_of(database: Database, keys: Mapping[UUID, KeyIdentity], seq: int) -> Iterator[Fold]:
    """Give the catalogue as it was right after entry `seq`, as far as `keys` open it."""
    with database.reading() as session, Fold() as fold:
        reader = LogReader(leaves_of(session), keys, {})
        for read in reader.read(sealed_disclosures(session)):
            if isinstance(read, ReadEntry):
                if read.seq > seq:
                    break
                list(fold.add(read.records()))
        list(fold.settle())
        yield fold


def compare_rows(
    live: Session,
    fold: Fold,
    closed: frozenset[UUID],
    only: frozenset[UUID] | None = None,
    unread: Container[int] = (),
) -> Iterator[Found]:
    """Compare the live rows with the folded ones; name each row and column that differs.

    `closed` are items whose key was destroyed, so that the log no longer tells about their objects and files. With
    `only`, no more than the rows of these items and of their objects are looked at. `unread` are entries that a lost or
    damaged key keeps shut: nobody may be accused over a row that such an entry could account for.
    """
    item = Item.table.c
    names = {row_id.hex: number for row_id, number in fold.session.execute(select(item.id, item.number))}
    hidden = {item_id.hex for item_id in closed}
    same = 0
    for record_type in RECORD_TYPES if only is None else (Item, StoredObject):
        ids = "id" if record_type is Item else "item_id"
        wanted = None if only is None else (ids, {item_id.hex for item_id in only})
        for ours, theirs in _pairs(rows_of(live, record_type, wanted), rows_of(fold.session, record_type, wanted)):
            subject = _name(record_type, theirs or ours, names)
            if ours and ours != theirs and ours["record_seq"] in unread:
                if ours.get("item_id") not in hidden:
                    yield _untold(record_type, subject, ours)
            elif not ours:
                words = "The log has this record and the catalogue lacks its row: it was removed."
                yield differs("custody/row-missing", words, subject=subject, table=record_type.table.name)
            elif not theirs:
                if ours.get("item_id") not in hidden:
                    words = "The catalogue has this row and no entry of the log speaks of it."
                    yield differs("custody/row-unfounded", words, subject=subject, table=record_type.table.name)
            else:
                changed = [name for name in theirs if ours[name] != theirs[name]]
                same += not changed
                for column in changed:
                    yield _changed(record_type, subject, column, ours[column], theirs[column])
    one = "row of the catalogue is what the log says"
    yield matches("catalogue", "rows of the catalogue are what the log says", same, one=one)


def _pairs(live: Iterator[Row], folded: Iterator[Row]) -> Iterator[tuple[Row, Row]]:
    """Walk two streams of rows side by side, both by id; an empty row stands for one that is not there."""
    ours, theirs = next(live, None), next(folded, None)
    while ours is not None or theirs is not None:
        ours_id = str(ours["id"]) if ours is not None else None
        theirs_id = str(theirs["id"]) if theirs is not None else None
        is_ours = ours_id is not None and (theirs_id is None or ours_id <= theirs_id)
        is_theirs = theirs_id is not None and (ours_id is None or theirs_id <= ours_id)
        yield (ours if is_ours and ours else {}), (theirs if is_theirs and theirs else {})
        ours = next(live, None) if is_ours else ours
        theirs = next(folded, None) if is_theirs else theirs


def _name(record_type: type[Record], row: Row, items: Mapping[str, str]) -> str:
    """Call a row what people call it; what belongs to an item by the item's number."""
    for column in ("number", "pseudonym"):
        if column in row:
            return str(row[column])
    if row.get("item_id") in items:
        return items[row["item_id"]]
    return f"{record_type.kind} {row['id']}"


def _untold(record_type: type[Record], subject: str, row: Row) -> Found:
    return unknown(
        "custody/row-unread",
        "The entry that this row names as its origin could not be opened, so the two could not be compared.",
        subject=subject,
        table=record_type.table.name,
        entry=row["record_seq"],
    )


def _changed(record_type: type[Record], subject: str, column: str, ours: object, theirs: object) -> Found:
    return differs(
        "custody/row-differs",
        f"The catalogue's {column} ({record_type.table.name}) is not what the log says: it was changed behind the "
        "log's back.",
        subject=subject,
        table=record_type.table.name,
        column=column,
        catalogue=_shown(record_type, column, ours),
        log=_shown(record_type, column, theirs),
    )


def _shown(record_type: type[Record], column: str, value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int) and isinstance(record_type.table.c[column].type, UtcDateTime):
        with suppress(OverflowError):
            return utc_text(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=value))
    return str(value)[:500]
