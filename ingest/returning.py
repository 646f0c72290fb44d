"""Coming back with a return code: how far it is, add more, answer, change the use, say stop.

The code alone is enough; the archive finds the visit by a slow hash of it. What the office asked was sealed to the
sender. Saying stop is a new version of the consent and destroys nothing; a hold wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access import Action, require
from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.drops import (
    close_uploads_of_visit,
    deliveries_of,
    newest_consent,
    questions_of,
    sender_owner,
    slips_of,
    visit_by_code,
    visit_by_id,
    visit_by_number,
)
from archive.catalogue.models import EntryRow, EntrySubjectRow
from archive.catalogue.records import Delivery, Question, Visit
from archive.catalogue.senders import packets_of_visit
from archive.errors import InputError, NotFoundError
from archive.types import Actor, NewId, Outcome
from archive.vault import open_value
from custody.canonical import Json, parse_canonical
from custody.drafts import Draft, OwnedPart
from custody.entries import Entry, EventKind
from custody.ledger import Ledger
from custody.publication import Publisher
from custody.register import Register
from ingest.choices import record_use, visit_owner
from ingest.consents import USES, WITHDRAWN, Rung, rung_of
from ingest.entering import safe_text
from ingest.return_codes import ReturnCodes
from ingest.tokens import tidy_return_code
from ingest.visits import STOPPED, sender, stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A visit, and the key that its sender holds."""

    visit: Visit
    identity: KeyIdentity = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedQuestion:
    id: UUID
    text: str
    answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a visit is, in coarse words: received, checked, in review, used, stopped.

    `files` counts its items, and `received_time` is the newest one's. Where the catalogue was made anew there is
    nothing left to add more by (`can_add`).
    """

    state: str
    rung: Rung | None
    files: int
    received_time: datetime
    can_add: bool
    questions: tuple[AskedQuestion, ...]


class Returning:
    """Lets senders come back, and the office ask them."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        publisher: Publisher,
        register: Register,
        codes: ReturnCodes,
        new_id: NewId,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._publisher = publisher
        self._register = register
        self._codes = codes
        self._new_id = new_id

    def enter(self, untrusted_code: str) -> Returned:
        """Return the visit that a return code opens. Raises: NotFoundError `visits/no-such-code`."""
        code = tidy_return_code(untrusted_code)
        found = None
        if code is not None:
            key = self._codes.key(code)
            with self._database.reading() as session:
                found = visit_by_code(session, key.digest)
            if found is not None:
                self._codes.seen(found.id)
                return Returned(visit=found, identity=key.identity)
        raise NotFoundError(
            "visits/no-such-code", "This return code is not known. Nothing was changed. Check each digit."
        )

    def again(self, visit_id: UUID, identity: KeyIdentity) -> Returned:
        """Return a visit that was entered before, as it is now. Raises: NotFoundError `visits/no-such-visit`."""
        with self._database.reading() as session:
            visit = visit_by_id(session, visit_id)
        if visit is None:
            raise NotFoundError("visits/no-such-visit", "There is no such visit here. What was sent is kept.")
        return Returned(visit=visit, identity=identity)

    def token_of(self, returned: Returned) -> bytes:
        """Return the visit's token, so that more can be added. Raises: NotFoundError `visits/no-such-visit`."""
        with self._database.reading() as session:
            sealed = slips_of(session, [returned.visit.id]).get(returned.visit.id)
        if sealed is None:
            raise NotFoundError("visits/no-such-visit", "More cannot be added to this visit. Ask for a new link.")
        value: Any = parse_canonical(open_value(returned.identity, sealed))
        return bytes.fromhex(value["token"])

    def status(self, returned: Returned) -> Status:
        """Say how far a visit is, from what stands open in the log."""
        visit = returned.visit
        with self._database.reading() as session:
            deliveries = deliveries_of(session, visit.id)
            can_add = bool(slips_of(session, [visit.id]))
            consent = newest_consent(session, visit.id)
            looked_at, used = _acts_on(session, visit.id)
            asked = questions_of(session, visit.id)
        state = "received" if not deliveries else "checked"
        if looked_at or asked:
            state = "in review"
        if used:
            state = "used"
        if visit.status == STOPPED:
            state = "stopped"
        rung = rung_of(consent.level, consent.audiences) if consent is not None else None
        questions = self._questions(visit, returned.identity, asked)
        times = [each.delivered_time for each in deliveries if each.item_id is not None]
        return Status(
            state=state,
            rung=rung,
            files=len({each.item_id for each in deliveries if each.item_id is not None}),
            received_time=max(times, default=visit.created_time),
            can_add=can_add,
            questions=questions,
        )

    def change_use(self, returned: Returned, rung: Rung, language: str) -> None:
        """Record another choice of use, as a new version. Raises: ConflictError `visits/stopped`."""
        with self._ledger.transaction() as transaction:
            visit = _fresh(transaction.session, returned.visit)
            if visit.status == STOPPED:
                raise stopped()
            record_use(transaction, visit, USES[rung], language, "use changed by its sender", self._new_id)
        self._publisher.publish()

    def stop(self, returned: Returned, language: str) -> None:
        """Withdraw: nothing new is made of what was sent. Nothing is destroyed; a hold wins over deletion."""
        with self._ledger.transaction() as transaction:
            visit = _fresh(transaction.session, returned.visit)
            if visit.status != STOPPED:
                visit = replace(visit, status=STOPPED)
                # What is under way ends here, too: what came of it waits for a person of the office, marked incomplete.
                close_uploads_of_visit(transaction.session, visit.id)
                # Whoever got it already is to be told: the office finds here, and in its lists, in which packets it is.
                held: list[Json] = list(packets_of_visit(transaction.session, visit.id))
                more = (("already_in", held),) if held else ()
                record_use(transaction, visit, WITHDRAWN, language, "withdrawn by its sender", self._new_id, more=more)
        self._publisher.publish()

    def ask(self, actor: Actor, receipt_number: str, text: str) -> Question:
        """Ask a sender something; they read it when they come back. Raises: NotFoundError `visits/no-such-receipt`."""
        require(actor, Action.ASK_SENDER)
        with self._ledger.transaction() as transaction:
            visit = visit_by_number(transaction.session, receipt_number)
            question = Question(
                id=self._new_id(), visit_id=visit.id, status="asked", asked_time=transaction.now, answered_time=None
            )
            words: dict[str, Json] = {"question": str(question.id), "text": text}
            recipients = tuple(visit.sender_recipients.split())
            transaction.record(
                Draft(
                    event=EventKind.METADATA_MODIFICATION,
                    actor=actor,
                    values=(("purpose", "question to a sender"), ("record", question.to_log({"text": text}))),
                    owned=(
                        OwnedPart(owner=sender_owner(visit.id), recipients=recipients, values=(("question", words),)),
                    ),
                )
            )
        self._publisher.publish()
        return question

    def answer(self, returned: Returned, question_id: UUID, text: str) -> None:
        """Keep a sender's answer.

        Raises: NotFoundError `visits/no-such-question`; ConflictError `visits/stopped`; InputError `visits/no-answer`.
        """
        if not text.strip():
            raise InputError("visits/no-answer", "The answer is empty. Nothing was changed. Write something first.")
        with self._ledger.transaction() as transaction:
            visit = _fresh(transaction.session, returned.visit)
            if visit.status == STOPPED:
                raise stopped()
            asked = {question.id: question for question, _ in questions_of(transaction.session, visit.id)}
            if question_id not in asked:
                raise NotFoundError("visits/no-such-question", "There is no such question. Nothing was changed.")
            done = replace(asked[question_id], status="answered", answered_time=transaction.now)
            words: dict[str, Json] = {"question": str(question_id), "text": safe_text(text)}
            part = OwnedPart(owner=visit_owner(visit), recipients=(visit.recipient,), values=(("answer", words),))
            transaction.record(
                Draft(
                    event=EventKind.METADATA_MODIFICATION,
                    actor=sender(visit.id),
                    values=(("purpose", "answer of a sender"), ("record", done.to_log())),
                    owned=(part,),
                )
            )
        self._publisher.publish()

    def _questions(
        self, visit: Visit, identity: KeyIdentity, asked: Sequence[tuple[Question, int]]
    ) -> tuple[AskedQuestion, ...]:
        if not asked:
            return ()
        owner = sender_owner(visit.id)
        seqs = self._register.seqs_of(owner.id)
        texts = {
            UUID(words["question"]): str(words["text"])
            for entry in self._register.open(seqs, {owner.id: identity})
            for words in entry.all("question")
        }
        return tuple(
            AskedQuestion(id=question.id, text=texts.get(question.id, ""), answered=question.status == "answered")
            for question, _ in asked
        )


