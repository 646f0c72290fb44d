"""Reading the tables that a Vorbis or Theora decoder begins with to the last bit, so that nothing lies behind. No I/O.

Standard: Vorbis I, 3.2.1 and 4.2.4 (bits from the lowest on); Theora, 6.4 (bits from the highest on).
"""

_LARGEST = 1 << 18
_MOST_ENTRIES = 1 << 17


class _Bits:
    def __init__(self, octets: bytes, *, lowest_first: bool) -> None:
        self._octets = octets
        self._order = "little" if lowest_first else "big"
        self._at = 0

    def take(self, count: int) -> int:
        begin, end = self._at, self._at + count
        if end > 8 * len(self._octets):
            raise ValueError("tables that are cut short")
        self._at = end
        piece = self._octets[begin // 8 : (end + 7) // 8]
        if self._order == "little":
            return int.from_bytes(piece, "little") >> begin % 8 & (1 << count) - 1
        return int.from_bytes(piece, "big") >> -end % 8 & (1 << count) - 1

    def skip(self, count: int) -> None:
        self._at += count
        if self._at > 8 * len(self._octets):
            raise ValueError("tables that are cut short")

    def is_spent(self) -> bool:
        left = 8 * len(self._octets) - self._at
        return left < 8 and not self.take(left)


def is_plain_vorbis_setup(packet: bytes) -> bool:
    """Tell whether the tables end where the packet ends. The number of channels is found out: nothing else fits."""
    if packet[:7] != b"\x05vorbis" or len(packet) > _LARGEST:
        return False
    return any(_vorbis(packet[7:], channels) for channels in (2, 1, *range(3, 9)))


def _vorbis(octets: bytes, channels: int) -> bool:
    bits = _Bits(octets, lowest_first=True)
    try:
        for _ in range(bits.take(8) + 1):
            _codebook(bits)
        if any(bits.take(16) for _ in range(bits.take(6) + 1)):
            return False
        for _ in range(bits.take(6) + 1):
            _floor(bits)
        for _ in range(bits.take(6) + 1):
            _residue(bits)
        for _ in range(bits.take(6) + 1):
            _mapping(bits, channels)
        for _ in range(bits.take(6) + 1):
            bits.take(1)
            if bits.take(32):
                return False
            bits.take(8)
        return bits.take(1) == 1 and bits.is_spent()
    except ValueError:
        return False


def _codebook(bits: _Bits) -> None:
    if bits.take(24) != 0x564342:
        raise ValueError("no table of codes")
    dimensions, entries = bits.take(16), bits.take(24)
    if entries > _MOST_ENTRIES:
        raise ValueError("a table of codes that is too large")
    if bits.take(1):
        bits.take(5)
        at = 0
        while at < entries:
            at += bits.take((entries - at).bit_length())
    else:
        sparse = bits.take(1)
        for _ in range(entries):
            if not sparse or bits.take(1):
                bits.take(5)
    kind = bits.take(4)
    if kind > 2:
        raise ValueError("a table of codes of an unknown kind")
    if kind:
        bits.skip(64)
        width = bits.take(4) + 1
        bits.take(1)
        bits.skip(width * (_roots(entries, dimensions) if kind == 1 else entries * dimensions))


def _roots(entries: int, dimensions: int) -> int:
    """Give the greatest number whose power of `dimensions` does not exceed `entries`."""
    if not dimensions:
        raise ValueError("a table without dimensions")
    found = int(entries ** (1 / dimensions)) + 1
    while found**dimensions > entries:
        found -= 1
    return found


def _floor(bits: _Bits) -> None:
    if bits.take(16) == 0:
        bits.skip(8 + 16 + 16 + 6 + 8)
        bits.skip(8 * (bits.take(4) + 1))
        return
    classes = [bits.take(4) for _ in range(bits.take(5))]
    sizes = []
    for _ in range(max(classes, default=-1) + 1):
        sizes.append(bits.take(3) + 1)
        parts = bits.take(2)
        bits.skip(8 * ((1 if parts else 0) + (1 << parts)))
    bits.take(2)
    width = bits.take(4)
    bits.skip(width * sum(sizes[each] for each in classes))


def _residue(bits: _Bits) -> None:
    if bits.take(16) > 2:
        raise ValueError("an unknown kind of residue")
    bits.skip(72)
    kinds = bits.take(6) + 1
    bits.take(8)
    books = 0
    for _ in range(kinds):
        low = bits.take(3)
        high = bits.take(5) if bits.take(1) else 0
        books += (high << 3 | low).bit_count()
    bits.skip(8 * books)


def _mapping(bits: _Bits, channels: int) -> None:
    if bits.take(16):
        raise ValueError("an unknown kind of mapping")
    parts = bits.take(4) + 1 if bits.take(1) else 1
    if bits.take(1):
        bits.skip((bits.take(8) + 1) * 2 * (channels - 1).bit_length())
    if bits.take(2):
        raise ValueError("what is reserved is set")
    if parts > 1:
        bits.skip(4 * channels)
    bits.skip(24 * parts)


def is_plain_theora_setup(packet: bytes) -> bool:
    """Tell whether the tables end where the packet ends."""
    if packet[:7] != b"\x82theora" or len(packet) > _LARGEST:
        return False
    bits = _Bits(packet[7:], lowest_first=False)
    try:
        bits.skip(64 * bits.take(3))
        for _ in range(2):
            bits.skip(64 * (bits.take(4) + 1))
        matrices = bits.take(9) + 1
        bits.skip(matrices * 64 * 8)
        for number in range(6):
            _ranges(bits, number, (matrices - 1).bit_length())
        for _ in range(80):
            _codes(bits)
        return bits.is_spent()
    except ValueError:
        return False


def _ranges(bits: _Bits, number: int, width: int) -> None:
    if number and not bits.take(1):
        if number >= 3:
            bits.take(1)
        return
    at = 0
    bits.take(width)
    while at < 63:
        at += bits.take((62 - at).bit_length()) + 1
        bits.take(width)


def _codes(bits: _Bits) -> None:
    open_branches, read = 1, 0
    while open_branches:
        read += 1
        if read > 64:
            raise ValueError("a table of codes that is too large")
        if bits.take(1):
            bits.take(5)
            open_branches -= 1
        else:
            open_branches += 1
