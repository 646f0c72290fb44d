"""The headers that Vorbis, Theora, Opus, FLAC and Speex begin with: read to their last bit, or emptied. No I/O.

A comment header holds names and places. Emptied, it is as long as it was, so that nothing behind it moves: the words
are made blanks of the maker's name, and there are no comments. Standard: Vorbis I, 4.2 and 5.2; Theora, 6.1 to 6.4;
RFC 7845, 5; RFC 9639, 8.2; the Matroska codec mappings (Xiph lacing).
"""

import re
import struct
from collections.abc import Callable, Sequence

from media.cleaners.vorbis_setup import is_plain_theora_setup, is_plain_vorbis_setup

_VORBIS, _THEORA, _OPUS_HEAD, _OPUS_TAGS = b"vorbis", b"theora", b"OpusHead", b"OpusTags"
_MAKERS = re.compile(rb"(?:ffmpeg|Lavf)?|\x20*")
_SPEEX = re.compile(rb"Speex   (?:speex-)?1\.[\d.]{0,6}(?:(?:beta|rc)\d)?\0*")
_SPEEX_NAMES, _SPEEX_OCTETS = 28, 80
_FLAC_FIRST = re.compile(rb"\x7fFLAC\x01\0..fLaC[\0\x80]\0\0\x22.{34}", re.DOTALL)
_FLAC_INFORMATION = re.compile(rb"(?:fLaC[\0\x80]\0\0\x22)?.{34}", re.DOTALL)


def laced(private: bytes) -> list[tuple[int, int]]:
    """Give where the three headers lie that Matroska and MP4 hold as one. Raises: ValueError where they do not add up.

    Shapes: half open; the last is what the others leave.
    """
    if private[:1] != b"\x02":
        raise ValueError("not three headers")
    place, lengths = 1, []
    for _ in range(2):
        length = 0
        while place < len(private) and private[place] == 255:
            length, place = length + 255, place + 1
        if place >= len(private):
            raise ValueError("headers that are cut short")
        lengths.append(length + private[place])
        place += 1
    begins = [place, place + lengths[0], place + sum(lengths), len(private)]
    if begins[2] > len(private):
        raise ValueError("headers that are cut short")
    return list(zip(begins, begins[1:], strict=False))


def emptied(header: bytes) -> bytes:
    """Give a comment header of the same length that says nothing. Raises: ValueError for what is none."""
    mark, end = header[:7], b"\x01" if header[:7] == b"\x03vorbis" else b""
    if mark not in (b"\x03vorbis", b"\x81theora") or len(header) < 15 + len(end):
        raise ValueError("no comment header")
    blank = len(header) - 15 - len(end)
    return mark + struct.pack("<I", blank) + b" " * blank + bytes(4) + end


def strange_headers(packets: Sequence[bytes]) -> str | None:
    """Name what is wrong with the first packets of a stream; None where they hold what a decoder needs and no more."""
    known = next((each for each in _KNOWN if packets and packets[0].startswith(each[0])), None)
    if known is None:
        return "a coding whose headers are not known here"
    checks = known[1]
    if len(packets) < len(checks):
        return "headers that are not all there"
    for packet, (check, words) in zip(packets, checks, strict=False):
        if not check(packet):
            return words
    return None


def headers_of(first: bytes) -> int:
    """Tell how many headers a stream has that begins with this packet."""
    return next((len(checks) for mark, checks in _KNOWN if first.startswith(mark)), 1)


def is_plain_opus_head(packet: bytes) -> bool:
    if packet[:8] != _OPUS_HEAD or len(packet) < 19 or packet[8] != 1 or not packet[9]:
        return False
    return len(packet) == (19 if packet[18] == 0 else 21 + packet[9])


def is_plain_flac(private: bytes) -> bool:
    return bool(_FLAC_INFORMATION.fullmatch(private))


def _says_nothing(skipped: int, end: bytes) -> Callable[[bytes], bool]:
    def check(packet: bytes) -> bool:
        block = packet[skipped:]
        if len(block) < 8:
            return False
        (maker,) = struct.unpack_from("<I", block)
        return bool(_MAKERS.fullmatch(block[4 : 4 + maker])) and block[4 + maker :] == bytes(4) + end

    return check


def _is_plain_speex(packet: bytes) -> bool:
    return len(packet) == _SPEEX_OCTETS and bool(_SPEEX.fullmatch(packet[:_SPEEX_NAMES]))


def _flac_says_nothing(packet: bytes) -> bool:
    length = int.from_bytes(packet[1:4], "big")
    return packet[:1] in (b"\x04", b"\x84") and length == len(packet) - 4 and _says_nothing(4, b"")(packet)


_HEAD, _COMMENTS, _SETUP = "more in the head of a stream than a head", "comments", "more behind a coding's own tables"
_KNOWN: Sequence[tuple[bytes, Sequence[tuple[Callable[[bytes], bool], str]]]] = (
    (
        b"\x01vorbis",
        (
            (lambda packet: len(packet) == 30, _HEAD),
            (_says_nothing(7, b"\x01"), _COMMENTS),
            (is_plain_vorbis_setup, _SETUP),
        ),
    ),
    (
        b"\x80theora",
        (
            (lambda packet: len(packet) == 42, _HEAD),
            (_says_nothing(7, b""), _COMMENTS),
            (is_plain_theora_setup, _SETUP),
        ),
    ),
    (_OPUS_HEAD, ((is_plain_opus_head, _HEAD), (_says_nothing(8, b""), _COMMENTS))),
    (b"\x7fFLAC", ((lambda packet: bool(_FLAC_FIRST.fullmatch(packet)), _HEAD), (_flac_says_nothing, _COMMENTS))),
    (b"Speex   ", ((_is_plain_speex, _HEAD), (_says_nothing(0, b""), _COMMENTS))),
)
