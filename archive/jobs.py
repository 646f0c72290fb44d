"""The leased queue: background work over the catalogue, at least once, with capped retries.

A worker claims a job with one statement and holds it by a lease, which it renews while it works; a worker that dies
loses the lease and another claims the job again. A job that needs a key waits for an unlock, which is no failed try. A
job that fails its last try ends as `failed` with its reason, and stays in sight. Who does the work is `worker.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from archive.catalogue.columns import foreign_value
from archive.catalogue.database import Database
from archive.catalogue.models import JobRow
from archive.types import Clock

LEASE = timedelta(minutes=1)
"""How long a silent worker keeps its job; a living one renews it three times within."""
_LONGEST_PAUSE = timedelta(hours=6)
_REASON_CHARACTERS = 200


class JobKind(StrEnum):
    """What kinds of work there are; later parts add theirs."""

    TIMESTAMP = "timestamp"
    PREVIEW = "preview"
    COMPARE = "compare"
    RESCUE = "rescue"


MOST_TRIES = {JobKind.TIMESTAMP: 50, JobKind.PREVIEW: 6, JobKind.COMPARE: 6, JobKind.RESCUE: 6}
"""An authority may be down for weeks; a file that cannot be shown will not be shown by trying for long."""


class JobState(StrEnum):
    NEW = "new"
    RUNNING = "running"
    WAITING_FOR_UNLOCK = "waiting for unlock"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as claimed or listed. `subject` holds ids and sizes only, never a name."""

    id: int
    kind: JobKind
    subject: str
    state: JobState
    tries: int
    not_before: datetime
    reason: str | None
    created_time: datetime


