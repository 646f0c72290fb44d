"""The register: every change and every access is an entry, in the transaction of the records that it speaks of.

What it knows: how an entry gets its number, its commitments, its items' run links and its sealed disclosures; that the
records it carries become rows in the same commit; an access is in the log before the bytes flow. It refuses a
clock that runs back. Publishing (tiles, checkpoints) is `publication`'s business.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.access import Action, LoggedAccess
from archive.age.ahead import SealersAhead
from archive.age.stream import ValueSealer
from archive.catalogue import records
from archive.catalogue.accounts import not_initialised
from archive.catalogue.database import Database, connection_of
from archive.catalogue.log import LogEdge, append_rows, log_edge
from archive.catalogue.models import EntryRow, EntrySubjectRow
from archive.errors import ConfigError, TestigoError
from archive.types import Actor, Clock, Outcome, Owner, OwnerKind, utc_text
from custody.canonical import Json, canonical_bytes
from custody.commitments import Disclosure, commit
from custody.drafts import Draft, ItemPart, Values
from custody.entries import Entry, EventKind
from custody.keyrings import KeyringStatement
from custody.merkle import leaf_hash

_CLOCK_TOLERANCE = timedelta(seconds=2)
_IN_RECEIPT = frozenset({"run", "fixity", "recorded_time", "intake"})
MOST_ITEMS_IN_AN_ENTRY = 1000
"""An entry stays under the 65,535 octets that an entry bundle can carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRef:
    """An entry's place in the log. `receipt` are its disclosures that a receipt opens: fixity, run, time, intake."""

    seq: int
    leaf: bytes = field(repr=False)
    leaf_hash: bytes
    receipt: tuple[Disclosure, ...] = field(repr=False)


class Ledger:
    """The room object of custody. `instrument` is the program's name and version, as entries state it.

    `keyrings` says whom to seal to, which the catalogue's row does not.
    """

    def __init__(
        self, *, database: Database, clock: Clock, instrument: tuple[str, str], keyrings: KeyringStatement
    ) -> None:
        self.keyrings = keyrings
        self._database = database
        self._clock = clock
        self._instrument: Json = {"name": instrument[0], "version": instrument[1]}
        self._sealers = SealersAhead()

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Give a transaction whose entries and records are committed together, or not at all."""
        with self._database.writing() as session:
            edge = log_edge(connection_of(session))
            transaction = Transaction(session, self._now(edge), edge, self._instrument, self.keyrings, self._sealers)
            yield transaction
            transaction.close()

    def record(self, draft: Draft) -> EntryRef:
        """Append one entry in a transaction of its own."""
        with self.transaction() as transaction:
            return transaction.record(draft)

    def record_access(
        self,
        actor: Actor | None,
        owners: Sequence[Owner],
        purpose: str,
        *,
        recipients: Mapping[UUID, str | None],
        values: Values = (),
    ) -> LoggedAccess:
        """Enter an access in the log and return the proof, which is what opens anything at all.

        `recipients` gives the recipient of each item among `owners`; an item of None, whose record the catalogue has
        lost, is named as a subject and gets no place in its run. The entry is durable when this returns.
        """
        known = {owner.id: recipients[owner.id] for owner in owners if owner.kind is OwnerKind.ITEM}
        items = {
            owner_id: ItemPart(item_id=owner_id, recipient=recipient, values=())
            for owner_id, recipient in known.items()
            if recipient is not None
        }
        draft = Draft(
            event=EventKind.ACCESS,
            actor=actor,
            values=(("purpose", purpose), *values),
            items=tuple(items.values()),
            subjects=tuple(owner for owner in owners if owner.id not in items),
        )
        entry = self.record(draft)
        return LoggedAccess(entry=entry.seq, owners=frozenset(owner.id for owner in owners), purpose=purpose)

    def record_refusal(
        self, actor: Actor | None, action: Action, error: TestigoError, *, items: Sequence[ItemPart] = ()
    ) -> EntryRef:
        """Enter that something was asked for and refused, and why (the code only), in the items' own logs."""
        values: Values = (("purpose", str(action)), ("code", error.code))
        draft = Draft(event=EventKind.REFUSAL, outcome=Outcome.FAILURE, actor=actor, values=values, items=tuple(items))
        return self.record(draft)

    def size(self) -> int:
        with self._database.reading() as session:
            return log_edge(session.connection()).size

    def _now(self, edge: LogEdge) -> datetime:
        """Read the clock; refuse one that runs back behind the last signed checkpoint."""
        now, last = self._clock(), edge.signed_time
        if last is not None and now < last - _CLOCK_TOLERANCE:
            raise ConfigError(
                "custody/clock-ran-back",
                "The machine's clock stands before the last signed checkpoint. Nothing was recorded or opened. "
                "Set the clock right (`timedatectl`), then run the same command again.",
                evidence={"clock": utc_text(now), "last_checkpoint": utc_text(last)},
            )
        return now


