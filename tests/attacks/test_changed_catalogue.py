"""An insider changes rows of the catalogue and then lets the ordinary commands do the work: destroy, lift, sweep.

Everything here goes through the commands as they are typed, with the keys that these get for themselves. Whatever the
rows say, the log is the truth: evidence is never removed on the catalogue's word, and what was changed is named.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from archive.age.recipients import KeyKind, generate_identity
from archive.catalogue.models import APPEND_ONLY
from archive.catalogue.records import Item
from archive.jobs import JobKind
from archive.types import Role
from cli import main
from custody.accounts import admit, as_actor
from custody.drafts import Draft, ItemPart
from custody.entries import EventKind
from custody.receipt_office import issue_receipt
from tests.archives import PASSPHRASE, SmallArchive
from tests.attacks.insider import Insider
from tests.export.packet_archive import authority_settings
from tests.running_authority import StartAuthority

pytest_plugins = ("tests.authority_fixture",)

Run = Callable[..., Result]


class Office(SmallArchive):
    """A small archive whose commands are typed; `receipts` are those that senders hold."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.items: list[Item] = []
        rooms = self.rooms
        admitted = admit(
            rooms.ledger, rooms.key_files, self.actor, os_user="ortiz", role=Role.ATTORNEY, copy=None,
            new_id=rooms.new_id,
        )  # fmt: skip
        self.second = as_actor(admitted)
        self.receipts: list[Path] = []
        incident = self.incident()
        for number in range(4):
            content = bytes([number]) * 700
            ((item, entry),) = self.receive_with_entries(incident, [(f"{number}.jpg", content)])
            row = (item.number, entry, hashlib.sha256(content).digest(), len(content))
            path = home.parent / f"receipt-{item.number}.json"
            path.write_bytes(issue_receipt(self.rooms.publisher, f"R-{number}", self.clock(), [row]))
            self.items.append(item)
            self.receipts.append(path)

    def spoil(self, *statements: str, **values: object) -> None:
        """Change the catalogue, the triggers out of the way meanwhile."""
        with Insider(self.home).sql() as sql:
            for statement in statements:
                sql.execute(statement, values)

    def rebuild(self) -> None:
        """Put the spoilt catalogue aside and make it anew."""
        self.close()
        (self.home / "catalogue.sqlite").rename(self.home / "spoilt")
        assert run("rebuild", "--yes").exit_code == 0
        self.rooms = self.open_rooms()

    def holdings(self, item: Item) -> list[Path]:
        """Give the files that hold an item: its objects as they are recorded now, and its key."""
        query = "SELECT hex(blake3) FROM object WHERE item_id = ?"
        with self.rooms.catalogue_as_it_lies.reading() as session:
            digests = session.connection().exec_driver_sql(query, (item.id.hex,)).scalars().all()
        objects = [Insider(self.home).object_path(bytes.fromhex(digest)) for digest in digests]
        return [*objects, self.home / "keys" / f"{item.id}.age"]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    with Office(tmp_path / "home") as made:
        monkeypatch.setattr("cli.utc_now", made.clock)
        monkeypatch.setenv("TESTIGO_HOME", str(made.home))
        (tmp_path / "passphrase").write_text(PASSPHRASE + "\n", encoding="utf-8")
        monkeypatch.setenv("TESTIGO_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
        yield made


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def findings(result: Result) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return [line for line in lines if line["message_type"] == "finding"]


# ── rows taken away: what they stood for is no left-over of a crash ──────────────────────────────────────────────────

ONLY_THE_OBJECT = ("DELETE FROM object WHERE item_id = :item",)
THE_WHOLE_ITEM = (
    "DELETE FROM object WHERE item_id = :item",
    "DELETE FROM item WHERE id = :item",
    "UPDATE number SET last = last - 1 WHERE kind = 'E'",
)


@pytest.mark.parametrize("statements", [ONLY_THE_OBJECT, THE_WHOLE_ITEM], ids=["object", "item"])
def test_what_the_log_speaks_of_is_never_swept_whatever_rows_were_removed(
    office: Office, statements: tuple[str, ...]
) -> None:
    item, receipt = office.items[-1], office.receipts[-1]
    holdings = office.holdings(item)
    office.spoil(*statements, item=item.id.hex)
    locked = run("verify", "--against", receipt)
    assert locked.exit_code == 4, locked.output
    assert item.number in locked.stdout
    assert "--sweep" not in locked.stdout
    assert run("verify", "--sweep", "--yes").exit_code == 12, "no sweep while what the log says cannot be read"
    with office.unlocked():
        swept = run("verify", "--sweep", "--yes")
        assert swept.exit_code == 4, swept.output
        assert item.number in swept.stdout
        assert "nothing is removed" in swept.stdout
        assert "key is not here" not in swept.stdout
    assert all(path.is_file() for path in holdings)
    office.rebuild()
    with office.unlocked():
        assert run("verify", "--full").exit_code == 0


def test_a_sweep_while_another_row_was_changed_removes_nothing(office: Office) -> None:
    stray = office.rooms.store
    name = "objects/ab/cd/" + "abcd" + "0" * 60 + ".age"
    stray.put(name, b"age-encryption.org/v1\nnobody knows")
    office.spoil("UPDATE item SET received_time = received_time - 1 WHERE id = :item", item=office.items[0].id.hex)
    with office.unlocked():
        swept = run("verify", "--sweep", "--yes")
    assert swept.exit_code == 4
    assert office.rooms.store.exists(name)


def test_what_no_entry_speaks_of_is_swept_after_a_question_and_a_dry_run_only_says_so(office: Office) -> None:
    name = "objects/ab/cd/" + "abcd" + "0" * 60 + ".age"
    office.rooms.store.put(name, b"age-encryption.org/v1\nnobody knows")
    stranger = office.home / "keys" / "6b6f9e43-5c0b-4a0c-9d4e-2b1f3f0f9b11.age"
    stranger.write_bytes((office.home / "keys" / f"{office.items[0].id}.age").read_bytes())
    with office.unlocked():
        planned = run("verify", "--sweep", "--dry-run")
        assert "Would remove 1 object, 1 key file" in planned.stdout, planned.output
        unasked = run("verify", "--sweep")
        assert (unasked.exit_code, "give --yes" in unasked.stdout) == (3, True), "there is no terminal to ask on"
        assert office.rooms.store.exists(name) and stranger.exists()
        swept = run("verify", "--sweep", "--yes")
        assert swept.exit_code == 0, swept.output
        assert "Swept: 1 object, 1 key file, 0 unfinished writes." in swept.stdout
    assert not office.rooms.store.exists(name) and not stranger.exists()
    assert UUID(stranger.stem) not in office.rooms.key_files.list()


# ── rows changed, then written into the log by the next ordinary command ─────────────────────────────────────────────


def test_what_an_ordinary_command_writes_of_a_changed_row_is_named_at_its_entry(office: Office) -> None:
    office.spoil(
        "UPDATE incident SET created_time = created_time - 5184000000000, number = 'I-2026-0077'",
        "UPDATE number SET last = 77 WHERE kind = 'I'",
    )
    assert run("incident", "unfounded", "I-2026-0077").exit_code == 0
    seq = office.rooms.ledger.size() - 1
    with office.unlocked():
        result = run("verify")
    assert result.exit_code == 4, result.output
    assert f"entry {seq}" in result.stdout
    assert "created_time" in result.stdout and "number" in result.stdout


def test_an_item_whose_row_was_changed_is_not_destroyed_with_the_changed_words(office: Office) -> None:
    item = office.items[1]
    office.rooms.acts.destroy(office.second, item.number, reason="request 7")
    office.spoil("UPDATE item SET received_time = received_time - 1000000 WHERE id = :item", item=item.id.hex)
    with office.unlocked():
        refused = run("item", "destroy", item.number, "--reason", "request 7", "--yes")
        assert (refused.exit_code, "custody/row-differs" in refused.stderr) == (4, True), refused.output
    assert all(path.is_file() for path in office.holdings(item))


# ── holds and the second person: the log decides, whatever the rows say ──────────────────────────────────────────────


def test_a_hold_that_only_its_row_calls_lifted_still_forbids_destruction(office: Office) -> None:
    item = office.items[0]
    assert run("hold", "add", item.number, "--title", "Doe", "--trigger", "subpoena").exit_code == 0
    office.spoil("UPDATE hold SET status = 'lifted'")
    office.rooms.acts.destroy(office.second, item.number, reason="request 7")
    with office.unlocked():
        refused = run("item", "destroy", item.number, "--reason", "x", "--yes")
        assert (refused.exit_code, "archive/on-hold" in refused.stderr) == (6, True), refused.output
    assert all(path.is_file() for path in office.holdings(item))


@pytest.mark.parametrize("hold", [True, False])
def test_a_row_that_calls_an_item_destroyed_has_nothing_finished_by_one_person(office: Office, hold: bool) -> None:
    item = office.items[0]
    if hold:
        assert run("hold", "add", item.number, "--title", "Doe", "--trigger", "subpoena").exit_code == 0
    office.spoil("UPDATE item SET state = 'destroyed' WHERE id = :item", item=item.id.hex)
    office.spoil("UPDATE hold SET status = 'lifted'")
    with office.unlocked():
        told = run("verify")
        assert told.exit_code == 4
        assert "Run `testigo item destroy`" not in told.stdout, "nothing in the log says that it was destroyed"
        refused = run("item", "destroy", item.number, "--reason", "x", "--yes")
    assert refused.exit_code == 4, refused.output
    assert all(path.is_file() for path in office.holdings(item))


def test_whoever_asked_agrees_to_nothing_though_the_row_names_another(office: Office) -> None:
    hold = run("hold", "add", office.items[0].number, "--title", "Doe", "--trigger", "subpoena").stdout.strip()
    assert run("hold", "lift", hold, "--reason", "x").exit_code == 6
    office.spoil("UPDATE approval SET requested_by = :other", other=office.second.staff_id.hex)
    with office.unlocked():
        refused = run("hold", "lift", hold, "--reason", "x")
        assert (refused.exit_code, "access/second-person-needed" in refused.stderr) == (6, True), refused.output
        assert "active" in run("hold", "ls").stdout


def test_two_people_still_lift_and_destroy_and_a_crash_before_the_key_went_is_finished(office: Office) -> None:
    item = office.items[0]
    hold = run("hold", "add", item.number, "--title", "Doe", "--trigger", "subpoena").stdout.strip()
    office.rooms.acts.lift_hold(office.second, hold, reason="dismissed")
    assert run("hold", "lift", hold, "--reason", "dismissed").exit_code == 12, "the log must be opened to decide"
    key = office.home / "keys" / f"{item.id}.age"
    sealed = key.read_bytes()
    with office.unlocked():
        assert run("hold", "lift", hold, "--reason", "dismissed").exit_code == 0
        office.rooms.acts.destroy(office.second, item.number, reason="request 7")
        assert run("item", "destroy", item.number, "--reason", "request 7", "--yes").exit_code == 0
        key.write_bytes(sealed)  # As if the power had gone between the entry and the removal.
        unfinished = run("verify")
        assert (unfinished.exit_code, "Run `testigo item destroy`" in unfinished.stdout) == (4, True)
        assert run("item", "destroy", item.number, "--reason", "request 7", "--yes").exit_code == 0
        assert not key.exists()
        result = run("verify", "--full")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("how", ["damaged", "sealed to an office key of then"])
def test_a_destroyed_key_that_came_back_and_does_not_open_is_destroyed_once_more(office: Office, how: str) -> None:
    item = office.items[0]
    key = office.home / "keys" / f"{item.id}.age"
    sealed = key.read_bytes()
    again = ("item", "destroy", item.number, "--reason", "request 7", "--yes")
    with office.unlocked():
        office.rooms.acts.destroy(office.second, item.number, reason="request 7")
        assert run(*again).exit_code == 0
    assert run("keys", "rotate").exit_code == 0
    key.write_bytes(sealed[:-1] if how == "damaged" else sealed)
    refused = run("keys", "rotate")
    assert (refused.exit_code, item.number in refused.stderr) == (4, True)
    with office.unlocked():
        assert run(*again).exit_code == 0
        assert not key.exists()
        result = run("verify", "--full")
    assert result.exit_code == 0, result.output
    assert run("keys", "rotate").exit_code == 0


@pytest.mark.parametrize("how", ["damaged", "whole"])
def test_a_key_that_only_its_row_calls_destroyed_is_not_destroyed_once_more(office: Office, how: str) -> None:
    item = office.items[0]
    key = office.home / "keys" / f"{item.id}.age"
    if how == "damaged":
        key.write_bytes(key.read_bytes()[:-1])
    office.spoil("UPDATE item SET state = 'destroyed', content_mac = NULL WHERE id = :item", item=item.id.hex)
    with office.unlocked():
        assert run("item", "destroy", item.number, "--reason", "mine", "--yes").exit_code == 4
    assert key.exists()


def test_an_act_that_no_second_person_agreed_to_is_named_whatever_entered_it(office: Office) -> None:
    """Whoever has the log's keys can enter what the commands refuse; the log then lacks who asked and who agreed."""
    item, rooms = office.items[2], office.rooms
    hold = rooms.acts.place_hold(office.actor, item, title="Doe", trigger="subpoena")
    gone = replace(item, state="destroyed", content_mac=None)
    values = (("purpose", "key destroyed"), ("record", gone.to_log()))
    part = ItemPart(item_id=item.id, recipient=item.recipient)
    rooms.ledger.record(Draft(event=EventKind.DEACCESSION, actor=office.actor, values=values, items=(part,)))
    lifted = replace(hold, status="lifted", lifted_time=office.clock())
    values = (("purpose", "hold lifted"), ("record", lifted.to_log()))
    rooms.ledger.record(Draft(event=EventKind.POLICY_ASSIGNMENT, actor=office.actor, values=values))
    rooms.key_files.destroy(item.id)
    with office.unlocked():
        result = run("verify", "--json")
    codes = {(line["subject"].split(" ")[0], line["code"]) for line in findings(result)}
    assert (item.number, "custody/hold-broken") in codes
    assert (item.number, "custody/act-unapproved") in codes
    assert (hold.number, "custody/act-unapproved") in codes


# ── a row that calls an item destroyed is nobody's word ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["--keyless", "locked", "unlocked"])
def test_an_item_that_only_its_row_calls_destroyed_is_named(office: Office, how: str) -> None:
    item = office.items[1]
    for path in office.holdings(item):
        path.unlink()
    office.spoil("UPDATE item SET state = 'destroyed' WHERE id = :item", item=item.id.hex)
    words = ["verify", "--against", office.receipts[1], "--json", *(["--keyless"] if how == "--keyless" else [])]
    if how == "unlocked":
        with office.unlocked():
            result = run(*words)
    else:
        result = run(*words)
    assert result.exit_code == 4, result.output
    codes = {line["code"] for line in findings(result) if line["subject"].startswith(item.number)}
    assert {"custody/destruction-unfounded", "custody/object-missing", "custody/key-missing"} <= codes
    assert "custody/row-unfounded" not in codes
    summary = json.loads(result.stdout.splitlines()[-1])
    owners = [count for name, count in summary["matches"].items() if "key file" in name]
    assert owners == [5], "the staff, the incident and three items"
    assert (summary["matched"], summary["matched_without_keys"]) == ((3, 3) if how == "unlocked" else (None, 3))


def test_a_destruction_that_the_log_tells_to_a_lost_key_is_not_called_a_changed_row(office: Office) -> None:
    item = office.items[1]
    staff_key = office.home / "keys" / f"{office.founded.organisation.id}.age"
    with office.unlocked():
        office.rooms.acts.destroy(office.second, item.number, reason="request 7")
        assert run("item", "destroy", item.number, "--reason", "request 7", "--yes").exit_code == 0
        staff_key.write_bytes((office.home / "keys" / f"{office.items[0].id}.age").read_bytes())
        result = run("verify", "--json")
    about = {(line["finding"], line["code"]) for line in findings(result) if line["subject"] == item.number}
    assert about == {("CANNOT TELL", "custody/row-unread")}


@pytest.mark.parametrize("table, column", [("item", "received_time"), ("item", "size"), ("object", "blake3")])
def test_a_row_that_holds_what_its_column_cannot_keeps_no_other_original_from_the_full_check(
    office: Office, table: str, column: str
) -> None:
    owner = "id" if table == "item" else "item_id"
    item = office.items[1]
    office.spoil(f"UPDATE {table} SET {column} = 'soon' WHERE {owner} = :item", item=item.id.hex)  # noqa: S608 - ours
    with office.unlocked():
        result = run("verify", "--full", "--json")
    assert result.exit_code == 4, result.output
    assert item.number in {line["subject"] for line in findings(result) if line["finding"] == "DOES NOT MATCH"}
    summary = json.loads(result.stdout.splitlines()[-1])
    assert [count for name, count in summary["matches"].items() if "originals open" in name] == [3]


# ── rows that are compared with the store, guards, and octets of another type ────────────────────────────────────────


def test_guards_that_guard_nothing_and_whatever_else_runs_in_the_database_are_named(office: Office) -> None:
    with Insider(office.home).sql(guards_back=False) as sql:
        for table in APPEND_ONLY:
            for act, when in (("update", "UPDATE"), ("delete", "DELETE"), ("replace", "INSERT")):
                sql.execute(f"CREATE TRIGGER {table}_refuses_{act} BEFORE {when} ON {table} BEGIN SELECT 1; END")
    hollow = run("verify", "--json")
    assert hollow.exit_code == 4
    assert {line["code"] for line in findings(hollow)} == {"archive/guards-missing"}
    assert run("incident", "new", "--title", "x").exit_code == 4, "nothing is written without guards"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER more AFTER INSERT ON item BEGIN UPDATE item SET state = 'kept' WHERE id = NEW.id; END",
        "CREATE VIEW more AS SELECT 1",
    ],
)
def test_a_trigger_or_a_view_that_no_migration_made_is_named(office: Office, statement: str) -> None:
    office.rooms.close()
    with closing(sqlite3.connect(office.home / "catalogue.sqlite")) as sql:
        sql.execute(statement)
        sql.commit()
    result = run("verify", "--json")
    assert result.exit_code == 4
    assert {line["code"] for line in findings(result)} == {"archive/guards-foreign"}
    assert run("incident", "new", "--title", "x").exit_code == 4


