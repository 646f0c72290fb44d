"""Reading a large staged file back while more of it is still written, a little behind the writer.

What was read back leaves the page cache: a card of many gigabytes then pushes nothing else out of a small machine's
memory, and no fresh memory has to be found for each gigabyte, which costs as much as hashing it. Knows a descriptor;
gives octets to nobody.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from blake3 import blake3

from archive.durable import storage_errors, wait_until_written
from archive.types import Digest, DigestAlgorithm

BLOCK_OCTETS = 16 * 1024 * 1024
BLOCKS_BEHIND = 2
"""How far behind the writer: so much that the disk has taken what is read, so little that it is still in memory."""

_READ_OCTETS = 1024 * 1024


class ReadingBack:
    """Takes the BLAKE3 of the file `name` in `folder` as the disk's cache gives it back; `close` it in any case."""

    def __init__(self, folder: int, name: str) -> None:
        # A descriptor of its own: waiting on the writer's would take away an error that its fsync must report.
        self._fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-back")
        self._buffer = memoryview(bytearray(_READ_OCTETS))
        self._hasher = blake3()
        self._asked = 0
        self._error: OSError | None = None

    def follow(self, written: int) -> None:
        """Have read what is far enough behind the `written` octets."""
        while self._asked + (1 + BLOCKS_BEHIND) * BLOCK_OCTETS <= written:
            self._thread.submit(self._read_block, self._asked)
            self._asked += BLOCK_OCTETS

    def digest(self) -> Digest:
        """Read the rest and return the digest of the whole, once everything is written.

        Raises: as `storage_errors`, also what went wrong before.
        """
        self._thread.shutdown()
        with storage_errors():
            if self._error is not None:
                raise self._error
            while self._read(_READ_OCTETS):
                pass
        return Digest(DigestAlgorithm.BLAKE3, self._hasher.digest())

    def close(self) -> None:
        """Read no further."""
        self._thread.shutdown(cancel_futures=True)
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _read_block(self, start: int) -> None:
        if self._error is not None:
            return
        try:
            # Only what is on the disk leaves the cache.
            wait_until_written(self._fd, start, BLOCK_OCTETS)
            left = BLOCK_OCTETS
            while left and (count := self._read(left)):
                left -= count
            os.posix_fadvise(self._fd, start, BLOCK_OCTETS, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            self._error = error

    def _read(self, most: int) -> int:
        """Read on from where the last reading ended."""
        count = os.readv(self._fd, [self._buffer[:most]])
        self._hasher.update(self._buffer[:count])
        return count
