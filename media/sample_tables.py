"""Where the samples of MP4 and MOV tracks lie, and whether they are all that the media data hold. No I/O of its own.

Standard: ISO/IEC 14496-12, 8.7.
"""

import struct
from array import array
from collections.abc import Iterator

from media.boxes import Box, tracks, walk
from media.ranges import RangeSource

_MOST_SAMPLES = 1_000_000
_LEFT_OUT_SECONDS = 0.25
_TABLE_OCTETS = 16 << 20


def tables_of(source: RangeSource, number: int) -> tuple[dict[bytes, bytes], int]:
    """Read the tables of a track, and tell where `stsd` lies; `moof` is among them where the file is in fragments."""
    tables: dict[bytes, bytes] = {}
    track, stsd_at = -1, 0
    for box in walk(source):
        if box.kind == b"moof":
            tables[b"moof"] = b""
        elif box.path == (b"moov", b"trak"):
            track += 1
        elif track == number and box.kind in (b"stsd", b"stsz", b"stsc", b"stco", b"co64", b"stss"):
            tables[box.kind] = _content(source, box)
            stsd_at = box.begin if box.kind == b"stsd" else stsd_at
    return tables, stsd_at


def _content(source: RangeSource, box: Box) -> bytes:
    return source.read_range(box.begin, box.end - box.begin) if box.end - box.begin <= _TABLE_OCTETS else b""


def samples(tables: dict[bytes, bytes]) -> "tuple[array[int], array[int]]":
    """Give where samples begin and end. Raises: ValueError where they overlap, go back, or are too many."""
    one_size, count = struct.unpack_from(">II", tables[b"stsz"], 4)
    if not 0 < count <= _MOST_SAMPLES:
        raise ValueError("too many samples")
    sizes = [one_size] * count if one_size else list(struct.unpack_from(f">{count}I", tables[b"stsz"], 12))
    chunks = _chunks(tables)
    begins, ends = array("Q"), array("Q")
    number, last = 0, 0
    for offset, samples in chunks:
        for _ in range(min(samples, count - number)):
            if offset < last:
                raise ValueError("samples go back")
            begins.append(offset)
            offset += sizes[number]
            ends.append(offset)
            last, number = offset, number + 1
    if number != count:
        raise ValueError("samples without a place")
    return begins, ends


def count_of(source: RangeSource, number: int) -> int | None:
    """Give how many samples a track has; None where all are of one size, which muxers count in ways of their own."""
    table = tables_of(source, number)[0].get(b"stsz", b"")
    one_size, count = struct.unpack_from(">II", table, 4) if len(table) >= 12 else (0, 0)
    return None if one_size else int(count)


def least_samples(source: RangeSource, number: int) -> int:
    """Give how many samples a copy of a track must have, if an edit may leave out a quarter of a second."""
    count = count_of(source, number) or 0
    seconds = next((each.seconds for each in tracks(source) if each.number == number), 0)
    return max(0, count - 1 - int(count * _LEFT_OUT_SECONDS / seconds)) if seconds else 0


def _chunks(tables: dict[bytes, bytes]) -> Iterator[tuple[int, int]]:
    wide = b"co64" in tables
    table = tables[b"co64" if wide else b"stco"]
    (count,) = struct.unpack_from(">I", table, 4)
    if count > _MOST_SAMPLES:
        raise ValueError("too many chunks")
    offsets = struct.unpack_from(f">{count}{'Q' if wide else 'I'}", table, 8)
    (runs,) = struct.unpack_from(">I", tables[b"stsc"], 4)
    if runs > _MOST_SAMPLES:
        raise ValueError("too many runs")
    run = [struct.unpack_from(">III", tables[b"stsc"], 8 + 12 * index) for index in range(runs)]
    for index, (first, samples, entry) in enumerate(run):
        until = run[index + 1][0] if index + 1 < runs else count + 1
        if entry != 1 or not 0 < first <= until <= count + 1:
            raise ValueError("runs that are not plain")
        for chunk in range(first, until):
            yield offsets[chunk - 1], samples


def only_what_is_played(source: RangeSource) -> bool | None:
    """Tell whether the samples of all tracks fill the media data without a gap; None where tables are not plain.

    Raises: InputError `media/bad-boxes` where the boxes do not add up.
    """
    held = sorted((box.begin, box.end) for box in walk(source) if box.path == (b"mdat",) and box.begin < box.end)
    played: list[tuple[int, int]] = []
    for track in tracks(source):
        tables, _ = tables_of(source, track.number)
        try:
            played += zip(*samples(tables), strict=True)
        except (KeyError, struct.error, ValueError):
            return None
    played.sort()
    index = 0
    for begin, end in held:
        at = begin
        while index < len(played) and played[index][0] == at and played[index][1] <= end:
            at, index = played[index][1], index + 1
        if at != end:
            return False
    return index == len(played)
