"""What an audit finds: values with a subject, a stable code and words; matches are counted, everything else is named.

Words are safe to show; raw values are in `evidence`. "Cannot tell" is never folded into either of the others. No I/O.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from archive.errors import IntegrityError, TestigoError
from archive.types import Finding

EXPECTED = frozenset(
    {
        "custody/timestamp-pending",
        "custody/checkpoint-unrecorded",
        "custody/entries-unpublished",
        "custody/closed-to-office",
    }
)
"""Codes of what an archive in good order may have for a while or by decision: said, and no reason for alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing that an audit found.

    `subject` is what a person looks for: `entry 17`, `E-2026-00003`, `checkpoint 64`. `count` is how many things a
    match stands for, and `words_of_one` what is said where it is one. Where entries are the subject, `evidence` holds
    `first` and `end` (half open).
    """

    finding: Finding
    subject: str
    code: str
    words: str
    count: int = 1
    words_of_one: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_expected(self) -> bool:
        """Tell whether this is no reason for alarm."""
        return self.finding is Finding.MATCHES or self.code in EXPECTED


def matches(subject: str, words: str, count: int, *, one: str = "") -> Found:
    return Found(finding=Finding.MATCHES, subject=subject, code="", words=words, count=count, words_of_one=one)


def differs(code: str, words: str, *, subject: str, **evidence: object) -> Found:
    return Found(finding=Finding.DOES_NOT_MATCH, subject=subject, code=code, words=words, evidence=evidence)


def unknown(code: str, words: str, *, subject: str, **evidence: object) -> Found:
    return Found(finding=Finding.CANNOT_TELL, subject=subject, code=code, words=words, evidence=evidence)


def from_error(error: TestigoError, *, subject: str) -> Found:
    """Give an error as a finding: what is not right does not match, what could not be looked at cannot be told."""
    finding = Finding.DOES_NOT_MATCH if isinstance(error, IntegrityError) else Finding.CANNOT_TELL
    return Found(finding=finding, subject=subject, code=error.code, words=error.message, evidence=dict(error.evidence))


def surviving(findings: Iterable[Found], *, subject: str) -> Iterator[Found]:
    """Give findings on; an error that ends them early becomes the last one, so that an audit goes on elsewhere."""
    try:
        yield from findings
    except TestigoError as error:
        is_foreign = error.code == "archive/foreign-value"
        yield _unreadable(subject, error) if is_foreign else from_error(error, subject=subject)
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        # Whoever changed a row may have put there what no act ever writes.
        yield _unreadable(subject, error)


def _unreadable(subject: str, error: Exception) -> Found:
    words = (
        "A row of the catalogue cannot be read: it holds what its column never held. Nothing after it was checked in "
        "this part."
    )
    return differs("archive/catalogue-damaged", words, subject=subject, cause=repr(error)[:500])


def entries(first: int, end: int) -> str:
    """Name a half-open range of entries."""
    return f"entry {first}" if end == first + 1 else f"entries {first}–{end - 1}"


def ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Join ascending numbers into half-open ranges."""
    first = end = -1
    for number in numbers:
        if number != end:
            if end > first:
                yield first, end
            first = number
        end = number + 1
    if end > first >= 0:
        yield first, end
