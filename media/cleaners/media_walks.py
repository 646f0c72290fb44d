"""Walking finished copies of video and sound piece by piece: boxes, EBML elements, RIFF chunks, Ogg pages, FLAC blocks.

Every piece that is not on the list of what our own copies are made of is named, and so are octets outside all pieces.
The code shares nothing with FFmpeg, which made the copies. Does no I/O of its own.
"""

import math
import struct
from collections.abc import Iterator

from archive.errors import InputError
from media.boxes import Track, tracks, walk
from media.cleaners.avi_walk import strange_pictures
from media.cleaners.motion_jpeg import strange_samples
from media.cleaners.mp3 import frames, holds_a_tag
from media.cleaners.sample_entries import strange_entry
from media.cleaners.track_parameters import strange_parameters
from media.coded_units import coded_track, has_units, strange_units
from media.ranges import RangeSource
from media.sample_tables import only_what_is_played, samples, tables_of

_BOXES = frozenset(
    b"ftyp free wide mdat moov mvhd trak tkhd edts elst mdia mdhd hdlr minf vmhd smhd dinf dref stbl stsd stts stss "
    b"tapt stsc stsz stco co64 ctts cslg sgpd sbgp sdtp udta meta gmhd mvex trex".split()
)
_MOTION_JPEG = frozenset((b"jpeg", b"mjpa", b"MJPG", b"AVDJ", b"dmb1"))
_EMPTY_META_OCTETS = 80
_TAGS, _TAG, _SIMPLE_TAG, _TAG_NAME = 0x1254C367, 0x7373, 0x67C8, 0x45A3
_EBML = {
    0x1A45DFA3: "header", 0x18538067: "segment", 0x114D9B74: "seek head", 0x1549A966: "info", 0x1654AE6B: "tracks",
    0x1F43B675: "cluster", 0x1C53BB6B: "cues", 0xEC: "void", 0xBF: "CRC-32", 0x1254C367: "tags",
}  # fmt: skip
_RIFF = frozenset((b"fmt ", b"data", b"fact", b"idx1", b"JUNK", b"movi", b"hdrl"))
_OGG_COMMENTS = ((b"\x03vorbis", 7), (b"OpusTags", 8), (b"\x81theora", 7), (b"\x7fFLAC", None))
_FLAC_BLOCKS = {0: "stream info", 1: "padding", 3: "seek table", 4: "comments"}
_MOST_PIECES = 1_000_000
_LONGEST_FORMAT = 50  # of Microsoft's ADPCM, with its coefficients


def walk_boxes(copy: RangeSource, deadline: float = math.inf) -> Iterator[str]:
    """Name what no MP4 or MOV copy of ours holds."""
    try:
        for box in walk(copy):
            if box.kind not in _BOXES:
                yield f"an unknown box {box.kind.decode('latin-1')!r}"
            elif box.kind == b"meta" and box.end - box.begin > _EMPTY_META_OCTETS:
                yield "a box of metadata that is not empty"
            elif box.kind in (b"free", b"wide") and any(copy.read_range(box.begin, min(box.end - box.begin, 1 << 16))):
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


def walk_ebml(copy: RangeSource) -> Iterator[str]:
    """Name what no Matroska or WebM copy of ours holds; tags, chapters and attachments are elements of their own."""
    place, inside = 0, copy.size
    for _ in range(_MOST_PIECES):
        if place >= inside:
            if inside < copy.size:
                yield "bytes after the end of the file's one segment"
            return
        head = copy.read_range(place, min(12, copy.size - place))
        kind, used = _vint(head, marker=True)
        size, more = _vint(head[used:], marker=False)
        if kind is None or size is None:
            yield "bytes that are no element"
            return
        if kind not in _EBML:
            yield f"an unknown element {kind:X}"
        elif kind == _TAGS:
            yield from _tags(copy.read_range(place + used + more, min(size, 1 << 16)))
        if kind == 0x18538067:
            place += used + more
            if size != (1 << 7 * more) - 1:
                inside = min(copy.size, place + size)
        else:
            place += used + more + size
    yield "more elements than can be walked"


def _tags(content: bytes) -> Iterator[str]:
    """Name every tag but the length of a track, which the muxer writes."""
    place = 0
    while place < len(content):
        kind, used = _vint(content[place:], marker=True)
        size, more = _vint(content[place + used :], marker=False)
        if kind is None or size is None:
            yield "bytes that are no tag"
            return
        place += used + more
        if kind == _TAG_NAME and content[place : place + size] != b"DURATION":
            yield "a tag"
        if kind not in (_TAG, _SIMPLE_TAG):
            place += size


def _vint(octets: bytes, *, marker: bool) -> tuple[int | None, int]:
    if not octets or not octets[0]:
        return None, 0
    length = 9 - octets[0].bit_length()
    if len(octets) < length:
        return None, 0
    value = int.from_bytes(octets[:length], "big")
    return (value if marker else value & (1 << 7 * length) - 1), length


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
            yield from strange_pictures(copy, place + 12, min(end, copy.size))
        place = end + end % 2


def _riff_chunks(copy: RangeSource, place: int, end: int) -> Iterator[str]:
    while place + 8 <= end:
        kind, size = struct.unpack("<4sI", copy.read_range(place, 8))
        if kind == b"LIST":
            kind = copy.read_range(place + 8, 4)
        if kind not in _RIFF:
            yield f"an unknown chunk {kind.decode('latin-1')!r}"
        elif kind == b"fmt " and size > _LONGEST_FORMAT:
            yield "more beside the format of the sound than a format"
        elif kind == b"JUNK" and any(copy.read_range(place + 8, min(size, 1 << 16))):
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
        content = copy.read_range(place + 4, min(size, 1 << 16))
        if kind not in _FLAC_BLOCKS:
            yield f"a block of kind {kind}"
        elif kind == 1 and any(content):
            yield "padding that is not empty"
        elif kind == 4 and _comments(content):
            yield "comments"
        place += 4 + size


def walk_ogg(copy: RangeSource) -> Iterator[str]:
    """Name what no Ogg copy of ours holds: comments, or octets outside all pages."""
    place = 0
    while place < copy.size:
        head = copy.read_range(place, 27)
        if len(head) < 27 or head[:4] != b"OggS":
            yield "bytes outside all pages"
            return
        table = copy.read_range(place + 27, head[26])
        begin, size = place + 27 + head[26], sum(table)
        start = copy.read_range(begin, min(size, 1 << 16))
        for mark, skipped in _OGG_COMMENTS:
            if skipped is not None and start.startswith(mark) and _comments(start[skipped:]):
                yield "comments"
        place = begin + size


def _comments(block: bytes) -> bool:
    """Say whether a Vorbis comment holds any; the muxer's own name before them is always there."""
    if len(block) < 8:
        return True
    vendor = struct.unpack_from("<I", block)[0]
    if len(block) < 8 + vendor or block[4 : 4 + vendor] not in (b"ffmpeg", b"Lavf"):
        return True
    return bool(struct.unpack_from("<I", block, 4 + vendor)[0])


def walk_mp3(copy: RangeSource) -> Iterator[str]:
    """Name octets of an MP3 copy that are not part of its frames."""
    octets = 0
    for frame in frames(copy):
        octets += len(frame)
        if holds_a_tag(frame):
            yield "a tag inside the sound"
    if octets != copy.size:
        yield "bytes that are no sound"
