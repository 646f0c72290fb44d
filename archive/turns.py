"""Whose turn it is to write an upload: the newest request's, across threads and processes.

A phone whose network broke sends again while the server still waits for the rest of the old request. So whoever comes
takes the turn, and whoever had it finds out before writing anything more. The number of the turn lies in the upload's
lock file; it is read and raised under `flock`, which goes with the process that held it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archive.durable import storage_errors
from archive.errors import ConflictError, NotFoundError

_OCTETS = 8
_LOCK = "lock"


class Turn:
    """One request's turn at an upload, from `taken` until another request takes it.

    Raises: NotFoundError `uploads/no-such-upload`.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _LOCK
        self._number = -1
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd: int | None = os.open(self._path, flags, 0o600)
        except FileNotFoundError as error:
            raise no_such_upload() from error

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the turn; whoever had it writes nothing more. Nobody else writes during the block."""
        with self._locked() as fd:
            if not self._path.exists():
                raise no_such_upload()  # Discarded between open and flock.
            self._number = int.from_bytes(os.pread(fd, _OCTETS, 0), "big") + 1
            # Not synced: after a power cut no request lives whose turn it could be.
            with storage_errors():
                os.pwrite(fd, self._number.to_bytes(_OCTETS, "big"), 0)
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make sure that it is still this request's turn; nobody takes it during the block.

        Raises: ConflictError `uploads/retired`.
        """
        with self._locked() as fd:
            if int.from_bytes(os.pread(fd, _OCTETS, 0), "big") != self._number:
                raise retired()
            yield

    def close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        if self._fd is None:
            raise ValueError("this turn was given back")
        with storage_errors():
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield self._fd
        finally:
            # The block may have given the turn back, and with it the lock.
            if self._fd is not None:
                fcntl.flock(self._fd, fcntl.LOCK_UN)


@contextmanager
def alone(folder: Path, purpose: str) -> Iterator[bool]:
    """Tell whether nobody else does `purpose` with this upload; nobody else will during the block."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(folder / f"{purpose}.lock", flags, 0o600)
    except FileNotFoundError as error:
        raise no_such_upload() from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        yield False
        return
    try:
        yield True
    finally:
        os.close(fd)


def retired() -> ConflictError:
    return ConflictError(
        "uploads/retired",
        "A newer request goes on with this upload. This one has stopped, and wrote nothing after that.",
    )


def no_such_upload() -> NotFoundError:
    return NotFoundError("uploads/no-such-upload", "There is no such unfinished upload.")
