"""What a sender may allow: three rungs, lowest first, and none at all. No I/O.

Vocabulary: legal-standards 8.2. A rung is a level of consent and the audiences that it covers.
"""

from dataclasses import dataclass
from enum import StrEnum


class Rung(StrEnum):
    """What a person chooses, as forms name it."""

    LEGAL = "legal"
    COURT = "court"
    PRESS = "press"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A level of consent and the audiences that it covers."""

    level: str
    audiences: tuple[str, ...]


_COURTS = ("counsel", "production", "court", "immigration_court")
USES = {
    Rung.LEGAL: Use(level="legal_only", audiences=("counsel",)),
    Rung.COURT: Use(level="legal_only", audiences=_COURTS),
    Rung.PRESS: Use(level="press_anonymous", audiences=(*_COURTS, "press")),
}
WITHDRAWN = Use(level="vault_only", audiences=())
"""Said stop: kept because a hold or the law may call for it, used for nothing new."""


def rung_of(level: str, audiences: str) -> Rung | None:
    """Return the rung that a recorded consent stands on; None where it was withdrawn."""
    use = Use(level=level, audiences=tuple(filter(None, audiences.split(","))))
    return next((rung for rung, known in USES.items() if known == use), None)