class JobQueue:
    def __init__(self, database: Database, clock: Clock, *, lease: timedelta = LEASE) -> None:
        self._database = database
        self._clock = clock
        self.lease = lease

    def enqueue(self, session: Session, kind: JobKind, subjects: Sequence[str]) -> None:
        """Add one job per subject in the caller's transaction; a job that is there already stays as it is."""
        now = self._clock()
        rows = [
            {
                "kind": kind,
                "subject": subject,
                "state": JobState.NEW,
                "tries": 0,
                "not_before": now,
                "created_time": now,
            }
            for subject in subjects
        ]
        if rows:
            session.execute(insert(JobRow).on_conflict_do_nothing(index_elements=["kind", "subject"]), rows)

    def enqueue_anew(self, session: Session, kind: JobKind, subjects: Sequence[str], *, at_once: bool = False) -> None:
        """As `enqueue`; one that was done becomes due again, because there is something to do again.

        `at_once`: also one that failed or waits for its next try, because a person asks for it.
        """
        self.enqueue(session, kind, subjects)
        states = [JobState.DONE, JobState.FAILED, JobState.NEW] if at_once else [JobState.DONE]
        done = (JobRow.kind == kind) & JobRow.subject.in_(subjects) & JobRow.state.in_(states)
        again = {"state": JobState.NEW, "tries": 0, "not_before": self._clock(), "ended_time": None, "reason": None}
        session.execute(update(JobRow).where(done).values(**again))

    def claim(self, worker: str, kinds: Collection[JobKind] = tuple(JobKind)) -> Job | None:
        """Take the oldest job of these kinds that is due, or one whose worker's lease ran out; None if there is none.

        A job may come with more tries than `MOST_TRIES`: then its workers died one after the other, perhaps of it.
        """
        now = self._clock()
        due = or_(
            (JobRow.state == JobState.NEW) & (JobRow.not_before <= now),
            (JobRow.state == JobState.RUNNING) & (JobRow.lease_until < now),
        )
        mine = select(JobRow.id).where(due, JobRow.kind.in_(kinds))
        oldest = mine.order_by(JobRow.not_before, JobRow.id).limit(1).scalar_subquery()
        with self._database.writing() as session:
            row = session.execute(
                update(JobRow)
                .where(JobRow.id == oldest)
                .values(state=JobState.RUNNING, lease_until=now + self.lease, worker=worker, tries=JobRow.tries + 1)
                .returning(JobRow)
            ).scalar()
            return _job(row) if row is not None else None

    def renew(self, job: Job, worker: str) -> bool:
        """Hold a job for longer; False where the lease was lost to another worker."""
        with self._database.writing() as session:
            return self._mark(session, job, worker, lease_until=self._clock() + self.lease)

    def complete(self, job: Job, worker: str) -> bool:
        """End a job; False where the lease was lost to another worker."""
        with self._database.writing() as session:
            return self.complete_within(session, job, worker)

    def complete_within(self, session: Session, job: Job, worker: str) -> bool:
        """End a job in the caller's transaction, so that what it made and its end stand or fall together.

        False where the lease was lost to another worker: then the caller must not commit.
        """
        return self._mark(session, job, worker, state=JobState.DONE, reason=None, ended_time=self._clock())

    def wait_for_unlock(self, job: Job, worker: str) -> None:
        """Put the job aside until a key is there; this try is not counted."""
        with self._database.writing() as session:
            reason = "waiting for an unlocked archive"
            self._mark(session, job, worker, state=JobState.WAITING_FOR_UNLOCK, tries=job.tries - 1, reason=reason)

    def fail(self, job: Job, worker: str, reason: str, *, final: bool = False) -> JobState:
        """Record a failed try: try again later with a growing pause, or end the job with its reason."""
        with self._database.writing() as session:
            if final or job.tries >= MOST_TRIES[job.kind]:
                self.fail_within(session, job, worker, reason)
                return JobState.FAILED
            pause = min(timedelta(seconds=10) * 2 ** min(job.tries - 1, 12), _LONGEST_PAUSE)
            said, later = reason[:_REASON_CHARACTERS], self._clock() + pause
            self._mark(session, job, worker, state=JobState.NEW, reason=said, not_before=later)
            return JobState.NEW

    def fail_within(self, session: Session, job: Job, worker: str, reason: str) -> bool:
        """End a job undone in the caller's transaction; False as `complete_within`."""
        said, now = reason[:_REASON_CHARACTERS], self._clock()
        return self._mark(session, job, worker, state=JobState.FAILED, reason=said, ended_time=now)

    def release_waiting(self) -> int:
        """After an unlock: make every waiting job due. Returns how many there were."""
        return self._revive(JobRow.state == JobState.WAITING_FOR_UNLOCK, {})

    def hurry(self) -> int:
        """Make every job due now, also those that failed for good: a person asks for another round of tries."""
        return self._revive(JobRow.state.in_([JobState.NEW, JobState.FAILED]), {"tries": 0})

    def _revive(self, which: object, more: Mapping[str, int]) -> int:
        with self._database.writing() as session:
            result = session.execute(
                update(JobRow)
                .where(which)  # type: ignore[arg-type]  # both callers pass a comparison of columns
                .values(state=JobState.NEW, not_before=self._clock(), ended_time=None, **more)
            )
            return result.rowcount if isinstance(result, CursorResult) else 0

    def list(self, states: Sequence[JobState] = ()) -> list[Job]:
        statement = select(JobRow).order_by(JobRow.id)
        if states:
            statement = statement.where(JobRow.state.in_(states))
        with self._database.reading() as session:
            return [_job(row) for row in session.execute(statement).scalars()]

    def _mark(self, session: Session, job: Job, worker: str, **values: object) -> bool:
        """Write what becomes of a try, unless the lease was lost to another worker meanwhile."""
        result = session.execute(
            update(JobRow)
            .where(JobRow.id == job.id, JobRow.state == JobState.RUNNING, JobRow.worker == worker)
            .where(JobRow.tries == job.tries)
            .values(**values)
        )
        return isinstance(result, CursorResult) and result.rowcount == 1


def _job(row: JobRow) -> Job:
    try:
        kind, state = JobKind(row.kind), JobState(row.state)
    except ValueError as error:
        raise foreign_value("a kind and a state of jobs") from error
    return Job(
        id=row.id,
        kind=kind,
        subject=row.subject,
        state=state,
        tries=row.tries,
        not_before=row.not_before,
        reason=row.reason,
        created_time=row.created_time,
    )
