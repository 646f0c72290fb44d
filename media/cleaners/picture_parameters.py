"""What a decoder of MPEG-4, AV1 or VP9 pictures is told to begin with, read to its last bit. No I/O.

Standard: ISO/IEC 14496-2, 6.2.2 and 6.2.3 (visual object, its layer); AV1 bitstream, 5.5, and its ISO media file format
binding, 2.3 (`av1C`); VP9's features in WebM.
"""

import re

from archive.errors import InputError
from media.bits import Bits
from media.pictures.coded import av1_units

ENCODER = re.compile(rb"(?:Lavc[\d.]{0,12}|XviD\d{2,4}[A-Z]?|DivX\d{3,4}[Bb]\d{1,5}p?)?\0*")
"""The names of encoders that MPEG-4 pictures may hold: those that decoders go by, to show what they made rightly."""
_UNIT = re.compile(rb"\0\0\x01(.)((?:(?!\0\0\x01).)*)", re.DOTALL)
_SEQUENCE_HEADER = 1
_OWN_SHAPE, _STATIC, _MOVED = 15, 1, 2
_RGB = (1, 13, 0)


def is_plain_mpeg4(octets: bytes) -> bool:
    """Tell whether these are the parameters of MPEG-4 pictures and no more, but for an encoder's name."""
    octets = octets.rstrip(b"\0")
    units = list(_UNIT.finditer(octets))
    if sum(len(each[0]) for each in units) != len(octets):
        return False
    try:
        return all(_is_plain_part(each[1][0], each[2]) for each in units)
    except ValueError:
        return False


def _is_plain_part(kind: int, content: bytes) -> bool:
    if kind <= 0x1F:
        return not content.rstrip(b"\0")
    if kind <= 0x2F:
        return _is_plain_layer(Bits(content))
    match kind:
        case 0xB0:
            return len(content) == 1
        case 0xB2:
            return bool(ENCODER.fullmatch(content))
        case 0xB5:
            return _is_plain_object(Bits(content))
        case _:
            return False


def _is_plain_object(bits: Bits) -> bool:
    if bits.flag():
        bits.take(7)
    if bits.take(4) in (1, 2) and bits.flag():
        bits.take(4)
        if bits.flag():
            bits.take(24)
    return bits.left <= 8


def _is_plain_layer(bits: Bits) -> bool:
    bits.take(9)
    version = bits.take(7) >> 3 if bits.flag() else 1
    if bits.take(4) == _OWN_SHAPE:
        bits.take(16)
    if bits.flag():
        bits.take(3)
        if bits.flag():
            bits.take(79)
    if bits.take(2):
        return False  # Pictures of another shape than a rectangle.
    bits.take(1)
    ticks = bits.take(16)
    bits.take(1)
    if bits.flag():
        bits.take(max(1, (ticks - 1).bit_length()))
    bits.take(29 + 2)
    moved = bits.take(1 if version == 1 else 2)
    if moved == _STATIC:
        return False
    if moved == _MOVED:
        bits.take(9)
    if bits.flag():
        bits.take(8)
    _matrices(bits)
    if version != 1:
        bits.take(1)
    if not bits.flag():
        return False
    bits.take(1)
    if bits.flag():
        bits.take(1)
    if version != 1 and (bits.flag() or bits.flag()):
        return False
    return not bits.flag() and bits.left <= 8


def _matrices(bits: Bits) -> None:
    if bits.flag():
        for _ in range(2):
            if bits.flag():
                for _ in range(64):
                    if not bits.take(8):
                        break


def is_plain_av1(record: bytes) -> bool:
    """Tell whether an `av1C` holds the parameters of the pictures and no more."""
    if len(record) < 4 or record[0] != 0x81:
        return False
    try:
        units = list(av1_units(record[4:]))
        return len(units) <= 1 and all(_is_plain_unit(each.octets) for each in units)
    except (InputError, ValueError, IndexError):
        return False


def _is_plain_unit(octets: bytes) -> bool:
    if octets[0] & 0xFD != _SEQUENCE_HEADER << 3:
        return False
    bits = Bits(octets[2 if octets[0] & 2 else 1 :])
    _sequence(bits)
    return bits.left <= 8 and _is_last(bits)


def _is_last(bits: Bits) -> bool:
    left = bits.left
    return left > 0 and bits.take(left) == 1 << left - 1


def _sequence(bits: Bits) -> None:
    profile, _, short = bits.take(3), bits.take(1), bits.flag()
    if short:
        bits.take(5)
    else:
        _operating_points(bits)
    wide, high = bits.take(4) + 1, bits.take(4) + 1
    bits.take(wide + high)
    if not short and bits.flag():
        bits.take(7)
    bits.take(3)
    if not short:
        _tools(bits)
    bits.take(3)
    _colours(bits, profile)
    bits.take(1)


def _operating_points(bits: Bits) -> None:
    width = 0
    timed = bits.flag()
    if timed:
        bits.take(64)
        if bits.flag():
            zeros = 0
            while not bits.flag():
                zeros += 1
            bits.take(min(zeros, 32))
        if bits.flag():
            width = bits.take(5) + 1
            bits.take(42)
    delayed = bits.flag()
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if width and bits.flag():
            bits.take(2 * width + 1)
        if delayed and bits.flag():
            bits.take(4)


def _tools(bits: Bits) -> None:
    bits.take(4)
    ordered = bits.flag()
    if ordered:
        bits.take(2)
    screen = True if bits.flag() else bits.flag()
    if screen and not bits.flag():
        bits.take(1)
    if ordered:
        bits.take(3)


def _colours(bits: Bits, profile: int) -> None:
    deep = bits.flag()
    deepest = profile == 2 and deep and bits.flag()
    grey = profile != 1 and bits.flag()
    told = (bits.take(8), bits.take(8), bits.take(8)) if bits.flag() else None
    if grey:
        bits.take(1)
        return
    if told != _RGB:
        bits.take(1)
        halves = profile == 0
        if deepest:
            halves = bits.flag() and bits.flag()
        if halves:
            bits.take(2)
    bits.take(1)


def is_plain_vp9(private: bytes) -> bool:
    """Tell whether these are features of VP9, each a number, or what MP4 has in their place."""
    if len(private) == 8 and private[0] > 4:
        return private[6:] == b"\0\0"
    pieces = [private[place : place + 3] for place in range(0, len(private), 3)]
    return all(len(each) == 3 and 1 <= each[0] <= 4 and each[1] == 1 for each in pieces)
