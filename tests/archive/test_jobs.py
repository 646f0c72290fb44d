"""The leased queue: at least once, capped, honest about waiting."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive.catalogue.database import Database
from archive.jobs import MOST_TRIES, JobKind, JobQueue, JobState


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def queue(tmp_path: Path, hand: Hand) -> JobQueue:
    database = Database(tmp_path / "catalogue.sqlite")
    database.migrate()
    queue = JobQueue(database, hand)
    with database.writing() as session:
        queue.enqueue(session, JobKind.TIMESTAMP, ["7/a", "7/b"])
        queue.enqueue(session, JobKind.TIMESTAMP, ["7/a"])
    return queue


def test_a_job_is_claimed_by_one_worker_and_enqueued_once(queue: JobQueue) -> None:
    first, second, third = queue.claim("w1"), queue.claim("w2"), queue.claim("w3")
    assert first is not None and second is not None and third is None
    assert {first.subject, second.subject} == {"7/a", "7/b"}


def test_a_dead_workers_job_is_claimed_again_and_its_late_word_is_ignored(queue: JobQueue, hand: Hand) -> None:
    first = queue.claim("w1")
    queue.claim("w1")
    hand.now += timedelta(minutes=4)
    again = queue.claim("w2")
    assert first is not None and again is not None and again.id == first.id and again.tries == 2
    queue.complete(first, "w1")
    assert queue.list([JobState.DONE]) == []
    queue.complete(again, "w2")
    assert [job.id for job in queue.list([JobState.DONE])] == [first.id]


def test_a_failing_job_is_tried_again_later_and_ends_with_its_reason(queue: JobQueue, hand: Hand) -> None:
    ended = {}
    for _ in range(2 * MOST_TRIES):
        hand.now += timedelta(hours=7)
        job = queue.claim("w")
        assert job is not None
        ended[job.subject] = (queue.fail(job, "w", "authority down"), job.tries)
    assert ended == {"7/a": (JobState.FAILED, MOST_TRIES), "7/b": (JobState.FAILED, MOST_TRIES)}
    assert {job.reason for job in queue.list([JobState.FAILED])} == {"authority down"}
    hand.now += timedelta(days=1)
    assert queue.claim("w") is None


def test_a_pause_grows_between_tries(queue: JobQueue, hand: Hand) -> None:
    job = queue.claim("w")
    assert job is not None
    queue.fail(job, "w", "down")
    assert queue.claim("w") is not None  # the other one
    assert queue.claim("w") is None
    hand.now += timedelta(seconds=11)
    assert queue.claim("w") is not None


def test_waiting_for_an_unlock_is_no_failed_try(queue: JobQueue) -> None:
    job = queue.claim("w")
    assert job is not None
    queue.wait_for_unlock(job, "w")
    assert len(queue.list([JobState.WAITING_FOR_UNLOCK])) == 1
    assert queue.release_waiting() == 1
    again = next(found for found in (queue.claim("w"), queue.claim("w")) if found is not None and found.id == job.id)
    assert again.tries == 1
