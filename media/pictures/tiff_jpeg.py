"""JPEG inside a TIFF: the pieces and their common tables, without comments and applications' segments. No I/O.

Standard: TIFF Technical Note 2 (compression 7); ITU-T T.81, B.2.
"""

import re
from collections.abc import Iterator

from media.pictures.damage import damaged

_SCAN, _COMMENT = 0xDA, 0xFE
_APPLICATIONS = range(0xE0, 0xF0)
_COLOURS, _COLOURS_OCTETS = 0xEE, 16
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def bare_piece(piece: bytes) -> bytes:
    """Give a piece, or the tables, without what no decoder of a TIFF reads. Raises: InputError `media/cannot-clean`."""
    return b"\xff\xd8" + b"".join(segment for segment in _segments(piece) if _is_needed(segment)) + b"\xff\xd9"


def is_bare(piece: bytes) -> bool:
    return bare_piece(piece) == piece.rstrip(b"\0")


def _is_needed(segment: bytes) -> bool:
    marker = segment[1]
    if marker in _APPLICATIONS:
        return marker == _COLOURS and segment[4:9] == b"Adobe" and len(segment) == _COLOURS_OCTETS
    return marker != _COMMENT


def _segments(piece: bytes) -> Iterator[bytes]:
    """Give the segments between beginning and end, each scan with its codes."""
    if piece[:2] != b"\xff\xd8":
        raise damaged("a piece of its picture is no JPEG")
    place = 2
    while piece[place : place + 2] != b"\xff\xd9":
        if piece[place : place + 1] != b"\xff" or place + 4 > len(piece):
            raise damaged("a piece of its picture does not come to an end")
        end = place + 2 + int.from_bytes(piece[place + 2 : place + 4], "big")
        if piece[place + 1] == _SCAN:
            found = _AFTER_SCAN.search(piece, end)
            end = found.start() if found else len(piece)
        yield piece[place:end]
        place = end