class Transaction:
    """Entries and records that will be committed together. Made by `Ledger.transaction` only."""

    def __init__(
        self,
        session: Session,
        now: datetime,
        edge: LogEdge,
        instrument: Json,
        keyrings: KeyringStatement,
        sealers: SealersAhead,
    ) -> None:
        self.session = session
        self.keyrings = keyrings
        self.now = now
        self._edge = edge
        self._instrument = instrument
        self._sealers = sealers
        self._next = edge.size
        self._runs: dict[UUID, tuple[int, bytes]] = {}
        self._entries: list[dict[str, object]] = []
        self._subjects: list[dict[str, object]] = []
        self._records: list[tuple[int, Json]] = []
        self._closed: dict[tuple[Owner, tuple[str, ...]], dict[str, list[str]]] = {}
        self._staff: tuple[Owner, tuple[str, ...]] | None = None
        self._for_receipt: list[Disclosure] = []

    def record(self, draft: Draft) -> EntryRef:
        """Append one entry: number it, close its values, link its items' runs.

        Raises: ValueError for more than `MOST_ITEMS_IN_AN_ENTRY` items.
        """
        if len(draft.items) > MOST_ITEMS_IN_AN_ENTRY:
            raise ValueError(f"one entry names at most {MOST_ITEMS_IN_AN_ENTRY} items")
        seq = self._next
        self._for_receipt.clear()
        parts: list[tuple[Owner, tuple[str, ...], tuple[Disclosure, ...]]] = []
        run_numbers: dict[UUID, int] = {}
        for item in draft.items:
            number, previous = self._run_of(item)
            run_numbers[item.item_id] = number
            link: Json = {
                "item": str(item.item_id),
                "number": number,
                "previous": previous.hex() if previous is not None else None,
            }
            values = (("run", link), *item.values)
            parts.append((Owner(kind=OwnerKind.ITEM, id=item.item_id), (item.recipient,), self._commit(seq, values)))
        for part in draft.owned:
            parts.append((part.owner, part.recipients, self._commit(seq, part.values)))
        parts.append((*self._staff_compartment(draft), self._commit(seq, self._general(draft))))
        entry = Entry(
            seq=seq,
            event=draft.event,
            outcome=draft.outcome,
            sd=tuple(sorted(disclosure.digest for _, _, disclosures in parts for disclosure in disclosures)),
        )
        leaf = entry.leaf()
        opened = tuple(sorted(self._for_receipt, key=lambda disclosure: disclosure.text))
        ref = EntryRef(seq=seq, leaf=leaf, leaf_hash=leaf_hash(leaf), receipt=opened)
        self._entries.append({"seq": seq, "leaf": leaf, "leaf_hash": ref.leaf_hash})
        for owner, recipients, disclosures in parts:
            texts = [disclosure.text for disclosure in disclosures]
            self._closed.setdefault((owner, recipients), {}).setdefault(str(seq), []).extend(texts)
        named = {owner.id: None for owner, _, _ in parts} | {owner.id: None for owner in draft.subjects} | run_numbers
        self._subjects += [{"seq": seq, "owner_id": id_, "run_number": number} for id_, number in named.items()]
        self._runs |= {id_: (number, ref.leaf_hash) for id_, number in run_numbers.items()}
        self._next += 1
        return ref

    def close(self) -> None:
        """Seal the disclosures and write all rows; the commit follows."""
        if not self._entries:
            return
        sealed = [
            {
                "id": number,
                "first": min(map(int, entries)),
                "end": max(map(int, entries)) + 1,
                "owner_kind": str(owner.kind),
                "owner_id": owner.id,
                "sealed": seal_disclosures(entries, self._sealers.take(recipients)),
            }
            for number, ((owner, recipients), entries) in enumerate(
                self._closed.items(), self._edge.last_disclosure + 1
            )
        ]
        append_rows(connection_of(self.session), entries=self._entries, subjects=self._subjects, disclosures=sealed)
        records.apply(self.session, self._records)
        if self._staff is not None:
            # Every entry closes something for the staff compartment; the disk's sync comes now.
            self._sealers.prepare(self._staff[1])

    def _general(self, draft: Draft) -> Values:
        by: Values = ()
        if draft.actor is not None:
            by = (("actor", draft.actor.pseudonym), ("role", str(draft.actor.role)))
        times: Values = (("recorded_time", utc_text(self.now)), ("instrument", self._instrument))
        named: Values = ()
        if draft.subjects:
            named = (("subjects", [{"kind": str(owner.kind), "id": str(owner.id)} for owner in draft.subjects]),)
        return (*times, *by, *named, *draft.values)

    def _commit(self, seq: int, values: Values) -> tuple[Disclosure, ...]:
        self._records += [(seq, value) for name, value in values if name == "record"]
        disclosures = commit(values)
        self._for_receipt += [d for d, (name, _) in zip(disclosures, values, strict=True) if name in _IN_RECEIPT]
        return disclosures

    def _run_of(self, item: ItemPart) -> tuple[int, bytes | None]:
        """Return the item's next running number and the leaf hash of its previous entry."""
        if item.item_id in self._runs:
            number, previous = self._runs[item.item_id]
            return number + 1, previous
        if item.first:
            return 1, None
        row = self.session.execute(
            select(EntrySubjectRow.run_number, EntryRow.leaf_hash)
            .join(EntryRow, EntryRow.seq == EntrySubjectRow.seq)
            .where(EntrySubjectRow.owner_id == item.item_id)
            .order_by(EntrySubjectRow.run_number.desc())
            .limit(1)
        ).first()
        if row is None or row[0] is None:
            return 1, None
        return row[0] + 1, row[1]

    def _staff_compartment(self, draft: Draft) -> tuple[Owner, tuple[str, ...]]:
        """Find the staff compartment; in the archive's very first entry it is being made by that entry."""
        if self._staff is None:
            for name, value in draft.values:
                if name == "record":
                    record_type, columns = records.columns_of(value)
                    if record_type is records.Organisation:
                        self._staff = _staff_of(columns["id"], columns["staff_recipient"])
                        return self._staff
            if self._edge.staff is None:
                raise not_initialised()
            # The row's recipient could be changed and put back; the office would never miss what it closed meanwhile.
            self._staff = _staff_of(self._edge.staff[0], self.keyrings.standing().staff)
        return self._staff


def seal_disclosures(entries: dict[str, list[str]], sealer: ValueSealer) -> bytes:
    """Seal the closed values of some entries for one owner (formats.md 3.7)."""
    return sealer.seal(canonical_bytes({"entries": entries, "v": 1}))


def _staff_of(organisation_id: UUID, recipient: str) -> tuple[Owner, tuple[str, ...]]:
    return Owner(kind=OwnerKind.STAFF, id=organisation_id), (recipient,)
