"""The store as a directory. Renaming, syncing and staging are its own business and show in no signature.

<root>/objects/ab/cd/<digest>.age     folders 0700, files 0600
<root>/log/…
<root>/.staging/<session>/<random>    on the same file system, or nothing could be renamed
"""

import errno
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self

from archive.durable import make_folder_durably, storage_errors, sync, sync_file_system
from archive.errors import ConflictError, NotFoundError, TestigoError
from archive.store.openfile import OpenFile
from archive.store.port import StagedWrite, check_name
from archive.store.staging import FOLDER, Session, StagedFile, sweep
from archive.types import Digest

_STAGING = ".staging"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ_BLOCK = 4 * 1024 * 1024


class DirectoryStore:
    """The port of `archive.store.port` over a directory of one local file system."""

    def __init__(self, root: Path) -> None:
        # On a read-only medium a copy is read without the folder that only writers need; no backup holds it.
        is_staged = (root / _STAGING).is_dir() or os.access(root, os.W_OK) or not root.is_dir()
        if is_staged:
            make_folder_durably(root / _STAGING)
        self._lock = threading.Lock()
        with storage_errors():
            # Opened before anything is written: what syncfs answers about failed writes counts from then on.
            self._root = os.open(root, FOLDER)
            self._staging = os.open(_STAGING, FOLDER, dir_fd=self._root) if is_staged else None
        self._buffers = threading.local()
        self._session: Session | None = None
        self._sync_failures = 0
        self._synced_folders = {""}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stage(self, *, read_back: bool = False) -> StagedFile:
        with storage_errors():
            if self._staging is None:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            with self._lock:
                if self._session is None:
                    self._session = Session(self._staging)
            return StagedFile(self._session.fd, self._sync_failures, read_back=read_back)

    def publish(self, pairs: Sequence[tuple[StagedWrite, str]]) -> None:
        self._settle([(_own(staged), check_name(name)) for staged, name in pairs], replace=False)

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        self.put_many([(name, data)], replace=replace)

    def put_many(self, items: Sequence[tuple[str, bytes]], *, replace: bool = False) -> None:
        pairs: list[tuple[StagedFile, str]] = []
        try:
            for name, data in items:
                check_name(name)
                pairs.append((self.stage(), name))
                pairs[-1][0].write(data)
        except BaseException:  # Raised again; what was staged so far is dropped.
            for staged, _ in pairs:
                staged.abort()
            raise
        taken = self._settle(pairs, replace=replace)
        for (name, data), ours in zip(items, taken, strict=True):
            if not ours and self.read(name) != data:
                raise ConflictError(
                    "archive/object-exists",
                    "Something else is already stored under this name. It was kept as it is.",
                    evidence={"name": name},
                )

    def read(self, name: str) -> bytes:
        with self.open_range(name) as source:
            return source.read_range(0, source.size)

    def read_range(self, name: str, start: int, length: int) -> bytes:
        with self.open_range(name) as source:
            return source.read_range(start, length)

    def open_range(self, name: str) -> OpenFile:
        with storage_errors(), _expecting(name):
            fd = os.open(check_name(name), _READ, dir_fd=self._root)
            try:
                return OpenFile(fd, _size_of_file(os.fstat(fd)))
            except OSError:
                os.close(fd)
                raise

    def size(self, name: str) -> int:
        with storage_errors(), _expecting(name):
            return _size_of_file(os.stat(check_name(name), dir_fd=self._root, follow_symlinks=False))

    def exists(self, name: str) -> bool:
        try:
            self.size(name)
        except NotFoundError:
            return False
        return True

    def digest(self, name: str) -> Digest:
        # One buffer for each thread: fresh memory for every object costs more than hashing it.
        if not hasattr(self._buffers, "read"):
            self._buffers.read = memoryview(bytearray(_READ_BLOCK))
        with self.open_range(name) as source:
            return source.digest(self._buffers.read)

    def read_back(self, staged: StagedWrite, name: str) -> Digest:
        reading = _own(staged).take_reading_back()
        if reading is None:
            return self.digest(name)
        with closing(reading):
            return reading.digest()

    def list(self, prefix: str) -> Iterator[str]:
        return self._walk(prefix.rpartition("/")[0], prefix)

    def delete(self, name: str) -> None:
        folder = check_name(name).rpartition("/")[0]
        with storage_errors(), suppress(FileNotFoundError, NotADirectoryError):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._root)
            self._sync_folder(folder)

    def sweep_staging(self) -> int:
        with storage_errors():
            return sweep(self._staging) if self._staging is not None else 0

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
        for fd in (self._staging, self._root):
            if fd is not None:
                os.close(fd)

    def _settle(self, pairs: Sequence[tuple[StagedFile, str]], *, replace: bool) -> Sequence[bool]:
        """Give the staged files their names. Return for each whether it took its name, or another had it."""
        # 1. the octets:           fsync(file)                       for a group: syncfs
        # 2. the missing folders:  mkdirat
        # 3. the names:            linkat and unlinkat(staged), or renameat in place of another
        # 4. the names, durably:   fsync(folder), and above it       for a group: syncfs
        #                          where a folder was new
        # Nobody sees a name before its octets are on the disk; nobody is answered before the name is.
        try:
            with storage_errors():
                alone = len(pairs) == 1 and pairs[0][0].sync()
                if not alone:
                    self._sync_all(pairs)
                new_folders = [folder for _, name in pairs for folder in self._make_folders(name)]
                taken = [(staged.rename if replace else staged.link)(self._root, name) for staged, name in pairs]
                if alone:
                    for folder in new_folders:
                        self._sync_folder(folder.rpartition("/")[0])
                    self._sync_folder(pairs[0][1].rpartition("/")[0])
                else:
                    self._sync_all(pairs)
            self._synced_folders.update(new_folders)
            return taken
        except BaseException:  # Raised again.
            for staged, _ in pairs:
                staged.abort()
            raise

    def _make_folders(self, name: str) -> Iterator[str]:
        """Make the folders above `name`; yield, from the top down, those that this process has not synced yet."""
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth])
            if folder not in self._synced_folders:
                # One that is there already may come from a process that was killed before it could sync it.
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o700, dir_fd=self._root)
                yield folder

    def _sync_folder(self, folder: str) -> None:
        fd = os.open(folder or ".", FOLDER, dir_fd=self._root)
        try:
            sync(fd)
        finally:
            os.close(fd)

    def _sync_all(self, pairs: Sequence[tuple[StagedFile, str]]) -> None:
        # The kernel tells of a lost write once for each descriptor, so that of two threads only one would hear of it.
        # Whoever began to write before a failed sync is told by us.
        with self._lock:
            if any(staged.failures_before != self._sync_failures for staged, _ in pairs):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            try:
                sync_file_system(self._root)
            except TestigoError:
                self._sync_failures += 1
                raise

    def _walk(self, folder: str, prefix: str) -> Iterator[str]:
        for name in _entries(self._root, folder):
            full = f"{folder}/{name}" if folder else name
            if full.endswith("/"):
                if full.startswith(prefix) or prefix.startswith(full):
                    yield from self._walk(full[:-1], prefix)
            elif full.startswith(prefix):
                yield full


def _entries(root: int, folder: str) -> list[str]:
    """Return the names in `folder`, those of folders with a `/`, so that they sort as the whole names do."""
    with storage_errors():
        try:
            fd = os.open(folder or ".", FOLDER, dir_fd=root)
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            with os.scandir(fd) as entries:
                return sorted(
                    entry.name + "/" * entry.is_dir(follow_symlinks=False)
                    for entry in entries
                    if not entry.name.startswith(".")
                )
        finally:
            os.close(fd)


def _size_of_file(status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a file")
    return status.st_size


def _own(staged: StagedWrite) -> StagedFile:
    if not isinstance(staged, StagedFile):
        raise TypeError("a store publishes only what it staged itself")
    return staged


@contextmanager
def _expecting(name: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(
            "archive/no-such-object",
            "The archive has no object of this name.",
            evidence={"name": name},
        ) from error
