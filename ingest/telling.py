"""What senders told, for the office: hand-overs, their answers to what the form and the office asked.

A list needs no key. What was told opens under the visit's own key, against an entry. A way to reach the sender is not
among it: that is sealed to counsel (`custody.reading.ReadingRoom.open_names`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from archive.access import Action, require
from archive.age.recipients import KeyIdentity
from archive.catalogue.accounts import organisation
from archive.catalogue.database import Database
from archive.catalogue.drops import (
    deliveries_of,
    list_visits,
    newest_consent,
    questions_of,
    sender_owner,
    visit_by_number,
)
from archive.catalogue.incidents import incident_by_number
from archive.catalogue.items import items_by_id
from archive.catalogue.records import Question, Visit
from archive.catalogue.senders import packets_holding
from archive.errors import AccessError, TestigoError
from archive.types import Actor, Owner, OwnerKind
from archive.vault import Vault
from custody.ledger import Ledger
from custody.register import OpenedEntry, Register
from ingest.choices import visit_owner
from ingest.consents import Rung, rung_of
from ingest.visits import DIFFERS, REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """One visit as it stands open in the catalogue.

    `use` is None where none was chosen yet, and where it was withdrawn. `incomplete`, `differing` and `refused` count
    files. `packets` hold something of it already: their receivers are to be told where its sender said stop.
    """

    visit: Visit
    incident: str
    link: str
    items: tuple[str, ...]
    incomplete: int
    differing: int
    refused: int
    use: Rung | None
    asked: int
    answered: int
    packets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A question of the office, and what the sender answered, each time that they did."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one sender told. `answers` are by the names of the questions, one mapping each time they told something."""

    hand_over: HandOver
    answers: tuple[Mapping[str, str], ...]
    replies: tuple[Reply, ...]


class TellingRoom:
    """Lists hand-overs and opens what was told with them."""

    def __init__(self, *, database: Database, vault: Vault, ledger: Ledger, register: Register) -> None:
        self._database = database
        self._vault = vault
        self._ledger = ledger
        self._register = register

    def list(self, actor: Actor, incident: str | None = None) -> list[HandOver]:
        """Return the hand-overs, the oldest first. Raises: NotFoundError `archive/no-such-incident`."""
        require(actor, Action.LIST_RECORDS)
        with self._database.reading() as session:
            only = incident_by_number(session, incident)[0].id if incident is not None else None
            return [
                _hand_over(session, visit, number, link)
                for visit, number, link in list_visits(session)
                if only is None or visit.incident_id == only
            ]

    def open(self, actor: Actor, receipt: str, purpose: str) -> Told:
        """Open what the sender of a receipt told, against an entry.

        Raises: NotFoundError `visits/no-such-receipt`; AccessError; LockedError. Each refusal is an entry.
        """
        try:
            require(actor, Action.READ_TOLD)
        except AccessError as error:
            self._ledger.record_refusal(actor, Action.READ_TOLD, error)
            raise
        with self._database.reading() as session:
            visit = visit_by_number(session, receipt)
            (found,) = (_hand_over(session, *each) for each in list_visits(session, visit.id))
            questions = [question for question, _ in questions_of(session, visit.id)]
            staff = Owner(kind=OwnerKind.STAFF, id=organisation(session).id)
        keys = self._keys(actor, [visit_owner(visit), staff], sender_owner(visit.id), purpose)
        entries = self._register.open(self._register.seqs_of(visit.id), keys)
        asked = self._register.open(self._register.seqs_of(sender_owner(visit.id).id), keys) if questions else []
        answers = tuple(value for entry in entries for value in entry.all("answers"))
        return Told(hand_over=found, answers=answers, replies=_replies(questions, asked, entries))

    def _keys(self, actor: Actor, owners: Sequence[Owner], sender: Owner, purpose: str) -> dict[UUID, KeyIdentity]:
        try:
            self._vault.refuse_closed([owner.id for owner in owners])
            access = self._ledger.record_access(actor, [*owners, sender], purpose, recipients={})
            return self._vault.unwrap(access, [owner.id for owner in owners])
        except TestigoError as error:
            self._ledger.record_refusal(actor, Action.READ_TOLD, error)
            raise


def _hand_over(session: Session, visit: Visit, incident: str, link: str) -> HandOver:
    deliveries = deliveries_of(session, visit.id)
    items = items_by_id(session, [each.item_id for each in deliveries if each.item_id is not None])
    consent = newest_consent(session, visit.id)
    questions = [question for question, _ in questions_of(session, visit.id)]
    return HandOver(
        visit=visit,
        incident=incident,
        link=link,
        items=tuple(sorted(item.number for item in items.values())),
        incomplete=sum(each.size is not None and each.size < each.declared for each in deliveries),
        differing=sum(each.comparison == DIFFERS for each in deliveries),
        refused=sum(each.outcome == REFUSED for each in deliveries),
        use=rung_of(consent.level, consent.audiences) if consent is not None else None,
        asked=len(questions),
        answered=sum(question.status == "answered" for question in questions),
        packets=tuple(packets_holding(session, list(items))),
    )


def _replies(
    questions: Sequence[Question], asked: Sequence[OpenedEntry], entries: Sequence[OpenedEntry]
) -> tuple[Reply, ...]:
    words = {UUID(record["id"]): record["sealed"].get("text") for entry in asked for record in entry.all("record")}
    answers = [(UUID(each["question"]), str(each["text"])) for entry in entries for each in entry.all("answer")]
    return tuple(
        Reply(
            question=str(words.get(question.id) or ""),
            answers=tuple(text for question_id, text in answers if question_id == question.id),
        )
        for question in questions
    )
