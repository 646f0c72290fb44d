"""Walking finished copies of video and sound piece by piece: boxes, RIFF chunks, Ogg pages, FLAC blocks.

Every piece that is not on the list of what our own copies are made of is named, and so are octets outside all pieces.
The code shares nothing with FFmpeg, which made the copies. Does no I/O of its own.
"""

import math
import struct
from collections.abc import Iterator

from archive.errors import InputError
from media.boxes import Track, tracks, walk
from media.cleaners.avi_lists import is_filling, strange_lists
from media.cleaners.avi_walk import strange_pictures
from media.cleaners.motion_jpeg import strange_samples
from media.cleaners.mp3 import blanked, frames, holds_a_tag
from media.cleaners.sample_entries import strange_entry
from media.cleaners.sound_parameters import is_plain_wave_format
from media.cleaners.track_parameters import strange_parameters
from media.cleaners.xiph_headers import headers_of, strange_headers
from media.coded_units import coded_track, has_units, strange_units
from media.ranges import RangeSource
from media.sample_tables import only_what_is_played, samples, tables_of

_BOXES = frozenset(
    b"ftyp free wide mdat moov mvhd trak tkhd edts elst mdia mdhd hdlr minf vmhd smhd dinf dref stbl stsd stts stss "
    b"tapt stsc stsz stco co64 ctts cslg sgpd sbgp sdtp udta meta gmhd mvex trex".split()
)
_MOTION_JPEG = frozenset((b"jpeg", b"mjpa", b"MJPG", b"AVDJ", b"dmb1"))
_EMPTY_META_OCTETS = 80
_RIFF = frozenset((b"fmt ", b"data", b"fact", b"idx1", b"JUNK", b"movi", b"hdrl"))
_FLAC_INFORMATION, _FLAC_PADDING, _FLAC_COMMENTS = 0, 1, 4
_INFORMATION_OCTETS = 34
_PIECE = 1 << 16
_FACT_OCTETS = 4


def walk_boxes(copy: RangeSource, deadline: float = math.inf) -> Iterator[str]:
    """Name what no MP4 or MOV copy of ours holds."""
    try:
        for box in walk(copy):
            if box.kind not in _BOXES:
                yield f"an unknown box {box.kind.decode('latin-1')!r}"
            elif box.kind == b"meta" and box.end - box.begin > _EMPTY_META_OCTETS:
                yield "a box of metadata that is not empty"
            elif box.kind in (b"free", b"wide") and not _is_empty(copy, box.begin, box.end - box.begin):
                yield "a filling box that is not empty"
            elif box.kind in (b"mvhd", b"tkhd", b"mdhd") and _moments(copy.read_range(box.begin, 20)):
                yield f"a time in the box {box.kind.decode()}"
        found = tracks(copy)
        if any(track.hides for track in found):
            yield "an edit list that hides samples"
        for track in found:
            yield from _units(copy, track, deadline)
        if only_what_is_played(copy) is False:
            yield "bytes among the media data that no track plays"
    except InputError as error:
        yield error.message


def _units(copy: RangeSource, track: Track, deadline: float) -> Iterator[str]:
    tables, _ = tables_of(copy, track.number)
    stsd = tables.get(b"stsd", b"")
    yield from strange_entry(stsd, track.handler)
    yield from strange_parameters(copy, track.number)
    coded = coded_track(copy, track.number)
    if coded is not None:
        yield from strange_units(copy, coded, deadline=deadline)
    elif has_units(copy, track.number):
        yield "coded pictures that cannot be walked"
    elif stsd[12:16] in _MOTION_JPEG:
        try:
            if strange_samples(copy, zip(*samples(tables), strict=True)):
                yield "words inside the coded pictures"
        except (KeyError, struct.error, ValueError):
            yield "coded pictures that cannot be walked"


def _moments(head: bytes) -> bool:
    return any(head[4:20] if head[:1] == b"\x01" else head[4:12])


def walk_riff(copy: RangeSource) -> Iterator[str]:
    """Name what no WAV or AVI copy of ours holds."""
    place = 0
    while place < copy.size:
        head = copy.read_range(place, min(12, copy.size - place))
        if len(head) < 12 or head[:4] != b"RIFF":
            yield "bytes after the end of the file's parts"
            return
        end = place + 8 + struct.unpack_from("<I", head, 4)[0]
        yield from _riff_chunks(copy, place + 12, min(end, copy.size))
        if head[8:] in (b"AVI ", b"AVIX"):
            yield from strange_lists(copy, place + 12, min(end, copy.size))
            yield from strange_pictures(copy, place + 12, min(end, copy.size))
        place = end + end % 2


