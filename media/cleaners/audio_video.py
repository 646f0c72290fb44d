"""Cleaning video and sound: FFmpeg copies the one picture and the one sound that people see and hear into a new file.

Nothing else is asked to come along: no metadata, chapters, covers, timed data, subtitles or attachments, no second
picture. Private messages inside the video (H.264 and HEVC SEI, AV1 metadata) are filtered out, or filled. The coded
pictures and the sound are copied bit for bit, with one exception: where an edit list hides samples, a copy would keep
them, so that track is encoded anew and the answer says so. WAV and FLAC are encoded anew as well, which loses nothing.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ffmpeg

from archive.errors import InputError, TestigoError
from media.boxes import tracks
from media.cleaners.port import Cleaned, CleanRequest, Sink
from media.cleaners.quiet_tracks import QuietTracks
from media.coded_units import Blanked, coded_track
from media.confinement import Confinement, find_tool
from media.doors import TARGET
from media.ffmpeg import Ffmpeg, Run
from media.filled_film import filled_film
from media.hollow_film import hollow_film
from media.identify import Format
from media.options import MIB, MediaSettings
from media.problems import Problem
from media.ranges import BytesRanges, RangeSource
from media.sample_tables import least_samples
from media.video import Stream, StreamProbe

_TOOL = "ffmpeg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """How a copy is wrapped."""

    muxer: str
    mime_type: str
    has_boxes: bool = False


CONTAINERS: Mapping[str, Container] = {
    "video/mp4": Container(muxer="mp4", mime_type="video/mp4", has_boxes=True),
    "video/x-m4v": Container(muxer="mp4", mime_type="video/mp4", has_boxes=True),
    "video/quicktime": Container(muxer="mov", mime_type="video/quicktime", has_boxes=True),
    "video/3gpp": Container(muxer="3gp", mime_type="video/3gpp", has_boxes=True),
    "video/3gpp2": Container(muxer="3g2", mime_type="video/3gpp2", has_boxes=True),
    "audio/mp4": Container(muxer="ipod", mime_type="audio/mp4", has_boxes=True),
    "audio/x-m4a": Container(muxer="ipod", mime_type="audio/mp4", has_boxes=True),
    "video/x-matroska": Container(muxer="matroska", mime_type="video/x-matroska"),
    "audio/x-matroska": Container(muxer="matroska", mime_type="audio/x-matroska"),
    "video/webm": Container(muxer="webm", mime_type="video/webm"),
    "audio/webm": Container(muxer="webm", mime_type="audio/webm"),
    "video/x-msvideo": Container(muxer="avi", mime_type="video/x-msvideo"),
    "audio/x-wav": Container(muxer="wav", mime_type="audio/x-wav"),
    "audio/ogg": Container(muxer="ogg", mime_type="audio/ogg"),
    "audio/opus": Container(muxer="ogg", mime_type="audio/ogg"),
    "audio/vorbis": Container(muxer="ogg", mime_type="audio/ogg"),
    "video/ogg": Container(muxer="ogg", mime_type="video/ogg"),
    "audio/flac": Container(muxer="flac", mime_type="audio/flac"),
    "audio/x-flac": Container(muxer="flac", mime_type="audio/flac"),
}
"""By the type of the original."""

# What each kind of coded video carries beside its pictures, as `filter_units` names it: H.264 SEI is unit 6, HEVC SEI
# are units 39 and 40, AV1 metadata is unit 5; the others are filler, delimiters, parts of second views, and kinds that
# nobody has defined. HEVC parameters may hold messages too, which the filter reaches only in the other spelling. What
# `_metadata` is told nothing of it writes anew as it was, but for what stands behind the end of parameters. Of MPEG-2
# user data go, of Motion JPEG comments and applications' segments but for those that decoders need (APP0, APP14).
_FILTERS = {
    "h264": "filter_units=remove_types=0|2-4|6|9|12-31,h264_metadata",
    "hevc": "hevc_mp4toannexb,filter_units=remove_types=10-15|22-31|35|38-63,hevc_metadata",
    "av1": "filter_units=remove_types=0|5|8-15",
    "mpeg2video": "filter_units=remove_types=178",
    "mjpeg": "filter_units=remove_types=225-237|239|254",
}
_PICTURES = frozenset(
    "h264 hevc av1 mpeg4 mpeg2video mpeg1video mjpeg vp8 vp9 theora h263 h263p prores rawvideo msmpeg4v1 msmpeg4v2 "
    "msmpeg4v3 wmv1 wmv2 flv1 svq1 svq3 cinepak rpza indeo2 indeo3 indeo4 indeo5 huffyuv ffv1 vvc".split()
)
"""Codings whose pictures have no place for words, or one that is known here. PNG, JPEG 2000 and DV in films do have:
comments, the moment of recording."""
_VIDEO_AGAIN = {"c:v": "libx264", "crf": 14, "preset": "veryfast"}
_SOUND_AGAIN = {"c:a": "aac", "b:a": "192k"}


class AudioVideoCleaner:
    """Cleans what FFmpeg can copy into a container of the same kind."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._ffmpeg = Ffmpeg(confinement, settings)
        self._probe = StreamProbe(find_tool(settings.ffprobe_path), confinement, settings)
        self._settings = settings

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type in CONTAINERS

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned:
        """Copy picture and sound. Removes every class that can be removed, also those that might stay."""
        container = CONTAINERS[request.format.mime_type]
        picture, sound = self._wanted(request)
        wanted = [each for each in (picture, sound) if each is not None]
        numbers, hidden = _tracks(request.source, wanted) if container.has_boxes else ({}, frozenset[int]())
        again = [each for each in wanted if numbers.get(each.index) in hidden]
        filled = None if picture is None or picture in again else numbers.get(picture.index)
        source = self._blanked(request, filled)
        blanked = source is not request.source
        if container.muxer in ("matroska", "webm"):
            source = QuietTracks(request.source)
        options = _options(container, picture, sound, again, filtering=not blanked)
        tool = _TOOL + (f" ({' and '.join(each.kind for each in again)} encoded anew)" if again else "")
        run = Run(
            build=lambda given: ffmpeg.output(*(given[str(each.index)] for each in wanted), TARGET, **options),
            deadline=request.deadline,
            most=2 * request.source.size + 64 * MIB,
            whole=True,
        )
        try:
            samples = _samples(
                request.source, [numbers[each.index] for each in wanted if each not in again] if numbers else []
            )
            if (
                blanked
                and not again
                and self._past_ffmpeg(source, [numbers[each.index] for each in wanted], run, options, sink)
            ):
                tool = f"{_TOOL} (media data brought over beside it)"
            else:
                self._ffmpeg.write(run, source, sink)
        except InputError as error:
            raise cannot_clean(_in_words(error)) from error
        return Cleaned(tool=tool, version=self._ffmpeg.version, mime_type=container.mime_type, samples=samples)

    def _past_ffmpeg(
        self, source: RangeSource, numbers: list[int], run: Run, options: dict[str, Any], sink: Sink
    ) -> bool:
        """Copy a large film without leading its gigabytes through FFmpeg, where its tables are plain; say whether."""
        if source.size <= self._settings.small_file_mib * MIB:
            return False
        hollow = hollow_film(source, numbers)
        if hollow is None:
            return False
        copy = io.BytesIO()
        inputs = [str(hollow.index(number)) for number in numbers]
        of_hollow = replace(
            run, build=lambda given: ffmpeg.output(*(given[number] for number in inputs), TARGET, **options)
        )
        self._ffmpeg.write(of_hollow, BytesRanges(hollow.content), copy)
        filled = filled_film(hollow, copy.getvalue(), numbers)
        if filled is None:
            return False
        filled.write(source, sink, deadline=run.deadline)
        return True

    def _blanked(self, request: CleanRequest, number: int | None) -> RangeSource:
        """Fill the messages of a file as it is read, where its tables are plain: FFmpeg's filter takes every picture
        apart and writes it again, which takes four times as long as copying it, and leaves what `hvcC` holds."""
        track = coded_track(request.source, number) if number is not None else None
        return request.source if track is None else Blanked(request.source, track, deadline=request.deadline)

    def _wanted(self, request: CleanRequest) -> tuple[Stream | None, Stream | None]:
        told = self._probe.probe(request.source, deadline=request.deadline)
        if isinstance(told, Problem):
            raise cannot_clean(told.reason)
        pictures = [each for each in told.streams if each.kind == "video" and not each.attached]
        sounds = [each for each in told.streams if each.kind == "audio" and each.codec != "unknown"]
        first = next(iter(sorted(pictures, key=lambda each: not each.default)), None)
        if first is not None and first.codec not in _PICTURES:
            raise cannot_clean(f"nothing here knows what its pictures ({first.codec}) hold beside what they show")
        heard = next(iter(sorted(sounds, key=lambda each: not each.default)), None)
        if first is None and heard is None:
            raise cannot_clean("it has neither a picture nor a sound that can be copied")
        return first, heard


