"""A JPEG XL file rebuilt from the boxes that a decoder needs. No I/O.

Kept: signature, type, level and code stream, which holds orientation and colour profile. EXIF, XMP, JUMBF, compressed
boxes, and the data from which the bytes of an old JPEG could be restored (they hold its metadata) go. A bare code
stream has no box that ends it, so what stands after its end could not be told from it; it is not taken.
Standard: ISO/IEC 18181-2.
"""

from collections.abc import Sequence

from media.pictures.boxes import boxes
from media.pictures.damage import damaged

_KEPT = frozenset((b"JXL ", b"ftyp", b"jxll", b"jxlc", b"jxlp"))


def rebuild(data: bytes, _traces: Sequence[str]) -> bytes:
    """Give a JPEG XL of the same picture and nothing else. Raises: InputError `media/cannot-clean`."""
    if data[:2] == b"\xff\x0a":
        raise damaged("it is a bare code stream, of which nobody here can tell the end")
    kept = [each for each in boxes(data) if each.kind in _KEPT]
    if not any(each.kind in (b"jxlc", b"jxlp") for each in kept):
        raise damaged("there is no picture in it")
    return b"".join(
        (len(each_body) + 8).to_bytes(4, "big") + each.kind + each_body
        for each in kept
        for each_body in (data[each.body : each.end],)
    )
