"""Where no passphrase opens anything any more, the recovery key makes a new office key; over what was broken off."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from archive.age.keyring import Keyring, open_identity
from archive.age.recipients import KeyIdentity, KeyKind, generate_identity
from archive.catalogue.accounts import organisation
from archive.errors import ConflictError, InputError, IntegrityError, LockedError
from archive.keyfiles import KeyFiles
from archive.keyrotation import rotating
from archive.types import Actor, Role, StaffId
from custody import rotation
from custody.accounts import admit, as_actor
from custody.keyrings import KeyringStatement
from custody.rotation import rotate, rotate_with_recovery
from tests.archives import PASSPHRASE, SmallArchive, bring_back
from tests.attacks.insider import Insider, audit
from tests.killed import PowerGone, killed_at

NEW = "a new passphrase after the old one"
THEIRS = "another passphrase of words"
STRANGER = generate_identity(KeyKind.X25519)
STEPS = (
    (KeyFiles, "prepare"),
    (rotation, "_enter"),
    (KeyringStatement, "state"),
    (KeyFiles, "rewrap_all"),
    (KeyFiles, "_rewrap_group"),
    (KeyFiles, "promote"),
    (KeyFiles, "revoke"),
)
each_step = pytest.mark.parametrize(("where", "step"), STEPS, ids=[step for _, step in STEPS])
each_side = pytest.mark.parametrize("when", ["before", "after"])


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as archive:
        archive.receive(archive.incident(), [("a.jpg", b"one"), ("b.jpg", b"two")])
        yield archive


@pytest.fixture
def other(small: SmallArchive) -> Actor:
    """Another coordinator, who may unlock."""
    rooms = small.rooms
    copy = (_office(small), THEIRS)
    return as_actor(
        admit(
            rooms.ledger, rooms.key_files, small.actor, os_user="ortiz", role=Role.COORDINATOR, copy=copy,
            new_id=rooms.new_id,
        )
    )  # fmt: skip


def _office(small: SmallArchive, passphrase: str = PASSPHRASE, actor: Actor | None = None) -> KeyIdentity:
    return small.rooms.key_files.open_copy(StaffId((actor or small.actor).staff_id), passphrase)


def _recover(
    small: SmallArchive, *, passphrase: str = NEW, key: KeyIdentity | None = None, is_restored: bool = False
) -> int:
    return rotate_with_recovery(
        small.rooms.ledger,
        small.rooms.key_files,
        small.actor,
        recovery=key or small.founded.recovery,
        passphrase=passphrase,
        is_restored=is_restored,
    )


def _opened_by(small: SmallArchive, key: KeyIdentity) -> int:
    files, opened = small.rooms.key_files, 0
    for owner_id in files.list():
        try:
            opened += bool(open_identity(files.read_sealed(owner_id), [key]))
        except LockedError:
            continue
    return opened


def _all_is_well(small: SmallArchive, passphrase: str = NEW, actor: Actor | None = None) -> None:
    """Everybody's old copy is gone, the new one and the recovery key open everything, and no audit finds anything."""
    small.publish()
    files, holder = small.rooms.key_files, actor or small.actor
    office = _office(small, passphrase, actor)
    with small.rooms.database.reading() as session:
        row = Keyring.parse(organisation(session).vault_keyring)
    assert row == small.rooms.ledger.keyrings.standing().vault
    assert (row.part_of(office.recipient), len(row.recipients)) == ("office", 2)
    assert (files.granted(), files.begun(), files.rotation()) == ((holder.staff_id,), (), None)
    assert _opened_by(small, office) == _opened_by(small, small.founded.recovery) == len(files.list())
    keys = {owner: open_identity(files.read_sealed(owner), [office]) for owner in files.list()}
    assert [found for found in audit(small.home, keys=keys) if not found.is_expected] == []


