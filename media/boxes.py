"""The boxes of MP4 and MOV files: which there are, and whether an edit list hides samples. No I/O of its own.

Reads through a `RangeSource` and believes nothing: lengths are checked against what is there, and the number of boxes
is bounded. Standard: ISO/IEC 14496-12, 4.2 (boxes), 8.6.6 (edit lists), 8.4.2 and 8.6.1 (durations, offsets).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from archive.errors import InputError
from media.ranges import RangeSource

_MOST_BOXES = 20_000
_CONTAINERS = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"moof", b"traf", b"mvex", b"gmhd"}
)
_TOLD = frozenset({b"elst", b"mdhd", b"hdlr", b"ctts", b"stts", b"tkhd", b"stsd"})
_BOX_OCTETS = 1 << 20
_SOUND_SECONDS = 0.12
"""An encoder's delay is hidden by an edit as well, in which nothing was recorded; so much of any coding is let pass."""
_AAC_SAMPLES, _SLOWEST_RATE = 2_112 + 64, 8_000
"""Of AAC the delay counts in samples, which last longer where there are fewer a second, as on the telephone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box: where it stands below which others, and where its content lies (half open)."""

    path: tuple[bytes, ...]
    begin: int
    end: int

    @property
    def kind(self) -> bytes:
        return self.path[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One track; `hides` says that its edit list keeps samples from being shown that are in the file, `seconds` how
    long all its samples last."""

    number: int
    handler: str
    hides: bool
    seconds: float = 0
    id: int = 0


def walk(source: RangeSource) -> Iterator[Box]:
    """Give every box of a file, outer before inner. Raises: InputError `media/bad-boxes` where they do not add up."""
    budget = [_MOST_BOXES]
    yield from _walk(source, 0, source.size, (), budget)


def _walk(source: RangeSource, begin: int, end: int, path: tuple[bytes, ...], budget: list[int]) -> Iterator[Box]:
    while begin < end:
        budget[0] -= 1
        head = source.read_range(begin, min(16, end - begin))
        if end - begin == 4 and head == b"\0\0\0\0" and path and path[-1] == b"udta":
            return  # QuickTime ends its user data so.
        if len(head) < 8 or budget[0] < 0:
            raise _bad("a box is cut short, or there are too many")
        size, kind = struct.unpack_from(">I4s", head)
        inner = begin + 8
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack_from(">Q", head, 8)
            inner = begin + 16
        elif size == 0:
            size = end - begin
        if size < inner - begin or begin + size > end:
            raise _bad("a box is longer than what it lies in")
        here = (*path, kind)
        yield Box(path=here, begin=inner, end=begin + size)
        if kind in _CONTAINERS:
            yield from _walk(source, inner, begin + size, here, budget)
        begin += size


def is_trimmed(source: RangeSource) -> bool:
    """Tell whether an edit list keeps parts of the film itself from being shown; False where the boxes are damaged."""
    try:
        return any(track.hides for track in tracks(source) if track.handler == "vide")
    except InputError:
        return False


def tracks(source: RangeSource) -> list[Track]:
    """Tell the tracks of a file. Raises: as `walk`."""
    found: list[dict[bytes, bytes]] = []
    scale = 0
    for box in walk(source):
        if box.kind == b"mvhd":
            scale, _ = _times(_content(source, box))
        elif box.kind == b"trak":
            found.append({})
        elif found and box.path[:2] == (b"moov", b"trak") and box.kind in _TOLD:
            found[-1].setdefault(box.kind, _content(source, box))
    return [_track(number, parts, scale) for number, parts in enumerate(found)]


def _content(source: RangeSource, box: Box) -> bytes:
    return source.read_range(box.begin, min(box.end - box.begin, _BOX_OCTETS))


def _track(number: int, parts: dict[bytes, bytes], movie_scale: int) -> Track:
    handler = parts.get(b"hdlr", b"")[8:12].decode("latin-1")
    try:
        hides = _hides(parts, movie_scale, sound=handler == "soun")
        scale = _times(parts[b"mdhd"])[0] if b"mdhd" in parts else 0
    except struct.error as error:
        raise _bad("a table of a track is cut short") from error
    seconds = _lasting(parts.get(b"stts", b"")) / scale if scale else 0
    return Track(number=number, handler=handler, hides=hides, seconds=seconds, id=_id(parts.get(b"tkhd", b"")))


def _hides(parts: dict[bytes, bytes], movie_scale: int, *, sound: bool) -> bool:
    """Compare what the edits show with what the track has; an edit that cannot be understood hides something."""
    if b"elst" not in parts:
        return False
    shown = [(length, start) for length, start in _edits(parts[b"elst"]) if start >= 0]
    if len(shown) != 1 or not movie_scale or b"mdhd" not in parts:
        return bool(shown) or b"mdhd" not in parts
    scale, said = _times(parts[b"mdhd"])
    duration = max(said, _lasting(parts.get(b"stts", b"")))  # Anybody can write what is said; samples take their time.
    length, start = shown[0]
    first = _first_offset(parts.get(b"ctts", b""))
    slack = scale * _delay_seconds(parts.get(b"stsd", b"")) if sound else 0
    if start > first + slack:
        return True
    # A frame or two at the end may lie beyond the edit where its length was rounded; more is hidden.
    shown_until = start + (length * scale / movie_scale if length else duration)
    return duration + first - shown_until > max(slack, scale * 0.1)


def _delay_seconds(stsd: bytes) -> float:
    """Give how long an encoder's delay of the sound may be. A lie about the rate gains a quarter of one at most."""
    rate = int.from_bytes(stsd[40:42], "big")
    if stsd[12:16] != b"mp4a" or rate < _SLOWEST_RATE:
        return _SOUND_SECONDS
    return max(_SOUND_SECONDS, _AAC_SAMPLES / rate)


def _edits(table: bytes) -> list[tuple[int, int]]:
    version, count = table[0], struct.unpack_from(">I", table, 4)[0]
    shape = struct.Struct(">Qqi" if version == 1 else ">Iii")
    return [shape.unpack_from(table, 8 + number * shape.size)[:2] for number in range(min(count, 10_000))]


def _id(header: bytes) -> int:
    return int.from_bytes(header[20:24] if header[:1] == b"\x01" else header[12:16], "big")


def _times(table: bytes) -> tuple[int, int]:
    """Give time scale and duration of an `mvhd` or `mdhd`."""
    if table[:1] == b"\x01":
        return struct.unpack_from(">IQ", table, 20)
    return struct.unpack_from(">II", table, 12)


def _lasting(table: bytes) -> int:
    """Add up how long the samples of a track last."""
    count = struct.unpack_from(">I", table, 4)[0] if len(table) >= 8 else 0
    whole = min(count, (len(table) - 8) // 8) if count else 0
    return sum(samples * each for samples, each in struct.iter_unpack(">II", table[8 : 8 + 8 * whole]))


def _first_offset(table: bytes) -> int:
    return int(struct.unpack_from(">i", table, 12)[0]) if len(table) >= 16 else 0


def _bad(reason: str) -> InputError:
    return InputError(
        "media/bad-boxes",
        f"The parts of this file do not add up: {reason}. The original is kept as it is.",
    )
