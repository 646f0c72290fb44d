"""Which chunks may lie in which lists of an AVI copy, and how long each may be. No I/O of its own.

Standard: Microsoft's AVI RIFF reference; OpenDML AVI file format extensions 1.02 (`odml`, `indx`, `vprp`).
"""

import re
import struct
from collections.abc import Iterator, Mapping

from media.cleaners.sound_parameters import is_plain_wave_format
from media.ranges import RangeSource

_LISTS: Mapping[bytes, frozenset[bytes]] = {
    b"": frozenset((b"hdrl", b"movi", b"idx1", b"JUNK")),
    b"hdrl": frozenset((b"avih", b"strl", b"odml", b"JUNK")),
    b"strl": frozenset((b"strh", b"strf", b"indx", b"vprp", b"JUNK")),
    b"odml": frozenset((b"dmlh",)),
    b"movi": frozenset((b"rec ", b"JUNK")),
    b"rec ": frozenset(),
}
_LONGEST: Mapping[bytes, int] = {b"avih": 56, b"strh": 56, b"dmlh": 248, b"vprp": 36 + 2 * 32}
_DATA = re.compile(rb"\d\d(?:dc|db|wb)|ix\d\d", re.DOTALL)
_RESERVED = re.compile(rb"\x04\0{7}\d\d(?:dc|db|wb)\0*|odmldmlh\xf8\0*")
"""Room that our muxer keeps for what a large film would need: an index of indexes, and how many pictures there are."""
_NUMBERS_ONLY = 4
_PIECE = 1 << 16
_LONGEST_FORMAT = 1 << 12


def strange_lists(copy: RangeSource, begin: int, end: int, inside: bytes = b"") -> Iterator[str]:
    """Name the chunks of a list (half open) that are not on its own list, or are longer than what they say."""
    place, sounds = begin, False
    while place + 8 <= end:
        kind, size = struct.unpack("<4sI", copy.read_range(place, 8))
        first, last = place + 8, min(end, place + 8 + size)
        if kind == b"LIST":
            kind = copy.read_range(first, 4)
            if kind in _LISTS[inside] and kind in _LISTS:
                yield from strange_lists(copy, first + 4, last, kind)
        if kind not in _LISTS[inside] and not (inside in (b"movi", b"rec ") and _DATA.fullmatch(kind)):
            yield f"an unknown chunk {kind.decode('latin-1')!r}"
        elif size > _LONGEST.get(kind, size):
            yield f"more in the chunk {kind.decode('latin-1')!r} than it is for"
        elif kind == b"JUNK" and not is_filling(copy, first, last):
            yield "a filling chunk that is not empty"
        elif kind == b"strh":
            sounds = copy.read_range(first, 4) == b"auds"
        elif kind == b"dmlh" and any(copy.read_range(first + _NUMBERS_ONLY, last - first - _NUMBERS_ONLY)):
            yield "more in the chunk 'dmlh' than it is for"
        elif kind == b"strf" and sounds:
            if not is_plain_wave_format(copy.read_range(first, min(size, _LONGEST_FORMAT + 1))):
                yield "more beside the format of the sound than a format"
        place += 8 + size + size % 2


def is_filling(copy: RangeSource, begin: int, end: int) -> bool:
    """Tell whether a filling chunk (half open) holds nothing, or room that is kept for what only large films have."""
    if _RESERVED.fullmatch(copy.read_range(begin, min(_PIECE, end - begin))):
        begin += _PIECE
    return not any(any(copy.read_range(at, min(_PIECE, end - at))) for at in range(begin, end, _PIECE))
