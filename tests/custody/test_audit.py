"""The audit: what is right is counted, what is not is named, what cannot be told is said; and it never stops early."""

import io
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from archive.access import Action
from archive.age.recipients import KeyIdentity, KeyKind, generate_identity
from archive.age.stream import seal_bytes
from archive.catalogue.models import EntryRow
from archive.catalogue.records import Incident, Item
from archive.errors import LockedError, UnavailableError
from archive.types import Finding, Role
from custody.accounts import admit, as_actor
from custody.audit_full import FullCheck
from custody.audit_keys import AuditKeys
from custody.audit_objects import ORPHAN_KEY, ORPHAN_OBJECT
from custody.audit_opened import ReceivedFixity
from custody.audit_recorded import Spoken
from custody.entries import Entry, EventKind
from custody.findings import Found, entries, ranges
from custody.sweep import Orphans, sweep
from tests.archives import SmallArchive
from tests.attacks.insider import Insider, audit
from tests.export.packet_archive import authority_settings
from tests.running_authority import StartAuthority

pytest_plugins = ("tests.authority_fixture",)


@dataclass(frozen=True)
class Whole:
    """An archive in good order, closed; each test spoils a copy."""

    home: Path
    incident: Incident
    items: tuple[Item, ...]
    keys: dict[UUID, KeyIdentity]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    home = tmp_path_factory.mktemp("audit") / "home"
    with SmallArchive(home) as archive:
        incident = archive.incident()
        items = archive.receive(incident, [(f"{n}.jpg", bytes([n]) * 900) for n in range(3)])
        archive.rooms.acts.place_hold(archive.actor, items[0], title="Doe v. Noem", trigger="filed_case")
        archive.touch(items[1:])
        archive.told_by_counsels_client("M. Rivera")
        archive.publish()
        keys = Insider(home).owner_keys()
    return Whole(home=home, incident=incident, items=tuple(items), keys=keys)


