"""The end of an upload: told to whoever waits for it, also where it does not end well."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from archive.catalogue.items import list_items
from archive.errors import ConflictError, IntegrityError
from commands.drop_rooms import DropRooms
from ingest.choices import Choice
from ingest.consents import Rung
from ingest.tokens import visit_id
from tests.ingest.test_rescuing import DATA, DAY_AND_MORE, Brought, Sender, work
from tests.way_in import WayIn


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


class _AtOnce(Executor):
    """Has done what it is given before it answers, as a pool does when its thread is the faster one."""

    def submit(self, act: Callable[..., Any], /, *words: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(act(*words, **named))
        return done


def test_an_end_that_was_reached_before_anybody_listened_holds_nobody_up(archive: WayIn) -> None:
    sender = Sender(archive, sent=len(DATA) - 1)
    finishing = DropRooms(archive.rooms).finishing
    finishing._pool.shutdown()
    finishing._pool = _AtOnce()  # type: ignore[assignment]  # both are Executors
    asking = Thread(target=lambda: finishing.finish(sender.address, why="no more comes"), daemon=True)
    asking.start()
    asking.join(30)
    assert not asking.is_alive(), "it waits for a lock that it holds itself"


def _segments(archive: WayIn) -> list[Path]:
    return sorted((archive.home / "uploads").glob("*/*.age"))


def _flip(path: Path, at: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[at] ^= 1
    path.write_bytes(octets)


def _entered(archive: WayIn) -> list[tuple[object, object, object]]:
    """What the log says of damaged uploads: the code, and how much was acknowledged of how much."""
    entries = archive.last_entries(archive.rooms.ledger.size())
    damage = [entry for entry in entries if entry.get("purpose") == "an unfinished upload read"]
    return [(entry.get("code"), entry.get("received"), entry.get("declared")) for entry in damage]


def _sizes_and_incomplete(archive: WayIn) -> list[tuple[int, object]]:
    with archive.rooms.database.reading() as session:
        items = [item for item, _ in list_items(session)]
    return [(item.size, archive.log_of(item)[0].get("incomplete")) for item in items]


def _come_to_rest(drop: DropRooms) -> None:
    """Wait for what is under way at the end of uploads."""
    drop.finishing.close()


def test_damage_found_at_the_last_octet_is_logged_entered_and_what_is_left_becomes_an_item(
    archive: WayIn, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Sender(archive, sent=200_000)
    first, *_ = _segments(archive)
    _flip(first, first.stat().st_size - 1000)
    sender.send(200_000, len(DATA))
    _come_to_rest(sender.drop)
    assert "uploads/segment-changed" in caplog.text
    assert sender.address.hex() not in caplog.text
    assert _entered(archive) == [("uploads/segment-changed", len(DATA), len(DATA))]
    left = 3 * 65_536
    assert _sizes_and_incomplete(archive) == [
        (left, {"received": left, "declared": len(DATA), "why": "part of it does not open any more"})
    ]
    (file,) = sender.drop.visits.files(visit_id(sender.token))
    assert file.state == "incomplete"


def test_a_file_of_which_nothing_opens_is_called_damaged_and_asked_for_again(archive: WayIn) -> None:
    sender = Sender(archive, sent=200_000)
    first, *_ = _segments(archive)
    _flip(first, 2000)
    sender.send(200_000, len(DATA))
    _come_to_rest(sender.drop)
    (file,) = sender.drop.visits.files(visit_id(sender.token))
    assert file.state == "damaged"
    for ask in (sender.uploads.look, sender.uploads.progress):
        with pytest.raises(ConflictError) as told:
            ask(sender.address)
        assert told.value.code == "uploads/damaged"
    with pytest.raises(ConflictError) as told:
        sender.drop.handing_over.finish(sender.token, sender.code, Choice(rung=Rung.LEGAL, language="en"))
    assert told.value.code == "uploads/damaged"
    assert len(_entered(archive)) == 1
    with archive.unlocked():
        assert work(archive) == ["nothing of it opens any more; what lies there was not changed"]
    assert _segments(archive), "what lies there stays"


def test_acknowledged_octets_that_are_gone_are_told_entered_and_the_rest_is_saved(archive: WayIn) -> None:
    sender = Sender(archive, sent=len(DATA) - 1)
    (only,) = _segments(archive)
    with only.open("r+b") as file:
        file.truncate(only.stat().st_size - 100_000)
    with pytest.raises(IntegrityError) as told:
        sender.uploads.progress(sender.address)
    assert told.value.code == "uploads/octets-lost"
    _come_to_rest(sender.drop)
    assert _entered(archive) == [("uploads/octets-lost", len(DATA) - 1, len(DATA))]
    ((size, incomplete),) = _sizes_and_incomplete(archive)
    assert 0 < size < len(DATA) - 100_000
    assert incomplete == {"received": size, "declared": len(DATA), "why": "part of it does not open any more"}
    with pytest.raises(ConflictError):
        sender.uploads.progress(sender.address)


def test_a_vanished_senders_upload_that_is_damaged_is_entered_and_saved_as_far_as_it_opens(archive: WayIn) -> None:
    sender = Sender(archive, sent=200_000)
    sender.send(200_000, 250_000)
    first, *_ = _segments(archive)
    _flip(first, first.stat().st_size - 1000)
    archive.clock.move(DAY_AND_MORE)
    with archive.unlocked():
        assert "uploads/segment-changed" in work(archive)[0]
        archive.clock.move(timedelta(minutes=1))
        assert work(archive) == ["what had come of it is an item now"]
    assert _entered(archive) == [("uploads/segment-changed", 250_000, len(DATA))]
    assert [size for size, _ in _sizes_and_incomplete(archive)] == [3 * 65_536]


def test_a_fault_of_the_archive_calls_no_upload_damaged_and_it_is_taken_in_once_that_is_mended(archive: WayIn) -> None:
    sender = Sender(archive, sent=len(DATA) - 1)
    drop = DropRooms(archive.rooms)
    generation = archive.home / "keys" / "generation.json"
    was = generation.read_bytes()
    generation.write_bytes(b"{}")
    drop.uploads.append(sender.address, len(DATA) - 1, Brought(DATA[-1:]), 1)
    with pytest.raises(IntegrityError, match="which keyring"):
        drop.finishing.finish(sender.address)
    assert drop.uploads.look(sender.address)[1] is None, "it is being checked, and nobody is told to send it again"
    assert _entered(archive) == []
    generation.write_bytes(was)
    drop.finishing.finish(sender.address)
    assert _sizes_and_incomplete(archive) == [(len(DATA), None)]
    _come_to_rest(drop)
