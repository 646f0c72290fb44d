"""Handing over: what a sender allows and writes, the receipt they take home, and the code by which they come back.

A receipt can be given while the archive is locked: what it opens was sealed to its sender when their file was entered.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import NoReturn

from sqlalchemy import insert
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity, parse_recipient
from archive.age.stream import seal_bytes
from archive.catalogue.database import Database
from archive.catalogue.drop_models import SlipRow
from archive.catalogue.drops import (
    DAMAGED,
    deliveries_of,
    delivery_of,
    items_without_consent,
    newest_consent,
    slips_of,
    visit_by_id,
)
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Consent, Visit
from archive.errors import ConflictError, InputError, UnavailableError
from archive.types import NewId, parse_utc
from custody.canonical import canonical_bytes
from custody.checkpoint import verify_checkpoint
from custody.entries import Entry, check_disclosure
from custody.ledger import Ledger
from custody.publication import Publisher
from custody.receipt import StatedUse, parse_receipt
from custody.receipt_office import issue_receipt
from custody.signed_note import KeyType
from ingest.choices import Choice, record_more, record_use, statement_text
from ingest.consents import USES, Rung, Use, rung_of
from ingest.finishing import METHOD, Finishing, UploadBearer
from ingest.intake import Intake
from ingest.reception import Arrival, Reception, Refused
from ingest.return_codes import SHOWN_FOR, ReturnCodes, keep_unseen
from ingest.tokens import statement_upload, told_id, visit_id, visit_identity
from ingest.told import WRITTEN, Told
from ingest.upload_errors import damaged
from ingest.visits import (
    CLOSED,
    HANDED_OVER,
    OPEN,
    REFUSED,
    STOPPED,
    Slip,
    Visits,
    open_slips,
    reseal_slips,
    sender,
    stopped,
)

_TURNS = 64
_KEY_KINDS = {KeyType.ED25519: "Ed25519", KeyType.MLDSA44: "ML-DSA-44"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedProof:
    """What of a receipt's proof is printed, so that paper alone ties it to the log: hex digits, kinds of keys."""

    origin: str
    size: int
    root: str
    keys: tuple[tuple[str, str], ...]


