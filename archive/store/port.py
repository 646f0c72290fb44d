"""What every place for objects must do, said so that a directory and S3 can both do it. No I/O.

A store knows names and octets. It does not know what they mean and holds no key: everything in it is sealed, or open by
design (the log). Names are made by the archive, never by an observer.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from archive.types import Digest, DigestAlgorithm

PATCHABLE = 5 * 1024 * 1024
"""Octets at the start of a staged write that may still be patched; S3 holds back its first part (of at least 5 MiB)."""

Octets = bytes | bytearray | memoryview

_NAME = re.compile(r"(?!\.)[a-z0-9._-]{1,255}(/(?!\.)[a-z0-9._-]{1,255})*")
_NAME_LENGTH = 900
_OBJECT_NAME = re.compile(r"objects/([0-9a-f]{2})/([0-9a-f]{2})/(\1\2[0-9a-f]{60})\.age")


class StagedWrite(AbstractContextManager["StagedWrite"], Protocol):
    """Octets on their way in. Nobody can read them before they are published; leaving the block drops them."""

    def write(self, data: Octets) -> None:
        """Append `data`, all of it."""

    def write_at(self, offset: int, data: Octets) -> None:
        """Replace octets already written. They must lie within the first `PATCHABLE`."""

    def tell(self) -> int:
        """Return how many octets have been appended."""

    def read_range(self, start: int, length: int, /) -> bytes:
        """Return the octets [start, start + length) as they are written now, fewer only at the end; not once closed."""

    def close(self) -> None:
        """Say that all is written, and give back the descriptor; what was written waits to be published."""

    def abort(self) -> None:
        """Drop what was written. What was published stays, so it can always be called."""


class RangeSource(AbstractContextManager["RangeSource"], Protocol):
    """An object held open for reading in any order, from several threads."""

    @property
    def size(self) -> int: ...

    def read_range(self, start: int, length: int) -> bytes:
        """Return the octets [start, start + length), fewer only where the object ends."""

    def close(self) -> None: ...


class Store(Protocol):
    """A place for named octets.

    Promises: when `publish`, `put`, `put_many` or `delete` return, what they did outlives a power cut; a crash in the
    middle leaves every name with all of its octets, or absent (or as it was, when replaced).
    Raises: NotFoundError `archive/no-such-object` where a name is read that is not there; UnavailableError and
    ConfigError as `archive.durable.storage_errors`; ValueError for a name that `check_name` refuses.
    """

    def stage(self, *, read_back: bool = False) -> StagedWrite:
        """Begin a write; with `read_back`, whoever publishes it asks `read_back` for it afterwards."""

    def publish(self, pairs: Sequence[tuple[StagedWrite, str]]) -> None:
        """Give staged writes their names; a group costs little more than one.

        What already has the name is kept and the staged write dropped, so the name must be the digest of the octets.
        When it raises, all that is staged in the group is dropped; part of it may have become visible, whole.
        """

    def read_back(self, staged: StagedWrite, name: str) -> Digest:
        """Return the BLAKE3 of what was just published under `name`, as the store gives it back.

        As `digest`, but what a store has read back while more was written is not read twice.
        """

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        """Write a small object.

        Raises: ConflictError `archive/object-exists` if other octets stand there and `replace` was not asked for; the
        same octets are no conflict, so that what a crash broke off can simply be done again.
        """

    def put_many(self, items: Sequence[tuple[str, bytes]], *, replace: bool = False) -> None:
        """Write small objects as `put` does, in one group. After a crash any may be there without the others."""

    def read(self, name: str) -> bytes: ...

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Return the octets [start, start + length), fewer only where the object ends."""

    def open_range(self, name: str) -> RangeSource: ...

    def size(self, name: str) -> int: ...

    def exists(self, name: str) -> bool: ...

    def digest(self, name: str) -> Digest:
        """Return the BLAKE3 of the octets as they lie in the store now."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin with `prefix`, in the order of their characters."""

    def delete(self, name: str) -> None:
        """Remove the object, if it is there."""

    def sweep_staging(self) -> int:
        """Remove what killed writers left behind, nothing of a living one's. Return how many there were."""

    def close(self) -> None: ...


def check_name(name: str) -> str:
    """Return `name` if the store takes it: parts of `a-z`, `0-9`, `.`, `_` and `-`, none beginning with a dot.

    Raises: ValueError. Names are the archive's own, so a bad one is a programming error, never a person's.
    """
    if len(name) > _NAME_LENGTH or not _NAME.fullmatch(name):
        raise ValueError("not a name that the store takes")
    return name


def object_name(blake3: Digest) -> str:
    """Return the name of the sealed object with this digest: `objects/ab/cd/<hex>.age` (formats 1.3)."""
    if blake3.algorithm is not DigestAlgorithm.BLAKE3:
        raise ValueError("an object is named by its BLAKE3")
    return f"objects/{blake3.hex[:2]}/{blake3.hex[2:4]}/{blake3.hex}.age"


def named_digest(name: str) -> Digest | None:
    """Return the digest that the name of a sealed object states, or None if it is no such name."""
    match = _OBJECT_NAME.fullmatch(name)
    return Digest(DigestAlgorithm.BLAKE3, bytes.fromhex(match[3])) if match else None
