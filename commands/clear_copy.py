"""A copy in clear, where a person said that it should lie; it has no name there before its readers found it clean."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from archive.durable import sync_plainly
from archive.errors import InputError, UnavailableError
from media.ranges import FileRanges, RangeSource

_NO_NAMELESS_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


class _Part:
    """An open file with its size, as `FileRanges` wants it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:
        return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]  # of BinaryIO


class ClearCopy:
    """A `media.cleaners.port.Copy` in a file; a context manager. `keep` gives it its name, anything else drops it.

    The file has no name while it is made, so a crash leaves nothing; on file systems that cannot do that it bears a
    name of its own beside its place and is removed at the end.
    Raises: InputError `cli/cannot-write` where something has the name already; UnavailableError `archive/store-full`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part: Path | None = None
        if path.exists() or path.is_symlink():
            raise InputError("cli/cannot-write", "There is something at the place for the copy. Nothing was done.")
        self.sink: BinaryIO = os.fdopen(self._open(), "w+b")

    def __enter__(self) -> "ClearCopy":
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.close()
        if self._part is not None:
            with suppress(FileNotFoundError):
                self._part.unlink()

    @contextmanager
    def reading(self) -> Iterator[RangeSource]:
        """Give what was written to its readers."""
        self.sink.flush()
        yield FileRanges(_Part(self.sink))

    def keep(self) -> None:
        """Give the copy its name, durably."""
        try:
            sync_plainly(self.sink.fileno())
            folder = os.open(self._path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._name(folder)
                sync_plainly(folder)
            finally:
                os.close(folder)
        except FileExistsError as error:
            raise InputError(
                "cli/cannot-write",
                "Something came to lie at the place for the copy. It was not touched; no copy was made.",
            ) from error
        except OSError as error:
            raise UnavailableError(
                "archive/store-full", "The copy could not be written to its place. Nothing was left there."
            ) from error

    def _name(self, folder: int) -> None:
        """Link the nameless file to its place, which never replaces what lies there."""
        if self._part is None:
            nameless = f"/proc/self/fd/{self.sink.fileno()}"
            os.link(nameless, self._path.name, dst_dir_fd=folder, follow_symlinks=True)
        elif self._path.exists():
            raise FileExistsError(errno.EEXIST, "the place was taken meanwhile")
        else:
            self._part.rename(self._path)  # A file system without nameless files may have no links either.
            self._part = None

    def _open(self) -> int:
        folder = self._path.absolute().parent
        try:
            return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in _NO_NAMELESS_FILES:
                raise InputError(
                    "cli/cannot-write", "The place for the copy cannot be written. Nothing was done."
                ) from error
        self._part = folder / f".{self._path.name}.{os.urandom(8).hex()}.part"
        return os.open(self._part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
