"""A real time-stamp authority on loopback for tests; the fixtures `authority` and `start_authority` run it.

It is `demo/authority.py` itself, in a folder of the test's own, behind a switch for what may go wrong on the way.
"""

import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from custody.timestamps import Authority
from demo.authority import AuthorityServer, ThrowAwayAuthority, TimeStampHandler


class Behaviour(StrEnum):
    """What the authority does with the next requests."""

    ANSWERS = "answers"
    DOWN = "down"
    """Closes the connection without a word."""
    SLOW = "slow"
    """Sends one octet of its answer every fifth of a second, for ever."""
    WRONG_REPLY = "wrong reply"
    """Answers with a token whose last octet, in the signature, is changed."""
    OTHER_REQUEST = "other request's reply"
    """Answers a request over the same bytes with another nonce."""
    REJECTS = "rejects"
    """Answers by the protocol that it gives no token."""
    LOGIN_PAGE = "log-in page"
    """Answers 200 with HTML, as a hotel's network does."""
    REDIRECTS = "redirects"
    """Sends the client to another path of the same server, which would answer."""
    ENDLESS = "endless"
    """Sends more octets than any token has."""


StartAuthority = Callable[[str], "RunningAuthority"]


class RunningAuthority:
    """One authority that listens on 127.0.0.1 until the test ends. Set `behaviour` at any time."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.behaviour = Behaviour.ANSWERS
        self.requests = 0
        self.stopping = threading.Event()
        self._server = _SwitchedServer(ThrowAwayAuthority(folder, name), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def root(self) -> Path:
        """The root certificate, PEM."""
        return self._server.authority.root

    def settings(self, *, timeout_s: int = 10, policy: str | None = None, rooted: bool = True) -> Authority:
        """This authority as the settings would name it."""
        roots = (self.root.read_bytes(),) if rooted else ()
        return Authority(name=self.name, url=self.url, roots=roots, policy=policy, timeout_s=timeout_s)

    def reply(self, request: bytes) -> bytes:
        """Answer without the network, whatever `behaviour` says."""
        return self._server.authority.reply(request)

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _SwitchedServer(AuthorityServer):
    def __init__(self, authority: ThrowAwayAuthority, running: RunningAuthority) -> None:
        super().__init__(authority, 0, _SwitchedHandler)
        self.running = running

    def handle_error(self, request: object, client_address: object) -> None:
        """Write nothing when a client hangs up: several tests make it do so."""


class _SwitchedHandler(TimeStampHandler):
    server: _SwitchedServer

    def answer(self, request: bytes) -> None:
        running = self.server.running
        running.requests += 1
        reply = running.reply
        match running.behaviour:
            case Behaviour.ANSWERS:
                self.send_reply(reply(request))
            case Behaviour.DOWN:
                self.close_connection = True
            case Behaviour.SLOW:
                self._trickle(reply(request))
            case Behaviour.WRONG_REPLY:
                token = reply(request)
                self.send_reply(token[:-1] + bytes([token[-1] ^ 1]))
            case Behaviour.OTHER_REQUEST:
                # A request ends in the nonce's last octet and then certReq, three octets.
                self.send_reply(reply(request[:-4] + bytes([request[-4] ^ 1]) + request[-3:]))
            case Behaviour.REJECTS:
                self.send_reply(reply(b"no request at all"))
            case Behaviour.LOGIN_PAGE:
                self.send_reply(b"<html>Welcome</html>", content_type="text/html")
            case Behaviour.REDIRECTS:
                running.behaviour = Behaviour.ANSWERS
                self.send_response(307)
                self.send_header("Location", running.url + "elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case Behaviour.ENDLESS:
                self.send_reply(bytes(1 << 20))

    def _trickle(self, reply: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        for octet in reply:
            if self.server.running.stopping.wait(0.2):
                return
            self.wfile.write(bytes([octet]))
