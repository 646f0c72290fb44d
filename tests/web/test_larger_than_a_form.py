"""A file larger than a form without scripts brings: its first part is kept as what it is, nobody is shut out."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from archive.catalogue.items import list_items
from commands.drop_rooms import DropRooms
from ingest.choices import Choice
from ingest.consents import Rung
from ingest.droplinks import Terms
from ingest.finishing import Finishing
from ingest.tokens import visit_id
from ingest.told import Told
from tests.ingest.test_rescuing import Brought
from tests.way_in import SETTINGS, WayIn, run_here
from tests.web.served import Answer, Browser, Served, serving
from tests.web.test_handing_over import multipart, token_in
from tests.web.test_tus import content

MIB = 1 << 20
_WORDS = "One file is larger than 1 MB, which is the most without scripts. Its first part is kept, marked as incomplete"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("form") / "var"
    with serving(home, settings=SETTINGS + "\n[web]\nform_file_mib = 1\n") as served:
        yield served


def send(browser: Browser, *files: tuple[str, bytes]) -> Answer:
    page = browser.get(f"/d/{browser.served.code}").text
    found = re.search(r'name="visit" value="([^"]+)"', page)
    assert found
    fields = [("csrf_token", token_in(page)), ("visit", unescape(found[1])), ("use", "legal")]
    return browser.post(f"/d/{browser.served.code}", *multipart(fields, list(files)))


def test_the_first_part_of_a_file_that_is_too_large_is_an_incomplete_item_and_its_sender_goes_on(
    served: Served,
) -> None:
    browser = Browser(served)
    large, small = content(MIB + 500_000), content(1000, 2)
    told = send(browser, ("large.mp4", large), ("small.jpg", small))
    assert told.status == 413
    assert _WORDS in unescape(told.text)
    assert "announced" not in told.text
    assert send(browser, ("after.jpg", content(2000, 3))).status == 303, "the sender is not locked out"
    page = browser.get("/receipt").text
    assert (
        "Files: 3" in page and "Files of which only a part arrived: 1." in page and "Only a part arrived. Kept." in page
    )
    archive = served.opened()
    with archive.rooms.database.reading() as session:
        items = {item.size: item for item, _ in list_items(session)}
    assert set(items) == {MIB, 1000, 2000}
    assert archive.stored(items[MIB].id) == large[:MIB]
    entry = archive.log_of(items[MIB])[0]
    assert entry.get("incomplete") == {
        "received": MIB, "declared": len(large), "why": "larger than a form without scripts brings",
    }  # fmt: skip
    archive.rooms.close()
    (shown,) = [line for line in run_here(served.home, "jobs").stdout.splitlines() if "rescue" in line] or [""]
    assert not shown, "nothing waits for a rescue"


@pytest.mark.parametrize("size", [MIB - 1, MIB])
def test_a_file_of_just_the_most_octets_is_whole(served: Served, size: int) -> None:
    browser = Browser(served)
    assert send(browser, ("just.bin", content(size, 9))).status == 303
    page = browser.get("/receipt").text
    assert "Files: 1" in page and "only a part arrived" not in page


def test_a_form_whose_server_was_killed_after_the_last_octet_is_finished_when_its_sender_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WayIn(tmp_path / "archive") as archive:
        drop, token = DropRooms(archive.rooms), bytes(range(32))
        code = drop.links.give(archive.actor, archive.raid.number, Terms())[1]

        class Killed(BaseException):
            pass

        def killed(*_: object, **__: object) -> None:
            raise Killed

        with monkeypatch.context() as dying, pytest.raises(Killed):
            dying.setattr(Finishing, "finish", killed)
            drop.uploads.receive_whole(token, code, Told(name="film.mp4"), Brought(b"all of it"), 1000)
        (file,) = drop.visits.files(visit_id(token))
        assert (file.state, file.declared, file.received) == ("checking", 9, 9)
        drop.close()
        again = DropRooms(archive.rooms)
        visit = again.handing_over.finish(token, code, Choice(rung=Rung.LEGAL, language="en"))
        assert visit.number is not None
        (file,) = again.visits.files(visit.id)
        assert file.state == "safe"
        again.close()


def test_a_form_that_is_cut_before_its_end_is_not_whole(tmp_path: Path) -> None:
    with WayIn(tmp_path / "archive") as archive:
        drop, token = DropRooms(archive.rooms), bytes(range(32))
        code = drop.links.give(archive.actor, archive.raid.number, Terms())[1]

        class Breaks(Brought):
            def readinto(self, buffer: object) -> int:
                if self.tell() == 1000:
                    raise OSError("the line broke")
                return super().readinto(buffer)  # type: ignore[arg-type]  # as in archive.segments

        with pytest.raises(OSError, match="broke"):
            drop.uploads.receive_whole(token, code, Told(name="film.mp4"), Breaks(bytes(1000)), 1000)
        (file,) = drop.visits.files(visit_id(token))
        assert (file.state, file.received) == ("receiving", 1000)
        drop.close()
