"""A film without its film: boxes and tables of an MP4 or MOV file, with a mark of eight octets for most samples.

To copy a film FFmpeg needs to know of its samples when they are shown and in which order they lie, and of the first
ones what they hold. It does not need the gigabytes. So it gets this, makes a copy of it, and the copy is filled with
the film's own samples afterwards (`filled_film.py`). No I/O of its own.

Standard: ISO/IEC 14496-12, 8.7.
"""

import itertools
import struct
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from media.boxes import walk
from media.ranges import RangeSource
from media.sample_tables import samples, tables_of

MARK_OCTETS = 8
_REAL_OCTETS = 6 << 20
"""So much of each track is there as it is: more than FFmpeg looks at before it begins to copy (its `probesize`)."""

_ENTRIES = frozenset({b"avc1", b"hvc1", b"hev1", b"mp4a"})
_INDEX_OCTETS = 64 << 20
_NAME_OCTETS = 4096
_PARENTS = frozenset({b"trak", b"mdia", b"minf", b"stbl"})
_OFFSETS = frozenset({b"stco", b"co64"})

Change = Callable[[int, bytes, bytes], bytes | None]
"""Takes a track's number, a kind of box and its content; gives the whole box that is to stand there instead, or None to
leave it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One track's samples in the original, and where what stands for each lies in the hollow film. `keys` is the table
    of those that can be begun at, as a whole box; empty where each can."""

    begins: "array[int]"
    ends: "array[int]"
    marks: "array[int]"
    mark_ends: "array[int]"
    keys: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HollowFilm:
    """`tracks` are those that were asked for, in the order of the original, which is theirs in `content` as well."""

    content: bytes
    tracks: Mapping[int, Placed]

    def index(self, number: int) -> int:
        """Give the place of an original's track among those that are left."""
        return list(self.tracks).index(number)


def hollow_film(source: RangeSource, numbers: Sequence[int]) -> HollowFilm | None:
    """Make the hollow film of some tracks; None where their tables are not plain, or they are coded in other ways.

    Raises: InputError `media/bad-boxes` where the boxes do not add up; what the source raises.
    """
    boxes = [box for box in walk(source) if len(box.path) <= 2]
    indexes = [box for box in boxes if box.path == (b"moov",)]
    names = [box for box in boxes if box.path == (b"ftyp",)]
    in_fragments = any(box.kind in (b"moof", b"mvex") for box in boxes)
    if len(indexes) != 1 or len(names) > 1 or in_fragments or indexes[0].end - indexes[0].begin > _INDEX_OCTETS:
        return None
    found = {number: _samples(source, number) for number in sorted(numbers)}
    known = {number: each for number, each in found.items() if each is not None}
    if len(known) != len(found):
        return None
    name = b"".join(
        boxed(b"ftyp", source.read_range(box.begin, min(box.end - box.begin, _NAME_OCTETS))) for box in names
    )
    media, tracks = _media(source, known, len(name) + 8)
    index = source.read_range(indexes[0].begin, indexes[0].end - indexes[0].begin)
    try:
        # Covers there would be streams, and count before or behind the tracks.
        index = b"".join(boxed(kind, inner) for kind, inner in _children(index) if kind not in (b"udta", b"meta"))
        moov = with_tables(index, {number: _tables(placed) for number, placed in tracks.items()})
    except (ValueError, struct.error):
        return None
    return HollowFilm(content=b"".join((name, boxed(b"mdat", media), moov)), tracks=tracks)


def boxed(kind: bytes, content: bytes | bytearray) -> bytes:
    """Give a box."""
    return struct.pack(">I4s", len(content) + 8, kind) + content


def with_tables(index: bytes, tables: Mapping[int, Mapping[bytes, bytes]], change: Change | None = None) -> bytes:
    """Give a `moov` from the content of one, with other tables of samples; tracks without tables are left out.

    `tables` are whole boxes, by track and kind: `stsz`, `stsc`, and one of `stco` and `co64`, which stands for either.
    Raises: ValueError, struct.error for an index in which a track has not one of each.
    """
    traks = 0
    parts = []
    for kind, content in _children(index):
        if kind == b"trak":
            if traks in tables:
                left = dict(tables[traks])
                parts.append(_track(b"trak", content, traks, left, change))
                if left:
                    raise ValueError("a track without a table")
            traks += 1
        else:
            parts.append(boxed(kind, content))
    return boxed(b"moov", b"".join(parts))


