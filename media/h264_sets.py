"""Whether parameter sets of H.264 pictures hold parameters and nothing behind them. No I/O.

Standard: ITU-T H.264, 7.3.2.1, 7.3.2.2, E.1.
"""

from media.bits import UnitBits

SEQUENCE, PICTURE = 7, 8
_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_MOST = 256


def check_h264(unit: bytes) -> None:
    """Read a set of parameters to its end. Raises: ValueError where it has none, or another than its parameters'."""
    kind = unit[0] & 0x1F
    if kind == SEQUENCE:
        _sequence(UnitBits(unit, 1))
        return
    try:
        _picture(UnitBits(unit, 1), lists=2)
    except ValueError:
        _picture(UnitBits(unit, 1), lists=6)  # Of pictures whose colours are as fine as their brightness.


def _sequence(bits: UnitBits) -> None:
    profile = bits.take(24) >> 16
    bits.code()
    if profile in _WITH_CHROMA:
        chroma = bits.code()
        bits.take(1 if chroma == 3 else 0)
        bits.codes(2)
        bits.take(1)
        if bits.flag():
            _lists(bits, 6, 6 if chroma == 3 else 2)
    bits.code()
    order = bits.code()
    if order == 0:
        bits.code()
    elif order == 1:
        bits.take(1)
        bits.codes(2)
        bits.codes(_bounded(bits.code()))
    bits.code()
    bits.take(1)
    bits.codes(2)
    bits.take(0 if bits.flag() else 1)
    bits.take(1)
    if bits.flag():
        bits.codes(4)
    if bits.flag():
        _usability(bits)
    bits.check_end()


def _usability(bits: UnitBits) -> None:
    bits.how_it_is_shown()
    if bits.flag():
        bits.take(65)
    buffers = [_buffers(bits) for _ in range(2)]
    bits.take(1 if any(buffers) else 0)
    bits.take(1)
    if bits.flag():
        bits.take(1)
        bits.codes(6)


def _buffers(bits: UnitBits) -> bool:
    if not bits.flag():
        return False
    count = _bounded(bits.code()) + 1
    bits.take(8)
    for _ in range(count):
        bits.codes(2)
        bits.take(1)
    bits.take(20)
    return True


def _picture(bits: UnitBits, *, lists: int) -> None:
    bits.codes(2)
    bits.take(2)
    groups = _bounded(bits.code())
    if groups:
        _groups(bits, groups)
    bits.codes(2)
    bits.take(3)
    bits.codes(3)
    bits.take(3)
    if bits.goes_on():
        finer = bits.flag()
        if bits.flag():
            _lists(bits, 6, lists if finer else 0)
        bits.code()
    bits.check_end()


def _groups(bits: UnitBits, groups: int) -> None:
    kind = bits.code()
    if kind == 0:
        bits.codes(groups + 1)
    elif kind == 2:
        bits.codes(2 * groups)
    elif kind in (3, 4, 5):
        bits.take(1)
        bits.code()
    elif kind == 6:
        for _ in range(bits.code() + 1):
            bits.take(groups.bit_length())


def _lists(bits: UnitBits, small: int, large: int) -> None:
    for size in [16] * small + [64] * large:
        if not bits.flag():
            continue
        last = following = 8
        for _ in range(size):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _bounded(number: int) -> int:
    if number > _MOST:
        raise ValueError("a number that is too large")
    return number
