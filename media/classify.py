"""To which class of metadata a field belongs. No I/O.

The place of a field decides first (a GPS directory, a thumbnail's directory, a maker's notes, a timed track), then its
exact name where it may stay, then a pattern of its name. What nothing tells is `UNCLASSED`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from media.class_tables import NEUTRAL, PATTERNS, RENDERING, STRUCTURE
from media.metadata_classes import MetadataClass
from media.tags import Tag, first_text

_TIMED = frozenset({"QuickTime", "GoPro", "H264", "M2TS", "RIFF", "Matroska"})
_MAKERS = frozenset({"MakerNotes", "GoPro", "InfiRay", "PrintIM", "MPF"})
_PAGE = re.compile(r"IFD\d+")
_REDUCED, _REDUCED_OF_OLD = 1, "2"
_PIECES = frozenset({"PreviewImageStart", "PreviewImageLength", "PreviewImage"})
"""What ExifTool calls the strips of a page that are coded as JPEG."""
_THUMBNAIL_PLACES = ("IFD1", "SubIFD1", "SubIFD2", "SubIFD3", "MPImage", "PreviewIFD")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassedTag:
    """A field with its class."""

    tag: Tag
    about: MetadataClass


def classify(tag: Tag, pages: frozenset[str] = frozenset()) -> MetadataClass:
    """Tell the class of a field that ExifTool told; `pages` are the places that are pages of a TIFF."""
    if tag.place == "GPS" or tag.family == "GeoTiff":
        return MetadataClass.LOCATION
    if tag.place in pages and tag.name in _PIECES:
        return MetadataClass.STRUCTURE
    if tag.family == "MPF" or (tag.place not in pages and tag.place.startswith(_THUMBNAIL_PLACES)):
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
    told = tuple(tags)
    pages = _pages_of_tiff(told)
    return tuple(ClassedTag(tag=tag, about=classify(tag, pages)) for tag in told)


def _pages_of_tiff(tags: tuple[Tag, ...]) -> frozenset[str]:
    """Give the directories of a TIFF that are no small copies of another: a fax has as many as it has pages."""
    if first_text(tags, "File", "MIMEType") != "image/tiff":
        return frozenset()
    small = {tag.place for tag in tags if tag.name == "SubfileType" and int(tag.number or 0) & _REDUCED}
    small |= {tag.place for tag in tags if tag.name == "OldSubfileType" and tag.number == _REDUCED_OF_OLD}
    return frozenset(tag.place for tag in tags if _PAGE.fullmatch(tag.place)) - small
