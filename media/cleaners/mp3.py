"""Cleaning MP3: the coded frames alone, bit for bit; every tag before, between and behind them stays out.

FFmpeg would write a new first frame and with it another length, so that people would hear some milliseconds more or
less. Here that frame, which tells players how much silence the encoder added, is kept; the encoder's name and settings
in it are blanked. Does no I/O of its own. Standard: ISO/IEC 11172-3, 2.4.1.3 (headers); the LAME tag, revision 1.
"""

import re
import struct
from collections.abc import Iterator

from archive.errors import InputError
from media.cleaners.port import Cleaned, CleanRequest, Sink
from media.confinement import Confinement
from media.identify import Format
from media.mpeg_frames import MpegHeader, mpeg_header
from media.options import MediaSettings
from media.ranges import RangeSource

_READ_OCTETS = 1 << 20
_LONGEST_FRAME = 4096
_NAME = b"LAME     "
_FILLED = re.compile(rb"(?:LAME\d\.\d+[a-z]?(?: \([a-z]+\))?)+")
_TAG_INSIDE = re.compile(rb"ID3[\x02-\x04][\x00-\x0f].[\x00-\x7f]{4}[A-Z]{3}|APETAGEX|LYRICSBEGIN", re.DOTALL)
_LEAST_HEAD = 4
_DELAY_AT, _CRC_AT, _TAG_OCTETS = 21, 34, 36
"""Places in the LAME tag, counted from its beginning, which is where the fields of an Xing frame end."""
_ALL_FIELDS, _TABLE_OCTETS = 0xF, 100
_VBRI_AT = 36


class Mp3Cleaner:
    """Cleans what is MPEG audio and nothing else; needs no tool."""

    def __init__(self, _confinement: Confinement, _settings: MediaSettings) -> None:
        pass

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type == "audio/mpeg"

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned:
        """Copy the frames. The LAME tag keeps the encoder's delay and padding, which players skip."""
        count = 0
        for frame in frames(request.source):
            if holds_a_tag(frame):
                raise InputError(
                    "media/cannot-clean",
                    "This file cannot be cleaned: a tag lies inside its sound. The original is kept as it is.",
                )
            sink.write(_without_name(blanked(frame) if count == 0 else frame))
            count += 1
        if count == 0:
            raise InputError(
                "media/cannot-clean",
                "This file cannot be cleaned: no MPEG audio was found in it. The original is kept as it is.",
            )
        return Cleaned(tool="testigo", version="1", mime_type="audio/mpeg")


def frames(source: RangeSource) -> Iterator[bytes]:
    """Give every frame of the stream, in order.

    A frame counts where another one alike follows it at once, or where the last one did and no other begins inside it;
    so tags that happen to hold the bits of a header are not taken for sound, nor is a frame whose end is missing.
    """
    place, window, follows = after_id3v2(source), _Window(source), None
    while (at := window.find_sync(place)) is not None:
        header = mpeg_header(window.get(at, 4))
        if header is None:
            place, follows = at + 1, None
            continue
        if at + header.length > source.size:
            if follows == header.alike and at == place:
                yield _cut_short(window.get(at, source.size - at))
                return
            place, follows = at + 1, None
            continue
        after = mpeg_header(window.get(at + header.length, 4))
        expected = follows is not None and at == place and follows == header.alike
        goes_on = after is not None and after.alike == header.alike
        if goes_on or (expected and not _overtaken(window, at, header)):
            yield window.get(at, header.length)
            place, follows = at + header.length, header.alike
        else:
            place, follows = at + 1, None


def holds_a_tag(frame: bytes) -> bool:
    """Tell whether a tag lies inside a frame, as where it was put in the middle of a stream."""
    return _TAG_INSIDE.search(frame) is not None


def _overtaken(window: "_Window", at: int, header: MpegHeader) -> bool:
    """Tell whether a frame begins inside another, which is then not whole; players skip such a one."""
    octets = window.get(at, header.length + 4)
    for place in range(1, header.length):
        inner = mpeg_header(octets[place : place + 4]) if octets[place] == 0xFF else None
        if inner is not None and inner.alike == header.alike:
            after = mpeg_header(window.get(at + place + inner.length, 4))
            if after is not None and after.alike == header.alike:
                return True
    return False


