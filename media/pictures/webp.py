"""A WebP rebuilt from the chunks that a decoder needs. No I/O.

Kept: the picture, its transparency, its animation; the colour profile without words; a new EXIF block where the picture
is to be turned. EXIF, XMP, unknown chunks and all that lies after the end go. Standard: RFC 9649.
"""

import struct
from collections.abc import Iterator, Sequence

from media.pictures.damage import damaged
from media.pictures.exif import block_for, shown_by
from media.pictures.icc import without_words

_PICTURE = frozenset((b"VP8 ", b"VP8L", b"ALPH"))
_HAS_EXIF, _HAS_XMP = 0x08, 0x04
_FRAME_HEADER = 16


def rebuild(data: bytes, traces: Sequence[str]) -> bytes:
    """Give a WebP of the same picture and nothing else. Raises: InputError `media/cannot-clean`."""
    (size,) = struct.unpack_from("<I", data, 4)
    chunks = list(_chunks(data[12 : 8 + size]))
    turned = next((block_for(shown_by(_plain_exif(body))) for name, body in chunks if name == b"EXIF"), b"")
    out = []
    for name, body in chunks:
        if name == b"VP8X":
            flags = body[0] & ~(_HAS_EXIF | _HAS_XMP) | (_HAS_EXIF if turned else 0)
            out.append(_chunk(name, bytes((flags,)) + body[1:10]))
        elif name == b"ICCP":
            out.append(_chunk(name, without_words(body, traces)))
        elif name == b"ANMF":
            inner = b"".join(_chunk(*each) for each in _chunks(body[_FRAME_HEADER:]) if each[0] in _PICTURE)
            out.append(_chunk(name, body[:_FRAME_HEADER] + inner))
        elif name in _PICTURE or name == b"ANIM":
            out.append(_chunk(name, body))
    if not any(chunk[:4] in (b"VP8 ", b"VP8L", b"ANMF") for chunk in out):
        raise damaged("there is no picture in it")
    if turned:
        out.append(_chunk(b"EXIF", turned))
    whole = b"WEBP" + b"".join(out)
    return b"RIFF" + struct.pack("<I", len(whole)) + whole


def _plain_exif(body: bytes) -> bytes:
    return body[6:] if body.startswith(b"Exif\0\0") else body


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, place)
        end = place + 8 + length
        if end > len(data):
            raise damaged("a chunk reaches beyond its end")
        yield name, data[place + 8 : end]
        place = end + length % 2


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
