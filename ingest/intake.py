"""The way in: seven steps that every file takes, alone or in a group.

    1  read the untrusted stream once: SHA-256, count, first 64 KiB
    2  seal it as it flows; make it durable under the BLAKE3 of its ciphertext; read the ciphertext back
    3  identify what it is, from its bytes
    4  extract what it says about itself: untrusted claims, kept whole and sealed
    5  apply the metadata policy
    6  commit: records and entries, in one transaction, or neither
    7  publish: tiles, a signed checkpoint, requests for time-stamps

Nothing here needs a key that opens the archive: steps 3 and 4 read through the seal with the file key that is still in
memory. Until step 6 an object is an orphan, which a sweep removes; after step 6 no crash loses it.
"""

import hashlib
import hmac
import io
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import BinaryIO, cast

from archive.age.keyring import Keyring
from archive.catalogue.accounts import read_secret
from archive.catalogue.database import Database
from archive.catalogue.items import items_with_content
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Item
from archive.errors import ConflictError, InputError
from archive.jobs import JobKind, JobQueue
from archive.keyfiles import OwnerKey
from archive.settings import IngestSettings
from archive.types import AtIngest, ItemId, NewId, Owner, OwnerKind
from archive.vault import Vault
from custody.ledger import Ledger
from custody.publication import Publisher
from ingest.entering import Taken, enter_duplicate, enter_item, enter_refusal
from ingest.reception import Arrival, Reception, Refused, Result, Stored
from ingest.stripping import Stripping, TakenIn
from media.policy import Policy
from media.workbench import Workbench

_MOST_HELD_OPEN = 64
"""How many files a group keeps open; a process may hold some thousand at most, and other groups run beside."""


