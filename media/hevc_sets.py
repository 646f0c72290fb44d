"""Whether parameter sets of HEVC pictures hold parameters and nothing behind them. No I/O.

Extensions other than that of the range are none of a picture that players show, and nothing here knows their ends.
Standard: ITU-T H.265, 7.3.2.1 to 7.3.2.3, 7.3.3, 7.3.4, 7.3.7, E.2.
"""

from media.bits import UnitBits

_MOST = 1024
_PROFILE_BITS = 88


def check_hevc(unit: bytes) -> None:
    """Read a set of parameters to its end. Raises: ValueError where it has none, or another than its parameters'."""
    bits = UnitBits(unit, 2)
    match unit[0] >> 1 & 0x3F:
        case 32:
            _video(bits)
        case 33:
            _sequence(bits)
        case 34:
            _picture(bits)
        case _:
            raise ValueError("more in an end than that something ends")
    bits.check_end()


def _video(bits: UnitBits) -> None:
    bits.take(12)
    sub_layers = bits.take(3)
    bits.take(17)
    _profile(bits, sub_layers)
    _for_sub_layers(bits, sub_layers)
    layers = bits.take(6) + 1
    sets = _bounded(bits.code())
    for _ in range(sets):
        bits.take(layers)
    if bits.flag():
        bits.take(64)
        if bits.flag():
            bits.code()
        buffers = _Buffers(bits, sub_layers)
        for number in range(_bounded(bits.code())):
            bits.code()
            buffers.read(common=number == 0 or bits.flag())
    if bits.flag():
        raise ValueError("parameters of more layers than are shown")


def _profile(bits: UnitBits, sub_layers: int) -> None:
    bits.take(_PROFILE_BITS + 8)
    told = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    bits.take(2 * (8 - sub_layers) if sub_layers else 0)
    for profile, level in told:
        bits.take(_PROFILE_BITS * profile + 8 * level)


def _for_sub_layers(bits: UnitBits, sub_layers: int) -> None:
    bits.codes(3 * (sub_layers + 1 if bits.flag() else 1))


def _sequence(bits: UnitBits) -> None:
    bits.take(4)
    sub_layers = bits.take(3)
    bits.take(1)
    _profile(bits, sub_layers)
    bits.code()
    bits.take(1 if bits.code() == 3 else 0)
    bits.codes(2)
    if bits.flag():
        bits.codes(4)
    bits.codes(2)
    order_bits = _bounded(bits.code()) + 4
    _for_sub_layers(bits, sub_layers)
    bits.codes(6)
    if bits.flag() and bits.flag():
        _scaling(bits)
    bits.take(2)
    if bits.flag():
        bits.take(8)
        bits.codes(2)
        bits.take(1)
    _short_term(bits)
    if bits.flag():
        for _ in range(_bounded(bits.code())):
            bits.take(order_bits + 1)
    bits.take(2)
    if bits.flag():
        _usability(bits, sub_layers)
    if bits.flag() and _only_range(bits):
        bits.take(9)


def _only_range(bits: UnitBits) -> bool:
    """Tell whether the extension of the range follows. Raises: ValueError where another does."""
    follow = bits.take(8)
    if follow & 0x7F:
        raise ValueError("parameters of more than is shown")
    return bool(follow)


def _scaling(bits: UnitBits) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.flag():
                bits.code()
            else:
                bits.codes((1 if size > 1 else 0) + min(64, 16 << 2 * size))


def _short_term(bits: UnitBits) -> None:
    before = 0
    for number in range(_bounded(bits.code())):
        if number and bits.flag():
            bits.take(1)
            bits.code()
            before = sum(bits.flag() or bits.flag() for _ in range(before + 1))
        else:
            before = _bounded(bits.code()) + _bounded(bits.code())
            for _ in range(before):
                bits.code()
                bits.take(1)


def _usability(bits: UnitBits, sub_layers: int) -> None:
    bits.how_it_is_shown()
    bits.take(3)
    if bits.flag():
        bits.codes(4)
    if bits.flag():
        bits.take(64)
        if bits.flag():
            bits.code()
        if bits.flag():
            _Buffers(bits, sub_layers).read(common=True)
    if bits.flag():
        bits.take(3)
        bits.codes(5)


class _Buffers:
    """What is told of a decoder's buffers; what is common to several is told once."""

    def __init__(self, bits: UnitBits, sub_layers: int) -> None:
        self._bits = bits
        self._sub_layers = sub_layers
        self._kinds = 0
        self._finer = False

    def read(self, *, common: bool) -> None:
        bits = self._bits
        if common:
            self._kinds = bits.take(1) + bits.take(1)
            self._finer = bool(self._kinds) and bits.flag()
            if self._kinds:
                bits.take((19 if self._finer else 0) + 8 + (4 if self._finer else 0) + 15)
        for _ in range(self._sub_layers + 1):
            steady = bits.flag() or bits.flag()
            if steady:
                bits.code()
            soon = not steady and bits.flag()
            count = 1 if soon else _bounded(bits.code()) + 1
            for _ in range(self._kinds * count):
                bits.codes(4 if self._finer else 2)
                bits.take(1)


def _picture(bits: UnitBits) -> None:
    bits.codes(2)
    bits.take(7)
    bits.codes(3)
    bits.take(1)
    skips = bits.flag()
    if bits.flag():
        bits.code()
    bits.codes(2)
    bits.take(4)
    tiles = bits.flag()
    bits.take(1)
    if tiles:
        columns, rows = _bounded(bits.code()), _bounded(bits.code())
        if not bits.flag():
            bits.codes(columns + rows)
        bits.take(1)
    bits.take(1)
    if bits.flag():
        bits.take(1)
        if not bits.flag():
            bits.codes(2)
    if bits.flag():
        _scaling(bits)
    bits.take(1)
    bits.code()
    bits.take(1)
    if bits.flag() and _only_range(bits):
        bits.codes(1 if skips else 0)
        bits.take(1)
        if bits.flag():
            bits.code()
            bits.codes(2 * (_bounded(bits.code()) + 1))
        bits.codes(2)


def _bounded(number: int) -> int:
    if number > _MOST:
        raise ValueError("a number that is too large")
    return number
