"""Small files, written so that a power cut leaves the old bytes or the new ones, whole, and loses nothing acknowledged.

The order of system calls stands in each function. What the kernel cannot write is translated here into the error tree.
A failed `fsync` is never tried again on the same descriptor: the kernel forgets the pages it could not write, and a
second call would answer "done" for bytes that are gone (Rebello et al., Can Applications Recover from fsync Failures?,
2020). The write as a whole has failed, and only writing it anew can make it good.
"""

import ctypes
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archive.errors import ConfigError, ConflictError, TestigoError, UnavailableError

PARTIAL_PREFIX = ".partial-"
"""Begins the name of every file that is not yet whole; nothing that reads a folder may take such a name for content."""

_libc = ctypes.CDLL(None, use_errno=True)
_syncfs = getattr(_libc, "syncfs", None)
_sync_file_range = getattr(_libc, "sync_file_range", None)
_SYNC_FILE_RANGE_WRITE = 2
_SYNC_FILE_RANGE_WRITE_AND_WAIT = 7


def write_durably(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put `data` at `path`, in place of whatever stood there.

    Promises: after a crash at any moment `path` holds the old bytes or the new, whole; after return, the new.
    Raises: UnavailableError `archive/store-full`, `archive/store-failing`; ConfigError `archive/store-read-only`,
    `archive/store-not-permitted`.
    """
    # 1. openat(folder, ".partial-<random>", O_CREAT | O_EXCL)
    # 2. flock: tells sweep_partials that the writer lives
    # 3. write
    # 4. fsync: or the name could come to stand over no bytes
    # 5. renameat(".partial-<random>", name)
    # 6. fsync(folder): or the name itself could be lost
    # 7. close: not before 5, or a sweep could take the file away
    with storage_errors(), _open_folder(path.parent) as folder, _partial(folder, data, mode) as partial:
        os.rename(partial, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        sync(folder)


def create_durably(path: Path, data: bytes) -> None:
    """Put `data` at `path`, where nothing may stand yet; of two that try at once, one is refused.

    Promises: as `write_durably`.
    Raises: ConflictError `archive/already-there`, and the errors of `write_durably`.
    """
    # As write_durably, but step 5 is linkat(".partial-<random>", name), which never replaces, and then
    # unlinkat(".partial-<random>").
    with storage_errors(), _open_folder(path.parent) as folder, _partial(folder, data, 0o600) as partial:
        try:
            os.link(partial, path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError as error:
            raise ConflictError(
                "archive/already-there",
                "Something of this name is already there. It was kept and nothing was written.",
                evidence={"path": str(path)},
            ) from error
        os.unlink(partial, dir_fd=folder)
        sync(folder)


def remove_durably(path: Path) -> None:
    """Remove `path`. Where nothing stands there, make sure that it stays so: an earlier removal may not have lasted."""
    # unlinkat(folder, name), fsync(folder)
    with storage_errors(), _open_folder(path.parent) as folder:
        with suppress(FileNotFoundError):
            os.unlink(path.name, dir_fd=folder)
        sync(folder)


def make_folder_durably(path: Path) -> None:
    """Make `path` and what is missing above it; it may be there already."""
    # From the top down, for each missing folder: mkdir(folder), fsync(its parent).
    # The parent of a folder that is there is synced too: the process that made it may have been killed before it could.
    missing = [path]
    with storage_errors():
        while not missing[-1].parent.is_dir():
            missing.append(missing[-1].parent)
        for folder in reversed(missing):
            if not folder.is_dir():
                with suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
            sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Make the names in the folder `path` durable."""
    with storage_errors(), _open_folder(path) as folder:
        sync(folder)


def sync(fd: int) -> None:
    """Make a file, or the names in a folder, durable. Raises: as `write_durably`."""
    with storage_errors():
        sync_plainly(fd)


def sync_plainly(fd: int) -> None:
    """As `sync`, for whoever has words of their own for an OSError. Every `fsync` of the program is this one."""
    # 1. fsync   2. fstat
    # An XFS that has stopped (its log could not be written) answers fsync of a folder with 0, though the names are
    # lost: it has already dropped what there was to write. fstat says EIO then, and costs nothing otherwise.
    os.fsync(fd)
    os.fstat(fd)


def sync_folder_plainly(path: Path) -> None:
    """As `sync_folder`, for whoever has words of their own for an OSError."""
    with _open_folder(path) as folder:
        sync_plainly(folder)


def sync_file_system(fd: int) -> None:
    """Make everything durable that was written to the file system on which the folder `fd` lies.

    Promises: an error of any write since `fd` was opened is raised once for each descriptor: open it before writing.
    Raises: as `write_durably`.
    """
    # 1. syncfs(fd): all data, then the journal   2. fsync(fd), fstat(fd)
    # The second is there because a file system that stopped after a journal error counts as read-only, and syncfs on a
    # read-only file system answers 0 whatever was lost. fsync says EROFS or EIO, and costs little when all is clean.
    with storage_errors():
        if _syncfs is None:
            os.sync()
        elif _syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        sync(fd)


def start_writing_back(fd: int, start: int, length: int) -> None:
    """Ask the disk to begin with these octets. This speeds a later `fsync` and promises nothing by itself."""
    # SYNC_FILE_RANGE_WRITE alone waits for nothing and takes no error away from the fsync that must report it.
    if _sync_file_range is not None:
        _sync_file_range(fd, ctypes.c_int64(start), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)


def wait_until_written(fd: int, start: int, length: int) -> None:
    """Wait until the disk has taken these octets. This makes nothing durable: the disk may hold them in its own cache.

    Raises: OSError where it could not; on this descriptor that error is not reported a second time.
    """
    if _sync_file_range is not None:
        flags = _SYNC_FILE_RANGE_WRITE_AND_WAIT
        if _sync_file_range(fd, ctypes.c_int64(start), ctypes.c_int64(length), flags) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def sweep_partials(folder: Path) -> int:
    """Remove what killed writers left in `folder`, not below it. Return how many files went; a living writer's stay."""
    swept = 0
    with storage_errors(), _open_folder(folder) as folder_fd:
        with os.scandir(folder_fd) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(PARTIAL_PREFIX)]
        for name in names:
            swept += _sweep(folder_fd, name)
    return swept


