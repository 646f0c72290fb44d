"""The same content received for two incidents: it is evidence of both, and neither learns what the other was told."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.catalogue.holds import holds_on
from archive.catalogue.incidents import items_of_incident
from archive.catalogue.records import Incident, Item
from archive.types import Audience
from commands.drop_rooms import DropRooms
from custody.commitments import Disclosure
from export.request import BuiltPacket, PacketRequest
from ingest.droplinks import Terms
from ingest.reception import Linked, Stored
from ingest.reconciliation import ImportRequest
from ingest.told import Told
from tests.export.packet_archive import verify_json
from tests.ingest.test_rescuing import Brought
from tests.way_in import WayIn


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive, archive.unlocked():
        yield archive


def bring(archive: WayIn, folder: Path, incident: Incident, files: dict[str, str]) -> dict[str, Item | str]:
    """Import a card; give what each file became, an item or the number of the one that was here already."""
    folder.mkdir()
    for name, words in files.items():
        (folder / name).write_text(words)
    claims = {name: {"who": f"told with {name}"} for name in files}
    request = ImportRequest(source=folder, incident=incident, actor=archive.actor, claims=claims)
    batch = archive.rooms.batch_import.begin(request)
    closing = archive.rooms.batch_import.run(batch, request, lambda _: None)
    return {
        path: result.item if isinstance(result, Stored) else result.item_number
        for path, result in closing.results
        if isinstance(result, Stored | Linked)
    }


def build(
    archive: WayIn, destination: Path, *, incident: Incident | None = None, items: tuple[str, ...] = ()
) -> BuiltPacket:
    request = PacketRequest(
        actor=archive.actor,
        recipient="A. Ortiz",
        legal_basis="client file",
        destination=destination,
        items=items,
        incident=incident.number if incident else None,
        audience=Audience.COUNSEL,
    )
    return archive.rooms.disclosure.build_legal(request, lambda _: None)


def wrong_in(packet: Path) -> list[Any]:
    """What the packet's own verifier finds that does not match."""
    findings: Any = verify_json(packet)["findings"]
    return [finding for finding in findings if finding["verdict"] == "DOES NOT MATCH"]


def everything_in(packet: Path) -> str:
    """Every octet of a packet as text, and every value that its log opens."""
    lines = (packet / "metadata" / "custody-log.jsonl").read_text(encoding="ascii").splitlines()
    opened = [Disclosure(text).parse() for line in lines for text in json.loads(line)["disclosures"]]
    files = [path.read_bytes().decode("utf-8", "replace") for path in sorted(packet.rglob("*")) if path.is_file()]
    return "\n".join([*files, *map(repr, opened)])


def test_a_packet_of_an_incident_holds_what_the_incident_received_that_was_here_already(
    archive: WayIn, tmp_path: Path
) -> None:
    second = archive.incident("A second incident")
    first = bring(archive, tmp_path / "one", archive.raid, {"ana-maria.txt": "the same\n", "only-here.txt": "1\n"})
    again = bring(archive, tmp_path / "two", second, {"clip-7.txt": "the same\n", "other.txt": "2\n"})
    shared, own = first["ana-maria.txt"], again["other.txt"]
    assert isinstance(shared, Item)
    assert isinstance(own, Item)
    assert again["clip-7.txt"] == shared.number
    with archive.rooms.database.reading() as session:
        listed = [item.number for item, _ in items_of_incident(session, second.id)]
    built = build(archive, tmp_path / "packet", incident=second)
    assert list(built.items) == listed == [shared.number, own.number]
    assert not wrong_in(tmp_path / "packet")


