"""The body of a request as a plain stream: nothing of it is put on disk, and a line that broke is told as such."""

import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

SILENCE_S = 60.0
"""So long a sender may say nothing before its request is given up; what came is kept, and it may go on later."""


class BrokenOffError(OSError):
    """The line broke before the body had ended."""


class Body:
    """Reads a request's body. `length` is how many octets it says to bring; None where it comes in chunks."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._input = environ["wsgi.input"]
        self._socket: socket.socket | None = environ.get("gunicorn.socket")
        text = environ.get("CONTENT_LENGTH") or ""
        chunked = "chunked" in (environ.get("HTTP_TRANSFER_ENCODING") or "").lower()
        self.length: int | None = None if chunked else int(text) if text.isdecimal() else 0
        self._left = self.length

    def __enter__(self) -> Self:
        if self._socket is not None:
            self._socket.settimeout(SILENCE_S)
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if self._socket is not None:
            self._socket.settimeout(None)

    def read(self, size: int, /) -> bytes:
        """Return the next octets, fewer than asked for only at the end of the body.

        Raises: BrokenOffError where the line broke; what came until then was returned before.
        """
        if self._left is not None:
            size = min(size, self._left)
        if size <= 0:
            return b""
        try:
            data: bytes = self._input.read(size)
        except Exception as error:  # A server has classes of its own for a body that was broken off.
            raise BrokenOffError("the body was broken off") from error
        if self._left is not None:
            self._left -= len(data)
            if not data:
                raise BrokenOffError("the body was broken off")
        return data
