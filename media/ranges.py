"""How the bytes of a file reach a confined tool: by ranges over an inherited socket, or in one sealed memory file.

Nothing here is ever written to a disk. Standard: our own, spoken with `range_reader.pl` and `credentials_inside.py`.
The opening: the file's number in this conversation and its size (8 octets each, big-endian), the lengths of the pieces
of its beginning and its end that follow (4 octets each), and these pieces, so that most photographs need no request at
all. A request: the file's number and an offset (8 octets each), a length (4 octets), inside the file; the answer is
exactly those bytes. A request names its file because the next file's may come before the last answer was read.
"""

import fcntl
import os
import struct
from threading import Lock
from typing import Protocol, runtime_checkable

from archive.errors import UnavailableError

REQUEST_OCTETS = 20
LARGEST_RANGE = 1 << 20
_REQUEST = struct.Struct(">QQI")
_OPENING = struct.Struct(">QQII")
_BEGINNING_OCTETS = 1 << 18
_END_OCTETS = 1 << 16
_COPY_OCTETS = 1 << 20


@runtime_checkable
class RangeSource(Protocol):
    """The bytes of one file, readable from any place; used by one thread at a time.

    Shapes: `read_range` gives exactly `length` bytes, fewer only at the end of the file.
    """

    @property
    def size(self) -> int: ...

    def read_range(self, start: int, length: int, /) -> bytes: ...


@runtime_checkable
class FillsBuffers(Protocol):
    """A `RangeSource` that can put its octets where they are wanted, without a copy between."""

    def read_into(self, start: int, buffer: memoryview, /) -> int: ...


class SeekableFile(Protocol):
    """A raw file that knows its size, such as the reader of a sealed object."""

    @property
    def size(self) -> int: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None: ...


class FileRanges:
    """Ranges of a seekable file."""

    def __init__(self, file: SeekableFile) -> None:
        self._file = file

    @property
    def size(self) -> int:
        return self._file.size

    def read_range(self, start: int, length: int, /) -> bytes:
        wanted = memoryview(bytearray(max(0, min(length, self._file.size - start))))
        return bytes(wanted[: self.read_into(start, wanted)])

    def read_into(self, start: int, buffer: memoryview, /) -> int:
        """Fill a buffer from a place on; give how much there was."""
        self._file.seek(start)
        done = 0
        while done < len(buffer):
            count = self._file.readinto(buffer[done:])
            if not count:
                break
            done += count
        return done


class BytesRanges:
    """Ranges of bytes that are in memory already."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return len(self._content)

    def read_range(self, start: int, length: int, /) -> bytes:
        return self._content[start : start + length]


class TakingTurns:
    """A source for several threads, of which one reads at a time."""

    def __init__(self, source: RangeSource) -> None:
        self._source = source
        self._turn = Lock()
        self.size = source.size

    def read_range(self, start: int, length: int, /) -> bytes:
        with self._turn:
            return self._source.read_range(start, length)


def read_into(source: RangeSource, start: int, buffer: memoryview) -> int:
    """Fill a buffer from a place on; give how much there was."""
    if isinstance(source, FillsBuffers):
        return source.read_into(start, buffer)
    piece = source.read_range(start, len(buffer))
    buffer[: len(piece)] = piece
    return len(piece)


def as_ranges(source: RangeSource | SeekableFile) -> RangeSource:
    """Give ranges over whatever the caller holds."""
    return source if isinstance(source, RangeSource) else FileRanges(source)


def opening(number: int, source: RangeSource) -> bytes:
    """Give what a tool is told of a file before it asks: its number, its size, its beginning, its end."""
    size = source.size
    before = min(size, _BEGINNING_OCTETS)
    after = min(size - before, _END_OCTETS)
    end = source.read_range(size - after, after) if after else b""
    return b"".join((_OPENING.pack(number, size, before, after), source.read_range(0, before), end))


def number_in(request: bytes) -> int:
    """Give the number of the file that a request is about."""
    number: int = _REQUEST.unpack(request)[0]
    return number


def answer_request(request: bytes, source: RangeSource) -> bytes:
    """Give the bytes that a tool asked for.

    Raises: UnavailableError `media/tool-misbehaved` for a request that our own reader never makes.
    """
    _, offset, length = _REQUEST.unpack(request)
    if not 0 < length <= LARGEST_RANGE or offset + length > source.size:
        raise asked_for_nothing({"offset": offset, "length": length, "size": source.size})
    return source.read_range(offset, length)


def asked_for_nothing(evidence: dict[str, int]) -> UnavailableError:
    """Make the error for a request that our own reader never makes."""
    return UnavailableError(
        "media/tool-misbehaved",
        "A media tool asked for bytes that no file has; it was stopped. The original is kept as it is.",
        evidence=evidence,
    )


def sealed_memory_file(content: bytes | RangeSource) -> int:
    """Copy bytes into an anonymous memory file that nobody can change any more; the caller closes the descriptor."""
    source = BytesRanges(content) if isinstance(content, bytes) else content
    descriptor = os.memfd_create("file", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        position = 0
        while position < source.size:
            piece = source.read_range(position, min(_COPY_OCTETS, source.size - position))
            if not piece:
                break
            position += os.write(descriptor, piece)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
