"""The leased queue: at least once, capped, honest about waiting."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive.catalogue.database import Database
from archive.jobs import LEASE, MOST_TRIES, JobKind, JobQueue, JobState


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
    hand.now += LEASE + timedelta(seconds=1)
    again = queue.claim("w2")
    assert first is not None and again is not None and again.id == first.id and again.tries == 2
    queue.complete(first, "w1")
    assert queue.list([JobState.DONE]) == []
    queue.complete(again, "w2")
    assert [job.id for job in queue.list([JobState.DONE])] == [first.id]


def test_a_failing_job_is_tried_again_later_and_ends_with_its_reason(queue: JobQueue, hand: Hand) -> None:
    ended = {}
    most = MOST_TRIES[JobKind.TIMESTAMP]
    for _ in range(2 * most):
        hand.now += timedelta(hours=7)
        job = queue.claim("w")
        assert job is not None
        ended[job.subject] = (queue.fail(job, "w", "authority down"), job.tries)
    assert ended == {"7/a": (JobState.FAILED, most), "7/b": (JobState.FAILED, most)}
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


def test_a_renewed_lease_keeps_the_job_and_a_lost_one_cannot_be_renewed(queue: JobQueue, hand: Hand) -> None:
    job, _ = queue.claim("w1"), queue.claim("w1")
    assert job is not None
    hand.now += LEASE * 0.9
    assert queue.renew(job, "w1")
    hand.now += LEASE * 0.9
    again = queue.claim("w2")
    assert again is not None and again.id != job.id, "the renewed one was taken away"
    hand.now += LEASE
    taken = [queue.claim("w3"), queue.claim("w3")]
    assert job.id in [each.id for each in taken if each is not None]
    assert not queue.renew(job, "w1")


def test_a_worker_is_given_only_the_kinds_that_it_asks_for(queue: JobQueue) -> None:
    assert queue.claim("w", [JobKind.PREVIEW]) is None
    assert queue.claim("w", [JobKind.PREVIEW, JobKind.TIMESTAMP]) is not None


def test_another_round_that_a_person_asks_for_has_all_its_tries(queue: JobQueue) -> None:
    job = queue.claim("w")
    assert job is not None
    queue.fail(job, "w", "broken", final=True)
    assert queue.hurry() == 2
    again = queue.claim("w")
    assert again is not None and again.tries == 1
