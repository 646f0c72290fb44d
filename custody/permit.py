"""What the key agent asks before it unwraps an owner key: does the log hold an access entry for it, new and unused?

An entry permits each of its owners once, and only if it was written after the unlock; so nobody can open something
today on the strength of last week's entry.
"""

from pathlib import Path
from threading import Lock
from uuid import UUID

from sqlalchemy import select

from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.drop_models import VisitRow
from archive.catalogue.models import (
    DisclosureRow,
    EntryRow,
    EntrySubjectRow,
    IncidentRow,
    ItemRow,
    OrganisationRow,
    PersonRow,
)
from archive.errors import IntegrityError, TestigoError
from archive.types import Outcome, OwnerKind
from archive.vault import open_value
from custody.entries import Entry, EventKind

_SEALED_TO_OTHERS = (OwnerKind.IDENTITY, OwnerKind.SENDER)


class EntryPermit:
    """Decide against the catalogue at `database_path`; entries below `since` permit nothing.

    The database is opened at the first question, so that the value can cross a fork.
    """

    def __init__(self, database_path: Path, since: int) -> None:
        self._path = database_path
        self._since = since
        self._database: Database | None = None
        self._used: set[tuple[int, UUID]] = set()
        self._lock = Lock()

    def __call__(self, entry: int, owner_id: UUID) -> bool:
        with self._lock:
            if entry < self._since or (entry, owner_id) in self._used:
                return False
            with self._opened().reading() as session:
                leaf = session.execute(
                    select(EntryRow.leaf)
                    .join(EntrySubjectRow, EntrySubjectRow.seq == EntryRow.seq)
                    .where(EntryRow.seq == entry, EntrySubjectRow.owner_id == owner_id)
                ).scalar()
            if leaf is None:
                return False
            found = Entry.parse(leaf)
            if found.event is not EventKind.ACCESS or found.outcome is not Outcome.SUCCESS:
                return False
            self._used.add((entry, owner_id))
            return True

    def owns(self, owner_id: UUID, key: KeyIdentity) -> bool:
        """Tell whether a key is that owner's, so that no other passes under its id.

        Where the owner's row is gone, the log itself tells: what it has sealed for this owner opens with the right key.
        Raises: IntegrityError `keys/recipient-differs`.
        """
        recorded = self._recipient_of(owner_id)
        if recorded is None:
            return self._opens_what_is_sealed_for(owner_id, key)
        if recorded != str(key.recipient):
            raise IntegrityError(
                "keys/recipient-differs",
                "The key file is of another recipient than the catalogue has for its owner: the row or the file was "
                "exchanged. Nothing was opened with it. Seal nothing to it before `testigo verify` tells which.",
            )
        return True

    def _opens_what_is_sealed_for(self, owner_id: UUID, key: KeyIdentity) -> bool:
        statement = (
            select(DisclosureRow.sealed)
            .where(DisclosureRow.owner_id == owner_id, DisclosureRow.owner_kind.not_in(_SEALED_TO_OTHERS))
            .order_by(DisclosureRow.id)
            .limit(1)
        )
        with self._lock, self._opened().reading() as session:
            sealed = session.execute(statement).scalar()
        if sealed is None:
            return False
        try:
            open_value(key, sealed)
        except TestigoError:
            return False
        return True

    def _recipient_of(self, owner_id: UUID) -> str | None:
        columns = (
            (ItemRow.id, ItemRow.recipient),
            (IncidentRow.id, IncidentRow.recipient),
            (PersonRow.id, PersonRow.recipient),
            (VisitRow.id, VisitRow.recipient),
            (OrganisationRow.id, OrganisationRow.staff_recipient),
        )
        with self._lock, self._opened().reading() as session:
            for identifier, recipient in columns:
                found = session.execute(select(recipient).where(identifier == owner_id)).scalar_one_or_none()
                if found is not None:
                    return found
        return None

    def _opened(self) -> Database:
        if self._database is None:
            self._database = Database(self._path)
        return self._database
