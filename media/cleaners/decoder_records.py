"""What tells a decoder of ALAC, AC-3, VP9, Opus, AMR and H.263 how to begin: a fixed structure, or refused. No I/O.

ExifTool gives these boxes as octets without a meaning, so a copy's inspector reads them. Whatever is longer than its
own fields, or sets what is reserved, is named.

Standard: ALAC magic cookie description (Apple); ETSI TS 102 366, F.4 and F.6 (AC-3, E-AC-3); VP codec ISO media file
format binding 1.0; Encapsulation of Opus in ISO BMFF 0.8.1, 4.3.2; 3GPP TS 26.244, 6.7 and 6.8 (AMR, H.263).
"""

import struct
from collections.abc import Callable, Iterator, Mapping

_ENTRY_OCTETS = {"soun": 28, "vide": 78}
_SOUND_HEADS = {0: 28, 1: 44, 2: 64}  # by the version of a QuickTime sound description
_OUR_VENDOR = b"FFMP"  # what the muxer of our own copies signs with; a phone's would tell of the phone
_AMR_RECORD = _OUR_VENDOR + bytes.fromhex("00 81ff 00 01")


def strange_records(stsd: bytes, handler: str) -> Iterator[str]:
    """Name the records in a track's sample descriptions that hold more than what a decoder needs."""
    for _, content in _boxes(stsd, 8):
        for child, octets in _inside(content, handler):
            if child in _RECORDS and not _is_plain(child, octets):
                yield f"more in the box {child.decode()} than what a decoder needs"


def _inside(content: bytes, handler: str) -> Iterator[tuple[bytes, bytes]]:
    """Give the boxes in a sample entry, and those in QuickTime's box of sound parameters (`wave`)."""
    head = _ENTRY_OCTETS.get(handler, len(content))
    if handler == "soun" and len(content) >= 10:
        head = _SOUND_HEADS.get(int.from_bytes(content[8:10], "big"), head)
    for child, octets in _boxes(content, head):
        yield child, octets
        if child == b"wave":
            yield from _boxes(octets, 0)


def _boxes(octets: bytes, place: int) -> Iterator[tuple[bytes, bytes]]:
    while place + 8 <= len(octets):
        size, kind = struct.unpack_from(">I4s", octets, place)
        if size < 8:
            return
        yield kind, octets[place + 8 : place + size]
        place += size


def _is_plain(kind: bytes, octets: bytes) -> bool:
    try:
        return _RECORDS[kind](octets)
    except (struct.error, IndexError):
        return False


def _alac(octets: bytes) -> bool:
    version, frame, compatible, depth, *_, channels, _run, most, rate, samples = struct.unpack(">IIBBBBBBHIII", octets)
    plain = version == 0 and compatible == 0 and depth in (16, 20, 24, 32) and 1 <= channels <= 8
    return plain and frame <= 1 << 14 and most <= 1 << 20 and rate <= 1 << 27 and samples <= 384_000


def _dac3(octets: bytes) -> bool:
    return len(octets) == 3 and not octets[2] & 0x1F


def _dec3(octets: bytes) -> bool:
    place = 2
    for _ in range((octets[1] & 7) + 1):
        first, third = octets[place], octets[place + 2]
        dependent = third >> 1 & 15
        if first & 1 or third & 0xE0 or (not dependent and third & 1):
            return False
        place += 4 if dependent else 3
    return place == len(octets)


def _vpcc(octets: bytes) -> bool:
    return len(octets) == 12 and octets[:4] == b"\x01\0\0\0" and octets[4] <= 3 and octets[10:] == b"\0\0"


def _dops(octets: bytes) -> bool:
    version, channels, family = octets[0], octets[1], octets[10]
    return version == 0 and channels > 0 and len(octets) == (11 if family == 0 else 13 + channels)


def _d263(octets: bytes) -> bool:
    return len(octets) == 7 and octets[:5] == _OUR_VENDOR + b"\0" and octets[5] <= 70 and octets[6] <= 8


def _damr(octets: bytes) -> bool:
    return octets == _AMR_RECORD


_RECORDS: Mapping[bytes, Callable[[bytes], bool]] = {
    b"alac": _alac,
    b"dac3": _dac3,
    b"dec3": _dec3,
    b"vpcC": _vpcc,
    b"dOps": _dops,
    b"d263": _d263,
    b"damr": _damr,
}
