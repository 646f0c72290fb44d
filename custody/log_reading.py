"""Reading the whole log with keys: transaction by transaction, each entry with everything that the keys open of it.

The same reading serves the audit (from the catalogue) and the rebuilding of a lost catalogue (from the store). Every
value is checked against the commitment of its entry. What cannot be opened or does not fit is a finding, never an end.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from archive.age.recipients import KeyIdentity
from archive.errors import IntegrityError, TestigoError
from archive.types import Owner, OwnerKind
from archive.vault import open_value
from custody.commitments import Disclosure
from custody.entries import RUN, Entry, RunLink, check_disclosure
from custody.findings import Found, differs, entries, from_error
from custody.merkle import leaf_hash
from custody.register import OpenedEntry, OpenedValue, parse_disclosures


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedDisclosure:
    """One owner's closed values of the entries `first` to `end` (half open), as catalogue and store keep them."""

    owner: Owner
    first: int
    end: int
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEntry:
    """An entry with what was opened of it.

    `subjects` gives each owner that it speaks of, with the item's running number where that was opened. `is_whole` says
    that every commitment was opened; where it is false, `closed` says that a disclosure here could not be opened, and
    `closed_items` whose it is, where that is certain, and `closed_to` all for whom something here may be sealed.
    """

    opened: OpenedEntry
    subjects: Mapping[UUID, int | None]
    is_whole: bool
    closed: bool
    closed_items: frozenset[UUID]
    closed_to: frozenset[Owner]

    @property
    def seq(self) -> int:
        return self.opened.entry.seq

    def records(self) -> Iterator[tuple[int, Any]]:
        """Give the records that this entry carries, with its number, as `catalogue.records.apply` takes them."""
        for value in self.opened.values:
            if value.name == "record":
                yield self.seq, value.value


Leaves = Callable[[int, int], Sequence[bytes]]
"""Returns the leaves of the entries [first, end), fewer where the log ends."""

Texts = dict[int, list[tuple[UUID, str]]]