def _purposes(small: SmallArchive) -> list[str]:
    """Read what the log says of rotations."""
    files, insider = small.rooms.key_files, Insider(small.home)
    keys = {owner: open_identity(files.read_sealed(owner), [small.founded.recovery]) for owner in files.list()}
    said = [value for each in insider.history(keys) for part in each.parts for value in part.values()]
    insider.close()
    return [value for name, value in said if name == "purpose" and "rotated" in value]


def _broken(step: Callable[..., Any], when: str) -> Callable[..., Any]:
    def broken(*given: Any, **named: Any) -> Any:
        if when == "after":
            step(*given, **named)
        raise PowerGone

    return broken


def _broken_off(act: Callable[[], object], where: Any, step: str, when: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, step, _broken(getattr(where, step), when))
        with pytest.raises(PowerGone):
            act()


def _state(small: SmallArchive) -> tuple[object, ...]:
    keys = {path: path.read_bytes() for path in (small.home / "keys").rglob("*") if path.is_file()}
    return small.rooms.ledger.size(), {path: data for path, data in keys.items() if not path.name.startswith(".")}


@pytest.mark.usefixtures("other")
def test_the_recovery_key_makes_a_new_office_key_under_a_new_passphrase(small: SmallArchive) -> None:
    old = _office(small)
    assert _recover(small) == len(small.rooms.key_files.list())
    assert _opened_by(small, old) == 0
    with pytest.raises(LockedError):
        _office(small)
    _all_is_well(small)
    assert _purposes(small) == ["vault keyring rotated with the recovery key"]
    rotate(small.rooms.ledger, small.rooms.key_files, small.actor, passphrase=NEW)
    _all_is_well(small)
    _recover(small, passphrase=PASSPHRASE)
    _all_is_well(small, PASSPHRASE)
    with small.unlocked():
        assert small.rooms.reading_room.open_item(small.actor, "E-2026-00001", "look").entries


def test_it_needs_no_copy_of_the_office_key(small: SmallArchive) -> None:
    shutil.rmtree(small.home / "keys" / "staff")
    _recover(small)
    _all_is_well(small)


@pytest.mark.usefixtures("other")
@each_step
@each_side
@pytest.mark.parametrize("again", [NEW, "yet another passphrase of mine"], ids=["same", "another"])
def test_broken_off_at_any_step_it_goes_on(small: SmallArchive, where: Any, step: str, when: str, again: str) -> None:
    _broken_off(partial(_recover, small), where, step, when)
    small.reopen()
    _recover(small, passphrase=again)
    _all_is_well(small, again)


@each_step
@each_side
def test_it_ends_what_somebody_else_broke_off_and_left(
    small: SmallArchive, other: Actor, where: Any, step: str, when: str
) -> None:
    rooms = small.rooms
    _broken_off(partial(rotate, rooms.ledger, rooms.key_files, other, passphrase=THEIRS), where, step, when)
    theirs = rooms.key_files.prepared(StaffId(other.staff_id), THEIRS)
    small.reopen()
    _recover(small)
    _all_is_well(small)
    assert theirs is None or _opened_by(small, theirs) == 0


def test_whoever_holds_a_copy_of_before_is_told_what_to_do(small: SmallArchive, other: Actor) -> None:
    rooms = small.rooms
    _broken_off(
        partial(rotate, rooms.ledger, rooms.key_files, other, passphrase=THEIRS), KeyFiles, "_rewrap_group", "after"
    )
    before = _state(small)
    with pytest.raises(ConflictError, match="--recovery") as refused:
        rotate(rooms.ledger, rooms.key_files, small.actor, passphrase=PASSPHRASE)
    assert refused.value.code == "keys/copy-outdated"
    assert _state(small) == before


def test_whoever_began_may_still_end_theirs_where_the_recovery_had_not_got_far(
    small: SmallArchive, other: Actor
) -> None:
    rooms = small.rooms
    theirs = partial(rotate, rooms.ledger, rooms.key_files, other, passphrase=THEIRS)
    _broken_off(theirs, KeyFiles, "_rewrap_group", "after")
    _broken_off(partial(_recover, small), KeyFiles, "prepare", "after")
    theirs()
    _all_is_well(small, THEIRS, other)


