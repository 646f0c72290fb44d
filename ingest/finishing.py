"""The end of an upload: at its last octet, once through the seven steps; or, where its client is gone, what arrived.

An upload becomes an item exactly once, whatever is killed when: the record that says so is committed with the item's
entry, and its id is derived from the upload. Whoever comes later finds it and only cleans up. What a vanished client
left is evidence too: see `rescuing`.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import BinaryIO, cast

from sqlalchemy import update

from archive.age.recipients import KeyIdentity
from archive.catalogue.accounts import organisation
from archive.catalogue.database import Database
from archive.catalogue.drop_models import UploadRow
from archive.catalogue.drops import (
    CLOSING,
    DAMAGED,
    ENDED,
    RECEIVING,
    delivery_of,
    upload_by_name,
    visit_by_id,
)
from archive.catalogue.incidents import incidents_by_id
from archive.catalogue.records import Delivery, Visit
from archive.errors import InputError, IntegrityError, NotFoundError, TestigoError
from archive.segmentfiles import segment_numbers
from archive.segments import SegmentReader, discard_upload, retire_writer, upload_folder, upload_name
from archive.turns import alone
from archive.types import Outcome
from archive.uploadtold import told_by_address
from custody.canonical import Json
from custody.drafts import Draft, ItemPart, Values
from custody.entries import EventKind
from custody.ledger import EntryRef, Ledger, Transaction
from ingest.arrival import ArrivalKey
from ingest.following import Following
from ingest.form_addresses import addresses_of
from ingest.intake import Intake
from ingest.reception import Arrival, CameIn, Reception, Refused
from ingest.tokens import upload_record_id
from ingest.told import WRITTEN, Told
from ingest.upload_errors import is_damage
from ingest.visits import DIFFERS, NOT_GIVEN, REFUSED, SAME, keep_slip, sender

METHOD = "delivered by an observer"
GIVEN_UP = "given up by its sender"
BROKEN = "part of it does not open any more"
CUT = "larger than a form without scripts brings"
_WORKERS = 2
_log = logging.getLogger("testigo.uploads")


class Finishing:
    """Makes items of uploads, some at a time, beside the requests that brought them."""

    def __init__(
        self,
        *,
        root: Path,
        database: Database,
        ledger: Ledger,
        intake: Intake,
        arrival: ArrivalKey,
        following: Following,
    ) -> None:
        self._root = root
        self._database = database
        self._ledger = ledger
        self._intake = intake
        self._arrival = arrival
        self._following = following
        self._lock = Lock()
        self._under_way: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="finishing")

    def finish_soon(self, address: bytes, *, why: str = "") -> Future[None]:
        """Begin to make an item of an upload, unless this process is at it already.

        `why` says of an unfinished one why no more will come.
        """
        name = upload_name(address)
        with self._lock:
            running = self._under_way.get(name)
            if running is not None and not running.done():
                return running
            running = self._under_way[name] = self._pool.submit(self._finish, address, why)
        # Without the lock: of one that has ended already this thread makes the call, which takes it.
        running.add_done_callback(lambda _: self._forget(name))
        return running

    def finish(self, address: bytes, *, why: str = "") -> None:
        """Make an item of an upload, and return when it is in."""
        self.finish_soon(address, why=why).result()

    def go_on(self, visit: Visit, identity: KeyIdentity) -> None:
        """Finish what forms without scripts brought whole, where whoever was at it was killed; return when it is in."""
        with self._database.reading() as session:
            addresses = addresses_of(session, visit.id, identity)
        for address in addresses:
            self.finish(address)

    def close(self) -> None:
        """Wait for what is under way; what is not begun is begun by the client's next request, or at an unlock."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _finish(self, address: bytes, why: str) -> None:
        name = upload_name(address)
        try:
            told = Told.parse(told_by_address(self._root, address))
        except NotFoundError:
            self.clean_up(name)
            return
        try:
            self._take_in_or_what_is_left(address, told, why)
        except TestigoError as error:  # Raised again; often nobody asks how this ended.
            _log.error("%s: %s", error.code, error.message)
            raise
        except Exception as error:  # Raised again; its words may quote what was sent, its type does not.
            _log.error("unforeseen at the end of an upload: %s", type(error).__name__)
            raise
        finally:
            self._following.drop(name)  # Whatever was begun of it and not taken.

    def _take_in_or_what_is_left(self, address: bytes, told: Told, why: str) -> None:
        name, reader = upload_name(address), partial(SegmentReader.by_address, self._root, address)
        try:
            # An unfinished one that is not taken in waits for a rescue.
            with suppress(InputError) if why else nullcontext():
                self.take_in_alone(name, told, reader, why)
        except IntegrityError as error:
            if not is_damage(error):  # The archive's own fault: the upload is whole, and waits until that is mended.
                raise
            self.enter_damage(name, error)
            left = partial(reader, to_the_break=True)
            if not left().read(1):
                raise
            _log.error("%s: %s", error.code, error.message)
            with suppress(InputError):
                self.take_in_alone(name, told, left, BROKEN)

    @contextmanager
    def damage_entered(self, address: bytes) -> Iterator[None]:
        """Enter an IntegrityError of the block and have what is left of the upload saved; the error is raised again."""
        try:
            yield
        except IntegrityError as error:
            if is_damage(error):
                self.enter_damage(upload_name(address), error)
                self.finish_soon(address, why=BROKEN)
            raise

    def enter_damage(self, name: str, error: IntegrityError) -> None:
        """Enter in the log, once, that an upload is not what was acknowledged; it takes no more octets."""
        with self._ledger.transaction() as transaction:
            row = upload_by_name(transaction.session, bytes.fromhex(name))
            if row is None or row.state in (DAMAGED, ENDED):
                return
            its = UploadRow.name == row.name
            transaction.session.execute(update(UploadRow).where(its).values(state=DAMAGED))
            values = (
                ("purpose", "an unfinished upload read"),
                ("code", error.code),
                ("received", row.received),
                ("declared", row.declared),
            )
            transaction.record(Draft(event=EventKind.VALIDATION, outcome=Outcome.FAILURE, values=values))

    def take_in_alone(self, name: str, told: Told, source: Callable[[], SegmentReader], why: str) -> bool:
        """Take an upload in unless another process is at it, or it is in already.

        Raises: InputError where an unfinished upload is not taken in; what is staged of it stays.
        """
        try:
            folder = upload_folder(self._root, name)
        except NotFoundError:
            return False
        with alone(folder, "finish") as mine:
            if not mine:
                return False
            with self._database.reading() as session:
                row = upload_by_name(session, bytes.fromhex(name))
                visit = visit_by_id(session, row.visit_id) if row is not None else None
                is_in = delivery_of(session, bytes.fromhex(name)) is not None
                declared = row.declared if row is not None else 0
            if visit is None:
                return False  # A rebuilt catalogue has not adopted it yet; nothing of it may go.
            is_wanted = not is_in and (not why or self.close_upload(name))
            if is_wanted:
                self._take_in(name, visit, told, declared, source, why)
            self.clean_up(name)
            return is_wanted

    def close_upload(self, name: str) -> bool:
        """See that nothing more is acknowledged of an upload; tell whether anything ever arrived.

        Raises: NotFoundError `uploads/no-such-upload`.
        """
        its = (UploadRow.name == bytes.fromhex(name)) & (UploadRow.state == RECEIVING)
        with self._database.writing() as session:
            session.execute(update(UploadRow).where(its).values(state=CLOSING))
        retire_writer(self._root, name)
        return bool(segment_numbers(upload_folder(self._root, name)))

    def _take_in(
        self, name: str, visit: Visit, told: Told, declared: int, source: Callable[[], SegmentReader], why: str
    ) -> None:
        with self._database.reading() as session:
            ours, incident = organisation(session), incidents_by_id(session)[visit.incident_id]
        opens, opened, declared = self._opened(told, declared, source, why)
        begun = self._following.take(name) if not why else None
        reception = Reception(actor=sender(visit.id), organisation=ours, incident=incident, method=METHOD)
        arrival = Arrival(
            open=opened,
            untrusted_name=told.name,
            untrusted_path=told.name,
            claims=told.claims(),
            bearer=UploadBearer(
                visit=visit, upload=bytes.fromhex(name), told=told, declared=declared, why=why, opens=opens
            ),
            begun=begun,
            within=visit.id.bytes,
        )
        try:
            (result,) = self._intake.receive(reception, [arrival])
        finally:
            if begun is not None:
                begun.drop()
        if isinstance(result, Refused) and why:
            # Its sender may have lost the phone: what is staged is all there is, and only a person lets go of it.
            raise result.error

    def _opened(
        self, told: Told, declared: int, source: Callable[[], SegmentReader], why: str
    ) -> tuple[bool, Callable[[], BinaryIO], int]:
        """Return what arrived: whether it opened, what gives its octets, and how many there should be.

        What a phone sealed is opened in memory. A copy that does not open is no reason to lose it: as it is, it becomes
        the item, and its sender is told that it is not the same. Where only its end is missing, what opens is taken.
        """
        whole = cast(Callable[[], BinaryIO], source)
        if told.plain_size is None:
            return True, whole, declared
        found = self._arrival.measure(whole())
        if found is not None and (found.whole or (why and found.octets)):
            due = found.octets if found.whole else max(told.plain_size, found.octets + 1)
            return True, self._arrival.opener(whole, found.octets), due
        return False, whole, declared

    def clean_up(self, name: str) -> None:
        """Take away what was staged of an upload that is an item, or of which nothing ever arrived."""
        with self._database.writing() as session:
            session.execute(update(UploadRow).where(UploadRow.name == bytes.fromhex(name)).values(state=ENDED))
        try:
            discard_upload(self._root, name)
        except NotFoundError:
            return

    def _forget(self, name: str) -> None:
        with self._lock:
            running = self._under_way.get(name)
            if running is not None and running.done():
                del self._under_way[name]


