"""The leased queue: background work over the catalogue, at least once, with capped retries.

A worker claims a job with one statement and holds it by a lease; a worker that dies loses the lease and another claims
the job again. A job that needs a key waits for an unlock, which is no failed try. A job that fails its last try ends as
`failed` with its reason, and stays in sight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from archive.catalogue.database import Database
from archive.catalogue.models import JobRow
from archive.types import Clock

LEASE = timedelta(minutes=3)
"""Longer than any one try may take: an authority has at most two minutes (`custody.authorities`, `timeout_s`)."""
MOST_TRIES = 50
_LONGEST_PAUSE = timedelta(hours=6)


class JobKind(StrEnum):
    """What kinds of work there are; later parts add theirs."""

    TIMESTAMP = "timestamp"


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
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

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

    def claim(self, worker: str) -> Job | None:
        """Take the oldest job that is due, or one whose worker's lease ran out; None where there is none."""
        now = self._clock()
        due = or_(
            (JobRow.state == JobState.NEW) & (JobRow.not_before <= now),
            (JobRow.state == JobState.RUNNING) & (JobRow.lease_until < now),
        )
        oldest = select(JobRow.id).where(due).order_by(JobRow.not_before, JobRow.id).limit(1).scalar_subquery()
        with self._database.writing() as session:
            row = session.execute(
                update(JobRow)
                .where(JobRow.id == oldest)
                .values(state=JobState.RUNNING, lease_until=now + LEASE, worker=worker, tries=JobRow.tries + 1)
                .returning(JobRow)
            ).scalar()
            return _job(row) if row is not None else None

    def complete(self, job: Job, worker: str) -> None:
        self._end(job, worker, state=JobState.DONE, reason=None, ended_time=self._clock())

    def wait_for_unlock(self, job: Job, worker: str) -> None:
        """Put the job aside until a key is there; this try is not counted."""
        self._end(
            job,
            worker,
            state=JobState.WAITING_FOR_UNLOCK,
            tries=job.tries - 1,
            reason="waiting for an unlocked archive",
        )

    def fail(self, job: Job, worker: str, reason: str, *, final: bool = False) -> JobState:
        """Record a failed try: try again later with a growing pause, or end the job with its reason."""
        if final or job.tries >= MOST_TRIES:
            self._end(job, worker, state=JobState.FAILED, reason=reason[:200], ended_time=self._clock())
            return JobState.FAILED
        pause = min(timedelta(seconds=10) * 2 ** min(job.tries - 1, 12), _LONGEST_PAUSE)
        self._end(job, worker, state=JobState.NEW, reason=reason[:200], not_before=self._clock() + pause)
        return JobState.NEW

    def release_waiting(self) -> int:
        """After an unlock: make every waiting job due. Returns how many there were."""
        return self._revive(JobRow.state == JobState.WAITING_FOR_UNLOCK)

    def hurry(self) -> int:
        """Make every job due now, also those that failed for good: a person asks for another round."""
        return self._revive(JobRow.state.in_([JobState.NEW, JobState.FAILED]))

    def _revive(self, which: object) -> int:
        with self._database.writing() as session:
            result = session.execute(
                update(JobRow)
                .where(which)  # type: ignore[arg-type]  # both callers pass a comparison of columns
                .values(state=JobState.NEW, not_before=self._clock(), ended_time=None)
            )
            return result.rowcount if isinstance(result, CursorResult) else 0

    def list(self, states: Sequence[JobState] = ()) -> list[Job]:
        statement = select(JobRow).order_by(JobRow.id)
        if states:
            statement = statement.where(JobRow.state.in_(states))
        with self._database.reading() as session:
            return [_job(row) for row in session.execute(statement).scalars()]

    def _end(self, job: Job, worker: str, **values: object) -> bool:
        """Write the end of a try, unless the lease was lost to another worker meanwhile."""
        with self._database.writing() as session:
            result = session.execute(
                update(JobRow)
                .where(JobRow.id == job.id, JobRow.state == JobState.RUNNING, JobRow.worker == worker)
                .where(JobRow.tries == job.tries)
                .values(**values)
            )
            return isinstance(result, CursorResult) and result.rowcount == 1


def _job(row: JobRow) -> Job:
    return Job(
        id=row.id,
        kind=JobKind(row.kind),
        subject=row.subject,
        state=JobState(row.state),
        tries=row.tries,
        not_before=row.not_before,
        reason=row.reason,
        created_time=row.created_time,
    )
