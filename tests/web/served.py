"""A small archive behind the real server, in a process of its own, as an operator runs it; and a plain HTTP client."""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.way_in import AN_HOUR_AGO, SETTINGS, WayIn, command_line, environment, run_here

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = {**TUS, "Content-Type": "application/offset+octet-stream"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    set_cookies: tuple[str, ...] = ()

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Served:
    """The archive, its server, one drop link. `clock` of the archive is the machine's own."""

    def __init__(self, home: Path, *, settings: str = SETTINGS, terms: tuple[str, ...] = ()) -> None:
        self.home = home
        self.archive = WayIn(home, settings=settings, now=AN_HOUR_AGO)
        self.archive.rooms.close()
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.code = self.new_link(*terms)
        self.log = home.parent / f"{home.name}-server.log"

    def new_link(self, *options: str) -> str:
        found = run_here(self.home, "drop", "new", "-i", self.archive.raid.number, "--json", *options)
        assert found.returncode == 0, found.stderr
        return str(json.loads(found.stdout.splitlines()[-1])["code"])

    def start(self, *options: str) -> Self:
        words = ("serve", "--listen", f"127.0.0.1:{self.port}", "--threads", "32", *options)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command_line(*words),
                env=environment(self.home, TESTIGO_TRACEBACK="1"),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.05)
            else:
                return self
        raise AssertionError("the server did not begin to listen: " + self.log.read_text())

    def kill(self) -> None:
        """Take the server and its workers away in an instant."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def opened(self) -> WayIn:
        """Open the archive beside the server, with the office's key."""
        return WayIn.existing(self.home)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            line.request(method, path, body=body, headers=dict(headers or {}))
            answer = line.getresponse()
            cookies = tuple(answer.headers.get_all("Set-Cookie") or ())
            return Answer(answer.status, dict(answer.getheaders()), answer.read(), cookies)
        finally:
            line.close()

    # ── tus by hand ──────────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, length: int, token: str, /, **told: str) -> Answer:
        meta = {"visit": token, "code": self.code, **told}
        text = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in meta.items())
        return self.ask("POST", "/tus/", {**TUS, "Upload-Length": str(length), "Upload-Metadata": text})

    def patch(self, where: str, offset: int, data: bytes, **more: str) -> Answer:
        return self.ask("PATCH", where, {**OCTETS, "Upload-Offset": str(offset), **more}, data)

    def head(self, where: str) -> Answer:
        return self.ask("HEAD", where, TUS)

    def state(self, where: str) -> str:
        return str(self.ask("GET", where).json()["state"])

    def wait_for(self, where: str, state: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while (found := self.state(where)) != state:
            assert time.monotonic() < end, f"still {found}: {self.log.read_text()[-2000:]}"
            time.sleep(0.05)


def new_token() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


@contextmanager
def serving(home: Path, **options: Any) -> Iterator[Served]:
    served = Served(home, **options).start()
    try:
        yield served
    finally:
        served.stop()


@dataclass
class Browser:
    """A client that keeps cookies, as a browser without scripts does."""

    served: Served
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        return self._keep(self.served.ask("GET", path, {**self._cookie(), **headers}))

    def post(self, path: str, body: bytes, content_type: str, **headers: str) -> Answer:
        return self._keep(
            self.served.ask("POST", path, {**self._cookie(), "Content-Type": content_type, **headers}, body)
        )

    def _cookie(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}

    def _keep(self, answer: Answer) -> Answer:
        for line in answer.set_cookies:
            name, _, content = line.partition(";")[0].partition("=")
            self.cookies[name] = content
        return answer