def cannot_clean(reason: str) -> InputError:
    """Say why a file cannot be cleaned."""
    words = reason.removesuffix(" The original is kept as it is.").rstrip(".")
    return InputError("media/cannot-clean", f"This file cannot be cleaned: {words}. The original is kept as it is.")


def _tracks(source: RangeSource, wanted: list[Stream]) -> tuple[dict[int, int], frozenset[int]]:
    """Give the number of each stream among the tracks, and the tracks whose edit lists hide samples.

    FFmpeg may count a cover before the tracks, so a stream is known by its own number wherever there is just one.
    """
    try:
        found = tracks(source)
    except InputError as error:
        raise cannot_clean(error.message) from error
    known = {each.id: each.number for each in found}
    unique = len(known) == len(found)
    numbers = {each.index: known[each.id] if unique and each.id in known else each.index for each in wanted}
    return numbers, frozenset(each.number for each in found if each.hides)


def _samples(source: RangeSource, numbers: list[int]) -> dict[str, int]:
    """Give how many samples a copy must have at least, of the tracks that are copied as they are."""
    handlers = {each.number: each.handler for each in tracks(source)} if numbers else {}
    least = {handlers.get(number, ""): least_samples(source, number) for number in numbers}
    return {handler: count for handler, count in least.items() if count}


