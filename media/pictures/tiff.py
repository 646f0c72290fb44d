"""A TIFF rebuilt from the fields that a decoder needs. No I/O.

Kept: the pages in their order, with the fields that say how their samples lie and become colours, and the samples
themselves; the colour profile without words. EXIF, GPS, XMP, IPTC, Photoshop's and makers' fields, thumbnails and
reduced copies (sub-directories), and bytes that no field points to, go. Camera raw files look like TIFF and are not
taken: their picture hangs on their maker's fields. Standard: TIFF 6.0 with its supplements.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from media.pictures.damage import damaged
from media.pictures.icc import without_words
from media.pictures.tiff_jpeg import bare_piece

_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES, _PROFILE = 273, 279, 324, 325, 34675
_KEPT = frozenset(
    (254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, _STRIPS, 274, 277, 278, _STRIP_SIZES, 280, 281, 282, 283,
     284, 286, 287, 290, 291, 292, 293, 296, 297, 301, 317, 318, 319, 320, 321, 322, 323, _TILES, _TILE_SIZES, 332, 334,
     336, 338, 339, 340, 341, 342, 347, 529, 530, 531, 532, 559, _PROFILE)
)  # fmt: skip
_OLD_JPEG = 513
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MOST_PAGES, _MOST_FIELDS, _MOST_STRIPS = 1000, 1000, 200_000
_COMPRESSION, _JPEG, _JPEG_TABLES = 259, 7, 347
# A reduced copy of another page: a thumbnail.
_REDUCED, _REDUCED_OF_OLD = 1, 2


@dataclass(frozen=True, slots=True)
class _Field:
    tag: int
    kind: int
    count: int
    value: bytes


def rebuild(data: bytes, traces: Sequence[str]) -> bytes:
    """Give a TIFF of the same pages and nothing else. Raises: InputError `media/cannot-clean`."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise damaged("it is no TIFF of the common kind")
    pages = [page for page in _pages(data, order) if not _is_small_copy(page, order)]
    if not pages:
        raise damaged("there is no page in it")
    out = bytearray(data[:4] + bytes(4))
    link = 4
    for page in pages:
        link = _write_page(out, link, page, data, order, traces)
    return bytes(out)


def _is_small_copy(page: dict[int, _Field], order: str) -> bool:
    return bool(_number(page.get(254), order) & _REDUCED) or _number(page.get(255), order) == _REDUCED_OF_OLD


def _write_page(
    out: bytearray, link: int, page: dict[int, _Field], data: bytes, order: str, traces: Sequence[str]
) -> int:
    """Append a page; return where the place of the next one is to be written."""
    fields = {tag: field for tag, field in page.items() if tag in _KEPT}
    is_jpeg = _number(page.get(_COMPRESSION), order) == _JPEG
    if _JPEG_TABLES in fields:
        tables = bare_piece(fields[_JPEG_TABLES].value)
        fields[_JPEG_TABLES] = _Field(_JPEG_TABLES, 7, len(tables), tables)
    for places, sizes in ((_STRIPS, _STRIP_SIZES), (_TILES, _TILE_SIZES)):
        if places in fields:
            fields |= _copy_samples(out, (fields[places], fields.get(sizes)), data, order, is_jpeg=is_jpeg)
    if _PROFILE in fields:
        profile = without_words(fields[_PROFILE].value, traces)
        fields[_PROFILE] = _Field(_PROFILE, 7, len(profile), profile)
    values = [(field, _placed(out, field.value)) for _, field in sorted(fields.items())]
    _pad(out)
    struct.pack_into(f"{order}I", out, link, len(out))
    out += struct.pack(f"{order}H", len(values))
    for field, where in values:
        out += struct.pack(f"{order}HHI", field.tag, field.kind, field.count)
        out += field.value.ljust(4, b"\0") if where is None else struct.pack(f"{order}I", where)
    out += bytes(4)
    return len(out) - 4


def _copy_samples(
    out: bytearray, told: tuple[_Field, _Field | None], data: bytes, order: str, *, is_jpeg: bool
) -> dict[int, _Field]:
    """Append strips or tiles, and give the two fields that say where they lie now."""
    places, sizes = told
    starts = _numbers(places, order)
    lengths = _numbers(sizes, order) if sizes is not None else []
    if len(starts) != len(lengths) or len(starts) > _MOST_STRIPS:
        raise damaged("its strips are not all there")
    moved, written = [], []
    for start, length in zip(starts, lengths, strict=True):
        if start + length > len(data):
            raise damaged("a strip reaches beyond its end")
        _pad(out)
        moved.append(len(out))
        piece = data[start : start + length]
        piece = bare_piece(piece) if is_jpeg else piece
        written.append(len(piece))
        out += piece
    size_tag = _STRIP_SIZES if places.tag == _STRIPS else _TILE_SIZES
    return {
        tag: _Field(tag, 4, len(numbers), struct.pack(f"{order}{len(numbers)}I", *numbers))
        for tag, numbers in ((places.tag, moved), (size_tag, written))
    }


def _placed(out: bytearray, value: bytes) -> int | None:
    if len(value) <= 4:
        return None
    _pad(out)
    out += value
    return len(out) - len(value)


def _pad(out: bytearray) -> None:
    out += bytes(len(out) % 2)


def _pages(data: bytes, order: str) -> Iterator[dict[int, _Field]]:
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    seen: set[int] = set()
    while start:
        if start in seen or len(seen) > _MOST_PAGES or start + 2 > len(data):
            raise damaged("its pages do not come to an end")
        seen.add(start)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        end = start + 2 + 12 * count
        if count > _MOST_FIELDS or end + 4 > len(data):
            raise damaged("a directory reaches beyond its end")
        page = {field.tag: field for field in _fields(data, order, start + 2, count)}
        if _OLD_JPEG in page:
            raise damaged("its picture is coded in a way that has been given up")
        yield page
        (start,) = struct.unpack_from(f"{order}I", data, end)


def _fields(data: bytes, order: str, place: int, count: int) -> Iterator[_Field]:
    for number in range(count):
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, place + 12 * number)
        if tag not in _KEPT and tag != _OLD_JPEG:
            continue
        octets = _SIZES.get(kind, 0) * length
        where = place + 12 * number + 8
        if octets > 4:
            (where,) = struct.unpack_from(f"{order}I", data, where)
        if not octets or where + octets > len(data):
            raise damaged("a field reaches beyond its end")
        yield _Field(tag, kind, length, data[where : where + octets])


def _numbers(field: _Field, order: str) -> list[int]:
    letter = {1: "B", 3: "H", 4: "I"}.get(field.kind)
    if letter is None:
        raise damaged("the places of its strips are no numbers")
    return list(struct.unpack(f"{order}{field.count}{letter}", field.value))


def _number(field: _Field | None, order: str) -> int:
    return _numbers(field, order)[0] if field is not None and field.count else 0
