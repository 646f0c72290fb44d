"""Which tables of a JPEG its scans use; the others go, and so does all that is longer than it should be. No I/O.

Standard: ITU-T T.81, B.2.
"""

import struct

from media.pictures.damage import damaged

_SOS, _DQT, _DHT, _DAC, _DRI, _DNL = 0xDA, 0xDB, 0xC4, 0xCC, 0xDD, 0xDC
_ARITHMETIC = frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_ORDER_OCTETS = 64


def used_segments(segments: list[bytes]) -> list[bytes]:
    """Give the segments of a picture with those tables alone that a later scan uses.

    Raises: InputError `media/cannot-clean` for a segment that is not built as the standard says.
    """
    quantisers = _quantisers(segments)
    codes = _DAC if any(segment[1] in _ARITHMETIC for segment in segments) else _DHT
    kept: list[bytes] = []
    needed: set[tuple[int, int]] = set()
    for segment in reversed(segments):
        marker, payload = segment[1], segment[4:]
        match marker:
            case 0xDA:
                _check_scan(segment)
                for each in range(payload[0]):
                    component, tables = payload[1 + 2 * each], payload[2 + 2 * each]
                    needed |= {(codes, tables >> 4), (codes, 0x10 | tables & 15), (_DQT, quantisers.get(component, 0))}
                kept.append(segment)
            case 0xDB | 0xC4 | 0xCC:
                entries: list[bytes] = []
                for entry in reversed(_entries(marker, payload)):
                    named = (marker, entry[0] & (0x0F if marker == _DQT else 0x1F))
                    if named in needed:
                        entries.insert(0, entry)
                        needed.remove(named)
                if entries:
                    body = b"".join(entries)
                    kept.append(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body)
            case _:
                _check_length(marker, payload)
                kept.append(segment)
    return kept[::-1]


def _quantisers(segments: list[bytes]) -> dict[int, int]:
    """Give the number of the quantisation table of each component."""
    found: dict[int, int] = {}
    for segment in segments:
        if 0xC0 <= segment[1] <= 0xCF and segment[1] not in (_DHT, 0xC8, _DAC):
            _check_length(segment[1], segment[4:])
            for at in range(10, 10 + 3 * segment[9], 3):
                found[segment[at]] = segment[at + 2] & 15
    return found


def _entries(marker: int, payload: bytes) -> list[bytes]:
    """Give the tables in a segment. A quantiser of sixteen bits a value says so in its fifth bit."""
    found, place = [], 0
    while place < len(payload):
        if marker == _DQT:
            length = 1 + _ORDER_OCTETS * (2 if payload[place] >> 4 else 1)
        elif marker == _DAC:
            length = 2
        else:
            length = 17 + sum(payload[place + 1 : place + 17])
        if place + length > len(payload):
            raise damaged("a table reaches beyond its end")
        found.append(payload[place : place + length])
        place += length
    return found


def _check_scan(segment: bytes) -> None:
    (length,) = struct.unpack_from(">H", segment, 2)
    if length != 6 + 2 * segment[4]:
        raise damaged("the header of a scan is longer than it should be")


def _check_length(marker: int, payload: bytes) -> None:
    match marker:
        case 0xDD | 0xDC:
            good = len(payload) == 2
        case _:
            good = len(payload) >= 6 and len(payload) == 6 + 3 * payload[5]
    if not good:
        raise damaged("a segment is longer than it should be")
