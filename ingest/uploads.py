"""Resumable uploads: sealed as they arrive, durable before they are told, one writer at a time.

An upload is known by its address, 256 secret bits of which the archive keeps a digest. The newest request has the
turn; an older one, in whatever process, writes nothing more. An offset is told only after it was synced. At the last
octet the upload is handed to `Finishing`. Nothing here needs a key that opens the archive.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from archive.age.payload import CHUNK_OCTETS
from archive.catalogue.database import Database
from archive.catalogue.drop_models import UploadRow
from archive.catalogue.drops import (
    DAMAGED,
    RECEIVING,
    Upload,
    delivery_of,
    upload_by_name,
    visit_by_id,
)
from archive.catalogue.records import Delivery, Visit
from archive.errors import ConflictError, InputError, UnavailableError
from archive.segments import SegmentWriter, begin_upload, discard_upload, settled_offset, upload_name
from archive.settings import IngestSettings
from archive.turns import no_such_upload
from archive.types import Clock
from archive.uploadtold import Place, keep_place, keep_told
from ingest.allowance import STEP_OCTETS, Allowance, Granted
from ingest.arrival import ArrivalKey
from ingest.finishing import CUT, GIVEN_UP, Finishing
from ingest.following import Following, Watch
from ingest.form_addresses import forget_address, keep_address
from ingest.told import Told
from ingest.told_later import ToldLater, keyring_of
from ingest.upload_errors import LARGER, damaged, expired, larger, too_long, wrong_offset
from ingest.visits import Visits
from ingest.waiting_line import Line, Source

SYNC_OCTETS = STEP_OCTETS
"""At most so many octets are received before they are made durable."""

_FIRST_READ = 64 << 10
_MOST_READ = 1 << 20
"""A buffer grows to this only where a line fills it: a few mebibytes do for hundreds of slow phones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """What the client says of the octets of one request. `make` is a hash constructor."""

    value: bytes
    make: Callable[[], "hashlib._Hash"] = field(default=hashlib.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an upload is. `expires` is when it ends if it does not go on."""

    offset: int
    declared: int
    expires: datetime
    state: str = RECEIVING


@dataclass(frozen=True, slots=True)
class _Body:
    """What one request brings, and the room that it holds while it does."""

    source: Source
    length: int | None
    checksum: Checksum | None
    granted: Granted
    most: int | None
    """So many octets are taken of a file whose length nobody said; None where it was said."""


class Uploads:
    """The room object of uploads."""

    def __init__(
        self,
        *,
        root: Path,
        database: Database,
        visits: Visits,
        finishing: Finishing,
        following: Following,
        arrival: ArrivalKey,
        settings: IngestSettings,
        free_octets: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._root = root
        self._database = database
        self._visits = visits
        self._finishing = finishing
        self._following = following
        self.told = ToldLater(root=root, database=database, arrival=arrival)
        self._settings = settings
        self._allowance = Allowance(
            database=database, finishing=finishing, settings=settings, free_octets=free_octets, clock=clock
        )
        self._clock = clock
        self._line = Line()

    def create(self, token: bytes, untrusted_code: str, told: Told, declared: int) -> tuple[bytes, Progress]:
        """Make room for a file of `declared` octets and return its address, which is told this once.

        Raises: NotFoundError `drop/no-such-code`; InputError `uploads/too-large`; ConflictError `uploads/quota`;
        UnavailableError `uploads/no-room`.
        """
        address, now = self._create(token, untrusted_code, told, declared)
        progress = Progress(offset=0, declared=declared, expires=now + self._lifetime)
        if declared == 0:
            return address, self._whole(address, progress)
        return address, progress

    def progress(self, address: bytes) -> Progress:
        """Say how far an upload is, after taking the turn from whoever was writing it.

        Raises: NotFoundError `uploads/no-such-upload`; ConflictError `uploads/expired`.
        """
        with self._line.joined(upload_name(address)):
            row = self._row(address)
            if row.state == RECEIVING and row.received < row.declared:
                with self._finishing.damage_entered(address):
                    offset = settled_offset(self._root, address, at_least=row.received, synced=row.received)
                # The write lock and a sync are for what has changed; many phones ask at once how far they are.
                row = self._advance(address, offset) if offset != row.received else row
        self._refuse_ended(row)
        progress = self._progress_of(row)
        return self._whole(address, progress) if progress.offset == progress.declared else progress

    def look(self, address: bytes) -> tuple[Progress, Delivery | None]:
        """Say how far an upload is, and what became of it, without disturbing whoever writes it."""
        row = self._row(address)
        with self._database.reading() as session:
            delivery = delivery_of(session, row.name)
        if delivery is None and row.state == DAMAGED:
            raise damaged()
        progress = self._progress_of(row)
        if delivery is None and progress.offset == progress.declared:
            self._whole(address, progress)
        return progress, delivery

    def append(
        self, address: bytes, offset: int, source: Source, length: int | None, checksum: Checksum | None = None
    ) -> Progress:
        """Take the octets of one request, from `offset` on; `length` is how many it says to bring, None if unsaid.

        What arrived is kept, and durable, also where the line breaks (then `OSError` passes through).
        Raises: NotFoundError `uploads/no-such-upload`; ConflictError `uploads/wrong-offset`, `uploads/retired`,
        `uploads/expired`, `uploads/damaged`; InputError `uploads/beyond-length`, `uploads/bad-checksum`;
        UnavailableError `uploads/no-room`; IntegrityError `uploads/octets-lost`, `uploads/segment-changed`.
        """
        with self._line.joined(upload_name(address), source):
            progress = self._append(address, offset, source, length, checksum)
        return self._whole(address, progress) if progress.offset == progress.declared else progress

    def receive_whole(self, token: bytes, untrusted_code: str, told: Told, source: Source, most: int) -> None:
        """Take a file whose length nobody said, as a form without scripts brings it, and return when it is in.

        Of a larger one the first `most` octets are kept, an item marked incomplete; the rest is counted and let go.
        Raises: as `create` and `append`; InputError `uploads/larger-than-form`.
        """
        address, _ = self._create(token, untrusted_code, told, most, is_form=True)
        try:
            with self._line.joined(upload_name(address), source):
                offset = self._append(address, 0, source, None, most=most).offset
        except InputError as error:
            if error.code == LARGER:
                self._finish_cut(address, most, source)
            raise
        self._declare(address, offset)
        self._finishing.finish(address)
        self._forget_address(address)

    def end(self, address: bytes) -> None:
        """Let a client give up an upload. What arrived of it is evidence, and becomes an item marked incomplete.

        Raises: NotFoundError `uploads/no-such-upload`; ConflictError `uploads/expired`.
        """
        self._refuse_ended(self._row(address))
        self._following.drop(upload_name(address))
        with self._line.joined(upload_name(address)):
            self._finishing.close_upload(upload_name(address))
        self._finishing.finish_soon(address, why=GIVEN_UP)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _lifetime(self) -> timedelta:
        return timedelta(hours=self._settings.unfinished_hours)

    def _create(
        self, token: bytes, untrusted_code: str, told: Told, declared: int, *, is_form: bool = False
    ) -> tuple[bytes, datetime]:
        """Make room for a file; of a form, `declared` octets are the most, and it is not whole before its end came."""
        if declared > self._settings.max_file_octets:
            raise InputError("uploads/too-large", "The file is larger than this archive takes. Nothing was taken in.")
        visit, link = self._visits.begin(token, untrusted_code)
        self._allowance.before_new(visit, declared)
        address, row_declared = begin_upload(self._root), declared + is_form
        try:
            keep_place(self._root, upload_name(address), Place(visit_id=visit.id, declared=row_declared))
            keep_told(self._root, address, keyring_of(visit), told.format())
            now = self._clock()
            with self._database.writing() as session:
                self._allowance.refuse_new(session, visit, link, declared)
                self._enter(session, address, visit, row_declared, now)
                if is_form:
                    keep_address(session, visit, address)
        except BaseException:  # Raised again; what was made for it goes.
            discard_upload(self._root, upload_name(address))
            raise
        return address, now

    def _enter(self, session: Session, address: bytes, visit: Visit, declared: int, now: datetime) -> None:
        row = {
            "name": bytes.fromhex(upload_name(address)),
            "visit_id": visit.id,
            "drop_link_id": visit.drop_link_id,
            "declared": declared,
            "received": 0,
            "state": RECEIVING,
            "created_time": now,
            "changed_time": now,
        }
        session.execute(insert(UploadRow), [row])

    def _finish_cut(self, address: bytes, most: int, source: Source) -> None:
        """Make an incomplete item of the first part of a file that is larger than its form may bring."""
        octets, buffer = most + 1, memoryview(bytearray(_FIRST_READ))
        try:
            while count := source.readinto(buffer):
                octets += count
        finally:  # Also where the line broke: at least so many there were.
            self._declare(address, octets)
            self._finishing.finish(address, why=CUT)
            self._forget_address(address)

    def _forget_address(self, address: bytes) -> None:
        with self._database.writing() as session:
            forget_address(session, bytes.fromhex(upload_name(address)))

    def _append(
        self,
        address: bytes,
        offset: int,
        source: Source,
        length: int | None,
        checksum: Checksum | None = None,
        most: int | None = None,
    ) -> Progress:
        row = self._row(address)
        self._refuse_ended(row)
        if row.received == row.declared:
            if offset == row.declared and not length:
                return self._progress_of(row)
            raise wrong_offset(row.declared, offset)
        with self._database.reading() as session:
            visit = visit_by_id(session, row.visit_id)
        if visit is None:
            raise no_such_upload()
        with self._allowance.for_octets(row, length) as granted:
            return self._write(address, row, visit, offset, _Body(source, length, checksum, granted, most))

    def _write(self, address: bytes, row: Upload, visit: Visit, offset: int, body: "_Body") -> Progress:
        name = upload_name(address)
        on_trial = body.checksum is not None
        keyring, had = keyring_of(visit), row.received
        with self._finishing.damage_entered(address):
            writer = SegmentWriter(self._root, address, keyring, at_least=had, synced=had, trial=on_trial)
        try:
            # Whoever closes an upload says so before taking the turn; so this is seen now, or the turn is lost later.
            self._refuse_ended(self._row(address))
            if writer.offset != offset:
                raise wrong_offset(writer.offset, offset)
            if body.length is not None and offset + body.length > row.declared:
                raise too_long()
            # What comes on trial may go again, and a form without scripts has no length.
            followed = not on_trial and body.length is not None
            watch = self._following.watch(address, declared=row.declared, offset=offset) if followed else None
            self._receive(writer, body, row.declared if body.most is None else body.most, watch)
            end = writer.offset
            if end == row.declared:
                self._following.whole(name, end)
            row = self._advance(address, end)
        except OSError:
            self._keep_what_came(address, writer, on_trial=on_trial)
            raise
        except UnavailableError:
            self._following.drop(name)  # It gives its room back.
            raise
        except (InputError, ConflictError) as error:
            if error.code in ("uploads/beyond-length", "uploads/quota", LARGER):
                self._keep_what_came(address, writer, on_trial=on_trial)
            raise
        finally:
            writer.abandon()
        return self._progress_of(row)

    def _receive(self, writer: SegmentWriter, body: "_Body", most: int, watch: Watch | None) -> None:
        digest = body.checksum.make() if body.checksum is not None else None
        unsynced = 0
        buffer = memoryview(bytearray(_FIRST_READ))
        while writer.offset < most:
            # Up to the end of a chunk, so that what comes next need not be pieced together.
            room = min(len(buffer) - writer.offset % CHUNK_OCTETS, most - writer.offset, SYNC_OCTETS - unsynced)
            if not (count := body.source.readinto(buffer[:room])):
                break
            writer.append(buffer[:count])
            if digest is not None:
                digest.update(buffer[:count])
            is_full = count == len(buffer)
            if watch is not None:
                buffer = watch.took(buffer, count, writer.sealed_to)
            unsynced += count
            if unsynced >= SYNC_OCTETS:
                writer.sync()
                if watch is not None and watch.is_followed:
                    writer.uncache()
                unsynced = 0
                body.granted.next_step(most - writer.offset)
            if is_full and len(buffer) < _MOST_READ:
                buffer = memoryview(bytearray(2 * len(buffer)))
        if writer.offset == most and body.source.readinto(memoryview(bytearray(1))):
            raise too_long() if body.most is None else larger()
        if body.checksum is None or digest is None:
            writer.close()
        elif hmac.compare_digest(digest.digest(), body.checksum.value):
            writer.confirm()
        else:
            writer.reject()
            raise InputError("uploads/bad-checksum", "The octets are not those that the checksum says. Send again.")

    def _keep_what_came(self, address: bytes, writer: SegmentWriter, *, on_trial: bool) -> None:
        """Make durable what came before the line broke; what was on trial cannot be checked and goes."""
        if on_trial:
            writer.reject()
            return
        self._advance(address, writer.close())

    def _advance(self, address: bytes, offset: int) -> Upload:
        name = bytes.fromhex(upload_name(address))
        with self._database.writing() as session:
            session.execute(
                update(UploadRow)
                .where(UploadRow.name == name, UploadRow.state == RECEIVING)
                .values(received=offset, changed_time=self._clock())
            )
        return self._row(address)

    def _declare(self, address: bytes, octets: int) -> None:
        """Write down the length of a file that turned out at its end."""
        name = upload_name(address)
        row = self._row(address)
        keep_place(self._root, name, Place(visit_id=row.visit_id, declared=octets))
        with self._database.writing() as session:
            session.execute(update(UploadRow).where(UploadRow.name == bytes.fromhex(name)).values(declared=octets))

    def _whole(self, address: bytes, progress: Progress) -> Progress:
        self._finishing.finish_soon(address)
        return progress

    def _row(self, address: bytes) -> Upload:
        with self._database.reading() as session:
            row = upload_by_name(session, bytes.fromhex(upload_name(address)))
        if row is None:
            raise no_such_upload()
        return row

    def _progress_of(self, row: Upload) -> Progress:
        return Progress(
            offset=row.received, declared=row.declared, expires=row.changed_time + self._lifetime, state=row.state
        )

    def _refuse_ended(self, row: Upload) -> None:
        if row.state == DAMAGED:
            raise damaged()
        if row.state != RECEIVING and row.received < row.declared:
            raise expired()
