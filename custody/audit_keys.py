"""Getting the keys that an audit opens with: an entry for each group of owners first, then the agent.

A key that does not open is a finding and keeps nothing else closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from archive.access import Action
from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.records import Incident, Item, Organisation, Person, Visit
from archive.errors import LockedError, TestigoError
from archive.types import Actor, Owner, OwnerKind
from archive.vault import Vault
from custody.audit_objects import rows_by_id
from custody.audit_recorded import unrecorded_owners
from custody.destroyed import DESTROYED, with_deaccession
from custody.findings import Found, from_error
from custody.ledger import MOST_ITEMS_IN_AN_ENTRY, Ledger

PURPOSE = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOwner:
    """An owner whose key an audit asks for, and what people call it. `recipient` is None where its row is gone."""

    owner: Owner
    name: str
    recipient: str | None


def key_owners(session: Session, items: Sequence[UUID] | None) -> list[KeyOwner]:
    """Return every owner whose key the office can open; of some items only these and the staff compartment.

    Owners come from the catalogue's rows and from the log's own index: a row that was taken away hides nothing.
    """
    ours, item, incident, person = Organisation.table.c, Item.table.c, Incident.table.c, Person.table.c
    visit = Visit.table.c
    wanted = None if items is None else frozenset(items)
    destroyed = with_deaccession(session)
    owners = [
        _owner(OwnerKind.STAFF, owner_id, "the staff compartment", recipient)
        for owner_id, recipient in rows_by_id(session, ours.id, ours.staff_recipient)
    ]
    owners += [
        _owner(OwnerKind.ITEM, owner_id, number, recipient)
        for owner_id, number, recipient, state in rows_by_id(session, item.id, item.number, item.recipient, item.state)
        if (state != DESTROYED or owner_id not in destroyed) and (wanted is None or owner_id in wanted)
    ]
    if wanted is not None:
        return owners
    for kind, columns in (
        (OwnerKind.INCIDENT, (incident.id, incident.number, incident.recipient)),
        (OwnerKind.PERSON, (person.id, person.pseudonym, person.recipient)),
        (OwnerKind.VISIT, (visit.id, visit.number, visit.recipient)),
    ):
        owners += [_owner(kind, *row) for row in rows_by_id(session, *columns)]
    # What was taken out of the catalogue is still the archive's: its key opens what the log says of it.
    owners += [
        KeyOwner(owner=owner, name=f"{owner.kind} {owner.id}", recipient=None) for owner in unrecorded_owners(session)
    ]
    return owners


def _owner(kind: OwnerKind, owner_id: UUID, name: object, recipient: object) -> KeyOwner:
    return KeyOwner(owner=Owner(kind=kind, id=owner_id), name=str(name), recipient=str(recipient))


class AuditKeys:
    """Unwraps the keys for one audit, against entries of the log."""

    def __init__(self, *, database: Database, vault: Vault, ledger: Ledger, actor: Actor) -> None:
        self._database = database
        self._vault = vault
        self._ledger = ledger
        self._actor = actor

    def unwrap(self, items: Sequence[UUID] | None) -> tuple[dict[UUID, KeyIdentity], list[Found]]:
        """Return the keys by owner, and what was found wrong with any. Raises: LockedError `archive/locked`."""
        present = set(self._vault.key_files.list())
        with self._database.reading() as session:
            owners = [each for each in key_owners(session, items) if each.owner.id in present]
        keys: dict[UUID, KeyIdentity] = {}
        found: list[Found] = []
        for start in range(0, len(owners), MOST_ITEMS_IN_AN_ENTRY):
            group = owners[start : start + MOST_ITEMS_IN_AN_ENTRY]
            try:
                keys |= self._ask(group)
            except LockedError:
                raise
            except TestigoError:
                # One key file that is not right keeps a whole group closed; asked one by one it is named.
                found += self._one_by_one(group, keys)
        return keys, found

    def _one_by_one(self, group: Sequence[KeyOwner], keys: dict[UUID, KeyIdentity]) -> list[Found]:
        found: list[Found] = []
        for each in group:
            try:
                keys |= self._ask([each])
            except LockedError:
                raise
            except TestigoError as error:
                found.append(from_error(error, subject=each.name))
        return found

    def _ask(self, group: Sequence[KeyOwner]) -> dict[UUID, KeyIdentity]:
        recipients = {each.owner.id: each.recipient for each in group if each.owner.kind is OwnerKind.ITEM}
        owners = [each.owner for each in group]
        self._vault.refuse_closed([owner.id for owner in owners])
        access = self._ledger.record_access(self._actor, owners, PURPOSE, recipients=recipients)
        try:
            return self._vault.unwrap(access, [owner.id for owner in owners])
        except LockedError as error:
            self._ledger.record_refusal(self._actor, Action.AUDIT, error)
            raise