def test_neither_matter_learns_from_a_packet_what_the_other_was_told(archive: WayIn, tmp_path: Path) -> None:
    second = archive.incident("A second incident")
    shared = bring(archive, tmp_path / "one", archive.raid, {"ana-maria.txt": "the same\n"})["ana-maria.txt"]
    bring(archive, tmp_path / "two", second, {"clip-7.txt": "the same\n"})
    assert isinstance(shared, Item)
    build(archive, tmp_path / "of-second", incident=second)
    of_second = everything_in(tmp_path / "of-second")
    assert "clip-7.txt" in of_second
    assert "told with clip-7.txt" in of_second
    assert "ana-maria" not in of_second
    assert archive.raid.number not in of_second
    page = (tmp_path / "of-second" / "read-me-first.html").read_text(encoding="utf-8")
    assert "for another matter of this archive" in page
    assert "The same content again" in page

    build(archive, tmp_path / "of-first", items=(shared.number,))
    of_first = everything_in(tmp_path / "of-first")
    assert "told with ana-maria.txt" in of_first
    assert "duplicate receipt" in of_first  # That it came again is part of its custody.
    assert "clip-7" not in of_first
    assert second.number not in of_first
    build(archive, tmp_path / "of-both", incident=second, items=(shared.number,))
    of_both = everything_in(tmp_path / "of-both")
    assert "told with ana-maria.txt" in of_both
    assert "told with clip-7.txt" in of_both
    for name in ("of-second", "of-first", "of-both"):
        assert not wrong_in(tmp_path / name)


def test_the_same_card_twice_for_one_incident_opens_both_names(archive: WayIn, tmp_path: Path) -> None:
    bring(archive, tmp_path / "one", archive.raid, {"a.txt": "the same\n", "b.txt": "the same\n"})
    build(archive, tmp_path / "packet", incident=archive.raid)
    said = everything_in(tmp_path / "packet")
    assert "told with a.txt" in said
    assert "told with b.txt" in said
    assert "for another matter" not in said


def test_what_was_linked_can_be_left_out_by_its_number_and_the_page_counts_it(archive: WayIn, tmp_path: Path) -> None:
    second = archive.incident("A second incident")
    shared = bring(archive, tmp_path / "one", archive.raid, {"ana-maria.txt": "the same\n"})["ana-maria.txt"]
    bring(archive, tmp_path / "two", second, {"clip-7.txt": "the same\n", "other.txt": "2\n"})
    assert isinstance(shared, Item)
    request = PacketRequest(
        actor=archive.actor,
        recipient="A. Ortiz",
        legal_basis="client file",
        destination=tmp_path / "packet",
        incident=second.number,
        exclude=(shared.number,),
    )
    forecast = archive.rooms.disclosure.forecast(request, 2026)
    assert (len(forecast.items), forecast.left_out) == (1, 1)
    archive.rooms.disclosure.build_legal(request, lambda _: None)
    page = (tmp_path / "packet" / "read-me-first.html").read_text(encoding="utf-8")
    assert "1 item of the incident, by choice" in page


def test_what_an_observer_brings_again_is_an_item_of_their_incident_alone_and_held_with_it(
    archive: WayIn, tmp_path: Path
) -> None:
    second = archive.incident("A second incident")
    shared = bring(archive, tmp_path / "one", archive.raid, {"ana-maria.txt": "the same\n"})["ana-maria.txt"]
    assert isinstance(shared, Item)
    drop = DropRooms(archive.rooms)
    code = drop.links.give(archive.actor, second.number, Terms())[1]
    drop.uploads.receive_whole(os.urandom(32), code, Told(name="phone-7.txt"), Brought(b"the same\n"), 1000)
    hold = archive.rooms.acts.place_hold(archive.actor, second, title="Doe v. Noem", trigger="filed_case")
    with archive.rooms.database.reading() as session:
        (brought,) = [item for item, _ in items_of_incident(session, second.id)]
        assert brought.id != shared.id
        assert (holds_on(session, brought), holds_on(session, shared)) == ([hold], [])
    build(archive, tmp_path / "packet", incident=second)
    said = everything_in(tmp_path / "packet")
    assert "phone-7.txt" in said
    assert "ana-maria" not in said
