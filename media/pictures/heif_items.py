"""The items of a HEIF file (HEIC, AVIF): which there are, how they hang together, where their bytes lie. No I/O.

Standard: ISO/IEC 14496-12, 8.11 (item information, location, reference); ISO/IEC 23008-12, 9.3 (properties).
"""

import struct
from dataclasses import dataclass, field

from media.pictures.boxes import Box, boxes
from media.pictures.damage import damaged

_MOST_ITEMS, _MOST_EXTENTS = 5000, 5000


@dataclass(slots=True)
class HeifItem:
    """One item. `properties` are (place in the list of properties from 1, essential)."""

    id: int
    kind: bytes
    hidden: bool
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[tuple[int, bool]] = field(default_factory=list)
    made_of: list[int] = field(default_factory=list)
    auxiliary_of: list[int] = field(default_factory=list)


@dataclass(slots=True)
class HeifFile:
    """What a file says of its items; `properties` are the boxes of the list of properties."""

    brands: bytes
    primary: int
    items: dict[int, HeifItem]
    properties: list[Box]


class _Numbers:
    """Reads numbers one after the other, each inside its box."""

    def __init__(self, data: bytes, place: int, end: int) -> None:
        self._data, self.place, self._end = data, place, end

    def take(self, octets: int) -> int:
        if self.place + octets > self._end:
            raise damaged("a list of it reaches beyond its end")
        number = int.from_bytes(self._data[self.place : self.place + octets], "big")
        self.place += octets
        return number


def read_items(data: bytes) -> HeifFile:
    """Read the items of a file. Raises: InputError `media/cannot-clean`."""
    top = {each.kind: each for each in reversed(list(boxes(data)))}
    if b"ftyp" not in top or b"meta" not in top:
        raise damaged("there is no list of pictures in it")
    meta = {each.kind: each for each in boxes(data, top[b"meta"].body + 4, top[b"meta"].end)}
    if not {b"pitm", b"iinf", b"iloc", b"iprp"} <= set(meta):
        raise damaged("its list of pictures is not whole")
    items = _information(data, meta[b"iinf"])
    _locations(data, meta[b"iloc"], meta.get(b"idat"), items)
    if b"iref" in meta:
        _references(data, meta[b"iref"], items)
    properties = list[Box]()
    for each in boxes(data, meta[b"iprp"].body, meta[b"iprp"].end):
        if each.kind == b"ipco":
            properties = list(boxes(data, each.body, each.end))
        elif each.kind == b"ipma":
            _associations(data, each, items)
    primary = meta[b"pitm"]
    number = int.from_bytes(data[primary.body + 4 : primary.end], "big")
    if number not in items:
        raise damaged("its main picture is not there")
    ftyp = top[b"ftyp"]
    return HeifFile(brands=data[ftyp.body : ftyp.end], primary=number, items=items, properties=properties)


def _information(data: bytes, iinf: Box) -> dict[int, HeifItem]:
    width = 2 if data[iinf.body] == 0 else 4
    items: dict[int, HeifItem] = {}
    for each in boxes(data, iinf.body + 4 + width, iinf.end):
        version = data[each.body]
        if each.kind != b"infe" or version not in (2, 3):
            raise damaged("its list of pictures is of an old kind")
        numbers = _Numbers(data, each.body + 4, each.end)
        number = numbers.take(2 if version == 2 else 4)
        kind = data[numbers.place + 2 : numbers.place + 6]
        items[number] = HeifItem(number, kind, hidden=bool(data[each.body + 3] & 1))
    if len(items) > _MOST_ITEMS:
        raise damaged("it holds too many pictures")
    return items


def _locations(data: bytes, iloc: Box, idat: Box | None, items: dict[int, HeifItem]) -> None:
    version = data[iloc.body]
    numbers = _Numbers(data, iloc.body + 4, iloc.end)
    sizes = numbers.take(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in (1, 2) else 0
    for _ in range(numbers.take(2 if version < 2 else 4)):
        item = items.get(numbers.take(2 if version < 2 else 4))
        method = numbers.take(2) & 15 if version in (1, 2) else 0
        elsewhere, base = numbers.take(2), numbers.take(base_size)
        count = numbers.take(2)
        if count > _MOST_EXTENTS:
            raise damaged("a picture of it lies in too many pieces")
        for _ in range(count):
            numbers.take(index_size)
            start, length = base + numbers.take(offset_size), numbers.take(length_size)
            if method == 1 and idat is not None:
                start += idat.body
            elif method or elsewhere:
                start = len(data) + 1  # In another file, or made of another item's bytes: not here.
            if item is not None:
                item.extents.append((start, length or max(0, len(data) - start)))


def _references(data: bytes, iref: Box, items: dict[int, HeifItem]) -> None:
    width = 2 if data[iref.body] == 0 else 4
    for each in boxes(data, iref.body + 4, iref.end):
        numbers = _Numbers(data, each.body, each.end)
        item = items.get(numbers.take(width))
        targets = [numbers.take(width) for _ in range(numbers.take(2))]
        if item is not None and each.kind == b"dimg":
            item.made_of += targets
        elif item is not None and each.kind == b"auxl":
            item.auxiliary_of += targets


def _associations(data: bytes, ipma: Box, items: dict[int, HeifItem]) -> None:
    version, wide = data[ipma.body], bool(data[ipma.body + 3] & 1)
    numbers = _Numbers(data, ipma.body + 4, ipma.end)
    for _ in range(numbers.take(4)):
        item = items.get(numbers.take(2 if version < 1 else 4))
        for _ in range(numbers.take(1)):
            number = numbers.take(2 if wide else 1)
            top = 0x8000 if wide else 0x80
            if item is not None and number & ~top:
                item.properties.append((number & ~top, bool(number & top)))


def content_of(data: bytes, item: HeifItem) -> bytes:
    """Give the bytes of an item. Raises: InputError `media/cannot-clean`."""
    if not item.extents or any(start + length > len(data) for start, length in item.extents):
        raise damaged("a picture of it is not in the file")
    return b"".join(data[start : start + length] for start, length in item.extents)


def write_number(number: int) -> bytes:
    """Write an item's number in two octets. Raises: InputError `media/cannot-clean` for one that is too large."""
    if number > 0xFFFF:
        raise damaged("it numbers its pictures too high")
    return struct.pack(">H", number)
