"""What may be said in general words of a field that does not leave: the day of a time, the neighbourhood of a place.

What is generalised stands beside a copy, in its record and in what is printed with it, and never inside the copy.
No I/O.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from media.classify import ClassedTag
from media.metadata_classes import MetadataClass
from media.tags import Tag

_DAY = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generalised:
    """One field in general words. `source` is the field as a person would cite it."""

    about: MetadataClass
    source: str
    text: str


def generalise(
    fields: Sequence[ClassedTag], about: frozenset[MetadataClass], place_decimals: int
) -> Iterator[Generalised]:
    """Give each different general value once; of classes that have no general form, nothing."""
    told: set[tuple[MetadataClass, str]] = set()
    for each in fields:
        if each.about not in about:
            continue
        text = in_general(each, place_decimals)
        if text and (each.about, text) not in told:
            told.add((each.about, text))
            yield Generalised(about=each.about, source=each.tag.source, text=text)


def in_general(field: ClassedTag, place_decimals: int) -> str:
    """Give the general form of one field; empty where it has none."""
    match field.about:
        case MetadataClass.TIME:
            return day_of(field.tag.text)
        case MetadataClass.LOCATION:
            return _rounded(field.tag, place_decimals)
        case _:
            return ""


def day_of(text: str) -> str:
    """Give the day of a time as ExifTool prints it, without the hour and the zone; empty where there is none."""
    found = _DAY.match(text)
    if found is None or found[1] == "0000" or not "01" <= found[2] <= "12" or not "01" <= found[3] <= "31":
        return ""
    return f"{found[1]}-{found[2]}-{found[3]}"


def _rounded(tag: Tag, decimals: int) -> str:
    """Round a whole position; half a one, and a height, say nothing general."""
    if tag.family != "Composite" or tag.name != "GPSPosition":
        return ""
    try:
        north, east = (round(Decimal(part), decimals) for part in tag.number.split())
    except (InvalidOperation, ValueError):
        return ""
    return f"near {north:f}, {east:f}"
