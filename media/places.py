"""Which place that the operator knows lies near a pair of coordinates. No I/O: nothing is ever looked up on a network.

A list of places is a text: a line each of latitude, longitude and name, divided by commas; `#` begins a remark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from archive.errors import ConfigError

_MOST_PLACES = 100_000
_FARTHEST_KM = 50.0
_KM_A_DEGREE = 111.2
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place, with its coordinates in degrees."""

    latitude: float
    longitude: float
    name: str


def parse_places(text: str) -> tuple[Place, ...]:
    """Read a list of places. Raises: ConfigError `config/bad-places`, with the number of the line."""
    found: list[Place] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        parts = [part.strip() for part in words.split(",", 2)]
        try:
            place = Place(latitude=float(parts[0]), longitude=float(parts[1]), name=parts[2])
        except (ValueError, IndexError):
            raise _bad(number) from None
        if not (abs(place.latitude) <= 90 and abs(place.longitude) <= 180 and 0 < len(place.name) <= _LONGEST_NAME):
            raise _bad(number)
        found.append(place)
        if len(found) > _MOST_PLACES:
            raise _bad(number)
    return tuple(found)


def nearest(places: Sequence[Place], latitude: float, longitude: float) -> tuple[str, int] | None:
    """Give the name of the nearest place and how many kilometres away it is; None where none is near."""
    best = min(places, key=lambda place: _kilometres(place, latitude, longitude), default=None)
    if best is None or (away := _kilometres(best, latitude, longitude)) > _FARTHEST_KM:
        return None
    return best.name, round(away)


def _kilometres(place: Place, latitude: float, longitude: float) -> float:
    """A flat reckoning, which is good enough for what is near."""
    across = (place.longitude - longitude + 180) % 360 - 180
    narrow = math.cos(math.radians((place.latitude + latitude) / 2))
    return _KM_A_DEGREE * math.hypot(place.latitude - latitude, across * narrow)


def _bad(number: int) -> ConfigError:
    return ConfigError(
        "config/bad-places",
        f"Line {number} of the list of places is not a latitude, a longitude and a name with commas between, or there "
        "are too many lines. Nothing was changed; mend the line, or take the key media.places out of the settings.",
    )
