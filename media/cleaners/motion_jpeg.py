"""What may hide inside the pictures of Motion JPEG, each of which is a JPEG of its own. No I/O of its own.

Decoders need of an application's segments APP0, which says which field of a picture this is, and APP14, which says how
colours are meant. Standard: ITU-T T.81, B.2.4; T.871; OpenDML AVI file format extensions 1.02, Motion JPEG.
"""

import re
import struct
from collections.abc import Iterator

from archive.errors import InputError
from media.pictures.jpeg_tables import used_segments
from media.ranges import RangeSource

_START, _END, _SCAN, _COMMENT, _FIELD, _COLOURS = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xEE
_BEGINNING = re.compile(rb"\xff\xd8\xff")
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_LARGEST = 32 << 20


def words_in_jpeg(picture: bytes) -> bool:
    """Say whether a picture holds anything beside itself; it may be two fields, one behind the other."""
    place = 0
    while place < len(picture):
        if picture[place : place + 2] != b"\xff\xd8":
            return bool(picture[place:].strip(b"\0\xff"))
        end = _end_of(picture, place + 2)
        if end is None:
            return True
        place = end
    return False


def words_in_any_jpeg(copy: RangeSource) -> bool:
    """Look for pictures wherever they lie in a file, and for anything beside them within each."""
    place = 0
    while place < copy.size:
        window = copy.read_range(place, min(_LARGEST, copy.size - place))
        found = _BEGINNING.search(window)
        if found is None:
            place += max(1, len(window) - 2)
            continue
        end = _end_of(window, found.start() + 2)
        if end is None:
            return True
        place += end
    return False


def _end_of(picture: bytes, place: int) -> int | None:
    """Give where a picture ends; None where anything in it is no part of a picture, or it has no end."""
    segments: list[bytes] = []
    while place + 4 <= len(picture) and picture[place] == 0xFF:
        mark, (length,) = picture[place + 1], struct.unpack_from(">H", picture, place + 2)
        if mark == _END:
            return place + 2 if _all_used(segments) else None
        payload = picture[place + 4 : place + 2 + length]
        if length < 2 or not _is_plain(mark, payload):
            return None
        if not 0xE0 <= mark <= 0xEF:
            segments.append(picture[place : place + 2 + length])
        place += 2 + length
        if mark == _SCAN:
            after = _AFTER_SCAN.search(picture, place)
            place = after.end() - 2 if after else len(picture)
    ended = picture[place : place + 2] == bytes((0xFF, _END)) or place == len(picture)
    return min(place + 2, len(picture)) if ended and _all_used(segments) else None


def _is_plain(mark: int, payload: bytes) -> bool:
    if mark == _FIELD:
        jfif = payload[:5] == b"JFIF\0" and len(payload) == 14 and payload[12:] == b"\0\0"
        return jfif or (payload[:4] == b"AVI1" and len(payload) <= 16 and payload[4:6] in (b"\0\0", b"\1\0", b"\2\0"))
    if mark == _COLOURS:
        return payload[:5] == b"Adobe" and len(payload) == 12
    return 0xC0 <= mark <= 0xDD and not 0xD0 <= mark <= _END


def _all_used(segments: list[bytes]) -> bool:
    """Say whether a scan uses every table; that codes may be missing, which then are the standard's, is usual here."""
    try:
        return b"".join(used_segments(segments)) == b"".join(segments)
    except (InputError, IndexError, struct.error):
        return False


def strange_samples(copy: RangeSource, places: Iterator[tuple[int, int]]) -> bool:
    """Say whether any of the samples at these places (half open) holds anything beside a picture."""
    return any(words_in_jpeg(copy.read_range(begin, end - begin)) for begin, end in places)
