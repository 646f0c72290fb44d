"""Whoever sends half a request, or nothing, keeps nobody else from being served; and what is no request is answered."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from commands.patience import Kind, kind_of
from tests.web.served import OCTETS, Served, new_token

_FORM = b"POST /r HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n"
_FILES = (
    b"POST /d/ABCDEF HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: multipart/form-data; boundary=X\r\nContent-Length: 9999\r\n\r\n"
)
_HALF = b"GET /check HTTP/1.1\r\nHost: x\r\nX-Long: "


@contextmanager
def silent(served: Served, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 10)) for _ in range(count)]
        for line in lines:
            line.sendall(sent)
        time.sleep(0.5)
        yield lines


def said(served: Served, sent: bytes, source: str = "127.0.0.1") -> bytes:
    with socket.create_connection(("127.0.0.1", served.port), 10, (source, 0)) as line:
        line.sendall(sent)
        line.settimeout(10)
        found = b""
        while piece := line.recv(4096):
            found += piece
    return found


@pytest.mark.parametrize(
    "sent", [b"", _HALF, _FORM, _FORM + b"csrf", _FILES, _FORM.replace(b"Host", b"Expect: 100-continue\r\nHost")]
)
def test_hundreds_that_send_nothing_more_keep_nobody_out(served: Served, sent: bytes) -> None:
    with silent(served, 270, sent):
        began = time.monotonic()
        assert served.ask("GET", "/check").status == 200
        made = served.create(1000, new_token())
        assert served.patch(made.headers["Location"], 0, bytes(1000)).status == 204
        assert time.monotonic() - began < 3


def test_a_request_that_never_becomes_whole_is_ended(served: Served) -> None:
    with silent(served, 2, _FORM) as lines:
        lines[0].settimeout(30)
        assert lines[0].recv(4096).startswith(b"HTTP/1.1 408 ")


def test_who_does_not_close_a_line_keeps_nobody_waiting(served: Served) -> None:
    with silent(served, 8, b"GET /check HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
        began = time.monotonic()
        assert served.ask("GET", "/check").status == 200
        assert time.monotonic() - began < 1


def test_a_request_that_comes_octet_by_octet_is_served(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 10) as line:
        for octet in b"GET /safety HTTP/1.1\r\nHost: x\r\n\r\n":
            line.sendall(bytes([octet]))
            time.sleep(0.005)
        first = http.client.HTTPResponse(line)
        first.begin()
        assert first.status == 200
        assert first.read()
        line.sendall(_FORM)
        time.sleep(0.1)
        line.sendall(bytes(100))
        second = http.client.HTTPResponse(line)
        second.begin()
        assert second.status == 409, "a form without our token"


@pytest.mark.parametrize(
    "sent",
    [
        b"BLAH\r\n\r\n",
        b"GET /secret-code HTTP/9.9\r\n\r\n",
        b"GET /secret-code HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
        b"POST /secret-code HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST /secret-code HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: <img src=x>\r\n\r\n",
        b"POST /secret-code HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000,
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_request_is_answered_in_our_words_and_written_down_nowhere(served: Served, sent: bytes) -> None:
    before = len(served.log.read_bytes())
    answer = said(served, sent, "127.0.0.77")
    status = int(answer.split(b" ")[1])
    assert 400 <= status < 500, answer
    assert b"Content-Security-Policy: default-src 'none'" in answer
    assert b"Nothing was changed" in answer
    time.sleep(0.2)
    assert served.log.read_bytes()[before:] == b""


def test_only_what_is_read_as_it_comes_is_given_a_thread_before_it_is_whole() -> None:
    octets = "".join(f"{name}: {value}\r\n" for name, value in OCTETS.items()).encode()
    patch = b"PATCH /tus/abc HTTP/1.1\r\n" + octets + b"Content-Length: 9\r\n\r\n"
    assert kind_of(patch) is Kind.OCTETS
    assert kind_of(patch + bytes(9)) is Kind.WHOLE
    assert kind_of(patch.replace(b"/tus/abc", b"/r")) is None
    assert kind_of(_FILES) is Kind.FILES
    assert kind_of(_FORM) is None
    assert kind_of(_FORM + bytes(100)) is Kind.WHOLE
    assert kind_of(_FORM.replace(b"100\r", b"999999\r") + bytes(40_000)) is Kind.WORDS
    assert kind_of(_HALF) is None
