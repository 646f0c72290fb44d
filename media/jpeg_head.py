"""How the head of a JPEG is built: the order of its parts, and whose compression tables it uses. No I/O.

Standard: ITU-T T.81 annex B (marker segments) and table K.1, which the common library scales by its quality setting.
"""

from dataclasses import dataclass

_LUMINANCE = (
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51,
    61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77,
    113, 121, 112, 100, 120, 92, 101, 103, 99,
)  # fmt: skip
# FFmpeg uses the default intra matrix of MPEG-1 (ISO/IEC 11172-2, 2.4.3.2) for its JPEG files.
_INTRA = (
    8, 16, 16, 19, 16, 19, 22, 22, 22, 22, 22, 22, 26, 24, 26, 27, 27, 27, 26, 26, 26, 26, 27, 27, 27, 29, 29, 29,
    34, 34, 34, 29, 29, 29, 27, 27, 29, 29, 32, 32, 34, 34, 37, 38, 37, 35, 35, 34, 35, 38, 38, 40, 40, 40, 48, 48,
    46, 46, 56, 56, 58, 69, 69, 83,
)  # fmt: skip
_START_OF_SCAN = 0xDA
_TABLES = 0xDB
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegHead:
    """What stands in front of the first scan, as far as the head reaches.

    `parts` are the marker names in order (`EXIF`, `JFIF`, `XMP`, else `APP2`, `DQT` …). `quality` is that of the common
    library where the luminance table is exactly one of its own; `by_ffmpeg` says that it is one of FFmpeg's;
    `whole` says that the first scan was reached, so that every table before it was seen.
    """

    parts: tuple[str, ...]
    whole: bool
    quality: int | None
    by_ffmpeg: bool = False
    width: int | None = None
    height: int | None = None

    @property
    def jfif_first(self) -> bool:
        """Whether JFIF stands before any EXIF."""
        return self.parts[:1] == ("JFIF",)

    @property
    def exif_first(self) -> bool:
        return self.parts[:1] == ("EXIF",)

    @property
    def as_cameras_write(self) -> bool:
        """Whether it is a baseline picture with its tables of each kind in one part.

        The common library, and with it nearly every program that encodes anew or turns without loss, writes each table
        as a part of its own. Phones that do so too cannot be told from it.
        """
        apart = self.parts.count("DQT") > 1 or self.parts.count("DHT") > 1
        return self.whole and not apart and {"DQT", "DHT", "C0"} <= set(self.parts)


def _scaled(quality: int) -> bytes:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return bytes(min(255, max(1, (value * scale + 50) // 100)) for value in _LUMINANCE)


def _by_ffmpeg(scale: int) -> bytes:
    return bytes((8, *(min(255, max(1, value * scale >> 3)) for value in _INTRA[1:])))


_QUALITIES = {_scaled(quality): quality for quality in range(1, 101)}
_FFMPEG_TABLES = frozenset(_by_ffmpeg(scale) for scale in range(1, 32))


def read_jpeg_head(head: bytes) -> JpegHead | None:
    """Read the parts of a JPEG's head; None where it is no JPEG."""
    if not head.startswith(b"\xff\xd8\xff"):
        return None
    parts: list[str] = []
    table: bytes | None = None
    size: tuple[int, int] | None = None
    position, whole = 2, False
    while position + 4 <= len(head) and head[position] == 0xFF:
        marker = head[position + 1]
        length = int.from_bytes(head[position + 2 : position + 4], "big")
        if marker == _START_OF_SCAN or length < 2:
            whole = marker == _START_OF_SCAN
            break
        body = head[position + 4 : position + 2 + length]
        parts.append(_name(marker, body))
        if marker == _TABLES and table is None:
            table = body[1:65] if body[:1] == b"\0" else b""
        if marker in _FRAMES and len(body) >= 5 and size is None:
            size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
        position += 2 + length
    return JpegHead(
        parts=tuple(parts),
        whole=whole,
        quality=_QUALITIES.get(table) if table else None,
        by_ffmpeg=table in _FFMPEG_TABLES,
        width=size[0] if size else None,
        height=size[1] if size else None,
    )


def small_copy_in(head: bytes) -> bytes | None:
    """Give the JPEG that lies whole in the EXIF part of a JPEG, which cameras put there; None where there is none."""
    position = 2
    while head.startswith(b"\xff\xd8") and position + 4 <= len(head) and head[position] == 0xFF:
        length = int.from_bytes(head[position + 2 : position + 4], "big")
        body = head[position + 4 : position + 2 + length]
        if head[position + 1] == _START_OF_SCAN or length < 2:
            return None
        if body.startswith(b"Exif\0"):
            start, end = body.find(b"\xff\xd8\xff"), body.rfind(b"\xff\xd9")
            return body[start : end + 2] if 0 < start < end else None
        position += 2 + length
    return None


def _name(marker: int, body: bytes) -> str:
    if marker == 0xE0 and body.startswith(b"JFIF"):
        return "JFIF"
    if marker == 0xE1:
        return "EXIF" if body.startswith(b"Exif\0") else "XMP" if body.startswith(b"http://ns.adobe.com/x") else "APP1"
    if 0xE0 <= marker <= 0xEF:
        return f"APP{marker - 0xE0}"
    return {_TABLES: "DQT", 0xC4: "DHT", 0xFE: "COM"}.get(marker, f"{marker:02X}")
