"""Walks through finished pictures in boxes and directories: HEIC, AVIF, JPEG XL, JPEG 2000, TIFF. No I/O.

As `walks.py`: from the bytes alone, to the last byte, by a list of its own. Every byte of such a file must be used by
something that is known, so that nothing lies between.
"""

import struct
from collections.abc import Iterator

from media.pictures.boxes import Box, boxes
from media.pictures.coded import av1_units, hevc_units, is_av1_message
from media.pictures.heif_items import HeifFile, HeifItem, content_of, read_items
from media.pictures.icc import telling_words
from media.pictures.tiff_jpeg import is_bare
from media.pictures.walks import printable

_HEIF_PROPERTIES = b"ispe colr pixi hvcC av1C irot imir clap pasp auxC lsel a1op a1lx clli mdcv cclv amve".split()
_HEIF_META = b"hdlr pitm iloc iinf iref iprp".split()
_JP2_HEADER = (b"ihdr", b"bpcc", b"colr", b"pclr", b"cmap", b"cdef", b"res ")
_JXL_TOLD = (b"Exif", b"xml ")
_TIFF_FIELDS = frozenset(
    [*range(254, 260), *range(262, 267), 273, 274, *range(277, 285), 286, 287, *range(290, 294), 296, 297, 301,
     *range(317, 326), 332, 334, 336, *range(338, 343), 347, *range(529, 533), 559, 34675]
)  # fmt: skip
_TIFF_TOLD = frozenset([270, 271, 272, 305, 306, 315, 316, 700, 33432, 33723, 34665, 34853])
_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)


def walk_heif(data: bytes, told: bool) -> Iterator[str]:
    """Walk a HEIC or AVIF file."""
    top = list(boxes(data))
    if [each.kind for each in top] not in ([b"ftyp", b"meta", b"mdat"], [b"ftyp", b"mdat", b"meta"]) and not told:
        yield "boxes beside the picture"
    for each in top:
        if each.kind not in (b"ftyp", b"meta", b"mdat", *((b"free",) if told else ())):
            yield f"a box of its own ({printable(each.kind)})"
        if each.kind == b"meta":
            for inner in boxes(data, each.body + 4, each.end):
                if inner.kind not in _HEIF_META:
                    yield f"a box of its own in the list of pictures ({printable(inner.kind)})"
    file = read_items(data)
    used: list[tuple[int, int]] = []
    for item in file.items.values():
        used += [(start, start + length) for start, length in item.extents]
        yield from _heif_item(data, file, item, told)
    media = [(each.body, each.end) for each in top if each.kind == b"mdat"]
    if not told and not _covers(used, media):
        yield "bytes beside those of the picture"
    for each in file.properties:
        yield from _heif_property(data, each)


def _heif_item(data: bytes, file: HeifFile, item: HeifItem, told: bool) -> Iterator[str]:
    content = content_of(data, item)
    if item.kind == b"hvc1":
        configuration = [file.properties[number - 1] for number, _ in item.properties]
        sizes = [(data[each.body + 21] & 3) + 1 for each in configuration if each.kind == b"hvcC"]
        if any(kind in (39, 40) for size in sizes[:1] for kind, _ in hevc_units(content, size)):
            yield "a message of the encoder in the picture"
    elif item.kind == b"av01":
        if any(is_av1_message(unit) for unit in av1_units(content)):
            yield "a message of the encoder in the picture"
    elif item.kind not in (b"grid", b"iden", b"iovl") and not (told and item.kind in (b"Exif", b"mime")):
        yield f"something that is no picture ({printable(item.kind)})"
    others = set(file.items) - {file.primary}
    for each in others & {item.id}:
        part = any(each in other.made_of for other in file.items.values())
        if not part and item.auxiliary_of != [file.primary] and not told:
            yield "a second picture"


def _heif_property(data: bytes, each: Box) -> Iterator[str]:
    body = data[each.body : each.end]
    if each.kind not in _HEIF_PROPERTIES:
        yield f"a property of its own ({printable(each.kind)})"
    elif each.kind == b"colr" and body[:4] != b"nclx" and any(True for _ in telling_words(body[4:])):
        yield "a colour profile that says more than colours"
    elif each.kind == b"auxC" and b"alpha" not in body and not body[4:].startswith(b"urn:mpeg:hevc:2015:auxid:1\0"):
        yield "an auxiliary picture that is no transparency"


