"""A link that was revoked or has expired takes nothing more; whoever sent something through it still gets a receipt."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from archive.errors import NotFoundError
from commands.drop_rooms import DropRooms
from ingest.choices import Choice
from ingest.consents import Rung
from ingest.droplinks import Terms
from ingest.told import Told
from tests.ingest.test_rescuing import Brought
from tests.way_in import WayIn, run_here
from tests.web.served import Browser, Served, serving
from tests.web.test_handing_over import multipart, token_in


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("closes") / "var") as served:
        yield served


def test_whoever_sent_something_through_a_link_that_was_revoked_adds_words_and_gets_a_receipt(served: Served) -> None:
    browser, code = Browser(served), served.code
    page = browser.get(f"/d/{code}").text
    found = re.search(r'name="visit" value="([^"]+)"', page)
    assert found
    visit = unescape(found[1])
    where = served.create(9, visit, filename="v.txt").headers["Location"]
    served.patch(where, 0, b"123456789")
    served.wait_for(where, "safe")
    revoked = run_here(served.home, "drop", "revoke", f"D-{served.archive.clock().year}-0001")
    assert revoked.returncode == 0, revoked.stderr
    for path in (f"/d/{code}", "/d/-"):
        again = browser.get(path)
        assert again.status == 200
        assert "This link takes no more files. What you sent is kept." in again.text
    asked = browser.get("/receipt")
    assert (asked.status, asked.headers["Location"]) == (303, "/d/-"), "it does not say that nothing arrived"
    assert browser.get("/receipt.json").json()["code"] == "visits/not-finished"
    assert served.create(9, visit, filename="more.txt").status == 404, "it takes no more files"
    assert Browser(served).get(f"/d/{code}").status == 404, "to all others it is a code that does not work"
    fields = [("csrf_token", token_in(page)), ("visit", visit), ("happened", "I saw the van"), ("use", "legal")]
    finished = browser.post(f"/d/{code}", *multipart(fields, []))
    assert (finished.status, finished.headers.get("Location")) == (303, "/receipt"), finished.text
    assert "Files: 2" in browser.get("/receipt").text


def test_a_link_that_expired_meanwhile_is_finished_too_and_by_nobody_who_sent_nothing(tmp_path: Path) -> None:
    with WayIn(tmp_path / "archive") as archive:
        drop, token = DropRooms(archive.rooms), os.urandom(32)
        code = drop.links.give(archive.actor, archive.raid.number, Terms(days=1))[1]
        address, _ = drop.uploads.create(token, code, Told(name="a.bin"), 9)
        empty = os.urandom(32)
        drop.uploads.create(empty, code, Told(name="b.bin"), 9)
        drop.uploads.append(address, 0, Brought(b"123456789"), 9)
        drop.finishing.finish(address)
        archive.clock.move(timedelta(days=1, minutes=1))
        assert drop.visits.link_for([token], code).closed
        words = Choice(rung=Rung.LEGAL, language="en", saw="I saw the van")
        for who in (empty, os.urandom(32)):
            with pytest.raises(NotFoundError):
                drop.visits.link_for([who], code)
            with pytest.raises(NotFoundError):
                drop.handing_over.finish(who, code, words)
        assert drop.handing_over.finish(token, code, words).number is not None
        drop.close()
