"""Whether the packed samples of a PNG hold just its picture, and nothing behind or beyond it. No I/O.

Standard: PNG, third edition, 8 (interlacing), 10 (compression).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_BY_PALETTE = 3
_CLEAR = {0: 2, 2: 6}
"""How long the one colour is that is not seen, by kind of samples."""
_PIECE_OCTETS = 1 << 20


@dataclass(slots=True)
class Colours:
    """Says of a palette and of transparency, as the chunks are met, whether the picture's samples need them.

    Of a picture that is not drawn by a palette it is advice to screens of few colours, and any words fit into it.
    """

    depth: int = 0
    kind: int = -1
    entries: int = 0

    def meet(self, name: bytes, body: bytes) -> None:
        if name == b"IHDR":
            self.depth, self.kind = body[8], body[9]
        elif name == b"PLTE":
            self.entries = len(body) // 3

    def need(self, name: bytes, body: bytes) -> bool:
        """Say whether one of the two is of use. Raises: ValueError for more colours than the samples can name."""
        if name == b"tRNS":
            return 0 < len(body) <= self.entries if self.kind == _BY_PALETTE else len(body) == _CLEAR.get(self.kind)
        if self.kind == _BY_PALETTE and len(body) > 3 << self.depth:
            raise ValueError("more colours than the samples can name")
        return self.kind == _BY_PALETTE


def samples_octets(header: bytes, width: int, height: int) -> int:
    """Give how many octets the unpacked samples of a picture have. Raises: ValueError for an unknown kind."""
    depth, colours, interlaced = header[8], header[9], header[12]
    if colours not in _CHANNELS or depth not in (1, 2, 4, 8, 16):
        raise ValueError("unknown samples")
    bits = _CHANNELS[colours] * depth
    if not interlaced:
        return height * (1 + (width * bits + 7) // 8)
    total = 0
    for left, top, across, down in _PASSES:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def holds_more(packed: bytes, expected: int) -> bool:
    """Tell whether there is anything behind the picture or behind its packing. Raises: zlib.error."""
    unpacker, count = zlib.decompressobj(), 0
    for piece in _unpacked(unpacker, packed):
        count += len(piece)
        if count > expected:
            return True
    return bool(unpacker.unused_data)


def only_the_picture(packed: bytes, expected: int) -> bytes:
    """Give packed samples of the picture alone. Raises: zlib.error."""
    if not holds_more(packed, expected):
        return packed
    packer, left, made = zlib.compressobj(), expected, []
    for piece in _unpacked(zlib.decompressobj(), packed):
        made.append(packer.compress(piece[:left]))
        left -= min(left, len(piece))
    return b"".join((*made, packer.flush()))


def frame_size(control: bytes) -> tuple[int, int]:
    """Give width and height of an animation's frame."""
    width, height = struct.unpack_from(">II", control, 4)
    return int(width), int(height)


def _unpacked(unpacker: "zlib._Decompress", packed: bytes) -> Iterator[bytes]:
    waiting = packed
    while waiting and not unpacker.eof:
        yield unpacker.decompress(waiting, _PIECE_OCTETS)
        waiting = unpacker.unconsumed_tail
    if not unpacker.eof:
        yield unpacker.flush()
