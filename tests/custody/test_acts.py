"""Holds outrank deletion; dangerous acts need two people; a destroyed key opens nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from archive.catalogue.holds import waiting_approvals
from archive.errors import AccessError, ConflictError, LockedError, NotFoundError
from archive.types import Actor, Role, StaffId
from custody.accounts import admit, as_actor, dismiss
from custody.acts import Asked, Destroyed
from tests.archives import SmallArchive
from tests.way_in import run_here


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as archive:
        yield archive


@pytest.fixture
def second(small: SmallArchive) -> Actor:
    return another(small, "ortiz")


def another(small: SmallArchive, os_user: str) -> Actor:
    rooms = small.rooms
    return as_actor(
        admit(
            rooms.ledger,
            rooms.key_files,
            small.actor,
            os_user=os_user,
            role=Role.ATTORNEY,
            copy=None,
            new_id=rooms.new_id,
        )
    )


def test_a_hold_on_an_incident_catches_what_comes_later_and_refuses_destruction(
    small: SmallArchive, second: Actor
) -> None:
    incident = small.incident()
    small.rooms.acts.place_hold(small.actor, incident, title="Doe v. Noem", trigger="filed_case")
    item = small.receive(incident, [("a.jpg", b"one")])[0]
    for who in (small.actor, second):
        with pytest.raises(AccessError) as caught:
            small.rooms.acts.destroy(who, item.number, reason="asked")
        assert caught.value.code == "archive/on-hold"


def test_lifting_a_hold_takes_two_different_people(small: SmallArchive, second: Actor) -> None:
    hold = small.rooms.acts.place_hold(small.actor, small.incident(), title="Doe v. Noem", trigger="subpoena")
    assert isinstance(small.rooms.acts.lift_hold(small.actor, hold.number, reason="dismissed"), Asked)
    with pytest.raises(AccessError) as caught:
        small.rooms.acts.lift_hold(small.actor, hold.number, reason="dismissed")
    assert caught.value.code == "access/second-person-needed"
    with pytest.raises(LockedError):
        small.rooms.acts.lift_hold(second, hold.number, reason="dismissed")
    with small.unlocked():
        lifted = small.rooms.acts.lift_hold(second, hold.number, reason="dismissed")
    assert not isinstance(lifted, Asked) and lifted.status == "lifted"
    with pytest.raises(ConflictError):
        small.rooms.acts.lift_hold(second, hold.number, reason="again")


def test_a_destroyed_key_opens_nothing_and_the_day_of_the_last_backup_is_said(
    small: SmallArchive, second: Actor
) -> None:
    item = small.receive(small.incident(), [("a.jpg", b"one")])[0]
    assert isinstance(small.rooms.acts.destroy(small.actor, item.number, reason="request 7"), Asked)
    with small.unlocked():
        done = small.rooms.acts.destroy(second, item.number, reason="request 7")
    assert isinstance(done, Destroyed)
    assert (done.backups_expire_by - small.clock.now.date()).days == 35
    with small.unlocked():
        with pytest.raises(NotFoundError) as caught:
            small.rooms.reading_room.release_key(small.actor, item.number, "look", lambda _: None)
        told = small.rooms.reading_room.open_item(small.actor, item.number, "look")
    assert caught.value.code == "archive/destroyed"
    assert not small.rooms.key_files.has(item.id)
    assert told.destruction is not None and told.destruction.entry == done.entry
    assert {value.owner_id for entry in told.entries for value in entry.values} == {item.organisation_id}


def test_destruction_that_a_crash_broke_off_is_finished_by_the_same_command(small: SmallArchive, second: Actor) -> None:
    item = small.receive(small.incident(), [("a.jpg", b"one")])[0]
    sealed = small.rooms.key_files.root / f"{item.id}.age"
    copy = sealed.read_bytes()
    small.rooms.acts.destroy(small.actor, item.number, reason="request 7")
    with small.unlocked():
        small.rooms.acts.destroy(second, item.number, reason="request 7")
        sealed.write_bytes(copy)  # as if the power had gone between the entry and the removal
        assert isinstance(small.rooms.acts.destroy(second, item.number, reason="request 7"), Destroyed)
    assert not sealed.exists()


@pytest.mark.parametrize("role", [Role.OBSERVER, Role.DISPATCHER, Role.TECHNICIAN, Role.AUDITOR])
def test_other_roles_neither_hold_nor_lift_nor_destroy(small: SmallArchive, role: Role) -> None:
    incident = small.incident()
    item = small.receive(incident, [("a.jpg", b"one")])[0]
    hold = small.rooms.acts.place_hold(small.actor, small.incident(), title="x", trigger="subpoena")
    other = replace(small.actor, role=role, staff_id=StaffId(small.rooms.new_id()))
    with pytest.raises(AccessError):
        small.rooms.acts.place_hold(other, incident, title="x", trigger="subpoena")
    with pytest.raises(AccessError):
        small.rooms.acts.lift_hold(other, hold.number, reason="x")
    with pytest.raises(AccessError):
        small.rooms.acts.destroy(other, item.number, reason="x")


def test_who_may_not_destroy_may_not_finish_a_destruction_either(small: SmallArchive, second: Actor) -> None:
    item = small.receive(small.incident(), [("a.jpg", b"one")])[0]
    small.rooms.acts.destroy(small.actor, item.number, reason="request 7")
    with small.unlocked():
        small.rooms.acts.destroy(second, item.number, reason="request 7")
    size = small.rooms.ledger.size()
    with pytest.raises(AccessError) as caught:
        small.rooms.acts.destroy(replace(second, role=Role.TECHNICIAN), item.number, reason="x")
    assert caught.value.code == "access/not-permitted"
    assert small.rooms.ledger.size() == size


def test_nobody_agrees_to_what_a_closed_account_had_asked_for(small: SmallArchive, second: Actor) -> None:
    acts, third = small.rooms.acts, another(small, "benitez")
    item = small.receive(small.incident(), [("a.jpg", b"one")])[0]
    with small.unlocked():
        assert isinstance(acts.destroy(second, item.number, reason="mine"), Asked)
        dismiss(small.rooms.ledger, small.rooms.key_files, small.actor, name=second.pseudonym)
        with small.rooms.database.reading() as session:
            assert waiting_approvals(session) == []
        assert isinstance(acts.destroy(small.actor, item.number, reason="twice here"), Asked)
        assert isinstance(acts.destroy(third, item.number, reason="twice here"), Destroyed)
        small.rooms.publisher.publish()
        told = run_here(small.home, "verify", "--json").stdout
    assert "custody/act-unapproved" not in told and "custody/row-differs" not in told
