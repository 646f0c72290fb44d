"""What may hide among the parameters and inside the coded pictures of an AVI copy. No I/O of its own.

Only what can carry words is looked into: user data of MPEG-4, comments and applications' segments of Motion JPEG, and
what stands behind a bitmap's header, which holds a decoder's parameters. Standard: Microsoft's AVI RIFF reference;
ISO/IEC 14496-2, 6.2.2.2; ITU-T T.81, B.2.4.
"""

import re
import struct
from collections.abc import Iterator

from media.cleaners.motion_jpeg import words_in_jpeg
from media.cleaners.picture_parameters import is_plain_mpeg4
from media.cleaners.track_parameters import words_in
from media.ranges import RangeSource

_BITMAP_OCTETS = 40
_LONGEST_PARAMETERS = 1 << 16
_MPEG4 = frozenset((b"FMP4", b"DIVX", b"DX50", b"XVID", b"MP4V", b"3IV2", b"M4S2", b"RMP4", b"SEDG", b"BLZ0"))
_H264 = frozenset((b"H264", b"X264", b"AVC1", b"DAVC"))
_UNIT = re.compile(rb"\0\0\x01(.)", re.DOTALL)
_PARAMETER_SETS = frozenset((7, 8, 13))
_DEEPEST = 4
_MOST_CHUNKS = 4_000_000


def strange_pictures(copy: RangeSource, begin: int, end: int, depth: int = 0) -> Iterator[str]:
    """Name what stands in the chunks of a list (half open) that is no part of a picture."""
    for kind, start, until in _chunks(copy, begin, end):
        if kind == b"LIST" and depth < _DEEPEST:
            yield from strange_pictures(copy, start + 4, until, depth + 1)
        elif kind == b"strh" and copy.read_range(start, 4) != b"vids":
            return
        elif kind == b"strf":
            found = copy.read_range(start, min(until - start, _LONGEST_PARAMETERS))
            if until - start > _LONGEST_PARAMETERS or strange_bitmap(found):
                yield "more beside the format of the pictures than a format"
        elif kind[2:] in (b"dc", b"db"):
            picture = copy.read_range(start, until - start)
            if words_in(picture) if picture[:2] != b"\xff\xd8" else words_in_jpeg(picture):
                yield "words inside the coded pictures"
                return


def _chunks(copy: RangeSource, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(_MOST_CHUNKS):
        if place + 8 > end:
            return
        kind, size = struct.unpack("<4sI", copy.read_range(place, 8))
        yield kind, place + 8, min(end, place + 8 + size)
        place += 8 + size + size % 2


def strange_bitmap(description: bytes) -> bool:
    """Say whether what stands behind a bitmap's header is anything but the parameters of its coding."""
    coding, parameters = description[16:20].upper(), description[_BITMAP_OCTETS:]
    left = parameters.rstrip(b"\0")
    if not left:
        return False
    if coding in _MPEG4:
        return not is_plain_mpeg4(parameters)
    if coding in _H264:
        kinds = {found[1][0] & 0x1F for found in _UNIT.finditer(parameters)}
        return not kinds or not kinds <= _PARAMETER_SETS
    return True