@pytest.fixture
def insider(whole: Whole, tmp_path: Path) -> Iterator[Insider]:
    shutil.copytree(whole.home, tmp_path / "home")
    made = Insider(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as made:
        yield made


def wrong(found: Sequence[Found]) -> dict[str, str]:
    """Subjects and codes of whatever is reason for alarm."""
    return {each.subject: each.code for each in found if not each.is_expected}


def test_an_archive_in_good_order_matches_and_is_counted(whole: Whole, insider: Insider) -> None:
    found = audit(insider.home, keys=whole.keys)
    assert wrong(found) == {}
    counts = {each.words: each.count for each in found if each.finding is Finding.MATCHES}
    assert counts["entries stand as they were written"] == 8
    assert counts["objects have the digest that is their name"] == 3
    assert counts["owners have their key files"] == 5
    assert counts["items have an unbroken run of entries"] == 3
    assert counts["rows of the catalogue are what the log says"] == 10


def test_what_is_sealed_to_counsel_is_said_and_is_no_alarm(whole: Whole, insider: Insider) -> None:
    found = audit(insider.home, keys=whole.keys)
    assert [each.code for each in found if each.finding is Finding.CANNOT_TELL] == ["custody/closed-to-office"]


@pytest.mark.parametrize(
    ("change", "subject", "column"),
    [
        ("UPDATE item SET received_time = received_time - 1 WHERE number LIKE '%2'", "E-2026-00002", "received_time"),
        ("UPDATE item SET recipient = 'age1other' WHERE number LIKE '%3'", "E-2026-00003", "recipient"),
        ("UPDATE item SET content_mac = NULL WHERE number LIKE '%1'", "E-2026-00001", "content_mac"),
        ("UPDATE item SET size = 'many' WHERE number LIKE '%1'", "E-2026-00001", "size"),
        ("UPDATE item SET record_seq = 5 WHERE number LIKE '%1'", "E-2026-00001", "record_seq"),
        ("UPDATE object SET purpose = 'preview'", "E-2026-00002", "purpose"),
        ("UPDATE incident SET status = 'closed'", "I-2026-0001", "status"),
        ("UPDATE hold SET status = 'lifted'", "H-2026-0001", "status"),
        ("UPDATE organisation SET origin = 'elsewhere'", "organisation", "origin"),
    ],
)
def test_a_row_changed_behind_the_logs_back_is_named_with_its_column(
    whole: Whole, insider: Insider, change: str, subject: str, column: str
) -> None:
    with insider.sql() as sql:
        sql.execute(change)
    found = audit(insider.home, keys=whole.keys)
    named = [each for each in found if each.code == "custody/row-differs" and each.evidence["column"] == column]
    assert any(subject in each.subject for each in named), wrong(found)
    assert all(each.finding is Finding.DOES_NOT_MATCH for each in named)


@pytest.mark.parametrize("column", ["id", "owner_id", "signed_time", "leaf"])
def test_a_value_that_its_column_cannot_hold_is_found_and_stops_nothing(
    whole: Whole, insider: Insider, column: str
) -> None:
    with insider.sql() as sql:
        match column:
            case "id":
                sql.execute("UPDATE item SET id = 'no id at all' WHERE number LIKE '%1'")
            case "owner_id":
                sql.execute("UPDATE disclosure SET owner_id = 17 WHERE id = 3")
            case "signed_time":
                sql.execute("UPDATE checkpoint SET signed_time = 'yesterday'")
            case "leaf":
                sql.execute("UPDATE entry SET leaf = 42 WHERE seq = 3")
    found = audit(insider.home, keys=whole.keys)
    assert any(each.finding is Finding.DOES_NOT_MATCH for each in found)
    assert any(each.words == "objects have the digest that is their name" for each in found)


def test_a_row_that_was_removed_and_one_that_was_added_are_named(whole: Whole, insider: Insider) -> None:
    with insider.sql() as sql:
        sql.execute("DELETE FROM hold")
        columns = "organisation_id, pseudonym || '-2', 'attorney', state, account_mac, record_seq"
        sql.execute(f"INSERT INTO staff SELECT ?, {columns} FROM staff", (uuid4().hex,))  # noqa: S608 - our own text
    found = wrong(audit(insider.home, keys=whole.keys))
    assert found["H-2026-0001"] == "custody/row-missing"
    assert "custody/row-unfounded" in found.values()


def test_lost_guards_are_named_and_the_audit_goes_on(whole: Whole, insider: Insider) -> None:
    with insider.sql(guards_back=False):
        pass
    found = audit(insider.home, keys=whole.keys)
    assert wrong(found) == {"catalogue": "archive/guards-missing"}
    assert sum(each.finding is Finding.MATCHES for each in found) > 5


def test_a_damaged_a_missing_and_a_foreign_object_are_told_apart(insider: Insider) -> None:
    objects = sorted((insider.home / "store" / "objects").rglob("*.age"))
    damaged, missing = objects[0], objects[1]
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    missing.unlink()
    foreign = insider.rooms.store
    name = "objects/ab/cd/" + "abcd" + "0" * 60 + ".age"
    foreign.put(name, b"age-encryption.org/v1\nnobody knows")
    found = audit(insider.home)
    assert sorted(wrong(found).values()) == ["custody/object-damaged", "custody/object-missing", ORPHAN_OBJECT]
    assert {subject for subject, code in wrong(found).items() if code == ORPHAN_OBJECT} == {name}
    assert all(subject.startswith("E-2026-") for subject, code in wrong(found).items() if code != ORPHAN_OBJECT)


def test_a_missing_and_an_extra_key_are_named_and_an_item_that_nobody_destroyed(whole: Whole, insider: Insider) -> None:
    (insider.home / "keys" / f"{whole.items[0].id}.age").unlink()
    stranger = uuid4()
    shutil.copy(insider.home / "keys" / f"{whole.items[1].id}.age", insider.home / "keys" / f"{stranger}.age")
    with insider.sql() as sql:
        sql.execute("UPDATE item SET state = 'destroyed' WHERE id = ?", (whole.items[2].id.hex,))
    assert wrong(audit(insider.home)) == {
        "E-2026-00001": "custody/key-missing",
        "E-2026-00003": "custody/destruction-unfounded",
        f"key {stranger}": ORPHAN_KEY,
    }


def test_a_lost_key_file_accuses_nobody_over_the_rows_that_it_keeps_shut(whole: Whole, insider: Insider) -> None:
    lost = whole.items[0].id
    (insider.home / "keys" / f"{lost}.age").unlink()
    found = audit(insider.home, keys={owner: key for owner, key in whole.keys.items() if owner != lost})
    named = [each for each in found if not each.is_expected]
    accused = {(each.subject, each.code) for each in named if each.finding is Finding.DOES_NOT_MATCH}
    assert accused == {("E-2026-00001", "custody/key-missing")}
    untold = {each.code for each in named if each.finding is Finding.CANNOT_TELL}
    assert untold == {"custody/row-unread", "custody/entries-unread"}


def test_a_row_changed_behind_the_logs_back_is_named_although_another_key_is_lost(
    whole: Whole, insider: Insider
) -> None:
    lost = whole.items[0].id
    with insider.sql() as sql:
        sql.execute("UPDATE item SET size = 1 WHERE number LIKE '%2'")
    found = wrong(audit(insider.home, keys={owner: key for owner, key in whole.keys.items() if owner != lost}))
    assert found["E-2026-00002"] == "custody/row-differs"


def test_a_recipient_slipped_into_the_keyring_is_noticed_without_a_key(insider: Insider) -> None:
    theirs = str(generate_identity(KeyKind.X25519).recipient)
    with insider.sql() as sql:
        sql.execute("UPDATE organisation SET vault_keyring = vault_keyring || ?", (f"# part: insider\n{theirs}\n",))
    assert wrong(audit(insider.home)) == {"keys": "custody/keyring-differs"}


def test_a_counter_set_forward_is_named_because_numbers_were_skipped(insider: Insider) -> None:
    with insider.sql() as sql:
        sql.execute("UPDATE number SET last = last + 1 WHERE kind = 'E'")
    assert wrong(audit(insider.home)) == {"numbers E-2026": "custody/counter-too-high"}


def test_a_counter_set_back_and_another_intake_key_are_named(whole: Whole, insider: Insider) -> None:
    with insider.sql() as sql:
        sql.execute("UPDATE number SET last = 1 WHERE kind = 'E'")
        sql.execute("UPDATE secret SET value = zeroblob(32)")
    assert wrong(audit(insider.home, keys=whole.keys)) == {
        "numbers E-2026": "custody/counter-too-low",
        "secret intake-key": "custody/row-differs",
    }


def test_sealed_values_removed_in_both_places_leave_commitments_that_nothing_opens(
    whole: Whole, insider: Insider
) -> None:
    with insider.sql() as sql:
        (row_id,) = sql.execute("SELECT max(id) FROM disclosure WHERE owner_kind = 'item'").fetchone()
        sql.execute("DELETE FROM disclosure WHERE id = ?", (row_id,))
    lines = insider.home / "store" / "log" / "disclosures"
    newest = max(lines.iterdir())
    newest.write_bytes(b"".join(line for line in newest.read_bytes().splitlines(True) if b'"item"' not in line))
    found = audit(insider.home, keys=whole.keys)
    assert any(each.code == "custody/value-missing" and each.subject == "entry 6" for each in found)


def test_values_sealed_anew_by_somebody_else_do_not_fit_their_commitments(whole: Whole, insider: Insider) -> None:
    recipient = whole.keys[whole.items[0].id].recipient
    with insider.sql() as sql:
        sql.execute(
            "UPDATE disclosure SET sealed = ? WHERE owner_kind = 'item' AND first = 2",
            (seal_bytes(b'{"entries":{"2":["bm9wZQ"]},"v":1}', [recipient]),),
        )
    found = audit(insider.home, keys=whole.keys)
    assert any(each.code == "custody/not-committed" and each.subject == "entry 2" for each in found)


def test_a_log_read_while_others_publish_is_of_one_moment(archive: SmallArchive) -> None:
    archive.receive(archive.incident(), [("a.jpg", b"a" * 100)])
    looker = archive.rooms.audit
    refusal = LockedError("archive/locked", "It is locked.")
    seen: list[str] = []

    def publish_meanwhile(part: str, *_: int) -> None:
        if not seen:
            seen.append(part)
            archive.rooms.ledger.record_refusal(archive.actor, Action.RECEIVE, refusal)

    found = looker.log(watch=publish_meanwhile)
    assert seen
    assert wrong(found) == {}


def test_entries_that_wait_for_their_checkpoint_are_said(archive: SmallArchive) -> None:
    items = archive.receive(archive.incident(), [("a.jpg", b"a" * 100)])
    archive.touch(items)
    found = archive.rooms.audit.log()
    assert wrong(found) == {}
    assert [each.subject for each in found if each.code == "custody/entries-unpublished"] == ["entry 3"]


# ── keys, full check, sweep ──────────────────────────────────────────────────────────────────────────────────────────


def opened(archive: SmallArchive, items: Sequence[UUID] | None = None) -> tuple[list[Found], list[Found]]:
    """Do what `verify --full` does with keys; return what the audit and what the full check found."""
    rooms = archive.rooms
    keyed = AuditKeys(database=rooms.database, vault=rooms.vault, ledger=rooms.ledger, actor=archive.actor)
    keys, found = keyed.unwrap(items)
    fixity: dict[UUID, ReceivedFixity] = {}
    found += rooms.audit.opened(keys, fixity, items=items)
    full = FullCheck(database=rooms.database, vault=rooms.vault, ledger=rooms.ledger, actor=archive.actor, threads=2)
    return found, list(full.run(keys, fixity, items=items, watch=lambda *_: None))


def last_entries(archive: SmallArchive, count: int) -> list[Entry]:
    size = archive.rooms.ledger.size()
    return [each.entry for each in archive.rooms.register.open(list(range(size - count, size)), {})]


def test_the_full_check_opens_every_original_and_enters_the_outcome(archive: SmallArchive) -> None:
    archive.receive(archive.incident(), [(f"{n}.jpg", bytes([n]) * 200_000) for n in range(3)])
    with archive.unlocked():
        found, full = opened(archive)
    assert wrong([*found, *full]) == {}
    assert [each.count for each in full] == [3]
    assert [(each.event, each.outcome) for each in last_entries(archive, 3)] == [
        (EventKind.FIXITY_CHECK, "success")
    ] * 3


def test_a_single_item_is_checked_with_its_own_key_alone(archive: SmallArchive) -> None:
    items = archive.receive(archive.incident(), [(f"{n}.jpg", bytes([n]) * 500) for n in range(3)])
    with archive.unlocked():
        found, full = opened(archive, [items[1].id])
    assert wrong([*found, *full]) == {}
    assert full[-1].count == 1
    with sqlite3.connect(archive.rooms.catalogue_path) as sql:
        query = "SELECT count(*) FROM entry_subject WHERE owner_id = ?"
        runs = [sql.execute(query, (item.id.hex,)).fetchone()[0] for item in items]
    assert runs == [1, 3, 1]


def test_originals_whose_records_were_exchanged_do_not_open_and_are_named(archive: SmallArchive) -> None:
    items = archive.receive(archive.incident(), [(f"{n}.jpg", bytes([n]) * 500) for n in range(3)])
    insider = Insider(archive.home)
    with insider.sql() as sql:
        rows = [
            sql.execute("SELECT blake3 FROM object WHERE item_id = ?", (each.id.hex,)).fetchone() for each in items[:2]
        ]
        sql.execute("UPDATE object SET blake3 = zeroblob(32) WHERE item_id = ?", (items[0].id.hex,))
        for item, row in ((items[1], rows[0]), (items[0], rows[1])):
            sql.execute("UPDATE object SET blake3 = ? WHERE item_id = ?", (*row, item.id.hex))
    with archive.unlocked():
        found, full = opened(archive)
    assert {each.subject for each in found if each.code == "custody/row-differs"} == {"E-2026-00001", "E-2026-00002"}
    assert wrong(full) == dict.fromkeys(("E-2026-00001", "E-2026-00002"), "custody/original-exchanged")
    assert [each.outcome for each in last_entries(archive, 3)] == ["failure", "failure", "success"]


def test_a_destroyed_item_is_no_alarm(archive: SmallArchive) -> None:
    items = archive.receive(archive.incident(), [("a.jpg", b"a" * 100), ("b.jpg", b"b" * 100)])
    archive.touch(items)
    rooms = archive.rooms
    other = admit(
        rooms.ledger, rooms.key_files, archive.actor, os_user="ortiz", role=Role.COORDINATOR, copy=None,
        new_id=rooms.new_id,
    )  # fmt: skip
    rooms.acts.destroy(archive.actor, items[0].number, reason="asked for by the person shown")
    with archive.unlocked():
        rooms.acts.destroy(as_actor(other), items[0].number, reason="asked for by the person shown")
        archive.publish()
        found, full = opened(archive)
    assert wrong([*rooms.audit.holdings(), *found, *full]) == {}
    assert full[-1].count == 1


def test_one_key_file_that_is_not_right_keeps_nothing_else_closed(archive: SmallArchive) -> None:
    items = archive.receive(archive.incident(), [(f"{n}.jpg", bytes([n]) * 500) for n in range(3)])
    folder = archive.home / "keys"
    shutil.copy(folder / f"{items[0].id}.age", folder / f"{items[1].id}.age")
    rooms = archive.rooms
    keyed = AuditKeys(database=rooms.database, vault=rooms.vault, ledger=rooms.ledger, actor=archive.actor)
    with archive.unlocked():
        keys, found = keyed.unwrap(None)
    assert {items[0].id, items[2].id} <= keys.keys()
    assert [(each.subject, each.code) for each in found] == [("E-2026-00002", "keys/recipient-differs")]


def test_a_locked_archive_gives_no_keys(archive: SmallArchive) -> None:
    rooms = archive.rooms
    keyed = AuditKeys(database=rooms.database, vault=rooms.vault, ledger=rooms.ledger, actor=archive.actor)
    with pytest.raises(LockedError):
        keyed.unwrap(None)


def test_an_archive_that_is_locked_between_an_audits_entry_and_its_keys_has_the_refusal_in_its_log(
    archive: SmallArchive,
) -> None:
    rooms = archive.rooms

    def locking() -> datetime:
        archive.lock()
        return archive.clock()

    archive.unlock()
    rooms.clock = locking
    ledger = rooms.ledger_over(rooms.database)
    keyed = AuditKeys(database=rooms.database, vault=rooms.vault, ledger=ledger, actor=archive.actor)
    with pytest.raises(LockedError):
        keyed.unwrap(None)
    with rooms.database.reading() as session:
        leaf = session.execute(select(EntryRow.leaf).order_by(EntryRow.seq.desc()).limit(1)).scalar_one()
    assert Entry.parse(leaf).event is EventKind.REFUSAL, "that nothing was opened is an entry behind that of the access"


def test_a_sweep_takes_what_a_crash_left_and_enters_it_first(archive: SmallArchive) -> None:
    incident = archive.incident()
    archive.receive(incident, [("a.jpg", b"a" * 100)])
    rooms = archive.rooms
    left = uuid4()
    shutil.copy(archive.home / "keys" / f"{incident.id}.age", archive.home / "keys" / f"{left}.age")
    name = "objects/ab/cd/" + "abcd" + "0" * 60 + ".age"
    rooms.store.put(name, b"age-encryption.org/v1\nnobody knows")
    found = [*rooms.audit.holdings()]
    assert sorted(wrong(found).values()) == [ORPHAN_KEY, ORPHAN_OBJECT]
    swept = sweep(
        database=rooms.database, store=rooms.store, key_files=rooms.key_files, ledger=rooms.ledger,
        actor=archive.actor, orphans=Orphans(objects=(name,), keys=(left,)), spoken=Spoken(is_whole=True),
    )  # fmt: skip
    assert (swept.objects, swept.keys) == (1, 1)
    assert last_entries(archive, 1)[0].event is EventKind.DELETION
    assert wrong([*rooms.audit.holdings()]) == {}


def test_a_sweep_leaves_what_was_recorded_meanwhile(archive: SmallArchive) -> None:
    items = archive.receive(archive.incident(), [("a.jpg", b"a" * 100)])
    rooms = archive.rooms
    names = list(rooms.store.list("objects/"))
    swept = sweep(
        database=rooms.database, store=rooms.store, key_files=rooms.key_files, ledger=rooms.ledger,
        actor=archive.actor, orphans=Orphans(objects=tuple(names), keys=(items[0].id,)), spoken=Spoken(is_whole=True),
    )  # fmt: skip
    assert (swept.objects, swept.keys) == (0, 0)
    assert wrong([*rooms.audit.holdings()]) == {}


def test_what_a_sweep_took_away_before_it_was_recorded_is_refused_and_can_be_sent_again(
    archive: SmallArchive,
) -> None:
    incident = archive.incident()
    staged = archive.rooms.vault.stage(io.BytesIO(b"on its way in"), incident.recipient)
    archive.rooms.vault.publish([staged])
    archive.rooms.vault.confirm([staged], [incident.id])
    archive.rooms.store.delete(staged.name)
    with pytest.raises(UnavailableError, match="Do the same again"):
        archive.rooms.vault.confirm([staged], [incident.id])


# ── time-stamps ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_time_stamps_are_pending_then_verified_then_found_altered(
    start_authority: StartAuthority, tmp_path: Path
) -> None:
    authority = start_authority("loopback")
    with SmallArchive(tmp_path / "home", settings=authority_settings(authority)) as archive:
        rooms = archive.rooms
        assert [each.code for each in rooms.audit.log() if each.finding is Finding.CANNOT_TELL] == [
            "custody/timestamp-pending"
        ]
        rooms.workers.stamping.work(lambda *_: None)
        found = rooms.audit.log()
        assert wrong(found) == {}
        assert any(each.words == "time-stamps stand over their checkpoints" and each.count == 1 for each in found)
        with Insider(archive.home).sql() as sql:
            sql.execute("UPDATE timestamp_token SET attested_time = attested_time - 3600000000")
        assert set(wrong(rooms.audit.log()).values()) == {"custody/time-differs"}
        with Insider(archive.home).sql() as sql:
            (token,) = sql.execute("SELECT token FROM timestamp_token").fetchone()
            sql.execute("UPDATE timestamp_token SET token = ?", (token[:-1] + bytes([token[-1] ^ 1]),))
        assert "custody/token-refused" in [each.code for each in rooms.audit.log()]


