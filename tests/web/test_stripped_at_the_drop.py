"""An archive that strips at intake, and its observers: what they are told is true of the file that they sent."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.segments import list_uploads
from custody.receipt_checking import verify_receipt
from tests.archives import PASSPHRASE
from tests.ingest.test_stripping import BROKEN, STRIP
from tests.way_in import SAMPLES, SETTINGS, run_here
from tests.web.phone import until
from tests.web.served import Browser, Served, new_token, serving
from tests.web.test_handing_over import multipart, send, token_in
from tests.web.test_tus import content, sha256

PHOTO = (SAMPLES / "DCIM" / "Camera" / "HMD_Nokia_8.3_5G.jpg").read_bytes()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("strips") / "var", settings=SETTINGS + STRIP) as served:
        yield served


def test_a_stripped_photo_is_safe_and_compared_with_what_its_sender_has(served: Served) -> None:
    where = served.create(len(PHOTO), new_token(), filename="a.jpg", sha256=sha256(PHOTO)).headers["Location"]
    assert served.patch(where, 0, PHOTO).status == 204
    served.wait_for(where, "safe")
    browser = send(served, [("b.jpg", PHOTO + b"\0")])
    shown = browser.get("/receipt").text
    grouped = re.sub(r"<[^>]+>|\s", "", shown)
    receipt = browser.get("/receipt.json").body
    assert verify_receipt(receipt, None).finding == "MATCHES"
    (item,) = json.loads(receipt)["items"]
    assert sha256(PHOTO + b"\0") in grouped and item["sha256"] in grouped
    assert "Only a cleaned copy is kept" in shown
    archive = served.opened()
    events = [entry for entry in archive.last_entries(archive.rooms.ledger.size() - 4)]
    archive.rooms.close()
    assert not any(entry.get("incomplete") for entry in events), "a cleaned copy is shorter, and nothing was lost"
    assert not any(entry.get("code") == "uploads/differs" for entry in events)


def test_what_cannot_be_stripped_is_refused_to_its_sender_and_nothing_of_it_stays(served: Served) -> None:
    where = served.create(len(BROKEN), new_token(), filename="a.jpg", sha256=sha256(BROKEN)).headers["Location"]
    assert served.patch(where, 0, BROKEN).status == 204
    served.wait_for(where, "refused")
    told = served.ask("GET", where, {"Accept": "application/json"}).json()
    assert "still on your phone" in told["error"]
    until(lambda: list_uploads(served.home / "uploads") == (), seconds=10)


def test_a_form_with_a_photo_that_is_refused_gives_a_receipt_of_the_others(served: Served) -> None:
    browser = send(served, [("bad.jpg", BROKEN), ("note.bin", content(4000, 82))])
    assert "Files that were not taken: 1" in browser.get("/receipt").text
    assert len(json.loads(browser.get("/receipt.json").body)["items"]) == 1
    received = run_here(served.home, "drop", "received", "--json").stdout.splitlines()
    assert [json.loads(line)["refused"] for line in received][-1] == 1
    alone = Browser(served)
    page = alone.get(f"/d/{served.code}").text
    body, kind = multipart([("csrf_token", token_in(page))], [("bad.jpg", BROKEN)])
    answer = alone.post(f"/d/{served.code}", body, kind)
    assert answer.status == 422 and "still on your phone" in answer.text


def test_half_of_a_photo_that_cannot_be_stripped_stays_until_a_person_decides(served: Served, tmp_path: Path) -> None:
    where = served.create(len(BROKEN) + 10, new_token(), filename="half.jpg").headers["Location"]
    assert served.patch(where, 0, BROKEN).status == 204
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    opened = run_here(served.home, "unlock", "--minutes", "5", "--passphrase-file", str(tmp_path / "passphrase"))
    assert opened.returncode == 0, opened.stderr
    try:
        rescued = run_here(served.home, "drop", "rescue", "--all")
        assert "Traceback" not in rescued.stderr
        assert len(list_uploads(served.home / "uploads")) == 1, "it is all there is of that photo"
        assert "could not be" in run_here(served.home, "jobs", "--json").stdout
        config = served.home / "config.toml"
        config.write_text(config.read_text() + '[policy]\nuncleanable = "keep_marked"\n')
        again = run_here(served.home, "drop", "rescue", "--all")
        assert "became an item" in again.stdout, again.stderr
        assert list_uploads(served.home / "uploads") == ()
        assert run_here(served.home, "verify", "--full").returncode in (0, 3)
    finally:
        run_here(served.home, "lock")