@contextmanager
def storage_errors() -> Iterator[None]:
    """Translate the OSErrors of the block into the error tree."""
    try:
        yield
    except OSError as error:
        raise _translated(error) from error


@contextmanager
def _open_folder(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _partial(folder: int, data: bytes, mode: int) -> Iterator[str]:
    """Yield the name of a synced file that holds `data`, for the block to rename; removed when the block fails."""
    fd, name = _open_partial(folder, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        sync(fd)
        yield name
    except BaseException:  # Raised again: an interrupt, too, must leave no file behind.
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(fd)


def _open_partial(folder: int, mode: int) -> tuple[int, str]:
    while True:
        # A random name cannot be prepared by another user of the folder, and two writers never meet.
        name = PARTIAL_PREFIX + secrets.token_hex(16)
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            swept = os.fstat(fd).st_nlink == 0
        except BaseException:  # Raised again; the descriptor is closed.
            os.close(fd)
            raise
        if not swept:
            return fd, name
        os.close(fd)  # A sweep came between open and flock; begin again.


def _sweep(folder: int, name: str) -> bool:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=folder)
    except (BlockingIOError, FileNotFoundError):
        return False  # Its writer lives, or has just finished.
    finally:
        os.close(fd)
    return True


def _translated(error: OSError) -> TestigoError:
    evidence = {"errno": errno.errorcode.get(error.errno or 0, str(error.errno)), "path": str(error.filename or "")}
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return UnavailableError(
                "archive/store-full",
                "The disk of the archive is full. Everything acknowledged so far is kept; what was being written was "
                "not taken in. Free some space, then do the same again.",
                evidence=evidence,
            )
        case errno.ENOENT | errno.ENOTDIR:
            return UnavailableError(
                "archive/store-missing",
                "A folder of the archive is not there. Nothing was changed. See that its disk is mounted, "
                "then do the same again.",
                evidence=evidence,
            )
        case errno.EROFS:
            return ConfigError(
                "archive/store-read-only",
                "The disk of the archive can only be read. What is there is kept and nothing was written. A disk that "
                "turns read-only by itself has usually failed: look at the system's log before mounting it again.",
                evidence=evidence,
            )
        case errno.EACCES | errno.EPERM:
            return ConfigError(
                "archive/store-not-permitted",
                "This system user may not use the folder of the archive. Nothing was changed. Run as the user who owns "
                "the archive, or correct the owner of its folder.",
                evidence=evidence,
            )
        case errno.EMFILE | errno.ENFILE:
            return UnavailableError(
                "archive/too-many-open-files",
                "Too many files are open at once. Everything acknowledged so far is kept. Try again, or raise the "
                "limit (ulimit -n).",
                evidence=evidence,
            )
        case _:
            return UnavailableError(
                "archive/store-failing",
                "The disk of the archive does not read or write as it should. Nothing that was acknowledged has been "
                "changed; what was being done was not taken in. Check the disk and the system's log, then try again.",
                evidence=evidence,
            )
