"""What else a file holds that can give somebody away: names of persons and accounts, and small copies of the picture.

No I/O. Small copies are measured where they lie in the first 64 KiB; their content is compared elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from media.jpeg_head import read_jpeg_head, small_copy_in
from media.tags import Tag

_LONGEST = 200
_PERSON_FIELDS = frozenset(
    {
        "OwnerName", "CameraOwnerName", "Artist", "XPAuthor", "Author", "Authors", "By-line", "Copyright",
        "CopyrightNotice", "Credit", "Creator", "LastModifiedBy", "Manager", "Company", "Contact", "CaptionWriter",
        "Writer-Editor", "CreatorWorkEmail", "CreatorWorkURL", "CreatorWorkTelephone", "UserName", "AccountName",
        "Email", "HostName", "RegionPersonDisplayName", "RegionName", "PersonInImage", "DeviceOwner", "Performer",
        "Rights", "Owner", "InitialCreator", "LastPrinted", "ProfileOwner", "DocumentOwner", "Reporter", "From", "To",
        "Cc",
    }
)  # fmt: skip
_COPY_FIELDS = frozenset(
    {"ThumbnailImage", "PreviewImage", "JpgFromRaw", "OtherImage", "PhotoshopThumbnail", "ThumbnailTIFF", "CoverArt",
     "PreviewTIFF", "MPImage2", "MPImage3", "ThumbnailData", "HiddenData", "DepthImage", "Picture"}
)  # fmt: skip
_NOT_OURS = frozenset({"Composite", "ICC_Profile", "ExifTool"})
_SHAPE_SLACK = 0.02
_MOST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonClaim:
    """A person, an account or an address that a file names."""

    source: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallCopy:
    """A copy of the picture inside the file. `other_shape` says that its shape is not the picture's.

    Many cameras put black bars around a small copy of 4:3, so another shape than 4:3 alone tells of cropping.
    """

    source: str
    width: int | None = None
    height: int | None = None
    other_shape: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What was found."""

    persons: tuple[PersonClaim, ...] = ()
    copies: tuple[SmallCopy, ...] = ()


def read_holdings(tags: Sequence[Tag], head: bytes) -> Holdings:
    """Gather names of persons and small copies from a file's metadata and its first 64 KiB."""
    copies = [tag for tag in tags if tag.name in _COPY_FIELDS and tag.family not in _NOT_OURS]
    return Holdings(
        persons=tuple(dict.fromkeys(_persons(tags)))[:_MOST],
        copies=tuple(dict.fromkeys(_copy(tag, tags, head) for tag in copies[:_MOST])),
    )


def _persons(tags: Sequence[Tag]) -> Iterator[PersonClaim]:
    for tag in tags:
        if tag.name in _PERSON_FIELDS and tag.family not in _NOT_OURS:
            text = tag.text.strip() or ", ".join(text for _, text in tag.fields if text)
            if text and text != "Unknown":
                yield PersonClaim(source=tag.source, raw=text[:_LONGEST])
        for path, text in tag.fields:
            if path.rpartition("/")[2] in _PERSON_FIELDS and text.strip():
                yield PersonClaim(source=f"{tag.source}/{path}", raw=text.strip()[:_LONGEST])


def _copy(tag: Tag, tags: Sequence[Tag], head: bytes) -> SmallCopy:
    inside = small_copy_in(head) if tag.place == "IFD1" and tag.name == "ThumbnailImage" else None
    measured = read_jpeg_head(inside) if inside is not None else None
    width, height = (measured.width, measured.height) if measured is not None else (None, None)
    if not width or not height:
        return SmallCopy(source=tag.source)
    shown = {
        each.name: each.number for each in tags if each.place == "File" and each.name in ("ImageWidth", "ImageHeight")
    }
    picture = [int(number) for number in shown.values() if number.isdigit() and int(number)]
    other = False
    if len(picture) == 2:
        ours, theirs = max(width, height) / min(width, height), max(picture) / min(picture)
        padded = abs(ours - 4 / 3) < _SHAPE_SLACK
        other = abs(ours - theirs) > _SHAPE_SLACK * theirs and not padded
    return SmallCopy(source=tag.source, width=width, height=height, other_shape=other)
