"""Boxes of ISO base media files: walking them and writing them. No I/O. Standard: ISO/IEC 14496-12, 4.2."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from media.pictures.damage import damaged

_MOST_BOXES = 100_000


class Box(NamedTuple):
    """One box: its type, where it begins, where its content begins and ends."""

    kind: bytes
    start: int
    body: int
    end: int


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Give the boxes that fill a range of bytes, one after the other. Raises: InputError `media/cannot-clean`."""
    place, limit = start, len(data) if end is None else end
    for _ in range(_MOST_BOXES):
        if place >= limit:
            return
        if place + 8 > limit:
            raise damaged("bytes stand after its last box")
        size, kind = struct.unpack_from(">I4s", data, place)
        body = place + 8
        if size == 1 and place + 16 <= limit:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        elif size == 0:
            size = limit - place
        if size < body - place or place + size > limit:
            raise damaged("a box reaches beyond its end")
        yield Box(kind, place, body, place + size)
        place += size
    raise damaged("it has boxes without end")


def box(kind: bytes, body: bytes) -> bytes:
    """Write a box."""
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full_box(kind: bytes, version: int, flags: int, body: bytes) -> bytes:
    """Write a box that has a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags) + body)