def _acts_on(session: Session, visit_id: UUID) -> tuple[bool, bool]:
    """Tell whether a person looked at what a visit brought, and whether any of it was released since it came.

    Only where a person looks does the entry name the sender (`senders_of`); a release is never a machine's.
    """
    looks = select(EntryRow.leaf).join(EntrySubjectRow, EntrySubjectRow.seq == EntryRow.seq)
    looks = looks.where(EntrySubjectRow.owner_id == sender_owner(visit_id).id)
    ours = Delivery.table.c
    later = (EntrySubjectRow.owner_id == ours.item_id) & (EntrySubjectRow.seq > ours.record_seq)
    acts = select(EntryRow.leaf).join(EntrySubjectRow, EntrySubjectRow.seq == EntryRow.seq)
    acts = acts.join(Delivery.table, later).where(ours.visit_id == visit_id)
    looked_at = any(_is(leaf, EventKind.ACCESS) for leaf in session.execute(looks).scalars())
    return looked_at, any(_is(leaf, EventKind.DISSEMINATION) for leaf in session.execute(acts).scalars())


def _is(leaf: bytes, event: EventKind) -> bool:
    entry = Entry.parse(leaf)
    return entry.event is event and entry.outcome is Outcome.SUCCESS


def _fresh(session: Session, visit: Visit) -> Visit:
    return visit_by_id(session, visit.id) or visit
