"""Entries and records share a transaction; an access is in the log before anything opens."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError as DatabaseRefusal

from archive.access import Action
from archive.catalogue.models import EntryRow, ItemRow
from archive.errors import AccessError, ConfigError, LockedError
from archive.types import Owner, OwnerKind
from custody.drafts import Draft, ItemPart
from custody.entries import Entry, EventKind
from custody.ledger import MOST_ITEMS_IN_AN_ENTRY
from tests.archives import SmallArchive


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as archive:
        yield archive


def test_records_and_entries_are_committed_together_or_not_at_all(small: SmallArchive) -> None:
    before = small.rooms.ledger.size()
    with pytest.raises(RuntimeError), small.rooms.ledger.transaction() as transaction:
        transaction.record(Draft(event=EventKind.IMPORT, actor=small.actor, values=(("purpose", "import"),)))
        raise RuntimeError("the power goes")
    assert small.rooms.ledger.size() == before
    with small.rooms.database.reading() as session:
        assert session.execute(select(func.count()).select_from(ItemRow)).scalar() == 0


def test_numbers_have_no_gap_and_leaves_are_what_their_hashes_say(small: SmallArchive) -> None:
    small.receive(small.incident(), [("a.jpg", b"one"), ("b.jpg", b"two")])
    with small.rooms.database.reading() as session:
        rows = session.execute(select(EntryRow.seq, EntryRow.leaf).order_by(EntryRow.seq)).all()
    assert [row[0] for row in rows] == list(range(len(rows)))
    assert [Entry.parse(row[1]).seq for row in rows] == list(range(len(rows)))


def test_nothing_but_event_outcome_and_place_is_open_in_a_leaf(small: SmallArchive) -> None:
    item = small.receive(small.incident("Raid at the garment works"), [("maria.jpg", b"a face")])[0]
    with small.rooms.database.reading() as session:
        leaves = b"".join(session.execute(select(EntryRow.leaf)).scalars())
    for secret in (str(item.id), item.number, "maria.jpg", "garment", small.actor.pseudonym, "2026-11-22"):
        assert secret.encode() not in leaves


def test_an_items_run_links_every_entry_to_the_one_before(small: SmallArchive) -> None:
    item = small.receive(small.incident(), [("a.jpg", b"one")])[0]
    small.touch([item])
    small.touch([item])
    with small.unlocked():
        opened = small.rooms.reading_room.open_item(small.actor, item.number, "look")
    links = [entry.get("run") for entry in opened.entries]
    assert [link["number"] for link in links] == [1, 2, 3, 4]
    hashes = [entry.leaf_hash.hex() for entry in opened.entries]
    assert [link["previous"] for link in links] == [None, *hashes[:-1]]


def test_a_locked_archive_opens_nothing_and_the_failure_is_an_entry(small: SmallArchive) -> None:
    item = small.receive(small.incident(), [("a.jpg", b"one")])[0]
    before = small.rooms.ledger.size()
    with pytest.raises(LockedError) as caught:
        small.rooms.reading_room.open_item(small.actor, item.number, "look")
    assert caught.value.code == "archive/locked"
    events = [entry.entry.event for entry in small.rooms.register.open(range(before, small.rooms.ledger.size()), {})]
    assert events == [EventKind.REFUSAL], "no entry says that anything was opened"
    assert small.rooms.register.seqs_of(item.id)[-1] == before, "and the item's own log has it"


def test_last_weeks_entry_opens_nothing_today(small: SmallArchive) -> None:
    item = small.receive(small.incident(), [("a.jpg", b"one")])[0]
    owner = Owner(kind=OwnerKind.ITEM, id=item.id)
    old = small.rooms.ledger.record_access(small.actor, [owner], "last week", recipients={item.id: item.recipient})
    with small.unlocked():
        with pytest.raises(AccessError) as caught:
            small.rooms.vault.unwrap(old, [item.id])
        assert caught.value.code == "keys/not-permitted"
        new = small.rooms.ledger.record_access(small.actor, [owner], "today", recipients={item.id: item.recipient})
        assert small.rooms.vault.unwrap(new, [item.id])
        with pytest.raises(AccessError):
            small.rooms.vault.unwrap(new, [item.id])


def test_an_access_opens_only_the_owners_that_it_names(small: SmallArchive) -> None:
    first, second = small.receive(small.incident(), [("a.jpg", b"one"), ("b.jpg", b"two")])
    owner = Owner(kind=OwnerKind.ITEM, id=first.id)
    with small.unlocked():
        access = small.rooms.ledger.record_access(small.actor, [owner], "x", recipients={first.id: first.recipient})
        with pytest.raises(AccessError) as caught:
            small.rooms.vault.unwrap(access, [second.id])
    assert caught.value.code == "access/no-entry"


def test_a_clock_that_runs_back_is_refused_and_nothing_is_recorded(small: SmallArchive) -> None:
    small.receive(small.incident(), [("a.jpg", b"one")])
    before = small.rooms.ledger.size()
    small.clock.move(timedelta(days=-1))
    with pytest.raises(ConfigError) as caught:
        small.rooms.ledger.record(Draft(event=EventKind.IMPORT, actor=small.actor))
    assert caught.value.code == "custody/clock-ran-back"
    assert small.rooms.ledger.size() == before
    small.clock.move(timedelta(days=2))


def test_the_database_itself_refuses_to_change_the_log(small: SmallArchive) -> None:
    for statement in (
        "UPDATE entry SET leaf = x'00'",
        "DELETE FROM entry",
        "INSERT OR REPLACE INTO entry VALUES (0, x'00', x'00')",
        "DELETE FROM disclosure",
        "UPDATE entry_subject SET run_number = 9",
        "INSERT OR REPLACE INTO checkpoint SELECT size, x'00', signed_time FROM checkpoint",
    ):
        with pytest.raises(DatabaseRefusal), small.rooms.database.writing() as session:
            session.execute(text(statement))


def test_an_entry_names_at_most_what_an_entry_bundle_can_carry(small: SmallArchive) -> None:
    part = ItemPart(item_id=small.rooms.new_id(), recipient=small.founded.organisation.staff_recipient)
    with pytest.raises(ValueError, match="at most"), small.rooms.ledger.transaction() as transaction:
        transaction.record(Draft(event=EventKind.ACCESS, items=(part,) * (MOST_ITEMS_IN_AN_ENTRY + 1)))


def test_a_refusal_is_recorded_with_its_code_and_no_words(small: SmallArchive) -> None:
    error = AccessError("access/not-permitted", "…", evidence={"name": "Maria"})
    ref = small.rooms.ledger.record_refusal(small.actor, Action.DESTROY, error)
    with small.unlocked():
        opened = small.rooms.reading_room.open_log(small.actor, ref.seq, ref.seq + 1)[0]
    assert (opened.get("code"), opened.get("purpose")) == ("access/not-permitted", "destroy")
    assert "Maria" not in repr(opened)
