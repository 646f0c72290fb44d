"""Cleaning video and sound: FFmpeg copies the one picture and all sounds that people see and hear into a new file.

Nothing else is asked to come along: no metadata, chapters, covers, timed data, subtitles or attachments, no second
picture; each such track is named. A court gets all that a viewer may see, or no copy. Private messages inside the
video (H.264 and HEVC SEI, AV1 metadata) are filtered out, or filled. The coded pictures and the sound are copied bit
for bit, with one exception: where an edit list hides samples, a copy would keep them, so that track is encoded anew and
the answer says so. WAV and FLAC are encoded anew as well, which loses nothing.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ffmpeg

from archive.errors import InputError, TestigoError
from media.boxes import tracks
from media.cleaners.bare_frames import BARE, is_all_frames
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
from media.played import Played, in_words, is_another_form, what_is_played
from media.problems import Problem
from media.ranges import BytesRanges, RangeSource
from media.sample_tables import least_samples
from media.video import Stream, StreamProbe

_TOOL = "ffmpeg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """How a copy is wrapped; `from_other` says that the original is wrapped in another way, which nothing here reads
    field by field, and that only sound of these codings goes over from it."""

    muxer: str
    mime_type: str
    has_boxes: bool = False
    from_other: frozenset[str] = frozenset()


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
    "audio/aac": Container(muxer="ipod", mime_type="audio/mp4", has_boxes=True, from_other=frozenset({"aac"})),
    "audio/x-caf": Container(muxer="ipod", mime_type="audio/mp4", has_boxes=True, from_other=frozenset({"alac"})),
    "audio/amr": Container(muxer="3gp", mime_type="audio/mp4", has_boxes=True, from_other=frozenset({"amr_nb"})),
    "audio/amr-wb": Container(muxer="3gp", mime_type="audio/mp4", has_boxes=True, from_other=frozenset({"amr_wb"})),
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
        if request.format.mime_type in BARE and not is_all_frames(request.source, request.format.mime_type):
            raise cannot_clean("it holds more than frames of sound, or a frame of it is not whole")
        played, gone = self._wanted(request)
        picture = played.picture
        wanted = [*([] if picture is None else [picture]), *played.sounds]
        numbers, hidden = _tracks(request.source, wanted) if _holds_boxes(container) else ({}, frozenset[int]())
        again = [each for each in wanted if numbers.get(each.index) in hidden]
        filled = None if picture is None or picture in again else numbers.get(picture.index)
        source = self._blanked(request, filled)
        blanked = source is not request.source
        if container.muxer in ("matroska", "webm"):
            source = QuietTracks(request.source)
        options = _options(container, played, again, filtering=not blanked)
        tool = _TOOL + (f" ({' and '.join(each.kind for each in again)} encoded anew)" if again else "")
        run = Run(
            build=lambda given: ffmpeg.output(*(given[str(each.index)] for each in wanted), TARGET, **options),
            deadline=request.deadline,
            most=2 * request.source.size + 64 * MIB,
            whole=True,
        )
        try:
            copied = {numbers[each.index]: each not in again for each in wanted} if numbers else {}
            samples = _samples(request.source, copied)
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
        return Cleaned(
            tool=tool,
            version=self._ffmpeg.version,
            mime_type=container.mime_type,
            samples=samples,
            sounds=len(played.sounds),
            gone=gone,
        )

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

    def _wanted(self, request: CleanRequest) -> tuple[Played, tuple[str, ...]]:
        """Give what a copy holds, and the names of what it leaves out."""
        told = self._probe.probe(request.source, deadline=request.deadline)
        if isinstance(told, Problem):
            raise cannot_clean(told.reason)
        played = what_is_played(told)
        if played.picture is not None and played.picture.codec not in _PICTURES:
            codec = played.picture.codec
            raise cannot_clean(f"nothing here knows what its pictures ({codec}) hold beside what they show")
        if not all(_is_left_out(request, each, played) for each in played.unread):
            raise cannot_clean(
                "it has a sound of a coding that is not known here, which nobody could hear before it leaves. "
                "Save it with its sound as AAC, or without sound, and hand that in as well"
            )
        fits = CONTAINERS[request.format.mime_type].from_other
        if fits and (played.picture is not None or any(each.codec not in fits for each in played.sounds)):
            raise cannot_clean(
                f"from a file of this kind ({request.format.name}) only sound coded as {', '.join(sorted(fits))} goes "
                "over into a copy. Save it as M4A, and hand that in as well"
            )
        if played.picture is None and not played.sounds:
            raise cannot_clean("it has neither a picture nor a sound that can be copied")
        if request.for_court and played.seen_beside:
            raise cannot_clean(
                f"a viewer may also see {', '.join(played.seen_beside)}, which a copy would be without, and a court is "
                "to see all. Give the original, or save it without them and hand that in as well"
            )
        return played, tuple(in_words(each) for each in (*played.unread, *played.beside)) + played.captions


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


def _holds_boxes(container: Container) -> bool:
    """Tell whether the original is made of boxes, like its copy."""
    return container.has_boxes and not container.from_other


def _is_left_out(request: CleanRequest, unread: Stream, played: Played) -> bool:
    """Tell whether a sound that cannot be read may be left out, as another form of one that stays."""
    if not _holds_boxes(CONTAINERS[request.format.mime_type]):
        return False
    try:
        return is_another_form(request.source, unread, played)
    except InputError as error:
        raise cannot_clean(error.message) from error


def _samples(source: RangeSource, copied: Mapping[int, bool]) -> dict[str, tuple[int | None, ...]]:
    """Give how many samples a copy must have at least, of each track by its number, if it is copied as it is."""
    handlers = {each.number: each.handler for each in tracks(source)} if copied else {}
    least: dict[str, tuple[int | None, ...]] = {}
    for number, as_it_is in copied.items():
        handler = handlers.get(number, "")
        least[handler] = (*least.get(handler, ()), (least_samples(source, number) or None) if as_it_is else None)
    return least


def _options(container: Container, played: Played, again: list[Stream], *, filtering: bool) -> dict[str, Any]:
    picture = played.picture
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
    for number, sound in enumerate(played.sounds):
        if sound in again:
            options |= {f"{option}:{number}": value for option, value in _SOUND_AGAIN.items()}
        elif container.muxer in ("wav", "flac") and _is_lossless(sound.codec):
            # Nothing is lost by it, and a copy would keep what lies behind the samples and beside their format.
            options[f"c:a:{number}"] = sound.codec
        if len(played.sounds) > 1:  # Which one players play; what else its flags say of it goes.
            options[f"disposition:a:{number}"] = "default" if sound.default else "0"
    return options


def _is_lossless(codec: str) -> bool:
    return codec == "flac" or codec.startswith("pcm_")


def _in_words(error: TestigoError) -> str:
    complaint = str(error.evidence.get("complaint", ""))
    line = next((each for each in reversed(complaint.splitlines()) if each.strip()), "")
    said = re.sub(r"^\[[^\]]*\]\s*|(file|http|ftp):\S+\s*", "", line)[:120]
    return f"FFmpeg could not copy it ({said})" if said else error.message
