"""Coded pictures without the messages that encoders leave in them. No I/O.

An encoder may write its name, its settings, or whatever its user gave it, between the parts of a coded picture: as SEI
messages in HEVC, as metadata or padding in AV1. A decoder needs none of them. Standard: ITU-T H.265, 7.3 and annex D;
ISO/IEC 14496-15, 8.3; AV1 bitstream, 5.3.
"""

from collections.abc import Iterator
from typing import NamedTuple

from media.pictures.damage import damaged

_SEI = (39, 40)
_AV1_METADATA, _AV1_PADDING, _AV1_TILE_LIST = 5, 15, 8
_AV1_LIGHT = (1, 2)
"""Content light level and mastering display: how bright a picture may be shown."""


def hevc_units(content: bytes, length_octets: int) -> Iterator[tuple[int, bytes]]:
    """Give each unit of a coded picture with its type; the bytes hold the length before it."""
    place = 0
    while place < len(content):
        length = int.from_bytes(content[place : place + length_octets], "big")
        end = place + length_octets + length
        if length < 2 or end > len(content):
            raise damaged("a coded picture of it is not whole")
        yield content[place + length_octets] >> 1 & 0x3F, content[place:end]
        place = end


def without_hevc_messages(content: bytes, length_octets: int) -> bytes:
    """Drop the messages from a coded picture. Raises: InputError `media/cannot-clean`."""
    return b"".join(unit for kind, unit in hevc_units(content, length_octets) if kind not in _SEI)


def hevc_configuration(body: bytes) -> bytes:
    """Drop the messages from a decoder configuration. Raises: InputError `media/cannot-clean`."""
    if len(body) < 23:
        raise damaged("what its decoder needs is not whole")
    kept, place = [], 23
    for _ in range(body[22]):
        start, kind = place, body[place] & 0x3F if place < len(body) else 0
        units = int.from_bytes(body[place + 1 : place + 3], "big")
        place += 3
        for _ in range(units):
            place += 2 + int.from_bytes(body[place : place + 2], "big")
        if place > len(body):
            raise damaged("what its decoder needs is not whole")
        if kind not in _SEI:
            kept.append(body[start:place])
    return body[:22] + bytes((len(kept),)) + b"".join(kept)


class Unit(NamedTuple):
    """One open bitstream unit of AV1."""

    kind: int
    metadata: int
    octets: bytes


def av1_units(content: bytes) -> Iterator[Unit]:
    """Give each unit of a coded picture."""
    place = 0
    while place < len(content):
        head = content[place]
        body = place + (2 if head & 4 else 1)
        length, used = len(content) - body, 0
        if head & 2:
            length, used = _leb128(content, body)
        end = body + used + length
        if end > len(content) or head & 0x80:
            raise damaged("a coded picture of it is not whole")
        first = content[body + used] if length else 0
        yield Unit(head >> 3 & 15, first, content[place:end])
        place = end


def is_av1_message(unit: Unit) -> bool:
    """Tell whether a decoder needs a unit less than its writer did."""
    told = unit.kind == _AV1_METADATA and unit.metadata not in _AV1_LIGHT
    return told or unit.kind in (_AV1_PADDING, _AV1_TILE_LIST)


def without_av1_messages(content: bytes) -> bytes:
    """Drop the messages from a coded picture. Raises: InputError `media/cannot-clean`."""
    return b"".join(unit.octets for unit in av1_units(content) if not is_av1_message(unit))


def _leb128(content: bytes, place: int) -> tuple[int, int]:
    number = 0
    for used in range(8):
        octet = content[place + used] if place + used < len(content) else 0x80
        number |= (octet & 0x7F) << 7 * used
        if not octet & 0x80:
            return number, used + 1
    raise damaged("a coded picture of it is not whole")
