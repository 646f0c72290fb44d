"""The tables of the catalogue and of the log, with the class of every column.

What it refuses to know: names, places, titles, file names. They are closed values in sealed disclosures; a row carries
only what must be found while the archive is locked. Every row of a record table is a fold over the log: written by
`records.apply` from the `record` that an entry commits to, and by nothing else.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, MetaData, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from archive.catalogue.columns import (
    Choice,
    DigestBytes,
    Identifier,
    KeyNumber,
    LongWords,
    Octets,
    Sealed,
    UtcDateTime,
    Whole,
    Words,
)
from archive.types import EvidenceKind, OwnerKind, Role


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
    type_annotation_map = {UUID: Identifier(), datetime: UtcDateTime(), int: Whole(), str: Words()}


def _column(column_class: str, *args: Any, **kwargs: Any) -> Any:
    return mapped_column(*args, info={"class": column_class}, **kwargs)


# ── the log: append-only ─────────────────────────────────────────────────────────────────────────────────────────────


class EntryRow(Base):
    __tablename__ = "entry"
    seq: Mapped[int] = _column("open", KeyNumber, primary_key=True, autoincrement=False)
    # As the database has it: whoever reads a leaf says more of one that was changed.
    leaf: Mapped[bytes] = _column("open", LargeBinary)
    leaf_hash: Mapped[bytes] = _column("open", DigestBytes)


class DisclosureRow(Base):
    """One sealed disclosure: the closed values of entries `first` to `end` (half open) that one owner's key opens."""

    __tablename__ = "disclosure"
    id: Mapped[int] = _column("open", KeyNumber, primary_key=True, autoincrement=False)
    first: Mapped[int] = _column("open", index=True)
    end: Mapped[int] = _column("open", index=True)
    owner_kind: Mapped[str] = _column("internal", Choice(OwnerKind, 10))
    owner_id: Mapped[UUID] = _column("internal")
    sealed: Mapped[bytes] = _column("personal", Sealed)


class EntrySubjectRow(Base):
    """Which owners an entry speaks of; for an item, the item's own running number and its entry's leaf hash."""

    __tablename__ = "entry_subject"
    seq: Mapped[int] = _column("internal", KeyNumber, primary_key=True)
    owner_id: Mapped[UUID] = _column("internal", primary_key=True)
    run_number: Mapped[int | None] = _column("internal")
    __table_args__ = (UniqueConstraint("owner_id", "run_number"),)


class CheckpointRow(Base):
    __tablename__ = "checkpoint"
    size: Mapped[int] = _column("open", KeyNumber, primary_key=True, autoincrement=False)
    note: Mapped[bytes] = _column("open", Octets)
    signed_time: Mapped[datetime] = _column("open")


class TimestampTokenRow(Base):
    __tablename__ = "timestamp_token"
    size: Mapped[int] = _column("open", KeyNumber, primary_key=True)
    authority: Mapped[str] = _column("open", Words(64), primary_key=True)
    token: Mapped[bytes] = _column("open", Octets)
    chain: Mapped[bytes] = _column("open", Octets)
    attested_time: Mapped[datetime] = _column("open")


# ── records: a fold over the log ─────────────────────────────────────────────────────────────────────────────────────


class OrganisationRow(Base):
    __tablename__ = "organisation"
    id: Mapped[UUID] = _column("open", primary_key=True)
    origin: Mapped[str] = _column("open")
    staff_recipient: Mapped[str] = _column("open", LongWords)
    vault_keyring: Mapped[str] = _column("open", LongWords)
    identity_keyring: Mapped[str] = _column("open", LongWords)
    created_time: Mapped[datetime] = _column("open")
    record_seq: Mapped[int] = _column("internal")


class StaffRow(Base):
    __tablename__ = "staff"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    pseudonym: Mapped[str] = _column("internal", unique=True)
    role: Mapped[str] = _column("internal", Choice(Role, 16))
    state: Mapped[str] = _column("internal", Words(10))
    account_mac: Mapped[bytes | None] = _column("secret", DigestBytes, index=True)
    record_seq: Mapped[int] = _column("internal")


class IncidentRow(Base):
    __tablename__ = "incident"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    number: Mapped[str] = _column("internal", Words(32), unique=True)
    status: Mapped[str] = _column("internal", Words(10))
    recipient: Mapped[str] = _column("open", LongWords)
    created_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


