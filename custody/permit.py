"""What the key agent asks before it unwraps an owner key: does the log hold an access entry for it, new and unused?

An entry permits each of its owners once, and only if it was written after the unlock; so nobody can open something
today on the strength of last week's entry.
"""

from pathlib import Path
from threading import Lock
from uuid import UUID

from sqlalchemy import select

from archive.catalogue.database import Database
from archive.catalogue.drop_models import VisitRow
from archive.catalogue.models import EntryRow, EntrySubjectRow, IncidentRow, ItemRow, OrganisationRow, PersonRow
from archive.types import Outcome
from custody.entries import Entry, EventKind


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

    def recipient_of(self, owner_id: UUID) -> str | None:
        """Return the recipient that the catalogue has for an owner, so that no other key passes under its id."""
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
