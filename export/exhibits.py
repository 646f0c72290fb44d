"""Exhibits: what the log recorded of each item when it was received, which is what a packet is checked against.

The truth is the item's first entry, not the catalogue's row: its digest, its objects, its claims. Names from outside
are kept as they came, as text, and never become names of files.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

from archive.age.recipients import KeyIdentity
from archive.catalogue.records import Item
from archive.errors import IntegrityError
from archive.types import Digest, DigestAlgorithm
from custody.entries import EventKind
from custody.register import OpenedEntry, Register
from export.selection import Selection

# The extension follows the identified format. What could run or is not listed is called .bin: nobody opens it unaware.
_EXTENSIONS = {
    "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp", "image/heic": "heic",
    "image/heic-sequence": "heic", "image/heif": "heif", "image/heif-sequence": "heif", "image/avif": "avif",
    "image/tiff": "tif", "image/bmp": "bmp", "image/jxl": "jxl", "image/jp2": "jp2", "image/svg+xml": "svg",
    "image/x-canon-cr3": "cr3", "image/x-canon-cr2": "cr2", "image/x-nikon-nef": "nef", "image/x-sony-arw": "arw",
    "image/x-adobe-dng": "dng", "image/vnd.adobe.photoshop": "psd",
    "video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "webm", "video/x-matroska": "mkv",
    "video/3gpp": "3gp", "video/3gpp2": "3g2", "video/mp2t": "ts", "video/mpeg": "mpg", "video/x-msvideo": "avi",
    "video/x-ms-wmv": "wmv", "video/x-ms-asf": "asf", "video/x-flv": "flv", "video/x-dv": "dv", "video/x-m4v": "m4v",
    "audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/aac": "aac", "audio/ogg": "ogg", "audio/flac": "flac",
    "audio/x-wav": "wav", "audio/amr": "amr", "audio/amr-wb": "awb", "audio/x-aiff": "aiff", "audio/x-caf": "caf",
    "application/pdf": "pdf", "text/plain": "txt", "text/rtf": "rtf", "text/html": "html", "text/csv": "csv",
    "text/vcard": "vcf", "text/calendar": "ics", "message/rfc822": "eml", "multipart/related": "mhtml",
    "application/json": "json", "application/xml": "xml", "application/rdf+xml": "xmp", "application/zip": "zip",
    "application/gzip": "gz", "application/x-tar": "tar", "application/x-7z-compressed": "7z",
    "application/warc": "warc", "application/gpx+xml": "gpx", "application/vnd.google-earth.kml+xml": "kml",
    "application/msword": "doc", "application/vnd.ms-excel": "xls", "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.ms-outlook": "msg", "application/epub+zip": "epub",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt", "application/vnd.oasis.opendocument.spreadsheet": "ods",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """One further receipt of the same content. Name and claims are what its sender gave along, unchecked."""

    entry: int
    received_time: str
    received_by: str
    method: str
    untrusted_name: str
    sender: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One item as the log recorded it at receipt.

    `original` and `metadata` name sealed objects; `metadata` is None where nothing could be extracted. `claims` are
    what the sender and the file itself say: nobody has checked them. `companions` are the numbers of exhibits of this
    packet that were received together with it; `handed_in` is what the log says of
    a file of which only a cleaned copy was kept. `apart` says that there is another which is not in this packet.
    `again` are further receipts of the same content for the packet's matter; where the first was for another
    (`first_elsewhere`), name and sender's claims are those of these.
    """

    item: Item
    sha256: Digest
    size: int
    original: Digest
    metadata: Digest | None
    untrusted_name: str
    handed_in: dict[str, Any]
    format: Mapping[str, Any]
    extraction: Mapping[str, Any]
    claims: Mapping[str, Any]
    received_time: str
    received_by: str
    method: str
    entry: int
    companions: tuple[str, ...]
    apart: bool
    first_elsewhere: bool
    again: tuple[Again, ...]

    @property
    def handed_in_sha256(self) -> str:
        """The fingerprint of what was handed in, grouped, where only a cleaned copy of it was kept; else empty."""
        told = self.handed_in.get("handed_in", {}).get("sha256", "")
        return " ".join(told[start : start + 4] for start in range(0, len(told), 4))

    @property
    def number(self) -> str:
        return self.item.number

    @property
    def path(self) -> str:
        return f"data/exhibits/{self.number}.{self.extension}"

    @property
    def metadata_path(self) -> str:
        return f"data/metadata/{self.number}.json"

    @property
    def mime_type(self) -> str:
        return str(self.format.get("mime_type", "application/octet-stream"))

    @property
    def format_words(self) -> str:
        """Say what it is, and how long where that could be measured."""
        duration = self.format.get("duration")
        seconds = f", {duration} s" if duration else ""
        return f"{self.format.get('name', 'format not known')} ({self.mime_type}){seconds}"

    @property
    def extension(self) -> str:
        return _EXTENSIONS.get(self.mime_type, "bin")


