"""A camera's own file that comes later is linked with the copy that came before, only while unlocked, and on record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.catalogue.items import objects_of
from archive.jobs import Job, JobKind, JobState
from archive.types import EvidenceKind
from commands.assessment_page import assessment
from custody.better_original import links_of
from custody.clock_offset import newest_offset, record_clock_offset
from ingest.comparing import PURPOSE
from ingest.reception import Stored
from media.likeness import alike
from media.preview_parts import Part
from media.ranges import BytesRanges
from media.workbench import Examination
from tests.media.received_samples import GOPRO, IPHONE, NOKIA, exiftool, ffmpeg
from tests.media.test_received_as import in_one_part, painted_over
from tests.way_in import WayIn, arrival


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a messenger makes of real files, what an edit makes, and pictures of something else."""
    folder = tmp_path_factory.mktemp("copies")
    sent = ["-vf", "scale=1600:-1", "-q:v", "12", "-pix_fmt", "yuvj420p"]
    ffmpeg("-i", IPHONE, *sent, folder / "IMG-20260112-WA0007.jpg")
    ffmpeg("-i", IPHONE, "-vf", "transpose=1,scale=900:-1", "-pix_fmt", "yuvj420p", folder / "turned.jpg")
    ffmpeg("-i", IPHONE, "-vf", "crop=1200:1200", "-pix_fmt", "yuvj420p", folder / "other.jpg")
    ffmpeg("-f", "lavfi", "-i", "color=gray:size=640x480", "-frames:v", "1", folder / "blank.jpg")
    small = ["-vf", "scale=426:-2", "-crf", "36", "-preset", "ultrafast", "-c:a", "aac"]
    ffmpeg("-i", GOPRO, *small, folder / "VID-20260112-WA0001.mp4")
    ffmpeg("-i", GOPRO, "-t", "4", *small, folder / "shorter.mp4")
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


def take_in(archive: WayIn, *paths: Path) -> dict[str, Stored]:
    results = archive.take_in([arrival(path.name, path) for path in paths])
    stored = {path.name: result for path, result in zip(paths, results, strict=True) if isinstance(result, Stored)}
    assert len(stored) == len(paths)
    return stored


def _examined(archive: WayIn, path: Path) -> Examination:
    return archive.rooms.workbench.examine(BytesRanges(path.read_bytes()))


def work(archive: WayIn) -> list[tuple[JobState, str]]:
    """Do the comparisons that are due."""
    ended: list[tuple[JobState, str]] = []

    def watch(job: Job, state: JobState, words: str) -> None:
        if job.kind is JobKind.COMPARE:
            ended.append((state, words))

    archive.rooms.workers.every_kind.work(watch)
    return ended


def test_copies_that_came_before_are_linked_with_the_cameras_files(archive: WayIn, copies: Path) -> None:
    before = take_in(archive, *sorted(copies.iterdir()))
    assert [state for state, _ in work(archive)] == [JobState.WAITING_FOR_UNLOCK]
    with archive.unlocked():
        assert work(archive) == [(JobState.DONE, "6 looked at, 0 linked")]
        after = take_in(archive, IPHONE, NOKIA, GOPRO)
        assert work(archive) == [(JobState.DONE, "3 looked at, 3 linked")]
    photo, film = after[IPHONE.name].item, after[GOPRO.name].item
    expected = {
        "IMG-20260112-WA0007.jpg": [photo.number],
        "turned.jpg": [photo.number],
        "VID-20260112-WA0001.mp4": [film.number],
        "other.jpg": [],
        "blank.jpg": [],
        "shorter.mp4": [],
    }
    found = {name: links_of(archive.log_of(stored.item)) for name, stored in before.items()}
    assert {name: [link["other"] for link in links] for name, links in found.items()} == expected
    assert {link["role"] for links in found.values() for link in links} == {"copy"}
    assert "of 256 points" in found["turned.jpg"][0]["reason"]["words"]
    assert {link["role"] for link in links_of(archive.log_of(photo))} == {"original"}
    assert links_of(archive.log_of(after[NOKIA.name].item)) == []


def test_a_phones_heic_is_found_to_be_what_its_jpeg_shows(archive: WayIn) -> None:
    """The HEIC was cropped on the phone, so neither is a camera file: what is compared is what they look like."""
    heic = IPHONE.with_name("IMG_5195.HEIC")
    picture = archive.rooms.workbench.likeness(BytesRanges(heic.read_bytes()), EvidenceKind.PHOTO, "image/heic", "x")
    copy = next(archive.rooms.workbench.previews(BytesRanges(heic.read_bytes()), _examined(archive, heic)))
    assert isinstance(copy, Part)
    again = archive.rooms.workbench.likeness(BytesRanges(copy.content), EvidenceKind.PHOTO, "image/jpeg", "y")
    assert picture.problem is None and alike(picture, again) is not None


