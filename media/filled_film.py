"""Filling the copy of a hollow film with the samples of the original: what FFmpeg arranged, with what it never saw.

FFmpeg's copy says in which order samples lie, and all that is told of them but their sizes and places. Each mark in it
is held against the one that was given out, so a sample is where it belongs, or nothing is made at all. Sizes, places
and rates are then told anew, as FFmpeg tells them. Standard: ISO/IEC 14496-12, 8.7; ISO/IEC 14496-14, 5.6 (`esds`).
"""

import struct
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from archive.errors import UnavailableError
from media.boxes import Box, walk
from media.cleaners.port import Sink
from media.hollow_film import HollowFilm, Placed, boxed, with_tables
from media.ranges import BytesRanges, RangeSource, read_into
from media.sample_tables import samples, tables_of

_PIECE_OCTETS = 1 << 20
_BLOCK_OCTETS = 1 << 18
_BLOCKS = 64
"""So many blocks of the original are at hand: sound may lie a second's picture away from where it is to stand."""
_LONGEST_CHUNK = 1 << 20
_NARROW = 0xFFFFFFFF
_VIDEO_ENTRY, _SOUND_ENTRY, _SOUND_ENTRY_V1 = 78, 28, 44
_RATES_IN_ESDS = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledFilm:
    """A copy that is ready to be written: its start, the runs of the original (half open) that follow, its index."""

    start: bytes
    runs: tuple[tuple[int, int], ...]
    index: bytes

    def write(self, source: RangeSource, sink: Sink, *, deadline: float) -> None:
        """Write it, reading on while the sink takes. Raises: UnavailableError `media/time-limit`; what both raise."""
        sink.write(self.start)
        gathering = _Gathering(source, self.runs)
        piece, other = (memoryview(bytearray(_PIECE_OCTETS)) for _ in range(2))
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="gathering") as beside:
            coming = beside.submit(gathering.fill, piece)
            while count := coming.result():
                coming = beside.submit(gathering.fill, other)
                sink.write(piece[:count])
                piece, other = other, piece
                if time.monotonic() > deadline:
                    raise _out_of_time()
        sink.write(self.index)


def filled_film(hollow: HollowFilm, copy: bytes, numbers: Sequence[int]) -> FilledFilm | None:
    """Lay out the copy whose tracks are those of the original with these numbers; None where it is not as expected."""
    try:
        return _filled(hollow, copy, [hollow.tracks[number] for number in numbers])
    except (KeyError, ValueError, struct.error):
        return None


def _filled(hollow: HollowFilm, copy: bytes, tracks: Sequence[Placed]) -> FilledFilm | None:
    source = BytesRanges(copy)
    top = [box for box in walk(source) if len(box.path) == 1]
    if [box.kind for box in top] not in ([b"ftyp", b"free", b"mdat", b"moov"], [b"ftyp", b"wide", b"mdat", b"moov"]):
        return None
    media, moov = top[2:]
    order = _order(hollow, source, media, tracks)
    if order is None:
        return None
    placing = [_Placing() for _ in tracks]
    runs: list[tuple[int, int]] = []
    place = media.begin
    for number, at in order:
        begin, end = tracks[number].begins[at], tracks[number].ends[at]
        placing[number].add(place, end - begin)
        place += end - begin
        if runs and runs[-1][1] == begin:
            begin = runs.pop()[0]
        runs.append((begin, end))
    told = [_Told(copy, number, sum(placing[number].sizes), track.keys) for number, track in enumerate(tracks)]
    index = with_tables(
        copy[moov.begin : moov.end],
        {number: each.tables() for number, each in enumerate(placing)},
        lambda number, kind, content: told[number].anew(kind, content),
    )
    if any(each.keys for each in told):
        return None
    return FilledFilm(start=_start(copy, media, place), runs=tuple(runs), index=index)


def _order(hollow: HollowFilm, copy: BytesRanges, media: Box, tracks: Sequence[Placed]) -> list[tuple[int, int]] | None:
    """Give the copy's samples in their order; None where one is missing, is another, or something lies between."""
    found = []
    for number, track in enumerate(tracks):
        tables, _ = tables_of(copy, number)
        begins, ends = samples(tables)
        if len(begins) != len(track.marks):
            return None
        for at, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            if copy.read_range(begin, end - begin) != hollow.content[track.marks[at] : track.mark_ends[at]]:
                return None
            found.append((begin, end, number, at))
    found.sort()
    place = media.begin
    for begin, end, _, _ in found:
        if begin != place:
            return None
        place = end
    return [(number, at) for _, _, number, at in found] if place == media.end else None


