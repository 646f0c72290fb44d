"""Records: frozen values, their form in the log, and the fold that writes their rows.

A record's full state after an act is committed to in the entry of that act (`record`, formats.md 3.5). `apply` turns it
into a row, and is the only writer of record tables: live, in a rebuild and in an audit. So the catalogue is a fold over
the log by construction. `sealed` members of a record are closed values that have no column.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from sqlalchemy import RowMapping, Table
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.orm import Session

from archive.catalogue import drop_models, models
from archive.catalogue.columns import DigestBytes, Identifier, UtcDateTime
from archive.errors import IntegrityError
from archive.types import parse_utc, utc_text

Json = Any
"""A value of canonical JSON: str, int, bool, None, and lists and objects of them."""


R = TypeVar("R", bound="Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What every record has: a random id, and a kind that names its table.

    `may_change` are the columns that some act sets anew; all others say for ever what the first record said.
    """

    kind: ClassVar[str]
    table: ClassVar[Table]
    may_change: ClassVar[frozenset[str]] = frozenset()
    id: UUID

    def to_log(self, sealed: Mapping[str, Json] | None = None) -> dict[str, Json]:
        """Give the `record` value that an entry commits to."""
        columns = {f.name: _to_json(getattr(self, f.name)) for f in fields(self) if f.name != "id"}
        return {"kind": self.kind, "id": str(self.id), "columns": columns, "sealed": dict(sealed or {})}

    @classmethod
    def from_row(cls, row: RowMapping) -> Self:
        return cls(**{f.name: row[f.name] for f in fields(cls)})


def _table(row_class: type[models.Base]) -> Table:
    table = row_class.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{row_class.__name__} is not mapped to a table")
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation(Record):
    kind: ClassVar[str] = "organisation"
    table: ClassVar[Table] = _table(models.OrganisationRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"vault_keyring"})
    origin: str
    staff_recipient: str
    vault_keyring: str
    identity_keyring: str
    created_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff(Record):
    kind: ClassVar[str] = "staff"
    table: ClassVar[Table] = _table(models.StaffRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"state", "account_mac"})
    organisation_id: UUID
    pseudonym: str
    role: str
    state: str
    account_mac: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident(Record):
    kind: ClassVar[str] = "incident"
    table: ClassVar[Table] = _table(models.IncidentRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"status"})
    organisation_id: UUID
    number: str
    status: str
    recipient: str
    created_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(Record):
    kind: ClassVar[str] = "item"
    table: ClassVar[Table] = _table(models.ItemRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"state", "content_mac"})
    organisation_id: UUID
    incident_id: UUID
    number: str
    role: str
    parent_id: UUID | None
    companion_id: UUID | None
    evidence_kind: str
    size: int
    state: str
    content_mac: bytes | None
    recipient: str
    received_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject(Record):
    kind: ClassVar[str] = "object"
    table: ClassVar[Table] = _table(models.ObjectRow)
    item_id: UUID
    purpose: str
    blake3: bytes
    sealed_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Person(Record):
    kind: ClassVar[str] = "person"
    table: ClassVar[Table] = _table(models.PersonRow)
    organisation_id: UUID
    pseudonym: str
    recipient: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Record):
    kind: ClassVar[str] = "hold"
    table: ClassVar[Table] = _table(models.HoldRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"status", "lifted_time"})
    organisation_id: UUID
    number: str
    status: str
    incident_id: UUID | None
    item_id: UUID | None
    placed_time: datetime
    lifted_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval(Record):
    kind: ClassVar[str] = "approval"
    table: ClassVar[Table] = _table(models.ApprovalRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"status", "approved_by", "decided_time"})
    organisation_id: UUID
    act: str
    subject_id: UUID
    status: str
    requested_by: UUID
    approved_by: UUID | None
    requested_time: datetime
    decided_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportBatch(Record):
    kind: ClassVar[str] = "import"
    table: ClassVar[Table] = _table(models.ImportRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"status"})
    organisation_id: UUID
    number: str
    incident_id: UUID
    status: str
    source_mac: bytes | None
    started_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFile(Record):
    kind: ClassVar[str] = "import_file"
    table: ClassVar[Table] = _table(models.ImportFileRow)
    import_id: UUID
    path_mac: bytes
    outcome: str
    code: str | None
    item_id: UUID | None
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet(Record):
    kind: ClassVar[str] = "packet"
    table: ClassVar[Table] = _table(models.PacketRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"status"})
    organisation_id: UUID
    number: str
    type: str
    status: str
    created_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DropLink(Record):
    kind: ClassVar[str] = "drop_link"
    table: ClassVar[Table] = _table(drop_models.DropLinkRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"status"})
    organisation_id: UUID
    incident_id: UUID
    number: str
    code_mac: bytes
    status: str
    uses: str
    most_octets: int
    most_files: int
    questions: str
    wording: str
    created_time: datetime
    expires_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit(Record):
    kind: ClassVar[str] = "visit"
    table: ClassVar[Table] = _table(drop_models.VisitRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"number", "status", "sender_recipients", "code_digest"})
    organisation_id: UUID
    drop_link_id: UUID
    incident_id: UUID
    number: str | None
    status: str
    recipient: str
    sender_recipients: str
    code_digest: bytes | None
    created_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Record):
    kind: ClassVar[str] = "delivery"
    table: ClassVar[Table] = _table(drop_models.DeliveryRow)
    visit_id: UUID
    upload: bytes
    outcome: str
    comparison: str
    declared: int
    size: int | None
    item_id: UUID | None
    delivered_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent(Record):
    kind: ClassVar[str] = "consent"
    table: ClassVar[Table] = _table(drop_models.ConsentRow)
    visit_id: UUID
    version: int
    level: str
    audiences: str
    wording: str
    language: str
    given_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Record):
    kind: ClassVar[str] = "question"
    table: ClassVar[Table] = _table(drop_models.QuestionRow)
    may_change: ClassVar[frozenset[str]] = frozenset({"status", "answered_time"})
    visit_id: UUID
    status: str
    asked_time: datetime
    answered_time: datetime | None