# ── small parts ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("numbers", "joined"),
    [((), []), ((3,), [(3, 4)]), ((0, 1, 2, 5, 7, 8), [(0, 3), (5, 6), (7, 9)])],
)
def test_numbers_are_joined_into_ranges(numbers: tuple[int, ...], joined: list[tuple[int, int]]) -> None:
    assert list(ranges(numbers)) == joined


def test_a_range_is_named_as_people_count() -> None:
    name: Callable[[int, int], str] = entries
    assert (name(3, 4), name(3, 6)) == ("entry 3", "entries 3–5")


@pytest.mark.parametrize(
    ("place", "octets", "subject", "code"),
    [
        ("store/log/tile/0/*/*", b"x", "", "custody/bad-tile"),
        ("store/log/verifier-keys", None, "log/verifier-keys", "custody/keys-not-published"),
        ("keys/generation.json", None, "keys", "custody/generation-missing"),
    ],
)
def test_a_small_file_that_is_gone_or_longer_is_named(
    insider: Insider, place: str, octets: bytes | None, subject: str, code: str
) -> None:
    (path,) = insider.home.glob(place)
    if octets is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + octets)
    subject = subject or str(path.relative_to(insider.home / "store" / "log"))
    assert wrong(audit(insider.home)) == {subject: code}
