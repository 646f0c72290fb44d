"""Key files: made together, gone when destroyed, rewritten by rotation through any crash; staff copies."""

import errno
import json
import os
import shutil
import stat
import subprocess
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from archive.age.keyring import Keyring, open_identity
from archive.age.recipients import KeyIdentity, KeyKind, generate_identity
from archive.errors import (
    ConflictError,
    InputError,
    IntegrityError,
    LockedError,
    NotFoundError,
    TestigoError,
    UnavailableError,
)
from archive.keyfiles import KeyFiles, strong_passphrase
from archive.types import Owner, OwnerKind, StaffId
from tests.killed import killed_at

_PASSPHRASE = "gravel lantern otter"
_OFFICE = generate_identity(KeyKind.X25519)
_RECOVERY = generate_identity(KeyKind.X25519)
_NEXT_OFFICE = generate_identity(KeyKind.X25519)
_KEYRING = Keyring(
    kind=KeyKind.X25519, recipients=(_OFFICE.recipient, _RECOVERY.recipient), parts=("office", "recovery")
)
_NEXT_KEYRING = Keyring(
    kind=KeyKind.X25519, recipients=(_NEXT_OFFICE.recipient, _RECOVERY.recipient), parts=("office", "recovery")
)


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return KeyFiles(tmp_path / "keys", work_factor=4)


def _item() -> Owner:
    return Owner(kind=OwnerKind.ITEM, id=uuid4())


def _opened(files: KeyFiles, owner_id: UUID, identity: KeyIdentity) -> str:
    return open_identity(files.read_sealed(owner_id), [identity]).secret_text()


@pytest.mark.parametrize("kind", KeyKind)
def test_a_key_is_kept_sealed_to_the_keyring_and_opens_with_each_member(tmp_path: Path, kind: KeyKind) -> None:
    office, recovery = generate_identity(kind), generate_identity(kind)
    files = KeyFiles(tmp_path / "keys", work_factor=4)
    owner = _item()
    key = files.create(owner, Keyring(kind=kind, recipients=(office.recipient, recovery.recipient)))
    assert key.recipient == str(key.identity.recipient)
    assert key.identity.kind is kind
    for member in (office, recovery):
        assert _opened(files, owner.id, member) == key.identity.secret_text()


def test_a_hundred_keys_are_made_together(files: KeyFiles, tmp_path: Path) -> None:
    owners = tuple(_item() for _ in range(100))
    keys = files.create_many(owners, _KEYRING)
    assert tuple(key.owner for key in keys) == owners
    assert files.list() == tuple(sorted(owner.id for owner in owners))
    assert len({key.recipient for key in keys}) == 100
    assert not list((tmp_path / "keys").glob(".partial-*"))


def test_key_files_are_for_their_system_user_alone(files: KeyFiles, tmp_path: Path) -> None:
    owner = _item()
    files.create(owner, _KEYRING)
    files.grant(StaffId(uuid4()), _OFFICE, _PASSPHRASE)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "keys").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_no_secret_stands_in_a_repr_or_in_the_folder(files: KeyFiles, tmp_path: Path) -> None:
    key = files.create(_item(), _KEYRING)
    files.grant(StaffId(uuid4()), _OFFICE, _PASSPHRASE)
    for secret in (key.identity.secret_text(), _OFFICE.secret_text()):
        assert secret not in repr(key)
        for path in (tmp_path / "keys").rglob("*.*"):
            assert secret.encode() not in path.read_bytes()


def test_an_owner_that_has_a_key_keeps_it(files: KeyFiles) -> None:
    owner, other = _item(), _item()
    key = files.create(owner, _KEYRING)
    with pytest.raises(ConflictError) as refused:
        files.create_many((other, owner), _KEYRING)
    assert refused.value.code == "keys/already-there"
    assert files.list() == (owner.id,)
    assert _opened(files, owner.id, _OFFICE) == key.identity.secret_text()


def test_a_key_that_is_not_here_is_not_found(files: KeyFiles) -> None:
    with pytest.raises(NotFoundError) as refused:
        files.read_sealed(uuid4())
    assert refused.value.code == "keys/no-such-key"
    assert files.list() == ()