class LogReader:
    """Reads sealed disclosures in the order of their writing. `owner_names` names owners in what is found."""

    def __init__(self, leaves: Leaves, keys: Mapping[UUID, KeyIdentity], owner_names: Mapping[UUID, str]) -> None:
        self._leaves = leaves
        self._keys = keys
        self._names = owner_names
        self._next = 0

    def read(self, sealed: Iterable[SealedDisclosure]) -> Iterator[ReadEntry | Found]:
        """Yield every entry that a disclosure speaks of, in order, and what was found on the way."""
        group: list[SealedDisclosure] = []
        end = 0
        for each in sealed:
            if group and each.first >= end:
                yield from self._read_group(group)
                group = []
            group.append(each)
            end = max(end, each.end)
        if group:
            yield from self._read_group(group)

    def rest(self, size: int) -> Iterator[Found]:
        """Say what of a log of `size` entries no disclosure spoke of, once everything was read."""
        if self._next < size:
            yield _without_values(self._next, size)

    def _read_group(self, group: Sequence[SealedDisclosure]) -> Iterator[ReadEntry | Found]:
        """Read what one transaction wrote: its disclosures overlap, and those of the next lie wholly behind them."""
        texts: Texts = {}
        closed: list[SealedDisclosure] = []
        owners: dict[int, dict[UUID, int | None]] = {}
        for each in group:
            opened = self._open(each)
            if isinstance(opened, Found):
                yield opened
            if not isinstance(opened, dict):
                closed.append(each)
                continue
            for seq, found in opened.items():
                texts.setdefault(seq, []).extend((each.owner.id, text) for text in found)
                owners.setdefault(seq, {})[each.owner.id] = None
        first, end = min(each.first for each in group), max(each.end for each in group)
        if first > self._next:
            yield _without_values(self._next, first)
        for seq, leaf in enumerate(self._leaves(first, end), start=first):
            hidden = [each for each in closed if each.first <= seq < each.end]
            yield from self._read_entry(seq, leaf, texts.pop(seq, []), owners.get(seq, {}), hidden)
        for seq in texts:
            yield differs(
                "custody/not-committed",
                "Values are kept for an entry that the log does not have here.",
                subject=entries(seq, seq + 1),
                first=seq,
                end=seq + 1,
            )
        self._next = max(self._next, end)

    def _open(self, each: SealedDisclosure) -> dict[int, list[str]] | Found | None:
        """Open one disclosure; None where that is nobody's business here: it is counsel's, or its key was destroyed."""
        if each.owner.kind is OwnerKind.IDENTITY or each.owner.id not in self._keys:
            return None
        place = {"first": each.first, "end": each.end}
        subject = entries(each.first, each.end)
        try:
            opened = parse_disclosures(open_value(self._keys[each.owner.id], each.sealed))
        except TestigoError as error:
            found = from_error(error, subject=subject)
            name = self._names.get(each.owner.id, str(each.owner.id))
            words = f"The values sealed for {name} do not open with its key: they were changed or exchanged."
            return differs(found.code, words, subject=subject, **place, owner=str(each.owner.id))
        outside = [seq for seq in opened if not each.first <= seq < each.end]
        if outside:
            words = "What is sealed here speaks of other entries than those it is kept for."
            return differs("custody/bad-disclosure", words, subject=subject, **place)
        return opened

    def _read_entry(
        self,
        seq: int,
        leaf: bytes,
        texts: Sequence[tuple[UUID, str]],
        owners: dict[UUID, int | None],
        hidden: Sequence[SealedDisclosure],
    ) -> Iterator[ReadEntry | Found]:
        try:
            entry = Entry.parse(leaf)
        except IntegrityError:
            return  # Named by the pass over the entries themselves.
        # What cannot be opened speaks at least of its first and its last entry.
        ends = {each.owner for each in hidden if seq in (each.first, each.end - 1)}
        subjects: dict[UUID, int | None] = dict.fromkeys((owner.id for owner in ends), None) | owners
        values: list[OpenedValue] = []
        for owner_id, text in texts:
            disclosure = Disclosure(text)
            try:
                name, value = check_disclosure(entry, disclosure)
                subjects |= _subjects_in(name, value)
            except IntegrityError as error:
                yield differs(
                    error.code, error.message, subject=entries(seq, seq + 1), first=seq, end=seq + 1, of=str(owner_id)
                )
                continue
            values.append(OpenedValue(name=name, value=value, disclosure=disclosure, owner_id=owner_id))
        is_whole = {value.disclosure.digest for value in values} == set(entry.sd)
        if not is_whole and not hidden:
            yield differs(
                "custody/value-missing",
                "The entry commits to values that are kept nowhere: they were removed or exchanged.",
                subject=entries(seq, seq + 1),
                first=seq,
                end=seq + 1,
            )
        opened = OpenedEntry(entry=entry, leaf=leaf, leaf_hash=leaf_hash(leaf), values=tuple(values))
        closed_items = frozenset(owner.id for owner in ends if owner.kind is OwnerKind.ITEM)
        yield ReadEntry(
            opened=opened,
            subjects=subjects,
            is_whole=is_whole,
            closed=bool(hidden),
            closed_items=closed_items,
            closed_to=frozenset(each.owner for each in hidden),
        )


def _subjects_in(name: str, value: object) -> dict[UUID, int | None]:
    """Return the owners that one opened value names. Raises: IntegrityError `custody/bad-entry`."""
    if name == RUN:
        link = RunLink.from_value(value)  # type: ignore[arg-type]  # a value of canonical JSON
        return {link.item: link.number}
    if name == "subjects" and isinstance(value, list):
        try:
            return {UUID(each["id"]): None for each in value}
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError("custody/bad-entry", "An entry names its subjects in no readable form.") from error
    return {}


def _without_values(first: int, end: int) -> Found:
    return differs(
        "custody/value-missing",
        "Nothing is kept of what these entries say: their sealed values were removed.",
        subject=entries(first, end),
        first=first,
        end=end,
    )
