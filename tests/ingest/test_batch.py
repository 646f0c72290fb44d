"""An import of many files: each exactly once, whatever stops it; what it says adds up and can be done again."""

import contextlib
import hashlib
import json
import os
import random
import shlex
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

import ingest.grouping
from archive.catalogue.accounts import read_secret
from archive.catalogue.holds import holds_on
from archive.catalogue.items import list_items
from archive.catalogue.records import ImportBatch
from archive.errors import AccessError, ConflictError, InputError, UnavailableError
from ingest.folder import FoundFile, open_source_file
from ingest.held import hold_import
from ingest.listed import Macs
from ingest.manifest import RESERVED, read_manifest
from ingest.progress import Step
from ingest.reception import Linked, Refused, Result, Stored
from ingest.reconciliation import ImportRequest, Reconciliation
from tests.way_in import AN_HOUR_AGO, SETTINGS, YEAR, WayIn, arrival, command_line, environment, run_testigo, tree_of

GROUPS_OF_TWO = SETTINGS + "group_files = 2\n"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A card of five files in two folders: one twice, one with a sidecar."""
    folder = tmp_path / "card"
    (folder / "DCIM" / "100").mkdir(parents=True)
    (folder / "DCIM" / "100" / "IMG_1.txt").write_text("one\n" * 300)
    (folder / "DCIM" / "100" / "IMG_1.xmp").write_text("<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    (folder / "DCIM" / "100" / "IMG_2.txt").write_text("two\n" * 300)
    (folder / "again.txt").write_text("one\n" * 300)
    (folder / "notes.txt").write_text("notes\n")
    return folder


def _request(archive: WayIn, source: Path, **more: object) -> ImportRequest:
    told = {"incident": archive.raid, "actor": archive.actor, "claims": {}, **more}
    return ImportRequest(source=source, **told)  # type: ignore[arg-type] # ours


def _import(archive: WayIn, request: ImportRequest) -> Reconciliation:
    batch = archive.rooms.batch_import.begin(request)
    return archive.rooms.batch_import.run(batch, request, lambda _: None)


def _outcomes(closing: Reconciliation) -> dict[str, type[Result]]:
    return {path: type(result) for path, result in closing.results}


def test_a_hold_on_an_incident_catches_what_it_received_that_was_here_already_for_another(
    archive: WayIn, card: Path
) -> None:
    first = _import(archive, _request(archive, card))
    other = archive.incident("A second incident")
    hold = archive.rooms.acts.place_hold(archive.actor, other, title="Doe v. Noem", trigger="filed_case")
    (main,) = (result for path, result in first.results if path == "notes.txt")
    assert isinstance(main, Stored)
    with archive.rooms.database.reading() as session:
        assert holds_on(session, main.item) == []
    again = _import(archive, _request(archive, card / "notes.txt", incident=other))
    assert again.linked == 1
    with archive.rooms.database.reading() as session:
        assert holds_on(session, main.item) == [hold]
    with pytest.raises(AccessError, match="legal hold"):
        archive.rooms.acts.destroy(archive.actor, main.item.number, reason="asked for")


def test_every_file_is_stored_linked_or_refused_and_the_numbers_add_up(archive: WayIn, card: Path) -> None:
    (card / "link").symlink_to("/etc/passwd")
    closing = _import(archive, _request(archive, card, custodian="M. Rivera", device="SD-07", reason="handed over"))
    assert _outcomes(closing) == {
        "DCIM/100/IMG_1.txt": Stored,
        "DCIM/100/IMG_1.xmp": Stored,
        "DCIM/100/IMG_2.txt": Stored,
        "again.txt": Linked,
        "notes.txt": Stored,
        "link": Refused,
    }
    assert (closing.seen, closing.stored, closing.linked, closing.refused) == (6, 4, 1, 1)
    assert closing.adds_up
    ended = archive.last_entries(1)[0]
    assert ended.get("purpose") == "import ended"
    assert ended.get("reconciliation") == {
        "seen": 6,
        "stored": 4,
        "linked": 1,
        "refused": 1,
        "claims_without_file": 0,
    }


def test_a_sidecar_is_tied_to_its_file_and_each_file_keeps_its_claimed_time(archive: WayIn, card: Path) -> None:
    os.utime(card / "DCIM" / "100" / "IMG_1.txt", ns=(0, 1_700_000_000_123_456_789))
    results = dict(_import(archive, _request(archive, card)).results)
    main, sidecar = results["DCIM/100/IMG_1.txt"], results["DCIM/100/IMG_1.xmp"]
    assert isinstance(main, Stored)
    assert isinstance(sidecar, Stored)
    assert sidecar.item.companion_id == main.item.id
    claims = archive.log_of(main.item)[0].get("claims")["sender"]
    assert claims == {"file_modified": "2023-11-14T22:13:20.123456789Z"}
    assert set(claims) == RESERVED, "a manifest that claims one of these is refused, and nothing of it is overwritten"


def test_a_second_run_links_everything_and_copies_nothing(archive: WayIn, card: Path) -> None:
    first = _import(archive, _request(archive, card))
    objects = archive.objects()
    second = _import(archive, _request(archive, card))
    assert second.number != first.number
    assert set(_outcomes(second).values()) == {Linked}
    assert (second.seen, second.stored, second.linked) == (5, 0, 5)
    assert archive.objects() == objects


def test_a_forecast_says_what_the_import_then_does_and_writes_nothing(archive: WayIn, card: Path) -> None:
    (card / "link").symlink_to("/etc/passwd")
    request = _request(archive, card)
    archive.rooms.workbench  # noqa: B018 - its socket and locks are made before the picture is taken
    archive.rooms.database.close()
    before, source = tree_of(archive.home), tree_of(card)
    forecast = archive.rooms.batch_import.forecast(request, lambda _: None)
    archive.rooms.database.close()
    assert (tree_of(archive.home), tree_of(card)) == (before, source)
    closing = _import(archive, request)
    assert (forecast.new, forecast.known, len(forecast.refused)) == (
        closing.stored,
        closing.linked,
        closing.refused,
    )
    stored = [result.item.size for _, result in closing.results if isinstance(result, Stored)]
    assert forecast.new_octets == sum(stored)
    assert tree_of(card) == source


def test_with_equality_off_a_forecast_calls_everything_new(tmp_path: Path, card: Path) -> None:
    with WayIn(tmp_path / "archive", archive_settings="intake_equality = false") as archive:
        request = _request(archive, card)
        forecast = archive.rooms.batch_import.forecast(request, lambda _: None)
        assert (forecast.new, forecast.known) == (5, 0)
        assert _import(archive, request).stored == 5


def test_what_was_broken_off_goes_on_where_it_stopped(tmp_path: Path, card: Path) -> None:
    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO) as archive:
        request = _request(archive, card)
        batch = archive.rooms.batch_import.begin(request)

        def stop_after_two(step: Step) -> None:
            if step.result is not None and step.files_done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            archive.rooms.batch_import.run(batch, request, stop_after_two)
        request = replace(request, resume=batch.number)
        forecast = archive.rooms.batch_import.forecast(request, lambda _: None)
        assert (forecast.going_on, forecast.ended, forecast.new + forecast.known) == (batch.number, 2, 3)
        assert archive.rooms.batch_import.begin(request) == batch
        steps: list[Step] = []
        closing = archive.rooms.batch_import.run(batch, request, steps.append)
        assert len(closing.results) == 3
        assert (closing.seen, closing.stored, closing.linked) == (5, 4, 1)
        assert archive.rows("item") == 4
        assert (steps[-1].files_done, steps[-1].files_total) == (5, 5)
        assert steps[-1].octets_done == steps[-1].octets_total


def _break_off(archive: WayIn, request: ImportRequest) -> ImportBatch:
    """Begin an import and stop it when its first group is in."""
    batch = archive.rooms.batch_import.begin(request)

    def stop(step: Step) -> None:
        if step.result is not None and step.files_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.rooms.batch_import.run(batch, request, stop)
    return batch


def test_another_card_at_the_place_of_one_that_was_broken_off_comes_in_whole(tmp_path: Path, card: Path) -> None:
    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO) as archive:
        first = _break_off(archive, _request(archive, card, custodian="M. Rivera"))
        shutil.rmtree(card / "DCIM")
        for path in card.iterdir():
            path.write_text("of the other card: " + path.name)
        told = {"custodian": "Benito", "device": "other phone", "write_blocker": "Tableau", "reason": "card B"}
        closing = _import(archive, _request(archive, card, **told))
        assert closing.number != first.number
        assert (closing.seen, closing.stored) == (2, 2)
        begun = next(each for each in archive.last_entries(4) if each.get("purpose") == "import begun")
        sealed = begun.get("record")["sealed"]
        assert (sealed["device"], sealed["write_blocker"], begun.get("reason")) == ("other phone", "Tableau", "card B")
        assert [each.number for each in archive.rooms.batch_import.unfinished(card)] == [first.number]


def test_another_card_whose_files_have_the_same_names_sizes_and_times_is_not_taken_for_the_first(
    tmp_path: Path, card: Path
) -> None:
    """Cameras write films of one size, and without a set clock all their times are the same."""

    def as_the_camera_left_it() -> None:
        for path in card.rglob("*.txt"):
            os.utime(path, (315_532_800, 315_532_800))

    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO) as archive:
        as_the_camera_left_it()
        batch = _break_off(archive, _request(archive, card))
        first = card / "DCIM" / "100" / "IMG_1.txt"
        first.write_text("ONE\n" * 300)
        as_the_camera_left_it()
        request = _request(archive, card, resume=batch.number)
        forecast = archive.rooms.batch_import.forecast(request, lambda _: None)
        results: list[tuple[str, Result]] = []

        def stop(step: Step) -> None:
            if step.result is not None and step.files_done == 6:
                raise KeyboardInterrupt

        archive.rooms.batch_import.begin(request)
        with pytest.raises(KeyboardInterrupt):
            archive.rooms.batch_import.run(batch, request, stop, results)
        assert forecast.new == sum(isinstance(result, Stored) for _, result in results)
        assert forecast.ended + forecast.new + forecast.known == 5
        closing = _import(archive, request)
        assert (closing.seen, closing.stored, closing.linked, closing.refused) == (6, 5, 1, 0)
        assert closing.adds_up and closing.results == (), "the second run had it already"
        with archive.rooms.database.reading() as session:
            contents = [archive.stored(item.id) for item, _ in list_items(session)]
        assert contents.count(b"one\n" * 300) == contents.count(b"ONE\n" * 300) == 1


def test_what_the_card_could_not_give_is_tried_again_when_the_import_goes_on(
    tmp_path: Path, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {"DCIM/100/IMG_1.xmp", "again.txt"}

    def read(source: Path, file: FoundFile, *heard: Callable[[int], None]) -> BinaryIO:
        if file.path in bad:
            raise InputError("batch/unreadable", "The file could not be read.")
        return open_source_file(source, file, *heard)

    monkeypatch.setattr(ingest.grouping, "open_source_file", read)
    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO) as archive:
        batch = _break_off(archive, _request(archive, card))
        bad.remove("DCIM/100/IMG_1.xmp")
        results = dict((closing := _import(archive, _request(archive, card, resume=batch.number))).results)
        with archive.rooms.database.reading() as session:
            (film,) = [item for item, _ in list_items(session) if item.number == f"E-{item.received_time.year}-00001"]
    sidecar = results["DCIM/100/IMG_1.xmp"]
    assert isinstance(sidecar, Stored) and isinstance(results["again.txt"], Refused)
    assert sidecar.item.companion_id == film.id, "it stays together with what came before it"
    assert (closing.seen, closing.stored, closing.linked, closing.refused) == (6, 4, 0, 2)
    assert closing.adds_up, "each try is counted"


def test_an_import_that_goes_on_takes_in_what_changed_and_names_what_is_gone(tmp_path: Path, card: Path) -> None:
    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO) as archive:
        batch = _break_off(archive, _request(archive, card))
        listed = tuple(each["path"] for each in archive.last_entries(archive.rooms.ledger.size())[-3].get("listing"))
        assert len(listed) == 5
        was = (card / "DCIM" / "100" / "IMG_1.txt").stat()
        (card / "DCIM" / "100" / "IMG_1.txt").write_text("ONE\n" * 300)
        assert (card / "DCIM" / "100" / "IMG_1.txt").stat().st_size == was.st_size
        (card / "notes.txt").unlink()
        (card / "again.txt").write_text("more than before")
        request = _request(archive, card, resume=batch.number, listed=listed)
        forecast = archive.rooms.batch_import.forecast(request, lambda _: None)
        assert (forecast.ended, forecast.new, len(forecast.refused)) == (1, 3, 2)
        closing = _import(archive, request)
    told = [(path, r.error.code) for path, r in closing.results if isinstance(r, Refused)]
    assert told == [("again.txt", "batch/gone"), ("notes.txt", "batch/gone")]
    stored = [path for path, result in closing.results if isinstance(result, Stored)]
    assert stored == ["DCIM/100/IMG_1.txt", "DCIM/100/IMG_2.txt", "again.txt"]
    assert (closing.seen, closing.stored, closing.linked, closing.refused) == (7, 5, 0, 2)
    assert closing.adds_up
    assert closing.list_was_here


def test_while_locked_what_is_gone_is_counted_and_its_name_stays_closed(tmp_path: Path, card: Path) -> None:
    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO) as archive:
        batch = _break_off(archive, _request(archive, card))
        (card / "notes.txt").unlink()
        closing = _import(archive, _request(archive, card, resume=batch.number))
    assert [path for path, result in closing.results if isinstance(result, Refused)] == [""]
    assert (closing.seen, closing.refused, closing.adds_up) == (5, 1, True)


def test_what_is_told_when_an_import_goes_on_is_entered_also_of_files_that_are_in(tmp_path: Path, card: Path) -> None:
    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO) as archive:
        batch = _break_off(archive, _request(archive, card))
        claims = {"DCIM/100/IMG_1.txt": {"who": "Ana"}, "notes.txt": {"who": "Ben"}}
        told = {"device": "SD-07", "write_blocker": "Tableau", "reason": "the reader was pulled", "claims": claims}
        closing = _import(archive, _request(archive, card, resume=batch.number, **told))
        entry = next(each for each in archive.last_entries(6) if each.get("purpose") == "import gone on with")
        assert entry.get("going_on") == {
            "import": batch.number,
            "mounted": "writable",
            "device": "SD-07",
            "write_blocker": "Tableau",
            "late_claims": {"DCIM/100/IMG_1.txt": {"who": "Ana"}},
        }
        assert entry.get("reason") == "the reader was pulled"
        notes = dict(closing.results)["notes.txt"]
        assert isinstance(notes, Stored)
        assert archive.log_of(notes.item)[0].get("claims")["sender"]["who"] == "Ben"


def test_an_import_that_an_older_version_began_goes_on_each_file_once(archive: WayIn, card: Path) -> None:
    batch = archive.rooms.batch_import.begin(_request(archive, card))
    with archive.rooms.database.reading() as session:
        macs = Macs(read_secret(session, "intake-key"), batch.id)
    (archive.rooms.run_folder / f"import-{batch.id}.listed").unlink()
    older = [
        arrival(path, (card / path).read_bytes(), path=path, path_mac=macs.path(path))
        for path in ("again.txt", "notes.txt")
    ]
    archive.rooms.intake.receive(replace(archive.reception, batch=batch), older)
    (card / "notes.txt").write_text("notes, and what was written since\n")
    closing = _import(archive, _request(archive, card, resume=batch.number))
    assert "again.txt" not in _outcomes(closing)
    assert _outcomes(closing)["notes.txt"] is Stored
    assert (closing.seen, closing.stored, closing.linked, closing.adds_up) == (6, 5, 1, True)
    assert not closing.list_was_here
    assert archive.last_entries(1)[0].get("reconciliation")["gone_since_it_began"] == "cannot tell"


def _cut_to(octets: int) -> Callable[[bytes], bytes]:
    return lambda kept: kept[:octets]


@pytest.mark.parametrize(
    "damage",
    [
        _cut_to(0),
        _cut_to(64),
        _cut_to(100),
        lambda kept: bytes(len(kept)),
        lambda kept: kept[64:],
        lambda kept: kept * 2,
    ],
    ids=["emptied", "cut at a row", "cut in a row", "zeroes", "without its start", "twice"],
)
def test_of_a_damaged_list_nobody_is_told_that_nothing_is_gone(
    tmp_path: Path, card: Path, damage: Callable[[bytes], bytes]
) -> None:
    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO) as archive:
        batch = _break_off(archive, _request(archive, card))
        (card / "notes.txt").unlink()
        (kept,) = archive.rooms.run_folder.glob("*.listed")
        kept.write_bytes(damage(kept.read_bytes()))
        request = _request(archive, card, resume=batch.number)
        forecast = archive.rooms.batch_import.forecast(request, lambda _: None)
        assert (forecast.list_was_here, forecast.refused) == (False, ())
        closing = _import(archive, request)
        assert (closing.list_was_here, closing.refused, closing.adds_up) == (False, 0, True)
        assert archive.last_entries(1)[0].get("reconciliation")["gone_since_it_began"] == "cannot tell"


def test_an_import_that_cannot_tell_what_is_gone_ends_with_3_in_the_plan_too(at_rest: Path, card: Path) -> None:
    with WayIn.existing(at_rest) as archive:
        batch = archive.rooms.batch_import.begin(_request(archive, card))
        (kept,) = archive.rooms.run_folder.glob("*.listed")
        kept.write_bytes(b"")
    for more in (["--dry-run"], []):
        done = run_testigo(at_rest, "import", str(card), "--resume", batch.number, *more)
        assert done.returncode == 3, done.stderr
        assert "is gone since cannot be told: its list is not here, or is damaged" in " ".join(done.stderr.split())


def test_what_an_import_listed_is_kept_until_it_ends_and_names_nobody(tmp_path: Path, card: Path) -> None:
    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO) as archive:
        batch = _break_off(archive, _request(archive, card))
        (kept,) = archive.rooms.run_folder.glob("*.listed")
        assert b"IMG" not in kept.read_bytes()
        _import(archive, _request(archive, card, resume=batch.number))
        assert not list(archive.rooms.run_folder.glob("*.listed"))


def test_the_number_of_another_import_is_refused_and_opens_none(archive: WayIn, card: Path) -> None:
    ended = _import(archive, _request(archive, card))
    size = archive.rooms.ledger.size()
    for number in (ended.number, "imp-2026-9999"):
        with pytest.raises(ConflictError) as raised:
            archive.rooms.batch_import.begin(_request(archive, card, resume=number))
        assert raised.value.code == "batch/other-import"
    assert archive.rooms.ledger.size() == size


def test_an_import_that_another_process_holds_is_refused_with_the_holders_name(archive: WayIn, card: Path) -> None:
    request = _request(archive, card)
    batch = archive.rooms.batch_import.begin(request)
    with hold_import(archive.rooms.run_folder, batch.id, archive.clock):
        with pytest.raises(ConflictError, match=rf"process {os.getpid()} since 2026-11-22 09:\d\d:\d\d UTC") as raised:
            archive.rooms.batch_import.run(batch, request, lambda _: None)
        assert raised.value.code == "archive/held"
    archive.rooms.batch_import.run(batch, request, lambda _: None)
    with pytest.raises(ConflictError) as raised:
        archive.rooms.batch_import.run(batch, request, lambda _: None)
    assert raised.value.code == "batch/ended"


def test_room_that_is_kept_back_for_the_log_is_not_used_up(tmp_path: Path, card: Path) -> None:
    reserve = (shutil.disk_usage(tmp_path).total >> 20) + 1
    with WayIn(tmp_path / "archive", settings=SETTINGS.replace("16", str(reserve))) as archive:
        request = _request(archive, card)
        forecast = archive.rooms.batch_import.forecast(request, lambda _: None)
        assert forecast.lacking > 0
        batch = archive.rooms.batch_import.begin(request)
        with pytest.raises(UnavailableError) as raised:
            archive.rooms.batch_import.run(batch, request, lambda _: None)
        assert raised.value.code == "archive/store-full"
        assert archive.rows("item") == 0


def test_claims_of_a_manifest_stand_in_the_items_record_and_those_of_no_file_are_named(
    archive: WayIn, card: Path, tmp_path: Path
) -> None:
    manifest = tmp_path / "claims.csv"
    manifest.write_text("path,who,where\nnotes.txt,Ana,6th St\nDCIM/100/IMG_9.txt,Ben,\n", encoding="utf-8")
    closing = _import(archive, _request(archive, card, claims=read_manifest(manifest)))
    notes = dict(closing.results)["notes.txt"]
    assert isinstance(notes, Stored)
    claims = archive.log_of(notes.item)[0].get("claims")["sender"]
    assert {name: claims[name] for name in ("who", "where")} == {"who": "Ana", "where": "6th St"}
    assert closing.unclaimed == ("DCIM/100/IMG_9.txt",)
    assert archive.last_entries(1)[0].get("reconciliation")["claims_without_file"] == 1


def test_names_of_any_octets_come_in_each_once(archive: WayIn, tmp_path: Path) -> None:
    folder = bytes(tmp_path / "hostile")
    os.mkdir(folder)  # noqa: PTH102 - names of octets
    names = [b"a\nb", b"[bold]x[", b"\xff\xfe.jpg", b"-rf", b"%s", "\u202e.txt".encode(), b"con", b" ", b"a" * 255]
    for name in names:
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(b"content of " + name)
    closing = _import(archive, _request(archive, Path(os.fsdecode(folder))))
    assert [os.fsencode(path) for path, _ in closing.results] == sorted(names)
    assert closing.stored == len(names)


def _import_while(archive: WayIn, card: Path, change: Callable[[], None]) -> Reconciliation:
    """Import one file at a time; change the card when all have been listed and the first, with its sidecar, is read."""
    request = _request(archive, card)
    batch = archive.rooms.batch_import.begin(request)
    first = sum(path.stat().st_size for path in (card / "DCIM" / "100").glob("IMG_1.*"))
    changed = False

    def watch(step: Step) -> None:
        nonlocal changed
        if not changed and step.octets_done == first:
            changed = True
            change()

    return archive.rooms.batch_import.run(batch, request, watch)


def test_a_file_that_vanishes_or_changes_after_it_was_listed_is_refused(tmp_path: Path, card: Path) -> None:
    def change() -> None:
        (card / "notes.txt").unlink()
        with (card / "again.txt").open("a") as file:
            file.write("more")

    with WayIn(tmp_path / "archive", settings=SETTINGS + "group_files = 1\n") as archive:
        closing = _import_while(archive, card, change)
    codes = {path: result.error.code for path, result in closing.results if isinstance(result, Refused)}
    assert codes == {"notes.txt": "batch/unreadable", "again.txt": "batch/changed"}
    assert closing.adds_up


def test_a_folder_that_becomes_a_link_after_it_was_listed_is_not_followed(tmp_path: Path, card: Path) -> None:
    def swap() -> None:
        (card / "DCIM").rename(tmp_path / "elsewhere")
        (card / "DCIM").symlink_to(tmp_path / "elsewhere")

    with WayIn(tmp_path / "archive", settings=SETTINGS + "group_files = 1\n") as archive:
        outcomes = _outcomes(_import_while(archive, card, swap))
    assert outcomes.pop("DCIM/100/IMG_1.txt") is Stored  # It and its sidecar were read before.
    assert outcomes.pop("DCIM/100/IMG_1.xmp") is Stored
    assert outcomes == {"DCIM/100/IMG_2.txt": Refused, "again.txt": Linked, "notes.txt": Stored}


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("/nonexistent/card", "batch/no-such-source"),
        ("/etc/passwd/card", "batch/no-such-source"),
        ("/dev/null", "batch/source-not-a-file"),
    ],
)
def test_a_source_that_is_none_is_told_before_anything_is_entered(archive: WayIn, source: str, code: str) -> None:
    size = archive.rooms.ledger.size()
    with pytest.raises(InputError) as raised:
        archive.rooms.batch_import.begin(_request(archive, Path(source)))
    assert raised.value.code == code
    assert archive.rooms.ledger.size() == size


def test_a_file_that_changes_after_an_import_began_is_told_once(archive: WayIn, card: Path) -> None:
    request = _request(archive, card)
    batch = archive.rooms.batch_import.begin(request)
    (card / "notes.txt").write_text("written since")
    (card / "again.txt").unlink()
    closing = archive.rooms.batch_import.run(batch, request, lambda _: None)
    codes = {path: result.error.code for path, result in closing.results if isinstance(result, Refused)}
    assert codes == {"notes.txt": "batch/changed", "again.txt": "batch/unreadable"}
    assert (closing.seen, closing.stored, closing.refused, closing.adds_up) == (5, 3, 2, True)


def test_where_nothing_lies_nothing_is_begun_or_gone_on_with(tmp_path: Path, card: Path) -> None:
    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO) as archive:
        batch = _break_off(archive, _request(archive, card))
        shutil.rmtree(card)
        (card / "DCIM" / "100").mkdir(parents=True)
        before = archive.rooms.ledger.size()
        for resume in (None, batch.number):
            request = _request(archive, card, resume=resume)
            for attempt in (
                archive.rooms.batch_import.begin,
                partial(archive.rooms.batch_import.forecast, watch=print),
            ):
                with pytest.raises(InputError, match="Is the card mounted") as raised:
                    attempt(request)
                assert raised.value.code == "batch/nothing-there"
        assert archive.rooms.ledger.size() == before


# ── in a process of its own ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def at_rest(tmp_path: Path) -> Path:
    """The home of an archive that no process has open, which imports two files at a time."""
    with WayIn(tmp_path / "archive", settings=GROUPS_OF_TWO, now=AN_HOUR_AGO):
        return tmp_path / "archive"


def _fill(folder: Path, *, files: int, octets: int) -> dict[str, str]:
    """Make a card; every fifth file is the one before it again. Return the digest of each path."""
    digests = {}
    folder.mkdir()
    for number in range(files):
        content = hashlib.shake_128(b"%d" % (number - (number % 5 == 4))).digest(octets)
        (folder / f"{number:03}.bin").write_bytes(content)
        digests[f"{number:03}.bin"] = hashlib.sha256(content).hexdigest()
    return digests


def _told(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def _prove_each_file_came_in_once(home: Path, digests: dict[str, str]) -> None:
    """Open every item beside the program and compare with the source; look for what came in twice."""
    with WayIn.existing(home) as archive:
        from archive.catalogue.items import list_items

        with archive.rooms.database.reading() as session:
            items = [item for item, _ in list_items(session)]
        found = [hashlib.sha256(archive.stored(item.id)).hexdigest() for item in items]
        assert sorted(found) == sorted(set(digests.values()))
        assert archive.rows("import_file") == len(digests)
        outcomes = [
            result
            for item in items
            for entry in archive.log_of(item)
            for result in entry.all("fixity")
            if entry.entry.event in ("ingestion", "duplicate receipt")
        ]
        assert sorted(each["sha256"] for each in outcomes) == sorted(digests.values())


def test_killed_at_random_instants_an_import_still_takes_each_file_in_once(at_rest: Path, tmp_path: Path) -> None:
    _kill_and_go_on(at_rest, tmp_path / "card", files=36, octets=150_000, kills=6)


@pytest.mark.long
def test_killed_a_hundred_times_an_import_still_takes_each_file_in_once(at_rest: Path, tmp_path: Path) -> None:
    _kill_and_go_on(at_rest, tmp_path / "card", files=600, octets=150_000, kills=100)


def _kill_and_go_on(home: Path, card: Path, *, files: int, octets: int, kills: int) -> None:
    """Kill an import as often as its files allow, at random instants after its first acknowledgement, and go on."""
    digests = _fill(card, files=files, octets=octets)
    instants = random.Random(20261122)  # noqa: S311 - instants, no secrets
    acknowledged: dict[str, object] = {}
    resume: list[str] = []
    killed = 0
    while True:
        line = command_line("import", str(card), "-i", f"I-{YEAR}-0001", "--json", *resume)
        with subprocess.Popen(line, env=environment(home), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            if killed < kills:
                # The first acknowledgement tells that the import runs, however slow the machine is.
                first = process.stdout.readline()
                time.sleep(instants.uniform(0, 0.05))
                process.kill()
                output = first + process.stdout.read()
            else:
                output = process.stdout.read()
        for told in _told("\n".join(each for each in output.splitlines() if each.endswith("}"))):
            if told["message_type"] == "file":
                assert told["path"] not in acknowledged, "an acknowledged file was taken in again"
                acknowledged[str(told["path"])] = told["sha256"]
        if process.returncode != -signal.SIGKILL or _has_ended(home):
            break  # Where the last kill came after the import's own end, there is nothing to go on with.
        killed += 1
        resume = ["--resume", f"imp-{YEAR}-0001"]
    assert killed >= min(kills, 5), f"only {killed} kills came before the import's end"
    if process.returncode != -signal.SIGKILL:
        summary = _told(output)[-1]
        assert process.returncode == 0, output
        assert summary["seen"] == files
        assert summary["seen"] == summary["stored"] + summary["linked"]  # type: ignore[operator] # numbers
    assert all(digests[path] == sha256 for path, sha256 in acknowledged.items())
    _prove_each_file_came_in_once(home, digests)


def _has_ended(home: Path) -> bool:
    """Tell whether the archive's only import has ended; read beside the program."""
    with contextlib.closing(sqlite3.connect(f"file:{home / 'catalogue.sqlite'}?mode=ro", uri=True)) as connection:
        return [("ended",)] == connection.execute('SELECT status FROM "import"').fetchall()


