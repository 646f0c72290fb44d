"""What a Matroska track tells its decoder, by its coding: read to the last bit; a coding that is not listed, refused.

No I/O. Standard: the Matroska codec mappings (RFC 9559, 5.1.4.1.22, and its codec specifications).
"""

import struct
from collections.abc import Callable, Mapping

from media.cleaners.avi_walk import strange_bitmap
from media.cleaners.decoder_records import is_plain_record
from media.cleaners.picture_parameters import is_plain_av1, is_plain_mpeg4, is_plain_vp9
from media.cleaners.sound_parameters import is_plain_aac, is_plain_wave_format
from media.cleaners.xiph_headers import is_plain_flac, is_plain_opus_head, laced, strange_headers
from media.coded_units import filler_for
from media.codings import H264, HEVC, Coding, is_plain_avcc, messages_of_hvcc

_NOTHING = (
    "V_VP8 V_MJPEG V_UNCOMPRESSED A_AC3 A_EAC3 A_DTS A_MPEG/L1 A_MPEG/L2 A_MPEG/L3 A_PCM/INT/LIT A_PCM/INT/BIG "
    "A_PCM/FLOAT/IEEE"
)
UNITS: Mapping[bytes, Coding] = {b"V_MPEG4/ISO/AVC": H264, b"V_MPEGH/ISO/HEVC": HEVC}
_MPEG2_OCTETS = 160  # a sequence's header with both its tables, and what MPEG-2 and a display add to it


def strange_private(coding: bytes, private: bytes) -> str | None:
    """Name what is wrong with it; None where it is what the decoder needs."""
    if coding in (b"A_VORBIS", b"V_THEORA"):
        try:
            return strange_headers([private[begin:end] for begin, end in laced(private)])
        except ValueError:
            return "headers of a coding that do not add up"
    check = _CHECKS.get(coding)
    if check is None:
        return "a coding whose parameters are not known here"
    try:
        plain = check(private)
    except (IndexError, ValueError, struct.error):
        plain = False
    return None if plain else "more among the parameters of a coding than parameters"


def length_octets(coding: bytes, private: bytes) -> int:
    """Tell how many octets the length of a unit has."""
    return (private[4 if coding.endswith(b"AVC") else 21] & 3) + 1


def is_mpeg4(coding: bytes, private: bytes) -> bool:
    return (
        coding.startswith(b"V_MPEG4/ISO/")
        and coding not in UNITS
        or (coding == b"V_MS/VFW/FOURCC" and private[16:20].upper() in _MPEG4_NAMES)
    )


_MPEG4_NAMES = frozenset((b"FMP4", b"DIVX", b"DX50", b"XVID", b"MP4V"))


def _hevc(private: bytes) -> bool:
    found = messages_of_hvcc(private)
    return found is not None and all(private[at:end] == filler_for(private[at:end], HEVC) for at, end in found)


def _mpeg2(private: bytes) -> bool:
    return len(private) <= _MPEG2_OCTETS and private[:4] == b"\0\0\x01\xb3" and b"\0\0\x01\xb2" not in private


_CHECKS: Mapping[bytes, Callable[[bytes], bool]] = {
    **{name.encode(): (lambda private: not private) for name in _NOTHING.split()},
    b"V_MPEG4/ISO/AVC": is_plain_avcc,
    b"V_MPEGH/ISO/HEVC": _hevc,
    b"V_MPEG4/ISO/ASP": is_plain_mpeg4,
    b"V_MPEG4/ISO/SP": is_plain_mpeg4,
    b"V_MPEG4/ISO/AP": is_plain_mpeg4,
    b"V_MPEG2": _mpeg2,
    b"V_MPEG1": _mpeg2,
    b"V_AV1": is_plain_av1,
    b"V_VP9": is_plain_vp9,
    b"V_MS/VFW/FOURCC": lambda private: not strange_bitmap(private),
    b"A_MS/ACM": is_plain_wave_format,
    b"A_AAC": is_plain_aac,
    b"A_OPUS": is_plain_opus_head,
    b"A_FLAC": is_plain_flac,
    b"A_ALAC": lambda private: is_plain_record(b"alac", bytes(4) + private),
}
