"""A JPEG rebuilt from the segments that a decoder needs. No I/O.

Kept: the tables that a scan uses, frames, scans, restart intervals; the JFIF header without its thumbnail; the Adobe
segment, which says how colours are coded; the colour profile; and a new EXIF block where the picture is to be turned.
Everything else goes: every other application segment, comments, and all that lies after the end of the picture
(previews, gain maps, short films). Standard: ITU-T T.81, T.871; ICC.1 annex B.4.
"""

import re
import struct
from collections.abc import Iterator, Sequence

from media.pictures.damage import damaged
from media.pictures.exif import Shown, block_for, shown_by
from media.pictures.icc import without_words
from media.pictures.jpeg_tables import used_segments

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_END_OF_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_PROFILE = b"ICC_PROFILE\0"
_LARGEST_PART = 65_519


def rebuild(data: bytes, traces: Sequence[str]) -> bytes:
    """Give a JPEG of the same picture and nothing else. Raises: InputError `media/cannot-clean`."""
    shown, jfif, adobe, parts, body = Shown(), b"", b"", dict[int, bytes](), list[bytes]()
    has_frame = has_exif = False
    for marker, segment, payload in _segments(data):
        if marker == 0xE0 and payload.startswith(b"JFIF\0") and len(payload) >= 12 and not jfif:
            jfif = payload[:12] + b"\0\0"
        elif marker == 0xEE and payload.startswith(b"Adobe") and len(payload) >= 12 and not adobe:
            adobe = payload[:12]
        elif marker == 0xE1 and payload.startswith(b"Exif\0") and not has_exif:
            shown, has_exif = shown_by(payload[6:]), True
        elif marker == 0xE2 and payload.startswith(_PROFILE) and len(payload) > 14:
            parts[payload[12]] = payload[14:]
        elif marker in _TABLES or marker in _FRAMES or marker == _SOS:
            has_frame = has_frame or marker in _FRAMES
            body.append(segment)
    if not has_frame or not any(segment[1] == _SOS for segment in body):
        raise damaged("there is no whole picture in it")
    profile = b"".join(parts[number] for number in sorted(parts))
    return b"".join(_head(jfif, adobe, shown, without_words(profile, traces) if profile else b"")) + b"".join(
        (*_used(body), b"\xff\xd9")
    )


def _used(body: list[bytes]) -> list[bytes]:
    try:
        return used_segments(body)
    except (IndexError, struct.error) as error:
        raise damaged("a segment is not as it should be") from error


def _head(jfif: bytes, adobe: bytes, shown: Shown, profile: bytes) -> Iterator[bytes]:
    yield b"\xff\xd8"
    if jfif:
        yield _segment(0xE0, jfif)
    if block := block_for(shown):
        yield _segment(0xE1, b"Exif\0\0" + block)
    pieces = [profile[start : start + _LARGEST_PART] for start in range(0, len(profile), _LARGEST_PART)]
    for number, piece in enumerate(pieces, 1):
        yield _segment(0xE2, _PROFILE + bytes((number, len(pieces))) + piece)
    if adobe:
        yield _segment(0xEE, adobe)


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Give each segment up to the end of the picture: its marker, its bytes (a scan with its data), its payload."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise damaged("bytes stand between its segments")
        while place + 1 < len(data) and data[place + 1] == 0xFF:
            place += 1  # Fill bytes may stand before a marker.
        if place + 4 > len(data):
            return
        marker = data[place + 1]
        if marker == _EOI:
            return
        if 0xD0 <= marker <= _SOI or marker in (0x00, 0x01):
            place += 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        end = place + 2 + length
        if length < 2 or end > len(data):
            raise damaged("a segment reaches beyond its end")
        payload = data[place + 4 : end]
        if marker == _SOS:
            found = _END_OF_SCAN.search(data, end)
            end = found.start() if found else len(data)
        yield marker, data[place:end], payload
        place = end
