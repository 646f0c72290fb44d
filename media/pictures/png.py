"""A PNG rebuilt from the chunks that a decoder needs. No I/O.

Kept: the picture's own chunks, those of an animation, and those that say how its samples become colours and at what
size it is printed. A colour profile loses its words, an EXIF block all but the orientation. Texts, times, names of
palettes, private chunks and all that lies after the end go. Standard: PNG, third edition.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

from media.pictures.damage import damaged
from media.pictures.exif import block_for, shown_by
from media.pictures.icc import without_words

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB sBIT bKGD pHYs hIST cICP mDCV cLLI mDCv cLLi acTL fcTL fdAT".split()
)
_LARGEST_PROFILE = 16 << 20


def rebuild(data: bytes, traces: Sequence[str]) -> bytes:
    """Give a PNG of the same picture and nothing else. Raises: InputError `media/cannot-clean`."""
    out = [SIGNATURE]
    for name, body in _chunks(data):
        if name == b"iCCP":
            out.append(_chunk(name, b"ICC\0\0" + _repacked(body, traces)))
        elif name == b"eXIf":
            if block := block_for(shown_by(body)):
                out.append(_chunk(name, block))
        elif name in _KEPT:
            out.append(_chunk(name, body))
        elif not name[0] & 0x20:
            raise damaged("it needs a part that nobody here knows")
    if out[-1][4:8] != b"IEND":
        raise damaged("its end is missing")
    return b"".join(out)


def _repacked(body: bytes, traces: Sequence[str]) -> bytes:
    _, _, packed = body.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], _LARGEST_PROFILE)
    except zlib.error as error:
        raise damaged("its colour profile cannot be unpacked") from error
    if unpacker.unconsumed_tail:
        raise damaged("its colour profile has no end")
    return zlib.compress(without_words(profile, traces), 9)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if end > len(data) or not name.isalpha():
            raise damaged("a chunk reaches beyond its end")
        yield name, data[place + 8 : end - 4]
        if name == b"IEND":
            return
        place = end


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
