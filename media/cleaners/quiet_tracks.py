"""A Matroska or WebM file whose tracks tell their decoders nothing but what these need, as it is read. No I/O.

Nothing moves: comment headers of Vorbis and Theora are made blanks, and an encoder's messages among the parameters of
HEVC filler, each as long as it was. FFmpeg would carry both into a copy as they are. Where the tracks are not found,
or not understood, the file is read as it is, and whoever inspects the copy will find what was left.
"""

from collections.abc import Iterator

from media.cleaners.ebml_walk import CODING, PRIVATE, SEGMENT, TRACK, TRACKS, element
from media.cleaners.xiph_headers import emptied, laced
from media.coded_units import filler_for
from media.codings import HEVC, messages_of_hvcc
from media.ranges import RangeSource

_MOST_ELEMENTS = 1000
_LONGEST_PRIVATE = 1 << 20


class QuietTracks:
    """Reads a file so. Raises of reading: what the source raises."""

    def __init__(self, source: RangeSource) -> None:
        self._source = source
        self._instead = list(_instead(source))

    @property
    def size(self) -> int:
        return self._source.size

    def read_range(self, start: int, length: int, /) -> bytes:
        piece = self._source.read_range(start, length)
        for at, octets in self._instead:
            begin, end = max(at, start), min(at + len(octets), start + len(piece))
            if begin < end:
                piece = piece[: begin - start] + octets[begin - at : end - at] + piece[end - start :]
        return piece


def _instead(source: RangeSource) -> Iterator[tuple[int, bytes]]:
    """Give what is to be read in place of what stands there, each with its place."""
    for _, begin, end in _within(source, SEGMENT, 0, source.size):
        for _, first, last in _within(source, TRACKS, begin, end):
            for _, one, until in _within(source, TRACK, first, last):
                parts = {kind: (at, stop) for kind, at, stop in _children(source, one, until)}
                if CODING in parts and PRIVATE in parts:
                    coding, private = (
                        source.read_range(at, min(stop - at, _LONGEST_PRIVATE))
                        for at, stop in (parts[CODING], parts[PRIVATE])
                    )
                    at = parts[PRIVATE][0]
                    yield from ((at + offset, octets) for offset, octets in _quiet(coding.rstrip(b"\0"), private))


def _quiet(coding: bytes, private: bytes) -> list[tuple[int, bytes]]:
    if coding == b"V_MPEGH/ISO/HEVC":
        found = messages_of_hvcc(private) or []
        return [(begin, filler_for(private[begin:end], HEVC)) for begin, end in found]
    if coding in (b"A_VORBIS", b"V_THEORA"):
        try:
            begin, end = laced(private)[1]
            return [(begin, emptied(private[begin:end]))]
        except ValueError:
            return []
    return []


def _within(source: RangeSource, kind: int, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    return (each for each in _children(source, begin, end) if each[0] == kind)


def _children(source: RangeSource, place: int, end: int) -> Iterator[tuple[int, int, int]]:
    for _ in range(_MOST_ELEMENTS):
        found = element(source, place, end)
        if found is None:
            return
        yield found
        place = found[2]
