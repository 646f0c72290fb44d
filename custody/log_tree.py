"""The whole tree of a log in memory, 64 octets an entry, so that any root and any part of it can be asked for at once.

For audits and rebuilding, which read every entry anyway. Serving proofs is the business of `tiles`. No I/O.
"""

from hashlib import sha256

from custody.merkle import HASH_OCTETS, tree_root


class LogTree:
    """The tree over the leaf hashes that were appended."""

    def __init__(self) -> None:
        self._levels = [bytearray()]

    @property
    def size(self) -> int:
        return len(self._levels[0]) // HASH_OCTETS

    def append(self, leaf_hash: bytes) -> None:
        self._levels[0] += leaf_hash

    def hash_at(self, level: int, index: int) -> bytes:
        """Return the hash of the complete node at (level, index), as the functions of `merkle` ask for it."""
        return self.nodes(level, index, 1)

    def nodes(self, level: int, first: int, count: int) -> bytes:
        """Return `count` nodes of one level, one after another. Raises: ValueError where one is not complete."""
        if (first + count) << level > self.size:
            raise ValueError("the log has no complete node there")
        start = first * HASH_OCTETS
        return bytes(memoryview(self._level(level))[start : start + count * HASH_OCTETS])

    def root(self, size: int) -> bytes:
        """Return the root that the log had when it was `size` entries long."""
        return tree_root(size, self.hash_at)

    def part(self, first: int, end: int) -> bytes:
        """Return the hash of the subtree over entries `first` to `end` (half open).

        Shapes: `first` is a multiple of a power of two that is not less than `end - first`.
        """
        return tree_root(end - first, lambda level, index: self.hash_at(level, index + (first >> level)))

    def _level(self, level: int) -> bytearray:
        while len(self._levels) <= level:
            self._levels.append(bytearray())
        for place in range(1, level + 1):
            below, above = self._levels[place - 1], self._levels[place]
            pair = 2 * HASH_OCTETS
            if len(above) // HASH_OCTETS < len(below) // pair:
                above += b"".join(
                    sha256(b"\x01" + below[start : start + pair]).digest()
                    for start in range(2 * len(above), len(below) - pair + 1, pair)
                )
        return self._levels[level]
