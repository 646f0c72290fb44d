"""The opened part of an audit for single items: their values, their runs, their rows."""

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.records import Item
from archive.errors import TestigoError
from archive.types import ItemId
from custody.audit_opened import ReceivedFixity, received_fixity
from custody.destroyed import DESTROYED
from custody.entries import RUN, RunLink, RunStep, verify_run
from custody.findings import Found, from_error, matches
from custody.fold import Fold, compare_rows
from custody.register import OpenedEntry, Register


def check_items_opened(
    database: Database, keys: Mapping[UUID, KeyIdentity], items: Sequence[UUID], fixity: dict[UUID, ReceivedFixity]
) -> Iterator[Found]:
    """Open what the log says of these items, follow their runs, and compare their rows with it."""
    with database.reading() as session:
        yield from _check(session, Register(database), keys, items, fixity)


def _check(
    session: Session,
    register: Register,
    keys: Mapping[UUID, KeyIdentity],
    items: Sequence[UUID],
    fixity: dict[UUID, ReceivedFixity],
) -> Iterator[Found]:
    item = Item.table.c
    rows = session.execute(select(item.id, item.number, item.state).where(item.id.in_(items))).all()
    others = {item_id for item_id, _, _ in rows}
    good = 0
    with Fold() as fold:
        for item_id, number, state in rows:
            if state == DESTROYED or item_id not in keys:
                continue
            try:
                mine = {owner: key for owner, key in keys.items() if owner == item_id or owner not in others}
                opened = open_run(register, item_id, mine)
            except TestigoError as error:
                yield from_error(error, subject=number)
                continue
            good += 1
            for entry in opened:
                records = [(entry.entry.seq, value) for value in entry.all("record")]
                yield from fold.add([each for each in records if _is_of(each[1], item_id)])
                for value in entry.values:
                    found = received_fixity(value.name, value.value)
                    if found is not None:
                        fixity[found[0]] = found[1]
        yield from fold.settle()
        checked = frozenset(item_id for item_id, _, state in rows if state != DESTROYED and item_id in keys)
        yield from compare_rows(session, fold, frozenset(), only=checked)
    yield matches("items", "items have an unbroken run of entries", good, one="item has an unbroken run of entries")


def open_run(register: Register, item_id: UUID, keys: Mapping[UUID, KeyIdentity]) -> list[OpenedEntry]:
    """Open an item's entries and prove its run. Raises: IntegrityError `custody/run-gap`, `custody/run-broken`."""
    seqs = register.seqs_of(item_id)
    opened = register.open(seqs, keys) if seqs else []
    steps = [
        RunStep(seq=entry.entry.seq, leaf_hash=entry.leaf_hash, link=RunLink.from_value(value))
        for entry in opened
        for value in entry.all(RUN)
        if isinstance(value, Mapping) and value.get("item") == str(item_id)
    ]
    verify_run(ItemId(item_id), steps, seqs[-1] if seqs else -1)
    return opened


def _is_of(record: object, item_id: UUID) -> bool:
    match record:
        case {"kind": "item", "id": str(text)}:
            return text == str(item_id)
        case {"kind": "object", "columns": {"item_id": str(text)}}:
            return text == str(item_id)
    return False