class ItemRow(Base):
    __tablename__ = "item"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    incident_id: Mapped[UUID] = _column("internal", ForeignKey("incident.id"), index=True)
    number: Mapped[str] = _column("internal", Words(32), unique=True)
    role: Mapped[str] = _column("internal", Words(16))
    parent_id: Mapped[UUID | None] = _column("internal", ForeignKey("item.id"))
    companion_id: Mapped[UUID | None] = _column("internal", ForeignKey("item.id"))
    evidence_kind: Mapped[str] = _column("internal", Choice(EvidenceKind, 16))
    size: Mapped[int] = _column("internal")
    state: Mapped[str] = _column("internal", Words(12))
    content_mac: Mapped[bytes | None] = _column("secret", DigestBytes, index=True)
    recipient: Mapped[str] = _column("open", LongWords)
    received_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


class ObjectRow(Base):
    """One sealed byte sequence of an item in the store."""

    __tablename__ = "object"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    item_id: Mapped[UUID] = _column("internal", ForeignKey("item.id"), index=True)
    purpose: Mapped[str] = _column("internal", Words(16))
    blake3: Mapped[bytes] = _column("open", DigestBytes, unique=True)
    sealed_size: Mapped[int] = _column("open")
    record_seq: Mapped[int] = _column("internal")


class PersonRow(Base):
    __tablename__ = "person"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    pseudonym: Mapped[str] = _column("internal", unique=True)
    recipient: Mapped[str] = _column("open", LongWords)
    record_seq: Mapped[int] = _column("internal")


class HoldRow(Base):
    __tablename__ = "hold"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    number: Mapped[str] = _column("internal", Words(32), unique=True)
    status: Mapped[str] = _column("internal", Words(10))
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
    act: Mapped[str] = _column("internal", Words(32))
    subject_id: Mapped[UUID] = _column("internal", index=True)
    status: Mapped[str] = _column("internal", Words(10))
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
    number: Mapped[str] = _column("internal", Words(32), unique=True)
    incident_id: Mapped[UUID] = _column("internal", ForeignKey("incident.id"))
    status: Mapped[str] = _column("internal", Words(10))
    source_mac: Mapped[bytes | None] = _column("secret", DigestBytes, index=True)
    started_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


class ImportFileRow(Base):
    """What became of one file of one import; its path is a MAC here and a closed value in the log."""

    __tablename__ = "import_file"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    import_id: Mapped[UUID] = _column("internal", ForeignKey("import.id"))
    path_mac: Mapped[bytes] = _column("secret", DigestBytes)
    outcome: Mapped[str] = _column("internal", Words(10))
    code: Mapped[str | None] = _column("internal", Words(64))
    item_id: Mapped[UUID | None] = _column("internal", ForeignKey("item.id"))
    size: Mapped[int | None] = _column("internal")
    record_seq: Mapped[int] = _column("internal")
    __table_args__ = (UniqueConstraint("import_id", "path_mac"),)


class PacketRow(Base):
    __tablename__ = "packet"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    number: Mapped[str] = _column("internal", Words(32), unique=True)
    type: Mapped[str] = _column("internal", Words(24))
    status: Mapped[str] = _column("internal", Words(10))
    created_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


# ── operations: not part of the record ───────────────────────────────────────────────────────────────────────────────


class JobRow(Base):
    __tablename__ = "job"
    id: Mapped[int] = _column("internal", KeyNumber, primary_key=True)
    kind: Mapped[str] = _column("internal", Words(32))
    subject: Mapped[str] = _column("internal", Words(128))
    state: Mapped[str] = _column("internal", Words(20))
    tries: Mapped[int] = _column("internal")
    not_before: Mapped[datetime] = _column("internal")
    lease_until: Mapped[datetime | None] = _column("internal")
    worker: Mapped[str | None] = _column("internal", Words(64))
    reason: Mapped[str | None] = _column("internal", Words(200))
    created_time: Mapped[datetime] = _column("internal")
    ended_time: Mapped[datetime | None] = _column("internal")
    __table_args__ = (UniqueConstraint("kind", "subject"), Index("ix_job_state_not_before", "state", "not_before"))


class SecretRow(Base):
    """Secrets that must work while locked and are no identities: the intake key."""

    __tablename__ = "secret"
    name: Mapped[str] = _column("open", Words(32), primary_key=True)
    value: Mapped[bytes] = _column("secret", DigestBytes)


class NumberRow(Base):
    """The last human number given out per kind and year; never reused."""

    __tablename__ = "number"
    kind: Mapped[str] = _column("internal", Words(8), primary_key=True)
    year: Mapped[int] = _column("internal", KeyNumber, primary_key=True)
    last: Mapped[int] = _column("internal")


APPEND_ONLY = ("entry", "disclosure", "entry_subject", "checkpoint", "timestamp_token")
"""Tables that refuse UPDATE, DELETE and REPLACE in the database itself."""

COLUMN_CLASSES = ("open", "internal", "personal", "identity", "secret")
