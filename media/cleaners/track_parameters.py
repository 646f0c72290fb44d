"""What may hide among the parameters of MP4 tracks and inside MPEG-4 pictures, which a copy carries along. No I/O.

Standard: ISO/IEC 14496-1, 7.2.6 (descriptors), 14496-3, 1.6.2.1 (parameters of AAC), 14496-2, 6.2.2.2 (user data).
"""

import functools
import re
import struct
from collections.abc import Iterator

from media.cleaners.picture_parameters import ENCODER, is_plain_mpeg4
from media.cleaners.sound_parameters import is_plain_aac
from media.cleaners.xiph_headers import laced, strange_headers
from media.ranges import RangeSource
from media.sample_tables import samples, tables_of

_USER_WORDS = re.compile(rb"\0\0\x01\xb2((?:(?!\0\0\x01).)*)", re.DOTALL)


def strange_parameters(copy: RangeSource, number: int) -> Iterator[str]:
    """Name what stands beside the parameters of one track of a finished copy."""
    tables, _ = tables_of(copy, number)
    stsd = tables.get(b"stsd", b"")
    if not all(_is_plain(kind, content) for kind, content in _parameters(stsd)):
        yield "more among the parameters of a coding than parameters"
    if stsd[12:16] == b"mp4v":
        try:
            begins, ends = samples(tables)
        except (KeyError, struct.error, ValueError):
            yield "coded pictures that cannot be walked"
            return
        pieces = (copy.read_range(begin, end - begin) for begin, end in zip(begins, ends, strict=True))
        inside = [content for _, content in _parameters(stsd)]
        around = functools.reduce(lambda left, content: left.replace(content, b"", 1), filter(None, inside), stsd)
        if any(map(words_in, (*inside, around))) or any(map(words_in, pieces)):
            yield "words inside the coded pictures"


def _parameters(stsd: bytes) -> Iterator[tuple[int, bytes]]:
    """Give each coding, by its number, with its decoder's parameters."""
    at = stsd.find(b"esds")
    while at >= 0:
        descriptor = stsd.find(bytes((4,)), at + 8)
        found = _opened(stsd, descriptor)
        if found:
            yield found[0], _opened(found, 13)
        at = stsd.find(b"esds", at + 4)


def _opened(octets: bytes, place: int) -> bytes:
    """Give the content of a descriptor; its length is spelt in up to four octets of seven bits."""
    length, place = 0, place + 1
    for _ in range(4):
        if place >= len(octets):
            return b""
        length, place = length << 7 | octets[place] & 0x7F, place + 1
        if not octets[place - 1] & 0x80:
            break
    return octets[place : place + length]


def _is_plain(kind: int, parameters: bytes) -> bool:
    match kind:
        case 0x40 | 0x67:
            return is_plain_aac(parameters)
        case 0x20:
            return is_plain_mpeg4(parameters)
        case 0xDD:
            try:
                return strange_headers([parameters[begin:end] for begin, end in laced(parameters)]) is None
            except ValueError:
                return False
        case _:
            return not parameters


def words_in(piece: bytes) -> bool:
    """Say whether coded MPEG-4 pictures hold words of a user's beside an encoder's name."""
    return any(not ENCODER.fullmatch(found[1]) for found in _USER_WORDS.finditer(piece))