RECORD_TYPES: tuple[type[Record], ...] = (
    Organisation, Staff, Incident, Item, StoredObject, Person, Hold, Approval, ImportBatch, ImportFile, Packet,
    DropLink, Visit, Delivery, Consent, Question,
)  # fmt: skip
_BY_KIND = {record_type.kind: record_type for record_type in RECORD_TYPES}


def columns_of(record: Json) -> tuple[type[Record], dict[str, Any]]:
    """Read a `record` value back into its type and its columns.

    Raises: IntegrityError `archive/bad-record` where it is not of a form that `to_log` gives.
    """
    try:
        record_type = _BY_KIND[record["kind"]]
        names = {f.name for f in fields(record_type)} - {"id"}
        if set(record["columns"]) != names:
            raise KeyError("columns")
        values = {name: _from_json(record_type.table, name, value) for name, value in record["columns"].items()}
        values["id"] = UUID(record["id"])
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            "archive/bad-record",
            "An entry of the log holds a record that this program cannot read. Nothing was changed.",
            evidence={"record": repr(record)[:2000]},
        ) from error
    return record_type, values


def apply(session: Session, records: Iterable[tuple[int, Json]]) -> None:
    """Write the rows of `records` (pairs of entry number and `record` value), the newest state of each last.

    Tables are written in the order of `RECORD_TYPES`, in which none refers to a later one, so that records of several
    kinds take one statement a kind however they alternate.
    """
    rows: dict[type[Record], list[dict[str, Any]]] = {}
    for seq, record in records:
        record_type, values = columns_of(record)
        values["record_seq"] = seq
        rows.setdefault(record_type, []).append(values)
    for record_type in RECORD_TYPES:
        if record_type in rows:
            session.execute(_upsert(record_type.table), rows[record_type])


@cache
def _upsert(table: Table) -> Insert:
    """Build the statement that writes a record's row or brings it to its newest state."""
    statement = insert(table)
    changes = {column.name: statement.excluded[column.name] for column in table.c if column.name != "id"}
    return statement.on_conflict_do_update(index_elements=["id"], set_=changes)


def _to_json(value: object) -> Json:
    match value:
        case None | str() | int():
            return value
        case UUID():
            return str(value)
        case datetime():
            return utc_text(value)
        case bytes():
            return value.hex()
    raise TypeError(f"a record cannot hold a {type(value).__name__}")


def _from_json(table: Table, name: str, value: Json) -> Any:
    column = table.c[name]
    if value is None:
        if not column.nullable:
            raise ValueError(name)
        return None
    match column.type:
        case Identifier():
            return UUID(value)
        case UtcDateTime():
            return parse_utc(value)
        case DigestBytes():
            return bytes.fromhex(value)
    if not isinstance(value, str | int):
        raise ValueError(name)
    return value
