"""The codings that are made of units, H.264 and HEVC: which units are kept, and what the parameters are. No I/O.

Standard: ISO/IEC 14496-15 (`avcC`, `hvcC`); ITU-T H.264, 7.4.1 and H.265, 7.4.2.2 (kinds of units).
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from media.h264_sets import check_h264
from media.hevc_sets import check_hevc

_ENTRY_OCTETS = 86
_HEVC_HEAD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """What is kept of one coding; `messages` and `filler` are kinds of units, `head` the octets of a unit's header.

    `longest` are the octets that units have which only say where something begins or ends. `check` raises ValueError
    for one of the `sets` of parameters behind whose end there is something.
    """

    head: int
    kept: frozenset[int]
    longest: Mapping[int, int]
    sets: frozenset[int]
    check: Callable[[bytes], None]
    messages: frozenset[int]
    filler: bytes

    def keeps(self, header: bytes | memoryview, length: int) -> bool:
        """Tell whether a unit stays; one that is a header and no more says nothing."""
        if length < self.head:
            return True
        kind = self.kind(header)
        layer = (header[0] & 1) << 5 | header[1] >> 3 if self.head == _HEVC_HEAD else 0
        return length <= self.longest.get(kind, self.head if kind not in self.kept or layer else length)

    def kind(self, header: bytes | memoryview) -> int:
        return header[0] & 0x1F if self.head == 1 else header[0] >> 1 & 0x3F


H264 = Coding(
    head=1,
    kept=frozenset({1, 5, 7, 8}),
    longest={9: 2, 10: 1, 11: 1},
    sets=frozenset({7, 8}),
    check=check_h264,
    messages=frozenset({6}),
    filler=b"\x0c",
)
HEVC = Coding(
    head=_HEVC_HEAD,
    kept=frozenset({*range(10), *range(16, 22), 32, 33, 34, 36, 37}),
    longest={35: 3},
    sets=frozenset({32, 33, 34, 36, 37}),  # An end has no content, and cannot be filled: what follows depends on it.
    check=check_hevc,
    messages=frozenset({39, 40}),
    filler=b"\x4c\x01",
)


def coding_of(stsd: bytes) -> tuple[Coding, int, list[tuple[int, int]]] | None:
    """Tell the coding, the octets of a unit's length, and where messages lie among the parameters; only where there is
    one entry, and its parameters are understood to their end."""
    if len(stsd) < 16 or struct.unpack_from(">I", stsd, 4)[0] != 1:
        return None
    place = 8 + _ENTRY_OCTETS
    while place + 8 <= len(stsd):
        size, kind = struct.unpack_from(">I4s", stsd, place)
        if size < 8 or place + size > len(stsd):
            return None
        content = stsd[place + 8 : place + size]
        if kind == b"avcC":
            return (H264, (content[4] & 3) + 1, []) if is_plain_avcc(content) else None
        if kind == b"hvcC":
            found = messages_of_hvcc(content)
            moved = [(place + 8 + begin, place + 8 + end) for begin, end in found or ()]
            return (HEVC, (content[21] & 3) + 1, moved) if found is not None else None
        place += size
    return None


def is_plain_avcc(content: bytes) -> bool:
    """Tell whether an `avcC` holds its sets of parameters and no more."""
    try:
        place = _after_sets(content, 6, content[5] & 0x1F, 7)
        place = _after_sets(content, place + 1, content[place], 8)
        if place + 4 <= len(content):
            place = _after_sets(content, place + 4, content[place + 3], 13)
    except (IndexError, struct.error, ValueError):
        return False
    return place == len(content)


def _after_sets(content: bytes, place: int, count: int, kind: int) -> int:
    for _ in range(count):
        (length,) = struct.unpack_from(">H", content, place)
        if content[place + 2] & 0x1F != kind:
            raise ValueError("not a set of parameters")
        if kind in H264.sets:
            check_h264(content[place + 2 : place + 2 + length])
        place += 2 + length
    return place


def messages_of_hvcc(content: bytes) -> list[tuple[int, int]] | None:
    """Give where messages lie; None for what is no list of parameters and messages."""
    found = []
    try:
        place, arrays = 23, content[22]
        for _ in range(arrays):
            kind, count = struct.unpack_from(">BH", content, place)
            place += 3
            for _ in range(count):
                (length,) = struct.unpack_from(">H", content, place)
                unit = content[place + 2 : place + 2 + length]
                if len(unit) != length or length <= HEVC.head or HEVC.kind(unit) != kind & 0x3F:
                    return None
                if HEVC.kind(unit) in HEVC.messages:
                    found.append((place + 2, place + 2 + length))
                elif HEVC.kind(unit) not in HEVC.sets or not is_plain_set(unit, HEVC):
                    return None
                place += 2 + length
    except (IndexError, struct.error):
        return None
    return found if place == len(content) else None


def is_plain_set(unit: bytes, coding: Coding) -> bool:
    try:
        coding.check(unit)
    except ValueError:
        return False
    return True
