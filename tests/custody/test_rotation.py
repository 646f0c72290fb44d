"""A rotation that is broken off at any moment goes on with the same call and the same passphrase."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from archive.age.keyring import Keyring
from archive.catalogue.accounts import organisation
from archive.catalogue.items import item_by_number
from archive.errors import IntegrityError, LockedError
from archive.keyfiles import KeyFiles
from archive.types import Role, StaffId
from custody.accounts import admit
from custody.rotation import rotate
from tests.archives import PASSPHRASE, SmallArchive
from tests.killed import PowerGone


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as archive:
        archive.receive(archive.incident(), [("a.jpg", b"one"), ("b.jpg", b"two")])
        yield archive


def _rotate(small: SmallArchive) -> int:
    return rotate(small.rooms.ledger, small.rooms.key_files, small.actor, passphrase=PASSPHRASE)


def _everything_opens(small: SmallArchive) -> None:
    office = small.rooms.key_files.open_copy(StaffId(small.actor.staff_id), PASSPHRASE)
    with small.rooms.database.reading() as session:
        keyring = Keyring.parse(organisation(session).vault_keyring)
    assert keyring.part_of(office.recipient) == "office"
    with small.unlocked():
        for number in ("E-2026-00001", "E-2026-00002"):
            assert small.rooms.reading_room.open_item(small.actor, number, "look").entries


def test_after_a_rotation_everything_opens_with_the_same_passphrase(small: SmallArchive) -> None:
    before = small.rooms.key_files.open_copy(StaffId(small.actor.staff_id), PASSPHRASE)
    assert _rotate(small) == len(small.rooms.key_files.list())
    after = small.rooms.key_files.open_copy(StaffId(small.actor.staff_id), PASSPHRASE)
    assert str(before.recipient) != str(after.recipient)
    _everything_opens(small)


def test_what_comes_after_a_rotation_is_sealed_to_the_new_keyring(small: SmallArchive) -> None:
    _rotate(small)
    small.founded = _with_todays_keyring(small)
    small.receive(small.incident("later"), [("c.jpg", b"three")])
    _everything_opens(small)


def test_copies_of_others_are_deleted_because_they_open_nothing_new(small: SmallArchive) -> None:
    office = small.rooms.key_files.open_copy(StaffId(small.actor.staff_id), PASSPHRASE)
    copy = (office, "another passphrase of words")
    rooms = small.rooms
    other = admit(
        rooms.ledger, rooms.key_files, small.actor, os_user="ortiz", role=Role.ATTORNEY, copy=copy, new_id=rooms.new_id
    )
    _rotate(small)
    assert other.id not in rooms.key_files.granted()


@pytest.mark.parametrize("step", ["prepare", "rewrap_all", "_rewrap_group", "promote", "revoke"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rotation_broken_off_at_any_step_goes_on(
    small: SmallArchive, step: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step == "revoke":
        office = small.rooms.key_files.open_copy(StaffId(small.actor.staff_id), PASSPHRASE)
        small.rooms.key_files.grant(StaffId(small.rooms.new_id()), office, "another passphrase of words")
    with monkeypatch.context() as patch:
        patch.setattr(KeyFiles, step, _broken(getattr(KeyFiles, step), when))
        with pytest.raises(PowerGone):
            _rotate(small)
    small.reopen()
    _rotate(small)
    assert small.rooms.key_files.granted() == (small.actor.staff_id,)
    _everything_opens(small)


def test_a_wrong_passphrase_rotates_nothing(small: SmallArchive) -> None:
    with pytest.raises(LockedError):
        rotate(small.rooms.ledger, small.rooms.key_files, small.actor, passphrase="not the passphrase")
    _everything_opens(small)


def test_a_key_file_that_does_not_open_is_named_before_anything_is_changed(small: SmallArchive) -> None:
    """Such a file, as a copy of another day brings it, would keep the rotation open and everything shut."""
    with small.rooms.database.reading() as session:
        owner_id = item_by_number(session, "E-2026-00002")[0].id
    then = small.rooms.key_files.read_sealed(owner_id)
    _rotate(small)
    now = small.rooms.key_files.read_sealed(owner_id)
    path = small.home / "keys" / f"{owner_id}.age"
    path.write_bytes(then)
    size = small.rooms.ledger.size()
    with pytest.raises(IntegrityError) as refused:
        _rotate(small)
    assert refused.value.code == "keys/closed-keys"
    assert refused.value.evidence["keys"] == (f"E-2026-00002 ({owner_id})",)
    assert (small.rooms.ledger.size(), small.rooms.key_files.rotation()) == (size, None)
    with small.unlocked():
        assert small.rooms.reading_room.open_item(small.actor, "E-2026-00001", "look").entries
    path.write_bytes(now)
    _rotate(small)
    _everything_opens(small)


def _broken(step: Callable[..., Any], when: str) -> Callable[..., Any]:
    def broken(*given: Any, **named: Any) -> Any:
        if when == "after":
            step(*given, **named)
        raise PowerGone

    return broken


def _with_todays_keyring(small: SmallArchive) -> Any:
    with small.rooms.database.reading() as session:
        ours = organisation(session)

    @dataclass(frozen=True)
    class Today:
        organisation: Any

    return Today(organisation=ours)
