"""How several files go to a child and come back as one: each after its length in 8 octets, big-endian. No I/O."""

from collections.abc import Iterable

_LENGTH = 8


def framed(pieces: Iterable[bytes]) -> bytes:
    """Put pieces one after the other, each after its length."""
    return b"".join(len(piece).to_bytes(_LENGTH, "big") + piece for piece in pieces)


def unframed(content: bytes) -> list[bytes]:
    """Take pieces apart again. Raises: ValueError where the lengths do not come out even."""
    pieces, place = [], 0
    while place < len(content):
        start = place + _LENGTH
        place = start + int.from_bytes(content[place:start], "big")
        if place > len(content):
            raise ValueError("a piece is longer than what is there")
        pieces.append(content[start:place])
    return pieces
