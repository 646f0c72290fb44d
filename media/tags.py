"""Reading ExifTool's JSON: each tag with its families, its sub-document and both forms of its value.

The text comes from hostile files by way of a tool that read them, so nothing in it is trusted to have a shape. Numbers
stay the text that ExifTool printed; no float is made of them. No I/O.
"""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from archive.errors import InputError

_PARTS = 5


class Tag(NamedTuple):
    """One value of a file's metadata; a named tuple, because a photo has hundreds and a timed track tens of thousands.

    `family` is the standard (EXIF, XMP, QuickTime), `place` where in the file (IFD0, Track4), `document` the
    sub-document ("" for the file itself, else Doc1, Doc1-2 ...), `copy` tells duplicates apart. `text` is the
    value as printed, `number` as stored; a structure or a list is in `fields`, as (path, text).
    """

    family: str
    place: str
    document: str
    copy: str
    name: str
    text: str
    number: str
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def source(self) -> str:
        """The field as a person would cite it: `ExifIFD:DateTimeOriginal`, `Track4:Doc1:GPSLatitude`."""
        return f"{self.place}:{self.document}:{self.name}" if self.document else f"{self.place}:{self.name}"


def parse_tags(raw: bytes) -> tuple[Tag, ...]:
    """Read what `Extraction.raw` holds. Raises: InputError `media/unreadable-answer`."""
    if not raw:
        return ()
    try:
        files = json.loads(raw.decode("utf-8", "replace"), parse_float=str, parse_int=str, parse_constant=str)
        if isinstance(files, list) and len(files) == 1 and isinstance(files[0], dict):
            return tuple(_tags(files[0]))
    except (ValueError, RecursionError):
        pass
    raise InputError(
        "media/unreadable-answer",
        "The metadata tool answered with something that cannot be read. The answer is kept as it is.",
    )


def first_text(tags: tuple[Tag, ...], place: str, name: str) -> str:
    """Give the printed value of the file's own tag, or an empty text."""
    for tag in tags:
        if tag.name == name and tag.place == place and not tag.document:
            return tag.text
    return ""


def _tags(members: Mapping[str, object]) -> Iterator[Tag]:
    for key, value in members.items():
        parts = _clean(key).split(":")
        if len(parts) != _PARTS or not isinstance(value, dict):
            continue
        family, place, document, copy, name = parts
        printed = value.get("val")
        stored = value.get("num", printed)
        document = "" if document == "Main" else document
        if isinstance(printed, str) and isinstance(stored, str):
            yield Tag(family, place, document, copy, name, _clean(printed), _clean(stored))
        else:
            fields = tuple(_fields("", printed)) if isinstance(printed, dict | list) else ()
            yield Tag(family, place, document, copy, name, _text(printed), _text(stored), fields)


def _clean(text: str) -> str:
    """Replace half a surrogate pair, which JSON can spell and no record can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _text(value: object) -> str:
    match value:
        case str():
            return _clean(value)
        case True:
            return "true"
        case False:
            return "false"
        case list():
            return ", ".join(_text(each) for each in value if not isinstance(each, dict | list))
        case _:
            return ""


def _fields(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Walk a structure; one that is nested too deep to walk is refused as unreadable."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _fields(f"{path}/{_clean(name)}" if path else _clean(name), each)
    elif isinstance(value, list):
        for number, each in enumerate(value, 1):
            yield from _fields(f"{path}[{number}]", each)
    else:
        yield path, _text(value)
