"""Making incidents, confirming a report or marking it unfounded, and opening titles against an entry.

A report is judged while the archive is locked: what is told of it (title, place, start) is not opened and not said
again, so it stands in an earlier entry than the newest state of the record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from uuid import UUID

from archive.access import Action, require
from archive.catalogue.accounts import organisation
from archive.catalogue.incidents import incident_by_number
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Incident, Json
from archive.errors import ConflictError
from archive.types import Actor, NewId, Owner, OwnerKind
from archive.vault import Vault
from custody.drafts import Draft, OwnedPart
from custody.entries import EventKind
from custody.ledger import Ledger
from custody.register import Register


class Judgement(StrEnum):
    """What whoever dispatched found of a report."""

    CONFIRMED = "confirmed"
    UNFOUNDED = "unfounded"


def open_incident(
    ledger: Ledger, vault: Vault, actor: Actor, told: Mapping[str, str | None], *, new_id: NewId
) -> Incident:
    """Make an incident; what is told of it (title, place, start) is closed under the incident's own key."""
    incident_id = new_id()
    owner = Owner(kind=OwnerKind.INCIDENT, id=incident_id)
    with ledger.transaction() as transaction:
        ours = organisation(transaction.session)
        key = vault.new_owner_keys([owner], ledger.keyrings.standing().vault)[0]
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


def judge_report(ledger: Ledger, actor: Actor, number: str, judgement: Judgement, *, reason: str) -> Incident:
    """Say of an incident that its report was confirmed, or was unfounded; nothing of it is opened or removed.

    Raises: AccessError; NotFoundError `archive/no-such-incident`; ConflictError `custody/judged-so`.
    """
    require(actor, Action.JUDGE_REPORT)
    with ledger.transaction() as transaction:
        incident, _ = incident_by_number(transaction.session, number)
        refuse_judged_so(incident, judgement)
        judged = replace(incident, status=str(judgement))
        owner = Owner(kind=OwnerKind.INCIDENT, id=incident.id)
        part = OwnedPart(owner=owner, recipients=(incident.recipient,), values=(("record", judged.to_log()),))
        values = (("purpose", f"report {judgement}"), ("reason", reason))
        event = EventKind.METADATA_MODIFICATION
        transaction.record(Draft(event=event, actor=actor, values=values, owned=(part,)))
    return judged


def refuse_judged_so(incident: Incident, judgement: Judgement) -> None:
    """Raises: ConflictError `custody/judged-so` where that is what the record says already."""
    if incident.status == judgement:
        raise ConflictError("custody/judged-so", f"This incident is {judgement} already. Nothing was changed.")


def told_of(
    ledger: Ledger, vault: Vault, register: Register, actor: Actor, incidents: Sequence[Incident]
) -> dict[UUID, dict[str, Json]]:
    """Open what was told of incidents (`title`, `place`, `started_claim`), against one entry."""
    owners = [Owner(kind=OwnerKind.INCIDENT, id=incident.id) for incident in incidents]
    vault.refuse_closed([owner.id for owner in owners])
    access = ledger.record_access(actor, owners, "list incidents", recipients={})
    keys = vault.unwrap(access, [owner.id for owner in owners])
    found: dict[UUID, dict[str, Json]] = {}
    seqs = sorted({seq for owner in owners for seq in register.seqs_closed_for(owner.id)})
    for opened in register.open(seqs, keys):
        for record in opened.all("record"):
            if record["kind"] == "incident" and "title" in record["sealed"]:
                found[UUID(record["id"])] = record["sealed"]
    return found
