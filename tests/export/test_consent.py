"""What senders allow decides what leaves: by their newest word, as the log has it, for whom the packet is."""

import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from archive.access import Action
from archive.catalogue.records import Packet, columns_of
from archive.catalogue.senders import packets_of_visit
from archive.errors import AccessError, ConflictError, DisclosureError, InputError, IntegrityError
from archive.types import Actor, Audience, Outcome, Role
from custody.accounts import admit, as_actor
from custody.drafts import Draft
from custody.entries import EventKind
from export.consent import Why
from export.gate import refuse_copy, refuse_key
from export.packet_verifier import Options, verify_packet
from export.request import BuiltPacket, PacketRequest
from ingest.consents import Rung
from tests.export.test_linked_evidence import everything_in, wrong_in
from tests.often import often
from tests.senders import Sender
from tests.way_in import AN_HOUR_AGO, WayIn, arrival, run_here


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive, archive.unlocked():
        yield archive


def sent(archive: WayIn, rung: Rung | None, *files: bytes) -> Sender:
    """Somebody's sending; with no rung it is not handed over."""
    sender = Sender(archive)
    sender.bring(*(files or (os.urandom(300),)))
    if rung is not None:
        sender.finish(rung)
    return sender


def asked(archive: WayIn, place: Path, audience: Audience | None, **more: Any) -> PacketRequest:
    incident = None if "items" in more else archive.raid.number
    return PacketRequest(
        **{
            "actor": archive.actor,
            "recipient": "A. Ortiz",
            "legal_basis": "client file",
            "destination": place,
            "incident": incident,
            "audience": audience,
            **more,
        }
    )


def build(archive: WayIn, place: Path, audience: Audience | None, **more: Any) -> BuiltPacket:
    return archive.rooms.disclosure.build_legal(asked(archive, place, audience, **more), lambda _: None)


def withheld(built: BuiltPacket) -> dict[str, Why]:
    return {each.number: each.why for each in built.withheld}


def number_of(sender: Sender) -> str:
    return sender.items[0].number


def test_what_was_stopped_is_in_no_packet_and_the_packet_says_how_many(archive: WayIn, tmp_path: Path) -> None:
    stays, goes = sent(archive, Rung.LEGAL), sent(archive, Rung.PRESS)
    stays.stop()
    forecast = archive.rooms.disclosure.forecast(asked(archive, tmp_path / "p", Audience.COUNSEL), 2026)
    assert [item.number for item in forecast.items] == [number_of(goes)]
    assert [(each.number, each.why) for each in forecast.withheld] == [(number_of(stays), Why.STOPPED)]
    built = build(archive, tmp_path / "p", Audience.COUNSEL)
    assert built.items == (number_of(goes),)
    assert withheld(built) == {number_of(stays): Why.STOPPED}
    page = (tmp_path / "p" / "read-me-first.html").read_text(encoding="utf-8")
    assert "1 item is withheld: whoever sent it withdrew it." in page
    index = json.loads((tmp_path / "p" / "data" / "index.json").read_text(encoding="utf-8"))
    assert (index["audience"], index["withheld"]) == ("counsel", {"stopped": 1})
    assert number_of(stays) not in everything_in(tmp_path / "p")
    assert stays.visit.number is not None and stays.visit.number not in everything_in(tmp_path / "p")
    assert not wrong_in(tmp_path / "p")


@pytest.mark.parametrize(
    ("audience", "reasons"),
    often(
        [
            (Audience.COUNSEL, {}),
            (Audience.COURT, {"legal": Why.OTHER_USE, "open": Why.NOT_HANDED_OVER}),
            (Audience.LITIGATION, {"legal": Why.OTHER_USE, "open": Why.NOT_HANDED_OVER}),
            (Audience.IMMIGRATION, {"legal": Why.OTHER_USE, "open": Why.NOT_HANDED_OVER}),
            (
                Audience.PRESS,
                {
                    "legal": Why.OTHER_USE,
                    "court": Why.OTHER_USE,
                    "press": Why.ONLY_HIDDEN,
                    "open": Why.NOT_HANDED_OVER,
                },
            ),
        ],
        (Audience.COURT, {"legal": Why.OTHER_USE, "open": Why.NOT_HANDED_OVER}),
    ),
)
def test_an_item_goes_only_where_its_sender_allows(
    archive: WayIn, tmp_path: Path, audience: Audience, reasons: dict[str, Why]
) -> None:
    archive.take_in([arrival("office.bin", b"of the office")])
    by_name = {str(rung): sent(archive, rung) for rung in Rung} | {"open": sent(archive, None)}
    built = build(archive, tmp_path / "p", audience)
    assert withheld(built) == {number_of(by_name[name]): why for name, why in reasons.items()}
    assert len(built.items) == 5 - len(reasons), "what the office brought stays as it was"