class Intake:
    """The room object of ingest."""

    def __init__(
        self,
        *,
        vault: Vault,
        ledger: Ledger,
        publisher: Publisher,
        workbench: Workbench,
        database: Database,
        jobs: JobQueue,
        settings: IngestSettings,
        policy: Policy,
        equality: bool,
        new_id: NewId,
    ) -> None:
        self._vault = vault
        self._ledger = ledger
        self._publisher = publisher
        self._workbench = workbench
        self._database = database
        self._jobs = jobs
        self._settings = settings
        self._policy = policy
        strips = AtIngest.STRIP in policy.at_ingest.values()
        self._stripping = Stripping(vault=vault, workbench=workbench, policy=policy) if strips else None
        self._equality = equality
        self._new_id = new_id

    def receive(self, reception: Reception, arrivals: Sequence[Arrival]) -> list[Result]:
        """Take a group of files through the seven steps; the result of each is durable when this returns.

        Raises: UnavailableError and IntegrityError where the archive itself fails: then no file of the group is in.
        A file that cannot be read is a `Refused`, entered in the log, and does not hold up the others.
        """
        keyring = Keyring.parse(reception.organisation.vault_keyring)
        with self._database.reading() as session:
            intake_key = read_secret(session, "intake-key")
        sealed = self._seal_all(arrivals, keyring, intake_key)
        try:
            fresh = self._first_of_each_content(sealed)
            self._vault.publish([each.original for each in fresh])
            for start in range(0, len(fresh), _MOST_HELD_OPEN):
                some = fresh[start : start + _MOST_HELD_OPEN]
                self._vault.key_files.keep_many([each.key for each in some], keyring)
            self._examine(fresh)
            results = self._commit(reception, arrivals, sealed, fresh)
        finally:
            _drop(sealed)
        self._publisher.publish()
        return results

    @property
    def equality(self) -> bool:
        """Whether equal content is recognised; where not, everything is stored as new."""
        return self._equality

    def sweep_staging(self) -> int:
        """Remove what killed runs left half sealed; nothing of a living one's. Return how many there were."""
        return self._vault.store.sweep_staging()

    # ── steps 1 and 2 ────────────────────────────────────────────────────────────────────────────────────────────────

    def _seal_all(self, arrivals: Sequence[Arrival], keyring: Keyring, intake_key: bytes) -> list[Taken | Refused]:
        """Seal every arrival, two at a time; all of them, or none is left in staging."""
        stop, many = Event(), len(arrivals) > _MOST_HELD_OPEN
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="intake") as pool:
            futures = [pool.submit(self._seal, arrival, keyring, intake_key, stop, many) for arrival in arrivals]
            try:
                ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in ended:
                    future.result()  # Raises what broke the group off, before the others end.
                return [future.result() for future in futures]
            except BaseException:  # Raised again.
                # An interrupt, too, must not wait for gigabytes that are being read, nor leave them staged.
                stop.set()
                pool.shutdown(cancel_futures=True)
                _drop([future.result() for future in futures if _came_to_an_end(future)])
                raise

    def _seal(self, arrival: Arrival, keyring: Keyring, intake_key: bytes, stop: Event, many: bool) -> Taken | Refused:
        item_id = ItemId(self._new_id())
        key = OwnerKey.generate(Owner(kind=OwnerKind.ITEM, id=item_id), keyring.kind)
        try:
            with arrival.open() as source:
                taken_in = self._take(cast(BinaryIO, _Stoppable(source, stop)), key)
        except InputError as error:  # Any other is the archive's own: nobody's file is to blame.
            return Refused(error=error)
        original = taken_in.original
        if many:
            original.staged.close()
        digest = original.sealed.sha256.value
        mac = content_mac(intake_key, digest) if self._equality else None
        return Taken(
            arrival=arrival,
            key=key,
            original=original,
            content_mac=mac,
            policy=self._policy,
            handed_in=taken_in.handed_in,
            mark=taken_in.mark,
        )

    def _take(self, source: BinaryIO, key: OwnerKey) -> TakenIn:
        """Seal a stream as it is; where some kinds are stripped, find out first what it is."""
        if self._stripping is None:
            return TakenIn(original=self._vault.stage(source, key.recipient))
        return self._stripping.take(source, key)

    def _first_of_each_content(self, sealed: Sequence[Taken | Refused]) -> list[Taken]:
        """Leave out what is here already, in the archive or earlier in this group."""
        here = [each for each in sealed if isinstance(each, Taken)]
        macs = [each.content_mac for each in here if each.content_mac is not None]
        with self._database.reading() as session:
            known = set(items_with_content(session, macs))
        fresh: list[Taken] = []
        for each in here:
            if each.content_mac is None or each.content_mac not in known:
                fresh.append(each)
                if each.content_mac is not None:
                    known.add(each.content_mac)
        return fresh

    # ── steps 3 and 4 ────────────────────────────────────────────────────────────────────────────────────────────────

    def _examine(self, fresh: Sequence[Taken]) -> None:
        """Identify and extract, several files at once; seal what the tools said, whole, under the item's key."""
        many = len(fresh) > _MOST_HELD_OPEN
        with ThreadPoolExecutor(max_workers=self._workbench.workers, thread_name_prefix="examine") as pool:
            list(pool.map(lambda each: self._examine_one(each, many), fresh))
        self._vault.publish([each.metadata for each in fresh if each.metadata is not None])

    def _examine_one(self, each: Taken, many: bool) -> None:
        with self._vault.reopen(each.original) as source:
            each.examination = self._workbench.examine(source, each.original.sealed.head)
        report = each.examination.report()
        if report:
            each.metadata = self._vault.stage(io.BytesIO(report), each.key.recipient)
            if many:
                each.metadata.staged.close()

    # ── steps 5 and 6 ────────────────────────────────────────────────────────────────────────────────────────────────

    def _commit(
        self,
        reception: Reception,
        arrivals: Sequence[Arrival],
        sealed: Sequence[Taken | Refused],
        fresh: Sequence[Taken],
    ) -> list[Result]:
        results: list[Result] = []
        stored = [staged for each in fresh for staged in (each.original, each.metadata) if staged is not None]
        with self._ledger.transaction() as transaction:
            self._vault.confirm(stored, [each.key.owner.id for each in fresh])
            macs = [each.content_mac for each in sealed if isinstance(each, Taken) and each.content_mac is not None]
            known = items_with_content(transaction.session, macs)
            # Another process may have taken in the same content since it was looked for; ours is then an orphan.
            is_fresh = {id(each) for each in fresh if each.content_mac not in known}
            year, count = transaction.now.year, len(is_fresh)
            numbers = iter(next_numbers(transaction.session, NumberKind.ITEM, year, count) if count else [])
            for arrival, each in zip(arrivals, sealed, strict=True):
                if isinstance(each, Refused):
                    results.append(enter_refusal(transaction, reception, arrival, each, self._new_id))
                elif id(each) in is_fresh:
                    main = results[arrival.main] if arrival.main is not None else None
                    new = enter_item(transaction, reception, each, next(numbers), main, self._new_id)
                    results.append(new)
                    if each.content_mac is not None:
                        known[each.content_mac] = new.item
                else:
                    twin = _still_there(known.get(each.content_mac or b""))
                    results.append(enter_duplicate(transaction, reception, each, twin, self._new_id))
            new_items = [str(each.item.id) for each in results if isinstance(each, Stored)]
            self._jobs.enqueue(transaction.session, JobKind.PREVIEW, new_items)
        return results


class _Stoppable:
    """A source that ends its reading where the import was interrupted."""

    def __init__(self, source: BinaryIO, stop: Event) -> None:
        self._source = source
        self._stop = stop

    def readinto(self, buffer: memoryview) -> int:
        if self._stop.is_set():
            raise _InterruptedError
        return self._source.readinto(buffer)  # type: ignore[attr-defined, no-any-return]  # of BinaryIO


class _InterruptedError(Exception):
    """Ends a reading thread; never leaves this module."""


def _came_to_an_end(future: Future[Taken | Refused]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _still_there(twin: Item | None) -> Item:
    if twin is None:
        raise ConflictError(
            "ingest/twin-gone",
            "An item with the same content as one of these files was destroyed just now. Nothing of this group was "
            "taken in. Do the same again.",
        )
    return twin


def _drop(sealed: Sequence[Taken | Refused]) -> None:
    """Drop what is staged and was not published; after a publication this does nothing."""
    for each in sealed:
        if isinstance(each, Taken):
            each.original.staged.abort()
            if each.metadata is not None:
                each.metadata.staged.abort()


def content_mac(intake_key: bytes, sha256: bytes) -> bytes:
    """Give the value by which equal content is found while locked, without its digest standing in the catalogue."""
    return hmac.digest(intake_key, b"testigo content\0" + sha256, hashlib.sha256)
