"""The worker: claims jobs, lets the handler of their kind do them, and sees to it that each ends.

What it knows: the queue, a handler for each kind, and that any handler may fail, be killed or wait for a key. It knows
no room. While a handler works, the lease is renewed; so several workers at once are safe, on one machine or on several.
A job that fails its last try, or whose workers died one after the other, ends with its reason, and its handler is told
so that the reason can be recorded where people look.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from types import TracebackType
from typing import Protocol, Self

from sqlalchemy.orm import Session

from archive.errors import LockedError, TestigoError, UnavailableError
from archive.jobs import MOST_TRIES, Job, JobKind, JobQueue, JobState

Watch = Callable[[Job, JobState, str], None]
"""Hears how each try ended: the job, its state now, and words."""

_RENEWALS_IN_A_LEASE = 3
_SETTLE_AFTER = 50
_DIED = "the worker ended without a word in each of its tries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job that is over, and what came of it."""

    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDone:
    """A try that failed; `final` says that another one would fail alike."""

    words: str
    final: bool = False


class Handler(Protocol):
    """Does the jobs of one kind; the same job may come twice.

    Raises of `work`: LockedError where the job must wait for an unlock; any other error is a failed try.
    """

    def work(self, job: Job, lease: "Lease", /) -> Done | NotDone: ...

    def give_up(self, job: Job, reason: str, lease: "Lease", /) -> None:
        """Record that a job ends for good without being done, and why."""


class Lease:
    """A worker's hold on one job; renewed by a thread of its own until the block is left."""

    def __init__(self, jobs: JobQueue, job: Job, worker: str) -> None:
        self._jobs = jobs
        self._job = job
        self._worker = worker
        self._over = Event()
        self._thread = Thread(target=self._renew, name="lease", daemon=True)
        self.ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def complete(self, session: Session) -> None:
        """End the job in the transaction that records what it made: all of it, or nothing.

        Raises: UnavailableError `archive/lease-lost` where another worker has the job; nothing must be committed then.
        """
        self._mark_ended(self._jobs.complete_within(session, self._job, self._worker))

    def fail(self, session: Session, reason: str) -> None:
        """End the job undone, in the transaction that records why. Raises as `complete`."""
        self._mark_ended(self._jobs.fail_within(session, self._job, self._worker, reason))

    def _mark_ended(self, is_ours: bool) -> None:
        if not is_ours:
            raise UnavailableError(
                "archive/lease-lost", "Another worker took over this job; nothing of this try was recorded."
            )
        self.ended = True

    def _renew(self) -> None:
        while not self._over.wait(self._jobs.lease.total_seconds() / _RENEWALS_IN_A_LEASE):
            try:
                if not self._jobs.renew(self._job, self._worker):
                    return
            except UnavailableError:
                continue  # The database was held for long; there is time for another renewal.


class Worker:
    """Does the jobs of the kinds that it has handlers for. `name` tells it from every other worker alive.

    `unlocked` says whether keys are at hand; `settle` is called after a number of jobs and when no more are due.
    """

    def __init__(
        self,
        *,
        jobs: JobQueue,
        handlers: Mapping[JobKind, Handler],
        name: str,
        unlocked: Callable[[], bool],
        settle: Callable[[], object],
    ) -> None:
        self._jobs = jobs
        self._handlers = dict(handlers)
        self._name = name
        self._unlocked = unlocked
        self._settle = settle

    def work(self, watch: Watch) -> int:
        """Do every job that is due; return how many were ended for good. Never stops at the first failure."""
        if self._unlocked():
            self._jobs.release_waiting()
        ended = tried = 0
        try:
            while (job := self._jobs.claim(self._name, tuple(self._handlers))) is not None:
                state, words = self._try(job)
                watch(job, state, words)
                ended += state in (JobState.DONE, JobState.FAILED)
                tried += 1
                if tried % _SETTLE_AFTER == 0:
                    self._settle()
        finally:
            if tried % _SETTLE_AFTER:
                self._settle()
        return ended

    def _try(self, job: Job) -> tuple[JobState, str]:
        with Lease(self._jobs, job, self._name) as lease:
            result = self._ask(job, lease)
            match result:
                case Done():
                    if not lease.ended and not self._jobs.complete(job, self._name):
                        return JobState.RUNNING, f"{result.words}; another worker has taken the job over"
                    return JobState.DONE, result.words
                case NotDone():
                    return self._fail(job, result, lease)
                case JobState():
                    self._jobs.wait_for_unlock(job, self._name)
                    return result, "waiting for an unlocked archive"

    def _ask(self, job: Job, lease: Lease) -> Done | NotDone | JobState:
        if job.tries > MOST_TRIES[job.kind]:
            return NotDone(words=_DIED, final=True)
        try:
            return self._handlers[job.kind].work(job, lease)
        except LockedError:
            return JobState.WAITING_FOR_UNLOCK
        except TestigoError as error:
            return NotDone(words=f"{error.message} ({error.code})")
        except Exception as error:  # A poisoned job must not stop the others; its type is said, never its words.
            return NotDone(words=f"the program failed at it ({type(error).__name__})")

    def _fail(self, job: Job, result: NotDone, lease: Lease) -> tuple[JobState, str]:
        final, words = result.final or job.tries >= MOST_TRIES[job.kind], result.words
        if final:
            words += self._given_up(job, words, lease)
        if lease.ended:
            return JobState.FAILED, words
        return self._jobs.fail(job, self._name, words, final=final), words

    def _given_up(self, job: Job, words: str, lease: Lease) -> str:
        """Have the handler record why; return what to say where it cannot, for then the queue alone shows it."""
        try:
            self._handlers[job.kind].give_up(job, words, lease)
        except TestigoError as error:
            return f"; this was not recorded: {error.message} ({error.code})"
        except Exception as error:  # As in `_ask`: one job must not stop the others.
            return f"; this was not recorded: the program failed at it ({type(error).__name__})"
        return ""
