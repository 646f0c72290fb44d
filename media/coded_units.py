"""The units of H.264 and HEVC pictures in MP4 and MOV files, and filling those that are no part of a picture. No I/O.

Messages (SEI) and units of unknown kinds carry encoder settings, owners, private data. They are not cut out here, which
would move everything after them, but filled: a message becomes the standard's own filler of the same length, everything
else a unit of filler data. Decoders pass both over.

Standard: ISO/IEC 14496-12, 8.7 (where samples lie); ISO/IEC 14496-15 (units in samples, `avcC`, `hvcC`); ITU-T H.264,
7.3 and H.265, 7.3 (units; filler is payload 3 of a message, and unit 12 or 38).
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from archive.errors import InputError
from media.ranges import RangeSource, read_into
from media.sample_tables import samples, tables_of

_ENTRY_OCTETS = 86
_FILLER_MESSAGE, _TRAILING = b"\x03", b"\x80"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """What is kept of one coding; `messages` and `filler` are kinds of units, `head` the octets of a unit's header."""

    head: int
    kept: frozenset[int]
    messages: frozenset[int]
    filler: bytes

    def kind(self, header: bytes | memoryview) -> int:
        return header[0] & 0x1F if self.head == 1 else header[0] >> 1 & 0x3F


_H264 = Coding(
    head=1,
    kept=frozenset({1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15, 19, 20, 21}),
    messages=frozenset({6}),
    filler=b"\x0c",
)
_HEVC = Coding(
    head=2,
    kept=frozenset({*range(10), *range(16, 22), *range(32, 38)}),
    messages=frozenset({39, 40}),
    filler=b"\x4c\x01",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedTrack:
    """Where the samples of one track lie, in order and apart from one another, and how long a unit's length is.

    `parameters` are the units among the decoder's parameters (half open) that are none.
    """

    coding: Coding
    prefix: int
    parameters: tuple[tuple[int, int], ...]
    begins: "array[int]"
    ends: "array[int]"


def coded_track(source: RangeSource, number: int) -> CodedTrack | None:
    """Tell where the coded pictures of a track lie; None where it is coded otherwise, or its tables are not plain.

    Raises: InputError `media/bad-boxes` where the boxes do not add up.
    """
    tables, stsd_at = tables_of(source, number)
    found = _coding(tables.get(b"stsd", b""))
    if found is None or b"moof" in tables:
        return None
    coding, prefix, parameters = found
    try:
        begins, ends = samples(tables)
    except (KeyError, struct.error, ValueError):
        return None
    moved = tuple((stsd_at + begin, stsd_at + end) for begin, end in parameters)
    return CodedTrack(coding=coding, prefix=prefix, parameters=moved, begins=begins, ends=ends)


def has_units(source: RangeSource, number: int) -> bool:
    """Tell whether a track says that it is coded in such units, whatever else is wrong with it."""
    stsd = tables_of(source, number)[0].get(b"stsd", b"")
    return b"avcC" in stsd or b"hvcC" in stsd


class Blanked:
    """A file, with every unit of a track that is no part of a picture filled as it is read.

    Raises of reading: InputError `media/bad-units` where units do not add up; what the source raises.
    """

    def __init__(self, source: RangeSource, track: CodedTrack) -> None:
        self._source = source
        self._track = track
        self._reached = (-1, 0)
        """The sample that the last piece ended in, and where its last unit began: most reading goes forward."""

    @property
    def size(self) -> int:
        return self._source.size

    def read_range(self, start: int, length: int, /) -> bytes:
        piece = bytearray(self._source.read_range(start, length))
        self._blank(start, memoryview(piece))
        return bytes(piece)

    def read_into(self, start: int, buffer: memoryview, /) -> int:
        count = read_into(self._source, start, buffer)
        self._blank(start, buffer[:count])
        return count

    def _blank(self, start: int, piece: memoryview) -> None:
        end, track = start + len(piece), self._track
        for begin, until in track.parameters:
            if begin < end and until > start:
                header = self._source.read_range(begin, track.coding.head)
                _fill(piece, begin - start, until - begin, track.coding, header)
        number = max(0, bisect_right(track.begins, start) - 1)
        while number < len(track.begins) and track.begins[number] < end:
            if track.ends[number] > start:
                self._blank_sample(number, start, piece)
            number += 1

    def _blank_sample(self, number: int, start: int, piece: memoryview) -> None:
        track, end = self._track, start + len(piece)
        at, sample_end = track.begins[number], track.ends[number]
        if self._reached[0] == number and at < self._reached[1] <= start:
            at = self._reached[1]
        head = track.prefix + track.coding.head
        while at < sample_end and at < end:
            inside = at - start
            octets = piece[inside : inside + head] if inside >= 0 else b""
            if len(octets) < head:
                octets = self._source.read_range(at, min(head, sample_end - at))
            length = int.from_bytes(octets[: track.prefix], "big")
            unit = at + track.prefix
            if len(octets) < track.prefix or unit + length > sample_end:
                raise bad_units()
            if length > track.coding.head and track.coding.kind(octets[track.prefix :]) not in track.coding.kept:
                _fill(piece, unit - start, length, track.coding, bytes(octets[track.prefix :]))
            self._reached = (number, at)
            at = unit + length


def strange_units(copy: RangeSource, track: CodedTrack) -> Iterator[str]:
    """Name the units of a finished copy that are no part of a picture and not filler."""
    coding, head = track.coding, track.prefix + track.coding.head
    for begin, end in track.parameters:
        if not _is_filler(copy, begin, end - begin, coding):
            yield "a message among the parameters of the coded pictures"
    for begin, end in zip(track.begins, track.ends, strict=True):
        at = begin
        while at < end:
            octets = copy.read_range(at, min(head, end - at))
            length = int.from_bytes(octets[: track.prefix], "big")
            unit = at + track.prefix
            if unit + length > end or len(octets) < track.prefix:
                yield "coded pictures whose parts do not add up"
                return
            kept = length <= coding.head or coding.kind(octets[track.prefix :]) in coding.kept
            if not kept and not _is_filler(copy, unit, length, coding):
                yield f"a message inside the coded pictures (unit {coding.kind(octets[track.prefix :])})"
                return
            at = unit + length


def _is_filler(copy: RangeSource, at: int, length: int, coding: Coding) -> bool:
    found = copy.read_range(at, length)
    expected = bytearray(length)
    _fill(memoryview(expected), 0, length, coding, found[: coding.head])
    return found == expected


def bad_units() -> InputError:
    """Make the refusal of pictures whose units do not add up."""
    return InputError(
        "media/bad-units", "The coded pictures of this file do not add up. The original is kept as it is."
    )


def _fill(piece: memoryview, at: int, length: int, coding: Coding, header: bytes) -> None:
    """Fill a unit, as far as it lies in the piece: all ones, but for the few octets that make it filler."""
    begin, end = max(0, at), min(len(piece), at + length)
    if begin < end:
        piece[begin:end] = b"\xff" * (end - begin)
    for where, octets in _marks(length, coding, header):
        for offset, octet in enumerate(octets, at + where):
            if 0 <= offset < len(piece):
                piece[offset] = octet


def _marks(length: int, coding: Coding, header: bytes) -> list[tuple[int, bytes]]:
    """Give what is not all ones in a filled unit: its header, the message's kind and the last octet of its length."""
    left = length - coding.head - 2  # for the message's length and the message
    if coding.kind(header) not in coding.messages or left < 1:
        return [(0, coding.filler), (length - 1, _TRAILING)]
    marks, at = [(0, header)], coding.head
    if (left - 1) % 256 == 255 and left > 2:
        # No message is that long with its length: an empty one goes before.
        marks.append((at, _FILLER_MESSAGE + b"\0"))
        at, left = at + 2, left - 2
    whole, rest = divmod(left - 1, 256)
    return [*marks, (at, _FILLER_MESSAGE), (at + 1 + whole, bytes([rest])), (length - 1, _TRAILING)]


def _coding(stsd: bytes) -> tuple[Coding, int, list[tuple[int, int]]] | None:
    """Tell the coding, the octets of a unit's length, and where messages lie among the parameters; only where there is
    one entry, and its parameters are understood to their end."""
    if len(stsd) < 16 or struct.unpack_from(">I", stsd, 4)[0] != 1:
        return None
    place = 8 + _ENTRY_OCTETS
    while place + 8 <= len(stsd):
        size, kind = struct.unpack_from(">I4s", stsd, place)
        if size < 8 or place + size > len(stsd):
            return None
        content = stsd[place + 8 : place + size]
        if kind == b"avcC":
            return (_H264, (content[4] & 3) + 1, []) if _plain_avcc(content) else None
        if kind == b"hvcC":
            found = _messages_of_hvcc(content)
            moved = [(place + 8 + begin, place + 8 + end) for begin, end in found or ()]
            return (_HEVC, (content[21] & 3) + 1, moved) if found is not None else None
        place += size
    return None


def _plain_avcc(content: bytes) -> bool:
    try:
        place = _after_sets(content, 6, content[5] & 0x1F, 7)
        place = _after_sets(content, place + 1, content[place], 8)
        if place + 4 <= len(content):
            place = _after_sets(content, place + 4, content[place + 3], 13)
    except (IndexError, struct.error, ValueError):
        return False
    return place == len(content)


def _after_sets(content: bytes, place: int, count: int, kind: int) -> int:
    for _ in range(count):
        (length,) = struct.unpack_from(">H", content, place)
        if content[place + 2] & 0x1F != kind:
            raise ValueError("not a set of parameters")
        place += 2 + length
    return place


def _messages_of_hvcc(content: bytes) -> list[tuple[int, int]] | None:
    """Give where messages lie; None for what is no list of parameters and messages."""
    found = []
    try:
        place, arrays = 23, content[22]
        for _ in range(arrays):
            kind, count = struct.unpack_from(">BH", content, place)
            place += 3
            for _ in range(count):
                (length,) = struct.unpack_from(">H", content, place)
                unit = content[place + 2 : place + 2 + length]
                if len(unit) != length or length <= _HEVC.head or _HEVC.kind(unit) != kind & 0x3F:
                    return None
                if _HEVC.kind(unit) in _HEVC.messages:
                    found.append((place + 2, place + 2 + length))
                elif _HEVC.kind(unit) not in (32, 33, 34):
                    return None
                place += 2 + length
    except (IndexError, struct.error):
        return None
    return found if place == len(content) else None
