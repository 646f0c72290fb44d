"""The heads of frames of MPEG audio and of AAC in ADTS, which tell how long each frame is. No I/O.

Standard: ISO/IEC 11172-3, 2.4.1.3; ISO/IEC 13818-3; ISO/IEC 14496-3, 1.A.2.2 (ADTS).
"""

from typing import NamedTuple

_RATES = {
    (1, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Kilobits a second by (1 for MPEG-1, else 2; layer as the header codes it: 3 is I, 2 is II, 1 is III)."""
_SAMPLING = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


class MpegHeader(NamedTuple):
    """What the head of a frame says."""

    length: int
    alike: int
    """Version, layer and sampling rate, which all frames of a stream share."""
    mark_at: int
    """Where the mark of an information frame would stand."""


def mpeg_header(octets: bytes) -> MpegHeader | None:
    """Read the head of a frame of MPEG audio; None where it is none."""
    if len(octets) < 4 or octets[0] != 0xFF or octets[1] & 0xE0 != 0xE0:
        return None
    version, layer = octets[1] >> 3 & 3, octets[1] >> 1 & 3
    bitrate, sampling, padding = octets[2] >> 4, octets[2] >> 2 & 3, octets[2] >> 1 & 1
    if version == 1 or layer == 0 or bitrate in (0, 15) or sampling == 3:
        return None
    rate = _RATES[1 if version == 3 else 2, layer][bitrate] * 1000
    hertz = _SAMPLING[version][sampling]
    if layer == 3:
        length = (12 * rate // hertz + padding) * 4
    else:
        samples = 72 if layer == 1 and version != 3 else 144
        length = samples * rate // hertz + padding
    mono = octets[3] >> 6 == 3
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return MpegHeader(length=length, alike=version << 4 | layer << 2 | sampling, mark_at=4 + side)


def adts_length(octets: bytes) -> int | None:
    """Give the length of a frame of AAC in ADTS by its head of seven octets; None where it is none."""
    if len(octets) < 7 or octets[0] != 0xFF or octets[1] & 0xF6 != 0xF0 or octets[2] >> 2 & 0xF > 12:
        return None
    length = (octets[3] & 3) << 11 | octets[4] << 3 | octets[5] >> 5
    return length if length >= (7 if octets[1] & 1 else 9) else None
