"""What stands in the catalogue's columns against what their kind can hold, without a key.

Whoever has the file can put a word among numbers; a part of the audit that meets one cannot go on behind it. So each is
named here by its row, whatever else is found.
"""

from collections.abc import Iterator

from sqlalchemy import Column, ColumnElement, LargeBinary, RowMapping, Table, and_, func, not_, or_, select
from sqlalchemy.orm import Session

from archive.catalogue.columns import Choice, DigestBytes, Identifier, Octets, UtcDateTime, Words, untyped
from archive.catalogue.models import Base
from custody.findings import Found, differs

_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999  # The years 1 to 9999, in microseconds.
_CALLED = ("number", "pseudonym")
_AT_ONCE = 2000


def check_cells(session: Session) -> Iterator[Found]:
    """Name each row that holds what its columns cannot, with these columns."""
    for table in Base.metadata.sorted_tables:
        wrong = {column.name: not_(_belongs(column)) for column in table.c}
        shown = [untyped(column).label(column.name) for column in _naming(table)]
        flags = [each.label(f"{name} is wrong") for name, each in wrong.items()]
        statement = select(*shown, *flags).where(or_(*wrong.values())).execution_options(yield_per=_AT_ONCE)
        for row in session.execute(statement).mappings():
            columns = [name for name in wrong if row[f"{name} is wrong"]]
            yield differs(
                "archive/foreign-value",
                f"Its {', '.join(columns)} ({table.name}) cannot be what this program wrote: the catalogue's file was "
                "changed. Move it away, keep it, and run `testigo rebuild`: it makes the catalogue anew from the log.",
                subject=_name(table, row),
                table=table.name,
                columns=tuple(columns),
            )


def _belongs(column: Column[object]) -> ColumnElement[bool]:
    """Say in SQL that a column holds something of its kind, or nothing: whether it may is the database's own check."""
    raw = untyped(column)
    kept = func.typeof(raw)
    match column.type:
        case Identifier():
            right = and_(kept == "text", func.length(raw) == 32, not_(raw.op("GLOB")("*[^0-9a-f]*")))
        case DigestBytes():
            right = and_(kept == "blob", func.length(raw) == 32)
        case Octets() | LargeBinary():
            right = kept == "blob"
        case Choice():
            right = and_(kept == "text", raw.in_([each.value for each in column.type.choices]))
        case Words():
            right = kept == "text"
        case UtcDateTime():
            right = and_(kept == "integer", raw.between(_EARLIEST, _LATEST))
        case _:
            right = kept == "integer"
    return or_(kept == "null", right)


def _naming(table: Table) -> list[Column[object]]:
    called = [table.c[name] for name in _CALLED if name in table.c]
    return [*called, *(column for column in table.primary_key if column not in called)]


def _name(table: Table, row: RowMapping) -> str:
    """Call a row what people call it; else by its table and its key."""
    for name in _CALLED:
        if isinstance(row.get(name), str):
            return str(row[name])
    keys = (row[column.name] for column in table.primary_key)
    return f"{table.name} {' '.join(each.hex() if isinstance(each, bytes) else str(each)[:100] for each in keys)}"
