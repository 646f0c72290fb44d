"""Previews of video and sound: a poster, a strip of key frames, a review copy with its table of frames, a waveform.

The review copy is made for stepping: a constant frame rate, a key frame every 15 frames and none that need a later one.
Pictures are turned as they are to be seen; high dynamic range is brought to what every screen shows. Where there are
several sounds, all are mixed into one, because players play but one of several, and each leaves with a clean copy.
"""

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import ffmpeg

from archive.errors import InputError, UnavailableError
from media.cleaners.port import Sink
from media.doors import TARGET
from media.ffmpeg import STANDARD_OUTPUT, Ffmpeg, Run
from media.frame_times import frame_times
from media.options import MIB
from media.played import Played, what_is_played
from media.preview_parts import Facts, NotMade, Part, Preview, Streamed
from media.problems import Problem
from media.ranges import RangeSource
from media.video import Stream, Streams
from media.waveform import SAMPLE_RATE, PeakSink

_TOOL = "ffmpeg"
_SILENT: dict[str, Any] = {"map_metadata": -1, "map_chapters": -1, "fflags": "+bitexact", "flags": "+bitexact"}
_RATES = tuple(Fraction(text) for text in ("24000/1001", "24", "25", "30000/1001", "30", "15", "12", "10", "20"))
_FASTEST = Fraction(30)
_SHORT_SIDE = 540
_SHORT_SECONDS = 20
_SHEET_COLUMNS, _SHEET_ROWS, _SHEET_WIDTH = 6, 4, 240
_IN_TIME = "aresample=async=1:first_pts=0"
_LISTING_OCTETS = 64 * MIB
_WHITE = 203
"""The light of white paper in high dynamic range, in candela (ITU-R BT.2408). Darker light stays nearly as it is; the
brighter is brought together, up to the brightest that each kind of range is made for."""
_BRIGHTEST = {"smpte2084": 4000, "arib-std-b67": 1000}