def test_a_destroyed_key_leaves_no_version_behind(files: KeyFiles, tmp_path: Path) -> None:
    owner, other = _item(), _item()
    files.create_many((owner, other), _KEYRING)
    sealed = files.read_sealed(owner.id)
    (tmp_path / "keys" / f"{owner.id}.age~").write_bytes(sealed)
    (tmp_path / "keys" / ".partial-leftofakilledwriter").write_bytes(sealed)
    files.destroy(owner.id)
    files.destroy(owner.id)
    assert files.list() == (other.id,)
    assert all(sealed != path.read_bytes() for path in (tmp_path / "keys").iterdir() if path.is_file())


def test_the_folder_says_which_keyring_its_keys_are_sealed_to(files: KeyFiles) -> None:
    assert files.generation() is None
    files.create(_item(), _KEYRING)
    generation = files.generation()
    assert generation is not None
    assert (generation.number, generation.keyring) == (1, _KEYRING)


def test_a_key_for_another_keyring_than_the_folders_is_refused(files: KeyFiles) -> None:
    files.create(_item(), _KEYRING)
    with pytest.raises(ConflictError) as refused:
        files.create(_item(), _NEXT_KEYRING)
    assert refused.value.code == "keys/keyring-changed"
    assert len(files.list()) == 1


def test_rotation_closes_every_key_to_the_old_office_key(files: KeyFiles) -> None:
    keys = files.create_many(tuple(_item() for _ in range(7)), _KEYRING)
    done = files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING)
    assert (done.rewritten, done.already, done.generation) == (7, 0, 2)
    for key in keys:
        assert _opened(files, key.owner.id, _NEXT_OFFICE) == key.identity.secret_text()
        assert _opened(files, key.owner.id, _RECOVERY) == key.identity.secret_text()
        with pytest.raises(LockedError):
            _opened(files, key.owner.id, _OFFICE)
    assert files.rotation() is None
    again = files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING)
    assert (again.rewritten, again.already, again.generation) == (0, 7, 2)


def test_a_grant_adds_a_reader_without_touching_the_others(files: KeyFiles) -> None:
    key = files.create(_item(), _KEYRING)
    added = generate_identity(KeyKind.X25519)
    wider = Keyring(kind=KeyKind.X25519, recipients=(*_KEYRING.recipients, added.recipient))
    files.rewrap_all(_RECOVERY, old=_KEYRING, new=wider)
    for member in (_OFFICE, _RECOVERY, added):
        assert _opened(files, key.owner.id, member) == key.identity.secret_text()


def test_rotation_does_not_change_the_kind_of_keys(files: KeyFiles) -> None:
    hybrid = Keyring(kind=KeyKind.HYBRID, recipients=(generate_identity(KeyKind.HYBRID).recipient,))
    with pytest.raises(InputError) as refused:
        files.rewrap_all(_OFFICE, old=_KEYRING, new=hybrid)
    assert refused.value.code == "keys/kind-change"


def test_a_key_that_does_not_open_keeps_the_rotation_open_and_is_named(files: KeyFiles, tmp_path: Path) -> None:
    keys = files.create_many(tuple(_item() for _ in range(3)), _KEYRING)
    damaged = tmp_path / "keys" / f"{keys[1].owner.id}.age"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(IntegrityError) as refused:
        files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING)
    assert refused.value.code == "keys/not-rewrapped"
    assert refused.value.evidence["owners"] == (str(keys[1].owner.id),)
    assert files.rotation() is not None
    damaged.write_bytes(whole)
    assert files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING).rewritten == 1
    assert files.rotation() is None


def test_an_unfinished_rotation_is_finished_before_another_begins(files: KeyFiles, tmp_path: Path) -> None:
    key = files.create(_item(), _KEYRING)
    (tmp_path / "keys" / f"{key.owner.id}.age").write_bytes(b"damaged")
    with pytest.raises(IntegrityError):
        files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING)
    third = Keyring(kind=KeyKind.X25519, recipients=(generate_identity(KeyKind.X25519).recipient,))
    with pytest.raises(ConflictError) as refused:
        files.rewrap_all(_OFFICE, old=_KEYRING, new=third)
    assert refused.value.code == "keys/rotation-unfinished"