def test_where_a_sender_was_asked_the_packet_must_say_for_whom_it_is(archive: WayIn, tmp_path: Path) -> None:
    archive.take_in([arrival("office.bin", b"of the office")])
    build(archive, tmp_path / "imports-alone", None)
    sent(archive, Rung.LEGAL)
    before = archive.rooms.ledger.size()
    with pytest.raises(InputError) as caught:
        build(archive, tmp_path / "p", None)
    assert caught.value.code == "export/audience-needed"
    assert archive.rooms.ledger.size() == before


def test_by_its_own_number_an_item_that_may_not_go_is_refused_with_the_reason(archive: WayIn, tmp_path: Path) -> None:
    legal, stopped = sent(archive, Rung.LEGAL), sent(archive, Rung.PRESS)
    stopped.stop()
    both = (number_of(legal), number_of(stopped))
    with pytest.raises(DisclosureError) as caught:
        build(archive, tmp_path / "p", Audience.COURT, items=both)
    assert caught.value.code == "export/not-allowed"
    assert dict(caught.value.evidence) == {
        number_of(legal): "its sender allowed another use, not this one",
        number_of(stopped): "its sender said stop",
    }
    legal.stop()
    with pytest.raises(DisclosureError):
        build(archive, tmp_path / "p", Audience.COUNSEL)
    assert not (tmp_path / "p").exists() and archive.rows("packet") == 0


def test_the_newest_word_counts_and_covers_only_what_had_come(archive: WayIn, tmp_path: Path) -> None:
    sender = sent(archive, Rung.LEGAL)
    sender.change(Rung.COURT)
    build(archive, tmp_path / "court", Audience.COURT)
    sender.bring(b"added, and not handed over")
    added = next(item for item in sender.items if item.size == 26)
    assert withheld(build(archive, tmp_path / "more", Audience.COURT)) == {added.number: Why.NOT_HANDED_OVER}
    sender.finish(None, form="second")
    assert not withheld(build(archive, tmp_path / "both", Audience.COURT))


@pytest.mark.parametrize("table", ["consent", "delivery"])
def test_rows_that_were_changed_let_nothing_out(archive: WayIn, tmp_path: Path, table: str) -> None:
    sender = sent(archive, Rung.LEGAL)
    sender.stop()
    with sqlite3.connect(archive.rooms.catalogue_path) as thief:
        if table == "consent":
            thief.execute("UPDATE consent SET level = 'legal_only', audiences = 'counsel'")
        else:
            thief.execute("DELETE FROM delivery")
    with pytest.raises(IntegrityError) as caught:
        build(archive, tmp_path / "p", Audience.COUNSEL)
    assert caught.value.code == "custody/row-differs"
    assert not (tmp_path / "p").exists()


def test_a_stop_while_the_packet_is_built_ends_the_build(archive: WayIn, tmp_path: Path) -> None:
    sender, other = sent(archive, Rung.LEGAL), sent(archive, Rung.LEGAL)
    request = asked(archive, tmp_path / "p", Audience.COUNSEL)

    def stop(_: object) -> None:
        if sender.visit.status != "stopped":
            sender.stop()

    with pytest.raises(ConflictError) as caught:
        archive.rooms.disclosure.build_legal(request, stop)
    assert caught.value.code == "export/consent-changed"
    assert list(tmp_path.glob("p*")) == []
    (failed,) = archive.last_entries(1)
    assert (failed.entry.event, failed.entry.outcome) == ("dissemination", Outcome.FAILURE)
    assert other.status() == "in review", "what did not leave was not used"


def second(archive: WayIn) -> Actor:
    """Another attorney."""
    rooms = archive.rooms
    staff = admit(
        rooms.ledger,
        rooms.key_files,
        archive.actor,
        os_user="ortiz",
        role=Role.ATTORNEY,
        copy=None,
        new_id=rooms.new_id,
    )
    return as_actor(staff)