class MovingPreviews:
    """Makes the previews of one video or sound at a time."""

    def __init__(self, tool: Ffmpeg) -> None:
        self._ffmpeg = tool

    def make(self, source: RangeSource, streams: Streams) -> Iterator[Preview]:
        """Give each preview as it is made; what cannot be made is said."""
        played = what_is_played(streams)
        picture, sounds = played.picture, played.sounds
        tool = f"{_TOOL} {self._ffmpeg.version}"
        if picture is not None:
            seconds = Fraction(picture.duration or streams.duration or 0)
            to_sdr = _to_sdr(_transfer(streams, picture))
            yield self._poster(source, picture, seconds, to_sdr, tool)
            yield self._sheet(source, picture, seconds, to_sdr, tool)
            yield self._proxy(source, played, to_sdr, tool)
        if sounds:
            yield self._waveform(source, sounds, tool)
        if played.unread:
            yield NotMade(purpose="sound" if sounds else "waveform", problem=_unread(played))

    def _poster(self, source: RangeSource, picture: Stream, seconds: Fraction, to_sdr: str, tool: str) -> Preview:
        at = min(Fraction(1), seconds / 10)
        filters = _chain("scale='min(1280,iw)':-2", to_sdr)
        run = self._picture_run(source, picture, filters, {"ss": f"{float(at):.3f}"})
        return self._small(source, run, "poster", tool, {"at_seconds": f"{float(at):.3f}"})

    def _sheet(self, source: RangeSource, picture: Stream, seconds: Fraction, to_sdr: str, tool: str) -> Preview:
        count = _SHEET_COLUMNS * _SHEET_ROWS
        apart = max(seconds / count, Fraction(1, 5))
        tiles = f"tile={_SHEET_COLUMNS}x{_SHEET_ROWS}"
        chosen = f"fps={apart.denominator}/{apart.numerator}:start_time=0"
        filters = f"{chosen},{_chain(f'scale={_SHEET_WIDTH}:-2', to_sdr)},{tiles}"
        facts: Facts = {"columns": _SHEET_COLUMNS, "rows": _SHEET_ROWS, "seconds_apart": f"{float(apart):.3f}"}
        if seconds > _SHORT_SECONDS:
            # Of a long video only the key frames are decoded, which there are enough of, as a rule.
            run = self._picture_run(source, picture, filters, {"skip_frame": "nokey"})
            made = self._small(source, run, "contact-sheet", tool, facts)
            if isinstance(made, Part):
                return made
        return self._small(source, self._picture_run(source, picture, filters, {}), "contact-sheet", tool, facts)

    def _picture_run(self, source: RangeSource, picture: Stream, filters: str, before: dict[str, object]) -> Run:
        options = {"vf": f"{filters},format=yuvj420p", "frames:v": 1, "f": "image2pipe", "c:v": "mjpeg", "q:v": 4}
        return Run(
            build=lambda given: given[str(picture.index)].output(STANDARD_OUTPUT, **options, **_SILENT),
            deadline=self._ffmpeg.deadline(source),
            most=16 * MIB,
            before={**before, "threads": 2},
        )

    def _small(self, source: RangeSource, run: Run, purpose: str, tool: str, facts: Facts) -> Preview:
        try:
            content = self._ffmpeg.read(run, source)
        except (InputError, UnavailableError) as error:
            return NotMade(purpose=purpose, problem=Problem.of(error))
        if not content:
            return NotMade(purpose=purpose, problem=_NOTHING)
        return Part(purpose=purpose, mime_type="image/jpeg", tool=tool, content=content, facts=facts)

    def _proxy(self, source: RangeSource, played: Played, to_sdr: str, tool: str) -> Streamed:
        picture = played.picture
        if picture is None:
            raise ValueError("a review copy is made of a film")
        rate = proxy_rate(picture.frame_rate)

        def write(sink: Sink) -> tuple[Facts, tuple[Part, ...]]:
            run = Run(
                build=lambda given: _proxy_outputs(given, picture, played.sounds, rate, to_sdr),
                deadline=self._ffmpeg.deadline(source),
                most=4 * source.size + 256 * MIB,
                before={"threads": 2},
            )
            listing = self._ffmpeg.write(run, source, sink, listing=_LISTING_OCTETS).output
            table = frame_times(listing, rate)
            facts: Facts = {"frame_rate": f"{rate.numerator}/{rate.denominator}", "frames": len(table.source_frames)}
            facts["sounds_mixed"] = len(played.sounds)
            facts["sounds_not_readable"] = len(played.unread)
            times = Part(
                purpose="proxy-times", mime_type="application/json", tool=tool, content=table.to_json(), facts=facts
            )
            return facts, (times,)

        return Streamed(purpose="proxy", mime_type="video/mp4", tool=tool, write=write)

    def _waveform(self, source: RangeSource, sounds: Sequence[Stream], tool: str) -> Preview:
        peaks = PeakSink()
        options = {"ac": 1, "ar": SAMPLE_RATE, "f": "s16le", **_SILENT}
        run = Run(
            build=lambda given: _mixed(given, sounds).output(TARGET, **options),
            deadline=self._ffmpeg.deadline(source),
            most=64 * source.size + 256 * MIB,
        )
        try:
            self._ffmpeg.write(run, source, peaks)
        except (InputError, UnavailableError) as error:
            return NotMade(purpose="waveform", problem=Problem.of(error))
        content = peaks.to_json()
        return Part(purpose="waveform", mime_type="application/json", tool=tool, content=content)


_NOTHING = Problem(code="media/no-frames", reason="FFmpeg found no frame to show in this video. The original is kept.")


def proxy_rate(told: str | None) -> Fraction:
    """Choose the even rate of a review copy: the original's own where it is one of the usual, halved where too fast."""
    rate = Fraction(told) if told else _FASTEST
    while rate > _FASTEST * Fraction(101, 100):
        rate /= 2
    near = min(_RATES, key=lambda each: abs(each - rate))
    return near if abs(near - rate) < rate / 100 else _FASTEST