def _cut_short(octets: bytes) -> bytes:
    """Give the sound of a last frame that is not all there, which players play, without a tag behind it."""
    marks = (octets.find(mark) for mark in (b"TAG", b"APETAGEX", b"LYRICS", b"3DI"))
    return octets[: min((at for at in marks if at >= 0), default=len(octets))]


class _Window:
    """A piece of the file at hand, so that it is not read four octets at a time."""

    def __init__(self, source: RangeSource) -> None:
        self._source = source
        self._begin = 0
        self._piece = b""

    def get(self, place: int, length: int) -> bytes:
        at = place - self._begin
        if at < 0 or at + length > len(self._piece):
            self._begin, self._piece = place, self._source.read_range(place, _READ_OCTETS)
            at = 0
        return self._piece[at : at + length]

    def find_sync(self, place: int) -> int | None:
        """Find the next octet FF that a header may begin with."""
        while place < self._source.size:
            self.get(place, min(_LONGEST_FRAME, self._source.size - place))
            found = self._piece.find(b"\xff", place - self._begin)
            if found >= 0:
                return self._begin + found
            place = self._begin + len(self._piece)
        return None


def after_id3v2(source: RangeSource) -> int:
    """Give the place behind the tags that a file begins with."""
    place = 0
    while len(head := source.read_range(place, 10)) == 10 and head[:3] == b"ID3":
        length = 0
        for octet in head[6:]:
            length = length << 7 | octet & 0x7F
        place += 10 + length + (10 if head[5] & 0x10 else 0)
    return place


def blanked(frame: bytes) -> bytes:
    """Blank what an information frame says beside what players need; any other frame is given back as it is."""
    header = mpeg_header(frame)
    if header is None:
        return frame
    if frame[_VBRI_AT : _VBRI_AT + 4] == b"VBRI":
        entries, _, octets = struct.unpack_from(">HHH", frame, _VBRI_AT + 18)
        return frame[: _VBRI_AT + 26 + entries * octets].ljust(len(frame), b"\0")
    if frame[header.mark_at : header.mark_at + 4] not in (b"Xing", b"Info"):
        return frame
    return _blanked_xing(bytearray(frame), header.mark_at)


def _blanked_xing(changed: bytearray, at: int) -> bytes:
    """Keep counts, the table of places and the delay; before the mark decoders would find silence."""
    flags = int.from_bytes(changed[at + 4 : at + 8], "big") & _ALL_FIELDS
    table = at + 8 + 4 * (flags & 1) + 2 * (flags & 2)
    end = table + _TABLE_OCTETS * (flags >> 2 & 1) + 4 * (flags >> 3)
    name, delay = bytes(changed[end : end + 3]), bytes(changed[end + _DELAY_AT : end + _DELAY_AT + 3])
    changed[4:at] = bytes(at - 4)
    changed[at + 4 : at + 8] = flags.to_bytes(4, "big")
    changed[end:] = bytes(max(0, len(changed) - end))
    if flags & 4 and list(changed[table : table + _TABLE_OCTETS]) != sorted(changed[table : table + _TABLE_OCTETS]):
        changed[table : table + _TABLE_OCTETS] = bytes(256 * each // 100 for each in range(_TABLE_OCTETS))
    if name in (b"LAM", b"Lav") and len(changed) >= end + _TAG_OCTETS:
        changed[end : end + len(_NAME)] = _NAME
        changed[end + _DELAY_AT : end + _DELAY_AT + 3] = delay
        changed[end + _CRC_AT : end + _CRC_AT + 2] = _crc16(bytes(changed[: end + _CRC_AT])).to_bytes(2, "big")
    return bytes(changed)


def _without_name(frame: bytes) -> bytes:
    """Blank the name that LAME fills the unused end of a frame with; no decoder reads it."""
    return _FILLED.sub(lambda found: b"U" * len(found[0]), frame) if b"LAME" in frame[_LEAST_HEAD:] else frame


def _crc16(octets: bytes) -> int:
    """Compute CRC-16/ARC, which the LAME tag ends with."""
    crc = 0
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc
