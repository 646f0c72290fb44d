"""What a leaf of the log says: its place, the kind of event, how it ended, and commitments to everything else.

An item's own run is knitted through the log: each entry that speaks of an item commits to the item's running number
and to the leaf hash of the item's previous entry, so that a missing line is named even when whoever hands over the
lines left it out. This module knows formats.md 3.1, 3.4 and 3.6; it does not know what the other disclosures mean.
No I/O.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn
from uuid import UUID

from archive.errors import IntegrityError
from archive.types import ItemId, Outcome
from custody.canonical import MAX_INTEGER, Json
from custody.commitments import DIGEST_CHARACTERS, Disclosure
from custody.merkle import HASH_OCTETS

FORMAT_VERSION = 1
RUN = "run"

# An entry bundle prefixes each entry with its length in 16 bits (C2SP tlog-tiles); this many digests stay below.
MAX_DISCLOSURES = 1400

_DIGEST = re.compile(rf"[A-Za-z0-9_-]{{{DIGEST_CHARACTERS}}}")
_HEX_HASH = re.compile(rf"[0-9a-f]{{{2 * HASH_OCTETS}}}")

# The members are few and their values plain, so that the canonical form is a regular language; reading by this pattern
# is both stricter and faster than reading JSON and looking afterwards at what it was.
_LEAF = re.compile(
    r'\{"_sd":\[("[^\]]+")?\],"_sd_alg":"sha-256","event":"([a-z ]+)","outcome":"([a-z]+)",'
    rf'"seq":(0|[1-9][0-9]{{0,15}}),"v":{FORMAT_VERSION}\}}'
)


class EventKind(StrEnum):
    """Kinds of custody events: PREMIS labels where one exists, local terms where none does."""

    INGESTION = "ingestion"
    DUPLICATE_RECEIPT = "duplicate receipt"
    CREATION = "creation"
    METADATA_EXTRACTION = "metadata extraction"
    FIXITY_CHECK = "fixity check"
    ACCESS = "access"
    DISSEMINATION = "dissemination"
    POLICY_ASSIGNMENT = "policy assignment"
    METADATA_MODIFICATION = "metadata modification"
    DELETION = "deletion"
    DEACCESSION = "deaccession"
    ENCRYPTION = "encryption"
    VALIDATION = "validation"
    IMPORT = "import"
    UNLOCK = "unlock"
    LOCK = "lock"
    BACKUP = "backup"
    REBUILD = "rebuild"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One leaf of the log.

    Shapes: `seq` is the zero-based index of the leaf; `sd` are distinct commitments, sorted, at most `MAX_DISCLOSURES`.
    """

    seq: int
    event: EventKind
    outcome: Outcome
    sd: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.seq <= MAX_INTEGER:
            raise ValueError("an entry's seq is its index in the log")
        if len(self.sd) > MAX_DISCLOSURES:
            raise ValueError(f"an entry holds at most {MAX_DISCLOSURES} commitments; write several entries")
        if not all(map(_DIGEST.fullmatch, self.sd)):
            raise ValueError("a commitment is 43 characters of base64url")
        if list(self.sd) != sorted(set(self.sd)):
            raise ValueError("commitments are distinct and sorted")

    @classmethod
    def make(cls, *, seq: int, event: EventKind, outcome: Outcome, disclosures: Iterable[Disclosure]) -> "Entry":
        """Commit to `disclosures`. Raises: ValueError for two that are the same or too many."""
        return cls(seq=seq, event=event, outcome=outcome, sd=tuple(sorted(one.digest for one in disclosures)))

    def leaf(self) -> bytes:
        """Write the exact bytes that are hashed and kept.

        Every value comes from a closed vocabulary without characters to escape, so the canonical form can be written
        straight down; a property test holds it against `canonical_bytes`.
        """
        digests = '"' + '","'.join(self.sd) + '"' if self.sd else ""
        return (
            f'{{"_sd":[{digests}],"_sd_alg":"sha-256","event":"{self.event}","outcome":"{self.outcome}",'
            f'"seq":{self.seq},"v":{FORMAT_VERSION}}}'
        ).encode("ascii")

    @classmethod
    def parse(cls, leaf: bytes) -> "Entry":
        """Read a leaf back.

        Raises: IntegrityError `custody/bad-entry` for bytes that `leaf` would not have written.
        """
        try:
            found = _LEAF.fullmatch(leaf.decode("ascii"))
            if found is None:
                raise ValueError("an entry has exactly the members and the spelling of its format")
            digests, event, outcome, seq = found.groups()
            sd = tuple(digests[1:-1].split('","')) if digests else ()
            return cls(seq=int(seq), event=EventKind(event), outcome=Outcome(outcome), sd=sd)
        except ValueError as error:
            raise IntegrityError(
                "custody/bad-entry",
                "An entry of the log is not written as the format says. Keep the file and have it looked at.",
                evidence={"entry": leaf[:4096], "reason": str(error)},
            ) from error


