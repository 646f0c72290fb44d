"""An item is shown as it stood at a past moment, computed from the log; that somebody looked is entered now."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from click.testing import Result

from archive.catalogue.items import item_by_number
from custody.reading import ItemAsOf
from tests.way_in import AN_HOUR_AGO, YEAR, WayIn

Run = Callable[..., Result]
ITEM = f"E-{YEAR}-00002"


def recorded(archive: WayIn, seq: int) -> datetime:
    staff = archive.founded.organisation.id
    (entry,) = archive.rooms.register.open([seq], {staff: archive.key_of(staff)})
    return datetime.fromisoformat(str(entry.get("recorded_time")))


def shown(run: Run, *words: str) -> dict[str, object]:
    result = run("show", ITEM, "--json", *words)
    assert result.exit_code == 0, result.stderr
    document: dict[str, object] = json.loads(result.stdout)
    return document


def seqs(document: dict[str, object]) -> list[int]:
    entries = document["entries"]
    assert isinstance(entries, list)
    return [entry["seq"] for entry in entries]


def test_a_record_is_shown_as_it_stood_and_with_the_holds_of_then(unlocked: WayIn) -> None:
    with unlocked.rooms.database.reading() as session:
        item, _ = item_by_number(session, ITEM)
    first = unlocked.rooms.register.seqs_of(item.id)[0]
    received = recorded(unlocked, first)
    hold = unlocked.rooms.acts.place_hold(unlocked.actor, item, title="Doe", trigger="subpoena")
    placed = recorded(unlocked, unlocked.rooms.register.size() - 1)

    def then(moment: datetime) -> ItemAsOf:
        return unlocked.rooms.reading_room.open_item_as_of(unlocked.actor, ITEM, "look", moment)

    before = then(received)
    assert [entry.entry.seq for entry in before.opened.entries] == [first]
    assert before.holds == ()
    assert recorded(unlocked, before.last) == received
    at = then(placed)
    assert at.holds == (hold.number,)
    assert len(at.opened.entries) == 2
    assert then(placed - timedelta(microseconds=1)).holds == ()
    now = unlocked.rooms.reading_room.open_item(unlocked.actor, ITEM, "look")
    assert len(now.entries) == len(at.opened.entries) + 4, "each look was entered, and only now shows them"
    assert at.opened.item == now.item
    assert at.opened.objects == now.objects


def test_a_moment_before_it_came_shows_nothing_of_it_and_a_day_alone_is_its_end(run: Run, unlocked: WayIn) -> None:
    early = run("show", ITEM, "--as-of", (AN_HOUR_AGO - timedelta(days=2)).date().isoformat())
    assert early.exit_code == 5
    assert "archive/not-here-yet" in early.stderr
    assert unlocked.raid.number not in early.stdout
    tomorrow = (AN_HOUR_AGO + timedelta(days=1)).date().isoformat()
    assert seqs(shown(run, "--as-of", tomorrow))
    wrong = run("show", ITEM, "--as-of", "yesterday")
    assert wrong.exit_code == 2
    assert "that is no moment" in wrong.stderr
    assert run("show", ITEM, "--as-of", tomorrow, "--metadata").exit_code == 2
    received = recorded(unlocked, 4)
    page = run("show", ITEM, "--as-of", received.isoformat())
    assert page.stdout.startswith(f"As of {received:%Y-%m-%d %H:%M:%S} UTC, right after entry 4 of the log:")
