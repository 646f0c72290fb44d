"""Which previews a file gets: small copies to look at, so that the original stays closed.

A preview says nothing of its own: no metadata of the original goes into it. Photos and pages are made by our own code
in the confined Python, video and sound by the confined FFmpeg. What cannot be made is a value with its reason.
"""

from collections.abc import Iterator

from archive.types import EvidenceKind
from media.confined_python import ConfinedPython
from media.confinement import Confinement
from media.ffmpeg import Ffmpeg
from media.identify import Format
from media.moving_previews import MovingPreviews
from media.options import MediaSettings
from media.preview_parts import NotMade, Preview
from media.problems import Problem
from media.ranges import RangeSource
from media.still_previews import StillPreviews
from media.video import Streams

_PACKAGES = ("PIL", "pillow_heif", "pypdfium2", "pypdfium2_raw", "pypdfium2_cfg", "lxml")


class Previews:
    """Makes the previews of every kind of file."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._moving = MovingPreviews(Ffmpeg(confinement, settings))
        self._still = StillPreviews(ConfinedPython(confinement, settings, _PACKAGES), settings)

    def make(self, source: RangeSource, form: Format, streams: Streams | None) -> Iterator[Preview]:
        """Give each preview of a file as it is made. Raises: what the source raises."""
        match form.kind:
            case EvidenceKind.VIDEO | EvidenceKind.AUDIO if streams is not None:
                yield from self._moving.make(source, streams)
            case EvidenceKind.PHOTO:
                yield from self._still.photo(source)
            case EvidenceKind.DOCUMENT | EvidenceKind.STATEMENT | EvidenceKind.OTHER | EvidenceKind.WEB_CAPTURE:
                yield from self._still.document(source, form)
            case _:
                reason = "No preview of this file: it holds nothing that can be played here. The original is kept."
                yield NotMade(purpose="poster", problem=Problem(code="media/no-preview", reason=reason))