class UploadBearer:
    """Keeps, with an upload's entry, that it is in, whether it is what its sender has, and its slip for the receipt."""

    def __init__(self, *, visit: Visit, upload: bytes, told: Told, declared: int, why: str, opens: bool = True) -> None:
        self._opens = opens
        self._visit = visit
        self._upload = upload
        self._told = told
        self._declared = declared
        self._why = why

    def values(self, came: CameIn) -> Values:
        delivery = self._delivery(came)
        values: list[tuple[str, Json]] = [("record", delivery.to_log())]
        if came.sent_size < self._declared:
            why = self._why or "octets were lost"
            values.append(("incomplete", {"received": came.sent_size, "declared": self._declared, "why": why}))
        if self._told.plain_size is not None:
            values.append(("sealed_on_the_phone", {"opens": self._opens}))
        if self._told.sha256 is not None:
            values.append(("comparison", {"said": self._told.sha256, "result": delivery.comparison}))
        return tuple(values)

    def keep(self, transaction: Transaction, came: CameIn, number: str, entry: EntryRef) -> None:
        delivery = self._delivery(came)
        if delivery.comparison == DIFFERS:
            part = ItemPart(item_id=came.item_id, recipient=came.recipient)
            values = (("purpose", "compared with what its sender has"), ("code", "uploads/differs"))
            transaction.record(Draft(event=EventKind.VALIDATION, outcome=Outcome.FAILURE, values=values, items=(part,)))
        visit = visit_by_id(transaction.session, self._visit.id) or self._visit
        slip: dict[str, Json] = {
            "sha256": came.sha256.hex(),
            "size": came.size,
            "handed_in": came.sent_sha256.hex() if came.sent_sha256 != came.sha256 else None,
            "reveals": list(came.reveals),
            "comparison": delivery.comparison,
            "incomplete": came.sent_size < self._declared,
            "written": self._told.way == WRITTEN,
            "of": self._of(),
            "declared": self._declared,
        }
        keep_slip(transaction.session, visit, delivery.id, number, entry, slip)

    def _of(self) -> str:
        """Give what tells that another file of this visit has the same name; empty where nobody said a name."""
        name = self._told.name.encode("utf-8", "replace")
        return hashlib.sha256(self._visit.id.bytes + name).hexdigest() if name else ""

    def _delivery(self, came: CameIn) -> Delivery:
        return Delivery(
            id=upload_record_id(self._upload),
            visit_id=self._visit.id,
            upload=self._upload,
            outcome=came.outcome,
            comparison=self._compared(came),
            declared=self._declared,
            size=came.sent_size,
            item_id=came.item_id,
            delivered_time=came.now,
        )

    def refused(self, now: datetime) -> Values:
        """Say that an upload was not taken in; of an unfinished one nothing, for it stays where it is."""
        if self._why:
            return ()
        delivery = Delivery(
            id=upload_record_id(self._upload),
            visit_id=self._visit.id,
            upload=self._upload,
            outcome=REFUSED,
            comparison=NOT_GIVEN,
            declared=self._declared,
            size=None,
            item_id=None,
            delivered_time=now,
        )
        return (("record", delivery.to_log()),)

    def _compared(self, came: CameIn) -> str:
        if not self._opens:
            return DIFFERS
        if self._told.sha256 is None or came.sent_size < self._declared:
            return NOT_GIVEN
        return SAME if self._told.sha256 == came.sent_sha256.hex() else DIFFERS
