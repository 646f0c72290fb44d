"""The tables of the drop: links, visits with what became of each file, consents, questions; uploads under way.

The same rules as in `models`: no name and no text of anyone, record tables written by the fold alone.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from archive.catalogue.columns import DigestBytes, LongWords, Sealed, Words
from archive.catalogue.models import Base


def _column(column_class: str, *args: Any, **kwargs: Any) -> Any:
    return mapped_column(*args, info={"class": column_class}, **kwargs)


# ── records: a fold over the log ─────────────────────────────────────────────────────────────────────────────────────


class DropLinkRow(Base):
    """One way in for observers to one incident; its short code is a MAC here and stands nowhere in clear."""

    __tablename__ = "drop_link"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    incident_id: Mapped[UUID] = _column("internal", ForeignKey("incident.id"), index=True)
    number: Mapped[str] = _column("internal", Words(32), unique=True)
    code_mac: Mapped[bytes] = _column("secret", DigestBytes, unique=True)
    status: Mapped[str] = _column("internal", Words(10))
    uses: Mapped[str] = _column("internal", Words(8))
    most_octets: Mapped[int] = _column("internal")
    most_files: Mapped[int] = _column("internal")
    questions: Mapped[str] = _column("internal", LongWords)
    wording: Mapped[str] = _column("internal", Words(32))
    created_time: Mapped[datetime] = _column("internal")
    expires_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


class VisitRow(Base):
    """One observer's handing over, from the first file to the last answer: one receipt, one return code."""

    __tablename__ = "visit"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    organisation_id: Mapped[UUID] = _column("internal", ForeignKey("organisation.id"))
    drop_link_id: Mapped[UUID] = _column("internal", ForeignKey("drop_link.id"), index=True)
    incident_id: Mapped[UUID] = _column("internal", ForeignKey("incident.id"))
    number: Mapped[str | None] = _column("internal", Words(32), unique=True)
    status: Mapped[str] = _column("internal", Words(12))
    recipient: Mapped[str] = _column("open", LongWords)
    sender_recipients: Mapped[str] = _column("open", LongWords)
    code_digest: Mapped[bytes | None] = _column("secret", DigestBytes, unique=True)
    created_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


class DeliveryRow(Base):
    """What became of one file of a visit; there is at most one for each upload, whatever was tried how often."""

    __tablename__ = "delivery"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    visit_id: Mapped[UUID] = _column("internal", ForeignKey("visit.id"), index=True)
    upload: Mapped[bytes] = _column("internal", DigestBytes, unique=True)
    outcome: Mapped[str] = _column("internal", Words(10))
    comparison: Mapped[str] = _column("internal", Words(12))
    declared: Mapped[int] = _column("internal")
    size: Mapped[int | None] = _column("internal")
    item_id: Mapped[UUID | None] = _column("internal", ForeignKey("item.id"), index=True)
    delivered_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


class ConsentRow(Base):
    """One version of what a sender allows; the newest counts, and none is ever changed."""

    __tablename__ = "consent"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    visit_id: Mapped[UUID] = _column("internal", ForeignKey("visit.id"))
    version: Mapped[int] = _column("internal")
    level: Mapped[str] = _column("internal", Words(20))
    audiences: Mapped[str] = _column("internal", LongWords)
    wording: Mapped[str] = _column("internal", Words(32))
    language: Mapped[str] = _column("internal", Words(8))
    given_time: Mapped[datetime] = _column("internal")
    record_seq: Mapped[int] = _column("internal")
    __table_args__ = (UniqueConstraint("visit_id", "version"),)


class QuestionRow(Base):
    """A question that the office asked a sender; its words and the answer's are closed values."""

    __tablename__ = "question"
    id: Mapped[UUID] = _column("internal", primary_key=True)
    visit_id: Mapped[UUID] = _column("internal", ForeignKey("visit.id"), index=True)
    status: Mapped[str] = _column("internal", Words(10))
    asked_time: Mapped[datetime] = _column("internal")
    answered_time: Mapped[datetime | None] = _column("internal")
    record_seq: Mapped[int] = _column("internal")


# ── operations: not part of the record ───────────────────────────────────────────────────────────────────────────────


class UploadRow(Base):
    """An upload that has not ended, or whose end a client may still ask for; what it told lies sealed in its folder."""

    __tablename__ = "upload"
    name: Mapped[bytes] = _column("internal", DigestBytes, primary_key=True)
    visit_id: Mapped[UUID] = _column("internal", ForeignKey("visit.id"), index=True)
    drop_link_id: Mapped[UUID] = _column("internal", ForeignKey("drop_link.id"), index=True)
    declared: Mapped[int] = _column("internal")
    received: Mapped[int] = _column("internal")
    state: Mapped[str] = _column("internal", Words(12))
    created_time: Mapped[datetime] = _column("internal")
    changed_time: Mapped[datetime] = _column("internal")
    __table_args__ = (Index("ix_upload_state_changed_time", "state", "changed_time"),)


class SlipRow(Base):
    """What a receipt opens of one delivery, sealed to its sender alone, so that a receipt can be given while locked."""

    __tablename__ = "slip"
    delivery_id: Mapped[UUID] = _column("internal", primary_key=True)
    visit_id: Mapped[UUID] = _column("internal", index=True)
    sealed: Mapped[bytes] = _column("personal", Sealed)
