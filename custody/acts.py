"""Acts on records that need care: holds, the destruction of an item's key, and the second person they ask for.

Precedence (legal-standards D8): a hold outranks every deletion. A dangerous act is asked for by one person and done
when another agrees; both are entries.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from uuid import UUID

from archive.access import Action, Condition, require
from archive.catalogue.accounts import organisation
from archive.catalogue.holds import hold_by_number, holds_on, waiting_approval
from archive.catalogue.items import item_by_number, objects_of
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Approval, Hold, Incident, Item
from archive.errors import AccessError, ConflictError
from archive.keyfiles import KeyFiles
from archive.types import Actor, NewId, Owner, OwnerKind
from custody.canonical import Json
from custody.drafts import Draft, ItemPart, Values
from custody.entries import EventKind
from custody.ledger import Ledger, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The act was asked for; another person must agree by doing the same."""

    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """An item's key is gone from this machine; copies in backups of key files expire by `backups_expire_by`."""

    item: Item
    entry: int
    backups_expire_by: date


class Acts:
    """Holds, approvals and destruction."""

    def __init__(self, *, ledger: Ledger, key_files: KeyFiles, backup_days_max: int, new_id: NewId) -> None:
        self._ledger = ledger
        self._key_files = key_files
        self._backup_days = timedelta(days=backup_days_max)
        self._new_id = new_id

    def place_hold(self, actor: Actor, target: Incident | Item, *, title: str, trigger: str) -> Hold:
        """Put an incident (with whatever it will still receive) or one item on legal hold."""
        require(actor, Action.PLACE_HOLD)
        with self._ledger.transaction() as transaction:
            hold = Hold(
                id=self._new_id(),
                organisation_id=organisation(transaction.session).id,
                number=next_numbers(transaction.session, NumberKind.HOLD, transaction.now.year)[0],
                status="active",
                incident_id=target.id if isinstance(target, Incident) else None,
                item_id=target.id if isinstance(target, Item) else None,
                placed_time=transaction.now,
                lifted_time=None,
            )
            record = hold.to_log({"title": title, "trigger": trigger})
            self._record_hold(transaction, actor, target, (("purpose", "hold placed"), ("record", record)))
        return hold

    def lift_hold(self, actor: Actor, number: str, *, reason: str) -> Hold | Asked:
        """Lift a hold once a second person agrees. Raises: ConflictError `archive/hold-lifted`."""
        require(actor, Action.LIFT_HOLD)
        with self._ledger.transaction() as transaction:
            hold, _ = hold_by_number(transaction.session, number)
            if hold.status != "active":
                raise ConflictError("archive/hold-lifted", "That hold was lifted before. Nothing was changed.")
            asked = self._second_person(transaction, actor, Action.LIFT_HOLD, hold.id, reason)
            if asked is not None:
                return asked
            lifted = replace(hold, status="lifted", lifted_time=transaction.now)
            owner = Owner(kind=OwnerKind.STAFF, id=hold.organisation_id)
            values: Values = (("purpose", "hold lifted"), ("reason", reason), ("record", lifted.to_log()))
            transaction.record(Draft(event=EventKind.POLICY_ASSIGNMENT, actor=actor, values=values, subjects=(owner,)))
        return lifted

    def destroy(self, actor: Actor, number: str, *, reason: str) -> Destroyed | Asked:
        """Destroy an item's key, so that nothing sealed to it opens again, once a second person agrees.

        Raises: AccessError `archive/on-hold`.
        """
        require(actor, Action.DESTROY)
        with self._ledger.transaction() as transaction:
            item, _ = item_by_number(transaction.session, number)
            held = holds_on(transaction.session, item)
            if held:
                raise AccessError(
                    "archive/on-hold",
                    "This item is on legal hold until the hold is lifted. Nothing was destroyed.",
                    evidence={"holds": [hold.number for hold in held]},
                )
            asked = None
            if item.state != "destroyed":
                asked = self._second_person(transaction, actor, Action.DESTROY, item.id, reason)
            if asked is not None:
                return asked
            gone = replace(item, state="destroyed", content_mac=None)
            # Which objects it leaves stood under its own key alone. Named here, they are never taken for orphans.
            left = [("record", stored.to_log()) for stored in objects_of(transaction.session, item.id).values()]
            values: Values = (("purpose", "key destroyed"), ("reason", reason), ("record", gone.to_log()), *left)
            part = ItemPart(item_id=item.id, recipient=item.recipient)
            entry = transaction.record(Draft(event=EventKind.DEACCESSION, actor=actor, values=values, items=(part,)))
            expire = (transaction.now + self._backup_days).date()
        # The entry is durable first: a crash here leaves a key that the record calls destroyed, which the audit names
        # and the same command removes.
        self._key_files.destroy(item.id)
        return Destroyed(item=gone, entry=entry.seq, backups_expire_by=expire)

    def _second_person(
        self, transaction: Transaction, actor: Actor, action: Action, subject_id: UUID, reason: str
    ) -> Asked | None:
        """Enter a request, or the agreement of another person; None where the act may go on.

        Raises: AccessError `access/second-person-needed` where the same person asks twice.
        """
        if require(actor, action) is not Condition.SECOND_PERSON:
            return None
        waiting = waiting_approval(transaction.session, action, subject_id)
        if waiting is not None and waiting.requested_by == actor.staff_id:
            raise AccessError(
                "access/second-person-needed",
                "You asked for this yourself, and it waits. Nothing was changed. Another attorney or coordinator must "
                "run the same command under an account of their own (`testigo staff add`); `testigo approvals` lists "
                "what waits.",
            )
        if waiting is None:
            approval = Approval(
                id=self._new_id(),
                organisation_id=organisation(transaction.session).id,
                act=action,
                subject_id=subject_id,
                status="requested",
                requested_by=actor.staff_id,
                approved_by=None,
                requested_time=transaction.now,
                decided_time=None,
            )
        else:
            approval = replace(waiting, status="approved", approved_by=actor.staff_id, decided_time=transaction.now)
        record: Json = approval.to_log({"reason": reason})
        values: Values = (("purpose", f"{action}: {approval.status}"), ("reason", reason), ("record", record))
        transaction.record(Draft(event=EventKind.POLICY_ASSIGNMENT, actor=actor, values=values))
        return Asked(approval=approval) if waiting is None else None

    def _record_hold(self, transaction: Transaction, actor: Actor, target: Incident | Item, values: Values) -> None:
        if isinstance(target, Item):
            draft = Draft(
                event=EventKind.POLICY_ASSIGNMENT,
                actor=actor,
                values=values,
                items=(ItemPart(item_id=target.id, recipient=target.recipient),),
            )
        else:
            subject = Owner(kind=OwnerKind.INCIDENT, id=target.id)
            draft = Draft(event=EventKind.POLICY_ASSIGNMENT, actor=actor, values=values, subjects=(subject,))
        transaction.record(draft)
