"""The port of the store in memory, for tests of what stands on it; it passes the same contract suite as the others."""

from collections.abc import Iterator, Sequence
from typing import Self

from blake3 import blake3

from archive.errors import ConflictError, NotFoundError
from archive.store.port import PATCHABLE, Octets, StagedWrite, check_name
from archive.types import Digest, DigestAlgorithm


class MemoryStaged:
    def __init__(self, staging: set["MemoryStaged"]) -> None:
        self.octets = bytearray()
        self.closed = False
        self._staging = staging
        staging.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    def write(self, data: Octets) -> None:
        if self.closed:
            raise ValueError("this staged write is closed")
        self.octets += data

    def write_at(self, offset: int, data: Octets) -> None:
        if self.closed or not 0 <= offset <= offset + len(data) <= min(len(self.octets), PATCHABLE):
            raise ValueError("only octets already written, within the first PATCHABLE, can be patched")
        self.octets[offset : offset + len(data)] = data

    def tell(self) -> int:
        return len(self.octets)

    def read_range(self, start: int, length: int, /) -> bytes:
        if self.closed:
            raise ValueError("this staged write is closed")
        return bytes(self.octets[start : start + length])

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True
        self._staging.discard(self)


class MemoryRange:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        return len(self._octets)

    def read_range(self, start: int, length: int) -> bytes:
        if start < 0 or length < 0:
            raise ValueError("a range begins at 0 or later and is not negative")
        return self._octets[start : start + length]

    def close(self) -> None:
        pass


class MemoryStore:
    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._staging: set[MemoryStaged] = set()

    def stage(self, *, read_back: bool = False) -> MemoryStaged:
        del read_back  # All of it is in memory.
        return MemoryStaged(self._staging)

    def publish(self, pairs: Sequence[tuple[StagedWrite, str]]) -> None:
        for staged, name in pairs:
            if not isinstance(staged, MemoryStaged):
                raise TypeError("a store publishes only what it staged itself")
            self._objects.setdefault(check_name(name), bytes(staged.octets))
            staged.abort()

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        self.put_many([(name, data)], replace=replace)

    def put_many(self, items: Sequence[tuple[str, bytes]], *, replace: bool = False) -> None:
        conflicts = []
        for name, _ in items:
            check_name(name)
        for name, data in items:
            if not replace and self._objects.setdefault(name, data) != data:
                conflicts.append(name)
            elif replace:
                self._objects[name] = data
        if conflicts:
            raise ConflictError(
                "archive/object-exists",
                "Something else is already stored under this name. It was kept as it is.",
                evidence={"name": conflicts[0]},
            )

    def read(self, name: str) -> bytes:
        try:
            return self._objects[check_name(name)]
        except KeyError as error:
            raise NotFoundError(
                "archive/no-such-object", "The archive has no object of this name.", evidence={"name": name}
            ) from error

    def read_range(self, name: str, start: int, length: int) -> bytes:
        return self.open_range(name).read_range(start, length)

    def open_range(self, name: str) -> MemoryRange:
        return MemoryRange(self.read(name))

    def size(self, name: str) -> int:
        return len(self.read(name))

    def exists(self, name: str) -> bool:
        return check_name(name) in self._objects

    def digest(self, name: str) -> Digest:
        return Digest(DigestAlgorithm.BLAKE3, blake3(self.read(name)).digest())

    def read_back(self, staged: StagedWrite, name: str) -> Digest:
        del staged  # Nothing was read before.
        return self.digest(name)

    def list(self, prefix: str) -> Iterator[str]:
        return iter(sorted(name for name in self._objects if name.startswith(prefix)))

    def delete(self, name: str) -> None:
        self._objects.pop(check_name(name), None)

    def sweep_staging(self) -> int:
        return 0  # All writers live in this process, and what a dead one left is gone with it.

    def close(self) -> None:
        self._staging.clear()
