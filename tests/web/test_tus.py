"""The upload protocol: what tus names for each wrong request, independent clients over a bad line, races, and a server
that is killed. All of it with the archive locked."""

import base64
import fcntl
import hashlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from archive.catalogue.items import list_items
from archive.segmentfiles import segment_numbers
from archive.segments import list_uploads
from tests.often import often
from tests.way_in import ROOT, Watcher
from tests.web.cutting_proxy import CuttingProxy, close_hard
from tests.web.served import OCTETS, TUS, Answer, Served, new_token, serving

NPM = ROOT / "build" / "npm"
SCRIPTS = Path(__file__).parent / "clients"
MIB = 1 << 20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("tus") / "var") as served:
        yield served


def content(size: int, seed: int = 0) -> bytes:
    return random.Random(seed or size).randbytes(size)  # noqa: S311 - test content


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def made(served: Served, size: int, **told: str) -> str:
    answer = served.create(size, new_token(), **{"filename": "a.bin", **told})
    assert answer.status == 201, answer.body
    return answer.headers["Location"]


# ── the protocol ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_upload_in_pieces_becomes_an_item_that_is_the_same(served: Served) -> None:
    data = content(700_001)
    where = made(served, len(data), sha256=sha256(data))
    for start in range(0, len(data), 300_000):
        answer = served.patch(where, start, data[start : start + 300_000])
        assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(min(start + 300_000, len(data))))
    served.wait_for(where, "safe")
    answer = served.head(where)
    assert (answer.status, answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == (
        200,
        "700001",
        "700001",
    )
    assert answer.headers["Cache-Control"] == "no-store"
    archive = served.opened()
    with archive.rooms.database.reading() as session:
        item = max((item for item, _ in list_items(session)), key=lambda item: item.number)
    assert archive.stored(item.id) == data
    archive.rooms.close()


def test_what_the_server_speaks(served: Served) -> None:
    answer = served.ask("OPTIONS", "/tus/")
    assert answer.status == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    spoken = set(answer.headers["Tus-Extension"].split(","))
    assert spoken == {"creation", "creation-with-upload", "expiration", "termination", "checksum"}
    assert "sha256" in answer.headers["Tus-Checksum-Algorithm"].split(",")
    assert answer.headers["Tus-Max-Size"].isdecimal()


def test_each_wrong_request_gets_the_status_that_the_protocol_names(served: Served) -> None:
    data = content(100_000)
    where = made(served, len(data))
    assert served.patch(where, 0, data[:50_000]).status == 204

    def checked(checksum: str) -> Answer:
        return served.patch(where, 50_000, b"abc", **{"Upload-Checksum": checksum})

    older = {**OCTETS, "Tus-Resumable": "0.2.2", "Upload-Offset": "50000"}
    wrong = {
        "another version": (served.ask("PATCH", where, older), 412),
        "no version": (served.ask("HEAD", where), 412),
        "an offset that is too small": (served.patch(where, 49_999, data), 409),
        "an offset that is too large": (served.patch(where, 50_001, data), 409),
        "no offset": (served.ask("PATCH", where, OCTETS, b"x"), 400),
        "an offset that is no number": (served.ask("PATCH", where, {**OCTETS, "Upload-Offset": "-1"}, b"x"), 400),
        "another content type": (
            served.ask("PATCH", where, {**TUS, "Content-Type": "text/plain", "Upload-Offset": "50000"}, b"x"),
            415,
        ),
        "more than was declared": (served.patch(where, 50_000, data), 413),
        "a checksum that is wrong": (checked(f"sha256 {base64.b64encode(bytes(32)).decode()}"), 460),
        "a checksum of an unknown kind": (
            served.patch(where, 50_000, b"abc", **{"Upload-Checksum": "crc32 AAAA"}),
            400,
        ),
        "a checksum that is no base64": (checked("sha256 %%"), 400),
        "an upload that is not there": (served.head("/tus/" + new_token()), 404),
        "an address that cannot be one": (served.head("/tus/abc"), 404),
        "no length": (served.ask("POST", "/tus/", TUS), 400),
        "a length to be told later": (served.ask("POST", "/tus/", {**TUS, "Upload-Defer-Length": "1"}), 400),
        "more than this archive takes": (served.create(1 << 50, new_token()), 413),
        "another method": (served.ask("PUT", where, TUS), 405),
        "another method, overridden": (served.ask("POST", where, {**TUS, "X-HTTP-Method-Override": "BREW"}), 405),
        "metadata that is no base64": (
            served.ask("POST", "/tus/", {**TUS, "Upload-Length": "5", "Upload-Metadata": "visit %%%"}),
            400,
        ),
    }
    assert {what: answer.status for what, (answer, _) in wrong.items()} == {
        what: due for what, (_, due) in wrong.items()
    }
    assert wrong["another version"][0].headers["Tus-Version"] == "1.0.0"
    assert served.head(where).headers["Upload-Offset"] == "50000"


def test_unknown_expired_revoked_and_used_up_codes_answer_alike(served: Served) -> None:
    bodies = set()
    for code in ("ZZZZZZ", "", "x" * 3000, "ÅÄÖ", "2'--"):
        answer = served.create(5, new_token(), code=code)
        assert answer.status == 404
        bodies.add(answer.body)
    assert len(bodies) == 1


def test_another_method_may_be_meant_than_is_used(served: Served) -> None:
    data = content(5000)
    where = made(served, len(data))
    meant = {**OCTETS, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert served.ask("POST", where, meant, data).status == 204
    assert served.ask("POST", where, {**TUS, "X-HTTP-Method-Override": "HEAD"}).headers["Upload-Offset"] == "5000"


def test_an_upload_may_begin_with_its_first_octets(served: Served) -> None:
    data = content(200_000)
    meta = {"visit": new_token(), "code": served.code, "filename": "b.bin"}
    text = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in meta.items())
    headers = {**OCTETS, "Upload-Length": "200000", "Upload-Metadata": text}
    answer = served.ask("POST", "/tus/", headers, data[:120_000])
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, "120000")
    assert "GMT" in answer.headers["Upload-Expires"]
    assert served.patch(answer.headers["Location"], 120_000, data[120_000:]).status == 204


