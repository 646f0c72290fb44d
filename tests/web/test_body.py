"""The body of a request as it is taken from a line that a real gunicorn reader has begun to read."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.http.body import Body as GunicornBody
from gunicorn.http.body import LengthReader
from gunicorn.http.unreader import SocketUnreader

from web.body import Body, BrokenOffError

_SENT = bytes(range(256)) * 1024
_NEXT = b"GET /next HTTP/1.1\r\n"


@pytest.fixture
def lines() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def _body(near: socket.socket, length: int) -> tuple[Body, Any, Any]:
    unreader = SocketUnreader(near)
    theirs = GunicornBody(LengthReader(unreader, length))
    environ = {"wsgi.input": theirs, "gunicorn.socket": near, "CONTENT_LENGTH": str(length)}
    return Body(environ), theirs, unreader


def _read_all(body: Body, room: int) -> bytes:
    found, buffer = bytearray(), memoryview(bytearray(room))
    while count := body.readinto(buffer):
        found += buffer[:count]
    return bytes(found)


@pytest.mark.parametrize("room", [1, 1000, 1 << 20])
def test_what_the_server_read_with_the_headers_comes_first_and_no_octet_twice(
    lines: tuple[socket.socket, socket.socket], room: int
) -> None:
    near, far = lines
    body, _, unreader = _body(near, 5000)
    unreader.unread(_SENT[:3000])
    far.sendall(_SENT[3000:5000])
    assert _read_all(body, room) == _SENT[:5000]


def test_what_follows_a_body_is_left_for_the_next_request(lines: tuple[socket.socket, socket.socket]) -> None:
    near, far = lines
    body, theirs, unreader = _body(near, 100)
    unreader.unread(_SENT[:100] + _NEXT[:5])
    far.sendall(_NEXT[5:])
    assert _read_all(body, 4096) == _SENT[:100]
    assert theirs.read(10) == b""  # So the server drains nothing of the next request.
    assert unreader.take_buffered() + near.recv(100) == _NEXT
    assert not theirs.failed


def test_both_ways_of_reading_go_on_where_the_other_ended(lines: tuple[socket.socket, socket.socket]) -> None:
    near, far = lines
    body, _, _ = _body(near, 6000)
    far.sendall(_SENT[:6000])
    assert body.read(1000) + _read_all(body, 2000) == _SENT[:6000]


def test_a_broken_line_is_told_after_all_that_came_and_the_server_uses_it_no_more(
    lines: tuple[socket.socket, socket.socket],
) -> None:
    near, far = lines
    body, theirs, _ = _body(near, 100_000)
    far.sendall(_SENT[:5000])
    far.close()
    buffer, came = memoryview(bytearray(4096)), 0
    with pytest.raises(BrokenOffError):
        while count := body.readinto(buffer):
            came += count
    assert came == 5000
    assert theirs.failed


def test_a_reader_that_is_not_known_is_read_as_it_offers_itself(lines: tuple[socket.socket, socket.socket]) -> None:
    near, far = lines
    far.sendall(_SENT[:5000])
    with near.makefile("rb") as plain:
        body = Body({"wsgi.input": plain, "gunicorn.socket": near, "CONTENT_LENGTH": "5000"})
        assert _read_all(body, 1024) == _SENT[:5000]


def test_a_wait_that_is_too_long_is_told_as_a_broken_line(lines: tuple[socket.socket, socket.socket]) -> None:
    near, _ = lines
    body, theirs, _ = _body(near, 10)
    near.settimeout(0.01)
    with pytest.raises(BrokenOffError):
        body.readinto(memoryview(bytearray(10)))
    assert theirs.failed