def _slip_into_row(small: SmallArchive, change: Callable[[str], str]) -> Callable[[], None]:
    insider = Insider(small.home)
    with insider.sql() as sql:
        (old,) = sql.execute("SELECT vault_keyring FROM organisation").fetchone()
        sql.execute("UPDATE organisation SET vault_keyring = ?", (change(old),))
    insider.close()

    def put_back() -> None:
        with insider.sql() as sql:
            sql.execute("UPDATE organisation SET vault_keyring = ?", (old,))
        insider.close()

    return put_back


def _slip_into_generation(small: SmallArchive, change: Callable[[str], str]) -> Callable[[], None]:
    path = small.home / "keys" / "generation.json"
    old = path.read_bytes()
    value = json.loads(old)
    path.write_text(json.dumps(value | {"keyring": change(value["keyring"])}) + "\n")
    return lambda: _write(path, old)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@pytest.mark.parametrize("with_recovery", [True, False], ids=["recovery", "passphrase"])
@pytest.mark.parametrize("how", ["added", "exchanged for the office", "exchanged for recovery"])
@pytest.mark.parametrize(
    ("slip", "code"), [(_slip_into_row, "keys/row-differs"), (_slip_into_generation, "keys/generation-differs")]
)
def test_a_stranger_in_row_or_generation_is_refused_and_nothing_is_changed(
    small: SmallArchive, slip: Callable[..., Callable[[], None]], code: str, how: str, with_recovery: bool
) -> None:
    gone = {
        "added": "",
        "exchanged for the office": str(_office(small).recipient),
        "exchanged for recovery": str(small.founded.recovery.recipient),
    }[how]
    put_back = slip(
        small,
        lambda text: (
            text.replace(gone, str(STRANGER.recipient)) if gone else f"{text}# part: backup\n{STRANGER.recipient}\n"
        ),
    )
    small.reopen()
    before = _state(small)
    for _ in range(2):  # Nor does the refused one leave anything that lets the second pass.
        with pytest.raises(IntegrityError) as refused:
            if with_recovery:
                _recover(small)
            else:
                rotate(small.rooms.ledger, small.rooms.key_files, small.actor, passphrase=PASSPHRASE)
        assert refused.value.code == code
    assert _state(small) == before
    put_back()
    small.reopen()
    _recover(small)
    _all_is_well(small)
    assert _opened_by(small, STRANGER) == 0


def test_a_stranger_in_the_row_beside_a_rotation_that_seems_broken_off_gets_nothing(small: SmallArchive) -> None:
    """The difference is passed over then; nothing of the row is taken over, and the log says it."""
    _slip_into_row(small, lambda text: text.replace(str(_office(small).recipient), str(STRANGER.recipient)))
    small.reopen()
    small.rooms.key_files.prepare(StaffId(small.rooms.new_id()), STRANGER, THEIRS)
    _recover(small)
    _all_is_well(small)
    assert _opened_by(small, STRANGER) == 0
    assert _purposes(small) == [
        "vault keyring rotated with the recovery key from the signed statement, where the catalogue named another"
    ]


@pytest.mark.parametrize(
    ("key", "code"),
    [("office", "keys/not-recovery"), ("counsel", "keys/not-recovery"), ("stranger", "keys/not-in-keyring")],
)
def test_another_key_than_the_recovery_key_is_refused(small: SmallArchive, key: str, code: str) -> None:
    assert small.founded.counsel is not None
    given = {"office": _office(small), "counsel": small.founded.counsel, "stranger": STRANGER}[key]
    before = _state(small)
    with pytest.raises(InputError) as refused:
        _recover(small, key=given)
    assert (refused.value.code, _state(small)) == (code, before)
    assert refused.value.message.endswith("Nothing was changed.")


