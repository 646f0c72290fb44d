"""A worker that is killed at any instant: every item ends with what it would have had, or with the reason why not."""

import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from archive.catalogue.items import NOT_SHOWN, objects_of
from archive.catalogue.records import Item
from archive.jobs import JobKind, JobState
from archive.types import Finding
from ingest.reception import Arrival, Stored
from tests.way_in import AN_HOUR_AGO, ROOT, WayIn, arrival

LEASE_SECONDS = 2.0
PATIENCE_SECONDS = 900
PHOTO = {"photo-320", "photo-1600"}


def _photo(number: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (64, 48), (number % 256, 80, 160)).save(made, "JPEG", comment=f"photo {number}".encode())
    return made.getvalue()


def _files(count: int) -> Iterator[tuple[Arrival, set[str]]]:
    """Photos mostly, some texts, and some that cannot be shown, each with the previews that it must end with."""
    for number in range(count):
        if number % 5 == 3:
            yield arrival(f"{number}.txt", f"Statement number {number}\n".encode() * 3), {"text"}
        elif number % 10 == 4:
            yield arrival(f"{number}.bin", bytes([0, 1, 2, number % 256]) * 64), set()
        else:
            yield arrival(f"{number}.jpg", _photo(number)), PHOTO


def _start(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "crash" / "subject_worker.py"), str(home), str(LEASE_SECONDS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def _kill_at_random(home: Path, kills: int, chance: random.Random) -> None:
    """Kill it in the midst of its work, which must last until most kills have come; the instants are spread over a few
    jobs of some tenths of a second."""
    landed = 0
    for _ in range(kills):
        worker = _start(home)
        assert worker.stdout is not None
        try:
            worker.stdout.readline()
            time.sleep(chance.uniform(0.0, 1.2))
            landed += worker.poll() is None
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
            worker.stdout.close()
    print(f"{landed} of {kills} kills came while the worker worked")
    assert landed > kills // 2


def _finish(archive: WayIn) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := [job for job in archive.rooms.jobs.list() if job.state in (JobState.NEW, JobState.RUNNING)]:
        assert time.monotonic() < deadline, f"{len(left)} jobs never ended"
        worker = _start(archive.home)
        worker.communicate(timeout=PATIENCE_SECONDS)
        archive.rooms.jobs.hurry()
        time.sleep(LEASE_SECONDS / 4)


def _purposes(archive: WayIn, item: Item) -> set[str]:
    with archive.rooms.database.reading() as session:
        return set(objects_of(session, item.id)) - NOT_SHOWN


def _killed(home: Path, *, items: int, kills: int, seed: int) -> None:
    with WayIn(home, now=datetime.now(UTC) - (datetime.now(UTC) - AN_HOUR_AGO)) as archive:
        files = list(_files(items))
        results = archive.take_in([each for each, _ in files])
        stored = [result.item for result in results if isinstance(result, Stored)]
        assert len(stored) == items
        archive.clock.now = datetime.now(UTC) - timedelta(seconds=5)
        archive.unlock(seconds=3600)
        _kill_at_random(archive.home, kills, random.Random(seed))  # noqa: S311 - chosen instants must be repeatable
        _finish(archive)
        for item, (_, expected) in zip(stored, files, strict=True):
            log = archive.log_of(item)
            ends = [entry for entry in log if entry.entry.event == "creation"]
            # `hurry` asks for another round of what was given up after too many kills; that stands in the log before.
            for earlier in ends[:-1]:
                assert [each["code"] for each in earlier.all("not_processed")] == ["media/gave-up"], item.number
                assert not earlier.all("derivative"), f"{item.number} was processed {len(ends)} times"
            missing = ends[-1].all("not_processed")
            assert _purposes(archive, item) == (expected if not missing else set())
            assert bool(missing) or expected, f"{item.number} has neither previews nor a reason"
            if expected:
                assert not missing or missing[0]["code"] == "media/gave-up"
            for value in ends[-1].all("derivative"):
                assert len(archive.stored(item.id, value["purpose"])) == value["size"]
        assert {job.state for job in archive.rooms.jobs.list() if job.kind is JobKind.PREVIEW} <= {
            JobState.DONE,
            JobState.FAILED,
        }
        archive.rooms.publisher.publish()
        bad = [each for each in archive.rooms.audit.holdings() if each.finding is Finding.DOES_NOT_MATCH]
        assert not bad, bad


def test_a_worker_killed_at_random_leaves_nothing_half_done(tmp_path: Path) -> None:
    _killed(tmp_path / "archive", items=16, kills=5, seed=7)


@pytest.mark.long
def test_a_worker_killed_100_times_over_200_items_ends_as_without_kills(tmp_path: Path) -> None:
    _killed(tmp_path / "archive", items=200, kills=100, seed=100)