def test_a_forgery_laid_out_as_a_cameras_file_loses_that_grade_when_its_small_copy_is_looked_at(
    archive: WayIn, tmp_path: Path
) -> None:
    """All that can be seen of its structure is the camera's; the small copy still shows what the camera saw."""
    forged = tmp_path / "IMG_0001.jpg"
    forged.write_bytes(in_one_part(painted_over(IPHONE.read_bytes(), turned=True)))
    stored = take_in(archive, forged)[forged.name]
    assert archive.log_of(stored.item)[0].get("received_as")["grade"] == "camera file"
    with archive.unlocked():
        work(archive)
    assert archive.stored(stored.item.id, PURPOSE).count(b'"grade": "unknown"') == 1
    shown = assessment(archive.log_of(stored.item))["received_as"]
    assert shown["grade"] == "unknown" and "another picture" in shown["reasons"][0]["words"]


def test_what_an_item_looks_like_is_sealed_to_it_and_every_look_is_an_entry(archive: WayIn) -> None:
    stored = take_in(archive, IPHONE)[IPHONE.name]
    with archive.unlocked():
        work(archive)
    with archive.rooms.database.reading() as session:
        kept = objects_of(session, stored.item.id)[PURPOSE]
    name = kept.blake3.hex()
    sealed = archive.home / "store" / "objects" / name[:2] / name[2:4] / f"{name}.age"
    assert b"pictures" not in sealed.read_bytes()
    assert b'"grade": "camera file"' in archive.stored(stored.item.id, PURPOSE)
    events = [(entry.entry.event, entry.get("purpose")) for entry in archive.log_of(stored.item)]
    assert [event for event in events if "originals" in str(event[1])] == [
        ("access", "look at what an item shows, to find better originals"),
        ("metadata extraction", "looked at, to find better originals"),
    ]


def test_a_second_job_looks_at_nothing_again_and_enters_nothing(archive: WayIn) -> None:
    with archive.unlocked():
        take_in(archive, IPHONE)
        take_in(archive, NOKIA)
        assert work(archive) == [(JobState.DONE, "2 looked at, 0 linked"), (JobState.DONE, "all were looked at before")]
        size = archive.rooms.ledger.size()
        assert work(archive) == []
        assert archive.rooms.ledger.size() == size


def test_locked_means_no_entry_of_an_access_that_never_was(archive: WayIn) -> None:
    take_in(archive, IPHONE)
    size = archive.rooms.ledger.size()
    work(archive)
    assert archive.rooms.ledger.size() == size


def test_how_it_was_received_is_recorded_and_kept_under_the_items_key(archive: WayIn) -> None:
    stored = take_in(archive, IPHONE)[IPHONE.name]
    (receipt,) = archive.log_of(stored.item)
    value = receipt.get("received_as")
    assert (value["item"], value["grade"]) == (str(stored.item.id), "camera file")
    assert value["reasons"] and all(reason["words"] for reason in value["reasons"])
    closed = archive.rooms.register.open([receipt.entry.seq], {})
    assert closed[0].get("received_as") is None


def test_a_clock_offset_is_an_entry_and_the_last_one_counts(archive: WayIn) -> None:
    stored = take_in(archive, IPHONE)[IPHONE.name]
    before = archive.stored(stored.item.id)
    for seconds in (-37, 3600):
        record_clock_offset(
            archive.rooms.ledger, archive.actor, [stored.item.number], seconds=seconds, method="a GPS clock was filmed"
        )
    entries = archive.log_of(stored.item)
    assert [entry.entry.event for entry in entries] == ["ingestion", "metadata modification", "metadata modification"]
    newest = newest_offset(entries)
    assert newest is not None
    assert (newest["seconds"], newest["method"]) == (3600, "a GPS clock was filmed")
    assert archive.stored(stored.item.id) == before


def test_a_small_copy_from_before_the_picture_was_changed_is_found_out(archive: WayIn, tmp_path: Path) -> None:
    """The lower right quarter has the shape of the whole, so that only looking tells them apart."""
    quarter = tmp_path / "quarter.jpg"
    ffmpeg("-i", IPHONE, "-vf", "crop=iw/2:ih/2:iw/2:ih/2", "-pix_fmt", "yuvj420p", quarter)
    exiftool("-tagsfromfile", IPHONE, "-thumbnailimage", quarter)
    stored = take_in(archive, quarter, IPHONE)
    with archive.unlocked():
        work(archive)
    told = {name: archive.log_of(each.item) for name, each in stored.items()}
    differ = {
        name: [value["differs"] for entry in log for value in entry.all("small_copy")] for name, log in told.items()
    }
    assert differ == {"quarter.jpg": [True], IPHONE.name: [False]}
    sentences = [each["words"] for each in assessment(told["quarter.jpg"])["gives_away"]]
    assert any("differs from what is shown" in words for words in sentences)


def test_an_item_whose_key_is_gone_does_not_keep_the_others_from_being_compared(archive: WayIn) -> None:
    gone, kept = (take_in(archive, path)[path.name] for path in (NOKIA, IPHONE))
    archive.rooms.key_files.destroy(gone.item.id)
    with archive.unlocked():
        assert work(archive)[0] == (JobState.DONE, "1 looked at, 0 linked")
    with archive.rooms.database.reading() as session:
        assert PURPOSE in objects_of(session, kept.item.id)
