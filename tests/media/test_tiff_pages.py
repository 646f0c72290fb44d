"""Faxes and scans of several pages stay as many pages, and each as it was, point by point."""

import io
import struct

import pytest
from PIL import Image, ImageDraw, ImageSequence

from archive.errors import InputError
from media.pictures.container_walks import walk_tiff
from media.workbench import Workbench
from tests.media.cleaned import cleaned
from tests.often import often

pytestmark = pytest.mark.usefixtures("sandbox")

NEEDLE = b"Maria Rossi 7"
_CODINGS = {
    "group4": "1", "group3": "1", "tiff_lzw": "RGB", "tiff_deflate": "L", "packbits": "P", "jpeg": "RGB", "raw": "CMYK",
}  # fmt: skip


def _pages(coding: str, mode: str, count: int, **told: object) -> bytes:
    pages = []
    for number in range(count):
        page = Image.new("RGB", (320, 200), "white")
        ImageDraw.Draw(page).text((20, 20 + 10 * number), f"page {number}", fill="black")
        pages.append(page.convert(mode))
    made = io.BytesIO()
    first, *others = pages
    options = {"compression": None if coding == "raw" else coding, "artist": NEEDLE.decode(), **told}
    first.save(made, "TIFF", save_all=True, append_images=others, dpi=(200, 200), **options)
    return made.getvalue()


def _seen(content: bytes) -> list[tuple[str, tuple[int, int], bytes]]:
    with Image.open(io.BytesIO(content)) as picture:
        return [(page.mode, page.size, page.tobytes()) for page in ImageSequence.Iterator(picture)]


@pytest.mark.parametrize("coding", list(_CODINGS))
@pytest.mark.parametrize("count", often([1, 2, 12], 2))
def test_every_page_of_a_scan_stays_as_it_was(workbench: Workbench, coding: str, count: int) -> None:
    original = _pages(coding, _CODINGS[coding], count)
    assert NEEDLE in original
    _, copy = cleaned(workbench, original)
    assert _seen(copy) == _seen(original) and len(_seen(copy)) == count
    assert NEEDLE not in copy


@pytest.mark.parametrize("kind", [1, 5])
def test_a_small_copy_of_a_page_still_goes(workbench: Workbench, kind: int) -> None:
    """The second directory says of itself that it is a reduced picture."""
    original = _pages("raw", "L", 2, tiffinfo={254: 0})
    (first,) = struct.unpack_from("<I", original, 4)
    (fields,) = struct.unpack_from("<H", original, first)
    (second,) = struct.unpack_from("<I", original, first + 2 + 12 * fields)
    (count,) = struct.unpack_from("<H", original, second)
    place = next(
        at for at in range(second + 2, second + 2 + 12 * count, 12) if struct.unpack_from("<H", original, at)[0] == 254
    )
    spoken = original[: place + 8] + struct.pack("<I", kind) + original[place + 12 :]
    _, copy = cleaned(workbench, spoken)
    assert _seen(copy) == _seen(original)[:1]


@pytest.mark.parametrize("marker", [0xFE, 0xE1, 0xE0, 0xED])
def test_words_inside_a_jpeg_of_a_page_go_and_the_page_looks_the_same(workbench: Workbench, marker: int) -> None:
    """A one-strip page is written anew with a comment, or an application's segment, in its strip."""
    original = _pages("jpeg", "L", 1, tiffinfo={278: 200})
    (first,) = struct.unpack_from("<I", original, 4)
    (count,) = struct.unpack_from("<H", original, first)
    places = {struct.unpack_from("<H", original, at)[0]: at for at in range(first + 2, first + 2 + 12 * count, 12)}
    (start,), (size,) = (struct.unpack_from("<I", original, places[tag] + 8) for tag in (273, 279))
    strip = original[start : start + size]
    assert strip[:2] == b"\xff\xd8"
    more = bytes([0xFF, marker]) + struct.pack(">H", 2 + len(NEEDLE)) + NEEDLE
    spoken = bytearray(original + strip[:2] + more + strip[2:])
    struct.pack_into("<I", spoken, places[273] + 8, len(original))
    struct.pack_into("<I", spoken, places[279] + 8, len(strip) + len(more))
    assert "words in a piece of the picture" in list(walk_tiff(bytes(spoken), False))
    _, copy = cleaned(workbench, bytes(spoken))
    assert _seen(copy) == _seen(original) == _seen(bytes(spoken))
    assert NEEDLE not in copy


def test_a_big_tiff_is_refused_by_its_right_name(workbench: Workbench) -> None:
    made = io.BytesIO()
    Image.new("L", (16, 16)).save(made, "TIFF", big_tiff=True)
    with pytest.raises(InputError, match="BigTIFF") as caught:
        cleaned(workbench, made.getvalue())
    assert "raw file" not in caught.value.message
