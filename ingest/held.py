"""Holding an import, so that two processes never work on the same one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from archive.durable import storage_errors
from archive.errors import ConflictError
from archive.types import Clock

_LONGEST = 200


@contextmanager
def hold_import(folder: Path, import_id: UUID, clock: Clock) -> Iterator[None]:
    """Hold an import against every other process; the lock goes with the process that held it.

    Raises: ConflictError `archive/held`, which says who holds it and since when.
    """
    path = folder / f"import-{import_id}.lock"
    with storage_errors():
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with storage_errors():
            _lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} since {clock():%Y-%m-%d %H:%M:%S} UTC".encode("ascii"))
        yield
        # Whoever opened the file before it goes finds the import ended, so that a lock on the old file does no harm.
        with storage_errors():
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, _LONGEST).decode("ascii", "replace").strip() or "another process"
        raise ConflictError(
            "archive/held",
            f"This import is being worked on by {holder}. Nothing was changed by this one. Wait for the other to end.",
        ) from error
