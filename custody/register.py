"""Reading the register: entries with the values that given keys open, each value checked against its commitment.

What it refuses: handing out a disclosed value that its entry does not commit to. Which keys are there to open with is
decided by a `LoggedAccess` before this module is asked.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.models import DisclosureRow, EntryRow, EntrySubjectRow
from archive.errors import IntegrityError
from archive.types import OwnerKind
from archive.vault import open_value
from custody.canonical import parse_canonical
from custody.commitments import Disclosure
from custody.entries import Entry, check_disclosure

_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedValue:
    """One disclosed value, committed to by its entry."""

    name: str
    value: Any
    disclosure: Disclosure
    owner_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEntry:
    """An entry as it stands in the log, and what the keys at hand open of it."""

    entry: Entry
    leaf: bytes
    leaf_hash: bytes
    values: tuple[OpenedValue, ...]

    def get(self, name: str) -> Any:
        """Return the first value of that name, or None."""
        return next((value.value for value in self.values if value.name == name), None)

    def all(self, name: str) -> list[Any]:
        return [value.value for value in self.values if value.name == name]


class Register:
    """The log as a reader sees it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size(self) -> int:
        """Return how many entries the log has."""
        with self._database.reading() as session:
            return session.execute(select(func.count()).select_from(EntryRow)).scalar_one()

    def seqs_of(self, owner_id: UUID) -> list[int]:
        """Return the numbers of every entry that speaks of an owner, in order."""
        with self._database.reading() as session:
            statement = select(EntrySubjectRow.seq).where(EntrySubjectRow.owner_id == owner_id)
            return list(session.execute(statement.order_by(EntrySubjectRow.seq)).scalars())

    def seqs_closed_for(self, owner_id: UUID) -> list[int]:
        """Return the numbers of the entries that hold values closed under an owner's key, in order."""
        mine = (EntrySubjectRow.owner_id == owner_id) & (DisclosureRow.owner_id == owner_id)
        within = (EntrySubjectRow.seq >= DisclosureRow.first) & (EntrySubjectRow.seq < DisclosureRow.end)
        statement = select(EntrySubjectRow.seq).where(mine & within).distinct().order_by(EntrySubjectRow.seq)
        with self._database.reading() as session:
            return list(session.execute(statement).scalars())

    def open(self, seqs: Sequence[int], keys: Mapping[UUID, KeyIdentity]) -> list[OpenedEntry]:
        """Return entries with what `keys` (by owner) open of them.

        Raises: IntegrityError `custody/not-committed` for a value that its entry does not commit to.
        """
        opened: list[OpenedEntry] = []
        with self._database.reading() as session:
            for start in range(0, len(seqs), _AT_ONCE):
                some = seqs[start : start + _AT_ONCE]
                opened += _opened(session, some, self._closed(session, some, keys))
        return opened

    def open_names(self, counsel: KeyIdentity, keys: Mapping[UUID, KeyIdentity]) -> list[OpenedEntry]:
        """Return the entries that hold anything sealed to counsel, with what `keys` open of them besides.

        Raises: LockedError `keys/no-identity-matches` where it is not counsel's identity; as `open`.
        """
        statement = select(DisclosureRow.owner_id, DisclosureRow.sealed).order_by(DisclosureRow.id)
        with self._database.reading() as session:
            closed: dict[int, list[tuple[UUID, str]]] = {}
            for owner_id, sealed in session.execute(statement.where(DisclosureRow.owner_kind == OwnerKind.IDENTITY)):
                for seq, texts in parse_disclosures(open_value(counsel, sealed)).items():
                    closed.setdefault(seq, []).extend((owner_id, text) for text in texts)
            seqs = sorted(closed)
            for start in range(0, len(seqs), _AT_ONCE):
                for seq, general in self._closed(session, seqs[start : start + _AT_ONCE], keys).items():
                    closed[seq] += general
            return [
                entry
                for start in range(0, len(seqs), _AT_ONCE)
                for entry in _opened(session, seqs[start : start + _AT_ONCE], closed)
            ]

    def _closed(
        self, session: Session, seqs: Sequence[int], keys: Mapping[UUID, KeyIdentity]
    ) -> dict[int, list[tuple[UUID, str]]]:
        """Open the sealed disclosures that cover one of `seqs`, each once."""
        wanted = set(seqs)
        found: dict[int, list[tuple[UUID, str]]] = {}
        ids = _covering(session, sorted(wanted), keys)
        for start in range(0, len(ids), _AT_ONCE):
            statement = (
                select(DisclosureRow.owner_id, DisclosureRow.sealed)
                .where(DisclosureRow.id.in_(ids[start : start + _AT_ONCE]))
                .order_by(DisclosureRow.id)
            )
            for owner_id, sealed in session.execute(statement):
                for seq, texts in parse_disclosures(open_value(keys[owner_id], sealed)).items():
                    if seq in wanted:
                        found.setdefault(seq, []).extend((owner_id, text) for text in texts)
        return found


def _opened(
    session: Session, seqs: Sequence[int], closed: Mapping[int, Sequence[tuple[UUID, str]]]
) -> Iterator[OpenedEntry]:
    rows = session.execute(select(EntryRow.seq, EntryRow.leaf, EntryRow.leaf_hash).where(EntryRow.seq.in_(seqs))).all()
    for seq, leaf, leaf_hash in sorted(rows):
        entry = Entry.parse(leaf)
        values = []
        for owner_id, text in closed.get(seq, ()):
            disclosure = Disclosure(text)
            name, value = check_disclosure(entry, disclosure)
            values.append(OpenedValue(name=name, value=value, disclosure=disclosure, owner_id=owner_id))
        yield OpenedEntry(entry=entry, leaf=leaf, leaf_hash=leaf_hash, values=tuple(values))


def _covering(session: Session, wanted: Sequence[int], keys: Mapping[UUID, KeyIdentity]) -> list[int]:
    """Find the disclosures of these owners that cover a wanted entry; opening one costs far more than looking."""
    statement = (
        select(DisclosureRow.id, DisclosureRow.first, DisclosureRow.end)
        .where(DisclosureRow.owner_id.in_(keys))
        # What is sealed to counsel bears the organisation's id too, and opens with none of these keys.
        .where(DisclosureRow.owner_kind != OwnerKind.IDENTITY)
        .where(DisclosureRow.end > wanted[0], DisclosureRow.first <= wanted[-1])
        .order_by(DisclosureRow.id)
    )
    ids = []
    for id_, first, end in session.execute(statement):
        place = bisect_left(wanted, first)
        if place < len(wanted) and wanted[place] < end:
            ids.append(id_)
    return ids


def parse_disclosures(plain: bytes) -> dict[int, list[str]]:
    """Read the plaintext of a sealed disclosure (formats.md 3.7). Raises: IntegrityError `custody/bad-disclosure`."""
    try:
        value = parse_canonical(plain)
        if not isinstance(value, dict) or value.keys() != {"entries", "v"} or value["v"] != 1:
            raise ValueError("the members are not those of the format")
        return {int(seq): [str(text) for text in texts] for seq, texts in value["entries"].items()}
    except (ValueError, AttributeError, TypeError, IntegrityError) as error:
        raise IntegrityError(
            "custody/bad-disclosure",
            "A sealed disclosure of the log cannot be read. The entries it belongs to still stand.",
            evidence={"reason": str(error)},
        ) from error