def test_time_stamps_whose_rows_were_removed_are_named_by_the_stores_copies(
    start_authority: StartAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SmallArchive(tmp_path / "home", settings=authority_settings(start_authority("loopback"))) as archive:
        monkeypatch.setattr("cli.utc_now", archive.clock)
        monkeypatch.setenv("TESTIGO_HOME", str(archive.home))
        archive.rooms.workers.stamping.work(lambda *_: None)
        assert run("verify").exit_code == 0
        with Insider(archive.home).sql() as sql:
            (size,) = sql.execute("SELECT size FROM timestamp_token").fetchone()
            sql.execute("DELETE FROM timestamp_token")
        result = run("verify", "--json")
    assert result.exit_code == 4
    named = [line for line in findings(result) if line["code"] == "custody/timestamp-unrecorded"]
    assert [line["subject"] for line in named] == [f"time-stamp loopback of checkpoint {size}"]


def test_an_entry_turned_into_text_is_named_and_stops_what_writes_in_words(office: Office) -> None:
    office.spoil("UPDATE entry SET leaf = replace(CAST(leaf AS text), 'success', 'failure') WHERE seq = 1")
    written = run("incident", "new", "--title", "x")
    assert (written.exit_code, "custody/entry-altered" in written.stderr) == (4, True), written.output
    assert "cli/unforeseen" not in written.output
    result = run("verify")
    assert (result.exit_code, "entry 1" in result.stdout) == (4, True)


def test_a_recipient_that_was_exchanged_in_a_row_does_not_match_and_nothing_opens(office: Office) -> None:
    item = office.items[2]
    theirs = str(generate_identity(KeyKind.X25519).recipient)
    office.spoil("UPDATE item SET recipient = :theirs WHERE id = :item", theirs=theirs, item=item.id.hex)
    with office.unlocked():
        result = run("verify", "--json")
        shown = run("show", item.number)
    assert result.exit_code == 4
    codes = {line["code"] for line in findings(result) if line["finding"] == "DOES NOT MATCH"}
    assert "keys/recipient-differs" in codes
    assert (shown.exit_code, "keys/recipient-differs" in shown.stderr) == (4, True), shown.output


# ── words where numbers, moments and ids stood ───────────────────────────────────────────────────────────────────────

SPOILT = {
    "UPDATE item SET received_time = 'soon' WHERE number = 'E-2026-00002'": "E-2026-00002",
    "UPDATE item SET received_time = 9223372036854775807 WHERE number = 'E-2026-00002'": "E-2026-00002",
    "UPDATE item SET size = 'soon' WHERE number = 'E-2026-00002'": "E-2026-00002",
    "UPDATE item SET incident_id = 'soon' WHERE number = 'E-2026-00002'": "E-2026-00002",
    "UPDATE item SET content_mac = 'soon' WHERE number = 'E-2026-00002'": "E-2026-00002",
    "UPDATE item SET evidence_kind = 'soon' WHERE number = 'E-2026-00002'": "E-2026-00002",
    "UPDATE incident SET created_time = 'soon'": "I-2026-0001",
    "UPDATE staff SET role = 'soon' WHERE pseudonym = (SELECT min(pseudonym) FROM staff)": "staff-",
    "UPDATE checkpoint SET signed_time = 'soon' WHERE size = (SELECT max(size) FROM checkpoint)": "checkpoint ",
    "UPDATE checkpoint SET note = 'soon' WHERE size = (SELECT min(size) FROM checkpoint)": "checkpoint ",
    "UPDATE disclosure SET owner_kind = 'soon' WHERE id = 5": "disclosure 5",
    "UPDATE number SET last = 'soon' WHERE kind = 'E'": "number E 2026",
    "UPDATE secret SET value = 'soon'": "secret intake-key",
    "UPDATE job SET tries = 'soon'": "job 1",
}
ONLY_LOOKING = (
    ("ls",),
    ("show", "E-2026-00002"),
    ("log",),
    ("incident", "ls"),
    ("hold", "ls"),
    ("staff", "ls"),
    ("jobs",),
    ("exposure",),
    ("doctor",),
    ("packet", "build", "-i", "I-2026-0001", "--to", "A", "--basis", "b", "--dry-run", "/no/such/packet"),
)


@pytest.mark.parametrize("statement", SPOILT)
def test_a_value_that_no_column_can_hold_is_named_by_its_row_and_ends_no_command_unforeseen(
    office: Office, statement: str
) -> None:
    with office.rooms.database.writing() as session:
        office.rooms.jobs.enqueue(session, JobKind.PREVIEW, ["1"])
    office.unlock()
    office.spoil(statement)
    keyless = run("verify", "--keyless", "--json")
    assert keyless.exit_code == 4, keyless.output
    named = [line["subject"] for line in findings(keyless) if line["code"] == "archive/foreign-value"]
    assert len(named) == 1 and named[0].startswith(SPOILT[statement])
    counts = json.loads(keyless.stdout.splitlines()[-1])["matches"]
    assert counts["objects: objects have the digest that is their name"] == 4, "nothing else went unchecked"
    for words in ONLY_LOOKING:
        result = run(*words)
        assert "cli/unforeseen" not in result.stderr, (words, result.stderr)


def test_octets_that_are_no_text_are_named_and_do_not_pass_for_a_failing_disk(office: Office) -> None:
    office.spoil("UPDATE incident SET status = CAST(x'ff' AS TEXT)")
    with office.unlocked():
        assert run("incident", "ls").exit_code == 4
        result = run("verify", "--json")
    assert result.exit_code == 4, result.output
    named = {(line["code"], line["subject"]) for line in findings(result) if line["finding"] == "DOES NOT MATCH"}
    assert named == {("custody/row-differs", "I-2026-0001")}


def test_rows_with_such_values_come_back_by_a_rebuild(office: Office) -> None:
    office.spoil(*[each for each in SPOILT if " job " not in each])
    office.rebuild()
    with office.unlocked():
        assert run("verify", "--full").exit_code == 0


@pytest.mark.parametrize("how", ["UPDATE secret SET value = randomblob(32)", "DELETE FROM secret"])
def test_a_changed_intake_key_leaves_the_check_without_keys_and_says_what_to_do(office: Office, how: str) -> None:
    office.spoil(how)
    refused = run("ls")
    assert refused.exit_code in (2, 6)
    assert "testigo rebuild" in refused.stderr
    checked = run("verify", "--keyless", "--json")
    assert checked.exit_code == 3, checked.output
    assert [line["code"] for line in findings(checked) if not line["expected"]] == ["custody/account-not-found"]
    counts = json.loads(checked.stdout.splitlines()[-1])["matches"]
    assert counts["objects: objects have the digest that is their name"] == 4


def test_whoever_has_another_role_is_refused_the_check_without_keys_as_well(office: Office) -> None:
    office.spoil("UPDATE staff SET role = 'observer'")
    assert run("verify", "--keyless").exit_code == 6
