"""Walking finished copies in Matroska and WebM by a list of which elements may lie in which. No I/O of its own.

What a track tells its decoder is read to its last bit (`codec_privates.py`), and the pictures are walked where their
coding has a place for words. Standard: RFC 8794 (EBML), RFC 9559 (Matroska).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from media.cleaners.codec_privates import UNITS, is_mpeg4, length_octets, strange_private
from media.cleaners.motion_jpeg import words_in_jpeg
from media.cleaners.track_parameters import words_in
from media.codings import is_plain_set
from media.ranges import RangeSource

SEGMENT, TRACKS, TRACK, PRIVATE, CODING, CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0x63A2, 0x86, 0x1F43B675
_TOP = 0
_NUMBER, _REAL, _ZEROS, _BLOCK, _GROUP, _INSIDE = "number", "real", "zeros", "block", "group", "inside"
_ROOTS = (SEGMENT, CLUSTER)


def _all(kind: str, *elements: int) -> dict[int, str | re.Pattern[bytes]]:
    return dict.fromkeys(elements, kind)


_ENGINE, _LANGUAGE = re.compile(rb"Lavf"), re.compile(rb"und|eng")
_ANY_DURATION = re.compile(rb"[\d:.]*\0*")
_ALLOWED: Mapping[int, Mapping[int, str | re.Pattern[bytes]]] = {
    _TOP: _all(_INSIDE, 0x1A45DFA3, SEGMENT),
    0x1A45DFA3: _all(_NUMBER, 0x4286, 0x42F7, 0x42F2, 0x42F3, 0x4287, 0x4285)
    | {0x4282: re.compile(rb"(?:matroska|webm)\0*")},
    SEGMENT: _all(_INSIDE, 0x114D9B74, 0x1549A966, TRACKS, CLUSTER, 0x1C53BB6B, 0x1254C367),
    0x114D9B74: _all(_INSIDE, 0x4DBB),
    0x4DBB: _all(_NUMBER, 0x53AB, 0x53AC),
    0x1549A966: _all(_NUMBER, 0x2AD7B1) | _all(_REAL, 0x4489) | {0x4D80: _ENGINE, 0x5741: _ENGINE},
    TRACKS: _all(_INSIDE, TRACK),
    TRACK: _all(_NUMBER, 0xD7, 0x73C5, 0x83, 0xB9, 0x88, 0x55AA, 0x55AB, 0x55AC, 0x55AD, 0x55AE, 0x55AF, 0x9C)
    | _all(_NUMBER, 0x6DE7, 0x6DF8, 0x23E383, 0x234E7A, 0x56AA, 0x56BB, 0x55EE, 0xAA)
    | _all(_REAL, 0x23314F)
    | _all(_INSIDE, 0xE0, 0xE1)
    | {0x22B59C: _LANGUAGE, CODING: re.compile(rb"[VA]_[A-Z0-9/]{2,24}"), PRIVATE: re.compile(rb".*", re.DOTALL)},
    0xE0: _all(_NUMBER, 0x9A, 0x9D, 0x53B8, 0x53C0, 0xB0, 0xBA, 0x54AA, 0x54BB, 0x54CC, 0x54DD, 0x54B0, 0x54BA, 0x54B2)
    | _all(_INSIDE, 0x55B0, 0x7670)
    | {0x2EB524: re.compile(rb"[A-Z0-9\[\]]{4}|.{2}[\x08-\x20]\x00", re.DOTALL)},
    0x55B0: _all(_NUMBER, *range(0x55B1, 0x55BE)) | _all(_INSIDE, 0x55D0),
    0x55D0: _all(_REAL, *range(0x55D1, 0x55DB)),
    0x7670: _all(_NUMBER, 0x7671) | _all(_REAL, 0x7673, 0x7674, 0x7675) | _all(_ZEROS, 0x7672),
    0xE1: _all(_REAL, 0xB5, 0x78B5) | _all(_NUMBER, 0x9F, 0x6264),
    CLUSTER: _all(_NUMBER, 0xE7, 0xAB, 0xA7) | _all(_BLOCK, 0xA3) | _all(_INSIDE, 0xA0),
    0xA0: _all(_NUMBER, 0x9B, 0xFB, 0x75A2) | _all(_BLOCK, 0xA1) | _all(_INSIDE, 0x75A1),
    0x75A1: _all(_INSIDE, 0xA6),
    0xA6: {0xEE: re.compile(rb"\x01"), 0xA5: re.compile(rb".*", re.DOTALL)},
    0x1C53BB6B: _all(_INSIDE, 0xBB),
    0xBB: _all(_NUMBER, 0xB3) | _all(_INSIDE, 0xB7),
    0xB7: _all(_NUMBER, 0xF7, 0xF1, 0xF0, 0x5378, 0xB2),
    0x1254C367: _all(_INSIDE, 0x7373),
    0x7373: _all(_INSIDE, 0x63C0, 0x67C8),
    0x63C0: _all(_NUMBER, 0x63C5, 0x68CA),
    0x67C8: _all(_NUMBER, 0x4484) | {0x45A3: re.compile(rb"DURATION"), 0x4487: _ANY_DURATION, 0x447A: _LANGUAGE},
}
"""By the element around: which may lie in it, and what each holds."""
_EVERYWHERE: Mapping[int, str] = {0xEC: _ZEROS, 0xBF: _NUMBER}
_PIECE = 1 << 16
_LONGEST_TEXT = 1 << 20
_MOST_ELEMENTS = 20_000_000
_LACED = 0x06


@dataclass(slots=True, kw_only=True)
class _Track:
    coding: bytes = b""
    private: bytes = b""
    sets: set[bytes] = field(default_factory=set)


class _Walk:
    def __init__(self, copy: RangeSource) -> None:
        self._copy = copy
        self._tracks: dict[int, _Track] = {}
        self._left = _MOST_ELEMENTS

    def within(self, around: int, place: int, end: int) -> Iterator[str]:
        """Name what may not lie in an element (half open)."""
        while place < end:
            found = element(self._copy, place, end)
            self._left -= 1
            if found is None or self._left < 0:
                yield "bytes that are no element"
                return
            kind, begin, until = found
            if around == CLUSTER and kind in (CLUSTER, 0x1C53BB6B, 0x1254C367):
                yield from self.within(SEGMENT, place, end)  # A cluster of unknown length ends where the next begins.
                return
            allowed = _ALLOWED[around].get(kind) or _EVERYWHERE.get(kind)
            if allowed is None:
                yield f"an unknown element {kind:X}"
            elif kind == TRACK:
                yield from self._track(begin, until)
            elif allowed == _INSIDE:
                yield from self.within(kind, begin, until)
            else:
                yield from self._content(kind, allowed, begin, until)
            place = until

    def _content(self, kind: int, allowed: str | re.Pattern[bytes], begin: int, end: int) -> Iterator[str]:
        size = end - begin
        if allowed == _BLOCK:
            yield from self._block(begin, end)
        elif allowed == _NUMBER:
            if size > 8:
                yield f"more than a number in the element {kind:X}"
        elif allowed == _REAL:
            if size not in (0, 4, 8):
                yield f"more than a number in the element {kind:X}"
        elif allowed == _ZEROS:
            places = range(begin, end, _PIECE)
            if any(any(self._copy.read_range(place, min(_PIECE, end - place))) for place in places):
                yield "a filling element that is not empty"
        elif not isinstance(allowed, str) and kind != 0xA5:
            if size > _LONGEST_TEXT or not allowed.fullmatch(self._copy.read_range(begin, size)):
                yield "a tag" if kind in (0x45A3, 0x4487) else f"words in the element {kind:X}"

    def _track(self, begin: int, end: int) -> Iterator[str]:
        yield from self.within(TRACK, begin, end)
        parts = {
            kind: self._copy.read_range(at, min(until - at, _LONGEST_TEXT))
            for kind, at, until in self._children(begin, end)
        }
        track = _Track(coding=parts.get(CODING, b"").rstrip(b"\0"), private=parts.get(PRIVATE, b""))
        self._tracks[int.from_bytes(parts.get(0xD7, b""), "big")] = track
        if int.from_bytes(parts.get(0x73C5, b""), "big") > 0xFFFF:
            yield "a mark of its own on a track"
        strange = strange_private(track.coding, track.private)
        if strange is not None:
            yield strange

    def _children(self, place: int, end: int) -> Iterator[tuple[int, int, int]]:
        while (found := element(self._copy, place, end)) is not None:
            yield found
            place = found[2]

    def _block(self, begin: int, end: int) -> Iterator[str]:
        head = self._copy.read_range(begin, min(12, end - begin))
        number, used = vint(head, marker=False)
        track = self._tracks.get(number if number is not None else -1)
        if track is None or len(head) < used + 3:
            yield "sound or pictures of no track"
        elif head[used + 2] & _LACED:
            yield "sound or pictures that are laced"
        else:
            yield from self._picture(track, begin + used + 3, end)

    def _picture(self, track: _Track, begin: int, end: int) -> Iterator[str]:
        if track.coding in UNITS:
            yield from self._units(track, begin, end)
        elif track.coding == b"V_MJPEG" and words_in_jpeg(self._copy.read_range(begin, end - begin)):
            yield "words inside the coded pictures"
        elif is_mpeg4(track.coding, track.private) and words_in(self._copy.read_range(begin, end - begin)):
            yield "words inside the coded pictures"

    def _units(self, track: _Track, at: int, end: int) -> Iterator[str]:
        coding, prefix = UNITS[track.coding], length_octets(track.coding, track.private)
        while at < end:
            octets = self._copy.read_range(at, min(prefix + coding.head, end - at))
            length = int.from_bytes(octets[:prefix], "big")
            unit, header = at + prefix, octets[prefix:]
            if len(octets) < prefix or unit + length > end:
                yield "coded pictures whose parts do not add up"
                return
            if not coding.keeps(header, length):
                yield f"a message inside the coded pictures (unit {coding.kind(header)})"
            elif length > coding.head and coding.kind(header) in coding.sets:
                content = self._copy.read_range(unit, min(length, _PIECE))
                if content not in track.sets and not is_plain_set(content, coding):
                    yield "more among the parameters of the coded pictures than parameters"
                track.sets.add(content)
            at = unit + length


def walk_ebml(copy: RangeSource) -> Iterator[str]:
    """Name what no Matroska or WebM copy of ours holds; chapters and attachments are elements of their own."""
    walk, named = _Walk(copy), set[str]()
    for words in walk.within(_TOP, 0, copy.size):
        if words not in named:
            named.add(words)
            yield words


def element(copy: RangeSource, place: int, end: int) -> tuple[int, int, int] | None:
    """Give the kind of an element, and where its content lies (half open); None where there is none.

    What is of an unknown length reaches to the end of what it lies in.
    """
    if place >= end:
        return None
    head = copy.read_range(place, min(12, end - place))
    kind, used = vint(head, marker=True)
    size, more = vint(head[used:], marker=False)
    if kind is None or size is None:
        return None
    begin = place + used + more
    if size == (1 << 7 * more) - 1:
        return (kind, begin, end) if kind in _ROOTS else None
    return (kind, begin, begin + size) if begin + size <= end else None


def vint(octets: bytes, *, marker: bool) -> tuple[int | None, int]:
    """Give a number of EBML's with its length; `marker` keeps the bit that tells the length."""
    if not octets or not octets[0]:
        return None, 0
    length = 9 - octets[0].bit_length()
    if len(octets) < length:
        return None, 0
    value = int.from_bytes(octets[:length], "big")
    return (value if marker else value & (1 << 7 * length) - 1), length
