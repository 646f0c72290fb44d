"""The tables of the catalogue and of the log, with the class of every column.

What it refuses to know: names, places, titles, file names. They are closed values in sealed disclosures; a row carries
only what must be found while the archive is locked. Every row of a record table is a fold over the log: written by
`records.apply` from the `record` that an entry commits to, and by nothing else.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, Uuid

_AGE_MAGIC = b"age-encryption.org/v1\n"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, stored as microseconds since 1970 UTC; a naive one is refused."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        delta = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds

    def process_result_value(self, value: int | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        seconds, microseconds = divmod(value, 1_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)


class DigestBytes(TypeDecorator[bytes]):
    """A digest or MAC of exactly 32 octets."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: bytes | None, _dialect: Dialect) -> bytes | None:
        if value is not None and len(value) != 32:
            raise ValueError("a digest column holds exactly 32 octets")
        return value


class Sealed(TypeDecorator[bytes]):
    """A sealed value: an age file. Plaintext is refused."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, _dialect: Dialect) -> bytes | None:
        if value is not None and not value.startswith(_AGE_MAGIC):
            raise ValueError("a sealed column holds an age file, never plaintext")
        return value


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {UUID: Uuid(), datetime: UtcDateTime(), int: BigInteger(), str: String()}


def _column(column_class: str, *args: Any, **kwargs: Any) -> Any:
    return mapped_column(*args, info={"class": column_class}, **kwargs)


# ── the log: append-only ─────────────────────────────────────────────────────────────────────────────────────────────


class EntryRow(Base):
    __tablename__ = "entry"
    seq: Mapped[int] = _column("open", Integer, primary_key=True, autoincrement=False)
    leaf: Mapped[bytes] = _column("open", LargeBinary)
    leaf_hash: Mapped[bytes] = _column("open", DigestBytes)


class DisclosureRow(Base):
    """One sealed disclosure: the closed values of entries `first` to `end` (half open) that one owner's key opens."""

    __tablename__ = "disclosure"
    id: Mapped[int] = _column("open", Integer, primary_key=True, autoincrement=False)
    first: Mapped[int] = _column("open", index=True)
    end: Mapped[int] = _column("open", index=True)
    owner_kind: Mapped[str] = _column("internal", String(10))
    owner_id: Mapped[UUID] = _column("internal")
    sealed: Mapped[bytes] = _column("personal", Sealed)


class EntrySubjectRow(Base):
    """Which owners an entry speaks of; for an item, the item's own running number and its entry's leaf hash."""

    __tablename__ = "entry_subject"
    seq: Mapped[int] = _column("internal", Integer, primary_key=True)
    owner_id: Mapped[UUID] = _column("internal", primary_key=True)
    run_number: Mapped[int | None] = _column("internal")
    __table_args__ = (UniqueConstraint("owner_id", "run_number"),)


class CheckpointRow(Base):
    __tablename__ = "checkpoint"
    size: Mapped[int] = _column("open", Integer, primary_key=True, autoincrement=False)
    note: Mapped[bytes] = _column("open", LargeBinary)
    signed_time: Mapped[datetime] = _column("open")


class TimestampTokenRow(Base):
    __tablename__ = "timestamp_token"
    size: Mapped[int] = _column("open", Integer, primary_key=True)
    authority: Mapped[str] = _column("open", String(64), primary_key=True)
    token: Mapped[bytes] = _column("open", LargeBinary)
    chain: Mapped[bytes] = _column("open", LargeBinary)
    attested_time: Mapped[datetime] = _column("open")


# ── records: a fold over the log ─────────────────────────────────────────────────────────────────────────────────────


class OrganisationRow(Base):
    __tablename__ = "organisation"
    id: Mapped[UUID] = _column("open", primary_key=True)
    origin: Mapped[str] = _column("open")
    staff_recipient: Mapped[str] = _column("open", Text)
    vault_keyring: Mapped[str] = _column("open", Text)
    identity_keyring: Mapped[str] = _column("open", Text)
    created_time: Mapped[datetime] = _column("open")
    record_seq: Mapped[int] = _column("internal")


class StaffRow(Base):
    __tablename__ = "staff"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    pseudonym: Mapped[str] = _column("internal", unique=True)
    role: Mapped[str] = _column("internal", String(16))
    state: Mapped[str] = _column("internal", String(10))
    account_mac: Mapped[bytes | None] = _column("secret", DigestBytes, index=True)
    record_seq: Mapped[int] = _column("internal")


class IncidentRow(Base):
    __tablename__ = "incident"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    number: Mapped[str] = _column("internal", String(32), unique=True)
    status: Mapped[str] = _column("internal", String(10))
    recipient: Mapped[str] = _column("open", Text)
    created_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


class ItemRow(Base):
    __tablename__ = "item"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    incident_id: Mapped[UUID] = _column("internal", ForeignKey("incident.id"), index=True)
    number: Mapped[str] = _column("internal", String(32), unique=True)
    role: Mapped[str] = _column("internal", String(16))
    parent_id: Mapped[UUID | None] = _column("internal", ForeignKey("item.id"))
    companion_id: Mapped[UUID | None] = _column("internal", ForeignKey("item.id"))
    evidence_kind: Mapped[str] = _column("internal", String(16))
    size: Mapped[int] = _column("internal")
    state: Mapped[str] = _column("internal", String(12))
    content_mac: Mapped[bytes | None] = _column("secret", DigestBytes, index=True)
    recipient: Mapped[str] = _column("open", Text)
    received_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


