"""Take everything but the picture out of a JPEG or JPEG 2000 that lies inside a PDF. No I/O.

Standard: ISO/IEC 10918-1 annex B (markers), ISO/IEC 15444-1 annex I (boxes). In a PDF the colour space is told by the
image's dictionary (ISO 32000-1, 7.4.8 and 7.4.9), so no profile is needed inside; only Adobe's APP14 changes how a
JPEG decodes.
"""

from media.confined.child import Refusal

_APP14 = 0xEE
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_KEPT_BOXES = frozenset({b"jP  ", b"ftyp", b"jp2h", b"jp2c"})


def bare_jpeg(content: bytes) -> bytes:
    """Give the JPEG without application segments (but Adobe's), comments, and whatever follows its end.

    Raises: Refusal `damaged-image`.
    """
    if content[:2] != b"\xff\xd8":
        raise Refusal("damaged-image")
    kept, place = [b"\xff\xd8"], 2
    while True:
        while content[place : place + 2] == b"\xff\xff":
            place += 1
        if len(content) < place + 4 or content[place] != 0xFF:
            raise Refusal("damaged-image")
        marker = content[place + 1]
        if marker in _STANDALONE:
            place += 2
            continue
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        segment = content[place : place + 2 + length]
        if length < 2 or len(segment) != 2 + length:
            raise Refusal("damaged-image")
        place += len(segment)
        if marker == 0xDA:
            end = _end_of_scan(content, place)
            kept.append(segment + content[place:end])
            place = end
            if content[place : place + 2] in (b"\xff\xd9", b""):
                return b"".join([*kept, b"\xff\xd9"])
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE) or (marker == _APP14 and segment[4:9] == b"Adobe"):
            kept.append(segment)


def _end_of_scan(content: bytes, place: int) -> int:
    """Give where the next marker begins that is neither a stuffed octet nor a restart; the end where there is none."""
    while True:
        place = content.find(b"\xff", place)
        if place < 0 or place + 1 >= len(content):
            return len(content)
        following = content[place + 1]
        if following == 0xFF:
            place += 1
        elif following and following not in _STANDALONE:
            return place
        else:
            place += 2


def bare_jpeg2000(content: bytes) -> bytes:
    """Give the JPEG 2000 file without any box but those that hold the picture. A bare codestream stays as it is."""
    if content[:4] == b"\xff\x4f\xff\x51":
        return content
    kept, place = [], 0
    while place < len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        if length == 1:
            length = int.from_bytes(content[place + 8 : place + 16], "big")
        if length == 0:
            length = len(content) - place
        if length < 8 or place + length > len(content):
            raise Refusal("damaged-image")
        if kind in _KEPT_BOXES:
            kept.append(content[place : place + length])
        place += length
    if not kept or kept[0][4:8] != b"jP  ":
        raise Refusal("damaged-image")
    return b"".join(kept)
