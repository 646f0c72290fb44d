"""What a directory store is writing and has not published: files in the folder of a session.

A session is one open store that writes. It holds a lock on its folder as long as its process lives; the kernel lets go
of the lock when the process is killed, and only then does a sweep take the folder. A session is not to be used across a
fork.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from typing import Self

from archive.durable import start_writing_back, storage_errors, sync
from archive.store.port import PATCHABLE, Octets
from archive.store.reading_back import ReadingBack

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE_BACK_EVERY = 16 * 1024 * 1024
_LARGE = 64 * 1024 * 1024
"""From here on a file is read back while it is written."""


class StagedFile:
    """The `StagedWrite` of a directory store."""

    def __init__(self, session: int, failures_before: int, *, read_back: bool = False) -> None:
        self.name = secrets.token_hex(16)
        self.session = session
        self.failures_before = failures_before
        self._size = 0
        self._handed_to_disk = 0
        self._gone = False
        self._reads_back = read_back
        self._reading_back: ReadingBack | None = None
        self._fd: int | None = os.open(self.name, _CREATE, 0o600, dir_fd=session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    def write(self, data: Octets) -> None:
        fd = self._open_fd()
        with storage_errors(), memoryview(data).cast("B") as view:
            done = 0
            while done < len(view):
                done += os.write(fd, view[done:])
        self._size += done
        if self._size - self._handed_to_disk >= _WRITE_BACK_EVERY:
            # Without this the disk idles until the fsync at the end, which then takes as long as all before it.
            start_writing_back(fd, self._handed_to_disk, self._size - self._handed_to_disk)
            self._handed_to_disk = self._size
            self._read_behind()

    def _read_behind(self) -> None:
        if self._reading_back is None and self._size >= _LARGE and self._reads_back:
            with storage_errors():
                self._reading_back = ReadingBack(self.session, self.name)
        if self._reading_back is not None:
            self._reading_back.follow(self._size)

    def take_reading_back(self) -> ReadingBack | None:
        """Give what has been reading back, to its only user, who closes it; None where it is to be read as a whole."""
        reading, self._reading_back = self._reading_back, None
        return reading

    def _stop_reading_back(self) -> None:
        if (reading := self.take_reading_back()) is not None:
            reading.close()

    def write_at(self, offset: int, data: Octets) -> None:
        fd = self._open_fd()
        with storage_errors(), memoryview(data).cast("B") as view:
            if not 0 <= offset <= offset + len(view) <= min(self._size, PATCHABLE):
                raise ValueError("only octets already written, within the first PATCHABLE, can be patched")
            self._reads_back = False
            self._stop_reading_back()
            done = 0
            while done < len(view):
                done += os.pwrite(fd, view[done:], offset + done)

    def tell(self) -> int:
        return self._size

    def read_range(self, start: int, length: int, /) -> bytes:
        fd, wanted = self._open_fd(), min(length, max(0, self._size - start))
        read = bytearray()
        with storage_errors():
            while len(read) < wanted and (piece := os.pread(fd, wanted - len(read), start + len(read))):
                read += piece
        return bytes(read)

    def close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with storage_errors():
                os.close(fd)

    def abort(self) -> None:
        self._stop_reading_back()
        self._drop()

    def _drop(self) -> None:
        if self._gone:
            return
        self._gone = True
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with suppress(OSError):  # Dropped in any case.
                os.close(fd)
        with storage_errors(), suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self.session)

    def sync(self) -> bool:
        """Sync the octets, or return False when the descriptor that knows of earlier write errors was given back."""
        if self._fd is None:
            return False
        sync(self._fd)
        return True

    def rename(self, folder: int, name: str) -> bool:
        """Take the name, in place of whatever had it. Return that it was taken."""
        os.rename(self.name, name, src_dir_fd=self.session, dst_dir_fd=folder)
        self._gone = True
        self.close()
        return True

    def link(self, folder: int, name: str) -> bool:
        """Take the name unless something has it; drop the staged one then. Return whether it was taken."""
        try:
            os.link(self.name, name, src_dir_fd=self.session, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            self._stop_reading_back()
            return False
        finally:
            self._drop()
        return True

    def _open_fd(self) -> int:
        if self._fd is None:
            raise ValueError("this staged write is closed")
        return self._fd


class Session:
    """A locked folder below the staging folder."""

    def __init__(self, staging: int) -> None:
        self._staging = staging
        self._name = secrets.token_hex(16)
        with _exclusive(staging):  # Or a sweep could come between mkdir and flock.
            os.mkdir(self._name, 0o700, dir_fd=staging)
            self.fd = os.open(self._name, FOLDER, dir_fd=staging)
            fcntl.flock(self.fd, fcntl.LOCK_EX)

    def close(self) -> None:
        """Give up the lock. What is still staged stays for the next sweep."""
        with suppress(OSError):  # Not empty: a sweep will see to it.
            os.rmdir(self._name, dir_fd=self._staging)
        os.close(self.fd)


class _exclusive:
    """Hold the lock of the staging folder, on a descriptor of its own, so that threads exclude one another too."""

    def __init__(self, staging: int) -> None:
        self._fd = os.open(".", FOLDER, dir_fd=staging)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def sweep(staging: int) -> int:
    """Remove the folders of sessions whose process is gone. Return how many staged files they held."""
    swept = 0
    with _exclusive(staging):
        for name in _names(staging):
            session = os.open(name, FOLDER, dir_fd=staging)
            try:
                fcntl.flock(session, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for left in _names(session):
                    os.unlink(left, dir_fd=session)
                    swept += 1
                os.rmdir(name, dir_fd=staging)
            except BlockingIOError:
                continue  # It lives.
            finally:
                os.close(session)
    return swept


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]
