"""Altering MP4 and MOV films box by box and sample by sample, as somebody would who hides or damages something."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta"})
Boxes = list["Box"]
Alter = Callable[[int, int, bytes], bytes]
"""Takes a track's number, a sample's, and the sample; gives the sample that is to stand there."""


@dataclass(slots=True)
class Box:
    """One box; `content` is boxes where it holds such."""

    kind: bytes
    content: "bytes | Boxes"


def parsed(octets: bytes) -> Boxes:
    found: Boxes = []
    place = 0
    while place < len(octets):
        size, kind = struct.unpack_from(">I4s", octets, place)
        content = octets[place + 8 : place + size]
        found.append(Box(kind, parsed(content) if kind in _PARENTS else content))
        place += size
    return found


def written(boxes: Boxes) -> bytes:
    parts = []
    for box in boxes:
        content = written(box.content) if isinstance(box.content, list) else box.content
        parts.append(struct.pack(">I4s", len(content) + 8, box.kind) + content)
    return b"".join(parts)


class Film:
    """A film whose parts can be changed; `octets` gives it with the media data first, each sample by itself."""

    def __init__(self, octets: bytes) -> None:
        self.top = parsed(octets)
        self.moov = next(_boxes(box) for box in self.top if box.kind == b"moov")
        self._tracks = [_boxes(box) for box in self.moov if box.kind == b"trak"]
        self.samples = [_samples(octets, self.table_box(at)) for at in range(len(self._tracks))]

    def box(self, track: int, *path: bytes) -> Box:
        boxes, found = self._tracks[track], None
        for kind in path:
            found = next(box for box in boxes if box.kind == kind)
            boxes = found.content if isinstance(found.content, list) else []
        assert found is not None
        return found

    def table_box(self, track: int) -> Box:
        return self.box(track, b"mdia", b"minf", b"stbl")

    def edit(self, track: int, length: int, start: int) -> None:
        """Put an edit list of one edit there."""
        boxes = self._tracks[track]
        boxes[:] = [box for box in boxes if box.kind != b"edts"]
        table = struct.pack(">IIIihh", 0, 1, length, start, 1, 0)
        boxes.insert(1, Box(b"edts", [Box(b"elst", table)]))

    def add_to_entry(self, track: int, kind: bytes, content: bytes) -> None:
        """Put a box at the end of a track's only sample entry."""
        table = self.box(track, b"mdia", b"minf", b"stbl", b"stsd")
        assert isinstance(table.content, bytes)
        entry = table.content[8:] + struct.pack(">I4s", len(content) + 8, kind) + content
        table.content = table.content[:8] + struct.pack(">I", len(entry)) + entry[4:]

    def alter(self, alter: Alter) -> "Film":
        self.samples = [
            [alter(track, at, sample) for at, sample in enumerate(samples)]
            for track, samples in enumerate(self.samples)
        ]
        return self

    def octets(self, offset: Callable[[int, int, int], int] = lambda _track, _at, offset: offset) -> bytes:
        """Write the film; `offset` may lie about where a sample is."""
        before = written([box for box in self.top if box.kind == b"ftyp"])
        place, media = len(before) + 8, []
        tables: list[list[int]] = [[] for _ in self.samples]
        order = sorted(
            (at / len(samples), track, at) for track, samples in enumerate(self.samples) for at in range(len(samples))
        )
        for _, track, at in order:
            tables[track].append(offset(track, at, place))
            media.append(self.samples[track][at])
            place += len(media[-1])
        for track, offsets in enumerate(tables):
            _set_tables(_boxes(self.table_box(track)), [len(each) for each in self.samples[track]], offsets)
        return before + written([Box(b"mdat", b"".join(media)), Box(b"moov", self.moov)])


def _boxes(box: Box) -> Boxes:
    assert isinstance(box.content, list)
    return box.content


def _samples(octets: bytes, table: Box) -> list[bytes]:
    told = {box.kind: box.content for box in _boxes(table) if isinstance(box.content, bytes)}
    one, count = struct.unpack_from(">II", told[b"stsz"], 4)
    sizes = [one] * count if one else struct.unpack_from(f">{count}I", told[b"stsz"], 12)
    (chunks,) = struct.unpack_from(">I", told[b"stco"], 4)
    (runs,) = struct.unpack_from(">I", told[b"stsc"], 4)
    run = [struct.unpack_from(">II", told[b"stsc"], 8 + 12 * at) for at in range(runs)]
    found: list[bytes] = []
    for chunk, place in enumerate(struct.unpack_from(f">{chunks}I", told[b"stco"], 8), 1):
        for _ in range(next(held for first, held in reversed(run) if first <= chunk)):
            found.append(octets[place : place + sizes[len(found)]])
            place += len(found[-1])
    return found


def _set_tables(boxes: Boxes, sizes: list[int], offsets: list[int]) -> None:
    boxes[:] = [box for box in boxes if box.kind not in (b"stsz", b"stsc", b"stco")]
    count = len(sizes)
    boxes += [
        Box(b"stsz", struct.pack(f">III{count}I", 0, 0, count, *sizes)),
        Box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 1, 1)),
        Box(b"stco", struct.pack(f">II{count}I", 0, count, *offsets)),
    ]
