"""Bech32 without its length limit, as age writes recipients and identities.

Standard: BIP 173; C2SP age, conventions. Knows nothing of keys. No I/O.
"""

from functools import cache
from struct import unpack

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM_SYMBOLS = 6
_NOT_A_SYMBOL = 0xFF
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)

_SYMBOL_OF_OCTET = bytes(_ALPHABET.index(chr(o)) if chr(o) in _ALPHABET else _NOT_A_SYMBOL for o in range(256))
_CHARACTER_OF_SYMBOL = _ALPHABET.encode("ascii").ljust(256)
_DIGIT_OF_CHARACTER = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")


def _carry(top: int) -> int:
    """Return what ten bits leave behind when two steps of the generator push them out of the checksum's 30."""
    state = top << 20
    for _ in range(2):
        top, state = state >> 25, (state & 0x1FFFFFF) << 5
        for bit, term in enumerate(_GENERATOR):
            if top >> bit & 1:
                state ^= term
    return state


_CARRY = tuple(_carry(top) for top in range(1024))


def _polymod(symbols: bytes) -> int:
    """Return the remainder of BIP 173, two symbols a step, which a hybrid recipient of 1,959 characters needs."""
    # The remainder begins at 1, which is the same as a symbol 1 before all others; zeros before that change nothing.
    pairs = (len(symbols) + 2) // 2
    octets = int.from_bytes(b"\x01" + symbols)
    halves = int.from_bytes(b"\x00\x1f" * pairs)
    ten_bits = octets & halves | octets >> 3 & halves << 5
    carry = _CARRY
    state = 0
    for pair in unpack(f">{pairs}H", ten_bits.to_bytes(2 * pairs)):
        state = (state & 0xFFFFF) << 10 ^ pair ^ carry[state >> 20]
    return state


@cache
def _halvings(count: int) -> tuple[tuple[int, int], ...]:
    """Give, for each step of `_symbols`, the mask of the halves that stay and by how much the others move."""
    steps: list[tuple[int, int]] = []
    half = 1 << (count - 1).bit_length()
    blocks = 1
    while half > 1:
        half, blocks = half // 2, blocks * 2
        stays = sum(((1 << 5 * half) - 1) << 16 * half * block for block in range(blocks // 2))
        steps.append((stays, half))
    return tuple(steps)


def _symbols(payload: bytes) -> bytes:
    """Return the payload's groups of five bits, an octet each, in as many steps as their number can be halved."""
    count = -(-len(payload) * 8 // 5)
    number = int.from_bytes(payload) << 5 * count - 8 * len(payload)
    for stays, half in _halvings(count):
        # The upper half of each block moves up by the three empty bits that each group of the lower half is to have.
        number = number & stays | (number & stays << 5 * half) << 3 * half
    return number.to_bytes(count)


def _expand(prefix: str) -> bytes:
    octets = prefix.encode("ascii")
    return bytes(o >> 5 for o in octets) + b"\x00" + bytes(o & 31 for o in octets)


def encode(prefix: str, payload: bytes) -> str:
    """Write a payload under a lower-case prefix."""
    symbols = _symbols(payload)
    digits = symbols.translate(_CHARACTER_OF_SYMBOL).decode("ascii")
    rest = _polymod(_expand(prefix) + symbols + bytes(_CHECKSUM_SYMBOLS)) ^ 1
    checksum = "".join(_ALPHABET[rest >> 5 * (5 - place) & 31] for place in range(_CHECKSUM_SYMBOLS))
    return f"{prefix}1{digits}{checksum}"


def decode(text: str) -> tuple[str, bytes]:
    """Read a prefix (in the case it was written) and its payload.

    Raises: ValueError on mixed case, a foreign character, a wrong checksum or bits left over.
    """
    lowered = text.lower()
    if text not in (lowered, text.upper()) or not text.isascii():
        raise ValueError("the letters are not all of one case")
    prefix, separator, coded = lowered.rpartition("1")
    if not separator or not prefix or len(coded) < _CHECKSUM_SYMBOLS:
        raise ValueError("there is no prefix or no checksum")
    if not all(33 <= ord(character) <= 126 for character in prefix):
        raise ValueError("the prefix holds a character that cannot be printed")
    symbols = coded.encode("ascii").translate(_SYMBOL_OF_OCTET)
    if _NOT_A_SYMBOL in symbols:
        raise ValueError("there is a character that Bech32 does not have")
    if _polymod(_expand(prefix) + symbols) != 1:
        raise ValueError("the checksum does not match")
    digits = coded[:-_CHECKSUM_SYMBOLS]
    count, left_over = divmod(len(digits) * 5, 8)
    number = int(digits.translate(_DIGIT_OF_CHARACTER), 32) if digits else 0
    if left_over > 4 or number & ((1 << left_over) - 1):
        raise ValueError("bits are left over")
    return text[: len(prefix)], (number >> left_over).to_bytes(count)
