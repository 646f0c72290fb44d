"""The few EXIF fields by which a picture is shown: its orientation, and the mark of the Adobe RGB colour space. No I/O.

Reads them out of any EXIF block, however damaged the rest is; writes a block that holds nothing else.
Standard: TIFF 6.0, CIPA DC-008 (Exif 2.32), DCF 2.0 (the interoperability index R03).
"""

import struct
from dataclasses import dataclass

_ORIENTATION, _EXIF_IFD, _INTEROP_IFD, _INTEROP_INDEX = 0x0112, 0x8769, 0xA005, 0x0001
_MOST_ENTRIES = 1000
_SHORT, _LONG, _ASCII, _UNDEFINED = 3, 4, 2, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a picture is to be shown. `orientation` is 1 to 8, 1 for as it lies."""

    orientation: int = 1
    adobe_rgb: bool = False

    @property
    def is_plain(self) -> bool:
        return self.orientation == 1 and not self.adobe_rgb


def shown_by(block: bytes) -> Shown:
    """Read how a picture is to be shown from an EXIF block, which begins with its byte order."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return Shown()
    first = _entries(block, order, struct.unpack_from(f"{order}I", block, 4)[0])
    orientation = _number(block, order, first.get(_ORIENTATION)) or 1
    camera = _entries(block, order, _number(block, order, first.get(_EXIF_IFD)))
    interop = _entries(block, order, _number(block, order, camera.get(_INTEROP_IFD)))
    place = interop.get(_INTEROP_INDEX)
    index = block[place + 8 : place + 11] if place is not None else b""
    return Shown(orientation=orientation if 1 <= orientation <= 8 else 1, adobe_rgb=index == b"R03")


def block_for(shown: Shown) -> bytes:
    """Write an EXIF block that says how a picture is to be shown, and nothing else; empty where it lies plainly."""
    if shown.is_plain:
        return b""
    head = b"MM\0*" + struct.pack(">I", 8)
    entries = [_entry(_ORIENTATION, _SHORT, 1, struct.pack(">HH", shown.orientation, 0))]
    if not shown.adobe_rgb:
        return head + _directory(entries)
    camera_at = 8 + 2 + 2 * 12 + 4
    interop_at = camera_at + 2 + 2 * 12 + 4
    entries.append(_entry(_EXIF_IFD, _LONG, 1, struct.pack(">I", camera_at)))
    camera = [
        _entry(0xA001, _SHORT, 1, struct.pack(">HH", 0xFFFF, 0)),
        _entry(_INTEROP_IFD, _LONG, 1, struct.pack(">I", interop_at)),
    ]
    interop = [_entry(_INTEROP_INDEX, _ASCII, 4, b"R03\0"), _entry(0x0002, _UNDEFINED, 4, b"0100")]
    return head + _directory(entries) + _directory(camera) + _directory(interop)


def _entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack(">HHI", tag, kind, count) + value


def _directory(entries: list[bytes]) -> bytes:
    return struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4)


def _entries(block: bytes, order: str, start: int) -> dict[int, int]:
    """Give the place of each entry of a directory; of what lies beyond the end, nothing."""
    if not 8 <= start <= len(block) - 2:
        return {}
    (count,) = struct.unpack_from(f"{order}H", block, start)
    places: dict[int, int] = {}
    for number in range(min(count, _MOST_ENTRIES)):
        place = start + 2 + 12 * number
        if place + 12 > len(block):
            break
        places.setdefault(struct.unpack_from(f"{order}H", block, place)[0], place)
    return places


def _number(block: bytes, order: str, place: int | None) -> int:
    if place is None:
        return 0
    (kind,) = struct.unpack_from(f"{order}H", block, place + 2)
    if kind == _SHORT:
        return int(struct.unpack_from(f"{order}H", block, place + 8)[0])
    if kind in (_LONG, 13):
        return int(struct.unpack_from(f"{order}I", block, place + 8)[0])
    return block[place + 8] if kind == 1 else 0
