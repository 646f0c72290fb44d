"""What a grade is made from: one pass over a file's tags, and the marks of programs found on the way. No I/O."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from media.identify import Format
from media.jpeg_head import JpegHead
from media.received_signs import (
    EDITORS,
    ENCODERS,
    FFMPEG_HANDLERS,
    MARK_FIELDS,
    PROGRAM_FIELDS,
    SCREEN_MARKS,
    SERVICES,
)
from media.sentences import Message, message
from media.tags import Tag
from media.video import Streams

EDITED, DOWNLOAD, SCREEN = "edited", "download or re-encode", "screen recording"
GradedReason = tuple[str | None, Message, bool]
"""The grade that a sign points to (None: against `camera file` only), the reason, whether the file itself says so."""

_EXPOSURE = frozenset({"ExposureTime", "FNumber", "ISO", "FocalLength", "ApertureValue", "ShutterSpeedValue", "Flash"})
# What a colour profile or a value computed from others says is not the camera's word.
_NOT_OURS = frozenset({"ICC_Profile", "Composite", "ExifTool"})
# The comment of a JPEG is written by programs; the cameras that write one leave it empty.
_PROGRAMS_COMMENT = ("Comment", "File")
_LONGEST = 60
_LOOKED_AT = 300
_MOST_TEXTS = 50
_MOST_MARKED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The file's own tags (no sub-documents) by name, in their order, and what follows from them at once."""

    format: Format
    streams: Streams | None
    jpeg: JpegHead | None
    head: bytes
    size: int
    by_name: dict[str, list[Tag]]
    families: frozenset[str]
    places: frozenset[str]
    maker_notes: int
    exposure: int
    marks: tuple[GradedReason, ...]

    def text(self, name: str, *places: str) -> str:
        """Give the first value of that name, in one of the places where these are named."""
        for tag in self.by_name.get(name, ()):
            if not places or tag.place in places:
                return tag.text.strip()
        return ""

    def number(self, name: str, *places: str) -> int:
        """Give a whole number; 0 where there is none."""
        for tag in self.by_name.get(name, ()):
            if (not places or tag.place in places) and tag.number.isascii() and tag.number.isdigit():
                return int(tag.number[:9])
        return 0

    @property
    def make(self) -> str:
        return self.text("Make") or self.text("AndroidMake") or self.text("AndroidManufacturer")

    @property
    def model(self) -> str:
        return self.text("Model") or self.text("AndroidModel")

    @property
    def device(self) -> str:
        """Maker and model, as the file has them; empty where it names none."""
        if not self.model:
            return ""
        return self.model if self.model.lower().startswith(self.make.lower()) else f"{self.make} {self.model}"


def gather(
    found: Format, streams: Streams | None, tags: Sequence[Tag], head: bytes, size: int, jpeg: JpegHead | None
) -> Facts:
    """Go once through the tags."""
    by_name: dict[str, list[Tag]] = {}
    families: set[str] = set()
    places: set[str] = set()
    maker_notes = 0
    marked: list[Tag] = []
    for tag in tags:
        if tag.document or tag.family in _NOT_OURS:
            if tag.family == "ICC_Profile":
                families.add(tag.family)
            continue
        families.add(tag.family)
        places.add(tag.place)
        maker_notes += tag.family == "MakerNotes"
        if tag.name in MARK_FIELDS:
            marked.append(tag)
        by_name.setdefault(tag.name, []).append(tag)
    return Facts(
        format=found,
        streams=streams,
        jpeg=jpeg,
        head=head,
        size=size,
        by_name=by_name,
        families=frozenset(families),
        places=frozenset(places),
        maker_notes=maker_notes,
        exposure=sum(name in by_name for name in _EXPOSURE),
        marks=tuple(each for tag in marked[:_MOST_MARKED] for each in _mark(tag)),
    )


def _mark(tag: Tag) -> Iterator[GradedReason]:
    texts = [text for _, text in tag.fields[:_MOST_TEXTS]] or [tag.text]
    for whole in texts:
        text = whole[:_LOOKED_AT]  # A program says its name at once; a long text may be there to cost time.
        # Maker's notes tell of the camera's own software, which may bear an editing program's name.
        if not text or tag.family == "MakerNotes" and not EDITORS.search(text):
            continue
        for by, pattern in SERVICES:
            if pattern.search(text):
                yield DOWNLOAD, message("received/service", by=by, source=tag.source), True
                return
        if SCREEN_MARKS.search(text):
            yield SCREEN, message("received/screen-mark", source=tag.source), True
        elif tag.name not in PROGRAM_FIELDS and (tag.name, tag.place) != _PROGRAMS_COMMENT:
            continue
        elif EDITORS.search(text):
            yield EDITED, message("received/editor", program=_cut(text), source=tag.source), True
        elif tag.name != "XMPToolkit" and ENCODERS.search(text):
            yield DOWNLOAD, message("received/encoder", program=_cut(text), source=tag.source), True
        elif tag.name == "HandlerDescription" and text in FFMPEG_HANDLERS:
            yield DOWNLOAD, message("received/encoder", program=f"FFmpeg ({text})", source=tag.source), True


def _cut(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]


def moment_of(text: str) -> datetime | None:
    """Read a written time without its zone and fraction; None where it is none."""
    try:
        return datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def span(seconds: float) -> str:
    """Write a span of time for people."""
    seconds = abs(seconds)
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