class HandingOver:
    """Closes a handing over, and gives its receipt."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        publisher: Publisher,
        intake: Intake,
        finishing: Finishing,
        visits: Visits,
        codes: ReturnCodes,
        new_id: NewId,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._publisher = publisher
        self._intake = intake
        self._finishing = finishing
        self._visits = visits
        self._new_id = new_id
        self._codes = codes
        # A form that is sent twice at once is handed over once.
        self._turns = tuple(Lock() for _ in range(_TURNS))

    def finish(self, token: bytes, untrusted_code: str, choice: Choice) -> Visit:
        """Close the handing over, or add to what was handed over before: keep what was chosen and written.

        One sending has one choice, the last: it holds for all of it. The same form may come any number of times, for
        its answer may be lost: its words are taken once, and a choice that was made since then stands.
        `untrusted_code` is of the drop link, for whoever writes something and sends no file.
        Raises: InputError `visits/nothing-sent`; ConflictError `visits/unfinished`, `visits/stopped`; NotFoundError
        `drop/no-such-code` where words come through a link that takes nothing more.
        """
        with self._turns[token[0] % len(self._turns)]:
            visit = self._found(token, untrusted_code, choice)
            if visit.status == STOPPED:
                raise stopped()
            if visit.status == OPEN:
                self._refuse_unready(visit, token, choice)
            if choice.saw or choice.told:
                self._take_statement(visit, token, choice)
            visit = self._hand_over(visit, token, choice) if visit.status == OPEN else self._add(visit, token, choice)
        self._publisher.publish()
        return visit

    @property
    def code_minutes(self) -> int:
        """For how long a return code is shown, once it was shown."""
        return SHOWN_FOR // timedelta(minutes=1)

    def unseen_code(self, token: bytes) -> str | None:
        """Return the return code of a visit, until `code_written`, or some minutes after `code_shown`."""
        return self._codes.unseen(token)

    def code_shown(self, token: bytes) -> None:
        """Say that the page with the return code has arrived in its sender's browser."""
        self._codes.shown(token)

    def code_written(self, token: bytes) -> None:
        """Say that the sender has the return code on paper."""
        self._codes.seen(visit_id(token))

    def slips(self, visit: Visit, identity: KeyIdentity) -> list[Slip]:
        """Return what was delivered, as the sender's own key opens it."""
        with self._database.reading() as session:
            return open_slips(session, deliveries_of(session, visit.id), identity)

    def chosen(self, token: bytes) -> Rung | None:
        """Return what the sender of a visit has allowed so far; None where nothing was handed over yet."""
        with self._database.reading() as session:
            consent = newest_consent(session, visit_id(token))
        return rung_of(consent.level, consent.audiences) if consent is not None else None

    def without_slip(self, visit: Visit, slips: Sequence[Slip]) -> int:
        """Count the items of a visit that no receipt can be given for again, because the catalogue was made anew."""
        with self._database.reading() as session:
            items = {each.item_id for each in deliveries_of(session, visit.id) if each.item_id is not None}
        return max(len(items) - len({slip.number for slip in slips}), 0)

    def received_time(self, visit: Visit, slips: Sequence[Slip]) -> datetime:
        """Return when the newest of what a visit brought was recorded; of a lost slip, as the catalogue has it."""
        if slips:
            return max(map(recorded_time, slips))
        with self._database.reading() as session:
            times = [each.delivered_time for each in deliveries_of(session, visit.id) if each.item_id is not None]
        return max(times, default=visit.created_time)

    def printed_proof(self, visit: Visit, identity: KeyIdentity) -> PrintedProof | None:
        """Return what is printed of a receipt's proof; None where there is no receipt to give."""
        try:
            receipt = parse_receipt(self.receipt(visit, identity))
        except (InputError, ConflictError, UnavailableError):
            return None
        checkpoint = verify_checkpoint(receipt.checkpoint, receipt.verifier_keys).checkpoint
        return PrintedProof(
            origin=checkpoint.origin,
            size=checkpoint.size,
            root=checkpoint.root.hex(),
            keys=tuple((_KEY_KINDS[key.type], key.fingerprint) for key in receipt.verifier_keys),
        )

    def receipt(self, visit: Visit, identity: KeyIdentity) -> bytes:
        """Write the receipt over all that this visit delivered so far; its time is that of the newest item's entry.

        Raises: InputError `visits/nothing-sent`; ConflictError `visits/receipt-lost`; UnavailableError
        `custody/not-published`.
        """
        with self._database.reading() as session:
            deliveries = deliveries_of(session, visit.id)
            slips = open_slips(session, deliveries, identity)
            consent = newest_consent(session, visit.id)
        if visit.number is None and self._visits.waits_to_be_finished(visit):
            raise ConflictError("visits/not-finished", "Files are in, but nobody has chosen Finish. Finish first.")
        if visit.number is None or not deliveries:
            _nothing_sent()
        if not slips:
            raise ConflictError(
                "visits/receipt-lost",
                "This archive lost its catalogue and made it anew. What was sent is here, but its receipt cannot be "
                "given again: the one that was saved or printed stays good. The return code works as before.",
            )
        use = None
        if consent is not None:
            use = StatedUse(level=consent.level, audiences=tuple(filter(None, consent.audiences.split(","))))
        items = [(slip.number, slip.entry, slip.sha256, slip.size) for slip in slips]
        return issue_receipt(self._publisher, visit.number, max(map(recorded_time, slips)), items, use)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _found(self, token: bytes, untrusted_code: str, choice: Choice) -> Visit:
        """A visit that nothing came through yet is one that nothing was sent in, not one that was lost."""
        with self._database.reading() as session:
            visit = visit_by_id(session, visit_id(token))
        if (visit is None or visit.status == OPEN) and (choice.saw or choice.told):
            return self._visits.to_finish(token, untrusted_code)
        if visit is None:
            _nothing_sent()
        return visit

    def _hand_over(self, visit: Visit, token: bytes, choice: Choice) -> Visit:
        identity = visit_identity(token)
        code, key = self._codes.new()
        with self._ledger.transaction() as transaction:
            session = transaction.session
            visit = visit_by_id(session, visit.id) or visit
            if visit.status != OPEN:
                raise _handed_over()
            recipients = f"{visit.sender_recipients} {key.identity.recipient}"
            number = next_numbers(session, NumberKind.RECEIPT, transaction.now.year)[0]
            visit = replace(
                visit, number=number, status=HANDED_OVER, code_digest=key.digest, sender_recipients=recipients
            )
            reseal_slips(session, visit, deliveries_of(session, visit.id), identity)
            _keep_token(session, visit, token, key.identity)
            keep_unseen(session, visit.id, identity, code)
            _is_new(session, visit, token, choice)
            use = USES[choice.rung or Rung.LEGAL]
            record_use(transaction, visit, use, choice.language, "receipt given, use chosen", self._new_id, choice)
        return visit

    def _add(self, visit: Visit, token: bytes, choice: Choice) -> Visit:
        """Enter what was told, and what is allowed, where either is new."""
        with self._ledger.transaction() as transaction:
            session = transaction.session
            visit = visit_by_id(session, visit.id) or visit
            if visit.status == STOPPED:
                raise stopped()
            before = newest_consent(session, visit.id)
            is_new = _is_new(session, visit, token, choice)
            use = USES[choice.rung] if choice.rung is not None else _use(before)
            if not is_new:
                # It may be older than the choice that stands: of files that came since, the narrower of both holds.
                use = min(use, _use(before), key=lambda each: len(each.audiences))
            if items_without_consent(session, visit.id) or (is_new and use != _use(before)):
                purpose = "use chosen with what was added"
                record_use(transaction, visit, use, choice.language, purpose, self._new_id)
            if is_new and (choice.contact.strip() or choice.answers):
                record_more(transaction, visit, choice)
        return visit

    def _refuse_unready(self, visit: Visit, token: bytes, choice: Choice) -> None:
        states = [file.state for file in self._visits.files(visit.id)]
        if "checking" in states:
            self._finishing.go_on(visit, visit_identity(token))
            states = [file.state for file in self._visits.files(visit.id)]
        has_come = {"safe", "differs", "incomplete"} & set(states) or choice.saw or choice.told
        if "checking" in states or (CLOSED in states and not has_come):
            raise ConflictError("visits/unfinished", "Some files are still being checked. Ask again in a moment.")
        if not has_come and DAMAGED in states:
            raise damaged()
        # Not by the rows of uploads alone: a catalogue that was made anew has none of what has ended.
        with self._database.reading() as session:
            is_in = any(each.item_id is not None for each in deliveries_of(session, visit.id))
        if not has_come and not is_in:
            if REFUSED in states:
                raise _not_taken()
            _nothing_sent()

    def _take_statement(self, visit: Visit, token: bytes, choice: Choice) -> None:
        """Take what was written in as an item, once, through the seven steps like any file."""
        text = statement_text(choice)
        upload = statement_upload(token, text)
        with self._database.reading() as session:
            if delivery_of(session, upload) is not None:
                return
        told = Told(name="statement.txt", type="text/plain", way=WRITTEN)
        bearer = UploadBearer(visit=visit, upload=upload, told=told, declared=len(text), why="")
        ours, incident = self._visits.place_of(visit)
        arrival = Arrival(
            open=lambda: io.BytesIO(text),
            untrusted_name=told.name,
            untrusted_path=told.name,
            claims={**told.claims(), "language": choice.language},
            bearer=bearer,
            written=True,
            within=visit.id.bytes,
        )
        reception = Reception(actor=sender(visit.id), organisation=ours, incident=incident, method=METHOD)
        (result,) = self._intake.receive(reception, [arrival])
        if isinstance(result, Refused):
            raise result.error  # Whoever wrote must know that it was not taken.


