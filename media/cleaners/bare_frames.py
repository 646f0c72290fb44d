"""Sound that lies in a file frame after frame, with nothing around it: whether that is all. No I/O of its own.

Standard: RFC 4867, 5 (AMR); ISO/IEC 14496-3, 1.A.2.2 (AAC in ADTS). Octets between frames or behind them would be
copied as if they were sound, so a file that holds any is refused.
"""

from collections.abc import Mapping

from media.cleaners.mp3 import after_id3v2
from media.mpeg_frames import adts_length
from media.ranges import RangeSource

_WINDOW_OCTETS = 1 << 20
_AMR: Mapping[str, tuple[bytes, Mapping[int, int]]] = {
    "audio/amr": (b"#!AMR\n", dict(zip((*range(9), 15), (13, 14, 16, 18, 20, 21, 27, 32, 6, 1), strict=True))),
    "audio/amr-wb": (
        b"#!AMR-WB\n",
        dict(zip((*range(10), 14, 15), (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1), strict=True)),
    ),
}
"""The mark at the beginning, and the octets of a frame by its mode."""
BARE = frozenset({*_AMR, "audio/aac"})
"""The types of such files."""


def is_all_frames(source: RangeSource, mime_type: str) -> bool:
    """Tell whether a file of AMR or ADTS is whole frames from its beginning, or behind a tag there, to its end."""
    place = len(_AMR[mime_type][0]) if mime_type in _AMR else after_id3v2(source)
    if place >= source.size:
        return False
    window, begin = b"", place
    while place < source.size:
        if place - begin + 8 > len(window):
            window, begin = source.read_range(place, _WINDOW_OCTETS), place
        length = _length(window[place - begin : place - begin + 7], mime_type)
        if length is None:
            return False
        place += length
    return place == source.size


def _length(head: bytes, mime_type: str) -> int | None:
    if mime_type not in _AMR:
        return adts_length(head)
    if not head or head[0] & 0x83:
        return None
    return _AMR[mime_type][1].get(head[0] >> 3 & 0xF)