@pytest.mark.long
def test_an_sd_card_of_two_gibibytes_killed_half_way(tmp_path: Path) -> None:
    """The technician's journey: dry run, kill at half, resume, second run; each file once, in little memory."""
    home, card = tmp_path / "archive", tmp_path / "SD-07"
    with WayIn(home, now=AN_HOUR_AGO):
        pass
    (card / "DCIM" / "100GOPRO").mkdir(parents=True)
    digests: dict[str, str] = {}
    for number in range(200):
        path = card / "DCIM" / "100GOPRO" / f"GX{number:06}.MP4"
        content = hashlib.shake_128(b"%d" % (number - (number % 12 == 11))).digest(1 << 16) * ((11 << 20) >> 16)
        path.write_bytes(content)
        digests[str(path.relative_to(card))] = hashlib.sha256(content).hexdigest()
    bad = card / "DCIM" / "100GOPRO" / "GX000150.MP4"
    fault = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(bad), "-e", "inject=readv:error=EIO"]
    line = command_line("import", str(card), "-i", f"I-{YEAR}-0001", "--json")
    before, source = tree_of(home), tree_of(card)
    dry = run_testigo(home, "import", str(card), "-i", f"I-{YEAR}-0001", "--dry-run", "--json")
    assert (dry.returncode, _told(dry.stdout)[-1]["new"], _told(dry.stdout)[-1]["known"]) == (0, 184, 16)
    assert tree_of(home) == before
    with subprocess.Popen(line, env=environment(home), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for told in map(json.loads, process.stdout):
            if told.get("files_done", 0) >= 90 or told.get("percent_done", 0) >= 0.5:
                process.kill()
                break
    resumed = subprocess.run(
        [*fault, *line, "--resume", f"imp-{YEAR}-0001"],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert resumed.returncode == 3, resumed.stderr
    closing = _told(resumed.stdout)[-1]
    assert (closing["seen"], closing["stored"], closing["linked"], closing["refused"]) == (200, 183, 16, 1)
    objects = sorted((home / "store" / "objects").rglob("*.age"))
    again = subprocess.run([*fault, *line], env=environment(home), capture_output=True, text=True, check=False)
    assert again.returncode == 3, again.stderr
    assert _told(again.stdout)[-1]["stored"] == 0
    assert sorted((home / "store" / "objects").rglob("*.age")) == objects
    assert tree_of(card) == source
    measured = tmp_path / "measured"
    with WayIn(measured, now=AN_HOUR_AGO):
        pass
    begun = time.monotonic()
    whole = subprocess.run(
        ["/usr/bin/env", "time", "-f", "%M", *line],
        env=environment(measured),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - begun
    assert whole.returncode == 0, whole.stderr
    memory = int(whole.stderr.split()[-1]) >> 10
    print(f"2.1 GiB in {seconds:.1f} s, {200 * 11 / seconds:.0f} MiB/s, {memory} MiB")
    assert memory < 200


def test_an_interrupt_ends_with_130_and_the_line_that_goes_on(at_rest: Path, tmp_path: Path) -> None:
    card = tmp_path / "a card"
    digests = _fill(card, files=80, octets=100_000)
    line = command_line("import", str(card), "-i", f"I-{YEAR}-0001", "--json")
    with subprocess.Popen(
        line,
        env=environment(at_rest),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has it ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, talk = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130, talk
    assert _told(first + output)[-1]["message_type"] == "interrupted"
    (resume,) = [each.partition(": ")[2] for each in talk.splitlines() if each.startswith("To go on: ")]
    words = shlex.split(resume)
    assert words == ["testigo", "import", str(card), "--resume", f"imp-{YEAR}-0001"]
    done = run_testigo(at_rest, *words[1:], "--json")
    assert done.returncode == 0, done.stderr
    assert _told(done.stdout)[-1]["seen"] == 80
    _prove_each_file_came_in_once(at_rest, digests)


def test_a_broken_off_import_is_gone_on_with_only_by_its_number_and_the_way_is_told(
    at_rest: Path, tmp_path: Path
) -> None:
    card = tmp_path / "card"
    _fill(card, files=60, octets=100_000)
    line = command_line("import", str(card), "-i", f"I-{YEAR}-0001", "--json")
    with subprocess.Popen(line, env=environment(at_rest), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    (card / "059.bin").unlink()
    with WayIn.existing(at_rest) as archive, archive.unlocked():
        other = run_testigo(at_rest, "import", str(card), "-i", f"I-{YEAR}-0001")
        assert other.returncode == 0, other.stderr
        assert f"imp-{YEAR}-0002: 59 seen = " in other.stdout
        assert f"imp-{YEAR}-0001 of this same path was begun " in other.stderr
        assert f"To go on with that one instead: testigo import {card} --resume imp-{YEAR}-0001" in other.stderr
        resumed = run_testigo(at_rest, "import", str(card), "--resume", f"imp-{YEAR}-0001")
    assert resumed.returncode == 3, resumed.stderr
    assert f"imp-{YEAR}-0001: 60 seen = " in resumed.stdout
    assert "059.bin: It was listed when this import began, and is not there any more" in " ".join(
        resumed.stdout.split()
    )


def test_an_import_goes_on_by_its_number_alone_once_the_archive_is_unlocked(at_rest: Path, tmp_path: Path) -> None:
    card = tmp_path / "card"
    _fill(card, files=30, octets=300_000)
    line = command_line("import", str(card), "-i", f"I-{YEAR}-0001", "--json")
    with subprocess.Popen(line, env=environment(at_rest), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    resume = ("import", "--resume", f"imp-{YEAR}-0001", "--json")
    locked = run_testigo(at_rest, *resume)
    assert (locked.returncode, "stands sealed in the log, and the archive is locked" in locked.stderr) == (12, True)
    assert run_testigo(at_rest, "import", "--json").returncode == 2
    with WayIn.existing(at_rest) as archive, archive.unlocked():
        done = run_testigo(at_rest, *resume)
        assert done.returncode == 0, done.stderr
        assert _told(done.stdout)[-1]["seen"] == 30
        again = run_testigo(at_rest, *resume)
        assert (again.returncode, _told(again.stdout)[-1]["code"]) == (8, "batch/ended")
        purposes = [entry.get("purpose") for entry in archive.last_entries(2)]
        assert "read the log" not in purposes, "an import that has ended opens nothing"


def test_a_file_that_the_card_cannot_give_is_refused_with_3_and_the_others_are_in(
    at_rest: Path, tmp_path: Path
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not here, which makes one file unreadable")
    card = tmp_path / "card"
    digests = _fill(card, files=4, octets=10_000)
    bad = card / "002.bin"
    fault = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(bad), "-e", "inject=readv:error=EIO"]
    line = command_line("import", str(card), "-i", f"I-{YEAR}-0001", "--json")
    done = subprocess.run([*fault, *line], env=environment(at_rest), capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    told = _told(done.stdout)
    assert [each["code"] for each in told if each.get("outcome") == "refused"] == ["batch/unreadable"]
    assert (told[-1]["stored"], told[-1]["refused"], told[-1]["ok"]) == (3, 1, False)
    again = run_testigo(at_rest, "import", str(card), "-i", f"I-{YEAR}-0001", "--json")
    assert again.returncode == 0, again.stderr
    assert (_told(again.stdout)[-1]["stored"], _told(again.stdout)[-1]["linked"]) == (1, 3)
    assert set(digests) == {str(each["path"]) for each in _told(again.stdout) if each["message_type"] == "file"}


def test_an_empty_folder_ends_with_1_and_asks_for_the_card(at_rest: Path, tmp_path: Path) -> None:
    done = run_testigo(at_rest, "import", str(tmp_path / "card"), "-i", f"I-{YEAR}-0001")
    assert (done.returncode, "There is nothing at that path" in done.stderr) == (1, True)
    (tmp_path / "card").mkdir()
    for more in ((), ("--dry-run",)):
        done = run_testigo(at_rest, "import", str(tmp_path / "card"), "-i", f"I-{YEAR}-0001", *more)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Nothing lies there" in done.stderr
        assert "Is the card mounted?" in done.stderr


def test_two_processes_on_one_import_and_the_second_ends_with_11(at_rest: Path, tmp_path: Path) -> None:
    card = tmp_path / "card"
    _fill(card, files=12, octets=100_000)
    line = command_line("import", str(card), "-i", f"I-{YEAR}-0001", "--json")
    with subprocess.Popen(line, env=environment(at_rest), stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.send_signal(signal.SIGSTOP)  # Or it might end before the second has begun.
        try:
            second = run_testigo(at_rest, "import", str(card), "-i", f"I-{YEAR}-0001")
        finally:
            first.send_signal(signal.SIGCONT)
        first.stdout.read()
    assert first.returncode == 0
    assert second.returncode == 11
    assert f"process {first.pid} since " in second.stderr


def test_a_dry_run_leaves_the_home_and_the_card_as_they_were(at_rest: Path, tmp_path: Path) -> None:
    card = tmp_path / "card"
    _fill(card, files=5, octets=10_000)
    before, source = tree_of(at_rest), tree_of(card)
    accessed = {path: path.stat().st_atime_ns for path in card.iterdir()}
    done = run_testigo(at_rest, "import", str(card), "-i", f"I-{YEAR}-0001", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "4 new" in done.stdout
    assert "1 already here" in done.stdout
    assert (tree_of(at_rest), tree_of(card)) == (before, source)
    assert {path: path.stat().st_atime_ns for path in accessed} == accessed
