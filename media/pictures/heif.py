"""A HEIC or AVIF file rebuilt around its main picture. No I/O.

Kept: the main picture, the tiles that it is made of, its transparency, and the properties by which they are decoded and
shown (size, colour, rotation, crop). Thumbnails, depth and gain maps, faces, EXIF, XMP and every other item, film
tracks, groups and all bytes that no kept item uses go; so do the messages that encoders leave in the coded pictures.
Standard: ISO/IEC 23008-12; ISO/IEC 14496-15 (HEVC), AV1 Image File Format.
"""

import struct
from collections.abc import Sequence

from media.pictures.boxes import Box, box, full_box
from media.pictures.coded import hevc_configuration, without_av1_messages, without_hevc_messages
from media.pictures.damage import damaged
from media.pictures.heif_items import HeifFile, HeifItem, content_of, read_items, write_number
from media.pictures.icc import without_words

CODED, DERIVED = frozenset((b"hvc1", b"av01")), frozenset((b"grid", b"iden", b"iovl"))
KEPT_PROPERTIES = frozenset(
    b"ispe colr pixi hvcC av1C irot imir clap pasp auxC lsel a1op a1lx clli mdcv cclv amve".split()
)
ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
KNOWN_BRANDS = frozenset(b"mif1 mif2 heic heix heim heis miaf avif MA1A MA1B MiHB MiHA MiHE MiPr".split())


def rebuild(data: bytes, traces: Sequence[str]) -> bytes:
    """Give a file of the same picture and nothing else. Raises: InputError `media/cannot-clean`."""
    file = read_items(data)
    kept = _kept(data, file)
    for item in kept:
        if item.kind not in CODED | DERIVED:
            raise damaged("its picture is coded in a way that nobody here knows")
    order, bodies = _properties(data, file, kept, traces)
    contents = [_content(data, file, item) for item in kept]
    ftyp = box(b"ftyp", _brands(file.brands))
    meta = _meta(file, kept, order, bodies, contents, 0)
    start = len(ftyp) + len(meta) + 8
    meta = _meta(file, kept, order, bodies, contents, start)
    return ftyp + meta + box(b"mdat", b"".join(contents))


def _kept(data: bytes, file: HeifFile) -> list[HeifItem]:
    """Give the main picture, what it is made of, and what makes it transparent, each once."""
    found: dict[int, HeifItem] = {}
    waiting = [file.primary]
    waiting += [
        item.id for item in file.items.values() if file.primary in item.auxiliary_of and _is_alpha(data, file, item)
    ]
    while waiting:
        number = waiting.pop(0)
        if number in found:
            continue
        if number not in file.items:
            raise damaged("a tile of its picture is not there")
        found[number] = file.items[number]
        waiting += file.items[number].made_of
    return list(found.values())


def _is_alpha(data: bytes, file: HeifFile, item: HeifItem) -> bool:
    for number, _ in item.properties:
        if number <= len(file.properties) and file.properties[number - 1].kind == b"auxC":
            each = file.properties[number - 1]
            return data[each.body + 4 : each.end].rstrip(b"\0").startswith(ALPHA)
    return False


def _properties(
    data: bytes, file: HeifFile, kept: Sequence[HeifItem], traces: Sequence[str]
) -> tuple[dict[int, int], list[bytes]]:
    """Give the new place of each property that stays, and the boxes in that order."""
    order: dict[int, int] = {}
    bodies: list[bytes] = []
    for item in kept:
        for number, essential in item.properties:
            if number > len(file.properties):
                raise damaged("a property of its picture is not there")
            each = file.properties[number - 1]
            if each.kind in KEPT_PROPERTIES:
                if number not in order:
                    bodies.append(box(each.kind, _property(data, each, traces)))
                    order[number] = len(bodies)
            elif essential:
                raise damaged("its picture needs something that nobody here knows")
    if len(bodies) > 127:
        raise damaged("its picture has too many properties")
    return order, bodies


def _property(data: bytes, each: Box, traces: Sequence[str]) -> bytes:
    body = data[each.body : each.end]
    if each.kind == b"colr" and body[:4] in (b"prof", b"rICC"):
        return body[:4] + without_words(body[4:], traces)
    if each.kind == b"hvcC":
        return hevc_configuration(body)
    if each.kind == b"auxC":
        return body[:4] + body[4:].split(b"\0")[0] + b"\0"
    return body


def _content(data: bytes, file: HeifFile, item: HeifItem) -> bytes:
    content = content_of(data, item)
    if item.kind == b"av01":
        return without_av1_messages(content)
    if item.kind == b"hvc1":
        for number, _ in item.properties:
            each = file.properties[number - 1]
            if each.kind == b"hvcC" and each.end - each.body > 22:
                return without_hevc_messages(content, (data[each.body + 21] & 3) + 1)
        raise damaged("a tile of it cannot be decoded")
    return content


def _brands(brands: bytes) -> bytes:
    major, others = brands[:4], [brands[start : start + 4] for start in range(8, len(brands), 4)]
    if major not in KNOWN_BRANDS:
        raise damaged("it is a film or an unknown kind of picture")
    return major + bytes(4) + b"".join(brand for brand in others if brand in KNOWN_BRANDS)


def _meta(
    file: HeifFile,
    kept: Sequence[HeifItem],
    order: dict[int, int],
    bodies: Sequence[bytes],
    contents: Sequence[bytes],
    start: int,
) -> bytes:
    entries, places, links, uses = b"", b"", b"", b""
    for item, content in zip(kept, contents, strict=True):
        number = write_number(item.id)
        entries += full_box(b"infe", 2, int(item.hidden), number + bytes(2) + item.kind + b"\0")
        places += number + struct.pack(">HHII", 0, 1, start, len(content))
        start += len(content)
        for kind, targets in ((b"dimg", item.made_of), (b"auxl", item.auxiliary_of)):
            there = [each for each in targets if any(other.id == each for other in kept)]
            if there:
                links += box(kind, number + struct.pack(">H", len(there)) + b"".join(map(write_number, there)))
        used = [order[each] | (0x80 if essential else 0) for each, essential in item.properties if each in order]
        uses += number + bytes((len(used), *used))
    count = struct.pack(">H", len(kept))
    parts = [
        full_box(b"hdlr", 0, 0, bytes(4) + b"pict" + bytes(12) + b"\0"),
        full_box(b"pitm", 0, 0, write_number(file.primary)),
        full_box(b"iloc", 0, 0, b"\x44\x00" + count + places),
        full_box(b"iinf", 0, 0, count + entries),
        full_box(b"iref", 0, 0, links) if links else b"",
        box(b"iprp", box(b"ipco", b"".join(bodies)) + full_box(b"ipma", 0, 0, struct.pack(">I", len(kept)) + uses)),
    ]
    return full_box(b"meta", 0, 0, b"".join(parts))
