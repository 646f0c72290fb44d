"""Human numbers: `I-2026-0087`, `E-2026-00412`, `P-2026-0031`, `H-2026-0004`, `imp-2026-0007`, `D-2026-0012` (drop
links), `TG-2026-00412` (receipts). Never reused."""

import re
from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy.orm import Session

from archive.catalogue.models import NumberRow


class NumberKind(StrEnum):
    """What is numbered; the value is the prefix."""

    INCIDENT = "I"
    ITEM = "E"
    PACKET = "P"
    HOLD = "H"
    IMPORT = "imp"
    DROP_LINK = "D"
    RECEIPT = "TG"


_WIDTH = {NumberKind.ITEM: 5, NumberKind.RECEIPT: 5}
_FORM = re.compile(r"(I|E|P|H|imp|D|TG)-(\d{4})-(\d{4,12})", re.ASCII)


def next_numbers(session: Session, kind: NumberKind, year: int, count: int = 1) -> list[str]:
    """Give out the next `count` numbers; they count as used once the transaction is committed."""
    row = session.get(NumberRow, (str(kind), year))
    if row is None:
        row = NumberRow(kind=str(kind), year=year, last=0)
        session.add(row)
    first = row.last + 1
    row.last += count
    session.flush()
    width = _WIDTH.get(kind, 4)
    return [f"{kind}-{year}-{number:0{width}d}" for number in range(first, first + count)]


def highest_numbers(used: Iterable[str]) -> dict[tuple[str, int], int]:
    """Return the highest of `used` for each (kind, year); what is not of our form is left alone."""
    highest: dict[tuple[str, int], int] = {}
    for text in used:
        found = _FORM.fullmatch(text)
        if found:
            key = (found[1], int(found[2]))
            highest[key] = max(highest.get(key, 0), int(found[3]))
    return highest


def restore_numbers(session: Session, used: Iterable[str]) -> None:
    """Set each counter to the highest of `used`."""
    for (kind, year), last in highest_numbers(used).items():
        session.merge(NumberRow(kind=kind, year=year, last=last))
