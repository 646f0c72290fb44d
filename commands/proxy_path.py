"""`doctor --url`: whether uploads get through the public address as they come. Sends 6 MiB, cuts it, and says what the
proxy in front does wrong.
"""

import http.client
import json
import os
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from archive.errors import InputError
from commands.doctor import Checked, Verdict

_MIB = 1 << 20
_WHOLE = 6 * _MIB
_PART = 3 * _MIB
_TIMEOUT_S = 30
_NEEDED = {
    "content-security-policy": "default-src 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def check_path(url: str) -> list[Checked]:
    """Look at the way from outside to the server; never stop at the first problem.

    Raises: InputError `cli/bad-url`.
    """
    where = urlsplit(url)
    if where.scheme not in ("http", "https") or not where.hostname:
        raise InputError("cli/bad-url", "The address must be like https://drop.example.org. Nothing was sent.")
    try:
        return [*_headers(where), *_whole(where), *_cut(where)]
    except ssl.SSLCertVerificationError as error:
        words = f"the certificate of {url} does not hold here ({error.verify_message}): no browser would go on"
        return [Checked(check="proxy TLS", verdict=Verdict.FAIL, words=words)]
    except (OSError, http.client.HTTPException, ValueError) as error:
        words = f"{url} does not answer as this server does ({type(error).__name__}): start it, and look at the proxy"
        return [Checked(check="proxy path", verdict=Verdict.FAIL, words=words)]


def _line(where: SplitResult) -> http.client.HTTPConnection:
    host = where.hostname or ""
    if where.scheme == "https":
        return http.client.HTTPSConnection(host, where.port, timeout=_TIMEOUT_S, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, where.port, timeout=_TIMEOUT_S)


def _ask(where: SplitResult, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    line = _line(where)
    try:
        line.request(method, path, body, {"Content-Type": "application/octet-stream"} if body else {})
        answer = line.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        line.close()


def _headers(where: SplitResult) -> Iterator[Checked]:
    status, headers, _ = _ask(where, "GET", "/d")
    lost = [name for name, needed in _NEEDED.items() if needed not in headers.get(name, "")]
    if status != 200:
        words = f"the page answers {status}: the proxy does not lead to this server"
        yield Checked(check="proxy page", verdict=Verdict.FAIL, words=words)
    elif lost:
        words = f"the proxy takes away or changes {', '.join(lost)}: let the server's own headers through"
        yield Checked(check="proxy headers", verdict=Verdict.FAIL, words=words)
    else:
        yield Checked(check="proxy headers", verdict=Verdict.GOOD, words="the server's own headers come through")
    if where.scheme != "https" and not (where.hostname or "").endswith(".onion"):
        words = "no TLS: whoever is on the network reads what is sent"
        yield Checked(check="proxy TLS", verdict=Verdict.NOTE, words=words)


def _whole(where: SplitResult) -> Iterator[Checked]:
    try:
        status, _, _ = _ask(where, "POST", f"/probe/{_name()}", os.urandom(_WHOLE))
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # A proxy that refuses the length may close before it has read all.
    if status == 413:
        words = "the proxy takes no 6 MiB in one request: raise its body limit (nginx: client_max_body_size 0)"
        yield Checked(check="proxy body limit", verdict=Verdict.FAIL, words=words)
    else:
        good = status == 200
        words = "6 MiB in one request come through" if good else f"6 MiB in one request end with {status}"
        yield Checked(check="proxy body limit", verdict=Verdict.GOOD if good else Verdict.FAIL, words=words)


def _cut(where: SplitResult) -> Iterator[Checked]:
    """Begin 6 MiB, send half, break the line, and ask how much the server saw."""
    name = _name()
    line = _line(where)
    line.putrequest("POST", f"/probe/{name}")
    line.putheader("Content-Type", "application/octet-stream")
    line.putheader("Content-Length", str(_WHOLE))
    line.endheaders()
    try:
        for _ in range(_PART // (64 << 10)):
            line.send(os.urandom(64 << 10))
        time.sleep(1)
        early = _count(where, name)
    except (BrokenPipeError, ConnectionResetError):
        early = 0
    finally:
        line.close()
    time.sleep(1)
    late = _count(where, name)
    if early == 0 and late == 0:
        words = (
            "the proxy holds requests back until they are whole, so that a break loses all of them: turn request "
            "buffering off (nginx: proxy_request_buffering off)"
        )
        yield Checked(check="proxy buffering", verdict=Verdict.FAIL, words=words)
    elif late < _PART - _MIB:
        words = f"of 3 MiB before a break, {late / _MIB:.1f} MiB arrived: the proxy holds some back"
        yield Checked(check="proxy buffering", verdict=Verdict.NOTE, words=words)
    else:
        words = f"what was sent before a break arrives ({late / _MIB:.1f} of 3 MiB)"
        yield Checked(check="proxy buffering", verdict=Verdict.GOOD, words=words)


def _count(where: SplitResult, name: str) -> int:
    status, _, body = _ask(where, "GET", f"/probe/{name}")
    return int(json.loads(body)["octets"]) if status == 200 else 0


def _name() -> str:
    return urlsafe_b64encode(os.urandom(32)).decode("ascii").rstrip("=")