def recorded_time(slip: Slip) -> datetime:
    """Return when an item's entry was recorded, as its receipt opens it."""
    opened = dict(check_disclosure(Entry.parse(slip.entry.leaf), each) for each in slip.entry.receipt)
    return parse_utc(str(opened["recorded_time"]))


def _keep_token(session: Session, visit: Visit, token: bytes, identity: KeyIdentity) -> None:
    """Seal the visit's token to its return code, so that whoever comes back can add more."""
    plain = canonical_bytes({"v": 1, "token": token.hex()})
    sealed = seal_bytes(plain, [parse_recipient(str(identity.recipient))])
    session.execute(insert(SlipRow), [{"delivery_id": visit.id, "visit_id": visit.id, "sealed": sealed}])


def _is_new(session: Session, visit: Visit, token: bytes, choice: Choice) -> bool:
    """Tell whether this form was not sent before, and remember it."""
    place = told_id(token, choice.canonical())
    if slips_of(session, [place]):
        return False
    sealed = seal_bytes(b"", [parse_recipient(str(visit_identity(token).recipient))])
    session.execute(insert(SlipRow), [{"delivery_id": place, "visit_id": visit.id, "sealed": sealed}])
    return True


def _use(consent: Consent | None) -> Use:
    if consent is None:
        return USES[Rung.LEGAL]
    return Use(level=consent.level, audiences=tuple(filter(None, consent.audiences.split(","))))


def _handed_over() -> ConflictError:
    return ConflictError("visits/handed-over", "The receipt for this was given before. What was sent is kept.")


def _not_taken() -> InputError:
    return InputError(
        "ingest/cannot-strip",
        "This file was not taken in: this archive keeps no metadata of files of its kind, and it could not be cleaned. "
        "What was sent is untouched.",
    )


def _nothing_sent() -> NoReturn:
    raise InputError("visits/nothing-sent", "Nothing has arrived yet. Choose files or write what you saw first.")