def read_exhibits(register: Register, selection: Selection, keys: Mapping[UUID, KeyIdentity]) -> tuple[Exhibit, ...]:
    """Read what was recorded of each item at its receipt.

    Raises: IntegrityError `export/no-receipt` for an item whose first entry is not one of its receipt.
    """
    firsts = {item.id: next(iter(register.seqs_of(item.id)), -1) for item in selection.items}
    wanted = {*firsts.values(), *chain(*selection.received_here.values())}
    entries = {opened.entry.seq: opened for opened in register.open(sorted(wanted), keys)}
    together = _together(selection.items)
    return tuple(
        _exhibit(
            item,
            entries.get(firsts[item.id]),
            [entries[seq] for seq in selection.received_here.get(item.id, ()) if seq in entries],
            together[item.id],
            apart=item.id in selection.lacking,
            first_elsewhere=item.id in selection.linked,
        )
        for item in selection.items
    )


def _exhibit(
    item: Item,
    opened: OpenedEntry | None,
    here: Sequence[OpenedEntry],
    companions: tuple[str, ...],
    *,
    apart: bool,
    first_elsewhere: bool,
) -> Exhibit:
    if opened is None or opened.entry.event is not EventKind.INGESTION:
        raise _no_receipt(item)
    own = [value for value in opened.values if value.owner_id == item.id]
    values: dict[str, Any] = {value.name: value.value for value in own if value.name not in ("fixity", "object")}
    receipts = [value.value for value in own if value.name == "fixity" and value.value.get("stage") == "receipt"]
    objects = {value.value["purpose"]: value.value["blake3"] for value in own if value.name == "object"}
    if len(receipts) != 1 or "original" not in objects:
        raise _no_receipt(item)
    metadata = objects.get("metadata")
    again = tuple(_again(item, each) for each in here if each.entry.event is EventKind.DUPLICATE_RECEIPT)
    claims = _without_item(values.get("claims"))
    name = str(values.get("original_name", {}).get("name", ""))
    if first_elsewhere:
        # What the file says of itself is in it; what another matter's sender said of it is not for this reader.
        name = next((each.untrusted_name for each in again if each.untrusted_name), "")
        claims = {**claims, "sender": next((each.sender for each in again if each.sender), {})}
    return Exhibit(
        item=item,
        sha256=_digest(DigestAlgorithm.SHA256, receipts[0]["sha256"]),
        size=receipts[0]["size"],
        original=_digest(DigestAlgorithm.BLAKE3, objects["original"]),
        metadata=_digest(DigestAlgorithm.BLAKE3, metadata) if metadata is not None else None,
        untrusted_name=name,
        handed_in=_without_item(values.get("intake")),
        format=_without_item(values.get("format")),
        extraction=_without_item(values.get("extraction")),
        claims=claims,
        received_time=str(opened.get("recorded_time")),
        received_by=str(opened.get("actor") or ""),
        method=str(opened.get("purpose") or ""),
        entry=opened.entry.seq,
        companions=companions,
        apart=apart,
        first_elsewhere=first_elsewhere,
        again=again,
    )


def _again(item: Item, opened: OpenedEntry) -> Again:
    told: Mapping[str, Any] = next(
        (value.value for value in opened.values if value.owner_id == item.id and value.name == "duplicate"), {}
    )
    claims = told.get("claims")
    return Again(
        entry=opened.entry.seq,
        received_time=str(opened.get("recorded_time")),
        received_by=str(opened.get("actor") or ""),
        method=str(opened.get("purpose") or ""),
        untrusted_name=str(told.get("name", "")),
        sender=claims if isinstance(claims, Mapping) else {},
    )


def _together(items: Sequence[Item]) -> Mapping[UUID, tuple[str, ...]]:
    """Name, for each item, the others of these that were received as its companions, or that it is one of."""
    numbers = {item.id: item.number for item in items}
    others: defaultdict[UUID, tuple[str, ...]] = defaultdict(tuple)
    for item in items:
        if item.companion_id is not None and item.companion_id in numbers:
            others[item.id] += (numbers[item.companion_id],)
            others[item.companion_id] += (item.number,)
    return others


def _without_item(value: Any) -> dict[str, Any]:
    """Take a value of an item without the member that repeats whose it is."""
    return {name: inner for name, inner in value.items() if name != "item"} if isinstance(value, dict) else {}


def _digest(algorithm: DigestAlgorithm, digits: str) -> Digest:
    return Digest(algorithm, bytes.fromhex(digits))


def _no_receipt(item: Item) -> IntegrityError:
    return IntegrityError(
        "export/no-receipt",
        "The log does not say of one item what was received. No packet was built. Run `testigo verify`, and keep "
        "everything as it is.",
        evidence={"item": item.number},
    )
