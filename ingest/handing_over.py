"""Handing over: what a sender allows and writes, the receipt they take home, and the code by which they come back.

A receipt can be given while the archive is locked: what it opens was sealed to its sender when their file was entered.
"""

import io
import os
from dataclasses import replace

from sqlalchemy import insert
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity, parse_recipient
from archive.age.stream import seal_bytes
from archive.catalogue.database import Database
from archive.catalogue.drop_models import SlipRow
from archive.catalogue.drops import deliveries_of, newest_consent, visit_by_id
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Visit
from archive.errors import ConflictError, InputError, NotFoundError
from archive.types import NewId
from custody.canonical import canonical_bytes
from custody.ledger import Ledger
from custody.publication import Publisher
from custody.receipt import StatedUse
from custody.receipt_office import issue_receipt
from ingest.choices import Choice, record_more, record_use, statement_text
from ingest.consents import USES, Rung, rung_of
from ingest.finishing import METHOD, UploadBearer
from ingest.intake import Intake
from ingest.reception import Arrival, Reception
from ingest.return_codes import ReturnCodes
from ingest.tokens import visit_identity
from ingest.told import Told
from ingest.visits import HANDED_OVER, REFUSED, Slip, Visits, open_slips, reseal_slips, sender


class HandingOver:
    """Closes a handing over, and gives its receipt."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        publisher: Publisher,
        intake: Intake,
        visits: Visits,
        codes: ReturnCodes,
        new_id: NewId,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._publisher = publisher
        self._intake = intake
        self._visits = visits
        self._new_id = new_id
        self._codes = codes

    def hand_over(self, token: bytes, untrusted_code: str, choice: Choice) -> tuple[Visit, str]:
        """Close the handing over: keep what was chosen and written, and return the visit with its return code.

        `untrusted_code` is of the drop link, for whoever writes something and sends no file. The return code is told
        this once.
        Raises: InputError `visits/nothing-sent`; ConflictError `visits/unfinished`, `visits/handed-over`;
        NotFoundError `drop/no-such-code` where words come through a link that takes nothing more.
        """
        if choice.saw or choice.told:
            visit, _ = self._visits.begin(token, untrusted_code)
        else:
            visit = self._begun(token)
        self._refuse_unready(visit, choice)
        if choice.saw or choice.told:
            self._take_statement(visit, choice)
        identity = visit_identity(token)
        code, key = self._codes.new()
        with self._ledger.transaction() as transaction:
            session = transaction.session
            visit = visit_by_id(session, visit.id) or visit
            if visit.status != "open":
                raise _handed_over()
            recipients = f"{visit.sender_recipients} {key.identity.recipient}"
            number = next_numbers(session, NumberKind.RECEIPT, transaction.now.year)[0]
            visit = replace(
                visit, number=number, status=HANDED_OVER, code_digest=key.digest, sender_recipients=recipients
            )
            reseal_slips(session, visit, deliveries_of(session, visit.id), identity)
            _keep_token(session, visit, token, key.identity)
            purpose = "receipt given, use chosen"
            record_use(transaction, visit, USES[choice.rung], choice.language, purpose, self._new_id, choice)
        self._publisher.publish()
        return visit, code

    def add(self, token: bytes, choice: Choice) -> Visit:
        """Take what is told to a visit that was handed over before. Raises: NotFoundError `visits/no-such-visit`."""
        visit = self._visits.find(token)
        if choice.saw or choice.told:
            self._take_statement(visit, choice)
        if choice.contact.strip() or choice.answers:
            with self._ledger.transaction() as transaction:
                record_more(transaction, visit, choice)
            self._publisher.publish()
        return visit

    def slips(self, visit: Visit, identity: KeyIdentity) -> list[Slip]:
        """Return what was delivered, as the sender's own key opens it."""
        with self._database.reading() as session:
            return open_slips(session, deliveries_of(session, visit.id), identity)

    def use_of(self, visit: Visit) -> Rung | None:
        with self._database.reading() as session:
            consent = newest_consent(session, visit.id)
        return rung_of(consent.level, consent.audiences) if consent is not None else None

    def receipt(self, visit: Visit, identity: KeyIdentity) -> bytes:
        """Write the receipt over all that this visit delivered so far.

        Raises: ConflictError `visits/nothing-sent`; UnavailableError `custody/not-published`.
        """
        with self._database.reading() as session:
            slips = open_slips(session, deliveries_of(session, visit.id), identity)
            consent = newest_consent(session, visit.id)
        if not slips or visit.number is None:
            raise _nothing_sent()
        use = None
        if consent is not None:
            use = StatedUse(level=consent.level, audiences=tuple(filter(None, consent.audiences.split(","))))
        items = [(slip.number, slip.entry, slip.sha256, slip.size) for slip in slips]
        return issue_receipt(self._publisher, visit.number, visit.created_time, items, use)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begun(self, token: bytes) -> Visit:
        """A visit that nothing came through yet is one that nothing was sent in, not one that was lost."""
        try:
            return self._visits.find(token)
        except NotFoundError as error:
            raise _nothing_sent() from error

    def _refuse_unready(self, visit: Visit, choice: Choice) -> None:
        if visit.status != "open":
            raise _handed_over()
        states = [file.state for file in self._visits.files(visit.id)]
        if "checking" in states:
            raise ConflictError("visits/unfinished", "Some files are still being checked. Ask again in a moment.")
        if not {"safe", "differs", "incomplete"} & set(states) and not (choice.saw or choice.told):
            raise _not_taken() if REFUSED in states else _nothing_sent()

    def _take_statement(self, visit: Visit, choice: Choice) -> None:
        """Take what was written in as an item, through the seven steps like any file."""
        text = statement_text(choice)
        told = Told(name="statement.txt", type="text/plain", way="written on the page")
        bearer = UploadBearer(visit=visit, upload=os.urandom(32), told=told, declared=len(text), why="")
        ours, incident = self._visits.place_of(visit)
        arrival = Arrival(
            open=lambda: io.BytesIO(text),
            untrusted_name=told.name,
            untrusted_path=told.name,
            claims={**told.claims(), "language": choice.language},
            bearer=bearer,
        )
        reception = Reception(actor=sender(visit.id), organisation=ours, incident=incident, method=METHOD)
        self._intake.receive(reception, [arrival])


def _keep_token(session: Session, visit: Visit, token: bytes, identity: KeyIdentity) -> None:
    """Seal the visit's token to its return code, so that whoever comes back can add more."""
    plain = canonical_bytes({"v": 1, "token": token.hex()})
    sealed = seal_bytes(plain, [parse_recipient(str(identity.recipient))])
    session.execute(insert(SlipRow), [{"delivery_id": visit.id, "visit_id": visit.id, "sealed": sealed}])


def _handed_over() -> ConflictError:
    return ConflictError("visits/handed-over", "The receipt for this was given before. What was sent is kept.")


def _not_taken() -> InputError:
    return InputError(
        "ingest/cannot-strip",
        "This file was not taken in: this archive keeps no metadata of files of its kind, and it could not be cleaned. "
        "What was sent is untouched.",
    )


def _nothing_sent() -> InputError:
    return InputError("visits/nothing-sent", "Nothing has arrived yet. Choose files or write what you saw first.")
