"""What the log itself says of holds, approvals and destructions, for acts that nobody can take back.

Rows are found quickly and can be changed by whoever writes to the catalogue's file. So whether a hold stands, who
asked for an act and whether an item was destroyed is decided from entries, opened with keys and folded anew. What the
rows say besides must agree.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.holds import holds_on
from archive.catalogue.models import EntryRow
from archive.catalogue.records import Approval, Hold, ImportBatch, ImportFile, Item, Record, StoredObject
from archive.errors import IntegrityError
from custody.audit_item import open_run
from custody.entries import EventKind
from custody.fold import Fold
from custody.register import OpenedEntry, Register

_DECIDING = (EventKind.POLICY_ASSIGNMENT, EventKind.DEACCESSION)
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Standing:
    """The records that the log says stand, in a catalogue of their own."""

    session: Session

    def agreeing(self, row: R) -> R:
        """Return the record as the log has it, which is as the row has it. Raises: IntegrityError."""
        table = type(row).table
        found = self.session.execute(select(table).where(table.c.id == row.id)).mappings().first()
        if found is None or type(row).from_row(found) != row:
            raise IntegrityError(
                "custody/row-differs",
                "What the catalogue says of this is not what the log says: a row was changed behind the log's back. "
                "Nothing was done. `testigo verify` names what was changed.",
                evidence={"record": f"{row.kind} {row.id}"},
            )
        return row

    def holds_on(self, item: Item) -> list[Hold]:
        return holds_on(self.session, item)

    def objects_of(self, item_id: UUID) -> list[StoredObject]:
        """Return every object that the log says an item ever had."""
        table = StoredObject.table
        rows = self.session.execute(select(table).where(table.c.item_id == item_id).order_by(table.c.id)).mappings()
        return [StoredObject.from_row(row) for row in rows]

    def requests(self, act: str, subject_id: UUID) -> list[Approval]:
        """Return what was asked for and not yet decided, oldest first."""
        table = Approval.table
        wanted = (table.c.act == act, table.c.subject_id == subject_id, table.c.status == "requested")
        rows = self.session.execute(select(table).where(*wanted).order_by(table.c.record_seq)).mappings()
        return [Approval.from_row(row) for row in rows]


@contextmanager
def read_standing(database: Database, keys: Mapping[UUID, KeyIdentity], item: Item | None) -> Iterator[Standing]:
    """Fold what the log says of holds, approvals and destructions and, where one is given, of an item.

    To be called while nobody else can append. Raises: IntegrityError where the log cannot be read whole for this.
    """
    register = Register(database)
    with database.reading() as session:
        opened = entries_that_say(database, session, keys, _DECIDING)
    if item is not None and item.id in keys:
        own = open_run(register, item.id, keys)
        opened += [*own, *_imports(database, register, keys, own)]
    with Fold() as fold:
        numbered = sorted({entry.entry.seq: entry.all("record") for entry in opened}.items())
        wrong = [*fold.add((seq, record) for seq, records in numbered for record in records), *fold.settle()]
        if wrong:
            raise IntegrityError(wrong[0].code, f"{wrong[0].words} Nothing was done.", evidence=wrong[0].evidence)
        yield Standing(fold.session)


def entries_that_say(
    database: Database, session: Session, keys: Mapping[UUID, KeyIdentity], events: Sequence[EventKind]
) -> list[OpenedEntry]:
    """Open every entry of these open events, in order. Raises: IntegrityError where one stays shut or is not there."""
    opened = Register(database).open(_numbers(session, events), keys)
    if silent := [entry.entry.seq for entry in opened if entry.get("recorded_time") is None]:
        raise IntegrityError(
            "custody/value-missing",
            "Entries that may hold an item or forbid this do not open: their sealed values were removed or exchanged. "
            "Nothing was done. Run `testigo verify`.",
            evidence={"entries": silent[:20]},
        )
    return opened


def _numbers(session: Session, events: Sequence[EventKind]) -> list[int]:
    kinds = [func.instr(EntryRow.leaf, f'"event":"{kind}"'.encode("ascii")) > 0 for kind in events]
    size, highest = session.execute(select(func.count(), func.max(EntryRow.seq)).select_from(EntryRow)).one()
    if size != (highest or 0) + 1:
        raise IntegrityError(
            "custody/entry-missing", "The numbers of the log have a hole. Nothing was done. Run `testigo verify`."
        )
    return list(session.execute(select(EntryRow.seq).where(or_(*kinds)).order_by(EntryRow.seq)).scalars())


def _imports(
    database: Database, register: Register, keys: Mapping[UUID, KeyIdentity], own: Sequence[OpenedEntry]
) -> list[OpenedEntry]:
    """Open the entries of the imports that brought an item, for a hold catches what its incident is brought again."""
    files = [record for entry in own for record in entry.all("record") if record["kind"] == ImportFile.kind]
    wanted = {UUID(record["columns"]["import_id"]) for record in files}
    table = ImportBatch.table
    with database.reading() as session:
        places = list(session.execute(select(table.c.record_seq).where(table.c.id.in_(wanted))).scalars())
    opened = register.open(sorted(set(places)), keys)
    found = {UUID(record["id"]) for entry in opened for record in entry.all("record") if record["kind"] == "import"}
    if wanted - found:
        raise IntegrityError(
            "custody/row-differs",
            "The catalogue does not lead to the log's record of an import that brought this item, so whether a hold of "
            "its incident stands cannot be told. Nothing was done. Run `testigo verify`.",
            evidence={"imports": [str(each) for each in sorted(wanted - found)]},
        )
    return opened
