"""Rescue: what arrived of an upload whose sender is gone becomes an item, marked incomplete (the phone may be taken).

Whoever finds such uploads queues one job each; the job waits for an unlock, because only the office's key opens what is
staged. A sender who comes back before that goes on, and the job lets them.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import insert, select

from archive.catalogue.database import Database
from archive.catalogue.drop_models import UploadRow
from archive.catalogue.drops import (
    CLOSING,
    DAMAGED,
    ENDED,
    RECEIVING,
    Upload,
    delivery_of,
    unfinished_uploads,
    upload_by_name,
    uploads_of_closed_links,
    visit_by_id,
)
from archive.errors import IntegrityError, LockedError, NotFoundError
from archive.jobs import Job, JobKind, JobQueue
from archive.segments import SegmentReader, list_uploads
from archive.types import Actor, Clock, Owner, OwnerKind
from archive.uploadtold import place_of, told_by_identities
from archive.vault import Vault
from archive.worker import Done, Lease, NotDone
from custody.ledger import Ledger
from ingest.finishing import BROKEN, Finishing
from ingest.told import Told
from ingest.upload_errors import is_damage

_AT_ONCE = 1000
RESCUED = "what had come of it is an item now"


class Rescuing:
    """A handler of jobs whose subject is an upload's name. `actor` is whoever runs the worker."""

    def __init__(
        self,
        *,
        root: Path,
        database: Database,
        ledger: Ledger,
        vault: Vault,
        jobs: JobQueue,
        finishing: Finishing,
        actor: Callable[[], Actor],
        unfinished: timedelta,
        clock: Clock,
    ) -> None:
        self._root = root
        self._database = database
        self._ledger = ledger
        self._vault = vault
        self._jobs = jobs
        self._finishing = finishing
        self._actor = actor
        self._unfinished = unfinished
        self._clock = clock

    def find(self, *, everything: bool = False) -> int:
        """Queue a job for each upload whose sender seems gone; return how many wait now.

        `everything` takes also those that may yet go on: they are closed at once, their senders begin anew.
        """
        self._adopt()
        self._close_those_of_closed_links()
        with self._database.reading() as session:
            found = [row for row in unfinished_uploads(session) if everything or self._is_due(row)]
        if everything:
            for row in found:
                self._finishing.close_upload(row.name.hex())
        if found:
            with self._database.writing() as session:
                names = [row.name.hex() for row in found]
                self._jobs.enqueue_anew(session, JobKind.RESCUE, names, at_once=everything)
        return len(found)

    def _close_those_of_closed_links(self) -> None:
        with self._database.reading() as session:
            names = uploads_of_closed_links(session, self._clock(), _AT_ONCE)
        for name in names:
            with suppress(NotFoundError):  # Its folder is gone: there is nothing to close.
                self._finishing.close_upload(name.hex())

    def work(self, job: Job, lease: Lease) -> Done | NotDone:
        """Make an item of one upload. Raises: LockedError `archive/locked`; as `Finishing`."""
        del lease  # The item's own record keeps it from being made twice.
        with self._database.reading() as session:
            row = upload_by_name(session, bytes.fromhex(job.subject))
            is_in = delivery_of(session, bytes.fromhex(job.subject)) is not None
        if row is None or is_in or row.state == ENDED:
            if is_in:
                self._finishing.clean_up(job.subject)
            return Done(words="it is an item already, or nothing of it is left")
        if not self._is_due(row):
            return Done(words="its sender goes on with it")
        if self._vault.agent.status() is None:
            raise LockedError("archive/locked", "The archive is locked. Unfinished uploads are opened after an unlock.")
        owner = Owner(kind=OwnerKind.VISIT, id=row.visit_id)
        access = self._ledger.record_access(self._actor(), [owner], "rescue an unfinished upload", recipients={})
        identities = [self._vault.unwrap(access, [row.visit_id])[row.visit_id]]
        try:
            told = Told.parse(told_by_identities(self._root, job.subject, identities))
        except NotFoundError:
            told = Told(name="")
        is_damaged = row.state == DAMAGED
        reader = partial(SegmentReader.by_identities, self._root, job.subject, identities, to_the_break=is_damaged)
        if is_damaged and not reader().read(1):
            return NotDone(words="nothing of it opens any more; what lies there was not changed", final=True)
        try:
            if self._finishing.take_in_alone(job.subject, told, reader, BROKEN if is_damaged else "no more came"):
                return Done(words=RESCUED)
        except IntegrityError as error:  # Raised again; the next try saves what is left.
            if is_damage(error):
                self._finishing.enter_damage(job.subject, error)
            raise
        return self._why_not(job)

    def give_up(self, job: Job, reason: str, lease: Lease) -> None:
        """Leave it to the queue, where the reason stays in sight; what arrived stays, too, as it is."""

    def _why_not(self, job: Job) -> Done | NotDone:
        with self._database.reading() as session:
            row = upload_by_name(session, bytes.fromhex(job.subject))
        if row is None or row.state == ENDED:
            return Done(words="nothing of it had arrived")
        return NotDone(words="another process is at it")

    def _is_due(self, row: Upload) -> bool:
        """A sender may be silent for long; what is whole or closed waits for nobody."""
        old = row.changed_time < self._clock() - self._unfinished
        return old or row.state in (CLOSING, DAMAGED) or row.is_whole

    def _adopt(self) -> None:
        """Make rows for uploads that the catalogue does not know, as after a rebuild."""
        with self._database.reading() as session:
            known = set(session.execute(select(UploadRow.name)).scalars())
        names = [name for name in list_uploads(self._root) if bytes.fromhex(name) not in known]
        places = {name: place for name in names if (place := place_of(self._root, name)) is not None}
        if not places:
            return
        now = self._clock()
        with self._database.writing() as session:
            known = set(session.execute(select(UploadRow.name)).scalars())
            for name, place in places.items():
                visit = visit_by_id(session, place.visit_id)
                if visit is None or bytes.fromhex(name) in known:
                    continue
                row = {
                    "name": bytes.fromhex(name),
                    "visit_id": visit.id,
                    "drop_link_id": visit.drop_link_id,
                    "declared": place.declared,
                    "received": 0,
                    "state": RECEIVING,
                    "created_time": now,
                    "changed_time": now,
                }
                session.execute(insert(UploadRow), [row])
