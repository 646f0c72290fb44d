"""The formats that one magic number does not tell: rules over the first bytes of a file, each sure or silent. No names.

Standard: ISO/IEC 14496-12 (brands), Matroska (DocType), ISO 32000, ISO/IEC 11172-3 (frame headers), ISO/IEC 13818-1.
"""

from collections.abc import Callable
from dataclasses import dataclass

from media.mpeg_frames import adts_length, mpeg_header
from media.ranges import RangeSource
from media.signatures import BRANDS, SIGNATURES

_PDF_PUIDS = {
    b"1.0": "fmt/14", b"1.1": "fmt/15", b"1.2": "fmt/16", b"1.3": "fmt/17", b"1.4": "fmt/18",
    b"1.5": "fmt/19", b"1.6": "fmt/20", b"1.7": "fmt/276", b"2.0": "fmt/1129",
}  # fmt: skip
_BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_OLE_SECTOR_OCTETS = (512, 4096)
_OLE_STREAMS = (
    ("WordDocument", "application/msword", "Microsoft Word 97 to 2003", "fmt/40"),
    ("Workbook", "application/vnd.ms-excel", "Microsoft Excel 97 to 2003", "fmt/61"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint", "Microsoft PowerPoint 97 to 2003", "fmt/126"),
    ("__properties_version1.0", "application/vnd.ms-outlook", "Outlook message", "x-fmt/430"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A type, its name, its PRONOM identifier where the version is plain; `family` where a tool may be more precise."""

    mime_type: str
    name: str
    pronom: str | None = None
    family: str = ""


Rule = Callable[[bytes, RangeSource], Guess | None]


def from_first_bytes(head: bytes, source: RangeSource) -> Guess | None:
    """Give what the first bytes say without doubt, if anything."""
    for rule in _RULES:
        guess = rule(head, source)
        if guess is not None:
            return guess
    return None


def _base_media(head: bytes, _source: RangeSource) -> Guess | None:
    """ISO base media (MP4, MOV, HEIC, 3GP): the brand tells; an old QuickTime file has none."""
    kind, brand = head[4:8], head[8:12]
    if kind == b"ftyp":
        if brand in BRANDS:
            mime_type, name, pronom = BRANDS[brand]
            family = "base-media" if mime_type == "video/quicktime" else ""
            return Guess(mime_type=mime_type, name=name, pronom=pronom, family=family)
        if brand[:3] in (b"3gp", b"3gr", b"3gs"):
            return Guess(mime_type="video/3gpp", name="3GPP", pronom="fmt/357", family="base-media")
        if brand[:3] == b"3g2" or brand == b"kddi":
            return Guess(mime_type="video/3gpp2", name="3GPP2", family="base-media")
        return Guess(mime_type="video/mp4", name="MPEG-4", pronom="fmt/199", family="base-media")
    if kind in (b"moov", b"mdat", b"wide", b"skip", b"free", b"pnot") and head[:1] == b"\0" and len(head) >= 16:
        return Guess(mime_type="video/quicktime", name="QuickTime", pronom="x-fmt/384", family="base-media")
    return None


def _matroska(head: bytes, _source: RangeSource) -> Guess | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    if b"\x42\x82" in head[:64] and b"webm" in head[:64]:
        return Guess(mime_type="video/webm", name="WebM", pronom="fmt/573")
    return Guess(mime_type="video/x-matroska", name="Matroska", pronom="fmt/569")


def _pdf(head: bytes, _source: RangeSource) -> Guess | None:
    if not head.startswith(b"%PDF-"):
        return None
    return Guess(mime_type="application/pdf", name="PDF", pronom=_PDF_PUIDS.get(head[5:8]))


def _mpeg_audio(head: bytes, source: RangeSource) -> Guess | None:
    """MP3, bare or after its ID3 tag; AAC in ADTS frames."""
    if head.startswith(b"ID3") and len(head) > 10 and head[3] < 0xFF and all(octet < 0x80 for octet in head[6:10]):
        length = 10 + sum(octet << shift for octet, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        after = head[length : length + 4]
        known = {b"fLaC": ("audio/flac", "FLAC after an ID3 tag"), b"DSD ": ("audio/x-dsf", "DSD Stream File")}
        if after in known:
            return Guess(mime_type=known[after][0], name=known[after][1])
        if adts_length(source.read_range(length, 7)) is not None:
            return Guess(mime_type="audio/aac", name="AAC, ADTS, after an ID3 tag")
        return Guess(mime_type="audio/mpeg", name="MPEG audio", pronom="fmt/134")
    frame = adts_length(head[:7])
    if frame is not None and (frame == source.size or adts_length(source.read_range(frame, 7)) is not None):
        return Guess(mime_type="audio/aac", name="AAC, ADTS")
    first = mpeg_header(head[:4])
    if first is None:
        return None
    # A text in UTF-16 begins with the bits of a frame, too; only a second frame tells them apart.
    second = mpeg_header(source.read_range(first.length, 4))
    if first.length == source.size or (second is not None and second.alike == first.alike):
        return Guess(mime_type="audio/mpeg", name="MPEG audio", pronom="fmt/134")
    return None


def _bitmap(head: bytes, _source: RangeSource) -> Guess | None:
    if head.startswith(b"BM") and len(head) >= 26 and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return Guess(mime_type="image/bmp", name="Windows bitmap")
    return None


def _office_97(head: bytes, source: RangeSource) -> Guess | None:
    """OLE2: the names of the streams in the directory tell which program wrote it."""
    if not head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") or len(head) < 512:
        return None
    sector = 1 << min(int.from_bytes(head[30:32], "little"), 16)
    if sector in _OLE_SECTOR_OCTETS:
        directory = source.read_range((int.from_bytes(head[48:52], "little") + 1) * sector, 4096)
        for stream, mime_type, name, pronom in _OLE_STREAMS:
            if stream.encode("utf-16-le") in directory:
                return Guess(mime_type=mime_type, name=name, pronom=pronom)
    return None


def _by_signature(head: bytes, _source: RangeSource) -> Guess | None:
    for signature in SIGNATURES:
        if signature.matches(head):
            pronom = signature.pronom or _version_puid(head, signature.mime_type)
            return Guess(mime_type=signature.mime_type, name=signature.name, pronom=pronom, family=signature.family)
    return None


def _icon(head: bytes, source: RangeSource) -> Guess | None:
    """Icons and cursors have a weak magic number, so their first entry must point inside the file."""
    if head[:4] not in (b"\x00\x00\x01\x00", b"\x00\x00\x02\x00") or len(head) < 22:
        return None
    count, reserved = int.from_bytes(head[4:6], "little"), head[9]
    length, offset = int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
    if not count or reserved or not length or offset < 6 + 16 * count or offset + length > source.size:
        return None
    if head[2] == 1:
        return Guess(mime_type="image/vnd.microsoft.icon", name="Windows icon", pronom="x-fmt/418")
    return Guess(mime_type="image/x-cursor", name="Windows cursor")


def _transport_stream(head: bytes, _source: RangeSource) -> Guess | None:
    for packet, sync in ((188, 0), (192, 4)):
        marks = [head[place] for place in range(sync, min(len(head), packet * 5), packet)]
        if len(marks) >= 3 and all(mark == 0x47 for mark in marks):
            return Guess(mime_type="video/mp2t", name="MPEG-2 transport stream")
    return None


def _targa(_head: bytes, source: RangeSource) -> Guess | None:
    tail = source.read_range(max(0, source.size - 18), 18)
    if tail == b"TRUEVISION-XFILE.\x00":
        return Guess(mime_type="image/x-tga", name="Truevision TGA", pronom="fmt/402")
    return None


def _version_puid(head: bytes, mime_type: str) -> str | None:
    """Give the identifier of the version where the first bytes state it."""
    if mime_type == "image/jpeg" and head[6:11] == b"JFIF\x00":
        return {b"\x01\x00": "fmt/42", b"\x01\x01": "fmt/43", b"\x01\x02": "fmt/44"}.get(head[11:13])
    if mime_type == "image/png":
        before_pixels = head.partition(b"IDAT")[0]
        if b"iTXt" in before_pixels:
            return "fmt/13"
        return "fmt/12" if any(chunk in before_pixels for chunk in (b"iCCP", b"sPLT", b"sRGB")) else "fmt/11"
    return "fmt/353" if mime_type == "image/tiff" else None


_RULES: tuple[Rule, ...] = (
    _base_media, _matroska, _pdf, _mpeg_audio, _bitmap, _office_97, _icon, _transport_stream, _by_signature, _targa,
)  # fmt: skip
