"""What a muxer writes at places of its own choosing, brought into the order that a sealing sink can take.

A muxer goes back to patch sizes: at the file's start, and inside the index that it is just writing at the end. The
start the sink can change itself; the end is held back here, so that the last megabytes can still be changed before they
are sealed. What lies between is gone and refused.
"""

import io
import socket
import struct

from archive.errors import InputError, UnavailableError
from media.cleaners.port import Sink

WINDOW_OCTETS = 16 << 20
_MESSAGE = struct.Struct(">QI")
_LARGEST_WRITE = 1 << 20


class HeldBack:
    """Passes writes on to `sink`; the last `WINDOW_OCTETS` stay changeable. `most` bounds the whole.

    Raises of `write_at`: InputError `media/cannot-patch` for a place that can be changed no more; UnavailableError
    `media/output-limit`.
    """

    def __init__(self, sink: Sink, *, most: int) -> None:
        self._sink = sink
        self._most = most
        self._passed = 0
        self._tail = bytearray()

    @property
    def size(self) -> int:
        return self._passed + len(self._tail)

    def write_at(self, offset: int, piece: bytes | memoryview) -> None:
        """Put octets at their place: at the end, or over what was written."""
        if offset > self.size:
            raise _cannot_patch(offset, self.size)
        if offset + len(piece) > self._most:
            raise UnavailableError(
                "media/output-limit",
                "A media tool answered more than is allowed for one file and was stopped. The original is kept.",
            )
        if offset < self._passed:
            into_start = piece[: self._passed - offset]
            self._change_start(offset, into_start)
            piece, offset = piece[len(into_start) :], self._passed
        at = offset - self._passed
        self._tail[at : at + len(piece)] = piece
        if len(self._tail) >= 2 * WINDOW_OCTETS:
            self._pass_on(WINDOW_OCTETS)

    def finish(self) -> None:
        """Pass on all that was held back."""
        self._pass_on(len(self._tail))

    def _change_start(self, offset: int, piece: bytes | memoryview) -> None:
        try:
            self._sink.seek(offset)
            self._sink.write(piece)
        except io.UnsupportedOperation as error:
            raise _cannot_patch(offset, self.size) from error
        finally:
            self._sink.seek(self._passed)

    def _pass_on(self, length: int) -> None:
        with memoryview(self._tail) as tail:
            self._sink.write(tail[:length])
        del self._tail[:length]
        self._passed += length


class WritesTaker:
    """Reads the messages of `range_server.pl` (place and length of a piece, then the piece) from its socket."""

    def __init__(self, writes: socket.socket, target: HeldBack) -> None:
        self._writes = writes
        self._target = target
        self._read = bytearray()

    def fileno(self) -> int:
        return self._writes.fileno()

    def take(self) -> bool:
        """Take what has come; False at the end. Raises: as `HeldBack`; UnavailableError `media/tool-misbehaved`."""
        try:
            piece = self._writes.recv(_LARGEST_WRITE)
        except ConnectionResetError:
            return False
        self._read += piece
        done = 0
        with memoryview(self._read) as read:
            while len(read) - done >= _MESSAGE.size:
                offset, length = _MESSAGE.unpack_from(read, done)
                if length > _LARGEST_WRITE:
                    raise UnavailableError(
                        "media/tool-misbehaved",
                        "A media tool did what no honest one does; it was stopped. The original is kept as it is.",
                        evidence={"offset": offset, "length": length},
                    )
                begin = done + _MESSAGE.size
                if len(read) - begin < length:
                    break
                self._target.write_at(offset, read[begin : begin + length])
                done = begin + length
        del self._read[:done]
        return bool(piece)


def _cannot_patch(offset: int, size: int) -> InputError:
    return InputError(
        "media/cannot-patch",
        "A copy of this file would have to be changed in its middle after that was sealed; its index is too large. "
        "No copy was made. The original is kept.",
        evidence={"offset": offset, "size": size},
    )