def _covers(used: list[tuple[int, int]], ranges: list[tuple[int, int]]) -> bool:
    """Tell whether pieces fill the ranges without a gap."""
    for begin, end in ranges:
        place = begin
        for start, stop in sorted(used):
            if start <= place < stop:
                place = stop
        if place < end:
            return False
    return True


def walk_jxl(data: bytes, told: bool) -> Iterator[str]:
    """Walk a JPEG XL file."""
    for each in boxes(data):
        if each.kind not in (b"JXL ", b"ftyp", b"jxll", b"jxlc", b"jxlp", *(_JXL_TOLD if told else ())):
            yield f"a box of its own ({printable(each.kind)})"


def walk_jp2(data: bytes, told: bool) -> Iterator[str]:
    """Walk a JPEG 2000 file."""
    for each in boxes(data):
        if each.kind == b"jp2h":
            for inner in boxes(data, each.body, each.end):
                if inner.kind not in _JP2_HEADER:
                    yield f"a box of its own in the header ({printable(inner.kind)})"
                elif inner.kind == b"colr" and data[inner.body] in (2, 3):
                    if any(True for _ in telling_words(data[inner.body + 3 : inner.end])):
                        yield "a colour profile that says more than colours"
        elif each.kind == b"jp2c":
            yield from _code_stream(data, each.body, each.end)
        elif each.kind not in (b"jP  ", b"ftyp", *((b"uuid",) if told else ())):
            yield f"a box of its own ({printable(each.kind)})"


def _code_stream(data: bytes, place: int, end: int) -> Iterator[str]:
    """Walk the main header and every tile's header of a JPEG 2000 code stream, and the lengths of its tiles."""
    place += 2
    while place + 4 <= end:
        marker, length = struct.unpack_from(">HH", data, place)
        if marker == 0xFF64:
            yield "a comment in the code stream"
        if marker == 0xFF90:
            (tile,) = struct.unpack_from(">I", data, place + 6)
            inside, place = place + 12, place + tile if tile else end - 2
            while data[inside : inside + 2] not in (b"\xff\x93", b""):
                if data[inside : inside + 2] == b"\xff\x64":
                    yield "a comment in the code stream"
                inside += 2 + int.from_bytes(data[inside + 2 : inside + 4], "big")
            continue
        place += 2 + length
    if data[place:end] != b"\xff\xd9":
        yield "bytes after the end of the picture"


def walk_tiff(data: bytes, told: bool) -> Iterator[str]:
    """Walk a TIFF; every byte must be part of a directory, a field's value or a strip."""
    order = "<" if data[:2] == b"II" else ">"
    used = [(0, 8)]
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    seen: set[int] = set()
    while start and start not in seen:
        seen.add(start)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        used.append((start, start + 6 + 12 * count))
        lists: dict[int, tuple[int, ...]] = {}
        is_jpeg = False
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number, where = struct.unpack_from(f"{order}HHII", data, place)
            octets = _SIZES[kind] * number
            where = place + 8 if octets <= 4 else where
            used.append((where, where + octets + octets % 2))
            if tag == 347 and not is_bare(data[where : where + octets]):
                yield "words among the tables of a picture"
            if tag == 259:
                is_jpeg = struct.unpack_from(f"{order}H", data, where)[0] == 7
            if tag in (273, 279, 324, 325):
                lists[tag] = struct.unpack_from(f"{order}{number}{'H' if kind == 3 else 'I'}", data, where)
            elif tag == 34675 and any(True for _ in telling_words(data[where : where + octets])):
                yield "a colour profile that says more than colours"
            elif tag not in _TIFF_FIELDS and not (told and tag in _TIFF_TOLD):
                yield f"a field that no decoder needs ({tag})"
        for at, sizes in ((273, 279), (324, 325)):
            pieces = list(zip(lists.get(at, ()), lists.get(sizes, ()), strict=True))
            used += [(begin, begin + size + size % 2) for begin, size in pieces]
            if is_jpeg and not all(is_bare(data[begin : begin + size]) for begin, size in pieces):
                yield "words in a piece of the picture"
        (start,) = struct.unpack_from(f"{order}I", data, start + 2 + 12 * count)
    if not told and not _covers(used, [(0, len(data))]):
        yield "bytes that no field uses"
