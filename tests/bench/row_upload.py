"""Row `upload`: one fast upload on loopback against the import of the same file, both with every tool of the workbench.

The upload runs from the request that makes it to the word "safe": its octets are sealed twice by then, once as they
come, so that none is lost, and once on their way through the seven steps.
"""

import base64
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.bench.composition import TESTIGO, Founded, Importing
from tests.bench.pairs import at_least, compare, tell

_MIB = 1 << 20
_OCTETS = 256 * _MIB
_PIECE = 1 << 20
_TUS = {"Tus-Resumable": "1.0.0"}


def measure(work: Path, template: Founded, pairs: int) -> None:
    print("upload: one file of 256 MiB of random octets over loopback without a proxy, against `testigo import` of it.")
    print("  The import's clock runs from its first step to its acknowledgement in a process that is already up.")
    path = work / "upload.bin"
    with path.open("wb") as out:
        for _ in range(_OCTETS // _PIECE):
            out.write(os.urandom(_PIECE))
    imported: list[float] = []

    def peer() -> float:
        archive = template.again()
        imported.append(Importing(archive, path, metadata=True).told().wall)
        archive.remove()
        return imported[-1]

    acknowledged: list[float] = []
    for what, octets in (("in one request", _OCTETS), ("in requests of 5 MiB", 5 * _MIB)):

        def ours(octets: int = octets) -> float:
            with _serving(template) as (port, code):
                os.sync()
                to_the_last, to_safe = _send(port, code, path, octets)
            acknowledged.append(to_the_last)
            return to_safe

        compare(f"rate of an upload {what} ÷ of the import", ours, peer, pairs, at_least(0.6), faster=True)
        tell("  of it to the last octet acknowledged", median(acknowledged[-pairs:]), "s")
    path.unlink()


@contextmanager
def _serving(template: Founded) -> Iterator[tuple[int, str]]:
    """Serve a fresh archive; give the port and the code of a drop link."""
    archive = template.again()
    environment = os.environ | {"TESTIGO_HOME": str(archive.home)}
    given = subprocess.run(  # noqa: S603 - our own program and fixed words
        [str(TESTIGO), "drop", "new", "-i", archive.incident, "--json"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = subprocess.Popen(  # noqa: S603 - our own program and fixed words
        [str(TESTIGO), "serve", "--quiet", "--listen", f"127.0.0.1:{port}"], env=environment
    )
    try:
        while True:
            try:
                _ask(port, "GET", "/d", {})  # And so the server has loaded all that it needs.
                break
            except OSError:
                time.sleep(0.1)
        yield port, str(json.loads(given.stdout.splitlines()[-1])["code"])
    finally:
        server.terminate()
        server.wait(60)
        archive.remove()


def _send(port: int, code: str, path: Path, octets: int) -> tuple[float, float]:
    """Send a file and return the seconds to the last acknowledgement and to the word "safe"."""
    token = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    meta = {"visit": token, "code": code, "filename": "upload.bin"}
    told = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in meta.items())
    start = time.perf_counter()
    size = path.stat().st_size
    made = _ask(port, "POST", "/tus/", {**_TUS, "Upload-Length": str(size), "Upload-Metadata": told})
    where = made[1]["Location"]
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    with path.open("rb") as source:
        for offset in range(0, size, octets):
            line.putrequest("PATCH", where)
            for name, value in {**_TUS, "Content-Type": "application/offset+octet-stream"}.items():
                line.putheader(name, value)
            line.putheader("Upload-Offset", str(offset))
            line.putheader("Content-Length", str(min(octets, size - offset)))
            line.endheaders()
            for _ in range(min(octets, size - offset) // _PIECE + 1):
                line.send(source.read(min(_PIECE, offset + octets - source.tell())))
            answer = line.getresponse()
            answer.read()
            if answer.status != http.client.NO_CONTENT:
                raise RuntimeError(f"an upload that was measured ended with {answer.status}")
    to_the_last = time.perf_counter() - start
    while json.loads(_ask(port, "GET", where, {})[2])["state"] != "safe":
        time.sleep(0.01)
    return to_the_last, time.perf_counter() - start


def _ask(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        line.request(method, path, headers=headers)
        answer = line.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        line.close()