class ObjectRow(Base):
    """One sealed byte sequence of an item in the store."""

    __tablename__ = "object"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    item_id: Mapped[UUID] = _column("internal", ForeignKey("item.id"), index=True)
    purpose: Mapped[str] = _column("internal", String(16))
    blake3: Mapped[bytes] = _column("open", DigestBytes, unique=True)
    sealed_size: Mapped[int] = _column("open")
    record_seq: Mapped[int] = _column("internal")


class PersonRow(Base):
    __tablename__ = "person"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    pseudonym: Mapped[str] = _column("internal", unique=True)
    recipient: Mapped[str] = _column("open", Text)
    record_seq: Mapped[int] = _column("internal")


class HoldRow(Base):
    __tablename__ = "hold"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    number: Mapped[str] = _column("internal", String(32), unique=True)
    status: Mapped[str] = _column("internal", String(10))
    incident_id: Mapped[UUID | None] = _column("internal", ForeignKey("incident.id"), index=True)
    item_id: Mapped[UUID | None] = _column("internal", ForeignKey("item.id"), index=True)
    placed_time: Mapped[datetime] = _column("internal")
    lifted_time: Mapped[datetime | None] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


class ApprovalRow(Base):
    """One act that needs two people: asked by one, agreed to by another."""

    __tablename__ = "approval"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    act: Mapped[str] = _column("internal", String(32))
    subject_id: Mapped[UUID] = _column("internal", index=True)
    status: Mapped[str] = _column("internal", String(10))
    requested_by: Mapped[UUID] = _column("internal", ForeignKey("staff.id"))
    approved_by: Mapped[UUID | None] = _column("internal", ForeignKey("staff.id"))
    requested_time: Mapped[datetime] = _column("internal")
    decided_time: Mapped[datetime | None] = _column("internal")
    record_seq: Mapped[int] = _column("internal")
    __table_args__ = (CheckConstraint("approved_by IS NULL OR approved_by <> requested_by", name="two_people"),)


class ImportRow(Base):
    __tablename__ = "import"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    number: Mapped[str] = _column("internal", String(32), unique=True)
    incident_id: Mapped[UUID] = _column("internal", ForeignKey("incident.id"))
    status: Mapped[str] = _column("internal", String(10))
    source_mac: Mapped[bytes | None] = _column("secret", DigestBytes, index=True)
    started_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


class ImportFileRow(Base):
    """What became of one file of one import; its path is a MAC here and a closed value in the log."""

    __tablename__ = "import_file"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    import_id: Mapped[UUID] = _column("internal", ForeignKey("import.id"))
    path_mac: Mapped[bytes] = _column("secret", DigestBytes)
    outcome: Mapped[str] = _column("internal", String(10))
    code: Mapped[str | None] = _column("internal", String(64))
    item_id: Mapped[UUID | None] = _column("internal", ForeignKey("item.id"))
    size: Mapped[int | None] = _column("internal")
    record_seq: Mapped[int] = _column("internal")
    __table_args__ = (UniqueConstraint("import_id", "path_mac"),)


class PacketRow(Base):
    __tablename__ = "packet"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    number: Mapped[str] = _column("internal", String(32), unique=True)
    type: Mapped[str] = _column("internal", String(24))
    status: Mapped[str] = _column("internal", String(10))
    created_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


# ── operations: not part of the record ───────────────────────────────────────────────────────────────────────────────


class JobRow(Base):
    __tablename__ = "job"
    id: Mapped[int] = _column("internal", Integer, primary_key=True)
    kind: Mapped[str] = _column("internal", String(32))
    subject: Mapped[str] = _column("internal", String(128))
    state: Mapped[str] = _column("internal", String(20))
    tries: Mapped[int] = _column("internal")
    not_before: Mapped[datetime] = _column("internal")
    lease_until: Mapped[datetime | None] = _column("internal")
    worker: Mapped[str | None] = _column("internal", String(64))
    reason: Mapped[str | None] = _column("internal", String(200))
    created_time: Mapped[datetime] = _column("internal")
    ended_time: Mapped[datetime | None] = _column("internal")
    __table_args__ = (UniqueConstraint("kind", "subject"), Index("ix_job_state_not_before", "state", "not_before"))


class SecretRow(Base):
    """Secrets that must work while locked and are no identities: the intake key."""

    __tablename__ = "secret"
    name: Mapped[str] = _column("open", String(32), primary_key=True)
    value: Mapped[bytes] = _column("secret", DigestBytes)


class NumberRow(Base):
    """The last human number given out per kind and year; never reused."""

    __tablename__ = "number"
    kind: Mapped[str] = _column("internal", String(8), primary_key=True)
    year: Mapped[int] = _column("internal", Integer, primary_key=True)
    last: Mapped[int] = _column("internal")


APPEND_ONLY = ("entry", "disclosure", "entry_subject", "checkpoint", "timestamp_token")
"""Tables that refuse UPDATE, DELETE and REPLACE in the database itself."""

COLUMN_CLASSES = ("open", "internal", "personal", "identity", "secret")