def test_what_opens_every_generation_takes_the_place_of_an_unfinished_rotation(files: KeyFiles, tmp_path: Path) -> None:
    keys = files.create_many(tuple(_item() for _ in range(2)), _KEYRING)
    path = tmp_path / "keys" / f"{keys[0].owner.id}.age"
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.raises(IntegrityError):
        files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING)
    path.write_bytes(whole)
    third = generate_identity(KeyKind.X25519)
    keyring = Keyring(kind=KeyKind.X25519, recipients=(third.recipient, _RECOVERY.recipient))
    done = files.rewrap_all(_RECOVERY, old=None, new=keyring)
    assert (done.rewritten, done.already, done.generation, files.rotation()) == (2, 0, 3, None)
    for key in keys:
        assert _opened(files, key.owner.id, third) == key.identity.secret_text()
        for gone in (_OFFICE, _NEXT_OFFICE):
            with pytest.raises(LockedError):
                _opened(files, key.owner.id, gone)


def test_a_key_made_during_a_rotation_is_of_the_new_keyring_and_is_left_alone(files: KeyFiles, tmp_path: Path) -> None:
    old = files.create(_item(), _KEYRING)
    path = tmp_path / "keys" / f"{old.owner.id}.age"
    sealed = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.raises(IntegrityError):
        files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING)
    with pytest.raises(ConflictError) as refused:
        files.create(_item(), _KEYRING)
    assert refused.value.code == "keys/keyring-changed"
    meanwhile = files.create(_item(), _NEXT_KEYRING)
    path.write_bytes(sealed)
    done = files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING)
    assert (done.rewritten, done.already) == (1, 1)
    for key in (old, meanwhile):
        assert _opened(files, key.owner.id, _NEXT_OFFICE) == key.identity.secret_text()


def test_a_rotation_killed_at_any_moment_goes_on_and_loses_no_key(tmp_path: Path) -> None:
    pristine = KeyFiles(tmp_path / "pristine", work_factor=4)
    keys = pristine.create_many(tuple(_item() for _ in range(2)), _KEYRING)
    call = 0
    died = True
    while died:
        call += 1
        root = tmp_path / f"killed-{call}"
        shutil.copytree(tmp_path / "pristine", root)
        files = KeyFiles(root, work_factor=4)
        died = killed_at(call, partial(files.rewrap_all, _OFFICE, old=_KEYRING, new=_NEXT_KEYRING))
        for key in keys:
            sealed = files.read_sealed(key.owner.id)
            assert open_identity(sealed, [_OFFICE, _NEXT_OFFICE]).secret_text() == key.identity.secret_text()
        files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING)
        for key in keys:
            assert _opened(files, key.owner.id, _NEXT_OFFICE) == key.identity.secret_text()
        generation = files.generation()
        assert generation is not None
        assert (generation.number, files.rotation()) == (2, None)
        assert not list(root.glob(".partial-*"))
    assert call > 15


def test_making_keys_killed_at_any_moment_leaves_whole_files_or_none(tmp_path: Path) -> None:
    owners = tuple(_item() for _ in range(2))
    call, died = 0, True
    while died:
        call += 1
        files = KeyFiles(tmp_path / f"killed-{call}", work_factor=4)
        died = killed_at(call, partial(files.create_many, owners, _KEYRING))
        for owner_id in files.list():
            open_identity(files.read_sealed(owner_id), [_OFFICE])
        files.create(_item(), _KEYRING)
    assert call > 8


def test_a_torn_last_line_of_the_journal_is_as_if_it_was_never_written(files: KeyFiles, tmp_path: Path) -> None:
    keys = files.create_many(tuple(_item() for _ in range(2)), _KEYRING)
    path = tmp_path / "keys" / f"{keys[0].owner.id}.age"
    sealed = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.raises(IntegrityError):
        files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING)
    path.write_bytes(sealed)
    with (tmp_path / "keys" / "rotation.jsonl").open("ab") as journal:
        journal.write(json.dumps({"owner": str(keys[0].owner.id)})[:30].encode())
    assert files.rewrap_all(_OFFICE, old=_KEYRING, new=_NEXT_KEYRING).rewritten == 1
    assert _opened(files, keys[0].owner.id, _NEXT_OFFICE) == keys[0].identity.secret_text()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"generation":0,"keyring":"","v":1}', "\x00", '{"v":1}\n'])
