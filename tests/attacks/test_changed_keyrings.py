"""An insider with catalogue and store names a recipient of their own, lets the archive seal, and puts all back.

What is sealed goes by the statement that the log's keys signed; whatever else says otherwise is named, and a recipient
too many shows without a key for ever.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from archive.age.keyring import Keyring, seal_identity
from archive.age.recipients import KeyIdentity, KeyKind, generate_identity
from archive.age.stream import open_bytes, seal_bytes
from archive.catalogue.accounts import list_staff, organisation
from archive.catalogue.models import DisclosureRow
from archive.errors import ConflictError, IntegrityError, LockedError
from archive.keyfiles import KeyFiles
from archive.types import OwnerKind, Role, StaffId
from commands.drop_rooms import DropRooms
from custody.accounts import admit, as_actor, dismiss
from custody.drafts import Draft
from custody.entries import EventKind
from custody.keyrings import Keyrings, KeyringStatement
from custody.rotation import rotate
from custody.signed_note import KeyType, SigningKey
from ingest.choices import Choice, record_more
from ingest.droplinks import Terms
from ingest.reconciliation import ImportRequest
from tests.archives import PASSPHRASE, SmallArchive, bring_back
from tests.attacks.insider import Insider, audit
from tests.way_in import WayIn

STRANGER = generate_identity(KeyKind.X25519)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


def slip_in(home: Path, column: str) -> Callable[[], None]:
    """Add the stranger to a keyring of the row; return what puts the row back."""
    insider = Insider(home)
    more = f"# part: backup\n{STRANGER.recipient}\n"
    with insider.sql() as sql:
        (old,) = sql.execute(f"SELECT {column} FROM organisation").fetchone()  # noqa: S608 - ours
        sql.execute(f"UPDATE organisation SET {column} = {column} || ?", (more,))  # noqa: S608 - ours

    def put_back() -> None:
        with insider.sql() as sql:
            sql.execute(f"UPDATE organisation SET {column} = ?", (old,))  # noqa: S608 - ours

    insider.close()
    return put_back


def slip_into_generation(home: Path) -> Callable[[], None]:
    path = home / "keys" / "generation.json"
    old = path.read_bytes()
    value = json.loads(old)
    value["keyring"] += f"# part: backup\n{STRANGER.recipient}\n"
    path.write_text(json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n")

    def put_back() -> None:
        path.write_bytes(old)

    return put_back


def opened_by(key: KeyIdentity, archive: SmallArchive) -> list[bytes]:
    """Give what a key opens of all that the log keeps closed."""
    with archive.rooms.database.reading() as session:
        sealed = [row.sealed for row in session.query(DisclosureRow)]
    opened = []
    for each in sealed:
        try:
            opened.append(open_bytes(each, [key]))
        except LockedError:
            continue
    return opened


def named(home: Path, keys: dict[UUID, KeyIdentity] | None = None) -> dict[str, str]:
    return {found.subject: found.code for found in audit(home, keys=keys) if not found.is_expected}


def take_in(archive: WayIn, folder: Path, **more: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "note.txt").write_bytes(b"a note\n")
    request = ImportRequest(source=folder, incident=archive.raid, actor=archive.actor, claims={}, **more)
    batch = archive.rooms.batch_import.begin(request)
    archive.rooms.batch_import.run(batch, request, lambda _: None)


def test_a_stranger_in_the_row_of_counsels_keyring_gets_no_custodians_name(archive: WayIn, tmp_path: Path) -> None:
    counsel = archive.founded.counsel
    assert counsel is not None
    put_back = slip_in(archive.home, "identity_keyring")
    take_in(archive, tmp_path / "card", custodian="M. Rivera")
    assert named(archive.home) == {"keys": "custody/keyring-differs"}, "while it is changed, anybody finds it"
    put_back()
    assert opened_by(STRANGER, archive) == []
    assert len(opened_by(counsel, archive)) == 1
    assert named(archive.home) == {}


def test_a_stranger_in_the_row_of_counsels_keyring_gets_no_senders_contact(archive: WayIn) -> None:
    drop = DropRooms(archive.rooms)
    visit, _ = drop.visits.begin(b"t" * 32, drop.links.give(archive.actor, archive.raid.number, Terms())[1])
    slip_in(archive.home, "identity_keyring")
    with archive.rooms.ledger.transaction() as transaction:
        record_more(transaction, visit, Choice(rung=None, language="en", contact="213 555 0199"))
    assert opened_by(STRANGER, archive) == []
    assert archive.founded.counsel is not None
    assert len(opened_by(archive.founded.counsel, archive)) == 1


def test_a_stranger_in_row_and_generation_gets_no_key_and_nothing_is_taken_in(archive: WayIn, tmp_path: Path) -> None:
    before = archive.rooms.key_files.list()
    back = slip_in(archive.home, "vault_keyring"), slip_into_generation(archive.home)
    with pytest.raises(ConflictError, match="keyring has changed"):
        take_in(archive, tmp_path / "card")
    assert str(STRANGER.recipient) not in DropRooms(archive.rooms)._seal_to(), "phones are not told of it either"
    assert archive.rooms.key_files.list() == before
    assert named(archive.home)["keys"] == "custody/keyring-differs"
    for put_back in back:
        put_back()
    take_in(archive, tmp_path / "card")
    assert set(named(archive.home).values()) == {"custody/orphan-object"}, "what the refused one had stored"


def test_a_stranger_in_the_row_of_the_staff_compartment_gets_nothing_of_any_entry(archive: WayIn) -> None:
    with Insider(archive.home).sql() as sql:
        (old,) = sql.execute("SELECT staff_recipient FROM organisation").fetchone()
        sql.execute("UPDATE organisation SET staff_recipient = ?", (str(STRANGER.recipient),))
    archive.incident("meanwhile")
    archive.publish()
    assert named(archive.home) == {"keys": "custody/keyring-differs"}
    with Insider(archive.home).sql() as sql:
        sql.execute("UPDATE organisation SET staff_recipient = ?", (old,))
    assert opened_by(STRANGER, archive) == []
    assert named(archive.home) == {}


@pytest.mark.parametrize("deed", ["role", "reopened", "slipped in"])
def test_what_was_done_under_an_account_that_was_changed_and_put_back_is_named_at_its_entry(
    archive: WayIn, deed: str
) -> None:
    rooms = archive.rooms
    added = admit(rooms.ledger, rooms.key_files, archive.actor, os_user="ortiz", role=Role.OBSERVER, copy=None,
                  new_id=rooms.new_id)  # fmt: skip
    if deed == "reopened":
        dismiss(rooms.ledger, rooms.key_files, archive.actor, name=added.pseudonym)
    column, there, back = {
        "role": ("role", "coordinator", "observer"),
        "reopened": ("state", "active", "dismissed"),
        "slipped in": ("pseudonym", "staff-ffffff", added.pseudonym),
    }[deed]
    with Insider(archive.home).sql() as sql:
        sql.execute(f"UPDATE staff SET {column} = ? WHERE id = ?", (there, added.id.hex))  # noqa: S608 - ours
    with rooms.database.reading() as session:
        acting = as_actor(next(each for each in list_staff(session) if each.id == added.id))
    seq = rooms.ledger.record(Draft(event=EventKind.BACKUP, actor=acting, values=(("purpose", "backup"),))).seq
    archive.publish()
    with Insider(archive.home).sql() as sql:
        sql.execute(f"UPDATE staff SET {column} = ? WHERE id = ?", (back, added.id.hex))  # noqa: S608 - ours
    keys = Insider(archive.home).owner_keys()
    found = {each.subject: each.code for each in audit(archive.home, keys=keys) if not each.is_expected}
    code = "custody/account-unknown" if deed == "slipped in" else "custody/account-differs"
    assert found == {f"entry {seq}": code}


def test_a_rotation_takes_over_no_recipient_from_a_changed_row(archive: WayIn) -> None:
    slip_in(archive.home, "vault_keyring")
    with pytest.raises(IntegrityError) as refused:
        rotate(archive.rooms.ledger, archive.rooms.key_files, archive.actor, passphrase=PASSPHRASE)
    assert refused.value.code == "keys/row-differs"


def _rotated(archive: WayIn, *, is_restored: bool = False) -> None:
    rooms = archive.rooms
    rotate(rooms.ledger, rooms.key_files, archive.actor, passphrase=PASSPHRASE, is_restored=is_restored)


@pytest.mark.parametrize("older", ["keys", "catalogue"])
def test_after_a_restore_of_parts_of_different_days_a_rotation_goes_on_when_it_is_told_so(
    archive: WayIn, older: str, tmp_path: Path
) -> None:
    archive.rooms.close()
    shutil.copytree(archive.home, tmp_path / "then")
    archive.reopen()
    _rotated(archive)
    archive.rooms.close()
    bring_back(archive.home, tmp_path / "then", *(("keys",) if older == "keys" else ("catalogue.sqlite", "store")))
    archive.reopen()
    assert named(archive.home) == {"keys": "custody/keyring-differs"}
    with pytest.raises(IntegrityError, match="--restored") as refused:
        _rotated(archive)
    assert refused.value.code == "keys/row-differs"
    _rotated(archive, is_restored=True)
    archive.publish()
    assert named(archive.home) == {}
    assert named(archive.home, Insider(archive.home).owner_keys()) == {}
    archive.incident("after it")


@pytest.mark.parametrize("step", ["rewrap_all", "_rewrap_group", "promote"])
def test_a_rotation_that_was_broken_off_goes_on_beside_a_catalogue_of_before_it(
    archive: WayIn, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.rooms.close()
    shutil.copytree(archive.home, tmp_path / "then")
    archive.reopen()
    whole = getattr(KeyFiles, step)

    def broken(*given: Any, **named: Any) -> Any:
        if step == "_rewrap_group":
            whole(*given, **named)
        raise RuntimeError("the power is gone")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power is gone"):
        patch.setattr(KeyFiles, step, broken)
        _rotated(archive)
    archive.rooms.close()
    bring_back(archive.home, tmp_path / "then", "catalogue.sqlite", "store")
    archive.reopen()
    with pytest.raises(IntegrityError, match="--restored"):
        _rotated(archive)
    _rotated(archive, is_restored=True)
    archive.publish()
    assert named(archive.home) == {}
    assert named(archive.home, Insider(archive.home).owner_keys()) == {}
    archive.incident("after it")


def test_a_rotation_takes_no_recipient_of_counsel_from_a_row_that_is_called_restored(archive: WayIn) -> None:
    slip_in(archive.home, "identity_keyring")
    with pytest.raises(IntegrityError, match="row was changed"):
        rotate(archive.rooms.ledger, archive.rooms.key_files, archive.actor, passphrase=PASSPHRASE, is_restored=True)


def test_a_next_office_key_that_a_copy_kept_of_an_ended_rotation_is_not_rotated_to(archive: WayIn) -> None:
    staff_id = StaffId(archive.actor.staff_id)
    held = archive.rooms.key_files.open_copy(staff_id, PASSPHRASE)
    archive.rooms.key_files.prepare(staff_id, held, PASSPHRASE)
    rotate(archive.rooms.ledger, archive.rooms.key_files, archive.actor, passphrase=PASSPHRASE)
    assert str(archive.rooms.key_files.open_copy(staff_id, PASSPHRASE).recipient) != str(held.recipient)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rotation_broken_off_at_its_statement_goes_on(
    archive: WayIn, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = KeyringStatement.state

    def broken(self: KeyringStatement, keyrings: Keyrings) -> None:
        if when == "after":
            state(self, keyrings)
        raise OSError("the power is gone")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="power is gone"):
        patch.setattr(KeyringStatement, "state", broken)
        rotate(archive.rooms.ledger, archive.rooms.key_files, archive.actor, passphrase=PASSPHRASE)
    archive.reopen()
    rotate(archive.rooms.ledger, archive.rooms.key_files, archive.actor, passphrase=PASSPHRASE)
    assert named(archive.home) == {}
    office = archive.rooms.key_files.open_copy(StaffId(archive.actor.staff_id), PASSPHRASE)
    with archive.rooms.database.reading() as session:
        row = Keyring.parse(organisation(session).vault_keyring)
    assert row == archive.rooms.ledger.keyrings.standing().vault
    assert row.part_of(office.recipient) == "office"
    archive.incident("after it")


@pytest.mark.parametrize("deed", ["gone", "torn", "altered", "signed by another"])
def test_without_the_statement_nothing_is_sealed_and_the_audit_says_so(archive: WayIn, deed: str) -> None:
    statement = archive.home / "keys" / "keyrings.note"
    match deed:
        case "gone":
            statement.unlink()
        case "torn":
            statement.write_bytes(statement.read_bytes()[:40])
        case "altered":
            mine = f"# part: backup\\n{STRANGER.recipient}\\n"
            text = statement.read_text().replace('","v":1', mine + '","v":1')
            assert mine in text
            statement.write_text(text)
        case "signed by another":
            stated = archive.rooms.ledger.keyrings.standing()
            keys = [SigningKey.generate(archive.rooms.settings.archive.origin, kind) for kind in KeyType]
            KeyringStatement(archive.home / "keys", keys).state(replace(stated, identity=stated.vault))
    with pytest.raises(IntegrityError) as refused:
        archive.incident("not opened")
    code = "keys/no-keyring-statement" if deed == "gone" else "keys/bad-keyring-statement"
    assert refused.value.code == code
    assert named(archive.home) == {"keys": code}


def test_rebuilding_from_the_log_states_the_keyrings_anew(archive: WayIn) -> None:
    from commands.rebuild import _state_keyrings

    stated = archive.rooms.ledger.keyrings.standing()
    (archive.home / "keys" / "keyrings.note").unlink()
    _state_keyrings(archive.rooms)
    assert archive.rooms.ledger.keyrings.standing() == stated


def test_a_key_file_with_a_recipient_too_many_is_named_without_a_key(archive: WayIn) -> None:
    (item,) = archive.receive(archive.raid, [("a.jpg", b"a photo")])
    vault = Keyring.parse(archive.founded.organisation.vault_keyring)
    sealed = seal_identity(archive.key_of(item.id), [*vault.recipients, STRANGER.recipient])
    (archive.home / "keys" / f"{item.id}.age").write_bytes(sealed)
    assert named(archive.home) == {item.number: "custody/key-sealed-to-others"}


@pytest.mark.parametrize("kind", [OwnerKind.IDENTITY, OwnerKind.SENDER])
def test_a_value_with_a_recipient_too_many_is_named_by_its_entry_without_a_key(archive: WayIn, kind: OwnerKind) -> None:
    if kind is OwnerKind.IDENTITY:
        archive.told_by_counsels_client("M. Rivera")
    else:
        DropRooms(archive.rooms).links.give(archive.actor, archive.raid.number, Terms(label="Ana"))
    archive.publish()
    with Insider(archive.home).sql() as sql:
        query = "SELECT id, first FROM disclosure WHERE owner_kind = ? ORDER BY id DESC"
        number, seq = sql.execute(query, (str(kind),)).fetchone()
        both = [generate_identity(KeyKind.X25519).recipient, STRANGER.recipient]
        sql.execute("UPDATE disclosure SET sealed = ? WHERE id = ?", (seal_bytes(b"{}", both), number))
    codes = {(found.subject, found.code) for found in audit(archive.home) if not found.is_expected}
    assert (f"entry {seq}", "custody/value-sealed-to-others") in codes
