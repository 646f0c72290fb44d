"""The values that every room passes around: ids, digests, times, closed vocabularies. No I/O.

Values are frozen; ids are random and never derived from content or from a person; a digest knows its algorithm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NewType, Self
from uuid import UUID

ItemId = NewType("ItemId", UUID)
StaffId = NewType("StaffId", UUID)

Clock = Callable[[], datetime]
"""Returns the present moment as an aware datetime in UTC."""

NewId = Callable[[], UUID]
"""Returns a fresh random identifier."""


class DigestAlgorithm(StrEnum):
    """Digest algorithms that a record may name."""

    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"
    BLAKE3 = "blake3"


_DIGEST_OCTETS = {
    DigestAlgorithm.SHA256: 32,
    DigestAlgorithm.SHA384: 48,
    DigestAlgorithm.SHA512: 64,
    DigestAlgorithm.BLAKE3: 32,
}


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest that knows its algorithm.

    Shapes: `value` is 32 octets for SHA-256 and BLAKE3, 48 for SHA-384, 64 for SHA-512. Prints as `sha256:<hex>`.
    """

    algorithm: DigestAlgorithm
    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) != _DIGEST_OCTETS[self.algorithm]:
            raise ValueError(f"a {self.algorithm} digest has {_DIGEST_OCTETS[self.algorithm]} octets")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value.hex()}"

    @property
    def hex(self) -> str:
        return self.value.hex()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `algorithm:hex` back. Raises: ValueError on anything else."""
        name, separator, digits = text.partition(":")
        if not separator or digits != digits.lower():
            raise ValueError("a digest is written algorithm:hex, in lower case")
        return cls(DigestAlgorithm(name), bytes.fromhex(digits))


def utc_text(moment: datetime) -> str:
    """Write an aware moment as RFC 3339 in UTC with microseconds: `2026-11-22T02:03:04.000005Z`."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be recorded")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_utc(text: str) -> datetime:
    """Read what `utc_text` wrote. Raises: ValueError for any other spelling."""
    moment = datetime.fromisoformat(text)
    if utc_text(moment) != text:
        raise ValueError("a recorded moment is written in UTC with microseconds and ends in Z")
    return moment


class Role(StrEnum):
    """What a staff account may be."""

    OBSERVER = "observer"
    DISPATCHER = "dispatcher"
    ATTORNEY = "attorney"
    COORDINATOR = "coordinator"
    TECHNICIAN = "technician"
    AUDITOR = "auditor"


class ItemRole(StrEnum):
    """What an item is in relation to its parent (legal-standards 2.2)."""

    ORIGINAL = "original"
    WORKING_COPY = "working_copy"
    CLIP = "clip"
    REDACTED = "redacted"
    TRANSCODE = "transcode"
    TRANSCRIPT = "transcript"
    TRANSLATION = "translation"
    STILL = "still"
    PRINT = "print"
    METADATA_REPORT = "metadata_report"
    LOG_EXCERPT = "log_excerpt"


class EvidenceKind(StrEnum):
    """What kind of evidence an item holds, told from its bytes."""

    PHOTO = "photo"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    STATEMENT = "statement"
    WEB_CAPTURE = "web_capture"
    OTHER = "other"


class Audience(StrEnum):
    """For whom something is shown or made (legal-standards 5)."""

    VAULT = "vault"
    COUNSEL = "counsel"
    LITIGATION = "litigation_production"
    COURT = "court_public"
    IMMIGRATION = "immigration_court"
    PRESS = "press"
    PUBLIC = "public"


class Handling(StrEnum):
    """What happens to a class of metadata; `ask_counsel` strips unless counsel ticked the class."""

    KEEP = "keep"
    GENERALISE = "generalise"
    STRIP = "strip"
    ASK_COUNSEL = "ask_counsel"


class AtIngest(StrEnum):
    """Whether an original is kept whole at intake, or only its cleaned copy."""

    KEEP = "keep"
    STRIP = "strip"


class Uncleanable(StrEnum):
    """What happens at intake to a file that should be stripped and cannot be."""

    REFUSE = "refuse"
    KEEP_MARKED = "keep_marked"


class Outcome(StrEnum):
    """How a custody event ended (PREMIS eventOutcome)."""

    SUCCESS = "success"
    FAILURE = "failure"
    WARNING = "warning"


class Finding(StrEnum):
    """What a check found; the third is never folded into the other two."""

    MATCHES = "MATCHES"
    DOES_NOT_MATCH = "DOES NOT MATCH"
    CANNOT_TELL = "CANNOT TELL"


class OwnerKind(StrEnum):
    """Whose key a sealed value stands under."""

    ITEM = "item"
    INCIDENT = "incident"
    PERSON = "person"
    STAFF = "staff"
    IDENTITY = "identity"
    VISIT = "visit"
    SENDER = "sender"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The owner of a sealed value: an item, an incident, a person, the staff compartment of an organisation, (identity)
    the identity keyring that only counsel can open, a visit of an observer, or (sender) that observer, for whose return
    code the office has no key."""

    kind: OwnerKind
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: an account of the archive, under its pseudonym, or the program itself.

    `role` is what the access table asks; `pseudonym` is what the log commits to. A custodian named on the command line
    is a claim and travels elsewhere.
    """

    staff_id: StaffId
    pseudonym: str
    role: Role
