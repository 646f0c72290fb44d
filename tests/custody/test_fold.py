"""The catalogue is a fold over the log: computed anew it is the same, and so is any past state of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from archive.catalogue.records import RECORD_TYPES, Hold, Staff
from archive.types import Finding, Role
from custody.accounts import admit, dismiss
from custody.fold import Fold, catalogue_as_of, compare_rows, rows_of
from tests.archives import SmallArchive
from tests.attacks.insider import Insider


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as made:
        yield made


def status_of_holds(fold: Fold) -> list[str]:
    return list(fold.session.execute(select(Hold.table.c.status)).scalars())


def test_every_row_computed_from_the_log_is_the_live_one(archive: SmallArchive) -> None:
    items = archive.receive(archive.incident(), [(f"{n}.jpg", bytes([n]) * 100) for n in range(4)])
    archive.rooms.acts.place_hold(archive.actor, items[0], title="Doe", trigger="subpoena")
    keys = Insider(archive.home).owner_keys()
    database = archive.rooms.database
    with catalogue_as_of(database, keys, archive.rooms.ledger.size()) as fold, database.reading() as live:
        for record_type in RECORD_TYPES:
            assert list(rows_of(live, record_type)) == list(rows_of(fold.session, record_type))
        found = list(compare_rows(live, fold, frozenset()))
    assert [(each.finding, each.count) for each in found] == [(Finding.MATCHES, 12)]


def test_the_catalogue_is_shown_as_it_was_after_any_entry(archive: SmallArchive) -> None:
    items = archive.receive(archive.incident(), [("a.jpg", b"a" * 100)])
    before = archive.rooms.ledger.size() - 1
    archive.rooms.acts.place_hold(archive.actor, items[0], title="Doe", trigger="subpoena")
    placed = archive.rooms.ledger.size() - 1
    other = admit(
        archive.rooms.ledger,
        archive.rooms.key_files,
        archive.actor,
        os_user="ortiz",
        role=Role.ATTORNEY,
        copy=None,
        new_id=archive.rooms.new_id,
    )
    dismiss(archive.rooms.ledger, archive.rooms.key_files, archive.actor, name=other.pseudonym)
    keys = Insider(archive.home).owner_keys()
    database = archive.rooms.database
    with catalogue_as_of(database, keys, before) as fold:
        assert status_of_holds(fold) == []
    with catalogue_as_of(database, keys, placed) as fold:
        assert status_of_holds(fold) == ["active"]
        assert len(list(rows_of(fold.session, Staff))) == 1
    with catalogue_as_of(database, keys, archive.rooms.ledger.size()) as fold:
        assert sorted(row["state"] for row in rows_of(fold.session, Staff)) == ["active", "dismissed"]


def test_records_that_cannot_be_read_or_contradict_others_are_named_and_the_others_stand(archive: SmallArchive) -> None:
    ours = archive.founded.organisation
    good, again = ours.to_log(), {**ours.to_log(), "id": "00000000-0000-4000-8000-000000000001"}
    staff = {"kind": "staff", "id": "00000000-0000-4000-8000-000000000002", "columns": {}, "sealed": {}}
    hold = Hold(
        id=archive.rooms.new_id(),
        organisation_id=ours.id,
        number="H-2026-0001",
        status="active",
        incident_id=None,
        item_id=None,
        placed_time=archive.clock(),
        lifted_time=None,
    ).to_log()
    twin = {**hold, "id": "00000000-0000-4000-8000-000000000003"}
    with Fold() as fold:
        found = [*fold.add([(0, good), (1, staff), (2, again), (3, hold), (4, twin)]), *fold.settle()]
        assert {each.subject: each.code for each in found} == {
            "entry 1": "archive/bad-record",
            "entry 4": "custody/record-contradicts",
        }
        assert status_of_holds(fold) == ["active"]
