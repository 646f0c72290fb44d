"""Reading the members of a JSON document that somebody else may have written, each as the kind that the format says.

Raises ValueError throughout; whoever reads a whole document makes its own error of it. No I/O.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from archive.types import parse_utc, utc_text
from custody.canonical import Json


def members(value: Json, names: set[str]) -> Mapping[str, Json]:
    if not isinstance(value, Mapping) or value.keys() != names:
        raise ValueError("other members than the format says")
    return value


def array(value: Json) -> Sequence[Json]:
    if not isinstance(value, list):
        raise ValueError("a list was expected")
    return value


def text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("text was expected")
    return value


def integer(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("an integer was expected")
    return value


def moment(value: Json) -> datetime:
    moment = parse_utc(text(value))
    if utc_text(moment) != value:
        raise ValueError("a moment has only one spelling")
    return moment
