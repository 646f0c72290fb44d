"""What may stand in the description of a track's samples (`stsd`) of a finished copy: boxes that players need. No I/O.

Standard: ISO/IEC 14496-12, 8.5.2 and 12; ISO/IEC 14496-15; QuickTime File Format, sound sample descriptions.
"""

import struct
from collections.abc import Iterator, Mapping

from media.cleaners.decoder_records import RECORDS, is_plain_record
from media.pictures.icc import BadProfileError, telling_words

_PICTURE_OCTETS = 86
_SOUND_OCTETS: Mapping[int, int] = {0: 36, 1: 52, 2: 72}
_PLAIN: Mapping[bytes, int] = {
    b"pasp": 8, b"fiel": 2, b"clap": 32, b"btrt": 12, b"gama": 4, b"clli": 4, b"mdcv": 24, b"SmDm": 28, b"CoLL": 8,
    b"chan": 24, b"frma": 4, b"enda": 2, b"chrm": 5, b"srat": 8, b"sbtd": 8,
}  # fmt: skip
"""With the most octets that they have, or that anybody needs."""
_WALKED = frozenset({b"avcC", b"hvcC", b"esds"}) | RECORDS  # Others read these to their end.
_COLOURS: Mapping[bytes, int] = {b"nclx": 11, b"nclc": 10}
_ENDS = (b"", b"\0\0\0\0", b"\0\0\0\x08\0\0\0\0")


def strange_entry(stsd: bytes, handler: str) -> Iterator[str]:
    """Name what stands in the description of a track beside what players need."""
    if len(stsd) < 16 or struct.unpack_from(">I", stsd, 4)[0] != 1 or handler not in ("vide", "soun"):
        yield "a track whose samples are described in another way than once"
        return
    (size,) = struct.unpack_from(">I", stsd, 8)
    if size != len(stsd) - 8:
        yield "bytes behind the description of a track"
    version = struct.unpack_from(">H", stsd, 24)[0] if handler == "soun" and len(stsd) >= 26 else 0
    begin = 8 + (_PICTURE_OCTETS if handler == "vide" else _SOUND_OCTETS.get(version, 36))
    yield from _boxes(stsd[begin:])


def _boxes(octets: bytes) -> Iterator[str]:
    place = 0
    while place < len(octets):
        if octets[place:] in _ENDS:
            return
        if place + 8 > len(octets):
            yield "bytes behind the description of a track"
            return
        size, kind = struct.unpack_from(">I4s", octets, place)
        if size < 8 or place + size > len(octets):
            yield "bytes in the description of a track that are no box"
            return
        content = octets[place + 8 : place + size]
        yield from _box(kind, content)
        place += size


def _box(kind: bytes, content: bytes) -> Iterator[str]:
    name = kind.decode("latin-1")
    if kind == b"wave":
        yield from _boxes(content)
    elif kind == b"colr":
        yield from _colours(content)
    elif kind == b"mp4a" and len(content) == 4:
        return  # QuickTime repeats the coding beside its parameters.
    elif kind not in _PLAIN and kind not in _WALKED:
        yield f"an unknown box {name!r} in the description of a track"
    elif len(content) > _PLAIN.get(kind, len(content)):
        yield f"more in the box {name!r} than it is for"
    elif not is_plain_record(kind, content):
        yield f"more in the box {name!r} than what a decoder needs"


def _colours(content: bytes) -> Iterator[str]:
    kind = content[:4]
    if kind in (b"prof", b"rICC"):
        try:
            told = any(True for _ in telling_words(content[4:]))
        except (BadProfileError, IndexError, struct.error):
            told = True
        if told:
            yield "a colour profile that says more than colours"
    elif len(content) > _COLOURS.get(kind, 0):
        yield "more beside the colours than how they are meant"
