"""Inspecting finished copies of video and sound: a walk over every piece, and ffprobe's word on what plays."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from media.cleaners.audio_video import CONTAINERS
from media.cleaners.ebml_walk import walk_ebml
from media.cleaners.media_walks import walk_boxes, walk_flac, walk_mp3, walk_ogg, walk_riff
from media.cleaners.motion_jpeg import words_in_any_jpeg
from media.confinement import Confinement, find_tool
from media.identify import Format
from media.metadata_classes import MetadataClass
from media.options import MediaSettings
from media.problems import Problem
from media.ranges import RangeSource
from media.video import StreamProbe

_WALKS: Mapping[str, Callable[[RangeSource], Iterator[str]]] = {
    "matroska": walk_ebml,
    "webm": walk_ebml,
    "avi": walk_riff,
    "wav": walk_riff,
    "ogg": walk_ogg,
    "flac": walk_flac,
}
_USER_WORDS = re.compile(rb"\0\0\x01\xb2(?=.{4})(?!Lavc|XviD|DivX)", re.DOTALL)
_WINDOW_OCTETS, _LONGEST_MARK = 1 << 20, 7


class AudioVideoInspector:
    """Knows what copies of video and sound are made of: at most one picture, sounds, and nothing beside."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._probe = StreamProbe(find_tool(settings.ffprobe_path), confinement, settings)

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type in CONTAINERS or format.mime_type == "audio/mpeg"

    def inspect(
        self,
        copy: RangeSource,
        format: Format,  # noqa: A002  # the field's own word
        _keep: frozenset[MetadataClass],
        deadline: float,
    ) -> Iterable[str]:
        """Walk the copy. What might stay is not put back into such copies, so nothing is on the list for that."""
        container = CONTAINERS.get(format.mime_type)
        if container is not None and container.has_boxes:
            found = list(walk_boxes(copy, deadline))
        else:
            found = list((_WALKS[container.muxer] if container is not None else walk_mp3)(copy))
        told = self._probe.probe(copy, deadline=deadline)
        if isinstance(told, Problem):
            return [*found, told.reason]
        if any(each.codec == "mpeg4" for each in told.streams) and _words_anywhere(copy):
            found.append("words inside the coded pictures")
        if container is not None and container.muxer in ("matroska", "webm"):
            if any(each.codec == "mjpeg" for each in told.streams) and words_in_any_jpeg(copy):
                found.append("words inside the coded pictures")
        kinds = [each.kind for each in told.streams]
        found += [f"a track of kind {kind}" for kind in kinds if kind not in ("video", "audio")]
        found += [f"{kinds.count('video')} pictures"] if kinds.count("video") > 1 else []
        found += ["chapters"] if told.chapters else []
        found += ["a cover"] if any(each.attached for each in told.streams) else []
        return found


def _words_anywhere(copy: RangeSource) -> bool:
    """Look for user data of MPEG-4 pictures that do not begin with an encoder's name, in whatever container."""
    carried = b""
    for start in range(0, copy.size, _WINDOW_OCTETS):
        window = carried + copy.read_range(start, min(_WINDOW_OCTETS, copy.size - start))
        if _USER_WORDS.search(window):
            return True
        carried = window[-_LONGEST_MARK:]
    return False
