"""Reading the bits of what a decoder is told, and whether a unit of it ends where its parameters end. No I/O.

Standard: ITU-T H.264, 7.2, 7.3.1, 9.1 and H.265, 7.2, 7.3.1, 9.2.
"""

_LONGEST_CODE = 32


class Bits:
    """The bits of some octets, from the highest on. Raises of all readings: ValueError at the end."""

    def __init__(self, octets: bytes) -> None:
        self._value = int.from_bytes(octets, "big")
        self.left = 8 * len(octets)

    def take(self, count: int) -> int:
        if count > self.left:
            raise ValueError("parameters that are cut short")
        self.left -= count
        return self._value >> self.left & (1 << count) - 1

    def flag(self) -> bool:
        return bool(self.take(1))

    def is_spent(self) -> bool:
        """Tell whether nothing but zeros is left; cameras write some more than the rest of the last octet."""
        return not self._value & (1 << self.left) - 1


class UnitBits(Bits):
    """The bits of one unit without what keeps start codes out of it."""

    def __init__(self, unit: bytes, head: int) -> None:
        super().__init__(unit[head:].replace(b"\0\0\3", b"\0\0").rstrip(b"\0"))
        self._last = (self._value & -self._value).bit_length() - 1 if self._value else 0

    def code(self) -> int:
        """Give a number without a sign (`ue`); one with a sign is as long."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _LONGEST_CODE:
                raise ValueError("a number that is too long")
        return (1 << zeros) - 1 + self.take(zeros)

    def codes(self, count: int) -> None:
        for _ in range(count):
            self.code()

    def signed(self) -> int:
        code = self.code()
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def how_it_is_shown(self) -> None:
        """Read the shape of a picture's points, its colours and their places, which both codings tell alike (E.1)."""
        if self.flag() and self.take(8) == 255:
            self.take(32)
        if self.flag():
            self.take(1)
        if self.flag():
            self.take(4)
            if self.flag():
                self.take(24)
        if self.flag():
            self.codes(2)

    def goes_on(self) -> bool:
        """Tell whether anything stands before the last bit that is one (`more_rbsp_data`)."""
        return self.left - 1 > self._last

    def check_end(self) -> None:
        if self.left - 1 != self._last or not 0 <= self._last < 8:
            raise ValueError("something stands behind the parameters")