def proxy_options(rate: Fraction, to_sdr: str) -> dict[str, Any]:
    """Give the options of the review copy, less its sound; the bench makes the same with a bare FFmpeg."""
    short = f"min({_SHORT_SIDE},trunc(ih/2)*2)"
    narrow = f"min({_SHORT_SIDE},trunc(iw/2)*2)"
    scale = f"scale=w='if(gte(iw,ih),-2,{narrow})':h='if(gte(iw,ih),{short},-2)'"
    return {
        "vf": f"fps={rate.numerator}/{rate.denominator}:start_time=0,{_chain(scale, to_sdr)},format=yuv420p",
        "vsync": "cfr", "c:v": "libx264", "preset": "veryfast", "crf": 26, "g": 15, "keyint_min": 15,
        "sc_threshold": 0, "bf": 0, "f": "mp4",
    }  # fmt: skip


def _proxy_outputs(given: Any, picture: Stream, sounds: Sequence[Stream], rate: Fraction, to_sdr: str) -> Any:
    """Two outputs of one run: the copy, and a listing of the original's frames."""
    options = {**proxy_options(rate, to_sdr), **_SILENT, "bsf:v": "filter_units=remove_types=6"}
    options |= {"metadata:s:v:0": "encoder=H.264", "empty_hdlr_name": 1}  # Or libraries would be named there.
    parts = [given[str(picture.index)]]
    if sounds:
        parts.append(_mixed(given, sounds))
        options |= {"c:a": "aac", "b:a": "96k", "ac": 2, "ar": 48_000}
    if len(sounds) == 1:
        options["af"] = _IN_TIME
    copy = ffmpeg.output(*parts, TARGET, **options)
    listing = ffmpeg.output(given[str(picture.index)], STANDARD_OUTPUT, c="copy", f="framecrc")
    return ffmpeg.merge_outputs(copy, listing)


def _mixed(given: Any, sounds: Sequence[Stream]) -> Any:
    """Give one sound in which all are heard as loud as they are, each from its own beginning."""
    if len(sounds) == 1:
        return given[str(sounds[0].index)]
    each = [
        given[str(sound.index)]
        .filter("aresample", **{"async": 1, "first_pts": 0})
        .filter("aformat", channel_layouts="stereo")
        for sound in sounds
    ]
    return ffmpeg.filter(each, "amix", inputs=len(each), duration="longest", normalize=0)


def _unread(played: Played) -> Problem:
    what = "One sound of it is" if len(played.unread) == 1 else f"{len(played.unread)} sounds of it are"
    heard = "what is played here is without it" if played.sounds else "its picture is played here without sound"
    reason = f"{what} of a coding that is not known here, so {heard}. The original is kept."
    return Problem(code="media/sound-not-read", reason=reason)


def _chain(scale: str, to_sdr: str) -> str:
    """Scale first: bringing the range down costs much for every point."""
    return f"{scale},{to_sdr}" if to_sdr else scale


def _to_sdr(transfer: str) -> str:
    """Give the filters that bring high dynamic range to what every screen shows; none for anything else."""
    if transfer not in _BRIGHTEST:
        return ""
    mapped = f"tonemap=tonemap=mobius:desat=0:peak={_BRIGHTEST[transfer] / _WHITE:.2f}"
    linear = f"zscale=t=linear:npl={_WHITE},format=gbrpf32le,zscale=p=bt709"
    # The format is named, or a JPEG would take these values for those of its own, wider range.
    return f"{linear},{mapped},zscale=t=bt709:m=bt709:r=tv,format=yuv420p"


def _transfer(streams: Streams, picture: Stream) -> str:
    told = json.loads(streams.raw).get("streams", [])
    return str(told[picture.index].get("color_transfer", "")) if picture.index < len(told) else ""