def test_what_the_law_demands_goes_with_two_people_and_says_so_in_the_packet(archive: WayIn, tmp_path: Path) -> None:
    sender = sent(archive, Rung.LEGAL)
    sender.stop()
    order = "subpoena 24-cv-1187, C.D. Cal., 2 Nov 2026"
    said: dict[str, Any] = {"compelled": order, "recipient": "US Attorney", "legal_basis": "subpoena"}
    for again in range(2):
        with pytest.raises(AccessError) as caught:
            build(archive, tmp_path / "p", Audience.LITIGATION, **said)
        assert caught.value.code == ("access" if again else "export") + "/second-person-needed"
    assert not (tmp_path / "p").exists() and archive.rows("packet") == 0
    other = second(archive)
    with pytest.raises(AccessError):
        build(archive, tmp_path / "p", Audience.LITIGATION, **{**said, "recipient": "the Times", "actor": other})
    built = build(archive, tmp_path / "p", Audience.LITIGATION, **said, actor=other)
    assert built.items == (number_of(sender),)
    assert order in everything_in(tmp_path / "p")
    page = (tmp_path / "p" / "read-me-first.html").read_text(encoding="utf-8")
    assert f"{number_of(sender)}: {order}" in page
    assert verify_packet(tmp_path / "p", Options()).exit_code in (0, 3) and not wrong_in(tmp_path / "p")
    (released,) = archive.last_entries(1)
    assert released.get("packet")["compelled"] == [number_of(sender)]
    with pytest.raises(AccessError) as caught:
        build(archive, tmp_path / "again", Audience.LITIGATION, **said, actor=other)
    assert caught.value.code == "export/second-person-needed", "an agreement is good once"
    # Whoever has the log's keys can enter what the command refuses: a second packet on the same agreement.
    record = next(value for value in released.all("record") if value["kind"] == "packet")
    kind, columns = columns_of(record)
    packet, agreed = cast(Packet, kind(**columns)), record["sealed"]
    for number, closed in (("P-2026-0098", agreed), ("P-2026-0099", {**agreed, "agreed": None})):
        values = (("record", replace(packet, id=uuid4(), number=number).to_log(closed)),)
        archive.rooms.ledger.record(Draft(event=EventKind.DISSEMINATION, actor=archive.actor, values=values))
    archive.rooms.publisher.publish()
    told = [json.loads(line) for line in run_here(archive.home, "verify", "--json").stdout.splitlines()]
    unapproved = [line["subject"].split()[0] for line in told if line.get("code") == "custody/act-unapproved"]
    assert unapproved == ["P-2026-0098", "P-2026-0099"]


def test_a_stop_names_the_packets_that_hold_it_already(archive: WayIn, tmp_path: Path) -> None:
    sender, other = sent(archive, Rung.LEGAL), sent(archive, Rung.LEGAL)
    number = build(archive, tmp_path / "p", Audience.COUNSEL).number
    assert sender.status() == "used"
    sender.stop()
    (withdrawn,) = archive.last_entries(1)
    assert withdrawn.get("already_in") == [number]
    rooms = {each.visit.id: each.packets for each in sender.drop.telling.list(archive.actor)}
    assert rooms == {sender.visit.id: (number,), other.visit.id: (number,)}
    with archive.rooms.database.reading() as session:
        assert packets_of_visit(session, sender.visit.id) == [number]


def test_a_copy_is_made_for_nobody_whom_its_sender_does_not_allow(archive: WayIn) -> None:
    legal, press, stopped = sent(archive, Rung.LEGAL), sent(archive, Rung.PRESS), sent(archive, Rung.PRESS)
    stopped.stop()
    results = archive.take_in([arrival("office.bin", b"of the office")])

    def opens(number: str, audience: Audience) -> bool:
        allowed = partial(refuse_copy, audience=audience)
        try:
            with archive.rooms.reading_room.open_content(archive.actor, number, "copy", allowed) as (_, source):
                return bool(source.read())
        except DisclosureError as error:
            assert error.code == "export/copy-not-allowed"
            return False

    office = results[0].item.number  # type: ignore[union-attr]  # stored
    found = {
        (name, str(audience)): opens(number, audience)
        for name, number in (
            ("legal", number_of(legal)),
            ("press", number_of(press)),
            ("stopped", number_of(stopped)),
            ("office", office),
        )
        for audience in (Audience.COUNSEL, Audience.PRESS, Audience.PUBLIC, Audience.VAULT)
    }
    assert [name for name, is_open in found.items() if not is_open] == [
        ("legal", "press"),
        ("legal", "public"),
        ("press", "public"),
        ("stopped", "counsel"),
        ("stopped", "press"),
        ("stopped", "public"),
    ]