def test_a_checksum_decides_whether_a_piece_counts(served: Served) -> None:
    data = content(300_000)
    where = made(served, len(data), sha256=sha256(data))
    right = "sha256 " + base64.b64encode(hashlib.sha256(data[:150_000]).digest()).decode()
    assert served.patch(where, 0, data[:149_999] + b"?", **{"Upload-Checksum": right}).status == 460
    assert served.head(where).headers["Upload-Offset"] == "0"
    assert served.patch(where, 0, data[:150_000], **{"Upload-Checksum": right}).status == 204
    assert served.patch(where, 150_000, data[150_000:]).status == 204
    served.wait_for(where, "safe")


def test_what_is_not_the_same_is_kept_and_said(served: Served) -> None:
    data = content(10_000)
    where = made(served, len(data), sha256=sha256(b"other"))
    assert served.patch(where, 0, data).status == 204
    served.wait_for(where, "differs")
    archive = served.opened()
    failures = [each for each in archive.last_entries(6) if each.get("code") == "uploads/differs"]
    assert [str(each.entry.outcome) for each in failures] == ["failure"]
    archive.rooms.close()


def test_a_digest_may_come_after_the_upload_has_begun(served: Served) -> None:
    data = content(10_000, 3)
    where = made(served, len(data))
    told = json.dumps({"sha256": sha256(data)}).encode()
    headers = {**TUS, "Content-Type": "application/json"}
    assert served.ask("POST", f"{where}/digest", headers, told).status == 204
    other = json.dumps({"sha256": sha256(b"other")}).encode()
    assert served.ask("POST", f"{where}/digest", headers, other).status == 409
    assert served.patch(where, 0, data).status == 204
    served.wait_for(where, "safe")


