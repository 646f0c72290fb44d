"""A file on the disk, as the workbench reads one."""

from pathlib import Path
from typing import Self


class OnDisk:
    """A `media.ranges.SeekableFile`; a context manager, or closed when nobody has it any more."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.size = path.stat().st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:
        return self._file.readinto(buffer)
