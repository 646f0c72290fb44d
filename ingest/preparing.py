"""Steps 1 to 4 of the way in: files are read, sealed, identified and examined, ahead of the commit.

Whatever is prepared here is an orphan until the commit: `Preparing` drops what is still staged when it ends, and a
sweep removes what was published and not committed. Nothing here needs a key that opens the archive.
"""

import hashlib
import hmac
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from threading import Event
from types import TracebackType
from typing import BinaryIO, Self, cast

from sqlalchemy.orm import Session

from archive.age.keyring import Keyring
from archive.catalogue.database import Database
from archive.catalogue.items import items_with_content
from archive.catalogue.records import Item, StoredObject
from archive.errors import InputError
from archive.keyfiles import OwnerKey
from archive.types import Digest, DigestAlgorithm, ItemId, NewId, Owner, OwnerKind
from archive.vault import Vault
from ingest.entering import Taken
from ingest.reception import Arrival, Refused
from ingest.stripping import Stripping, TakenIn
from media.identify import STATEMENT
from media.policy import Policy
from media.workbench import Workbench

_MOST_HELD_OPEN = 64
"""How many files a group keeps open; a process may hold some thousand at most, and other groups run beside."""
_AHEAD = 2
"""How many groups are prepared while one is committed: one that is examined and one that is read and sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What preparing needs of other rooms. `stripping` is None where every kind of evidence is kept whole."""

    vault: Vault
    workbench: Workbench
    database: Database
    policy: Policy
    stripping: Stripping | None
    new_id: NewId


@dataclass(slots=True, kw_only=True)
class Prepared:
    """A group before its commit. `fresh` are those whose content is not here yet."""

    arrivals: Sequence[Arrival]
    sealed: Sequence[Taken | Refused]
    fresh: Sequence[Taken]
    examined: list[Future[None]] = field(default_factory=list)

    def drop(self) -> None:
        """Drop what is staged and was not published; after a publication this does nothing."""
        for each in self.sealed:
            if isinstance(each, Taken):
                each.original.staged.abort()
                if each.metadata is not None:
                    each.metadata.staged.abort()


