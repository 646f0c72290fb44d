"""The body of a request as a plain stream: nothing of it is put on disk, and a line that broke is told as such."""

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from threading import Timer
from types import TracebackType
from typing import Any, Self

_PIECE = 32 << 10

SILENCE_S = 60.0
"""So long a sender may say nothing before its request is given up; what came is kept, and it may go on later."""

_LEAST = 8 << 10
"""So much must come in each such while, or a few senders of an octet now and then would hold every thread."""


class BrokenOffError(OSError):
    """The line broke before the body had ended."""


class Body:
    """Reads a request's body. `length` is how many octets it says to bring; None where it comes in chunks."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._input: Any = environ["wsgi.input"]
        self._socket: socket.socket | None = environ.get("gunicorn.socket")
        text = environ.get("CONTENT_LENGTH") or ""
        chunked = "chunked" in (environ.get("HTTP_TRANSFER_ENCODING") or "").lower()
        self.length: int | None = None if chunked else int(text) if text.isdecimal() else 0
        self._left = self.length
        self._window = (time.monotonic(), 0)
        self._before: float | None = None
        self._line = None if chunked else _Line.of(self._input, self._socket)

    def __enter__(self) -> Self:
        if self._socket is not None:
            self._before = self._socket.gettimeout()
            self._socket.settimeout(SILENCE_S)
        self._window = (time.monotonic(), 0)
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if self._socket is not None:
            self._socket.settimeout(self._before)

    def read(self, size: int, /) -> bytes:
        """Return the next octets, as many as have come; none only at the end of the body.

        Raises: BrokenOffError where the line broke; what came until then was returned before.
        """
        if self._line is not None:
            buffer = bytearray(min(size, _PIECE))
            return bytes(buffer[: self.readinto(memoryview(buffer))])
        size = min(size, _LEAST if self._left is None else self._left)
        if size <= 0:
            return b""
        # The server's reader goes on until it has all of `size`, however slowly that comes.
        too_slow = Timer(SILENCE_S, self.cut_short)
        too_slow.start()
        try:
            data: bytes = self._input.read(size)
        except Exception as error:  # A server has classes of its own for a body that was broken off.
            raise BrokenOffError("the body was broken off") from error
        finally:
            too_slow.cancel()
        if self._left is not None:
            self._left -= len(data)
            if not data:
                raise BrokenOffError("the body was broken off")
        return data

    def readinto(self, buffer: memoryview, /) -> int:
        """Put the next octets into `buffer`, as many as have come; wait for one at least. 0 is the end.

        Raises: as `read`.
        """
        room = buffer if self._left is None else buffer[: self._left]
        if self._line is None:
            data = self.read(min(len(room), _PIECE))
            room[: len(data)] = data
            return len(data)
        if not room:
            return 0
        try:
            count = self._line.readinto(room)
            self._count(count)
        except OSError as error:
            raise BrokenOffError("the body was broken off") from error
        if not count:
            raise BrokenOffError("the body was broken off")
        if self._left is not None:
            self._left -= count
        return count

    def _count(self, octets: int) -> None:
        """See that no sender holds a thread with an octet now and then.

        Raises: TimeoutError where less than `_LEAST` came in a while that is as long as the longest silence.
        """
        (since, came), now = self._window, time.monotonic()
        came += octets
        if now - since > SILENCE_S:
            if came < _LEAST and self._left != octets:
                raise TimeoutError("too little came")
            since, came = now, 0
        self._window = (since, came)

    def cut_short(self) -> None:
        """Have the thread that reads get what has come, and then be told that the line broke. For another thread."""
        if self._socket is not None:
            with suppress(OSError):  # The line is gone already.
                self._socket.shutdown(socket.SHUT_RD)


class _Line:
    """Takes a body of known length from its socket into the reader's own buffer.

    gunicorn's reader copies all that it has received with every piece it gives, which cost a fast upload more than all
    else together. It is kept informed: what it holds is taken first, and its count of what is to come goes down.
    """

    def __init__(self, body: Any, reader: Any, line: socket.socket) -> None:
        self._body = body
        self._reader = reader
        self._line = line

    @classmethod
    def of(cls, body: Any, line: socket.socket | None) -> Self | None:
        """Give the line of a body, or None where it is not read by a gunicorn whose reader is known here."""
        reader: Any = getattr(body, "reader", None)
        unreader: Any = getattr(reader, "unreader", None)
        is_its: bool = getattr(unreader, "sock", None) is line
        is_known = hasattr(reader, "length") and hasattr(unreader, "take_buffered") and hasattr(body, "failed")
        return cls(body, reader, line) if line is not None and is_its and is_known else None

    def readinto(self, room: memoryview) -> int:
        self._body.failed = True  # Until it went well: then nobody takes what follows for another request.
        if held := self._reader.unreader.take_buffered():
            count = min(len(held), len(room))
            room[:count] = held[:count]
            if count < len(held):
                self._reader.unreader.unread(held[count:])
        else:
            count = self._line.recv_into(room)
        if count:
            self._reader.length -= count
            self._body.failed = False
        return count
