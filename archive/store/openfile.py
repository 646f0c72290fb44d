"""A file of the directory store, held open for reading in any order."""

import os
from typing import Self

from blake3 import blake3

from archive.durable import storage_errors
from archive.types import Digest, DigestAlgorithm


class OpenFile:
    """The `RangeSource` of a directory store."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        return self._size

    def read_range(self, start: int, length: int) -> bytes:
        if start < 0 or length < 0:
            raise ValueError("a range begins at 0 or later and is not negative")
        with storage_errors():
            octets = os.pread(self._fd, length, start)
            while len(octets) < length and (more := os.pread(self._fd, length - len(octets), start + len(octets))):
                octets += more
        return octets

    def digest(self, buffer: memoryview) -> Digest:
        # Read, not mapped: a page that a failing disk cannot give would end the whole process with SIGBUS.
        hasher = blake3(max_threads=blake3.AUTO if self._size >= len(buffer) else 1)
        start = 0
        with storage_errors():
            while start < self._size and (count := os.preadv(self._fd, [buffer], start)):
                hasher.update(buffer[:count])
                start += count
        return Digest(DigestAlgorithm.BLAKE3, hasher.digest())

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
