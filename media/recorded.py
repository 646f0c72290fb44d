"""Claims as a record keeps them, read back: which time is which, and when it was. No I/O.

The claims that `Examination.claim_values` wrote are given as they stand in the log, so that what is said of an item
later is said of what was recorded and of nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTime:
    """One recorded time. `moment` is UTC where `known`, else the camera's local time, written as if it were UTC."""

    source: str
    raw: str
    moment: datetime
    known: bool
    uncertainty: timedelta
    fraction: str

    @property
    def name(self) -> str:
        """The field's own name, without its place."""
        return self.source.rpartition(":")[2].partition("+")[0]

    @property
    def place(self) -> str:
        return self.source.partition(":")[0]

    @property
    def of_the_file(self) -> bool:
        """Whether the whole file says so, and not a point of a track or a document inside it."""
        return ":Doc" not in self.source


def read_times(embedded: Values) -> tuple[ReadTime, ...]:
    """Read the times that can be placed; a time that does not exist, or a date alone, is left out."""
    return tuple(_times(embedded.get("times") or ()))


def _times(claims: Sequence[Values]) -> Iterator[ReadTime]:
    for claim in claims:
        utc, local = claim.get("utc"), claim.get("local")
        written = str(utc or local or "")
        moment = parse_moment(written)
        if moment is not None:
            yield ReadTime(
                source=str(claim.get("source", "")),
                raw=str(claim.get("raw", "")),
                moment=moment,
                known=bool(utc),
                uncertainty=timedelta(seconds=int(claim.get("uncertainty_seconds") or 0)),
                fraction=written.removesuffix("Z")[19:],
            )


def parse_moment(text: str) -> datetime | None:
    """Read a moment of a record, to the second; None for anything else."""
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def shifted(text: str, seconds: int) -> str | None:
    """Write a recorded moment as it would be if the device's clock had not run `seconds` ahead; else None."""
    moment = parse_moment(text)
    if moment is None:
        return None
    try:
        corrected = moment - timedelta(seconds=seconds)
    except OverflowError:
        return None
    return f"{corrected:%Y-%m-%dT%H:%M:%S}{'Z' if text.endswith('Z') else ''}"


def plain_span(span: timedelta) -> str:
    """Write a span of time for people."""
    seconds = abs(span.total_seconds())
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
