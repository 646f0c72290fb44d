"""Holding an import, so that two processes never work on the same one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from archive.catalogue.records import ImportBatch
from archive.durable import storage_errors
from archive.errors import ConflictError
from archive.types import Clock

_LONGEST = 200


@contextmanager
def hold_import(folder: Path, import_id: UUID, clock: Clock) -> Iterator[None]:
    """Hold an import against every other process; the lock goes with the process that held it.

    Raises: ConflictError `archive/held`, which says who holds it and since when.
    """
    path = _path(folder, import_id)
    with storage_errors():
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with storage_errors():
            _lock(descriptor, fcntl.LOCK_EX, "This import")
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} since {clock():%Y-%m-%d %H:%M:%S} UTC".encode("ascii"))
        yield
        # Whoever opened the file before it goes finds the import ended, so that a lock on the old file does no harm.
        with storage_errors():
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def refuse_held(folder: Path, batch: ImportBatch) -> None:
    """Refuse to begin beside a process that works on that import of the same source.

    Raises: ConflictError `archive/held`, as `hold_import`.
    """
    with storage_errors():
        try:
            descriptor = os.open(_path(folder, batch.id), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
    try:
        with storage_errors():
            _lock(descriptor, fcntl.LOCK_SH, f"An import of the same source, {batch.number},")
    finally:
        os.close(descriptor)


def _path(folder: Path, import_id: UUID) -> Path:
    return folder / f"import-{import_id}.lock"


def _lock(descriptor: int, how: int, what: str) -> None:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, _LONGEST).decode("ascii", "replace").strip() or "another process"
        raise ConflictError(
            "archive/held",
            f"{what} is being worked on by {holder}. Nothing was changed by this one. Wait for the other to end.",
        ) from error