def test_a_key_is_given_to_nobody_whom_its_sender_does_not_allow(archive: WayIn) -> None:
    court, press, stopped = sent(archive, Rung.COURT), sent(archive, Rung.PRESS), sent(archive, Rung.PRESS)
    stopped.stop()
    (office,) = archive.take_in([arrival("office.bin", b"of the office")])
    numbers = {"office": office.item.number, "court": number_of(court)}  # type: ignore[union-attr]  # stored
    numbers |= {"press": number_of(press), "stopped": number_of(stopped)}
    refused: dict[tuple[str, Audience | None], str] = {}
    for name, number in numbers.items():
        for audience in (None, Audience.VAULT, Audience.LITIGATION, Audience.PRESS):
            try:
                archive.rooms.reading_room.release_key(
                    archive.actor, number, "expert", partial(refuse_key, audience=audience)
                )
            except (DisclosureError, InputError) as error:
                refused[name, audience] = error.code.removeprefix("export/")
                assert archive.last_entries(1)[0].entry.event == "refusal"
    needed, kept = "audience-needed", "key-not-allowed"
    assert refused == {
        ("court", None): needed, ("court", Audience.PRESS): kept,
        ("press", None): needed, ("press", Audience.PRESS): kept,
        ("stopped", None): needed, ("stopped", Audience.LITIGATION): kept, ("stopped", Audience.PRESS): kept,
    }  # fmt: skip
    archive.rooms.publisher.publish()
    words = ["item", "key", number_of(stopped), "--reason", "expert of the other side"]
    for more, code in (([], 1), (["--audience", "litigation_production"], 7), (["--audience", "vault"], 0)):
        told = run_here(archive.home, *words, *more)
        assert (told.returncode, "AGE-SECRET-KEY" in told.stdout) == (code, code == 0), told.stderr


def test_whoever_looks_at_what_was_stopped_is_told_that_it_goes_to_nobody(archive: WayIn, tmp_path: Path) -> None:
    goes, stays = sent(archive, Rung.LEGAL, b"what I saw\n"), sent(archive, Rung.LEGAL, b"what I saw, too\n")
    stays.stop()
    archive.rooms.workers.every_kind.work(lambda *_: None)
    for sender, is_told in ((goes, False), (stays, True)):
        place = tmp_path / number_of(sender)
        shown = run_here(archive.home, "preview", number_of(sender), "--kind", "text", "-o", str(place))
        assert (shown.returncode, place.exists()) == (0, True), shown.stderr
        assert ("goes to nobody" in " ".join(shown.stderr.split())) == is_told


def test_the_command_line_says_what_is_withheld_and_whom_to_tell(tmp_path: Path) -> None:
    with WayIn(tmp_path / "archive", now=AN_HOUR_AGO) as archive:
        goes, stays = sent(archive, Rung.LEGAL), sent(archive, Rung.LEGAL)
        stays.stop()
        words = ["packet", "build", "-i", archive.raid.number, "--to", "A. Ortiz", "--basis", "client file"]
        words += ["--audience", "counsel"]
        with archive.unlocked():
            archive.rooms.database.close()
            lost = run_here(archive.home, *words[:-2], str(tmp_path / "none"))
            planned = run_here(archive.home, *words, "--dry-run", str(tmp_path / "p"))
            explained = run_here(archive.home, *words, "--explain", str(tmp_path / "p"))
            built = run_here(archive.home, *words, str(tmp_path / "p"))
            archive.clock.now = datetime.now(UTC) - timedelta(seconds=2)  # The others' clock is the machine's.
            goes.stop()
            archive.rooms.database.close()
            listed = run_here(archive.home, "packet", "ls")
        locked = run_here(archive.home, "packet", "ls", "--json")
        received = run_here(archive.home, "drop", "received")
    assert (lost.returncode, built.returncode, planned.returncode, explained.returncode) == (1, 3, 3, 3), lost.stderr
    assert "export/audience-needed" in lost.stderr
    for said in (planned.stdout, explained.stdout, built.stdout):
        assert f"WITHHELD: {number_of(stays)}: its sender said stop" in said
    assert (listed.returncode, locked.returncode, received.returncode) == (0, 0, 0), listed.stderr + received.stderr
    shown = " ".join(listed.stdout.split())
    assert "A. Ortiz" in shown and f"stopped since: {number_of(goes)}" in shown
    assert "A. Ortiz" not in locked.stdout and json.loads(locked.stdout.splitlines()[0])["stopped_since"]
    assert "Tell whoever got it" in received.stderr


def test_only_attorneys_and_coordinators_may_be_compelled(archive: WayIn) -> None:
    sent(archive, Rung.LEGAL).stop()
    technician = Actor(staff_id=archive.actor.staff_id, pseudonym=archive.actor.pseudonym, role=Role.TECHNICIAN)
    with pytest.raises(AccessError):
        archive.rooms.acts.agree_to(technician, Action.RELEASE_COMPELLED, archive.raid.id, reason="an order")
