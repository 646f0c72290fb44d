"""An item whose key was destroyed can still be shown: that it was, by whom and why, and the open part of its log."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result

from archive.catalogue.items import item_by_number
from archive.catalogue.records import Item
from archive.types import Role
from custody.accounts import admit, as_actor
from custody.acts import Destroyed
from custody.entries import EventKind
from tests.way_in import YEAR, WayIn

Run = Callable[..., Result]
ITEM = f"E-{YEAR}-00002"


@pytest.fixture
def destroyed(unlocked: WayIn, monkeypatch: pytest.MonkeyPatch) -> Destroyed:
    """The note, destroyed by two people; the archive is unlocked."""
    monkeypatch.setattr("cli.utc_now", unlocked.clock)
    rooms = unlocked.rooms
    other = as_actor(
        admit(rooms.ledger, rooms.key_files, unlocked.actor, os_user="ortiz", role=Role.ATTORNEY, copy=None,
              new_id=rooms.new_id)
    )  # fmt: skip
    rooms.acts.destroy(other, ITEM, reason="request 7")
    done = rooms.acts.destroy(unlocked.actor, ITEM, reason="request 7 of the person shown")
    rooms.publisher.publish()
    assert isinstance(done, Destroyed)
    return done


def events_after(archive: WayIn, size: int) -> list[EventKind]:
    rooms = archive.rooms
    return [entry.entry.event for entry in rooms.register.open(range(size, rooms.register.size()), {})]


def test_a_destroyed_item_is_shown_with_who_asked_who_agreed_and_why(
    unlocked: WayIn, destroyed: Destroyed, run: Run
) -> None:
    shown = run("show", ITEM)
    assert shown.exit_code == 0, shown.stderr
    page = " ".join(shown.stdout.split())
    assert f"Destroyed by entry {destroyed.entry} on " in page
    assert f"agreed by {unlocked.actor.pseudonym}" in page and "asked for by staff-" in page
    assert "request 7 of the person shown" in page
    assert "deaccession" in page and "ingestion" in page
    told = json.loads(run("show", ITEM, "--json").stdout)
    assert told["destroyed"]["entry"] == destroyed.entry
    assert told["destroyed"]["agreed_by"] == unlocked.actor.pseudonym
    assert told["destroyed"]["reason"] == "request 7 of the person shown"
    assert {entry["event"] for entry in told["entries"]} >= {"ingestion", "deaccession", "access"}
    assert "destroyed" in run("ls").stdout


def test_the_log_of_a_destroyed_item_is_shown_whole_and_as_far_as_it_is_open(destroyed: Destroyed, run: Run) -> None:
    whole = run("log", ITEM)
    assert whole.exit_code == 0, whole.stderr
    assert "key destroyed" in whole.stdout and f"entry {destroyed.entry}" in whole.stderr
    closed = run("log", ITEM, "--closed", "--json")
    assert closed.exit_code == 0, closed.stderr
    entries = [json.loads(line) for line in closed.stdout.splitlines()]
    assert destroyed.entry in [entry["seq"] for entry in entries]
    assert all(entry["values"] == [] for entry in entries)


def test_while_locked_what_stands_open_is_told_and_nothing_is_entered(
    unlocked: WayIn, destroyed: Destroyed, run: Run
) -> None:
    unlocked.lock()
    size = unlocked.rooms.register.size()
    page = " ".join(run("show", ITEM).stdout.split())
    assert f"Destroyed by entry {destroyed.entry} on " in page and "agreed by staff-" in page
    assert "request 7" not in page and "closed: the archive is locked" in page
    assert run("log", ITEM).exit_code == 0
    assert events_after(unlocked, size) == []


def test_before_its_destruction_it_stood_as_kept(unlocked: WayIn, destroyed: Destroyed, run: Run) -> None:
    staff = unlocked.founded.organisation.id
    (entry,) = unlocked.rooms.register.open([destroyed.entry - 2], {staff: unlocked.key_of(staff)})
    moment = str(entry.get("recorded_time"))[:26]
    told = json.loads(run("show", ITEM, "--as-of", moment, "--json").stdout)
    assert told["item"]["columns"]["state"] == "kept"
    assert told["destroyed"]["entry"] == destroyed.entry
    assert "kept then; destroyed since" in run("show", ITEM, "--as-of", moment).stdout
    later = (unlocked.clock.now + timedelta(hours=1)).isoformat()[:19]
    assert json.loads(run("show", ITEM, "--as-of", later, "--json").stdout)["item"]["columns"]["state"] == "destroyed"


@pytest.mark.parametrize(
    "words",
    [
        ("item", "key", ITEM, "--reason", "expert"),
        ("show", ITEM, "--metadata"),
        ("clean", ITEM, "--audience", "press", "-o", "{place}"),
    ],
)
def test_what_would_open_it_is_refused_and_no_entry_says_that_it_was_opened(
    unlocked: WayIn, destroyed: Destroyed, run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    size = unlocked.rooms.register.size()
    result = run(*(word.format(place=tmp_path / "copy") for word in words))
    assert result.exit_code == 5, result.output
    assert "archive/destroyed" in result.stderr and f"entry {destroyed.entry}" in result.stderr
    assert events_after(unlocked, size) == [EventKind.REFUSAL]


@pytest.mark.parametrize("lacking", ["key", "object", "agent", "place"])
def test_what_cannot_be_opened_is_refused_before_any_access_is_entered(
    unlocked: WayIn, run: Run, tmp_path: Path, lacking: str
) -> None:
    with unlocked.rooms.database.reading() as session:
        item, _ = item_by_number(session, ITEM)
    place = tmp_path / "copy"
    match lacking:
        case "key":
            (unlocked.home / "keys" / f"{item.id}.age").unlink()
        case "object":
            shutil.rmtree(unlocked.home / "store" / "objects")
        case "agent":
            unlocked.lock()
        case "place":
            place = tmp_path / "no" / "such" / "folder" / "copy"
    size = unlocked.rooms.register.size()
    result = run("clean", ITEM, "--audience", "press", "-o", str(place))
    assert result.exit_code != 0
    assert EventKind.ACCESS not in events_after(unlocked, size)
    assert "Traceback" not in result.output


def test_a_hold_on_a_destroyed_item_is_refused_with_the_entry(destroyed: Destroyed, run: Run) -> None:
    result = run("hold", "add", ITEM, "--title", "Doe v. Noem", "--trigger", "subpoena")
    assert result.exit_code == 8, result.output
    assert "archive/destroyed-before" in result.stderr and f"entry {destroyed.entry}" in result.stderr
    assert ITEM not in run("hold", "ls").stdout


def test_an_archive_with_a_destroyed_item_is_in_good_order_and_after_a_rebuild_says_the_same(
    unlocked: WayIn, destroyed: Destroyed, run: Run
) -> None:
    assert run("show", ITEM).exit_code == 0
    assert run("item", "key", ITEM, "--reason", "expert").exit_code == 5
    verified = run("verify", "--full")
    assert verified.exit_code == 0, verified.output
    before = json.loads(run("show", ITEM, "--json").stdout)
    unlocked.lock()
    unlocked.rooms.close()
    for name in ("catalogue.sqlite", "catalogue.sqlite-wal", "catalogue.sqlite-shm"):
        (unlocked.home / name).unlink(missing_ok=True)
    rebuilt = run("rebuild")
    assert rebuilt.exit_code in (0, 3), rebuilt.output
    after = json.loads(run("show", ITEM, "--json").stdout)
    assert after["destroyed"] == {**before["destroyed"], "reason": None}, "locked, the reason is closed"
    assert after["item"] == before["item"]
    assert isinstance(destroyed.item, Item)
