"""Which frame of the original each frame of a review copy shows. No I/O.

FFmpeg lists the moments of the original's frames; its `fps` filter, which makes the copy's even ones, shows at each the
last frame whose moment, rounded to the nearest of the copy's, has come. The same rule is computed here.
"""

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

from archive.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTimes:
    """For each frame of the copy, the number of the original's frame and its moment in units of `time_base`."""

    frame_rate: Fraction
    time_base: Fraction
    source_frames: tuple[int, ...]
    source_times: tuple[int, ...]

    def to_json(self) -> bytes:
        """Write the table as a viewer reads it."""
        told = {
            "v": 1,
            "frame_rate": _text(self.frame_rate),
            "time_base": _text(self.time_base),
            "source_frames": list(self.source_frames),
            "source_times": list(self.source_times),
        }
        return json.dumps(told, separators=(",", ":"), sort_keys=True).encode("ascii")


def frame_times(listing: bytes, rate: Fraction) -> FrameTimes:
    """Read FFmpeg's `framecrc` listing of the original's coded frames and compute the table for a copy at `rate`.

    Raises: InputError `media/no-frames` where it lists none.
    """
    text = listing.decode("ascii", "replace")
    base = re.search(r"^#tb 0: (\d+)/(\d+)$", text, re.M)
    rows = re.findall(r"^0, *-?\d+, *(-?\d+), *(\d+),", text, re.M)
    shown = sorted((int(pts), int(length)) for pts, length in rows if int(pts) >= 0)
    if base is None or not shown:
        raise InputError("media/no-frames", "FFmpeg found no frame to show in this video. The original is kept.")
    unit = Fraction(int(base[1]), int(base[2]))
    places = [_nearest(pts * unit * rate) for pts, _ in shown]
    end = max(places[-1] + 1, _nearest((shown[-1][0] + shown[-1][1]) * unit * rate))
    frames = [max(0, bisect_right(places, number) - 1) for number in range(end)]
    return FrameTimes(
        frame_rate=rate,
        time_base=unit,
        source_frames=tuple(frames),
        source_times=tuple(shown[frame][0] for frame in frames),
    )


def _nearest(value: Fraction) -> int:
    """Round half away from zero, as FFmpeg does."""
    return int(value + Fraction(1, 2)) if value >= 0 else -int(-value + Fraction(1, 2))


def _text(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