def check_disclosure(entry: Entry, disclosure: Disclosure) -> tuple[str, Json]:
    """Open one commitment of `entry`; return the name and the value.

    Raises: IntegrityError `custody/not-committed` where the entry holds no such commitment; `custody/bad-disclosure`.
    """
    if disclosure.digest not in entry.sd:
        raise IntegrityError(
            "custody/not-committed",
            "A value that was handed over is not the one that the log committed to. Keep both.",
            evidence={"seq": entry.seq, "digest": disclosure.digest, "disclosure": disclosure.text[:4096]},
        )
    opened = disclosure.parse()
    return opened.name, opened.value


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLink:
    """Where an entry stands in the run of one item: its number from 1, and the leaf hash of the entry before."""

    item: ItemId
    number: int
    previous: bytes | None

    def __post_init__(self) -> None:
        if not 1 <= self.number <= MAX_INTEGER or (self.previous is None) != (self.number == 1):
            raise ValueError("a run starts at 1, and every later number names the entry before")
        if self.previous is not None and len(self.previous) != HASH_OCTETS:
            raise ValueError("the entry before is named by its leaf hash")

    def value(self) -> dict[str, Json]:
        """Write the value of the disclosure named `run`."""
        previous = self.previous.hex() if self.previous is not None else None
        return {"item": str(self.item), "number": self.number, "previous": previous}

    @classmethod
    def from_value(cls, value: Json) -> "RunLink":
        """Read the value of a disclosure named `run`. Raises: IntegrityError `custody/bad-entry`."""
        try:
            if not isinstance(value, Mapping) or value.keys() != {"item", "number", "previous"}:
                raise ValueError("a run has an item, a number and the entry before")
            number, previous = value["number"], value["previous"]
            if not isinstance(number, int) or isinstance(number, bool):
                raise ValueError("a running number is an integer")
            if previous is not None and not _HEX_HASH.fullmatch(_text(previous)):
                raise ValueError("the entry before is named by its leaf hash in lower-case hex")
            before = bytes.fromhex(_text(previous)) if previous is not None else None
            return cls(item=parse_item(value["item"]), number=number, previous=before)
        except ValueError as error:
            raise IntegrityError(
                "custody/bad-entry",
                "An entry's place in the run of its item is not written as the format says.",
                evidence={"run": value, "reason": str(error)},
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """One entry as it stands in one item's run."""

    seq: int
    leaf_hash: bytes
    link: RunLink


def verify_run(item: ItemId, steps: Sequence[RunStep], closing_seq: int) -> tuple[RunStep, ...]:
    """Prove that `steps` are all that the log says of `item`, from its first entry to the one at `closing_seq`.

    `steps` may come in any order; they are returned in the order of the run.
    Raises: IntegrityError `custody/run-gap`, `evidence["missing"]` being the first number that is not there;
    `custody/run-broken` where a link does not hold, `evidence["number"]` saying at which.
    """
    ordered = tuple(sorted(steps, key=lambda step: (step.link.number, step.seq)))
    previous: RunStep | None = None
    for expected, step in enumerate(ordered, start=1):
        link = step.link
        if link.item != item:
            _broken(item, step, "it speaks of another item")
        if link.number < expected:
            _broken(item, step, "two entries bear the same number")
        if link.number > expected:
            _gap(item, expected, closing_seq)
        if previous is not None and link.previous != previous.leaf_hash:
            _broken(item, step, "it does not follow the entry before it")
        if previous is not None and step.seq <= previous.seq:
            _broken(item, step, "it stands earlier in the log than the entry before it")
        if step.seq > closing_seq:
            _broken(item, step, "it stands after the entry that closes the run")
        previous = step
    if previous is None or previous.seq != closing_seq:
        _gap(item, len(ordered) + 1, closing_seq)
    return ordered


def parse_item(value: Json) -> ItemId:
    """Read an item's id as it stands in a disclosure. Raises: ValueError for any spelling but the canonical one."""
    text = _text(value)
    item = UUID(text)
    if str(item) != text:
        raise ValueError("an item's id is written in lower case with hyphens")
    return ItemId(item)


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("text was expected")
    return value


def _gap(item: ItemId, missing: int, closing_seq: int) -> NoReturn:
    raise IntegrityError(
        "custody/run-gap",
        f"The record of an item is not complete: its entry number {missing} is missing.",
        evidence={"item": str(item), "missing": missing, "closing_seq": closing_seq},
    )


def _broken(item: ItemId, step: RunStep, reason: str) -> NoReturn:
    previous = step.link.previous
    raise IntegrityError(
        "custody/run-broken",
        f"The record of an item does not hold together at its entry number {step.link.number}: {reason}.",
        evidence={
            "item": str(item),
            "number": step.link.number,
            "seq": step.seq,
            "previous": previous.hex() if previous is not None else None,
            "reason": reason,
        },
    )
