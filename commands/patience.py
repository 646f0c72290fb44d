"""The server's worker: no thread waits for a request that has not come, and nobody's address is written down.

gunicorn gives a connection to a thread at its first octet. A few hundred that send half a form, or nothing, would hold
all threads. Here they wait in the loop until the request is whole. Bodies that are read as they come have threads of
their own kind; when those are all taken, others of that kind stand in line, and all else goes on.
"""

import errno
import select
import selectors
import socket
import sys
import time
from collections import OrderedDict, deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http import errors as refusals
from gunicorn.workers.gthread import TConn, ThreadWorker

from web.security import HEADERS

WHOLE_S = 20.0
"""So long a request may take to come, but for a body that is read as it comes."""

_LINE_S = 60.0
_SILENCE_S = 60.0
_LINGER_S = 2.0
_TICK_S = 0.25
_PEEK = 32 << 10
_ANSWER = 512 << 10
_MOST_WAITING = 4096
_MOST_LINGERING = 1024
_WORDS = {
    400: ("Bad Request", "This request could not be read. Nothing was changed. Open the page again."),
    408: ("Request Timeout", "The request did not come whole in time. Nothing was changed. Send it again."),
    414: ("URI Too Long", "This address is too long. Nothing was changed. Open the page again from its start."),
    417: ("Expectation Failed", "What this request expects is not done here. Nothing was changed."),
    431: ("Request Header Fields Too Large", "This request says too much before its content. Nothing was changed."),
    500: ("Internal Server Error", "Something went wrong on our side. What you sent is kept. Try again."),
    503: ("Service Unavailable", "Too many send at once. What arrived is kept. Try again in some minutes."),
}
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (refusals.LimitRequestLine, 414),
    (refusals.LimitRequestHeaders, 431),
    (refusals.ExpectationFailed, 417),
    (refusals.ConfigurationProblem, 500),
    (refusals.ParseException, 400),
)


class Kind(StrEnum):
    """What a request asks of a thread. WHOLE waits for nobody; each other has a share of threads of its own."""

    WHOLE = "whole"
    OCTETS = "octets"
    FILES = "files"
    WORDS = "words"
    TOO_LONG = "too long"


def kind_of(seen: bytes) -> Kind | None:
    """Tell what a request is from what of it has come; None where more must come first."""
    head, end, body = seen.partition(b"\r\n\r\n")
    if not end:
        return Kind.TOO_LONG if len(seen) >= _PEEK else None
    first, *lines = head.split(b"\r\n")
    said: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        said[name.strip().lower()] = value.strip().lower()
    length, chunked = said.get(b"content-length", b"0"), b"transfer-encoding" in said
    if not chunked and (not length.isdigit() or int(length[:18]) <= len(body)):
        return Kind.WHOLE  # One whose length cannot be read is refused without being waited for.
    path = first.split(b" ")[1:2] or [b""]
    if path[0].startswith(b"/tus") and said.get(b"content-type") == b"application/offset+octet-stream":
        return Kind.OCTETS
    if path[0].startswith(b"/d/") and said.get(b"content-type", b"").startswith(b"multipart/form-data"):
        return Kind.FILES
    # Who waits for a word from us sends nothing before it.
    return Kind.WORDS if chunked or b"expect" in said or len(seen) >= _PEEK else None


class QuietLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """Writes of an error which kind it is, never what was sent nor by whom."""

    def exception(self, msg: str, *_: Any, **__: Any) -> None:
        kind = sys.exc_info()[0]
        self.error("%s (%s)", msg.partition("%")[0].strip(), kind.__name__ if kind else "no error")


