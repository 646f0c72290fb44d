"""Accounts: who may unlock is in the log before they can."""

from pathlib import Path

import pytest

from archive.errors import InputError, NotFoundError
from archive.types import Role, StaffId
from custody.accounts import admit, dismiss, grant_copy
from custody.entries import EventKind
from tests.archives import PASSPHRASE, SmallArchive

THEIRS = "seven quiet herons over the river"


def test_a_copy_of_the_office_key_is_given_with_an_entry(tmp_path: Path) -> None:
    with SmallArchive(tmp_path / "home") as small:
        rooms = small.rooms
        office = rooms.key_files.open_copy(StaffId(small.actor.staff_id), PASSPHRASE)
        staff = admit(
            rooms.ledger,
            rooms.key_files,
            small.actor,
            os_user="ortiz",
            role=Role.ATTORNEY,
            copy=None,
            new_id=rooms.new_id,
        )
        before = rooms.ledger.size()
        with pytest.raises(InputError):
            grant_copy(rooms.ledger, rooms.key_files, small.actor, name=staff.pseudonym, copy=(office, "short"))
        assert rooms.ledger.size() == before and staff.id not in rooms.key_files.granted()

        grant_copy(rooms.ledger, rooms.key_files, small.actor, name=staff.pseudonym, copy=(office, THEIRS))
        (entry,) = rooms.register.open([before], {})
        assert entry.entry.event is EventKind.ENCRYPTION
        assert rooms.key_files.open_copy(StaffId(staff.id), THEIRS).recipient == office.recipient

        dismiss(rooms.ledger, rooms.key_files, small.actor, name=staff.pseudonym)
        with pytest.raises(NotFoundError) as caught:
            grant_copy(rooms.ledger, rooms.key_files, small.actor, name=staff.pseudonym, copy=(office, THEIRS))
        assert caught.value.code == "access/no-such-account"