class _Placing:
    """The tables of one track, as its samples are placed one after the other."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._chunks: list[tuple[int, int]] = []
        """Where each begins, and how many samples it holds."""
        self._chunk_octets = 0
        self._end = self._last = 0

    def add(self, place: int, size: int) -> None:
        """Take a sample into the last chunk if it follows on that, else into one of its own, as FFmpeg does."""
        if self._chunks and place == self._end and self._chunk_octets + size < _LONGEST_CHUNK:
            begin, count = self._chunks[-1]
            self._chunks[-1] = (begin, count + 1)
            self._chunk_octets += size
        else:
            self._chunks.append((place, 1))
            self._chunk_octets = size
        self.sizes.append(size)
        self._last, self._end = place, place + size

    def tables(self) -> dict[bytes, bytes]:
        count = len(self.sizes)
        alike = len(set(self.sizes)) == 1
        sizes = b"" if alike else struct.pack(f">{count}I", *self.sizes)
        runs: list[tuple[int, int, int]] = []
        for number, (_, held) in enumerate(self._chunks, 1):
            if not runs or runs[-1][1] != held:
                runs.append((number, held, 1))
        wide = self._last > _NARROW
        places = struct.pack(f">{len(self._chunks)}{'Q' if wide else 'I'}", *(begin for begin, _ in self._chunks))
        kind = b"co64" if wide else b"stco"
        return {
            b"stsz": boxed(b"stsz", struct.pack(">III", 0, self.sizes[0] if alike else 0, count) + sizes),
            b"stsc": boxed(
                b"stsc", struct.pack(">II", 0, len(runs)) + b"".join(struct.pack(">III", *run) for run in runs)
            ),
            kind: boxed(kind, struct.pack(">II", 0, len(self._chunks)) + places),
        }


class _Told:
    """What else the muxer tells of the samples of one track and could not know: bits a second, and key frames, for
    which it looks into the samples themselves."""

    def __init__(self, copy: bytes, number: int, octets: int, keys: bytes) -> None:
        scale, duration = _times_of(copy, number)
        self._rate = min(_NARROW, octets * 8 * scale // duration) if duration else 0
        self.keys = keys

    def anew(self, kind: bytes, content: bytes) -> bytes | None:
        """Give a box as it must be; None where it is so."""
        if kind == b"stss":
            keys, self.keys = self.keys, b""
            return keys
        if kind != b"stsd":
            return None
        told = bytearray(content)
        entry = told[12:16]
        head = _VIDEO_ENTRY
        if entry == b"mp4a":
            head = _SOUND_ENTRY_V1 if told[24:26] == b"\0\1" else _SOUND_ENTRY
        self._tell(told, 16 + head, len(told))
        return boxed(b"stsd", told)

    def _tell(self, told: bytearray, place: int, end: int) -> None:
        rates = struct.pack(">II", self._rate, self._rate)
        while place + 8 <= end:
            size, kind = struct.unpack_from(">I4s", told, place)
            if size < 8 or place + size > end:
                return
            if kind == b"wave":
                self._tell(told, place + 8, place + size)
            elif kind == b"btrt" and size == 20:
                told[place + 12 : place + 20] = rates
            elif kind == b"esds" and size >= 8 + _RATES_IN_ESDS + 8 and told[place + 12] == 3:
                told[place + 8 + _RATES_IN_ESDS : place + 16 + _RATES_IN_ESDS] = rates
            place += size


def _times_of(copy: bytes, number: int) -> tuple[int, int]:
    track = -1
    for box in walk(BytesRanges(copy)):
        track += box.path == (b"moov", b"trak")
        if track == number and box.kind == b"mdhd":
            shape, at = (">IQ", 20) if copy[box.begin] == 1 else (">II", 12)
            scale, duration = struct.unpack_from(shape, copy, box.begin + at)
            return scale, duration
    raise ValueError("a track without times")


def _start(copy: bytes, media: Box, end: int) -> bytes:
    """Give what stands before the samples. The filling box before them is room for the length of very long ones."""
    if end - media.begin + 8 <= _NARROW:
        return copy[: media.begin - 8] + struct.pack(">I4s", end - media.begin + 8, b"mdat")
    return copy[: media.begin - 16] + struct.pack(">I4sQ", 1, b"mdat", end - media.begin + 16)


class _Gathering:
    """Reads the runs of the original one after the other; short ones from blocks that are kept for a while."""

    def __init__(self, source: RangeSource, runs: Sequence[tuple[int, int]]) -> None:
        self._source = source
        self._runs = iter(runs)
        self._begin = self._end = 0
        self._blocks: OrderedDict[int, memoryview] = OrderedDict()

    def fill(self, piece: memoryview) -> int:
        """Fill a piece with what comes next; give how much that was, which is less only at the end."""
        done = 0
        while done < len(piece):
            if self._begin == self._end:
                run = next(self._runs, None)
                if run is None:
                    break
                self._begin, self._end = run
            count = self._read(piece[done : done + self._end - self._begin])
            self._begin += count
            done += count
        return done

    def _read(self, room: memoryview) -> int:
        if len(room) >= _BLOCK_OCTETS:
            count = read_into(self._source, self._begin, room)
        else:
            number, inside = divmod(self._begin, _BLOCK_OCTETS)
            held = self._block(number)[inside : inside + len(room)]
            count = len(held)
            room[:count] = held
        if not count:
            raise ValueError("a source that is shorter than it said")
        return count

    def _block(self, number: int) -> memoryview:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        if len(self._blocks) == _BLOCKS:
            self._blocks.popitem(last=False)
        content = memoryview(bytearray(_BLOCK_OCTETS))
        held = content[: read_into(self._source, number * _BLOCK_OCTETS, content)]
        self._blocks[number] = held
        return held


def _out_of_time() -> UnavailableError:
    return UnavailableError(
        "media/time-limit",
        "A copy was not made in the time allowed for one file. The original is kept.",
    )
