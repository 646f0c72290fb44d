"""What every worker over the queue must do: each job ends once, whatever its handler does and however workers die."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from archive.catalogue.database import Database
from archive.errors import LockedError, UnavailableError
from archive.jobs import MOST_TRIES, Job, JobKind, JobQueue, JobState
from archive.worker import Done, Lease, NotDone, Worker

Work = Callable[[Job, Lease], Done | NotDone]


class Recorded:
    """A handler that does what the test says, and remembers what it was asked."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.worked: list[str] = []
        self.given_up: list[tuple[str, str]] = []

    def work(self, job: Job, lease: Lease) -> Done | NotDone:
        self.worked.append(job.subject)
        return self._work(job, lease)

    def give_up(self, job: Job, reason: str, _lease: Lease) -> None:
        self.given_up.append((job.subject, reason))


class Bench:
    """A queue with a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.now = datetime(2026, 11, 22, tzinfo=UTC)
        self.database = Database(folder / "catalogue.sqlite")
        self.database.migrate()
        self.queue = self.queue_with()
        self.settled = 0
        self.keys = True

    def queue_with(self, lease: timedelta = timedelta(seconds=60)) -> JobQueue:
        return JobQueue(self.database, lambda: self.now, lease=lease)

    def enqueue(self, kind: JobKind, *subjects: str) -> None:
        with self.database.writing() as session:
            self.queue.enqueue(session, kind, subjects)

    def worker(self, handlers: Mapping[JobKind, Recorded], name: str = "w", queue: JobQueue | None = None) -> Worker:
        def settle() -> None:
            self.settled += 1

        return Worker(jobs=queue or self.queue, handlers=handlers, name=name, unlocked=lambda: self.keys, settle=settle)

    def states(self) -> dict[str, JobState]:
        return {job.subject: job.state for job in self.queue.list()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def done(_job: Job, _lease: Lease) -> Done:
    return Done(words="made")


def silent(_job: Job, _state: JobState, _words: str) -> None:
    pass


def test_each_kind_goes_to_its_handler_and_the_end_is_settled_once(bench: Bench) -> None:
    bench.enqueue(JobKind.TIMESTAMP, "1/a")
    bench.enqueue(JobKind.PREVIEW, "x", "y")
    stamps, previews = Recorded(done), Recorded(done)
    told: list[tuple[str, JobState, str]] = []
    worker = bench.worker({JobKind.TIMESTAMP: stamps, JobKind.PREVIEW: previews})
    assert worker.work(lambda job, state, words: told.append((job.subject, state, words))) == 3
    assert (stamps.worked, previews.worked) == (["1/a"], ["x", "y"])
    assert told == [(subject, JobState.DONE, "made") for subject in ("1/a", "x", "y")]
    assert bench.settled == 1
    assert worker.work(silent) == 0 and bench.settled == 1


def test_what_needs_a_key_waits_uncounted_until_there_is_one(bench: Bench) -> None:
    bench.enqueue(JobKind.PREVIEW, "x")
    bench.keys = False

    def needs_a_key(_job: Job, _lease: Lease) -> Done:
        if not bench.keys:
            raise LockedError("archive/locked", "The archive is locked.")
        return Done(words="made")

    worker = bench.worker({JobKind.PREVIEW: Recorded(needs_a_key)})
    for _ in range(MOST_TRIES[JobKind.PREVIEW] + 2):
        worker.work(silent)
        (job,) = bench.queue.list()
        assert (job.state, job.tries) == (JobState.WAITING_FOR_UNLOCK, 0)
    bench.keys = True
    worker.work(silent)
    assert bench.states() == {"x": JobState.DONE}


def test_poisoned_work_ends_with_its_reason_and_does_not_stop_the_rest(bench: Bench) -> None:
    bench.enqueue(JobKind.PREVIEW, "poison", "good")

    def sometimes(job: Job, _lease: Lease) -> Done:
        if job.subject == "poison":
            raise ZeroDivisionError("a secret name")
        return Done(words="made")

    handler = Recorded(sometimes)
    worker = bench.worker({JobKind.PREVIEW: handler})
    for _ in range(MOST_TRIES[JobKind.PREVIEW] + 2):
        worker.work(silent)
        bench.now += timedelta(hours=7)
    assert bench.states() == {"poison": JobState.FAILED, "good": JobState.DONE}
    assert handler.worked.count("poison") == MOST_TRIES[JobKind.PREVIEW]
    assert handler.given_up == [("poison", "the program failed at it (ZeroDivisionError)")]
    (failed,) = bench.queue.list([JobState.FAILED])
    assert failed.reason is not None and "secret" not in failed.reason


@pytest.mark.parametrize("trouble", [UnavailableError("archive/busy", "Busy."), ZeroDivisionError("a secret name")])
def test_a_reason_that_cannot_be_recorded_ends_its_job_all_the_same_and_does_not_stop_the_rest(
    bench: Bench, trouble: Exception
) -> None:
    class Stubborn(Recorded):
        def give_up(self, job: Job, reason: str, lease: Lease) -> None:
            super().give_up(job, reason, lease)
            raise trouble

    bench.enqueue(JobKind.PREVIEW, "hopeless", "good")
    handler = Stubborn(
        lambda job, _: NotDone(words="it is broken", final=True) if job.subject == "hopeless" else Done(words="made")
    )
    assert bench.worker({JobKind.PREVIEW: handler}).work(silent) == 2
    assert bench.states() == {"hopeless": JobState.FAILED, "good": JobState.DONE}
    assert handler.given_up == [("hopeless", "it is broken")]
    (failed,) = bench.queue.list([JobState.FAILED])
    assert failed.tries == 1 and failed.reason is not None
    assert failed.reason.startswith("it is broken; this was not recorded: ") and "secret" not in failed.reason


def test_a_worker_that_lost_its_job_meanwhile_does_not_say_that_it_is_done(bench: Bench) -> None:
    bench.enqueue(JobKind.PREVIEW, "x")
    told: list[tuple[JobState, str]] = []

    def too_late(_job: Job, _lease: Lease) -> Done:
        bench.now += timedelta(minutes=5)
        assert bench.queue.claim("other") is not None
        return Done(words="made")

    worker = bench.worker({JobKind.PREVIEW: Recorded(too_late)})
    assert worker.work(lambda _, state, words: told.append((state, words))) == 0
    assert told == [(JobState.RUNNING, "made; another worker has taken the job over")]


def test_a_job_that_killed_each_of_its_workers_ends_instead_of_killing_the_next(bench: Bench) -> None:
    bench.enqueue(JobKind.PREVIEW, "deadly")
    for _ in range(MOST_TRIES[JobKind.PREVIEW]):
        assert bench.queue.claim("dies") is not None
        bench.now += timedelta(minutes=2)
    handler = Recorded(done)
    assert bench.worker({JobKind.PREVIEW: handler}).work(silent) == 1
    assert handler.worked == []
    assert handler.given_up == [("deadly", "the worker ended without a word in each of its tries")]
    assert bench.states() == {"deadly": JobState.FAILED}


def test_long_work_keeps_its_lease(tmp_path: Path) -> None:
    """The clock runs on by a lease at each renewal; only a worker that renews keeps the job."""
    bench = Bench(tmp_path)
    queue = bench.queue_with(lease=timedelta(seconds=0.6))
    bench.enqueue(JobKind.PREVIEW, "long")
    renewed = threading.Event()
    renew = queue.renew

    def seen(job: Job, worker: str) -> bool:
        bench.now += queue.lease * 2
        kept = renew(job, worker)
        renewed.set()
        return kept

    queue.renew = seen  # type: ignore[method-assign]  # the same method, watched

    def long(_job: Job, _lease: Lease) -> Done:
        assert renewed.wait(20)
        assert queue.claim("other") is None, "another worker took what was renewed"
        return Done(words="made")

    handler = Recorded(long)
    bench.worker({JobKind.PREVIEW: handler}, queue=queue).work(silent)
    assert bench.states() == {"long": JobState.DONE} and handler.worked == ["long"]


def test_what_a_handler_records_stands_or_falls_with_its_lease(bench: Bench) -> None:
    bench.enqueue(JobKind.PREVIEW, "x")

    def write(session: Session) -> None:
        session.execute(text("INSERT INTO number VALUES ('made', 2026, 1)"))

    def too_late(_job: Job, lease: Lease) -> Done:
        bench.now += timedelta(minutes=5)
        assert bench.queue.claim("other") is not None
        with pytest.raises(UnavailableError, match="took over"), bench.database.writing() as session:
            write(session)
            lease.complete(session)
        raise UnavailableError("archive/lease-lost", "lost")

    bench.worker({JobKind.PREVIEW: Recorded(too_late)}).work(silent)
    with bench.database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM number WHERE kind = 'made'")).scalar() == 0
    assert bench.states() == {"x": JobState.RUNNING}, "the job is the other worker's"

    def in_time(_job: Job, lease: Lease) -> Done:
        with bench.database.writing() as session:
            write(session)
            lease.complete(session)
        return Done(words="made")

    bench.now += timedelta(minutes=5)
    bench.worker({JobKind.PREVIEW: Recorded(in_time)}).work(silent)
    assert bench.states() == {"x": JobState.DONE}


def test_several_workers_at_once_do_each_job_once(bench: Bench) -> None:
    subjects = [f"{number}" for number in range(120)]
    bench.enqueue(JobKind.PREVIEW, *subjects)
    handlers = [Recorded(done) for _ in range(4)]
    workers = [bench.worker({JobKind.PREVIEW: handler}, f"w{n}") for n, handler in enumerate(handlers)]
    with ThreadPoolExecutor(max_workers=4) as pool:
        assert sum(pool.map(lambda worker: worker.work(silent), workers)) == len(subjects)
    assert sorted(subject for handler in handlers for subject in handler.worked) == sorted(subjects)
    assert set(bench.states().values()) == {JobState.DONE}