def _options(
    container: Container, picture: Stream | None, sound: Stream | None, again: list[Stream], *, filtering: bool
) -> dict[str, Any]:
    options: dict[str, Any] = {
        "map_metadata": -1,
        "map_chapters": -1,
        "fflags": "+bitexact",
        "flags": "+bitexact",
        "c": "copy",
        "f": container.muxer,
    }
    if container.has_boxes:
        options["empty_hdlr_name"] = 1
    if picture is not None:
        encoded = picture in again
        codec = "h264" if encoded else picture.codec
        options |= _VIDEO_AGAIN if encoded else {}
        if encoded:
            options["metadata:s:v:0"] = "encoder=H.264"  # Or the muxer would name the encoder's library there.
        if filtering and codec in _FILTERS:
            options["bsf:v"] = _FILTERS[codec]
        if codec == "hevc" and container.has_boxes:
            options["tag:v"] = "hvc1"
    if sound is not None and sound in again:
        options |= _SOUND_AGAIN
    elif sound is not None and container.muxer in ("wav", "flac") and _is_lossless(sound.codec):
        # Nothing is lost by it, and a copy would keep what lies behind the samples and beside their format.
        options["c:a"] = sound.codec
    return options


def _is_lossless(codec: str) -> bool:
    return codec == "flac" or codec.startswith("pcm_")


def _in_words(error: TestigoError) -> str:
    complaint = str(error.evidence.get("complaint", ""))
    line = next((each for each in reversed(complaint.splitlines()) if each.strip()), "")
    said = re.sub(r"^\[[^\]]*\]\s*|(file|http|ftp):\S+\s*", "", line)[:120]
    return f"FFmpeg could not copy it ({said})" if said else error.message