class Preparing:
    """Prepares groups in their order, a few ahead of the one asked for; a context manager.

    One thread seals a group after the other and two more read for it; so many as the workbench takes, and one that
    reads answers meanwhile, examine what was sealed. So no tool waits for the disk, for a commit or for us.
    `intake_key` is None where equal content is not to be recognised.
    """

    def __init__(
        self, rooms: Rooms, keyring: Keyring, intake_key: bytes | None, groups: Iterable[Sequence[Arrival]]
    ) -> None:
        self._rooms = rooms
        self._keyring = keyring
        self._intake_key = intake_key
        self._groups = iter(groups)
        self._stop = Event()
        self._coming: set[bytes] = set()
        self._tools_started = False
        self._ahead: deque[Future[Prepared | None]] = deque()
        self._sealing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="seal")
        self._readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="read")
        self._examiners = ThreadPoolExecutor(max_workers=rooms.workbench.at_once + 1, thread_name_prefix="examine")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An interrupt, too, must not wait for gigabytes that are being read, nor leave them staged.
        self._stop.set()
        for pool in (self._sealing, self._readers, self._examiners):
            pool.shutdown(cancel_futures=True)
        for future in self._ahead:
            if _came_to_an_end(future) and (group := future.result()) is not None:
                group.drop()

    def __iter__(self) -> Iterator[Prepared]:
        """Yield each group when it is prepared; it counts as committed, or as given up, when the next is asked for."""
        for _ in range(_AHEAD):
            self._ahead.append(self._sealing.submit(self._next_group))
        while (group := self._ahead[0].result()) is not None:
            self._ahead.append(self._sealing.submit(self._next_group))
            for examined in group.examined:
                examined.result()
            yield group
            self._ahead.popleft()
            group.drop()
            # In the catalogue by now, where the next group's look finds them.
            self._coming.difference_update(_macs(group.fresh))

    def _next_group(self) -> Prepared | None:
        if self._stop.is_set() or (arrivals := next(self._groups, None)) is None:
            return None
        try:
            return self._prepare(arrivals)
        except BaseException:  # Raised again, when the group's turn comes; those after it are not begun.
            self._stop.set()
            raise

    def _prepare(self, arrivals: Sequence[Arrival]) -> Prepared:
        vault = self._rooms.vault
        self._start_tools(len(arrivals))
        sealed = self._seal_all(arrivals)
        group = Prepared(arrivals=arrivals, sealed=sealed, fresh=self._first_of_each_content(sealed))
        try:
            vault.publish([each.original for each in group.fresh])
            for start in range(0, len(group.fresh), _MOST_HELD_OPEN):
                some = group.fresh[start : start + _MOST_HELD_OPEN]
                vault.key_files.keep_many([each.key for each in some], self._keyring)
            many = len(group.fresh) > _MOST_HELD_OPEN
            group.examined += [self._examiners.submit(self._examine, each, many) for each in group.fresh]
        except BaseException:  # Raised again.
            group.drop()
            raise
        return group

    def _start_tools(self, files: int) -> None:
        """Have as many tools started as so many files will keep busy, while the first of these are read and sealed.

        One file alone has its tool started by whoever examines it, who would not wait for one that is being started.
        """
        if not self._tools_started and files > 1:
            self._tools_started = True
            for _ in range(min(files, self._rooms.workbench.at_once)):
                self._examiners.submit(self._rooms.workbench.make_ready)

    # ── steps 1 and 2 ────────────────────────────────────────────────────────────────────────────────────────────────

    def _seal_all(self, arrivals: Sequence[Arrival]) -> list[Taken | Refused]:
        """Seal every arrival, two at a time; all of them, or none is left in staging."""
        many = len(arrivals) > _MOST_HELD_OPEN
        futures = [self._readers.submit(self._seal, arrival, many) for arrival in arrivals]
        try:
            ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in ended:
                future.result()  # Raises what broke the group off, before the others end.
            return [future.result() for future in futures]
        except BaseException:  # Raised again.
            self._stop.set()
            for future in futures:
                future.cancel()
            wait(futures)
            for future in futures:
                if _came_to_an_end(future) and isinstance(taken := future.result(), Taken):
                    taken.original.staged.abort()
            raise

    def _seal(self, arrival: Arrival, many: bool) -> Taken | Refused:
        try:
            key, taken_in = self._taken_in(arrival)
        except InputError as error:  # Any other is the archive's own: nobody's file is to blame.
            return Refused(error=error)
        original = taken_in.original
        if many:
            original.staged.close()
        mac = None
        if self._intake_key is not None:
            mac = content_mac(self._intake_key, original.sealed.sha256.value, arrival.within)
        return Taken(
            arrival=arrival,
            key=key,
            original=original,
            content_mac=mac,
            policy=self._rooms.policy,
            handed_in=taken_in.handed_in,
            mark=taken_in.mark,
        )

    def _taken_in(self, arrival: Arrival) -> tuple[OwnerKey, TakenIn]:
        if arrival.begun is not None:
            return arrival.begun.key, TakenIn(original=arrival.begun.original)
        key = new_item_key(self._rooms, self._keyring)
        with arrival.open() as source:
            return key, self._take(cast(BinaryIO, _Stoppable(source, self._stop)), key, arrival.written)

    def _take(self, source: BinaryIO, key: OwnerKey, written: bool) -> TakenIn:
        """Seal a stream as it is; where some kinds are stripped, find out first what it is."""
        if self._rooms.stripping is None:
            return TakenIn(original=self._rooms.vault.stage(source, key.recipient))
        return self._rooms.stripping.take(source, key, written=written)

    def _first_of_each_content(self, sealed: Sequence[Taken | Refused]) -> list[Taken]:
        """Leave out what is here already: in the archive, in a group that will be committed first, earlier in this."""
        here = [each for each in sealed if isinstance(each, Taken)]
        # Before the catalogue is looked at: a group that is committed in between stands in one of the two.
        known = set(self._coming)
        with self._rooms.database.reading() as session:
            known |= set(here_already(self._rooms.vault, session, _macs(here)))
        fresh: list[Taken] = []
        for each in here:
            if each.content_mac is None or each.content_mac not in known:
                fresh.append(each)
                known.update(_macs([each]))
        self._coming.update(_macs(fresh))
        return fresh

    # ── steps 3 and 4 ────────────────────────────────────────────────────────────────────────────────────────────────

    def _examine(self, each: Taken, many: bool) -> None:
        """Identify and extract; seal what the tools said, whole, under the item's key."""
        with self._rooms.vault.reopen(each.original) as source:
            each.examination = self._rooms.workbench.examine(
                source, each.original.sealed.head, untrusted_name=each.arrival.untrusted_name
            )
        if each.arrival.written:
            each.examination = replace(each.examination, format=STATEMENT)
        report = each.examination.report()
        if report:
            each.metadata = self._rooms.vault.stage(io.BytesIO(report), each.key.recipient)
            if many:
                each.metadata.staged.close()


def new_item_key(rooms: Rooms, keyring: Keyring) -> OwnerKey:
    """Make an item's id and key, which nothing keeps yet."""
    return OwnerKey.generate(Owner(kind=OwnerKind.ITEM, id=ItemId(rooms.new_id())), keyring.kind)


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


def _came_to_an_end(future: Future[Prepared | None] | Future[Taken | Refused]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _macs(taken: Sequence[Taken]) -> list[bytes]:
    return [each.content_mac for each in taken if each.content_mac is not None]


def here_already(vault: Vault, session: Session, macs: Sequence[bytes]) -> dict[bytes, Item]:
    """Find for each content an item that still has its original and its key."""
    return items_with_content(session, macs, lambda item, original: vault.has(item.id, _digest_of(original)))


def _digest_of(stored: StoredObject) -> Digest:
    return Digest(DigestAlgorithm.BLAKE3, stored.blake3)


def content_mac(intake_key: bytes, sha256: bytes, within: bytes = b"") -> bytes:
    """Give the value by which equal content is found while locked, without its digest standing in the catalogue.

    What one sender brings is equal to nothing that others brought: nobody learns from a drop link what is here already,
    and each sending has its own consent, its own receipt and its own key to destroy.
    """
    return hmac.digest(intake_key, b"testigo content\0" + sha256 + within, hashlib.sha256)