def _riff_chunks(copy: RangeSource, place: int, end: int) -> Iterator[str]:
    while place + 8 <= end:
        kind, size = struct.unpack("<4sI", copy.read_range(place, 8))
        if kind == b"LIST":
            kind = copy.read_range(place + 8, 4)
        if kind not in _RIFF:
            yield f"an unknown chunk {kind.decode('latin-1')!r}"
        elif kind == b"fmt " and not is_plain_wave_format(copy.read_range(place + 8, min(size, _PIECE))):
            yield "more beside the format of the sound than a format"
        elif kind == b"fact" and size != _FACT_OCTETS:
            yield "more than a length where the length of the sound stands"
        elif kind == b"JUNK" and not is_filling(copy, place + 8, min(end, place + 8 + size)):
            yield "a filling chunk that is not empty"
        place += 8 + size + size % 2


def walk_flac(copy: RangeSource) -> Iterator[str]:
    """Name what no FLAC copy of ours holds."""
    if copy.read_range(0, 4) != b"fLaC":
        yield "bytes before the beginning of the sound"
        return
    place, last = 4, False
    while not last and place < copy.size:
        head = copy.read_range(place, 4)
        last, kind, size = bool(head[0] & 0x80), head[0] & 0x7F, int.from_bytes(head[1:], "big")
        if kind not in (_FLAC_INFORMATION, _FLAC_PADDING, _FLAC_COMMENTS):
            yield f"a block of kind {kind}"
        elif kind == _FLAC_INFORMATION and size != _INFORMATION_OCTETS:
            yield "more than what a stream of FLAC says of itself"
        elif kind == _FLAC_PADDING and not _is_empty(copy, place + 4, size):
            yield "padding that is not empty"
        elif kind == _FLAC_COMMENTS and _comments(copy.read_range(place + 4, min(size, _PIECE))):
            yield "comments"
        place += 4 + size


def walk_ogg(copy: RangeSource) -> Iterator[str]:
    """Name what no Ogg copy of ours holds: more in the headers than a decoder needs, or octets outside all pages."""
    heads: dict[bytes, _Heads] = {}
    place = 0
    while place < copy.size:
        head = copy.read_range(place, 27)
        if len(head) < 27 or head[:4] != b"OggS":
            yield "bytes outside all pages"
            return
        table = copy.read_range(place + 27, head[26])
        begin, size = place + 27 + head[26], sum(table)
        stream = heads.setdefault(head[14:18], _Heads())
        if not stream.are_whole():
            stream.add(table, copy.read_range(begin, size))
        place = begin + size
    for stream in heads.values():
        strange = strange_headers(stream.packets)
        if strange is not None:
            yield strange


class _Heads:
    """The first packets of a stream, gathered from its pages."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self._begun = bytearray()

    def are_whole(self) -> bool:
        return bool(self.packets) and len(self.packets) >= headers_of(self.packets[0])

    def add(self, table: bytes, content: bytes) -> None:
        place = 0
        for length in table:
            self._begun += content[place : place + length]
            place += length
            if length < 255:
                self.packets.append(bytes(self._begun))
                self._begun.clear()
                if self.are_whole():
                    return


def _comments(block: bytes) -> bool:
    """Say whether a Vorbis comment holds any, or words behind; the muxer's own name before them is always there."""
    if len(block) < 8:
        return True
    vendor = struct.unpack_from("<I", block)[0]
    return block[4 : 4 + vendor] not in (b"ffmpeg", b"Lavf") or block[4 + vendor :] != bytes(4)


def _is_empty(copy: RangeSource, place: int, size: int) -> bool:
    """Tell whether a stretch of a file holds nothing but zeros."""
    end = min(copy.size, place + size)
    return not any(any(copy.read_range(at, min(_PIECE, end - at))) for at in range(place, end, _PIECE))


def walk_mp3(copy: RangeSource) -> Iterator[str]:
    """Name octets of an MP3 copy that are not part of its frames."""
    octets = 0
    for frame in frames(copy):
        if not octets and blanked(frame) != frame:
            yield "more in the frame that tells of the sound than a player needs"
        octets += len(frame)
        if holds_a_tag(frame):
            yield "a tag inside the sound"
    if octets != copy.size:
        yield "bytes that are no sound"
