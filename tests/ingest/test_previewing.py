"""Previews: made after an unlock, sealed like the original, entered in the log, and honest where there are none."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from archive.catalogue.items import objects_of
from archive.catalogue.records import Item
from archive.jobs import Job, JobKind, JobState
from archive.types import Finding
from custody.register import OpenedEntry
from ingest.reception import Stored
from tests.media.conftest import VECTORS
from tests.media.made_videos import exiftool
from tests.way_in import SAMPLES, WayIn, arrival

Told = list[tuple[str, JobState, str]]
PHOTO = VECTORS / "gps-and-serial-number.jpg"
VIDEO = VECTORS / "video-with-sound.mp4"
VIDEO_PREVIEWS = {"poster", "contact-sheet", "proxy", "proxy-times", "waveform"}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


def _take_in(archive: WayIn, *sources: Path | bytes) -> list[Item]:
    named = [source.name if isinstance(source, Path) else "bytes" for source in sources]
    results = archive.take_in([arrival(name, source) for name, source in zip(named, sources, strict=True)])
    return [result.item for result in results if isinstance(result, Stored)]


def _work(archive: WayIn) -> Told:
    told: Told = []

    def watch(job: Job, state: JobState, words: str) -> None:
        if job.kind is JobKind.PREVIEW:
            told.append((job.subject, state, words))

    archive.rooms.workers.every_kind.work(watch)
    return told


def _own(archive: WayIn, item: Item) -> list[OpenedEntry]:
    """The item's log without what comparing enters in it."""
    return [entry for entry in archive.log_of(item) if "better originals" not in str(entry.get("purpose"))]


def _purposes(archive: WayIn, item: Item) -> set[str]:
    with archive.rooms.database.reading() as session:
        return set(objects_of(session, item.id)) - {"original", "metadata", "likeness"}


def test_while_locked_previews_wait_and_the_log_says_nothing(archive: WayIn) -> None:
    (item,) = _take_in(archive, PHOTO)
    size = archive.rooms.ledger.size()
    assert _work(archive) == [(str(item.id), JobState.WAITING_FOR_UNLOCK, "waiting for an unlocked archive")]
    assert archive.rooms.ledger.size() == size
    (job,) = [each for each in archive.rooms.jobs.list() if each.kind is JobKind.PREVIEW]
    assert (job.state, job.tries) == (JobState.WAITING_FOR_UNLOCK, 0)
    with archive.unlocked():
        assert [state for _, state, _ in _work(archive)] == [JobState.DONE]
    assert _purposes(archive, item) == {"photo-320", "photo-1600"}


def test_each_kind_of_file_gets_its_previews_and_they_say_nothing(archive: WayIn, tmp_path: Path) -> None:
    sources = [
        PHOTO,
        VIDEO,
        SAMPLES / "Documents" / "a-text.pdf",
        SAMPLES / "Documents" / "declaracion-testigo.txt",
        SAMPLES / "Recordings" / "debian.ogg",
    ]
    items = _take_in(archive, *sources)
    with archive.unlocked():
        told = _work(archive)
    assert {state for _, state, _ in told} == {JobState.DONE}
    found = [_purposes(archive, item) for item in items]
    expected = [{"photo-320", "photo-1600"}, VIDEO_PREVIEWS, {"text", "page-0001", "page-0002"}, {"text"}, {"waveform"}]
    assert found == expected
    for item, purposes in zip(items, found, strict=True):
        for purpose in purposes:
            path = tmp_path / f"{item.number}-{purpose}"
            path.write_bytes(archive.stored(item.id, purpose))
            if not purpose.startswith(("text", "proxy-times", "waveform")):
                said = exiftool("-ee3", "-a", "-G1", "-s", "--System:all", path)
                assert not [word for word in ("GPS", "Serial", "Make", "Lavf", "x264", "2018:") if word in said], said
    assert b"TESTIGO" in archive.stored(items[3].id, "text")
    peaks = json.loads(archive.stored(items[4].id, "waveform"))
    assert peaks["length"] * 2 == len(peaks["data"]) and max(peaks["data"]) > 20
    with Image.open(BytesIO(archive.stored(items[0].id, "photo-320"))) as small:
        assert max(small.size) <= 320 and not small.getexif()


def test_an_access_and_what_was_made_stand_in_the_items_log_and_the_audit_agrees(archive: WayIn) -> None:
    (item,) = _take_in(archive, PHOTO)
    with archive.unlocked():
        _work(archive)
    receipt, access, creation = _own(archive, item)
    assert [each.entry.event for each in (receipt, access, creation)] == ["ingestion", "access", "creation"]
    assert access.get("purpose") == "make previews"
    made = {value["purpose"]: value for value in creation.all("derivative")}
    assert set(made) == {"photo-320", "photo-1600"}
    for purpose, told in made.items():
        assert told["parent"] == "original" and told["tool"].startswith("Pillow ")
        assert told["size"] == len(archive.stored(item.id, purpose))
    assert archive.rooms.ledger.size() == _published(archive)
    assert not [found for found in archive.rooms.audit.holdings() if found.finding is not Finding.MATCHES]


def _published(archive: WayIn) -> int:
    with archive.rooms.database.reading() as session:
        return int(session.execute(text("SELECT max(size) FROM checkpoint")).scalar() or 0)


def test_what_cannot_be_shown_is_recorded_with_the_reason(archive: WayIn) -> None:
    torn, unknown = _take_in(archive, PHOTO.read_bytes()[:900], b"\x00\x01\x02" * 500)
    with archive.unlocked():
        told = _work(archive)
    assert [state for _, state, _ in told] == [JobState.DONE, JobState.DONE]
    assert all("not processed: media/no-preview" in words for _, _, words in told)
    for item in (torn, unknown):
        creation = _own(archive, item)[-1]
        assert (creation.entry.event, creation.entry.outcome) == ("creation", "failure")
        (missing,) = creation.all("not_processed")
        assert missing["code"] == "media/no-preview" and "original is kept" in missing["reason"]


def test_a_job_that_comes_twice_makes_nothing_twice(archive: WayIn) -> None:
    (item,) = _take_in(archive, PHOTO)
    with archive.unlocked():
        _work(archive)
        before = archive.rooms.ledger.size(), archive.rows("object")
        with archive.rooms.database.writing() as session:
            session.execute(text("UPDATE job SET state = 'new' WHERE kind = 'preview'"))
        assert [words for _, _, words in _work(archive)] == ["its previews are here already"]
    assert (archive.rooms.ledger.size(), archive.rows("object")) == before
    assert len(_purposes(archive, item)) == 2


def test_an_item_whose_key_was_destroyed_is_let_go(archive: WayIn) -> None:
    (item,) = _take_in(archive, PHOTO)
    archive.rooms.key_files.destroy(item.id)
    with archive.unlocked():
        assert [(state, words) for _, state, words in _work(archive)] == [
            (JobState.DONE, "the item or its key is gone")
        ]


def test_a_job_that_is_given_up_says_so_in_the_items_log(archive: WayIn) -> None:
    (item,) = _take_in(archive, PHOTO)
    with archive.rooms.database.writing() as session:
        session.execute(text("UPDATE job SET tries = 99 WHERE kind = 'preview'"))
    with archive.unlocked():
        assert [state for _, state, _ in _work(archive)] == [JobState.FAILED]
    (missing,) = _own(archive, item)[-1].all("not_processed")
    assert missing["code"] == "media/gave-up" and "worker ended without a word" in missing["reason"]
