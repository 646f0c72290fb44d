"""Acts on records that need care: holds, the destruction of an item's key, and the second person they ask for.

Precedence (legal-standards D8): a hold outranks every deletion. A dangerous act is asked for by one person and done
when another agrees; both are entries. Whether somebody else asked, and which holds stand, is decided from the log
(`standing`): a row that was changed lifts nothing and destroys nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from archive.access import Action, require
from archive.age.recipients import KeyIdentity
from archive.catalogue.accounts import organisation
from archive.catalogue.database import Database
from archive.catalogue.holds import hold_by_number, holds_on, waiting_approval
from archive.catalogue.items import item_by_number
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Approval, Hold, Incident, Item
from archive.errors import AccessError, ConflictError, TestigoError
from archive.types import Actor, NewId, Owner, OwnerKind
from archive.vault import Vault
from custody.canonical import Json
from custody.destroyed import DESTROYED, destroying_entry
from custody.drafts import Draft, ItemPart, Values
from custody.entries import EventKind
from custody.ledger import Ledger, Transaction
from custody.standing import Standing, read_standing


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

    def __init__(
        self, *, ledger: Ledger, vault: Vault, database: Database, backup_days_max: int, new_id: NewId
    ) -> None:
        self._ledger = ledger
        self._vault = vault
        self._database = database
        self._backup_days = timedelta(days=backup_days_max)
        self._new_id = new_id

    def place_hold(self, actor: Actor, target: Incident | Item, *, title: str, trigger: str) -> Hold:
        """Put an incident (with whatever it will still receive) or one item on legal hold.

        Raises: ConflictError `archive/destroyed-before`.
        """
        require(actor, Action.PLACE_HOLD)
        with self._ledger.transaction() as transaction:
            if isinstance(target, Item):
                _refuse_destroyed(transaction.session, target)
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
        """Lift a hold once a second person agrees. Raises: ConflictError `archive/hold-lifted`; as `destroy`."""
        require(actor, Action.LIFT_HOLD)
        with self._database.reading() as session:
            hold, _ = hold_by_number(session, number)
        keys = self._keys_to_decide(actor, Action.LIFT_HOLD, hold)
        with self._ledger.transaction() as transaction:
            hold, _ = hold_by_number(transaction.session, number)
            if hold.status != "active":
                raise ConflictError("archive/hold-lifted", "That hold was lifted before. Nothing was changed.")
            if keys is None:
                return self._ask(transaction, actor, Action.LIFT_HOLD, hold.id, reason)
            with read_standing(self._database, keys, None) as standing:
                standing.agreeing(hold)
                self._agree(transaction, actor, Action.LIFT_HOLD, hold.id, reason, standing)
            lifted = replace(hold, status="lifted", lifted_time=transaction.now)
            owner = Owner(kind=OwnerKind.STAFF, id=hold.organisation_id)
            values: Values = (("purpose", "hold lifted"), ("reason", reason), ("record", lifted.to_log()))
            transaction.record(Draft(event=EventKind.POLICY_ASSIGNMENT, actor=actor, values=values, subjects=(owner,)))
        return lifted

    def destroy(self, actor: Actor, number: str, *, reason: str) -> Destroyed | Asked:
        """Destroy an item's key, so that nothing sealed to it opens again, once a second person agrees.

        Asking works while locked; agreeing does not, because who asked and which holds stand is read from the log.
        Raises: AccessError `archive/on-hold`; LockedError `archive/locked`; IntegrityError where rows and log differ.
        """
        require(actor, Action.DESTROY)
        with self._database.reading() as session:
            item, _ = item_by_number(session, number)
        keys = self._keys_to_decide(actor, Action.DESTROY, item)
        with self._ledger.transaction() as transaction:
            item, _ = item_by_number(transaction.session, number)
            _refuse_held(holds_on(transaction.session, item))
            if keys is None:
                return self._ask(transaction, actor, Action.DESTROY, item.id, reason)
            with read_standing(self._database, keys, item) as standing:
                standing.agreeing(item)
                _refuse_held(standing.holds_on(item))
                if item.state != "destroyed":
                    self._agree(transaction, actor, Action.DESTROY, item.id, reason, standing)
                # Which objects it leaves stood under its own key alone. Named here, they are never taken for orphans.
                left = [("record", stored.to_log()) for stored in standing.objects_of(item.id)]
            gone = replace(item, state="destroyed", content_mac=None)
            values: Values = (("purpose", "key destroyed"), ("reason", reason), ("record", gone.to_log()), *left)
            part = ItemPart(item_id=item.id, recipient=item.recipient)
            entry = transaction.record(Draft(event=EventKind.DEACCESSION, actor=actor, values=values, items=(part,)))
            expire = (transaction.now + self._backup_days).date()
        # The entry is durable first: a crash here leaves a key that the record calls destroyed, which the audit names
        # and the same command removes.
        self._vault.key_files.destroy(item.id)
        return Destroyed(item=gone, entry=entry.seq, backups_expire_by=expire)

    def agree_to(self, actor: Actor, action: Action, subject_id: UUID, *, reason: str) -> Approval | Asked:
        """Enter that an act is asked for, or, where another person asked for the same, that it is agreed to.

        Asking works while locked. Whoever calls this does the act itself once it gets an approval, which is good once.
        Raises: AccessError `access/second-person-needed`; LockedError; IntegrityError.
        """
        require(actor, action)
        with self._database.reading() as session:
            staff = Owner(kind=OwnerKind.STAFF, id=organisation(session).id)
            waiting = waiting_approval(session, action, subject_id)
        if waiting is not None and waiting.requested_by == actor.staff_id:
            raise _second_person_needed()
        if waiting is None:
            with self._ledger.transaction() as transaction:
                return self._ask(transaction, actor, action, subject_id, reason)
        access = self._ledger.record_access(actor, [staff], f"{action}: what the log says of it", recipients={})
        keys = self._vault.unwrap(access, [staff.id])
        with self._ledger.transaction() as transaction, read_standing(self._database, keys, None) as standing:
            return self._agree(transaction, actor, action, subject_id, reason, standing)

    def _keys_to_decide(self, actor: Actor, action: Action, subject: Hold | Item) -> dict[UUID, KeyIdentity] | None:
        """Give the keys that open what the log says of it, against an entry; None where this person is only to ask.

        Raises: LockedError `archive/locked`; AccessError `access/second-person-needed`.
        """
        with self._database.reading() as session:
            ours = organisation(session)
            waiting = waiting_approval(session, action, subject.id)
        is_finishing = isinstance(subject, Item) and subject.state == "destroyed"
        if waiting is None and not is_finishing:
            return None
        if waiting is not None and waiting.requested_by == actor.staff_id:
            raise _second_person_needed()
        owners = [Owner(kind=OwnerKind.STAFF, id=ours.id)]
        recipients: dict[UUID, str | None] = {}
        if isinstance(subject, Item) and self._vault.key_files.has(subject.id):
            owners.append(Owner(kind=OwnerKind.ITEM, id=subject.id))
            recipients[subject.id] = subject.recipient
        try:
            return self._opened(actor, action, owners, recipients)
        except TestigoError:
            # What was destroyed may be back damaged, or sealed to an office key of then. To remove it once more the
            # staff's part of the log is enough, which says that it was destroyed.
            if not is_finishing or not recipients:
                raise
        return self._opened(actor, action, owners[:1], {})

    def _opened(
        self, actor: Actor, action: Action, owners: list[Owner], recipients: dict[UUID, str | None]
    ) -> dict[UUID, KeyIdentity]:
        purpose = f"{action}: what the log says of it"
        self._vault.refuse_closed([owner.id for owner in owners])
        access = self._ledger.record_access(actor, owners, purpose, recipients=recipients)
        return self._vault.unwrap(access, [owner.id for owner in owners])

    def _ask(self, transaction: Transaction, actor: Actor, action: Action, subject_id: UUID, reason: str) -> Asked:
        if waiting_approval(transaction.session, action, subject_id) is not None:
            raise ConflictError("archive/stale", "Somebody else asked for this just now. Do the same again to agree.")
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
        _record_approval(transaction, actor, action, approval, reason)
        return Asked(approval=approval)

    def _agree(
        self,
        transaction: Transaction,
        actor: Actor,
        action: Action,
        subject_id: UUID,
        reason: str,
        standing: Standing,
    ) -> Approval:
        """Enter the agreement of another person than the one who, as the log says, asked for it.

        Raises: AccessError `access/second-person-needed` where nobody else did.
        """
        requests = standing.requests(action, subject_id)
        of_others = [request for request in requests if request.requested_by != actor.staff_id]
        if not of_others:
            raise _second_person_needed()
        approval = replace(of_others[0], status="approved", approved_by=actor.staff_id, decided_time=transaction.now)
        _record_approval(transaction, actor, action, approval, reason)
        return approval

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


def _record_approval(transaction: Transaction, actor: Actor, action: Action, approval: Approval, reason: str) -> None:
    record: Json = approval.to_log({"reason": reason})
    values: Values = (("purpose", f"{action}: {approval.status}"), ("reason", reason), ("record", record))
    transaction.record(Draft(event=EventKind.POLICY_ASSIGNMENT, actor=actor, values=values))


def _refuse_destroyed(session: Session, target: Item) -> None:
    item, _ = item_by_number(session, target.number)
    if item.state == DESTROYED:
        entry = destroying_entry(session, item.id)
        by = f"by entry {entry}" if entry is not None else "as the catalogue alone says (`testigo verify` says more)"
        raise ConflictError(
            "archive/destroyed-before",
            f"This item was destroyed {by}: a hold on it would keep nothing. Nothing was entered. Its incident can be "
            "held; `testigo show` says who asked for the destruction and who agreed.",
        )


def _refuse_held(held: Sequence[Hold]) -> None:
    if held:
        raise AccessError(
            "archive/on-hold",
            "This item is on legal hold until the hold is lifted. Nothing was destroyed.",
            evidence={"holds": [hold.number for hold in held]},
        )


def _second_person_needed() -> AccessError:
    return AccessError(
        "access/second-person-needed",
        "You asked for this yourself, and it waits. Nothing was changed. Another attorney or coordinator must "
        "run the same command under an account of their own (`testigo staff add`); `testigo approvals` lists "
        "what waits.",
    )