def test_a_digest_that_comes_too_late_is_not_acknowledged(served: Served) -> None:
    data = content(200_000, 7)
    headers = {**TUS, "Content-Type": "application/json"}
    other = json.dumps({"sha256": sha256(b"other")}).encode()
    for _ in range(8):  # Right behind the last octet, while it is still being checked.
        where = made(served, len(data))
        assert served.patch(where, 0, data).status == 204
        assert served.ask("POST", f"{where}/digest", headers, other).status in (404, 409)
        served.wait_for(where, "safe")
    told = made(served, len(data), sha256=sha256(data))
    assert served.patch(told, 0, data).status == 204
    served.wait_for(told, "safe")


def test_an_upload_that_its_sender_gives_up_is_kept_as_far_as_it_came(served: Served) -> None:
    empty, begun = made(served, 100), made(served, 100_000)
    assert served.ask("DELETE", empty, TUS).status == 204
    assert served.head(empty).status == 410
    assert served.patch(begun, 0, content(40_000)).status == 204
    assert served.ask("DELETE", begun, TUS).status == 204
    served.wait_for(begun, "incomplete")
    assert served.patch(begun, 40_000, content(10)).status == 410


def test_quotas_hold_and_say_why(served: Served) -> None:
    code = served.new_link("--quota-mib", "1", "--files", "2")
    token = new_token()
    assert served.create(MIB + 1, token, code=code).json()["code"] == "uploads/quota"
    first = served.create(600_000, token, code=code)
    assert first.status == 201
    assert served.create(600_000, token, code=code).status == 413
    assert served.create(1000, token, code=code).status == 201
    assert served.create(1000, token, code=code).json()["code"] == "uploads/quota"


def test_uploads_that_bring_nothing_close_a_link_for_nobody(served: Served) -> None:
    code = served.new_link("--quota-mib", "1", "--files", "4")
    for length in (MIB, MIB, MIB, MIB, 0, 0):
        assert served.create(length, new_token(), code=code).status == 201
    where = served.create(600_000, new_token(), code=code).headers["Location"]
    other = served.create(600_000, new_token(), code=code).headers["Location"]
    assert served.ask("GET", f"/d/{code}").status == 200
    assert served.patch(where, 0, content(600_000)).status == 204
    refused = served.patch(other, 0, content(600_000, 2))
    assert (refused.status, refused.json()["code"]) == (413, "uploads/quota")
    served.wait_for(where, "safe")


def test_a_link_for_one_observer_takes_all_of_theirs_and_nobody_elses(served: Served) -> None:
    code, token = served.new_link("--once"), new_token()
    assert [served.create(10, token, code=code).status for _ in range(3)] == [201, 201, 201]
    assert served.create(10, new_token(), code=code).status == 404