class _Line(TConn):  # type: ignore[misc]  # gunicorn ships no types
    """A connection. Whatever its other end does, no thread waits for it longer than `_SILENCE_S`."""

    def init(self) -> None:
        super().init()
        self.sock.settimeout(_SILENCE_S)

    def seen(self) -> bytes | None:
        """Return what has come and was not read, leaving it there; None where the other end is gone."""
        held: bytes = self.parser.unreader.buf.getvalue() if self.parser is not None else b""
        try:
            came = self.sock.recv(_PEEK, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return held
        except OSError:
            return None
        return held + came if came or held else None


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """All but `handle` and `handle_error` runs in the one thread of the loop, so nothing here needs a lock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        threads = int(self.cfg.threads)
        few = max(2, threads // 8)
        self._share = {Kind.OCTETS: threads, Kind.FILES: few, Kind.WORDS: few}
        self._busy = dict.fromkeys(self._share, 0)
        self._lines: dict[Kind, deque[tuple[_Line, float]]] = {kind: deque() for kind in self._share}
        self._under_way: dict[_Line, tuple[Kind, float]] = {}
        self._waiting: OrderedDict[int, tuple[_Line, float]] = OrderedDict()
        self._lingering: deque[tuple[socket.socket, float]] = deque()
        self._next_tick = 0.0
        self._arrivals = select.epoll()
        self.max_keepalived = self.worker_connections // 4

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """As many threads as all shares together, and some that none of them can take."""
        return ThreadPoolExecutor(max_workers=sum(self._share.values()) + max(4, self.cfg.threads // 8))

    def run(self) -> None:
        self.poller.register(self._arrivals.fileno(), selectors.EVENT_READ, self._more_came)
        super().run()

    def accept(self, listener: socket.socket) -> None:
        try:
            line, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._drop_oldest()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        with suppress(OSError):  # An answer lies in the kernel whole; no thread waits for who takes it in slowly.
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ANSWER)
        self.enqueue_req(_Line(self.cfg, line, address, listener.getsockname()))

    def enqueue_req(self, conn: _Line) -> None:
        """Let a connection wait until its request has come."""
        conn.sock.setblocking(False)
        if not self._start_if_whole(conn):
            if len(self._waiting) >= _MOST_WAITING:
                self._drop_oldest()
            self._waiting[conn.sock.fileno()] = (conn, time.monotonic() + WHOLE_S)
            self._arrivals.register(conn.sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)

    def finish_request(self, conn: _Line, fs: "Future[Any]") -> None:
        kind, _ = self._under_way.pop(conn, (Kind.WHOLE, 0.0))
        result = fs.result() if not fs.cancelled() and fs.exception() is None else False
        if result:
            super().finish_request(conn, fs)
        else:
            self.nr_conns -= 1
            self._linger(conn.sock)
        if kind in self._busy:
            self._busy[kind] -= 1
            if self._lines[kind]:
                self._start(self._lines[kind].popleft()[0], kind)

    def murder_pending(self) -> None:
        """Give up what has waited too long; the loop calls this at least once a second."""
        now = time.monotonic()
        if now < self._next_tick:
            return
        self._next_tick = now + _TICK_S
        while self._waiting and (not self.alive or next(iter(self._waiting.values()))[1] < now):
            self._drop_oldest()
        for line in self._lines.values():
            while line and line[0][1] < now:
                self._refuse(line.popleft()[0], 503)
        for conn, (kind, until) in self._under_way.items():
            if kind is Kind.WORDS and until < now:
                with suppress(OSError):  # Whoever reads is told that the body broke off.
                    conn.sock.shutdown(socket.SHUT_RD)
        for _ in range(len(self._lingering)):
            sock, until = self._lingering.popleft()
            if until < now or _is_done(sock):
                sock.close()
            else:
                self._lingering.append((sock, until))

    def handle_error(self, _req: Any, client: socket.socket, _addr: Any, exc: Exception) -> None:
        """Answer what is no request in our words, and write down neither it nor its sender."""
        status = next((status for kind, status in _STATUS if isinstance(exc, kind)), 500)
        if status == 500:
            self.log.error("A request ended in an error (%s).", type(exc).__name__)
        with suppress(OSError):
            client.sendall(answer(status))

    def _more_came(self, _: Any) -> None:
        for number, event in self._arrivals.poll(0):
            found = self._waiting.get(number)
            if found is not None and not self._start_if_whole(found[0]) and event & ~select.EPOLLIN:
                self._leave(number)
                self._close(found[0])

    def _start_if_whole(self, conn: _Line) -> bool:
        """Start a request that has come, or end one that cannot; tell whether there is nothing more to wait for."""
        seen = conn.seen()
        kind = kind_of(seen) if seen is not None else None
        if seen is not None and kind is None:
            return False
        self._leave(conn.sock.fileno())
        if kind is None:
            self._close(conn)
        elif kind is Kind.TOO_LONG:
            self._refuse(conn, 431)
        else:
            self._start(conn, kind)
        return True

    def _start(self, conn: _Line, kind: Kind) -> None:
        if kind in self._busy:
            if self._busy[kind] >= self._share[kind]:
                self._lines[kind].append((conn, time.monotonic() + _LINE_S))
                return
            self._busy[kind] += 1
        self._under_way[conn] = (kind, time.monotonic() + WHOLE_S)
        conn.data_ready = True
        super().enqueue_req(conn)

    def _leave(self, number: int) -> None:
        if self._waiting.pop(number, None) is not None:
            self._arrivals.unregister(number)

    def _drop_oldest(self) -> None:
        if self._waiting:
            number, (conn, _) = next(iter(self._waiting.items()))
            self._leave(number)
            if conn.seen():
                self._refuse(conn, 408)
            else:
                self._close(conn)

    def _refuse(self, conn: _Line, status: int) -> None:
        with suppress(OSError):
            conn.sock.send(answer(status), socket.MSG_DONTWAIT)
        self.nr_conns -= 1
        self._linger(conn.sock)

    def _close(self, conn: _Line) -> None:
        self.nr_conns -= 1
        conn.close()

    def _linger(self, sock: socket.socket) -> None:
        """Close a connection so that its last answer is not lost, and without waiting for the other end here."""
        try:
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            sock.close()
            return
        self._lingering.append((sock, time.monotonic() + _LINGER_S))
        if len(self._lingering) > _MOST_LINGERING:
            self._lingering.popleft()[0].close()


def answer(status: int) -> bytes:
    """Write the answer to what is no request: our words, and the headers of every page."""
    phrase, words = _WORDS[status]
    body = f"{words}\n".encode()
    headers = {
        **HEADERS,
        "Cache-Control": "no-store",
        "Connection": "close",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode("ascii") + body


def _is_done(sock: socket.socket) -> bool:
    """Take in what still comes of a closed connection; tell whether the other end has closed it, too."""
    try:
        return not sock.recv(65536, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
