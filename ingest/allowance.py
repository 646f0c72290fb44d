"""What may still come: of a link's quota, of the disk, of the uploads that may be open at once.

What was declared and never came closes the door for nobody else. What arrives is held against the limits again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from uuid import UUID

from sqlalchemy.orm import Session

from archive.catalogue.database import Database
from archive.catalogue.drops import (
    Upload,
    files_through,
    link_by_id,
    octets_through,
    open_uploads,
    promised_by,
    room_promised,
    uploads_of_closed_links,
    uploads_that_give_way,
)
from archive.catalogue.records import DropLink, Visit
from archive.errors import ConflictError, NotFoundError, UnavailableError
from archive.settings import IngestSettings
from archive.types import Clock
from ingest.finishing import Finishing

STEP_OCTETS = 8 << 20
"""Room is looked at before each so many octets."""

_OF_A_VISIT = 64
_LINKS_SHARE = 4
"""A quarter of all places is for one link, or so many as for a visit where that is more."""
_LET_GO_AT_ONCE = 50
_MIB = 1 << 20


class Allowance:
    """Refuses what would go beyond a limit."""

    def __init__(
        self,
        *,
        database: Database,
        finishing: Finishing,
        settings: IngestSettings,
        free_octets: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._database = database
        self._finishing = finishing
        self._settings = settings
        self._free_octets = free_octets
        self._clock = clock
        self._lock = Lock()
        self._granted = 0
        self._quota_lock = Lock()
        self._coming: dict[UUID, list[_Coming]] = {}

    def before_new(self, visit: Visit, declared: int) -> None:
        """Raises: UnavailableError `uploads/no-room`."""
        with self._database.reading() as session:
            promised = room_promised(session, self._clock(), STEP_OCTETS)
        self._refuse_without(promised + 2 * declared)
        self._make_way(visit)

    def refuse_new(self, session: Session, visit: Visit, link: DropLink, declared: int) -> None:
        """Raises: ConflictError `uploads/quota`; UnavailableError `uploads/no-room`."""
        octets, files = promised_by(session, visit.id)
        left = link.most_octets - octets_through(session, link.id) - octets
        if declared > left or files_through(session, link.id) + files >= link.most_files:
            raise _quota()
        if any(open_uploads(session, **of) >= most for of, most in self._most_open(visit)):
            raise UnavailableError("uploads/no-room", "Too many uploads wait at once. Try again in some minutes.")

    @contextmanager
    def for_octets(self, row: Upload, length: int | None) -> Iterator["Granted"]:
        """Look before the octets of a request, and hold the room and the quota of its next step until it ends.

        `length` is how many octets it says to bring. Requests at once have room beside one another, or are refused.

        Raises: ConflictError `uploads/quota`; UnavailableError `uploads/no-room`.
        """
        left = row.declared - row.received
        coming = left if length is None else min(length, left)
        granted = Granted(self, _Coming(row=row, whole=0 if length is None else coming))
        try:
            granted.next_step(coming)
            yield granted
        finally:
            granted.give_back()

    def hold(self, me: "_Coming", more: int) -> None:
        """Count the next octets of a request for its link until they are written down: of many none goes beyond.

        What a request only says to bring counts for no other: whoever says much and brings little shuts nobody out.

        Raises: ConflictError `uploads/quota`.
        """
        with self._quota_lock:
            requests = self._coming.setdefault(me.row.drop_link_id, [])
            if me not in requests:
                requests.append(me)
            me.octets += more
            before = tuple(requests)
        # What others bring may be in the catalogue since: counted twice it is looked at again, one by one.
        if not self._fits(me, before):
            with self._quota_lock:
                if not self._fits(me, tuple(requests)):
                    me.octets -= more
                    raise _quota()

    def let_go(self, me: "_Coming") -> None:
        """A request has ended, and what it brought is written down."""
        link_id = me.row.drop_link_id
        with self._quota_lock:
            requests = self._coming.get(link_id, [])
            if me in requests:
                requests.remove(me)
            if not requests:
                self._coming.pop(link_id, None)

    def _fits(self, me: "_Coming", requests: "Sequence[_Coming]") -> bool:
        """Tell whether a link takes what a request brings, beside what others are bringing."""
        # An older request of the same upload brings the same octets.
        all_ = [me, *(other for other in requests if other.row.name != me.row.name)]
        with self._database.reading() as session:
            link = link_by_id(session, me.row.drop_link_id)
            coming = max(me.whole, sum(each.octets for each in all_))
            if octets_through(session, link.id) + coming > link.most_octets:
                return False
            files = sum(each.is_new for each in all_)
            return not me.is_new or files_through(session, link.id) + files <= link.most_files

    def grant(self, instead_of: int, needed: int) -> None:
        """Hold room for octets `instead_of` those held before. Raises: UnavailableError `uploads/no-room`."""
        with self._lock:
            others = self._granted - instead_of
            if needed:
                self._refuse_without(others + needed)
            self._granted = others + needed

    def _refuse_without(self, needed: int) -> None:
        """Leave room for the log."""
        if self._free_octets() - needed < self._settings.reserve_mib * _MIB:
            raise UnavailableError(
                "uploads/no-room", "The archive has no room just now. What arrived is kept. Try again later."
            )

    def _most_open(self, visit: Visit) -> tuple[tuple[dict[str, UUID], int], ...]:
        """Say how many uploads may be open of a visit, of a link and in all: one code has not all places."""
        of_all = self._settings.open_uploads
        of_a_link = max(_OF_A_VISIT, of_all // _LINKS_SHARE)
        return (
            ({"visit_id": visit.id}, _OF_A_VISIT),
            ({"link_id": visit.drop_link_id}, of_a_link),
            ({}, of_all),
        )

    def _make_way(self, visit: Visit) -> None:
        """Close the uploads of closed links; where too many are open, those that bring least give way.

        What arrived of them waits for an unlock and becomes an incomplete item; their senders begin anew.
        """
        now = self._clock()
        with self._database.reading() as session:
            names = uploads_of_closed_links(session, now, _LET_GO_AT_ONCE)
            for of, most in self._most_open(visit):
                too_many = open_uploads(session, **of) - most + 1
                if too_many > 0:
                    found = uploads_that_give_way(session, now, _LET_GO_AT_ONCE, **of)
                    # Of those that brought anything no more than needed: their senders may only be out of reach.
                    names += [name for at, (name, received) in enumerate(found) if not received or at < too_many]
        for name in dict.fromkeys(names):
            with suppress(NotFoundError):  # Another request has closed it, too, and nothing of it had come.
                if not self._finishing.close_upload(name.hex()):
                    self._finishing.clean_up(name.hex())


@dataclass(slots=True, kw_only=True, eq=False)
class _Coming:
    """One request: what it says to bring, 0 if unsaid, and what it has brought and is about to bring."""

    row: Upload
    whole: int
    octets: int = 0

    @property
    def is_new(self) -> bool:
        """Whether its octets are the first of their file."""
        return not self.row.received


class Granted:
    """What one request holds: of its link's quota, and of the room. A file's octets take that twice, staged and stored,
    until it is in."""

    def __init__(self, allowance: Allowance, coming: _Coming) -> None:
        self._allowance = allowance
        self._coming = coming
        self._octets = 0

    def next_step(self, left: int) -> None:
        """Look before the next octets, of which `left` are to come; those of the step before are all taken.

        Raises: ConflictError `uploads/quota`; UnavailableError `uploads/no-room`.
        """
        step = min(left, STEP_OCTETS)
        self._allowance.hold(self._coming, step)
        self._allowance.grant(self._octets, 2 * step)
        self._octets = 2 * step

    def give_back(self) -> None:
        """The request has ended: what it did not use is free again."""
        self._allowance.grant(self._octets, 0)
        self._octets = 0
        self._allowance.let_go(self._coming)


def _quota() -> ConflictError:
    return ConflictError("uploads/quota", "No more can be sent through this link. What arrived before is kept.")