# ── one writer at a time ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("races", often([10, 50], 10))
def test_of_two_requests_that_race_the_file_comes_out_right(served: Served, races: int) -> None:
    for seed in range(1, races + 1):
        data = content(200_000, seed)
        where = made(served, len(data), sha256=sha256(data))

        def send(where: str = where, data: bytes = data) -> None:
            for _ in range(40):
                offset = int(served.head(where).headers["Upload-Offset"])
                if offset == len(data):
                    return
                served.patch(where, offset, data[offset:])

        racers = [threading.Thread(target=send) for _ in range(2)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        served.wait_for(where, "safe")


def begun_patch(served: Served, where: str, offset: int, length: int) -> socket.socket:
    """Begin to send `length` octets, and return the line for them."""
    line = socket.create_connection(("127.0.0.1", served.port))
    head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
    head += f"Content-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\n\r\n"
    line.sendall(head.encode())
    return line


def test_late_octets_of_a_request_whose_line_hangs_never_land(served: Served) -> None:
    data = content(400_000)
    where = made(served, len(data), sha256=sha256(data))
    with begun_patch(served, where, 0, len(data)) as old:
        old.sendall(data[:150_000])
        time.sleep(0.3)
        begun = time.monotonic()
        offset = int(served.head(where).headers["Upload-Offset"])
        assert time.monotonic() - begun < 5, "the newer request waited for the one that hangs"
        assert offset == 150_000, "what the line had brought is kept to the last octet"
        with suppress(OSError):  # The line may be gone for these already.
            old.sendall(data[150_000:300_000])
        assert served.patch(where, offset, data[offset:]).status == 204
    served.wait_for(where, "safe")


def unacknowledged(line: socket.socket) -> int:
    return int(struct.unpack("i", fcntl.ioctl(line, termios.TIOCOUTQ, bytes(4)))[0])


def test_what_a_line_had_brought_when_it_was_cut_is_not_sent_again_however_slow_the_server(served: Served) -> None:
    data = content(24 * MIB)
    where, offset = made(served, len(data), sha256=sha256(data)), 0
    assert served.process is not None
    for _ in range(5):
        line = begun_patch(served, where, offset, len(data) - offset)
        line.sendall(data[offset : offset + 2 * MIB])  # By this the kernel learns to hold more.
        while unacknowledged(line):
            time.sleep(0.001)
        os.killpg(served.process.pid, signal.SIGSTOP)
        line.settimeout(0.2)
        sent = min(offset + 2 * MIB, len(data))
        with suppress(TimeoutError):
            while sent < len(data):
                sent += line.send(data[sent : sent + 64_000])
        arrived = sent - unacknowledged(line)
        close_hard(line)
        asking = HTTPConnection("127.0.0.1", served.port, timeout=60)
        asking.request("HEAD", where, headers=TUS)
        os.killpg(served.process.pid, signal.SIGCONT)
        offset = int(asking.getresponse().headers["Upload-Offset"])
        asking.close()
        assert arrived <= offset <= sent
    assert served.patch(where, offset, data[offset:]).status == 204
    served.wait_for(where, "safe")


# ── independent clients over a bad line ──────────────────────────────────────────────────────────────────────────────


def send_by(client: str, served: Served, port: int, path: Path, digest: str, chunk: int) -> str:
    """Have a client send a file; return where it is."""
    words = [f"http://127.0.0.1:{port}/tus/", str(path), new_token(), served.code, digest, str(chunk)]
    if client == "tuspy":
        program = [sys.executable, str(SCRIPTS / "tuspy_client.py")]
    elif (NPM / "node_modules").is_dir():
        program = ["node", str(SCRIPTS / "tus_client.mjs"), client]
    else:
        pytest.skip("the npm clients are not installed (scripts/setup)")
    environment = {**os.environ, "TESTIGO_NPM": str(NPM)}
    found = subprocess.run([*program, *words], env=environment, capture_output=True, text=True, timeout=1800)
    assert found.returncode == 0, found.stderr
    return "/tus/" + str(json.loads(found.stdout)["url"]).rpartition("/")[2]


CLIENTS = ("tus-js-client", "uppy", "tuspy")


def over_a_bad_line(served: Served, folder: Path, client: str, size: int, cuts: int, chunk: int) -> float:
    """Send through cuts and return how much was sent, as a part of the file's size."""
    path = folder / "clip.mp4"
    with path.open("wb") as out, path.open("rb") as back:
        for part in range(0, size, 8 * MIB):
            out.write(content(min(8 * MIB, size - part), part + 1))
        out.flush()
        digest = hashlib.file_digest(back, "sha256").hexdigest()
    with CuttingProxy(served.port, up_rate=20e6, cut_every=size // (cuts + cuts // 3), most_cuts=cuts) as line:
        where = send_by(client, served, line.port, path, digest, chunk)
        served.wait_for(where, "safe", 300)
        assert line.cuts >= cuts * 0.8
        return line.octets_up / size


@pytest.mark.parametrize("client", CLIENTS)
def test_independent_clients_get_through_a_line_that_is_cut(served: Served, tmp_path: Path, client: str) -> None:
    chunk = MIB if client == "tuspy" else 5 * MIB
    over_a_bad_line(served, tmp_path, client, 16 * MIB, 8, chunk)


@pytest.mark.long
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("size", [200_000_000, 1 << 30], ids=["200MB", "1GiB"])
def test_large_files_get_through_a_hundred_cuts_and_little_is_sent_twice(
    served: Served, tmp_path: Path, client: str, size: int
) -> None:
    chunk = MIB if client == "tuspy" else 5 * MIB
    sent = over_a_bad_line(served, tmp_path, client, size, 100, chunk)
    print(f"{client}, {size} octets, 100 cuts: {100 * (sent - 1):.1f} % sent twice")
    assert sent < 1.05


# ── a server that is killed ──────────────────────────────────────────────────────────────────────────────────────────


class Phone(threading.Thread):
    """Sends one file in small pieces until it is safe, whatever happens to the server."""

    def __init__(self, served: Served, seed: int, size: int) -> None:
        super().__init__(daemon=True)
        self.served = served
        self.token = new_token()
        self.data = content(size, seed)
        self.acknowledged = 0
        self.lost: list[tuple[int, int]] = []
        self.is_safe = False

    def run(self) -> None:
        where = None
        while not self.is_safe:
            try:
                if where is None:
                    told = {"sha256": sha256(self.data), "filename": "x"}
                    answer = self.served.create(len(self.data), self.token, **told)
                    where = answer.headers["Location"] if answer.status == 201 else None
                    continue
                answer = self.served.head(where)
                if answer.status != 200:
                    continue
                offset = int(answer.headers["Upload-Offset"])
                if offset < self.acknowledged:
                    self.lost.append((offset, self.acknowledged))
                if offset < len(self.data):
                    answer = self.served.patch(where, offset, self.data[offset : offset + 70_000])
                    if answer.status == 204:
                        self.acknowledged = int(answer.headers["Upload-Offset"])
                else:
                    self.is_safe = self.served.state(where) == "safe"
                    time.sleep(0.02)
            except (OSError, EOFError, KeyError, ValueError, Exception) as error:  # noqa: B014 - see below
                # A line to a killed server breaks in every way that the client library knows.
                if isinstance(error, AssertionError):
                    raise
                time.sleep(0.05)


def kill_and_go_on(home: Path, phones: int, kills: int, size: int) -> None:
    chance = random.Random(11)  # noqa: S311 - when to kill
    served = Served(home).start()
    sending = [Phone(served, seed, size) for seed in range(1, phones + 1)]
    for phone in sending:
        phone.start()
    try:
        for _ in range(kills):
            time.sleep(chance.uniform(0.05, 1.0))
            served.kill()
            served.start()
        for phone in sending:
            phone.join(240)
        assert all(phone.is_safe for phone in sending)
        assert [phone.lost for phone in sending if phone.lost] == []
    finally:
        served.stop()
    archive = served.opened()
    with archive.rooms.database.reading() as session:
        items = [item for item, _ in list_items(session)]
    assert sorted(sha256(archive.stored(item.id)) for item in items) == sorted(sha256(p.data) for p in sending)
    entered = [entry for item in items for entry in archive.log_of(item) if entry.entry.event == "ingestion"]
    assert len(entered) == phones
    archive.rooms.close()
    # Of a creation whose answer never came, nobody has the address; no octet can have gone there.
    assert not [name for name in list_uploads(home / "uploads") if segment_numbers(home / "uploads" / name)]


@pytest.mark.long
def test_a_server_that_is_killed_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path / "var", phones=6, kills=4, size=400_000)


@pytest.mark.long
def test_a_server_that_is_killed_a_hundred_times_loses_nothing(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path / "var", phones=20, kills=100, size=5_000_000)


# ── nothing in clear ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_file_holds_plaintext_while_uploading_or_after(served: Served) -> None:
    marker, name = b"MARKER-" + os.urandom(12).hex().encode(), "name-" + os.urandom(8).hex()
    data = b"".join(marker + content(50_000, seed) for seed in range(1, 40))
    watcher = Watcher([served.home], [marker, name.encode(), served.code.encode()])
    with watcher.watching():
        half, whole = made(served, len(data), filename=name), made(served, len(data), filename=name)
        assert served.patch(half, 0, data[: len(data) // 2]).status == 204
        assert served.patch(whole, 0, data).status == 204
        served.wait_for(whole, "safe")
    watcher.look()
    assert watcher.rounds > 0
    assert watcher.found == set()
