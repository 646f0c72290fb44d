"""A PNG rebuilt from the chunks that a decoder needs. No I/O.

Kept: the picture's own chunks, those of an animation, and those that say how its samples become colours and at what
size it is printed. A colour profile loses its words, an EXIF block all but the orientation. Texts, times, names of
palettes, private chunks, more samples than the picture has, and all that lies after the end go. Standard: PNG, third
edition.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

from media.pictures.damage import damaged
from media.pictures.exif import block_for, shown_by
from media.pictures.icc import without_words
from media.pictures.png_data import Colours, frame_size, only_the_picture, samples_octets

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LENGTHS = {
    b"IHDR": {13}, b"PLTE": {3 * count for count in range(1, 257)}, b"IEND": {0}, b"tRNS": set(range(1, 257)),
    b"gAMA": {4}, b"cHRM": {32}, b"sRGB": {1}, b"sBIT": {1, 2, 3, 4}, b"bKGD": {1, 2, 6}, b"pHYs": {9}, b"cICP": {4},
    b"mDCV": {24}, b"cLLI": {8}, b"mDCv": {24}, b"cLLi": {8}, b"acTL": {8},
}  # fmt: skip
"""The chunks that stay and stand once, with the lengths that the standard gives them."""
_LEAST = {b"fcTL": 26, b"fdAT": 4}
_LARGEST_PROFILE = 16 << 20


def rebuild(data: bytes, traces: Sequence[str]) -> bytes:
    """Give a PNG of the same picture and nothing else. Raises: InputError `media/cannot-clean`."""
    out, seen, number = [SIGNATURE], set[bytes](), 0
    colours = Colours()
    try:
        for name, body in _joined(data):
            colours.meet(name, body)
            if name in (b"PLTE", b"tRNS") and not colours.need(name, body):
                continue
            if name == b"iCCP":
                out.append(_chunk(name, b"ICC\0\0" + _repacked(body, traces)))
            elif name == b"eXIf":
                if block := block_for(shown_by(body)):
                    out.append(_chunk(name, block))
            elif name == b"IDAT":
                out.append(_chunk(name, body))
            elif name in (b"fcTL", b"fdAT") and len(body) >= _LEAST[name]:
                out.append(_chunk(name, struct.pack(">I", number) + body[4 : None if name == b"fdAT" else 26]))
                number += 1
            elif name in _LENGTHS:
                known = len(body) in _LENGTHS[name] and name not in seen
                if not known and not name[0] & 0x20:
                    raise damaged("a part that it needs is not as it should be")
                out += [_chunk(name, body)] if known else []
            elif not name[0] & 0x20:
                raise damaged("it needs a part that nobody here knows")
            seen.add(name)
    except (zlib.error, ValueError, IndexError, struct.error) as error:
        raise damaged("its samples cannot be unpacked") from error
    if out[-1][4:8] != b"IEND":
        raise damaged("its end is missing")
    return b"".join(out)


def _joined(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give the chunks, with the samples of each picture in one piece and nothing behind them."""
    header, control, parts, open_name = b"", b"", list[bytes](), b""
    for name, body in _chunks(data):
        if parts and name != open_name:
            yield open_name, _samples(open_name, parts, header, control)
            parts = []
        if name in (b"IDAT", b"fdAT"):
            open_name = name
            parts.append(body)
            continue
        header = body if name == b"IHDR" else header
        control = body if name == b"fcTL" else control
        yield name, body


def _samples(name: bytes, parts: list[bytes], header: bytes, control: bytes) -> bytes:
    width, height = struct.unpack_from(">II", header) if name == b"IDAT" else frame_size(control)
    expected = samples_octets(header, width, height)
    if name == b"IDAT":
        return only_the_picture(b"".join(parts), expected)
    return parts[0][:4] + only_the_picture(b"".join(part[4:] for part in parts), expected)


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
