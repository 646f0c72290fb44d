"""What tells a decoder of ALAC, AC-3, AV1, VP9, Opus, AMR and H.263 how to begin: fixed structures, or refused. No I/O.

ExifTool gives these boxes as octets without a meaning, so a copy's inspector reads them. Whatever is longer than its
own fields, or sets what is reserved, is named.

Standard: ALAC magic cookie description (Apple); ETSI TS 102 366, F.4 and F.6 (AC-3, E-AC-3); VP codec ISO media file
format binding 1.0; Encapsulation of Opus in ISO BMFF 0.8.1, 4.3.2; 3GPP TS 26.244, 6.7 and 6.8 (AMR, H.263).
"""

import struct
from collections.abc import Callable, Mapping

from media.cleaners.picture_parameters import is_plain_av1

_OUR_VENDOR = b"FFMP"  # what the muxer of our own copies signs with; a phone's would tell of the phone
_AMR_RECORD = _OUR_VENDOR + bytes.fromhex("00 81ff 00 01")


def is_plain_record(kind: bytes, octets: bytes) -> bool:
    """Tell whether a box in the description of samples holds what a decoder needs and no more; so does one that is of
    none of these codings."""
    read = _RECORDS.get(kind)
    try:
        return read is None or read(octets)
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
    b"av1C": is_plain_av1,
    b"dac3": _dac3,
    b"dec3": _dec3,
    b"vpcC": _vpcc,
    b"dOps": _dops,
    b"d263": _d263,
    b"damr": _damr,
}
RECORDS = frozenset(_RECORDS)
