"""What a sender learns, chooses and gets: nothing of what others brought, a receipt of any length, a status that is
true."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archive.catalogue.items import objects_of
from archive.errors import ConflictError
from archive.jobs import Job, JobState
from archive.types import parse_utc
from custody.commitments import Disclosure
from custody.entries import Entry, check_disclosure
from ingest.consents import Rung
from ingest.finishing import METHOD, UploadBearer
from ingest.reception import Reception
from ingest.tokens import visit_identity
from ingest.told import Told
from ingest.visits import sender
from tests.archives import PASSPHRASE
from tests.senders import Brought, Sender
from tests.way_in import AN_HOUR_AGO, WayIn, arrival, run_testigo

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


@pytest.mark.long
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


def test_the_time_of_a_receipt_is_that_of_the_newest_file_that_it_lists(archive: WayIn) -> None:
    sent = Sender(archive)
    sent.bring(b"on the first day")
    sent.finish()
    first = sent.receipt()
    archive.clock.move(timedelta(days=3))
    sent.bring(b"three days later")
    sent.finish(None, form="second")
    later = sent.receipt()
    assert parse_utc(later["received_time"]) - parse_utc(first["received_time"]) > timedelta(days=2)
    opened = [dict(_opened(item))["recorded_time"] for item in later["items"]]
    assert later["received_time"] == max(opened) and first["received_time"] == min(opened)


def test_a_form_that_comes_again_widens_nothing_that_its_sender_narrowed_since(archive: WayIn) -> None:
    sent = Sender(archive)
    sent.bring(b"first")
    sent.finish(Rung.PRESS, form="one")
    sent.change(Rung.LEGAL)
    sent.bring(b"added since")
    sent.finish(Rung.PRESS, form="one")
    assert sent.drop.handing_over.chosen(sent.token) is Rung.LEGAL
    told = [archive.log_of(item)[-1].get("use")["audiences"] for item in sent.items]
    assert told == [["counsel"], ["counsel"]], "what was added is covered by the choice that stands"
    sent.finish(Rung.COURT, form="two")
    assert sent.drop.handing_over.chosen(sent.token) is Rung.COURT


def _opened(item: Any) -> list[tuple[str, Any]]:
    return [check_disclosure(Entry.parse(item["leaf"].encode()), Disclosure(text)) for text in item["disclosures"]]


def test_a_part_is_not_asked_for_again_once_the_whole_file_came(archive: WayIn) -> None:
    sent, other = Sender(archive), Sender(archive)
    data = b"\x02" * 200_000
    address = sent.begin(data, 150_000)
    other.begin(data, 150_000, name="lost.bin")
    with archive.unlocked():
        assert archive.rooms.workers.rescue.find(everything=True) == 2
        archive.rooms.workers.every_kind.work(lambda *_: None)
    with pytest.raises(ConflictError):
        sent.drop.uploads.append(address, 150_000, Brought(data[150_000:]), 50_000)
    sent.bring(data)
    other.bring(data[:-1], name="lost.bin")
    for each in (sent, other):
        each.finish()
    slips = sent.drop.handing_over.slips(sent.visit, visit_identity(sent.token))
    assert [(slip.incomplete, slip.superseded) for slip in slips] == [(True, True), (False, False)]
    slips = other.drop.handing_over.slips(other.visit, visit_identity(other.token))
    assert not any(slip.superseded for slip in slips), "a file of another length is another file"


def test_what_is_under_way_ends_when_its_sender_says_stop(archive: WayIn) -> None:
    sent = Sender(archive)
    sent.bring(FILM)
    sent.finish()
    data = b"\x03" * 100_000
    address = sent.begin(data, 60_000)
    sent.stop()
    with pytest.raises(ConflictError) as caught:
        sent.drop.uploads.append(address, 60_000, Brought(data[60_000:]), 40_000)
    assert caught.value.code == "uploads/expired"
    assert len(sent.items) == 1
    with archive.unlocked():
        archive.rooms.workers.rescue.find()
        archive.rooms.workers.every_kind.work(lambda *_: None)
    assert sorted(item.size for item in sent.items) == sorted([len(FILM), 60_000]), "what came is kept, until a person"
    assert sent.status() == "stopped"


@pytest.fixture
def of_now(tmp_path: Path) -> Iterator[WayIn]:
    """An archive with which another process goes on."""
    with WayIn(tmp_path / "archive-of-now", now=AN_HOUR_AGO) as archive:
        yield archive


def rebuild(archive: WayIn) -> None:
    """Lose the catalogue, and make it anew from store and keys, as the command does."""
    archive.rooms.close()
    for lost in archive.home.glob("catalogue.sqlite*"):
        lost.unlink()
    (archive.home / "passphrase").write_text(PASSPHRASE)
    words = ("rebuild", "--yes", "--passphrase-file", str(archive.home / "passphrase"))
    done = run_testigo(archive.home, *words)
    assert done.returncode == 0, done.stderr
    archive.clock.now = datetime.now(UTC)
    archive.rooms = archive.open_rooms()


def test_after_a_rebuild_senders_are_told_what_is_true(of_now: WayIn) -> None:
    archive = of_now
    unfinished, done = Sender(archive), Sender(archive)
    for each in (unfinished, done):
        each.bring(FILM)
    done.finish()
    rebuild(archive)
    assert unfinished.finish().number is not None, "what is here can be handed over"
    for each in (unfinished, done):
        handing, identity = each.drop.handing_over, visit_identity(each.token)
        slips = handing.slips(each.visit, identity)
        assert (slips, handing.without_slip(each.visit, slips)) == ([], 1)
        with pytest.raises(ConflictError) as caught:
            each.receipt()
        assert caught.value.code == "visits/receipt-lost"
        assert handing.printed_proof(each.visit, identity) is None
        status = each.drop.returning.status(each.returned())
        assert (status.files, status.state) == (1, "checked")
        assert handing.received_time(each.visit, slips) == status.received_time
    assert not done.drop.returning.status(done.returned()).can_add
    done.bring(b"added after all")
    done.finish(None, form="second")
    slips = done.drop.handing_over.slips(done.visit, visit_identity(done.token))
    assert len(slips) == 1 and done.drop.handing_over.without_slip(done.visit, slips) == 1
    assert len(done.receipt()["items"]) == 1


def test_the_printed_proof_is_that_of_the_file(archive: WayIn) -> None:
    sent = Sender(archive)
    sent.bring(FILM)
    sent.finish()
    proof = sent.drop.handing_over.printed_proof(sent.visit, visit_identity(sent.token))
    assert proof is not None
    _origin, size, root = sent.receipt()["checkpoint"].split("\n")[:3]
    assert (proof.origin, str(proof.size), bytes.fromhex(proof.root)) == (_origin, size, base64.b64decode(root))
    assert [kind for kind, _ in proof.keys] == ["Ed25519", "ML-DSA-44"]
