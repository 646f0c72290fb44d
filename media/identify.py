"""What a file is, told from its bytes and never from its name.

First the first bytes (`first_bytes.py`, `signatures.py`), then the metadata tool's own word where these are silent or
name only a family, then what kind of text it is. The kind of evidence follows from the type alone: a picture, a video,
a sound, a document; a statement is never guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from archive.types import EvidenceKind
from media.first_bytes import Guess, from_first_bytes
from media.ranges import RangeSource
from media.tags import Tag, first_text
from media.text_kinds import from_text

HEAD_OCTETS = 1 << 16
_TAIL_OCTETS = 1 << 16
_UNKNOWN = "application/octet-stream"
_DOCUMENT_WORDS = ("word", "document", "presentation", "spreadsheet", "epub", "excel", "powerpoint", "outlook")
_FAMILY_NAMES = frozenset({"ZIP", "GZIP", "FPX", "TIFF", "OGG", "ASF", "PLIST", "PS", "SWF", "TTF", "JP2", ""})
_WEAK_TYPES = frozenset({"TXT", "ICO", "CUR", "DIR", "FPX", "XML", "JSON", "PHP", "Static library"})
_EXIF_PUIDS = {"0200": "x-fmt/398", "0210": "x-fmt/390", "0220": "x-fmt/391", "0221": "fmt/645"}
_TOOL_PUIDS = {
    "DOCX": "fmt/412", "XLSX": "fmt/214", "PPTX": "fmt/215", "EPUB": "fmt/483", "DOC": "fmt/40", "3GP": "fmt/357",
    "WMV": "fmt/133", "MP3": "fmt/134",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What the bytes are. `polyglot_signs` names each further format whose own mark lies in the same file."""

    mime_type: str
    name: str
    kind: EvidenceKind
    pronom: str | None
    polyglot_signs: tuple[str, ...] = ()


STATEMENT = Format(mime_type="text/plain", name="plain text", kind=EvidenceKind.STATEMENT, pronom=None)
"""A statement that was written down here. Any words can stand in it, so its bytes may look like anything."""


def identify(head: bytes, source: RangeSource, tags: Sequence[Tag]) -> Format:
    """Tell what a file is from its first 64 KiB, its end, and the metadata tool's tags (none where it failed)."""
    guess = _empty(source) or from_first_bytes(head, source) or _from_tool(tags) or from_text(head, source.size)
    guess = _more_precisely(guess or Guess(mime_type=_UNKNOWN, name="unknown"), tags)
    return Format(
        mime_type=guess.mime_type,
        name=guess.name,
        kind=kind_of(guess.mime_type),
        pronom=guess.pronom,
        polyglot_signs=polyglot_signs(head, source, guess.mime_type),
    )


def kind_of(mime_type: str) -> EvidenceKind:
    """Tell the kind of evidence that a type holds."""
    top, _, rest = mime_type.partition("/")
    if mime_type in ("application/warc", "multipart/related"):
        return EvidenceKind.WEB_CAPTURE
    if mime_type in ("image/svg+xml", "image/x-xbitmap", "application/pdf", "application/postscript", "message/rfc822"):
        return EvidenceKind.DOCUMENT
    if mime_type == "application/mxf":
        return EvidenceKind.VIDEO
    if top == "text" or any(word in rest for word in _DOCUMENT_WORDS):
        return EvidenceKind.DOCUMENT
    kinds = {"image": EvidenceKind.PHOTO, "video": EvidenceKind.VIDEO, "audio": EvidenceKind.AUDIO}
    return kinds.get(top, EvidenceKind.OTHER)


def _empty(source: RangeSource) -> Guess | None:
    return Guess(mime_type="application/x-empty", name="empty file") if source.size == 0 else None


def _told(tags: Sequence[Tag]) -> tuple[str, str]:
    """Give the type that the tool named and its MIME type; empty where it named none, or only guessed."""
    everything = tuple(tags)
    return first_text(everything, "File", "FileType"), first_text(everything, "File", "MIMEType")


def _from_tool(tags: Sequence[Tag]) -> Guess | None:
    kind, mime_type = _told(tags)
    if not mime_type or kind in _WEAK_TYPES:
        return None
    return Guess(mime_type=mime_type, name=kind, pronom=_TOOL_PUIDS.get(kind))


def _more_precisely(guess: Guess, tags: Sequence[Tag]) -> Guess:
    """Let the tool be more precise where the first bytes name only a family; elsewhere they have the last word."""
    kind, mime_type = _told(tags)
    if guess.mime_type == "image/jpeg" and guess.pronom is None:
        version = next((tag.number for tag in tags if tag.name == "ExifVersion" and not tag.document), "")
        return replace(guess, pronom=_EXIF_PUIDS.get(version))
    if guess.family == "base-media":
        return _by_tracks(guess, tags)
    if not guess.family or kind in _FAMILY_NAMES or mime_type in ("", _UNKNOWN):
        return guess
    return replace(guess, mime_type=mime_type, name=kind, pronom=_TOOL_PUIDS.get(kind))


def _by_tracks(guess: Guess, tags: Sequence[Tag]) -> Guess:
    """Call a file without any picture track sound, whatever its brand says."""
    tracks = {tag.number for tag in tags if tag.name == "HandlerType" and tag.place.startswith("Track")}
    if "soun" in tracks and "vide" not in tracks and guess.mime_type.startswith("video/"):
        return replace(guess, mime_type="audio/mp4", name=f"{guess.name}, sound only", pronom=None)
    return guess


_MARKS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "PDF", "application/pdf"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "RAR", "application/vnd.rar"),
)


def polyglot_signs(head: bytes, source: RangeSource, mime_type: str) -> tuple[str, ...]:
    """Name each further format that would open this file: its mark lies in the first or last 64 KiB."""
    tail = source.read_range(max(0, source.size - _TAIL_OCTETS), _TAIL_OCTETS)
    signs = [name for mark, name, own in _MARKS if own != mime_type and (mark in head or mark in tail)]
    if not _is_zip(mime_type) and b"PK\x05\x06" in tail and (b"PK\x01\x02" in tail or b"PK\x03\x04" in head + tail):
        signs.append("ZIP")
    if mime_type != "application/dicom" and head[128:132] == b"DICM":
        signs.append("DICOM")
    if mime_type not in ("application/x-tar",) and head[257:262] == b"ustar":
        signs.append("tape archive")
    return tuple(signs)


def _is_zip(mime_type: str) -> bool:
    marks = (
        "zip",
        "openxmlformats",
        "opendocument",
        "epub",
        "java-archive",
        "macroenabled",
        "ms-word.",
        "ms-excel.",
        "idml",
    )
    return any(mark in mime_type.lower() for mark in marks)
