"""What only keys can tell: every sealed value opens and is the one that the log committed to, every item's run holds,
and the catalogue's rows are what the log says.

Keys come from a `LoggedAccess`; this module asks for none.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity
from archive.catalogue.accounts import read_secret
from archive.catalogue.models import EntryRow, EntrySubjectRow
from archive.catalogue.records import Item
from archive.errors import ConfigError
from archive.types import OwnerKind
from custody.audit_acts import ActsAudit
from custody.audit_objects import rows_by_id
from custody.audit_recorded import Spoken
from custody.destroyed import DESTROYED, destroying_entry
from custody.entries import RunLink
from custody.findings import Found, differs, entries, matches, surviving, unknown
from custody.fold import Fold, compare_rows, leaves_of, readable_disclosures
from custody.log_reading import LogReader, ReadEntry

Watch = Callable[[str, int, int], None]

_AT_ONCE = 2000
_NEVER_OURS = frozenset({OwnerKind.IDENTITY, OwnerKind.SENDER})
"""Whose values the office cannot open by design: counsel's, and those sealed to a sender's own code or token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedFixity:
    """The SHA-256 (hex) and size with which an item was received."""

    sha256: str
    size: int


def received_fixity(name: str, value: object) -> tuple[UUID, ReceivedFixity] | None:
    """Return the item and its fixity where a value states what was received; None for any other value."""
    match name, value:
        case "fixity", {"stage": "receipt", "item": str(item), "sha256": str(sha256), "size": int(size)}:
            return UUID(item), ReceivedFixity(sha256=sha256, size=size)
    return None


