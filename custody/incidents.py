"""Making incidents, and opening their titles against an entry."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from archive.age.keyring import Keyring
from archive.catalogue.accounts import organisation
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Incident
from archive.types import Actor, NewId, Owner, OwnerKind
from archive.vault import Vault
from custody.drafts import Draft, OwnedPart
from custody.entries import EventKind
from custody.ledger import Ledger
from custody.register import Register


def open_incident(
    ledger: Ledger, vault: Vault, actor: Actor, told: Mapping[str, str | None], *, new_id: NewId
) -> Incident:
    """Make an incident; what is told of it (title, place, start) is closed under the incident's own key."""
    incident_id = new_id()
    owner = Owner(kind=OwnerKind.INCIDENT, id=incident_id)
    with ledger.transaction() as transaction:
        ours = organisation(transaction.session)
        key = vault.new_owner_keys([owner], Keyring.parse(ours.vault_keyring))[0]
        incident = Incident(
            id=incident_id,
            organisation_id=ours.id,
            number=next_numbers(transaction.session, NumberKind.INCIDENT, transaction.now.year)[0],
            status="open",
            recipient=key.recipient,
            created_time=transaction.now,
        )
        transaction.record(
            Draft(
                event=EventKind.METADATA_MODIFICATION,
                actor=actor,
                values=(("purpose", "incident opened"),),
                owned=(
                    OwnedPart(
                        owner=owner,
                        recipients=(incident.recipient,),
                        values=(("record", incident.to_log({name: text for name, text in told.items() if text})),),
                    ),
                ),
            )
        )
    return incident


def titles(
    ledger: Ledger, vault: Vault, register: Register, actor: Actor, incidents: Sequence[tuple[Incident, int]]
) -> dict[UUID, str]:
    """Open the titles of incidents (pairs of incident and the entry of its record), against one entry."""
    owners = [Owner(kind=OwnerKind.INCIDENT, id=incident.id) for incident, _ in incidents]
    access = ledger.record_access(actor, owners, "list incidents", recipients={})
    keys = vault.unwrap(access, [owner.id for owner in owners])
    found: dict[UUID, str] = {}
    for opened in register.open([seq for _, seq in incidents], keys):
        for record in opened.all("record"):
            if record["kind"] == "incident":
                found[UUID(record["id"])] = str(record["sealed"].get("title", ""))
    return found
