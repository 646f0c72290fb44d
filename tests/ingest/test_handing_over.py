"""What a sender learns, chooses and gets: nothing of what others brought, a receipt of any length, a status that is
true."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.catalogue.items import objects_of
from archive.jobs import Job, JobState
from ingest.consents import Rung
from ingest.finishing import METHOD, UploadBearer
from ingest.reception import Reception
from ingest.told import Told
from ingest.visits import sender
from tests.senders import Sender
from tests.way_in import WayIn, arrival

FILM = b"\x01the neighbour's film" * 50


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


def of_receipt(sent: Sender) -> dict[str, object]:
    """What of a receipt depends on what the archive knew before."""
    (item,) = sent.receipt()["items"]
    return {"event": json.loads(item["leaf"])["event"], "commitments": len(json.loads(item["leaf"])["_sd"])}


def test_a_sender_cannot_tell_whether_a_file_was_here_before(archive: WayIn) -> None:
    other_incident = archive.incident("Another street")
    archive.take_in([arrival("imported.bin", FILM)])
    first, second = Sender(archive), Sender(archive, incident=other_incident.number)
    stranger = Sender(archive)
    for sent, data in ((first, FILM), (second, FILM), (stranger, FILM[::-1])):
        sent.bring(data)
        sent.finish()
    assert of_receipt(first) == of_receipt(second) == of_receipt(stranger)
    numbers = [item.number for sent in (first, second, stranger) for item in sent.items]
    assert len(set(numbers)) == 3, "each sending has items of its own"
    assert [sent.receipt()["items"][0]["number"] for sent in (first, second, stranger)] == numbers
    assert all(archive.stored(sent.items[0].id) == FILM for sent in (first, second))


def test_a_file_that_one_sender_brings_twice_is_one_item(archive: WayIn) -> None:
    sent = Sender(archive)
    sent.bring(FILM, FILM)
    sent.finish()
    assert len(sent.items) == len(sent.receipt()["items"]) == 1


def test_an_import_is_not_linked_to_what_a_sender_may_take_back(archive: WayIn) -> None:
    sent = Sender(archive)
    sent.bring(FILM)
    (result,) = archive.take_in([arrival("card.bin", FILM)])
    assert result.item.id != sent.items[0].id  # type: ignore[union-attr]  # stored, as nothing equal was imported


def test_a_status_says_that_a_person_looks_only_when_one_does(archive: WayIn) -> None:
    sent, other = Sender(archive), Sender(archive)
    for each in (sent, other):
        each.bring(b"\xff\xd8\xff\xe0" + FILM)
        each.finish()
    with archive.unlocked():

        def watch(_job: Job, _state: JobState, _words: str) -> None:
            """Nobody watches."""

        archive.rooms.workers.every_kind.work(watch)
        purposes = [entry.entry.event for entry in archive.log_of(sent.items[0])]
        assert "access" in purposes, "the machine opened it"
        assert (sent.status(), other.status()) == ("checked", "checked")
        archive.rooms.reading_room.open_item(archive.actor, sent.items[0].number, "look")
    assert (sent.status(), other.status()) == ("in review", "checked"), "of the other nobody looked at anything"


def test_a_question_is_of_a_person_who_looks(archive: WayIn) -> None:
    sent = Sender(archive)
    sent.bring(FILM)
    number = sent.finish().number
    assert number is not None
    sent.drop.returning.ask(archive.actor, number, "Which way?")
    assert sent.status() == "in review"


def test_more_than_a_thousand_files_get_one_receipt_and_one_choice(archive: WayIn) -> None:
    sent = Sender(archive)
    sent.bring(b"the first")
    with archive.rooms.database.reading() as session:
        assert objects_of(session, sent.items[0].id)
    told = Told(name="n.txt", way="form without scripts")
    arrivals = [
        arrival(
            f"{number}.txt",
            b"note %d" % number,
            bearer=UploadBearer(visit=sent.visit, upload=number.to_bytes(32), told=told, declared=9, why=""),
            within=sent.visit.id.bytes,
            written=True,
        )
        for number in range(1, 1101)
    ]
    ours = archive.founded.organisation
    way = Reception(actor=sender(sent.visit.id), organisation=ours, incident=archive.raid, method=METHOD)
    archive.rooms.intake.receive(way, arrivals)
    sent.finish(Rung.COURT)
    assert len(sent.receipt()["items"]) == 1101
    uses = [archive.log_of(item)[-1].get("use") for item in (sent.items[0], sent.items[600], sent.items[-1])]
    assert [use["level"] for use in uses] == ["legal_only"] * 3
    sent.stop()
    uses = [archive.log_of(item)[-1].get("use") for item in (sent.items[0], sent.items[600], sent.items[-1])]
    assert [use["level"] for use in uses] == ["vault_only"] * 3