def _track(kind: bytes, content: bytes, number: int, left: dict[bytes, bytes], change: Change | None) -> bytes:
    """Give a box of a track anew. Tables are taken from `left`; one that is met twice is missing there."""
    parts = []
    for inner, inside in _children(content):
        if inner in _PARENTS:
            parts.append(_track(inner, inside, number, left, change))
        elif inner == b"stsz" or inner == b"stsc":
            parts.append(_taken(left, inner))
        elif inner in _OFFSETS:
            parts.append(_taken(left, *_OFFSETS))
        else:
            changed = change(number, inner, inside) if change is not None else None
            parts.append(boxed(inner, inside) if changed is None else changed)
    return boxed(kind, b"".join(parts))


def _taken(left: dict[bytes, bytes], *kinds: bytes) -> bytes:
    for kind in kinds:
        if kind in left:
            return left.pop(kind)
    raise ValueError("a table that is there twice")


def _children(content: bytes) -> list[tuple[bytes, bytes]]:
    """Give the boxes in a box. Raises: ValueError, struct.error where they do not fill it."""
    found, place = [], 0
    while place < len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        inner = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, place + 8)
            inner = 16
        end = place + size if size else len(content)
        if end > len(content) or end < place + inner:
            raise ValueError("boxes that do not add up")
        found.append((kind, content[place + inner : end]))
        place = end
    return found


@dataclass(frozen=True, slots=True)
class _Samples:
    begins: "array[int]"
    ends: "array[int]"
    keys: bytes


def _samples(source: RangeSource, number: int) -> _Samples | None:
    tables, _ = tables_of(source, number)
    stsd = tables.get(b"stsd", b"")
    if len(stsd) < 16 or stsd[4:8] != b"\0\0\0\1" or stsd[12:16] not in _ENTRIES:
        return None
    try:
        begins, ends = samples(tables)
        keys = _keys(tables[b"stss"], len(begins)) if b"stss" in tables else b""
    except (KeyError, struct.error, ValueError):
        return None
    if any(begin >= end for begin, end in zip(begins, ends, strict=True)) or ends[-1] > source.size:
        return None
    return _Samples(begins, ends, keys)


def _keys(table: bytes, count: int) -> bytes:
    """Give the table of key frames as a muxer writes it. Raises: ValueError, struct.error for one that is none."""
    (known,) = struct.unpack_from(">I", table, 4)
    keys = struct.unpack_from(f">{known}I", table, 8) if known <= count else ()
    if not keys or keys[0] < 1 or keys[-1] > count or any(one >= next_ for one, next_ in itertools.pairwise(keys)):
        raise ValueError("not a table of key frames")
    return boxed(b"stss", struct.pack(f">II{known}I", 0, known, *keys))


def _media(
    source: RangeSource,
    found: Mapping[int, _Samples],
    place: int,
) -> tuple[bytearray, dict[int, Placed]]:
    """Give the media data, in the order of the original, for the muxer goes by it."""
    order = sorted((begin, number, at) for number, each in found.items() for at, begin in enumerate(each.begins))
    media, real = bytearray(), dict.fromkeys(found, 0)
    tracks = {
        number: Placed(begins=each.begins, ends=each.ends, marks=array("Q"), mark_ends=array("Q"), keys=each.keys)
        for number, each in found.items()
    }
    run_begin = run_end = 0  # What is to be read as it is, in one go: samples that follow on one another.
    for begin, number, at in order:
        track = tracks[number]
        length = track.ends[at] - begin
        is_real = real[number] < _REAL_OCTETS
        if not is_real or begin != run_end:
            media += source.read_range(run_begin, run_end - run_begin)
            run_begin = run_end = begin
        track.marks.append(place + len(media) + run_end - run_begin)
        if is_real:
            real[number] += length
            run_end = begin + length
        else:
            length = MARK_OCTETS
            media += struct.pack(">HHI", 0, number & 0xFFFF, at)
        track.mark_ends.append(track.marks[-1] + length)
    media += source.read_range(run_begin, run_end - run_begin)
    return media, tracks


def _tables(placed: Placed) -> dict[bytes, bytes]:
    """Give the tables of a track in the hollow film, in which each sample lies by itself."""
    count = len(placed.marks)
    sizes = [end - begin for begin, end in zip(placed.marks, placed.mark_ends, strict=True)]
    return {
        b"stsz": boxed(b"stsz", struct.pack(f">III{count}I", 0, 0, count, *sizes)),
        b"stsc": boxed(b"stsc", struct.pack(">IIIII", 0, 1, 1, 1, 1)),
        b"stco": boxed(b"stco", struct.pack(f">II{count}I", 0, count, *placed.marks)),
    }
