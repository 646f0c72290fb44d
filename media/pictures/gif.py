"""A GIF rebuilt from the blocks that a viewer needs. No I/O.

Kept: palettes, pictures, their timing, the loop count. Comments, application blocks of any other kind and all that lies
after the trailer go. Standard: GIF89a, and the Netscape 2.0 extension for loops.
"""

import struct
from collections.abc import Iterator, Sequence

from media.pictures.damage import damaged
from media.pictures.gif_codes import octets_of_codes

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_TIMING, _PLAIN_TEXT, _APPLICATION = 0xF9, 0x01, 0xFF
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


def rebuild(data: bytes, _traces: Sequence[str]) -> bytes:
    """Give a GIF of the same pictures and nothing else. Raises: InputError `media/cannot-clean`."""
    start = 13 + _palette_octets(data[10]) if len(data) > 13 else len(data) + 1
    if start > len(data):
        raise damaged("its beginning is not whole")
    kept = [block for block in _blocks(data, start) if block]
    if not any(block[0] == _IMAGE for block in kept):
        raise damaged("there is no picture in it")
    return data[:start] + b"".join(kept) + bytes((_TRAILER,))


def _blocks(data: bytes, place: int) -> Iterator[bytes]:
    """Give each block that stays, and an empty one for each that goes."""
    while place < len(data) and data[place] != _TRAILER:
        if data[place] == _IMAGE and place + 10 < len(data):
            begin = place + 11 + _palette_octets(data[place + 9])
            end = _end_of_blocks(data, begin)
            yield data[place:begin] + _only_the_picture(data[place : place + 10], data[begin - 1], data[begin:end])
        elif data[place] == _EXTENSION and place + 2 < len(data):
            end = _end_of_blocks(data, place + 2)
            yield _extension(data[place:end])
        elif data[place] == 0:
            end = place + 1  # Some writers leave an empty block more than they should.
        else:
            raise damaged("a block of it is of no known kind")
        place = end


def _only_the_picture(header: bytes, least: int, blocks: bytes) -> bytes:
    """Give the blocks of a picture's codes up to the one that ends it, or the picture."""
    codes, place = bytearray(), 0
    while place < len(blocks) and blocks[place]:
        codes += blocks[place + 1 : place + 1 + blocks[place]]
        place += blocks[place] + 1
    width, height = struct.unpack_from("<HH", header, 5)
    used = octets_of_codes(codes, least, width * height)
    if used == len(codes):
        return blocks
    pieces = [bytes(codes[at : min(at + 255, used)]) for at in range(0, used, 255)]
    return b"".join(bytes((len(piece),)) + piece for piece in pieces) + b"\0"


def _extension(block: bytes) -> bytes:
    label = block[1]
    if label == _PLAIN_TEXT:
        raise damaged("it shows a text that is no picture")
    if label == _TIMING:
        return block if len(block) == 8 else b""
    if label == _APPLICATION and block[3:14] in _LOOPS and block[14:16] == b"\x03\x01" and len(block) >= 19:
        return block[:18] + b"\0"
    return b""


def _palette_octets(packed: int) -> int:
    return 3 * 2 ** ((packed & 7) + 1) if packed & 0x80 else 0


def _end_of_blocks(data: bytes, place: int) -> int:
    while place < len(data) and data[place]:
        place += data[place] + 1
    if place >= len(data):
        raise damaged("a block reaches beyond its end")
    return place + 1
