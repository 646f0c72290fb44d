"""How alike two pictures or two films look: difference hashes of small grey pictures, compared point by point. No I/O.

A difference hash says, for each of 256 places, whether the picture grows lighter to the right; scaling, compression and
a change of brightness leave most of them alone, cropping and another scene do not. Two that have nothing to do with
each other differ in about half. A picture with no contrast says nothing and is never compared.

The hashes of a file tell what it shows to whoever has the picture, so they are personal and are kept sealed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from media.sentences import Message, message

SIDE = 32
POINTS = 256
PICTURE_OCTETS = SIDE * SIDE
_STEP = SIDE // 16
_LEAST_CONTRAST = 24
_MOST_DIFFERENT_PHOTO = 26
_MOST_DIFFERENT_FRAME = 40
_SURELY_DIFFERENT = 64
_LEAST_FRAMES = 3
_SLACK_SECONDS = 1.0
_SLACK_SHARE = 0.02
_TURNS = 4
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What a file looks like. `pictures`: one of a photo, several of a film in order; None where there is no contrast.

    `grade` is how the file was received; `duration` is in seconds, of a film alone. `problem` says why there is none.
    """

    kind: str
    grade: str
    pictures: tuple[int | None, ...] = ()
    turned: tuple[int | None, ...] = ()
    duration: float | None = None
    problem: str | None = None

    def to_json(self) -> bytes:
        """Write it as it is sealed."""
        told = {
            "v": FORMAT,
            "kind": self.kind,
            "grade": self.grade,
            "pictures": [_hex(each) for each in self.pictures],
            "turned": [_hex(each) for each in self.turned],
            "duration": None if self.duration is None else f"{self.duration:.3f}",
            "problem": self.problem,
        }
        return json.dumps(told, sort_keys=True).encode("ascii")

    @classmethod
    def from_json(cls, raw: bytes) -> "Likeness | None":
        """Read it back; None where it is of another form."""
        try:
            told: Mapping[str, Any] = json.loads(raw)
            if told["v"] != FORMAT:
                return None
            return cls(
                kind=str(told["kind"]),
                grade=str(told["grade"]),
                pictures=tuple(None if each is None else int(each, 16) for each in told["pictures"]),
                turned=tuple(None if each is None else int(each, 16) for each in told["turned"]),
                duration=None if told["duration"] is None else float(told["duration"]),
                problem=told["problem"],
            )
        except (ValueError, KeyError, TypeError):
            return None


def photo_likeness(grey: bytes, grade: str) -> Likeness:
    """Make the hash of a photo, and of the same photo turned by quarters: a copy may have its turning carried out."""
    turns = [grey]
    for _ in range(_TURNS - 1):
        turns.append(_turned(turns[-1]))
    hashes = tuple(_hash(each) for each in turns)
    return Likeness(kind="photo", grade=grade, pictures=hashes[:1], turned=hashes[1:])


def film_likeness(greys: Sequence[bytes], duration: float, grade: str) -> Likeness:
    """Make the hashes of a film's pictures, which were taken at the same shares of its length as every other film's."""
    return Likeness(kind="video", grade=grade, pictures=tuple(_hash(each) for each in greys), duration=duration)


def alike(one: Likeness, other: Likeness) -> Message | None:
    """Say by what two files show the same; None where they do not, or it cannot be told."""
    if one.kind != other.kind or one.problem or other.problem:
        return None
    return _photos_alike(one, other) if one.kind == "photo" else _films_alike(one, other)


def far_apart(one: Likeness, other: Likeness) -> bool | None:
    """Say whether two pictures of one shape show different things; None where it cannot be told."""
    if one.problem or other.problem or not one.pictures or not other.pictures:
        return None
    a, b = one.pictures[0], other.pictures[0]
    return None if a is None or b is None else _distance(a, b) > _SURELY_DIFFERENT


def _photos_alike(one: Likeness, other: Likeness) -> Message | None:
    picture = one.pictures[0] if one.pictures else None
    if picture is None:
        return None
    distances = [_distance(picture, each) for each in (*other.pictures, *other.turned) if each is not None]
    if distances and min(distances) <= _MOST_DIFFERENT_PHOTO:
        return message("alike/photo", differ=min(distances), points=POINTS)
    return None


def _films_alike(one: Likeness, other: Likeness) -> Message | None:
    if one.duration is None or other.duration is None or len(one.pictures) != len(other.pictures):
        return None
    apart = abs(one.duration - other.duration)
    if apart > max(_SLACK_SECONDS, _SLACK_SHARE * max(one.duration, other.duration)):
        return None
    pairs = [(a, b) for a, b in zip(one.pictures, other.pictures, strict=True) if a is not None and b is not None]
    same = sum(_distance(a, b) <= _MOST_DIFFERENT_FRAME for a, b in pairs)
    if len(pairs) < _LEAST_FRAMES or same < len(pairs) - 1:
        return None
    return message("alike/film", apart=f"{apart:.1f}", same=same, compared=len(pairs))


def _hash(grey: bytes) -> int | None:
    """Hash a grey picture of 32 × 32 by cells of 2 × 2: 16 rows of 16 comparisons, the last with the first cell."""
    if len(grey) != PICTURE_OCTETS or max(grey) - min(grey) < _LEAST_CONTRAST:
        return None
    value = 0
    for row in range(0, SIDE, _STEP):
        upper, lower = grey[row * SIDE : (row + 1) * SIDE], grey[(row + 1) * SIDE : (row + 2) * SIDE]
        cells = [upper[x] + upper[x + 1] + lower[x] + lower[x + 1] for x in range(0, SIDE, _STEP)]
        for left, right in zip(cells, [*cells[1:], cells[0]], strict=True):
            value = value << 1 | (right > left)
    return value


def _turned(grey: bytes) -> bytes:
    """Turn a picture by a quarter, clockwise."""
    return bytes(grey[(SIDE - 1 - x) * SIDE + y] for y in range(SIDE) for x in range(SIDE))


def _distance(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def _hex(value: int | None) -> str | None:
    return None if value is None else f"{value:064x}"
