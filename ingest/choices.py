"""What a sender chose and wrote, and its entry: the consent in the log of each item that it is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from archive.catalogue.accounts import organisation
from archive.catalogue.drops import deliveries_of, link_by_id, newest_consent
from archive.catalogue.items import items_by_id
from archive.catalogue.records import Consent, Visit
from archive.types import NewId, Owner, OwnerKind
from custody.canonical import Json, canonical_bytes
from custody.drafts import Draft, ItemPart, OwnedPart, Values
from custody.entries import EventKind
from custody.ledger import Transaction
from ingest.consents import Rung, Use
from ingest.entering import safe_text
from ingest.visits import sender

ANSWERS = ("when", "where", "filmed_by_you", "language")

_AT_ONCE = 500
"""Of an item an entry commits to two values, its place in the item's run and the use; more would not fit in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a sender chose and wrote. `saw` and `told` are kept apart: what a person saw is not what they heard.

    `rung` is None where they were not asked. `form` tells one page from another, so that a form that is sent again
    because its answer was lost is known as the same.
    """

    rung: Rung | None
    language: str
    saw: str = ""
    told: str = ""
    contact: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    form: str = ""

    def canonical(self) -> bytes:
        """Write all of it, to know it again."""
        texts = (self.form, str(self.rung or ""), self.language, self.saw, self.told, self.contact)
        told: list[Json] = [safe_text(text) for text in texts]
        answers: dict[str, Json] = {name: safe_text(text) for name, text in self.answers.items()}
        return canonical_bytes({"told": told, "answers": answers})


def record_use(
    transaction: Transaction,
    visit: Visit,
    use: Use,
    language: str,
    purpose: str,
    new_id: NewId,
    choice: Choice | None = None,
    *,
    more: Values = (),
) -> None:
    """Enter a version of the consent, in the log of each item that it is about: the record first, and the first items
    with it; many items take several entries, of the same transaction.
    """
    session = transaction.session
    before = newest_consent(session, visit.id)
    consent = Consent(
        id=new_id(),
        visit_id=visit.id,
        version=before.version + 1 if before is not None else 1,
        level=use.level,
        audiences=",".join(use.audiences),
        wording=before.wording if before is not None else link_by_id(session, visit.drop_link_id).wording,
        language=language[:8],
        given_time=transaction.now,
    )
    values: Values = (("purpose", purpose), ("record", visit.to_log()), ("record", consent.to_log()), *more)
    items = _use_of_items(session, visit, consent)
    transaction.record(
        Draft(
            event=EventKind.POLICY_ASSIGNMENT,
            actor=sender(visit.id),
            values=values,
            items=items[:_AT_ONCE],
            owned=_written(transaction, visit, choice) if choice is not None else (),
        )
    )
    for start in range(_AT_ONCE, len(items), _AT_ONCE):
        some, told = items[start : start + _AT_ONCE], (("purpose", f"{purpose}, to more of its items"),)
        transaction.record(Draft(event=EventKind.POLICY_ASSIGNMENT, actor=sender(visit.id), values=told, items=some))


def record_more(transaction: Transaction, visit: Visit, choice: Choice) -> None:
    """Enter what a sender tells later: answers, or a way to reach them."""
    owned = _written(transaction, visit, choice)
    if owned:
        values = (("purpose", "answers added by their sender"), ("record", visit.to_log()))
        event = EventKind.METADATA_MODIFICATION
        transaction.record(Draft(event=event, actor=sender(visit.id), values=values, owned=owned))


def statement_text(choice: Choice) -> bytes:
    """Write a statement as a plain text file, what was seen apart from what was heard."""
    parts = [f"Language of this statement: {choice.language}"]
    for heading, text in (("What I saw", choice.saw), ("What others told me", choice.told)):
        if text:
            parts.append(f"[{heading}]\n{text}")
    return safe_text("\n\n".join(parts) + "\n").encode("utf-8")


def _use_of_items(session: Session, visit: Visit, consent: Consent) -> tuple[ItemPart, ...]:
    ids = {delivery.item_id for delivery in deliveries_of(session, visit.id) if delivery.item_id is not None}
    items = items_by_id(session, sorted(ids))
    audiences: list[Json] = list(filter(None, consent.audiences.split(",")))
    parts = []
    for item in items.values():
        use: Json = {
            "item": str(item.id),
            "level": consent.level,
            "audiences": audiences,
            "consent": str(consent.id),
            "version": consent.version,
        }
        parts.append(ItemPart(item_id=item.id, recipient=item.recipient, values=(("use", use),)))
    return tuple(parts)


def _written(transaction: Transaction, visit: Visit, choice: Choice) -> tuple[OwnedPart, ...]:
    """Close the answers under the visit's key, and the contact under the identity keyring, which only counsel opens."""
    parts = []
    answers: dict[str, Json] = {
        name: safe_text(text) for name, text in choice.answers.items() if name in ANSWERS and text
    }
    if answers:
        values = (("answers", answers),)
        parts.append(OwnedPart(owner=visit_owner(visit), recipients=(visit.recipient,), values=values))
    if choice.contact.strip():
        keyring = transaction.keyrings.standing().identity
        contact: Json = {"visit": str(visit.id), "contact": safe_text(choice.contact)}
        parts.append(
            OwnedPart(
                owner=Owner(kind=OwnerKind.IDENTITY, id=organisation(transaction.session).id),
                recipients=tuple(map(str, keyring.recipients)),
                values=(("contact", contact),),
            )
        )
    return tuple(parts)


def visit_owner(visit: Visit) -> Owner:
    return Owner(kind=OwnerKind.VISIT, id=visit.id)
