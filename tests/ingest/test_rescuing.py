"""Uploads whose senders are gone: found when they are old, in sight as jobs, made items at an unlock, each once."""

import os
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest

from archive.catalogue.drops import deliveries_of
from archive.catalogue.items import list_items
from archive.catalogue.records import Visit
from archive.jobs import Job, JobKind, JobState
from archive.segments import list_uploads
from commands.drop_rooms import DropRooms
from commands.upkeep import rescue_stale
from ingest.droplinks import Terms
from ingest.told import Told
from ingest.uploads import Uploads
from tests.way_in import WayIn

DATA = os.urandom(300_000)
DAY_AND_MORE = timedelta(hours=25)


class Brought(BytesIO):
    """The body of a request, all of which has come."""

    def cut_short(self) -> None:
        """There is nothing to wait for."""


class Sender:
    """A phone that has sent the first octets of one file."""

    def __init__(self, archive: WayIn, *, sent: int = 200_000) -> None:
        self.drop, self.token = DropRooms(archive.rooms), os.urandom(32)
        self.uploads: Uploads = self.drop.uploads
        self.code = self.drop.links.give(archive.actor, archive.raid.number, Terms(days=30))[1]
        self.address, _ = self.uploads.create(self.token, self.code, Told(name="lost.mp4"), len(DATA))
        self.send(0, sent)

    def send(self, start: int, end: int) -> int:
        return self.uploads.append(self.address, start, Brought(DATA[start:end]), end - start).offset


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


def rescues(archive: WayIn) -> list[JobState]:
    return [job.state for job in archive.rooms.jobs.list() if job.kind is JobKind.RESCUE]


def work(archive: WayIn) -> list[str]:
    """One round of a worker: find, then do what is due; return what was said of rescues."""
    said: list[str] = []

    def watch(job: Job, _state: JobState, words: str) -> None:
        if job.kind is JobKind.RESCUE:
            said.append(words)

    archive.rooms.workers.rescue.find()
    archive.rooms.workers.every_kind.work(watch)
    return said


def sizes(archive: WayIn) -> list[int]:
    with archive.rooms.database.reading() as session:
        return [item.size for item, _ in list_items(session)]


def test_an_upload_that_may_yet_go_on_is_no_job(archive: WayIn) -> None:
    Sender(archive)
    assert archive.rooms.workers.rescue.find() == 0
    assert rescues(archive) == []


def test_an_old_upload_waits_for_an_unlock_in_sight_and_is_an_item_after_it(archive: WayIn) -> None:
    Sender(archive)
    archive.clock.move(DAY_AND_MORE)
    assert work(archive) == ["waiting for an unlocked archive"]
    assert rescues(archive) == [JobState.WAITING_FOR_UNLOCK]
    assert work(archive) == [], "a locked archive tries it once, not at every round"
    with archive.unlocked():
        assert work(archive) == ["what had come of it is an item now"]
    assert (rescues(archive), sizes(archive)) == ([JobState.DONE], [200_000])
    assert list_uploads(archive.home / "uploads") == ()


def test_a_sender_who_comes_back_before_the_unlock_goes_on(archive: WayIn) -> None:
    sender = Sender(archive)
    archive.clock.move(DAY_AND_MORE)
    work(archive)
    assert sender.send(200_000, 250_000) == 250_000
    with archive.unlocked():
        assert work(archive) == ["its sender goes on with it"]
        assert sizes(archive) == []
        archive.clock.move(DAY_AND_MORE)
    with archive.unlocked():
        assert work(archive) == ["what had come of it is an item now"], "a job that was done comes up again"
    assert sizes(archive) == [250_000]


def test_an_unlock_rescues_without_a_worker_and_each_upload_once(archive: WayIn) -> None:
    for sent in (100_000, 200_000):
        Sender(archive, sent=sent)
    archive.clock.move(DAY_AND_MORE)
    with archive.unlocked():
        assert rescue_stale(archive.rooms) == 2
        assert rescue_stale(archive.rooms) == 0
    assert sorted(sizes(archive)) == [100_000, 200_000]
    with archive.rooms.database.reading() as session:
        visits = session.execute(Visit.table.select()).mappings().all()
        assert [len(deliveries_of(session, visit["id"])) for visit in visits] == [1, 1]


def test_an_upload_of_which_nothing_came_ends_without_an_item(archive: WayIn) -> None:
    Sender(archive, sent=0)
    archive.clock.move(DAY_AND_MORE)
    with archive.unlocked():
        assert work(archive) == ["nothing of it had arrived"]
    assert sizes(archive) == []
    assert list_uploads(archive.home / "uploads") == ()
