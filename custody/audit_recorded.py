"""What the log speaks of, and whether the catalogue still has it: owners whose row was taken away, and objects.

The log decides what belongs to the archive; a row is only how it is found. So a missing row makes nothing a left-over.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import Session

from archive.catalogue.models import DisclosureRow, EntrySubjectRow
from archive.catalogue.records import Incident, Item, Organisation, Person, Record, Visit
from archive.store.port import object_name
from archive.types import Digest, DigestAlgorithm, Owner, OwnerKind
from custody.findings import Found, differs

OWNER_RECORDS: Mapping[OwnerKind, type[Record]] = {
    OwnerKind.STAFF: Organisation,
    OwnerKind.INCIDENT: Incident,
    OwnerKind.ITEM: Item,
    OwnerKind.PERSON: Person,
    OwnerKind.VISIT: Visit,
}
"""The record of each kind of owner that has a key file."""

_OWNER_KINDS = frozenset(record.kind for record in OWNER_RECORDS.values())


_ROW_GONE = (
    "The log speaks of it and the catalogue has no row of it: the row was removed, or its key was not here when the "
    "catalogue was rebuilt. Its key and its objects are no left-overs; remove nothing. `testigo rebuild` gives the "
    "rows back from the log."
)
_ROW_AND_KEY_GONE = (
    "The log speaks of it and the catalogue has no row of it, and its key file is not here either: without the key no "
    "`testigo rebuild` gives the row back. Its objects are no left-overs; remove nothing. Put the key file back from a "
    "backup of the keys first, then move the catalogue away, keep it, and rebuild."
)


@dataclass(slots=True)
class Spoken:
    """What the entries of the log name, as far as keys opened them: owners, and objects with the item of each.

    `is_whole` is false until the whole log was read and nothing stayed shut but what was closed by decision.
    """

    owners: set[UUID] = field(default_factory=set)
    objects: dict[str, UUID] = field(default_factory=dict)
    numbers: dict[UUID, str] = field(default_factory=dict)
    is_whole: bool = False

    def hear(self, name: str, value: Any) -> None:
        """Take one value of an entry."""
        match name, value:
            case "object", {"blake3": str(digest), "item": str(item)}:
                self._object(digest, item)
            case "record", {"kind": "object", "columns": {"blake3": str(digest), "item_id": str(item)}}:
                self._object(digest, item)
            case "record", {"kind": str(kind), "id": str(owner)} if kind in _OWNER_KINDS:
                self.owners.add(UUID(owner))
                if isinstance(number := value["columns"].get("number"), str):
                    self.numbers[UUID(owner)] = number

    def _object(self, digest: str, item: str) -> None:
        self.objects[object_name(Digest(DigestAlgorithm.BLAKE3, bytes.fromhex(digest)))] = UUID(item)


def unrecorded_owners(session: Session) -> dict[Owner, int]:
    """Return each owner that the log's index or its sealed values name and that has no row, with its first entry."""
    found: dict[Owner, int] = {}
    for kind, record in OWNER_RECORDS.items():
        sealed = select(DisclosureRow.owner_id.label("owner"), DisclosureRow.first.label("seq")).where(
            DisclosureRow.owner_kind == kind
        )
        named = select(EntrySubjectRow.owner_id, EntrySubjectRow.seq).where(EntrySubjectRow.run_number.is_not(None))
        spoken = (union_all(sealed, named) if kind is OwnerKind.ITEM else sealed).subquery()
        has_row = select(record.table.c.id).where(record.table.c.id == spoken.c.owner).exists()
        statement = select(spoken.c.owner, func.min(spoken.c.seq)).where(~has_row).group_by(spoken.c.owner)
        for owner_id, seq in session.execute(statement):
            found[Owner(kind=kind, id=owner_id)] = seq
    return found


def check_recorded(session: Session, numbers: Mapping[UUID, str], keys: Container[UUID]) -> Iterator[Found]:
    """Name each owner of the log whose row is gone; `numbers` are what somebody outside knows items by, `keys` whose
    key files are here.
    """
    for owner, seq in sorted(unrecorded_owners(session).items(), key=lambda each: each[1]):
        called = f"{owner.kind} {owner.id}"
        yield differs(
            "custody/record-missing",
            _ROW_GONE if owner.id in keys else _ROW_AND_KEY_GONE,
            subject=f"{numbers[owner.id]} ({called})" if owner.id in numbers else called,
            first=seq,
            end=seq + 1,
            owner=str(owner.id),
        )