class OpenedAudit:
    """One reading of the whole log with `keys`; fills `fixity` (what each item was received with) and `spoken`."""

    def __init__(
        self,
        session: Session,
        keys: Mapping[UUID, KeyIdentity],
        fixity: dict[UUID, ReceivedFixity],
        spoken: Spoken,
        watch: Watch,
    ) -> None:
        self._fixity = fixity
        self._spoken = spoken
        self._session = session
        self._keys = keys
        self._watch = watch
        item = Item.table.c
        rows = list(rows_by_id(session, item.id, item.number, item.state))
        self._numbers: dict[UUID, str] = {item_id: str(number) for item_id, number, _ in rows}
        self._called_destroyed = [item_id for item_id, _, state in rows if state == DESTROYED]
        self._runs: dict[UUID, tuple[int, bytes]] = {}
        self._closed = 0
        self._shut: dict[UUID, list[int]] = {}
        self._unread: set[int] = set()
        self._is_read = False
        self._index_rows = IndexRows(session)
        self._intake_key: str | None = None

    def run(self) -> Iterator[Found]:
        """Open everything, check it against its commitments, and compare the folded rows with the live ones."""
        with Fold() as fold:
            yield from surviving(self._read(fold), subject="log")
            destroyed = self._destroyed_in(fold)
            self._unread.update(*(seqs for owner, seqs in self._shut.items() if owner not in destroyed))
            yield from surviving(compare_rows(self._session, fold, destroyed, unread=self._unread), subject="catalogue")
            yield from self._destroyed_by_nobody(destroyed)
        yield from surviving(self._secret(), subject="catalogue")
        one = "item has an unbroken run of entries"
        yield matches("items", "items have an unbroken run of entries", len(self._runs), one=one)
        self._spoken.is_whole = self._is_read and not self._unread
        if self._unread:
            yield unknown(
                "custody/entries-unread",
                f"{_entries_hold(len(self._unread))} values whose key is not here or does not open, though no entry "
                "says that it was destroyed. See what is said of the keys; restore a lost key file, then check again.",
                subject="log",
            )
        if closed := self._closed - len(self._unread):
            yield unknown(
                "custody/closed-to-office",
                f"{_entries_hold(closed)} values that are sealed to counsel, to a sender or to a key that was "
                "destroyed. What "
                "the office can open of them was checked.",
                subject="log",
            )

    def _read(self, fold: Fold) -> Iterator[Found]:
        size = (self._session.execute(select(func.max(EntryRow.seq))).scalar() or 0) + 1
        reader = LogReader(leaves_of(self._session), self._keys, self._numbers)
        acts = ActsAudit(fold)
        good = 0
        for read in reader.read(readable_disclosures(self._session)):
            if isinstance(read, Found):
                yield read
                continue
            good += read.is_whole
            self._count_closed(read)
            yield from self._entry(read)
            yield from acts.before(read)
            yield from fold.add(read.records())
            self._watch("values", read.seq + 1, size)
        yield from reader.rest(size)
        yield from fold.settle()
        self._is_read = True
        words = "entries open wholly, each value being the one committed to"
        one = "entry opens wholly, each value being the one committed to"
        yield matches("log", words, good, one=one)

    def _count_closed(self, read: ReadEntry) -> None:
        """Keep what is shut, and to whom; whose key was destroyed by decision, a later entry tells."""
        self._closed += read.closed
        for owner in read.closed_to:
            if owner.kind not in _NEVER_OURS and owner.id not in self._keys:
                self._shut.setdefault(owner.id, []).append(read.seq)

    def _destroyed_in(self, fold: Fold) -> frozenset[UUID]:
        """Return the items that the log, and not only a row, says were destroyed."""
        item = Item.table.c
        return frozenset(fold.session.execute(select(item.id).where(item.state == DESTROYED)).scalars())

    def _destroyed_by_nobody(self, destroyed: frozenset[UUID]) -> Iterator[Found]:
        for item_id in self._called_destroyed:
            if item_id not in destroyed and item_id not in self._keys:
                if self._is_shut_to_others(destroying_entry(self._session, item_id), item_id, destroyed):
                    words = "The catalogue calls it destroyed, and the entry that would say so could not be opened."
                    yield unknown("custody/row-unread", words, subject=self._name(item_id), item=str(item_id))
                    continue
                words = (
                    "The catalogue calls it destroyed and no entry of the log, opened, says so: the row was changed."
                )
                yield differs("custody/destruction-unfounded", words, subject=self._name(item_id), item=str(item_id))

    def _is_shut_to_others(self, seq: int | None, item_id: UUID, destroyed: frozenset[UUID]) -> bool:
        """Tell whether an entry holds what a key opens that is neither this item's nor one that was destroyed."""
        return any(seq in seqs for owner, seqs in self._shut.items() if owner != item_id and owner not in destroyed)

    def _entry(self, read: ReadEntry) -> Iterator[Found]:
        yield from self._index(read)
        self._spoken.owners.update(read.subjects)
        for value in read.opened.values:
            self._spoken.hear(value.name, value.value)
            match value.name, value.value:
                case "run", link:
                    yield from self._follow(read, RunLink.from_value(link))
                case "fixity", fixity:
                    yield from self._keep_fixity(received_fixity("fixity", fixity), read.seq)
                case "record", {"sealed": {"intake_key": str(key)}}:
                    self._intake_key = key

    def _keep_fixity(self, received: tuple[UUID, ReceivedFixity] | None, seq: int) -> Iterator[Found]:
        if received is not None and self._fixity.setdefault(*received) != received[1]:
            words = "The log states two different SHA-256 digests for what was received as this item."
            yield differs("custody/fixity-differs", words, subject=self._name(received[0]), first=seq, end=seq + 1)

    def _follow(self, read: ReadEntry, link: RunLink) -> Iterator[Found]:
        """Take one step in an item's run, as `entries.verify_run` would over all of them at once."""
        number, previous = self._runs.get(link.item, (0, None))
        if link.number != number + 1 or link.previous != previous:
            gap = link.number > number + 1
            yield differs(
                "custody/run-gap" if gap else "custody/run-broken",
                f"The record of this item does not hold together at its entry number {link.number} (entry {read.seq})"
                + (f": number {number + 1} is missing." if gap else "."),
                subject=self._name(link.item),
                first=read.seq,
                end=read.seq + 1,
            )
        self._runs[link.item] = (link.number, read.opened.leaf_hash)

    def _index(self, read: ReadEntry) -> Iterator[Found]:
        """Compare whom the entry speaks of with the catalogue's index of it."""
        indexed = self._index_rows.of(read.seq)
        said = dict(read.subjects)
        if read.closed:
            # A closed part may name owners that only the index knows; what was opened must be there in any case.
            indexed = {owner_id: number for owner_id, number in indexed.items() if owner_id in said}
            said = {owner_id: indexed.get(owner_id) if number is None else number for owner_id, number in said.items()}
        if indexed != said:
            yield differs(
                "custody/index-differs",
                "The catalogue says that this entry speaks of others than it does, or gives another running number.",
                subject=entries(read.seq, read.seq + 1),
                first=read.seq,
                end=read.seq + 1,
            )

    def _secret(self) -> Iterator[Found]:
        try:
            live = read_secret(self._session, "intake-key").hex()
        except ConfigError as error:
            yield differs(error.code, error.message, subject="catalogue")
            return
        if self._intake_key is not None and live != self._intake_key:
            words = "The intake key is not the one that the log holds: accounts and duplicates would not be found."
            yield differs("custody/row-differs", words, subject="secret intake-key", table="secret", column="value")

    def _name(self, item_id: UUID) -> str:
        return self._numbers.get(item_id) or f"item {item_id}"


class IndexRows:
    """The index of whom entries speak of, streamed beside entries that come in order."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows = iter(self._select(0))
        self._ahead = next(self._rows, None)
        self._last = -1

    def of(self, seq: int) -> dict[UUID, int | None]:
        """Return the owners of one entry, with the running number where the owner is an item."""
        if seq <= self._last:
            self._rows = iter(self._select(seq))
            self._ahead = next(self._rows, None)
        self._last = seq
        found: dict[UUID, int | None] = {}
        while self._ahead is not None and self._ahead[0] <= seq:
            if self._ahead[0] == seq:
                found[self._ahead[1]] = self._ahead[2]
            self._ahead = next(self._rows, None)
        return found

    def _select(self, first: int) -> Iterator[tuple[int, UUID, int | None]]:
        row = EntrySubjectRow
        statement = select(row.seq, row.owner_id, row.run_number).where(row.seq >= first).order_by(row.seq)
        yield from self._session.execute(statement.execution_options(yield_per=_AT_ONCE))


def _entries_hold(count: int) -> str:
    return "1 entry holds" if count == 1 else f"{count} entries hold"
