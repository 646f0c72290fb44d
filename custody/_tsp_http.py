"""One POST of a time-stamp query to one address (RFC 3161, 3.4), with an end to it.

I/O: the network, the given address alone. No proxy from the environment, no redirect, no cookie, no retry:
`http.client` has none.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from threading import Timer
from urllib.parse import SplitResult, urlsplit


class NoAnswer(Exception):
    """Stays inside this room: `timestamps` turns it into the UnavailableError that callers see."""


def post_query(url: str, query: bytes, *, timeout_s: int, most: int) -> bytes:
    """Return the body of the authority's answer, at most `most` octets of it. Raises: NoAnswer, saying why."""
    address = urlsplit(url)
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        with _connected(address, timeout_s) as connection:
            connection.request("POST", path, body=query, headers=headers)
            with connection.getresponse() as answer:
                kind = answer.headers.get_content_type()
                # A hotel's network answers whatever is asked with 200 and its log-in page: no bad token,
                # only no authority.
                if answer.status != 200 or kind != "application/timestamp-reply":
                    raise NoAnswer(f"HTTP status {answer.status}, content type {kind}")
                body = answer.read(most + 1)
                cut_short = bool(answer.length)
    except (OSError, HTTPException) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}") from error
    if len(body) > most or cut_short:
        raise NoAnswer("the answer is too long or was cut short")
    return body


@contextmanager
def _connected(address: SplitResult, timeout_s: int) -> Iterator[HTTPConnection]:
    """Hold one connection to this host, shut down after `timeout_s` whatever the other side does.

    A socket's own timeout starts again with each octet, so that a server could hold the worker for days.
    """
    host, secure = address.hostname or "", address.scheme == "https"
    connection = HTTPConnection(host, address.port or (443 if secure else 80), timeout=timeout_s)
    raw = socket.create_connection((connection.host, connection.port), timeout_s)
    # wrap_socket takes the descriptor over; shutting down a copy of it ends every read, the TLS handshake's too.
    with raw, raw.dup() as same:
        deadline = Timer(timeout_s, _shut_down, (same,))
        deadline.daemon = True
        deadline.start()
        try:
            connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host) if secure else raw
            yield connection
        finally:
            deadline.cancel()
            deadline.join()
            connection.close()


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # The other side was quicker.
