"""A JPEG 2000 file rebuilt from the boxes and markers that a decoder needs. No I/O.

Kept: signature, type, header with its colour specification (a profile without words), and the code stream without its
comments. XML, UUID, rights and reader's boxes, association and label boxes, and all else go.
Standard: ISO/IEC 15444-1, annexes A and I.
"""

import struct
from collections.abc import Sequence

from media.pictures.boxes import Box, box, boxes
from media.pictures.damage import damaged
from media.pictures.icc import without_words

_HEADER = frozenset((b"ihdr", b"bpcc", b"pclr", b"cmap", b"cdef", b"res "))
_RESTRICTED, _ANY = 2, 3
_SOC, _SOT, _COM = 0xFF4F, 0xFF90, 0xFF64


def rebuild(data: bytes, traces: Sequence[str]) -> bytes:
    """Give a JPEG 2000 of the same picture and nothing else. Raises: InputError `media/cannot-clean`."""
    out, has_picture = [], False
    for each in boxes(data):
        body = data[each.body : each.end]
        if each.kind in (b"jP  ", b"ftyp"):
            out.append(box(each.kind, body))
        elif each.kind == b"jp2h":
            out.append(box(each.kind, _header(data, each, traces)))
        elif each.kind == b"jp2c" and not has_picture:
            has_picture = True
            out.append(box(each.kind, _without_comments(body)))
    if not has_picture:
        raise damaged("there is no picture in it")
    return b"".join(out)


def _header(data: bytes, header: Box, traces: Sequence[str]) -> bytes:
    out = []
    for each in boxes(data, header.body, header.end):
        body = data[each.body : each.end]
        if each.kind in _HEADER:
            out.append(box(each.kind, body))
        elif each.kind == b"colr" and len(body) > 3:
            if body[0] in (_RESTRICTED, _ANY):
                body = body[:3] + without_words(body[3:], traces)
            out.append(box(each.kind, body))
    return b"".join(out)


def _without_comments(stream: bytes) -> bytes:
    """Drop the comments of the main header; those of a tile part would move its end, so a file with one is refused."""
    if stream[:2] != b"\xff\x4f":
        raise damaged("its code stream has no beginning")
    out, place = [stream[:2]], 2
    while place + 4 <= len(stream):
        marker, length = struct.unpack_from(">HH", stream, place)
        if marker == _SOT:
            return b"".join((*out, _tile_parts(stream, place)))
        if marker != _COM:
            out.append(stream[place : place + 2 + length])
        place += 2 + length
    raise damaged("there is no tile in it")


def _tile_parts(stream: bytes, place: int) -> bytes:
    start = place
    while stream[place : place + 2] == b"\xff\x90" and place + 12 <= len(stream):
        (length,) = struct.unpack_from(">I", stream, place + 6)
        end = place + length if length else len(stream)
        inside = place + 12
        while stream[inside : inside + 2] != b"\xff\x93":
            if stream[inside : inside + 2] == b"\xff\x64" or inside + 4 > end:
                raise damaged("a tile of it holds a comment or has no beginning")
            inside += 2 + struct.unpack_from(">H", stream, inside + 2)[0]
        place = end
    ended = stream[start:place]
    return ended if ended.endswith(b"\xff\xd9") else ended + b"\xff\xd9"
