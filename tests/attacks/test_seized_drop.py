"""Whoever seizes a locked server amid uploads finds nothing of what was being sent, in no file and in no spelling."""

import base64
import hashlib
import os
import re
import secrets
import socket
import time
from pathlib import Path

from archive.segmentfiles import segment_numbers
from archive.segments import list_uploads
from tests.attacks.test_seizure import spellings
from tests.way_in import SETTINGS, Watcher, run_testigo
from tests.web.served import Browser, Served, new_token
from tests.web.test_handing_over import multipart, post, return_code, send, token_in
from tests.web.test_sealed_on_the_phone import sealed_by_a_phone

WHERE = ("content", "name", "type", "statement", "contact", "told", "label", "reason", "question", "answer", "sealed")
ON = SETTINGS + "[web]\nseal_waiting_copies = true\n"


def _film(marker: str, octets: int) -> bytes:
    """A film that carries a marker at its start, at its end and often between, across the edges of chunks too."""
    piece = marker.encode() + os.urandom(9_000)
    return (piece * (octets // len(piece) + 1))[: octets - len(marker)] + marker.encode()


def _hang(served: Served, head: str, body: bytes) -> socket.socket:
    """Send a part of a request and let the line hang."""
    line = socket.create_connection(("127.0.0.1", served.port))
    line.sendall(head.encode() + body)
    return line


def _half_a_form(served: Served, told: dict[str, str]) -> socket.socket:
    """Send a form without scripts as far as the middle of its second file."""
    browser = Browser(served)
    page = browser.get(f"/d/{served.code}")
    fields = [("csrf_token", token_in(page.text)), ("happened", told["statement"]), ("contact", told["contact"])]
    name = f"{told['name']}.jpg"
    body, kind = multipart(fields, [(name, _film(told["content"], 300_000)), (name, _film(told["content"], 700_000))])
    cookies = "; ".join(f"{key}={value}" for key, value in browser.cookies.items())
    head = f"POST /d/{served.code} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nCookie: {cookies}\r\n"
    return _hang(served, f"{head}Content-Length: {len(body)}\r\n\r\n", body[:-200_000])


def _half_an_upload(served: Served, told: dict[str, str], keys: dict[str, str]) -> socket.socket:
    """Send some whole requests of an upload, one that its checksum refuses, and half of another one."""
    film = _film(told["content"], 3_000_000)
    names = {"filename": f"{told['name']}.mp4", "filetype": told["type"], "sha256": hashlib.sha256(film).hexdigest()}
    keys["token"] = new_token()
    where = served.create(len(film), keys["token"], **names).headers["Location"]
    keys["address"] = where.rstrip("/").rpartition("/")[2]
    assert served.patch(where, 0, film[:1_000_001]).status == 204
    wrong = "sha256 " + base64.b64encode(bytes(32)).decode()
    assert served.patch(where, 1_000_001, film[1_000_001:1_400_000], **{"Upload-Checksum": wrong}).status == 460
    head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 1000001\r\n"
    head += f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(film) - 1_000_001}\r\n\r\n"
    return _hang(served, head, film[1_000_001:2_500_000])


def _half_a_sealed_copy(served: Served, told: dict[str, str]) -> None:
    copy = sealed_by_a_phone(served, _film(told["sealed"], 900_000))
    where = served.create(len(copy), new_token(), sealed="1", plain_size="900000").headers["Location"]
    assert served.patch(where, 0, copy[:500_000]).status == 204
    whole = served.create(len(copy), new_token(), sealed="1", plain_size="900000").headers["Location"]
    assert served.patch(whole, 0, copy).status == 204
    served.wait_for(whole, "safe")


def _come_back(served: Served, receipt: str, told: dict[str, str]) -> None:
    """Ask the sender of a receipt, and answer as they do."""
    number = re.search(r"TG-\d{4}-\d{5}", receipt)
    assert number
    asked = run_testigo(served.home, "drop", "ask", number[0], told["question"])
    assert asked.returncode == 0, asked.stderr
    returned = Browser(served)
    assert post(returned, "/r", returned.get("/r").text, code=return_code(receipt)) == 303
    me = returned.get("/r/me").text
    question = re.search(r'name="question" value="([^"]+)"', me)
    assert question
    assert post(returned, "/r/me/answer", me, question=question[1], answer=told["answer"]) == 303


def test_a_locked_server_that_is_seized_amid_uploads_gives_none_of_what_was_sent_nor_what_would_let_one_in(
    tmp_path: Path,
) -> None:
    told = {where: secrets.token_hex(16) for where in WHERE}
    everything = [spelt for marker in told.values() for spelt in spellings(marker).values()]
    served = Served(tmp_path / "var", settings=ON, terms=("--label", told["label"]))
    watcher = Watcher([tmp_path], [*everything, served.code.encode()])
    served.start()
    keys: dict[str, str] = {}
    lines: list[socket.socket] = []
    try:
        with watcher.watching():
            browser = send(
                served,
                [(f"{told['name']}.mp4", _film(told["content"], 500_000))],
                happened=told["statement"],
                told=told["told"],
                contact=told["contact"],
            )
            receipt = browser.get("/receipt").text
            _come_back(served, receipt, told)
            revoked = served.new_link()
            assert len(revoked) == 6
            given = run_testigo(served.home, "drop", "ls")
            link = given.stdout.splitlines()[-1].split()[0]
            gone = run_testigo(served.home, "drop", "revoke", link, "--reason", told["reason"])
            assert gone.returncode == 0, gone.stderr
            _half_a_sealed_copy(served, told)
            lines += [_half_an_upload(served, told, keys), _half_a_form(served, told)]
            time.sleep(1.5)
        served.kill()
        watcher.look()
    finally:
        served.stop()
        for line in lines:
            line.close()
    staged = served.home / "uploads"
    begun = [name for name in list_uploads(staged) if segment_numbers(staged / name)]
    assert len(begun) >= 3, "uploads were not half done"
    assert (served.home / "catalogue.sqlite-wal").stat().st_size > 0
    assert watcher.rounds > 3
    assert not watcher.found
    keys |= {"link": served.code, "return code": return_code(receipt).replace(" ", "")}
    patterns = [spelt for key in keys.values() for spelt in (key.encode(), key.encode().hex().encode())]
    after = Watcher([tmp_path], patterns)
    after.look()
    assert not after.found
    # The search itself is tried: a marker that is planted is found.
    (staged / "planted").write_bytes(b"\n".join([*everything, *patterns]))
    watcher.look()
    after.look()
    assert {spelt for _, spelt in watcher.found} >= set(everything)
    assert {spelt for _, spelt in after.found} == set(patterns), "the search is blind"