def test_a_weak_passphrase_and_a_key_file_that_does_not_open_change_nothing(small: SmallArchive) -> None:
    path = next(iter(sorted((small.home / "keys").glob("*.age"))))
    whole, before = path.read_bytes(), _state(small)
    with pytest.raises(InputError, match="at least"):
        _recover(small, passphrase="short")
    assert _state(small) == before
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    before = _state(small)
    with pytest.raises(IntegrityError) as refused:
        _recover(small)
    assert (refused.value.code, _state(small)) == ("keys/closed-keys", before)
    path.write_bytes(whole)
    _recover(small)
    _all_is_well(small)


def test_of_two_rotations_at_once_the_second_changes_nothing(small: SmallArchive) -> None:
    before = _state(small)
    with rotating(small.home / "keys"):
        for act in (
            partial(_recover, small),
            partial(rotate, small.rooms.ledger, small.rooms.key_files, small.actor, passphrase=PASSPHRASE),
        ):
            with pytest.raises(ConflictError) as refused:
                act()
            assert refused.value.code == "keys/rotation-running"
    assert _state(small) == before
    _recover(small)
    _all_is_well(small)


def test_a_next_office_key_that_a_copy_kept_of_an_ended_rotation_is_not_taken_up(small: SmallArchive) -> None:
    held = _office(small)
    small.rooms.key_files.prepare(StaffId(small.actor.staff_id), held, PASSPHRASE)
    _recover(small, passphrase=PASSPHRASE)
    _all_is_well(small, PASSPHRASE)
    assert _opened_by(small, held) == 0


def test_what_goes_on_is_entered_too(small: SmallArchive) -> None:
    rooms = small.rooms
    theirs = partial(rotate, rooms.ledger, rooms.key_files, small.actor, passphrase=PASSPHRASE)
    _broken_off(theirs, KeyFiles, "rewrap_all", "before")
    _recover(small, passphrase=PASSPHRASE)
    _all_is_well(small, PASSPHRASE)
    assert _purposes(small) == [
        "vault keyring rotated",
        "vault keyring rotated with the recovery key: one that was broken off goes on",
    ]


def test_beside_a_catalogue_of_another_day_it_goes_on_when_it_is_told_so(small: SmallArchive, tmp_path: Path) -> None:
    small.rooms.close()
    shutil.copytree(small.home, tmp_path / "then")
    small.reopen()
    rotate(small.rooms.ledger, small.rooms.key_files, small.actor, passphrase=PASSPHRASE)
    small.rooms.close()
    bring_back(small.home, tmp_path / "then", "catalogue.sqlite", "store")
    small.reopen()
    before = _state(small)
    with pytest.raises(IntegrityError, match="--restored"):
        _recover(small)
    assert _state(small) == before
    _recover(small, is_restored=True)
    _all_is_well(small)
    assert _purposes(small) == [
        "vault keyring rotated with the recovery key from the signed statement, where the catalogue named another"
    ]


def test_killed_at_any_moment_over_what_another_broke_off_it_goes_on_and_loses_no_key(
    small: SmallArchive, other: Actor, tmp_path: Path
) -> None:
    rooms, pristine = small.rooms, small.home
    theirs = partial(rotate, rooms.ledger, rooms.key_files, other, passphrase=THEIRS)
    _broken_off(theirs, KeyFiles, "_rewrap_group", "after")
    rooms.close()
    owners, call, died = rooms.key_files.list(), 0, True
    while died:
        call += 1
        small.home = Path(shutil.copytree(pristine, tmp_path / f"killed-{call}"))
        small.rooms = small.open_rooms()
        died = killed_at(call, partial(_recover, small))
        small.reopen()
        assert _opened_by(small, small.founded.recovery) == len(owners)
        _recover(small)
        assert _opened_by(small, _office(small, NEW)) == _opened_by(small, small.founded.recovery) == len(owners)
        assert (small.rooms.key_files.granted(), small.rooms.key_files.rotation()) == ((small.actor.staff_id,), None)
        small.rooms.close()
    assert call > 20
    _all_is_well(small)
