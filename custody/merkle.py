"""The Merkle tree of the log: one digest that stands for every entry, and short proofs that an entry is under it.

A leaf is hashed as SHA-256(0x00 || entry), an inner node as SHA-256(0x01 || left || right), so that neither can pose as
the other. A tree of `size` leaves is filled from the left; a node without a right neighbour moves up as it is:

        size 5          root
                       /    \\          level 0 holds the leaf hashes, level 1 the hashes of two leaves, and so on.
                      n      4         The node at (level, index) covers the leaves index*2^level up to
                    /   \\              (index+1)*2^level, not included.
                   n     n
                  / \\   / \\            Inclusion of leaf 2 in 5 is proved by: leaf 3, the node over 0 and 1, leaf 4.
                 0   1 2   3

Every function below walks one path: from a node up to the root, naming the neighbour at each level. Nothing here knows
what an entry says or where hashes are stored. Standards: RFC 6962, 2.1; RFC 9162, 2.1. No I/O.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from archive.errors import IntegrityError

HashAt = Callable[[int, int], bytes]
"""Returns the hash of the complete node at (level, index)."""

HASH_OCTETS = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _path(leaf: int, size: int, lowest: int = 0) -> Iterator[tuple[int, int]]:
    """Walk from the node over `leaf` at level `lowest` to the root; yield (level, index) of each neighbour there is.

    An even index means that the neighbour stands to the left.
    """
    for level in range(lowest, (size - 1).bit_length()):
        neighbour = (leaf >> level) ^ 1
        if neighbour << level < size:
            yield level, neighbour


def verify_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Prove that `leaf_hash` stands at `index` in the tree of `size` leaves whose root is `root`.

    Standard: RFC 9162, 2.1.3.2.
    Raises: IntegrityError `custody/not-included`, with everything as received.
    """
    computed = root_from_inclusion_proof(index, size, leaf_hash, proof)
    if computed is None or computed != root:
        raise IntegrityError(
            "custody/not-included",
            "The log's root does not cover this entry at this place. Keep the entry, the proof and the checkpoint: "
            "one of them was altered.",
            evidence={
                "index": index,
                "size": size,
                "leaf_hash": leaf_hash.hex(),
                "proof": tuple(step.hex() for step in proof),
                "root": root.hex(),
                "computed_root": computed.hex() if computed is not None else None,
            },
        )


def root_from_inclusion_proof(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Compute the root that `proof` leads to, or None where no proof of this shape can belong to this place."""
    if not 0 <= index < size or not _all_hashes((leaf_hash, *proof)):
        return None
    path = list(_path(index, size))
    if len(path) != len(proof):
        return None
    node = leaf_hash
    for (_, neighbour), digest in zip(path, proof, strict=True):
        node = node_hash(node, digest) if neighbour % 2 else node_hash(digest, node)
    return node


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Prove that the tree of `size2` extends the tree of `size1` and changed none of its leaves.

    Standard: RFC 9162, 2.1.4.2. A proof from the empty tree says nothing and is refused.
    Raises: IntegrityError `custody/inconsistent`, with everything as received.
    """
    if not _consistent(size1, size2, proof, root1, root2):
        raise IntegrityError(
            "custody/inconsistent",
            "The later state of the log does not extend the earlier one: entries were changed, removed or put in. "
            "Keep both checkpoints.",
            evidence={
                "size1": size1,
                "size2": size2,
                "root1": root1.hex(),
                "root2": root2.hex(),
                "proof": tuple(step.hex() for step in proof),
            },
        )


def _consistent(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> bool:
    if not 0 < size1 <= size2 or not _all_hashes(proof):
        return False
    if size1 == size2:
        return root1 == root2 and not proof
    # The proof starts at the last complete node of the older tree. Where that node is the whole older tree, the proof
    # leaves it out, since the verifier has it: it is root1.
    start, rest = (root1, proof) if _is_power_of_two(size1) else (proof[0] if proof else b"", proof[1:])
    path = list(_path(size1 - 1, size2, _trailing_zeros(size1)))
    if len(path) != len(rest) or not _all_hashes((start,)):
        return False
    older = newer = start
    for (_, neighbour), digest in zip(path, rest, strict=True):
        if neighbour % 2:
            newer = node_hash(newer, digest)
        else:
            # Left neighbours were already there in the older tree; right ones came later.
            older, newer = node_hash(digest, older), node_hash(digest, newer)
    return older == root1 and newer == root2


def inclusion_proof(index: int, size: int, hash_at: HashAt) -> tuple[bytes, ...]:
    """Make the proof that `verify_inclusion` takes.

    Shapes: at most ceil(log2(size)) hashes, lowest level first.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    return tuple(_subtree(level, neighbour, size, hash_at) for level, neighbour in _path(index, size))


def consistency_proof(size1: int, size2: int, hash_at: HashAt) -> tuple[bytes, ...]:
    """Make the proof that `verify_consistency` takes.

    Shapes: at most ceil(log2(size2)) + 1 hashes, lowest level first.
    """
    if not 0 < size1 <= size2:
        raise ValueError(f"a tree of {size2} cannot be proved to extend a tree of {size1}")
    if size1 == size2:
        return ()
    lowest = _trailing_zeros(size1)
    path = tuple(_subtree(level, neighbour, size2, hash_at) for level, neighbour in _path(size1 - 1, size2, lowest))
    return path if _is_power_of_two(size1) else (hash_at(lowest, (size1 - 1) >> lowest), *path)


def tree_root(size: int, hash_at: HashAt) -> bytes:
    return _subtree((size - 1).bit_length(), 0, size, hash_at) if size else EMPTY_ROOT


def _subtree(level: int, index: int, size: int, hash_at: HashAt) -> bytes:
    """Compute the node at (level, index) of a tree of `size`, which on the right edge may lack some of its leaves."""
    if (index + 1) << level <= size:
        return hash_at(level, index)
    left, right = 2 * index, 2 * index + 1
    if right << (level - 1) >= size:
        return _subtree(level - 1, left, size, hash_at)
    return node_hash(hash_at(level - 1, left), _subtree(level - 1, right, size, hash_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """The right edge of a tree: all that is needed to append to it and to know its root.

    Shapes: `hashes` holds one complete node for each 1 in the binary form of `size`, largest first: a size of 6, which
    is 4 + 2, has two.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count() or not _all_hashes(self.hashes):
            raise ValueError(f"a frontier of size {self.size} has one hash of 32 octets for each 1 in its binary form")

    def append(self, leaf_hash: bytes) -> "Frontier":
        return self.extend((leaf_hash,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> "Frontier":
        """Append leaf hashes in order."""
        size, hashes = self.size, list(self.hashes)
        for node in leaf_hashes:
            # As when adding one in binary: each trailing 1 is a complete node that now has its right neighbour.
            carry = size
            while carry & 1:
                node = node_hash(hashes.pop(), node)
                carry >>= 1
            hashes.append(node)
            size += 1
        return Frontier(size=size, hashes=tuple(hashes))

    def root(self) -> bytes:
        if not self.hashes:
            return EMPTY_ROOT
        *larger, node = self.hashes
        for left in reversed(larger):
            node = node_hash(left, node)
        return node


def _all_hashes(values: Iterable[bytes]) -> bool:
    return all(len(value) == HASH_OCTETS for value in values)


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1
