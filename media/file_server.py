"""Serving one file by HTTP ranges, to the one program that can connect.

Standard: RFC 9110, 14 (range requests), as far as FFmpeg asks. A request is believed in nothing but its range, which is
held against the file's size; a head that does not end is dropped.
"""

import re
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from media.doors import URL
from media.ranges import RangeSource, read_into

_PIECE_OCTETS = 1 << 18
_LONGEST_HEAD = 1 << 14
_MOST_CONNECTIONS = 16
_RANGE = re.compile(rb"^Range:\s*bytes=(\d{1,18})-(\d{0,18})", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class _Connection:
    """One connection: what was read of its head, then what is still to be sent (half open) and a piece of it."""

    client: socket.socket
    head: bytearray = field(default_factory=bytearray)
    next: int = 0
    end: int = 0
    pending: memoryview = field(default_factory=lambda: memoryview(b""))
    buffer: bytearray = field(default_factory=lambda: bytearray(_PIECE_OCTETS))


class FileServer:
    """A `media.doors.Server` of one file. Raises of `serve`: what the source raises."""

    doors = (URL,)

    def __init__(self, source: RangeSource) -> None:
        self._source = source
        self._open: dict[int, _Connection] = {}

    def serve(self, doors: Sequence[socket.socket], stop: int, /) -> None:
        """Answer until `stop` is readable."""
        (door,) = doors
        poll = select.poll()
        poll.register(door, select.POLLIN)
        poll.register(stop, select.POLLIN)
        try:
            while True:
                for descriptor, _ in poll.poll():
                    if descriptor == stop:
                        return
                    if descriptor == door.fileno():
                        self._accept(door, poll)
                    else:
                        self._turn(self._open[descriptor], poll)
        finally:
            for each in self._open.values():
                each.client.close()

    def _accept(self, door: socket.socket, poll: select.poll) -> None:
        try:
            client, _ = door.accept()
        except OSError:
            return
        if len(self._open) >= _MOST_CONNECTIONS:
            client.close()
            return
        client.setblocking(False)
        self._open[client.fileno()] = _Connection(client)
        poll.register(client, select.POLLIN)

    def _turn(self, one: _Connection, poll: select.poll) -> None:
        """Read on in the head, or send on; drop it where it is done, gone or endless."""
        try:
            if one.end:
                going_on = self._send(one)
            else:
                piece = one.client.recv(4096)
                one.head += piece
                going_on = bool(piece) and len(one.head) <= _LONGEST_HEAD
                if going_on and b"\r\n\r\n" in one.head:
                    self._answer(one)
                    poll.modify(one.client, select.POLLOUT)
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            going_on = False
        if not going_on:
            poll.unregister(one.client)
            del self._open[one.client.fileno()]
            one.client.close()

    def _answer(self, one: _Connection) -> None:
        size, found = self._source.size, _RANGE.search(one.head)
        start = int(found[1]) if found else 0
        end = min(size, int(found[2]) + 1) if found and found[2] else size
        lines = ["HTTP/1.1 200 OK"]
        if found and start < end:
            lines = ["HTTP/1.1 206 Partial Content", f"Content-Range: bytes {start}-{end - 1}/{size}"]
        elif start >= end:
            lines, start, end = ["HTTP/1.1 416 Range Not Satisfiable", f"Content-Range: bytes */{size}"], 0, 0
        lines += ["Accept-Ranges: bytes", "Connection: close", f"Content-Length: {end - start}", "", ""]
        one.pending = memoryview("\r\n".join(lines).encode())
        one.next, one.end = (start, end) if not one.head.startswith(b"HEAD") else (end, end)
        one.end = one.end or -1  # An answer without octets is one too.

    def _send(self, one: _Connection) -> bool:
        """Send what there is room for; False when all was sent."""
        if not one.pending:
            length = min(_PIECE_OCTETS, one.end - one.next)
            if length <= 0:
                return False
            view = memoryview(one.buffer)[:length]
            done = read_into(self._source, one.next, view)
            if not done:
                return False
            one.pending = view[:done]
            one.next += done
        sent = one.client.send(one.pending)
        one.pending = one.pending[sent:]
        return True
