"""Getting time-stamps on checkpoints, when authorities answer: the work behind the queue's `timestamp` jobs."""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, insert, select

from archive.catalogue.database import Database
from archive.catalogue.models import CheckpointRow, TimestampTokenRow
from archive.errors import ConfigError, IntegrityError
from archive.jobs import Job, JobQueue, JobState
from archive.store.port import Store
from archive.worker import Done, Lease, NotDone
from custody.publication import timestamp_name
from custody.timestamps import AttestedTime, Authority, attest, chain_pem

COVERED = "covered by a newer checkpoint"
"""Of a job that asks nobody any more."""


class Stamping:
    """A handler of jobs: asks the authority, verifies the token, keeps it with its chain."""

    def __init__(
        self,
        *,
        database: Database,
        store: Store,
        jobs: JobQueue,
        authorities: Sequence[Authority],
        unusable: Mapping[str, ConfigError],
    ) -> None:
        self._database = database
        self._store = store
        self._jobs = jobs
        self._authorities = {authority.name: authority for authority in authorities}
        self._unusable = dict(unusable)

    def work(self, job: Job, _lease: Lease) -> Done | NotDone:
        """Get the token that a job asks for. Raises: UnavailableError as `attest`."""
        size_text, _, name = job.subject.partition("/")
        if name in self._unusable:  # Not final: it is asked once the settings are right again.
            return NotDone(words="this authority cannot be used as the settings name it; `testigo doctor` says why")
        authority = self._authorities.get(name)
        if authority is None:
            return NotDone(words="the settings no longer name this authority", final=True)
        size = int(size_text) if size_text.isdecimal() else -1
        with self._database.reading() as session:
            note = session.execute(select(CheckpointRow.note).where(CheckpointRow.size == size)).scalar_one_or_none()
        if note is None:
            return NotDone(words="there is no such checkpoint here", final=True)
        # A token that a crash left in the store without its row is not covered: its row is still to be written.
        if self._newer_waits(size, name) and not self._store.exists(timestamp_name(size, name, "tsr")):
            return Done(words=COVERED)
        try:
            attested = attest(authority, note)
        except IntegrityError as error:
            return NotDone(words=f"{error.message} ({error.evidence.get('reason', error.code)})")
        self._keep(size, name, attested)
        return Done(words=f"attested {attested.gen_time:%Y-%m-%d %H:%M:%S} UTC")

    def give_up(self, job: Job, reason: str, lease: Lease) -> None:
        """Leave it to the queue, where the reason stays in sight: a time-stamp is no item's business."""

    def _newer_waits(self, size: int, name: str) -> bool:
        """A token on a newer checkpoint attests every older one too, so only the newest is asked for."""
        with self._database.reading() as session:
            newest = session.execute(select(func.max(CheckpointRow.size))).scalar() or 0
        waiting = {job.subject for job in self._jobs.list([JobState.NEW, JobState.RUNNING])}
        return newest > size and f"{newest}/{name}" in waiting

    def _keep(self, size: int, name: str, attested: AttestedTime) -> None:
        """Keep the token in the store, then its row; a token that is there already (a job done twice) stays."""
        chain = chain_pem(attested)
        files = [(timestamp_name(size, name, "tsr"), attested.token), (timestamp_name(size, name, "pem"), chain)]
        row = {
            "size": size,
            "authority": name,
            "token": attested.token,
            "chain": chain,
            "attested_time": attested.gen_time,
        }
        # Files and row go together under the write lock, or of two workers one would keep the other's files.
        with self._database.writing() as session:
            if session.get(TimestampTokenRow, (size, name)) is None:
                self._store.put_many(files, replace=True)
                session.execute(insert(TimestampTokenRow), [row])