def test_a_damaged_generation_file_stops_everything(files: KeyFiles, tmp_path: Path, text: str) -> None:
    files.create(_item(), _KEYRING)
    (tmp_path / "keys" / "generation.json").write_text(text)
    with pytest.raises(IntegrityError) as refused:
        files.create(_item(), _KEYRING)
    assert refused.value.code == "keys/bad-generation"


def test_each_person_opens_their_own_copy_of_the_office_key(files: KeyFiles) -> None:
    ana, ben = StaffId(uuid4()), StaffId(uuid4())
    files.grant(ana, _OFFICE, _PASSPHRASE)
    files.grant(ben, _OFFICE, "quite another passphrase")
    assert files.open_copy(ana, _PASSPHRASE).secret_text() == _OFFICE.secret_text()
    assert files.open_copy(ben, "quite another passphrase").secret_text() == _OFFICE.secret_text()
    assert set(files.granted()) == {ana, ben}
    files.revoke(ana)
    assert files.granted() == (ben,)
    with pytest.raises(NotFoundError) as refused:
        files.open_copy(ana, _PASSPHRASE)
    assert refused.value.code == "keys/no-such-copy"


def test_a_wrong_passphrase_opens_nothing(files: KeyFiles) -> None:
    ana = StaffId(uuid4())
    files.grant(ana, _OFFICE, _PASSPHRASE)
    with pytest.raises(LockedError) as refused:
        files.open_copy(ana, _PASSPHRASE + "s")
    assert refused.value.code == "keys/wrong-passphrase"
    assert _PASSPHRASE not in str(refused.value)


def test_a_damaged_copy_is_not_called_a_wrong_passphrase(files: KeyFiles, tmp_path: Path) -> None:
    ana = StaffId(uuid4())
    files.grant(ana, _OFFICE, _PASSPHRASE)
    copy = tmp_path / "keys" / "staff" / f"{ana}.age"
    octets = copy.read_bytes()
    copy.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
    with pytest.raises(TestigoError) as refused:
        files.open_copy(ana, _PASSPHRASE)
    assert refused.value.code == "age/chunk-failed"


def test_accents_mean_the_same_however_the_keyboard_writes_them(files: KeyFiles) -> None:
    ana = StaffId(uuid4())
    files.grant(ana, _OFFICE, "cami\u00f3n de la ma\u00f1ana")
    assert files.open_copy(ana, "camio\u0301n de la man\u0303ana").secret_text() == _OFFICE.secret_text()


@pytest.mark.parametrize("weak", ["", "short", "elevenchars", "a b c d", "            " * 3])
def test_a_weak_passphrase_is_refused(files: KeyFiles, weak: str) -> None:
    with pytest.raises(InputError) as refused:
        files.grant(StaffId(uuid4()), _OFFICE, weak)
    assert refused.value.code == "keys/weak-passphrase"
    assert files.granted() == ()


@pytest.mark.parametrize("strong", ["twelve chars", "a b c de f"])
def test_twelve_characters_or_five_words_are_enough(strong: str) -> None:
    assert strong_passphrase(strong) == strong


def test_an_age_client_opens_a_key_file(files: KeyFiles, tmp_path: Path) -> None:
    if shutil.which("age") is None:
        pytest.skip("the program age is not installed")
    key = files.create(_item(), _KEYRING)
    identity = tmp_path / "recovery"
    identity.write_text(_RECOVERY.secret_text() + "\n")
    opened = subprocess.run(
        ["age", "-d", "-i", str(identity), str(tmp_path / "keys" / f"{key.owner.id}.age")],
        capture_output=True,
        check=True,
    ).stdout
    assert opened == key.identity.secret_text().encode() + b"\n"


def test_the_folder_of_keys_is_asked_again_because_a_stopped_file_system_says_yes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An XFS that has stopped answers fsync of a folder with 0 and fstat with EIO."""
    files = KeyFiles(tmp_path / "keys", work_factor=4)
    files.create(_item(), _KEYRING)
    fstat = os.fstat

    def stopped(fd: int) -> os.stat_result:
        found = fstat(fd)
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EIO, "stopped")
        return found

    monkeypatch.setattr(os, "fstat", stopped)
    for act in (lambda: files.create(_item(), _KEYRING), lambda: files.destroy(uuid4())):
        with pytest.raises(UnavailableError) as told:
            act()
        assert told.value.code == "archive/store-failing"
