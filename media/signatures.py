"""What the first bytes of a file say: a narrow table of signatures that leave no doubt. No I/O.

A signature names a format only where its bytes are its own. Where they belong to a family (a ZIP may be a DOCX, a TIFF
may be a camera's raw file) the entry says so, and `identify.py` lets the metadata tool be more precise.
Standard: the formats' own; PRONOM identifiers where the version is plain from these bytes.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """`magic` at `offset`, and `more` at `more_offset` where the first is not enough. `family` may be refined."""

    magic: bytes
    offset: int = 0
    more: bytes = b""
    more_offset: int = 0
    mime_type: str
    name: str
    pronom: str | None = None
    family: str = ""

    def matches(self, head: bytes) -> bool:
        return head.startswith(self.magic, self.offset) and head.startswith(self.more, self.more_offset)


def _riff(form: bytes, mime_type: str, name: str, pronom: str | None) -> Signature:
    return Signature(magic=b"RIFF", more=form, more_offset=8, mime_type=mime_type, name=name, pronom=pronom)


def _plain(magic: bytes, mime_type: str, name: str, pronom: str | None = None, *, family: str = "") -> Signature:
    return Signature(magic=magic, mime_type=mime_type, name=name, pronom=pronom, family=family)


_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")

SIGNATURES: tuple[Signature, ...] = (
    _plain(b"\x89PNG\r\n\x1a\n", "image/png", "Portable Network Graphics"),
    _plain(b"\x8aMNG\r\n\x1a\n", "video/x-mng", "Multiple-image Network Graphics", "fmt/528"),
    _plain(b"\xff\xd8\xff", "image/jpeg", "JPEG"),
    _plain(b"GIF87a", "image/gif", "GIF 87a", "fmt/3"),
    _plain(b"GIF89a", "image/gif", "GIF 89a", "fmt/4"),
    _plain(b"II*\x00", "image/tiff", "Tagged Image File Format", family="tiff"),
    _plain(b"MM\x00*", "image/tiff", "Tagged Image File Format", family="tiff"),
    _plain(b"BPG\xfb", "image/bpg", "Better Portable Graphics"),
    _plain(b"8BPS\x00\x01", "image/vnd.adobe.photoshop", "Adobe Photoshop", "x-fmt/92"),
    _plain(b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2", "JPEG 2000", family="jp2"),
    _plain(b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl", "JPEG XL"),
    _plain(b"\xff\x0a", "image/jxl", "JPEG XL codestream"),
    _riff(b"WEBPVP8 ", "image/webp", "WebP, lossy", "fmt/566"),
    _riff(b"WEBPVP8L", "image/webp", "WebP, lossless", "fmt/567"),
    _riff(b"WEBPVP8X", "image/webp", "WebP, extended", "fmt/568"),
    _riff(b"WAVE", "audio/x-wav", "Waveform Audio", "fmt/6"),
    Signature(magic=b"RIFX", more=b"WAVE", more_offset=8, mime_type="audio/x-wav", name="Waveform Audio, big-endian"),
    Signature(magic=b"RF64", more=b"WAVE", more_offset=8, mime_type="audio/x-wav", name="Waveform Audio, 64-bit"),
    _riff(b"AVI ", "video/x-msvideo", "Audio/Video Interleaved", "fmt/5"),
    Signature(magic=b"FORM", more=b"AIFF", more_offset=8, mime_type="audio/x-aiff", name="AIFF", pronom="fmt/414"),
    Signature(magic=b"FORM", more=b"AIFC", more_offset=8, mime_type="audio/x-aiff", name="AIFF, compressed"),
    _plain(b"fLaC", "audio/flac", "FLAC", "fmt/279"),
    _plain(b"OggS\x00", "audio/ogg", "Ogg", family="ogg"),
    _plain(b"ADIF", "audio/aac", "AAC, ADIF"),
    _plain(b"DSD \x1c\x00\x00\x00\x00\x00\x00\x00", "audio/x-dsf", "DSD Stream File"),
    _plain(b"#!AMR\n", "audio/amr", "AMR, narrowband", "fmt/356"),
    _plain(b"#!AMR-WB\n", "audio/amr-wb", "AMR, wideband"),
    _plain(b"caff\x00\x01", "audio/x-caf", "Core Audio Format"),
    _plain(b"FLV\x01", "video/x-flv", "Flash Video", "x-fmt/382"),
    _plain(b"\x1f\x07\x00\x3f", "video/x-dv", "DV"),
    _plain(b"\x1f\x07\x00\xbf", "video/x-dv", "DV"),
    _plain(_ASF, "video/x-ms-asf", "Advanced Systems Format", family="asf"),
    _plain(b"\x00\x00\x01\xba", "video/mpeg", "MPEG programme stream"),
    _plain(b"\x00\x00\x01\xb3", "video/mpeg", "MPEG video stream"),
    _plain(b"YUV4MPEG2 ", "video/x-yuv4mpeg", "YUV4MPEG2"),
    _plain(b"{\\rtf", "text/rtf", "Rich Text Format"),
    _plain(b"%!PS-Adobe", "application/postscript", "PostScript", family="postscript"),
    _plain(_OLE, "application/x-ole-storage", "OLE2 compound document", "fmt/111", family="ole"),
    _plain(b"PK\x03\x04", "application/zip", "ZIP", "x-fmt/263", family="zip"),
    _plain(b"PK\x05\x06", "application/zip", "ZIP, empty", "x-fmt/263"),
    _plain(b"PK\x07\x08PK\x03\x04", "application/zip", "ZIP, spanned", "x-fmt/263"),
    _plain(b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", "7-Zip", "fmt/484"),
    _plain(b"Rar!\x1a\x07\x00", "application/vnd.rar", "RAR 1.5 to 4", "x-fmt/264"),
    _plain(b"Rar!\x1a\x07\x01\x00", "application/vnd.rar", "RAR 5", "fmt/613"),
    _plain(b"RE~^", "application/vnd.rar", "RAR before 1.5"),
    _plain(b"\x1f\x8b\x08", "application/gzip", "GZIP", "x-fmt/266"),
    Signature(
        magic=b"BZh", more=b"1AY&SY", more_offset=4, mime_type="application/x-bzip2", name="BZIP2", pronom="x-fmt/268"
    ),
    Signature(magic=b"BZh", more=b"\x17rE8P\x90", more_offset=4, mime_type="application/x-bzip2", name="BZIP2, empty"),
    _plain(b"\xfd7zXZ\x00", "application/x-xz", "XZ"),
    _plain(b"\x28\xb5\x2f\xfd", "application/zstd", "Zstandard"),
    _plain(b"\x04\x22\x4d\x18", "application/x-lz4", "LZ4 frame"),
    _plain(b"MSCF\x00\x00\x00\x00", "application/vnd.ms-cab-compressed", "Cabinet", "x-fmt/414"),
    _plain(b"!<arch>\n", "application/x-archive", "Unix archive"),
    _plain(b"070701", "application/x-cpio", "CPIO, ASCII"),
    _plain(b"070707", "application/x-cpio", "CPIO, ASCII, old"),
    _plain(b"\xc7\x71", "application/x-cpio", "CPIO, binary"),
    _plain(b"xar!\x00\x1c", "application/x-xar", "XAR"),
    Signature(magic=b"ustar", offset=257, mime_type="application/x-tar", name="Tape archive", pronom="x-fmt/265"),
    Signature(
        magic=b"CD001", offset=0x8001, mime_type="application/x-iso9660-image", name="ISO 9660", pronom="fmt/468"
    ),
    Signature(magic=b"DICM", offset=128, mime_type="application/dicom", name="DICOM", pronom="fmt/574"),
    Signature(magic=b"acsp", offset=36, mime_type="application/vnd.iccprofile", name="ICC profile"),
    _plain(b"WARC/", "application/warc", "Web archive (WARC)", "fmt/289"),
    _plain(b"age-encryption.org/v1\n", "application/x-age-encryption", "age encrypted file"),
    _plain(b"\x00asm\x01\x00\x00\x00", "application/wasm", "WebAssembly"),
    _plain(b"\xca\xfe\xba\xbe\x00\x00\x00", "application/java-vm", "Java class"),
    _plain(b"\x7fELF", "application/x-elf", "ELF"),
    _plain(b"ITSF\x03\x00\x00\x00", "application/vnd.ms-htmlhelp", "Compiled HTML Help"),
    _plain(b"FWS", "application/x-shockwave-flash", "Flash", family="flash"),
    _plain(b"CWS", "application/x-shockwave-flash", "Flash, compressed", family="flash"),
    _plain(b"bplist00", "application/x-plist", "Property list, binary", family="plist"),
    _plain(b"SQLite format 3\x00", "application/vnd.sqlite3", "SQLite 3", "fmt/729"),
    _plain(b"\xd7\xcd\xc6\x9a\x00\x00", "application/x-wmf", "Windows Metafile"),
    _plain(b"\x0a\x0d\x0d\x0a", "application/x-pcapng", "Packet capture, next generation"),
    _plain(b"\xd4\xc3\xb2\xa1", "application/vnd.tcpdump.pcap", "Packet capture"),
    _plain(b"\xa1\xb2\xc3\xd4", "application/vnd.tcpdump.pcap", "Packet capture"),
    _plain(b"OTTO\x00", "font/otf", "OpenType font"),
    _plain(b"wOFF", "font/woff", "Web Open Font Format"),
    _plain(b"wOF2", "font/woff2", "Web Open Font Format 2"),
    _plain(b"ILDA\x00\x00\x00", "application/x-ilda", "ILDA laser frames"),
    _plain(b"\x60\xea", "application/x-arj", "ARJ"),
)

BRANDS: dict[bytes, tuple[str, str, str | None]] = {
    b"heic": ("image/heic", "High Efficiency Image, HEVC", "fmt/1101"),
    b"heix": ("image/heic", "High Efficiency Image, HEVC", "fmt/1101"),
    b"hevc": ("image/heic-sequence", "High Efficiency Image sequence", "fmt/1101"),
    b"mif1": ("image/heif", "High Efficiency Image", "fmt/1101"),
    b"msf1": ("image/heif-sequence", "High Efficiency Image sequence", "fmt/1101"),
    b"avif": ("image/avif", "AV1 Image", None),
    b"avis": ("image/avif", "AV1 Image sequence", None),
    b"crx ": ("image/x-canon-cr3", "Canon raw 3", None),
    b"qt  ": ("video/quicktime", "QuickTime", "x-fmt/384"),
    b"M4A ": ("audio/mp4", "MPEG-4 audio", None),
    b"M4B ": ("audio/mp4", "MPEG-4 audio book", None),
    b"jp2 ": ("image/jp2", "JPEG 2000", None),
}
"""Major brands of ISO base media files that name something else than plain MP4."""
