"""The units of H.264 and HEVC pictures in MP4 and MOV files, and filling those that are no part of a picture. No I/O.

Messages (SEI) and units of unknown kinds carry encoder settings, owners, private data; others belong to a second view
or a second layer that players do not show, or are longer than what they say. They are not cut out here, which would
move everything after them, but filled: a message becomes the standard's own filler of the same length, everything else
a unit of filler data. Decoders pass both over. Parameters must end where they end.

Standard: ISO/IEC 14496-12, 8.7 (where samples lie); ISO/IEC 14496-15 (units in samples); ITU-T H.264,
7.3 and H.265, 7.3 (units; filler is payload 3 of a message, and unit 12 or 38).
"""

import struct
import time
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from archive.errors import InputError, UnavailableError
from media.codings import Coding, coding_of, is_plain_set
from media.ranges import RangeSource, read_into
from media.sample_tables import samples, tables_of

_LONGEST_SET = 4096
_UNITS_A_LOOK = 4096
"""So many units are passed before the clock is looked at: a file may hold millions of one octet."""
_FILLER_MESSAGE, _TRAILING = b"\x03", b"\x80"


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
    found = coding_of(tables.get(b"stsd", b""))
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

    def __init__(self, source: RangeSource, track: CodedTrack, *, deadline: float) -> None:
        self._source = source
        self._track = track
        self._sets = _Sets(source, track.coding)
        self._clock = _Clock(deadline)
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
            if not track.coding.keeps(octets[track.prefix :], length):
                _fill(piece, unit - start, length, track.coding, bytes(octets[track.prefix :]))
            elif not self._sets.are_plain(octets[track.prefix :], unit, length):
                raise bad_units()
            if self._clock.is_over():
                raise _out_of_time()
            self._reached = (number, at)
            at = unit + length


class _Sets:
    """Checks the parameters among the pictures, where they come again and again."""

    def __init__(self, source: RangeSource, coding: Coding) -> None:
        self._source = source
        self._coding = coding
        self._plain: set[bytes] = set()

    def are_plain(self, header: bytes | memoryview, unit: int, length: int) -> bool:
        """Tell whether a unit is none of them, or holds parameters alone."""
        if length <= self._coding.head or self._coding.kind(header) not in self._coding.sets:
            return True
        content = self._source.read_range(unit, min(length, _LONGEST_SET + 1))
        if content in self._plain:
            return True
        if len(content) > _LONGEST_SET or not is_plain_set(content, self._coding):
            return False
        self._plain.add(content)
        return True


class _Clock:
    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._passed = 0

    def is_over(self) -> bool:
        self._passed += 1
        return self._passed % _UNITS_A_LOOK == 0 and time.monotonic() > self._deadline


def strange_units(copy: RangeSource, track: CodedTrack, *, deadline: float) -> Iterator[str]:
    """Name the units of a finished copy that are no part of a picture and not filler."""
    coding, head = track.coding, track.prefix + track.coding.head
    sets, clock = _Sets(copy, coding), _Clock(deadline)
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
            header = octets[track.prefix :]
            if clock.is_over():
                yield "more coded pictures than can be walked in the time allowed"
                return
            if not coding.keeps(header, length) and not _is_filler(copy, unit, length, coding):
                yield f"a message inside the coded pictures (unit {coding.kind(header)})"
                return
            if coding.keeps(header, length) and not sets.are_plain(header, unit, length):
                yield "more among the parameters of the coded pictures than parameters"
                return
            at = unit + length


def _is_filler(copy: RangeSource, at: int, length: int, coding: Coding) -> bool:
    found = copy.read_range(at, length)
    return found == filler_for(found, coding)


def filler_for(unit: bytes, coding: Coding) -> bytes:
    """Give what a unit is filled to."""
    filled = bytearray(len(unit))
    _fill(memoryview(filled), 0, len(unit), coding, unit[: coding.head])
    return bytes(filled)


def bad_units() -> InputError:
    """Make the refusal of pictures whose units do not add up."""
    return InputError(
        "media/bad-units", "The coded pictures of this file do not add up. The original is kept as it is."
    )


def _out_of_time() -> UnavailableError:
    return UnavailableError(
        "media/time-limit", "The coded pictures of this file could not be walked in the time allowed. It is kept."
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
