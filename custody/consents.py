"""What the log itself says that senders allow of some items: for acts that let something out.

What left cannot be taken back. Rows are found quickly and can be changed by whoever writes to the catalogue's file; so
the words are read from entries, opened with keys, and the rows must agree.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.records import Consent, Delivery, Item
from archive.catalogue.senders import STORED, Brought, Said, Word, audiences_of, said_of, said_of_items
from archive.errors import IntegrityError
from custody.audit_item import open_run
from custody.entries import EventKind
from custody.register import OpenedEntry, Register
from custody.standing import entries_that_say


def consents_of(
    session: Session, database: Database, keys: Mapping[UUID, KeyIdentity], items: Sequence[Item]
) -> dict[UUID, tuple[Said, ...]]:
    """Return what the log says that the senders of these items allow; items of no sender are not among them.

    `keys` open the items and the staff compartment. To be called while nobody else can append; `session` is of that
    moment. Raises: IntegrityError where the log cannot be read whole for this, or the rows say otherwise.
    """
    register = Register(database)
    words = [
        _word(entry.entry.seq, record)
        for entry in entries_that_say(database, session, keys, (EventKind.POLICY_ASSIGNMENT,))
        for record in _records(entry, Consent.kind)
    ]
    brought = [each for item in items for each in _brought(open_run(register, item.id, keys), item)]
    told = said_of(brought, words)
    if told != said_of_items(session, [item.id for item in items]):
        raise IntegrityError(
            "custody/row-differs",
            "What the catalogue says that senders allow is not what the log says: a row was changed behind the log's "
            "back. Nothing left the archive. `testigo verify` names what was changed.",
        )
    return told


def _brought(run: Sequence[OpenedEntry], item: Item) -> list[Brought]:
    return [
        Brought(
            item_id=item.id,
            visit_id=UUID(record["columns"]["visit_id"]),
            seq=entry.entry.seq,
            first=record["columns"]["outcome"] == STORED,
        )
        for entry in run
        for record in _records(entry, Delivery.kind)
        if record["columns"]["item_id"] == str(item.id)
    ]


def _word(seq: int, record: Mapping[str, Any]) -> Word:
    columns = record["columns"]
    return Word(
        visit_id=UUID(columns["visit_id"]),
        version=columns["version"],
        seq=seq,
        level=columns["level"],
        audiences=audiences_of(columns["audiences"]),
    )


def _records(entry: OpenedEntry, kind: str) -> list[Mapping[str, Any]]:
    return [record for record in entry.all("record") if isinstance(record, dict) and record.get("kind") == kind]
