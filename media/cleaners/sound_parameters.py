"""What a decoder of sound is told to begin with, read to its last bit: AAC's parameters and Microsoft's format. No I/O.

Standard: ISO/IEC 14496-3, 1.6.2.1 (AudioSpecificConfig), 4.4.1 (GASpecificConfig, program config element); Microsoft's
`WAVEFORMATEX`, `WAVEFORMATEXTENSIBLE`, `ADPCMWAVEFORMAT`, `IMAADPCMWAVEFORMAT`, `MPEGLAYER3WAVEFORMAT`.
"""

import re
import struct

from media.bits import Bits

_PLAIN_KINDS = frozenset({1, 2, 3, 4})  # AAC Main, LC, SSR, LTP
_SPECTRAL, _PARAMETRIC = 5, 29  # each a kind that stands before the kind it widens
_LATER_SPECTRAL, _LATER_PARAMETRIC = 0x2B7, 0x548
_ESCAPED_RATE = 15
_ENCODER = re.compile(rb"(?:Lavc[\d.]*)?\0*")
_FORMAT_OCTETS = 16
_WIDE, _WIDE_OCTETS = 0xFFFE, 22
_SUBTYPE = bytes.fromhex("000000001000800000aa00389b71")  # of the media subtypes that are numbered as formats are
_COEFFICIENTS = struct.pack("<14h", 256, 0, 512, -256, 0, 0, 192, 64, 240, 0, 460, -208, 392, -232)
_NOTHING_MORE = frozenset({1, 3, 6, 7, 0x50, 0x55, 0x2000, 0xFF})


def is_plain_aac(parameters: bytes) -> bool:
    """Tell whether these are the parameters of AAC, with or without what was added for low rates, and no more."""
    bits = Bits(parameters)
    try:
        kind, channels = _kind(bits), _rate_and_channels(bits)
        if kind in (_SPECTRAL, _PARAMETRIC):
            _rate(bits)
            kind = _kind(bits)
        if kind not in _PLAIN_KINDS:
            return False
        bits.take(1)
        if bits.take(1):
            bits.take(14)
        if bits.take(1):
            return False  # An extension flag, which these kinds never set.
        if channels == 0:
            _own_layout(bits)
        if bits.left >= 16 and not bits.is_spent():
            _added_later(bits)
        return bits.is_spent()
    except ValueError:
        return False


def _kind(bits: Bits) -> int:
    kind = bits.take(5)
    return 32 + bits.take(6) if kind == 31 else kind


def _rate(bits: Bits) -> None:
    if bits.take(4) == _ESCAPED_RATE:
        bits.take(24)


def _rate_and_channels(bits: Bits) -> int:
    _rate(bits)
    return bits.take(4)


def _own_layout(bits: Bits) -> None:
    """Read a layout of channels that has no number; an encoder may leave its own name at the end of it."""
    bits.take(10)
    front, side, back, low, data, coupled = (bits.take(width) for width in (4, 4, 4, 2, 3, 4))
    for width in (4, 4, 3):
        if bits.take(1):
            bits.take(width)
    for width in (5 * front, 5 * side, 5 * back, 4 * low, 4 * data, 5 * coupled):
        bits.take(width)
    bits.take(bits.left % 8)
    if not _ENCODER.fullmatch(bytes(bits.take(8) for _ in range(bits.take(8)))):
        raise ValueError("words behind a layout of channels")


def _added_later(bits: Bits) -> None:
    if bits.take(11) != _LATER_SPECTRAL or _kind(bits) != _SPECTRAL:
        raise ValueError("no addition that is known")
    if bits.take(1):
        _rate(bits)
        if bits.left >= 12:
            if bits.take(11) != _LATER_PARAMETRIC:
                raise ValueError("no addition that is known")
            bits.take(1)


def is_plain_wave_format(octets: bytes) -> bool:
    """Tell whether this is a sound's format in Microsoft's manner and no more."""
    if len(octets) < _FORMAT_OCTETS:
        return False
    coding = int.from_bytes(octets[:2], "little")
    if len(octets) == _FORMAT_OCTETS:
        return True
    size, more = int.from_bytes(octets[16:18], "little"), octets[18:]
    if len(more) not in (size, size + size % 2) or any(more[size:]):
        return False
    more = more[:size]
    if coding == _WIDE and size >= _WIDE_OCTETS:
        coding, rest = int.from_bytes(more[6:8], "little"), more[_WIDE_OCTETS:]
        return more[8:_WIDE_OCTETS] == _SUBTYPE and not rest and coding in _NOTHING_MORE
    if not more:
        return coding != _WIDE
    match coding:  # as Microsoft numbers them: its own ADPCM, IMA's, GSM, MP3, MP2, AAC
        case 2:
            return len(more) == 32 and more[2:4] == b"\x07\0" and more[4:] == _COEFFICIENTS
        case 0x11 | 0x31:
            return len(more) == 2
        case 0x55:
            return len(more) == 12 and more[:5] == b"\x01\0" + bytes([more[2] & 3]) + b"\0\0"
        case 0x50:
            return len(more) == 22
        case 0xFF:
            return is_plain_aac(more)
        case _:
            return False
