"""To which class of metadata a field belongs. No I/O.

The place of a field decides first (a GPS directory, a thumbnail's directory, a maker's notes, a timed track), then its
exact name where it may stay, then a pattern of its name. What nothing tells is `UNCLASSED`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from media.class_tables import NEUTRAL, PATTERNS, RENDERING, STRUCTURE
from media.metadata_classes import MetadataClass
from media.tags import Tag

_TIMED = frozenset({"QuickTime", "GoPro", "H264", "M2TS", "RIFF", "Matroska"})
_MAKERS = frozenset({"MakerNotes", "GoPro", "InfiRay", "PrintIM", "MPF"})
_THUMBNAIL_PLACES = ("IFD1", "SubIFD1", "SubIFD2", "SubIFD3", "MPImage", "PreviewIFD")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassedTag:
    """A field with its class."""

    tag: Tag
    about: MetadataClass


def classify(tag: Tag) -> MetadataClass:
    """Tell the class of a field that ExifTool told."""
    if tag.place == "GPS" or tag.family == "GeoTiff":
        return MetadataClass.LOCATION
    if tag.family == "MPF" or tag.place.startswith(_THUMBNAIL_PLACES):
        return MetadataClass.THUMBNAIL
    if tag.family == "ICC_Profile":
        return MetadataClass.RENDERING  # What its words may say is told from its bytes (`media/icc.py`).
    if tag.family in _MAKERS or tag.place in _MAKERS:
        named = class_of_name(tag.name)
        return named if named in (MetadataClass.LOCATION, MetadataClass.IDENTITY) else MetadataClass.MAKER
    if tag.name in RENDERING.get(tag.family, ()):
        return MetadataClass.RENDERING
    if tag.name in STRUCTURE.get(tag.family, ()):
        return MetadataClass.STRUCTURE
    if tag.text.strip() in NEUTRAL.get((tag.family, tag.name), ()):
        return MetadataClass.STRUCTURE
    named = class_of_name(tag.name)
    if tag.document and tag.family in _TIMED:
        return named if named is MetadataClass.LOCATION else MetadataClass.TRACKS
    return named


def class_of_name(name: str) -> MetadataClass:
    """Tell the class of a field by its name alone; also of the keys of ffprobe (`com.apple.quicktime.make`)."""
    last = name.rpartition(".")[2] if "." in name and "ISO6709" not in name else name
    plain = last.replace("_", "").replace(" ", "")
    for pattern, about in PATTERNS:
        if pattern.search(plain):
            return about
    return MetadataClass.UNCLASSED


def classify_all(tags: Iterable[Tag]) -> tuple[ClassedTag, ...]:
    """Give every field with its class."""
    return tuple(ClassedTag(tag=tag, about=classify(tag)) for tag in tags)
