"""The pages for people: what is proved, what is only claimed, what is not known; and how to check it all.

Every text that came from outside is escaped and shown without anything invisible in it. The pages hold no script and
fetch nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from custody.signed_note import KeyType, VerifierKey
from export.exhibits import Exhibit
from export.extract import Line
from export.index import claim_texts, plain
from export.request import Attested

_KEY_KINDS = {KeyType.ED25519: "Ed25519", KeyType.MLDSA44: "ML-DSA-44"}
_CLAIM_LABELS = (("times", "Times"), ("places", "Places"), ("devices", "Devices"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKey:
    """A key that signs the log, as people compare it."""

    kind: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyRow:
    """One entry as a line of a table; `number` is its running number in the item's own log."""

    seq: int
    number: int
    time: str
    event: str
    outcome: str
    by: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExhibitFacts:
    """What the page says of one exhibit. Names and claims are untrusted."""

    number: str
    path: str
    metadata_path: str
    has_metadata: bool
    kind: str
    status: str
    format: str
    size: str
    sha256: str
    received: str
    received_by: str
    method: str
    entry: int
    name: str
    handed_in: str
    claims: tuple[tuple[str, tuple[str, ...]], ...]
    companions: tuple[str, ...]
    apart: bool
    first_elsewhere: bool
    again: tuple[str, ...]
    custody: tuple[CustodyRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the pages say."""

    number: str
    recipient: str
    legal_basis: str
    released: str
    built_by: str
    organisation: str
    contact: str
    origin: str
    incidents: tuple[str, ...]
    left_out: int
    apart: int
    audience: str
    withheld: tuple[tuple[int, str], ...]
    compelled: tuple[str, ...]
    authority: str
    software: str
    octets: str
    release: int
    lines: int
    closed: int
    log_size: int
    keys: tuple[LogKey, ...]
    attested: tuple[Attested, ...]
    failures: tuple[CustodyRow, ...]
    exhibits: tuple[ExhibitFacts, ...]
    verifier_sha256: str


def read_me_first(facts: Facts) -> bytes:
    return _templates().get_template("read-me-first.html").render(facts=facts).encode("utf-8")


def verify_txt(facts: Facts) -> bytes:
    return (_templates().get_template("verify.txt").render(facts=facts) + "\n").encode("utf-8")


def log_keys(keys: Iterable[VerifierKey]) -> tuple[LogKey, ...]:
    return tuple(LogKey(kind=_KEY_KINDS[key.type], fingerprint=grouped(key.fingerprint)) for key in keys)


def exhibit_facts(exhibit: Exhibit, lines: Sequence[Line]) -> ExhibitFacts:
    """Gather what is said of one exhibit; `lines` are the entries that speak of it."""
    embedded = exhibit.claims.get("embedded")
    claims = [(label, claim_texts(embedded, name)) for name, label in _CLAIM_LABELS]
    claims.append(("Said by the sender", claim_texts(exhibit.claims, "sender")))
    return ExhibitFacts(
        number=exhibit.number,
        path=exhibit.path,
        metadata_path=exhibit.metadata_path,
        has_metadata=exhibit.metadata is not None,
        kind=exhibit.item.evidence_kind,
        status=exhibit.item.role,
        format=exhibit.format_words,
        size=f"{exhibit.size:,}",
        sha256=grouped(exhibit.sha256.hex),
        received=moment(exhibit.received_time),
        received_by=exhibit.received_by,
        method=exhibit.method,
        entry=exhibit.entry,
        name=exhibit.untrusted_name,
        handed_in=exhibit.handed_in_sha256,
        claims=tuple((label, tuple(texts)) for label, texts in claims if texts),
        companions=exhibit.companions,
        apart=exhibit.apart,
        first_elsewhere=exhibit.first_elsewhere,
        again=tuple(
            f"entry {each.entry}, by {each.received_by} ({each.method}), {moment(each.received_time)} UTC"
            for each in exhibit.again
        ),
        custody=tuple(custody_row(line, line.numbers[exhibit.item.id]) for line in lines),
    )


def custody_row(line: Line, number: int) -> CustodyRow:
    words = [line.general.get(name) for name in ("purpose", "code", "reason", "authority")]
    return CustodyRow(
        seq=line.seq,
        number=number,
        time=moment(str(line.general.get("recorded_time", ""))),
        event=line.event,
        outcome=line.outcome,
        by=_text(line.general, "actor") or "the program",
        words=" · ".join(str(word) for word in words if word),
    )


def grouped(hex_digits: str) -> str:
    """Write a digest in groups of four."""
    return " ".join(hex_digits[start : start + 4] for start in range(0, len(hex_digits), 4))


def moment(recorded: str) -> str:
    """Write a recorded time to the second, as people read it."""
    return recorded[:19].replace("T", " ")


def _text(values: Mapping[str, Any], name: str) -> str:
    return str(values.get(name) or "")


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
    )
    environment.filters["plain"] = plain
    return environment
