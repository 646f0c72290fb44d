"""`doctor --url` tells a path that lets octets through from one that holds them back, cuts them, or has no room."""

import http.client
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from commands.doctor import Verdict
from commands.proxy_path import check_path
from tests.way_in import run_testigo
from tests.web.served import Served, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("path") / "var") as served:
        yield served


@contextmanager
def holding_back(port: int, most: int) -> Iterator[int]:
    """A proxy as nginx is without our lines: it reads a request whole before it passes it on, up to a limit."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass(b"")

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(min(length, most))
            if length > most:
                self.send_error(413)
            elif len(body) == length:
                self._pass(body)

        def _pass(self, body: bytes) -> None:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                line.request(self.command, self.path, body or None)
                answer = line.getresponse()
                told = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "content-length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)
            finally:
                line.close()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def verdicts(port: int) -> dict[str, Verdict]:
    return {each.check: each.verdict for each in check_path(f"http://127.0.0.1:{port}")}


def test_a_straight_path_is_good(served: Served) -> None:
    found = verdicts(served.port)
    assert found["proxy headers"] is found["proxy body limit"] is found["proxy buffering"] is Verdict.GOOD
    told = run_testigo(served.home, "doctor", "--url", f"http://127.0.0.1:{served.port}")
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_proxy_that_holds_back_or_has_a_limit_is_named(served: Served) -> None:
    with holding_back(served.port, 64 << 20) as port:
        assert verdicts(port)["proxy buffering"] is Verdict.FAIL
    with holding_back(served.port, 1 << 20) as port:
        assert verdicts(port)["proxy body limit"] is Verdict.FAIL


def test_an_address_where_nothing_is_and_one_that_is_none(served: Served) -> None:
    (found,) = check_path("http://127.0.0.1:9")
    assert found.verdict is Verdict.FAIL
    assert run_testigo(served.home, "doctor", "--url", "drop.example.org").returncode == 1
