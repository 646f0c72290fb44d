"""The catalogue's file is gone; store and keys alone give back one with the same rows, and the log goes on."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from archive.age.recipients import KeyKind, generate_identity
from archive.errors import ConflictError, IntegrityError, LockedError
from archive.jobs import JobState
from archive.types import Role
from cli import Rooms
from custody.accounts import admit, as_actor
from custody.acts import Asked, Destroyed
from custody.rebuild import Rebuild, Rebuilt
from tests.archives import PASSPHRASE, SmallArchive
from tests.export.packet_archive import SAMPLES, authority_settings
from tests.running_authority import Behaviour, StartAuthority

pytest_plugins = ("tests.authority_fixture",)

LEFT_OUT = {"job", "sqlite_sequence"}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as made:
        yield made


def dump(path: Path) -> dict[str, list[str]]:
    """Every row of every table, as SQLite prints it."""
    with closing(sqlite3.connect(path)) as sql:
        tables = [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: sorted(map(repr, sql.execute(f'SELECT * FROM "{table}"')))  # noqa: S608 - named by SQLite
            for table in tables
            if table not in LEFT_OUT
        }


def lose(archive: SmallArchive, lost: Path) -> dict[str, list[str]]:
    """Dump the catalogue, then move its file away as if a disk had failed. Side files stay behind."""
    archive.publish()
    archive.rooms.database.close()
    rows = dump(archive.rooms.catalogue_path)
    archive.rooms.close()
    archive.rooms.catalogue_path.rename(lost)
    archive.rooms = archive.open_rooms()
    return rows


def rebuild(rooms: Rooms, identity: Any = None) -> Rebuilt:
    office = identity or rooms.key_files.open_copy(rooms.key_files.granted()[0], PASSPHRASE)
    return Rebuild(
        target=rooms.catalogue_path,
        store=rooms.store,
        key_files=rooms.key_files,
        verifier_keys=rooms.verifier_keys,
        authorities=[authority.name for authority in rooms.settings.custody.authorities],
        clock=rooms.clock,
    ).run(office)


def fill(archive: SmallArchive) -> None:
    """Real files, and whatever else makes records."""
    incident = archive.incident()
    files = [(path.name, path.read_bytes()) for path in sorted(SAMPLES.rglob("*")) if path.is_file()]
    items = archive.receive(incident, files)
    archive.receive(archive.incident("Raid at the market"), [("b.txt", b"b")])
    archive.rooms.acts.place_hold(archive.actor, items[0], title="Doe v. Noem", trigger="filed_case")
    archive.rooms.acts.place_hold(archive.actor, incident, title="All of it", trigger="subpoena")
    archive.touch(items[1:4])
    archive.told_by_counsels_client("M. Rivera")


def test_rows_and_root_are_the_earlier_ones(archive: SmallArchive, tmp_path: Path) -> None:
    fill(archive)
    before = lose(archive, tmp_path / "lost")
    built = rebuild(archive.rooms)
    assert built.problems == ()
    assert dump(archive.rooms.catalogue_path) == before
    assert built.root == archive.rooms.publisher.reader(built.entries).root()
    assert all(each.is_expected for each in [*archive.rooms.audit.log(), *archive.rooms.audit.holdings()])


def test_the_log_goes_on_where_it_was(archive: SmallArchive, tmp_path: Path) -> None:
    fill(archive)
    lose(archive, tmp_path / "lost")
    rebuild(archive.rooms)
    more = archive.receive(archive.incident("Afterwards"), [("c.txt", b"c")])
    assert more[0].number == f"E-2026-{len([p for p in SAMPLES.rglob('*') if p.is_file()]) + 2:05}"
    with archive.unlocked():
        opened = archive.rooms.reading_room.open_item(archive.actor, "E-2026-00002", "look")
    assert len(opened.entries) == 3
    archive.publish()
    assert all(each.is_expected for each in archive.rooms.audit.log())


def test_the_recovery_key_does_as_well(archive: SmallArchive, tmp_path: Path) -> None:
    archive.receive(archive.incident(), [("a.txt", b"a")])
    before = lose(archive, tmp_path / "lost")
    rebuild(archive.rooms, archive.founded.recovery)
    assert dump(archive.rooms.catalogue_path) == before


def test_a_destroyed_item_comes_back_as_destroyed(archive: SmallArchive, tmp_path: Path) -> None:
    items = archive.receive(archive.incident(), [("a.txt", b"a"), ("b.txt", b"b")])
    archive.touch(items)
    other = as_actor(
        admit(
            archive.rooms.ledger,
            archive.rooms.key_files,
            archive.actor,
            os_user="ortiz",
            role=Role.COORDINATOR,
            copy=None,
            new_id=archive.rooms.new_id,
        )
    )
    assert isinstance(archive.rooms.acts.destroy(archive.actor, items[0].number, reason="asked for"), Asked)
    with archive.unlocked():
        assert isinstance(archive.rooms.acts.destroy(other, items[0].number, reason="asked for"), Destroyed)
    before = lose(archive, tmp_path / "lost")
    assert rebuild(archive.rooms).problems == ()
    after = dump(archive.rooms.catalogue_path)
    assert after == before, "which objects it left is named by the entry of its destruction"


def test_time_stamps_come_back_and_pending_ones_are_asked_for_again(
    start_authority: StartAuthority, tmp_path: Path
) -> None:
    one, two = start_authority("one"), start_authority("two")
    two.behaviour = Behaviour.DOWN
    with SmallArchive(tmp_path / "home", settings=authority_settings(one, two)) as archive:
        archive.rooms.workers.stamping.work(lambda *_: None)
        before = lose(archive, tmp_path / "lost")
        rebuild(archive.rooms)
        after = dump(archive.rooms.catalogue_path)
        assert after == before
        assert len(after["timestamp_token"]) == 1
        assert [job.subject for job in archive.rooms.jobs.list([JobState.NEW])] == ["1/two"]


def test_what_no_checkpoint_covers_is_put_aside_and_not_thrown_away(archive: SmallArchive, tmp_path: Path) -> None:
    items = archive.receive(archive.incident(), [("a.txt", b"a")])
    home = tmp_path / "as-it-was"
    archive.rooms.close()
    shutil.copytree(archive.home / "store", home)
    archive.rooms = archive.open_rooms()
    archive.touch(items)
    archive.publish()
    # The crash came after tiles and disclosures and before the checkpoint.
    log = archive.home / "store" / "log"
    shutil.copy(home / "log" / "checkpoint", log / "checkpoint")
    max((log / "checkpoints").iterdir()).unlink()
    shutil.copytree(home / "log" / "tile", log / "tile", dirs_exist_ok=True)
    lose_without_publishing(archive, tmp_path / "lost")
    built = rebuild(archive.rooms)
    assert built.entries == 3
    assert {name.rpartition("/")[2] for name in built.set_aside} >= {"000000000003-000000000004.jsonl", "4"}
    assert sorted(path.name for path in (log / "unsigned" / "disclosures").iterdir()) == [
        "000000000003-000000000004.jsonl"
    ]
    archive.touch(items)
    archive.publish()
    assert all(each.is_expected for each in archive.rooms.audit.log())


def lose_without_publishing(archive: SmallArchive, lost: Path) -> None:
    archive.rooms.close()
    archive.rooms.catalogue_path.rename(lost)
    archive.rooms = archive.open_rooms()


def test_the_journal_of_the_lost_file_is_not_taken_for_the_new_ones(archive: SmallArchive, tmp_path: Path) -> None:
    archive.receive(archive.incident(), [("a.txt", b"a")])
    before = lose(archive, tmp_path / "lost")
    wal = archive.home / "catalogue.sqlite-wal"
    wal.write_bytes(b"what the lost catalogue had not yet taken over")
    built = rebuild(archive.rooms)
    assert built.set_aside == ("catalogue.sqlite-wal.of-lost-catalogue",)
    assert dump(archive.rooms.catalogue_path) == before


@pytest.mark.parametrize("lost", ["tile/entries", "disclosures", "checkpoints"])
def test_a_store_that_lacks_a_part_is_refused_and_nothing_is_left_behind(
    archive: SmallArchive, tmp_path: Path, lost: str
) -> None:
    archive.receive(archive.incident(), [("a.txt", b"a")])
    lose(archive, tmp_path / "lost")
    shutil.rmtree(archive.home / "store" / "log" / lost)
    if lost == "checkpoints":
        (archive.home / "store" / "log" / "checkpoint").unlink()
    there = sorted(archive.home.iterdir())
    with pytest.raises(IntegrityError):
        rebuild(archive.rooms)
    assert sorted(archive.home.iterdir()) == there


def test_entries_changed_in_the_store_are_refused(archive: SmallArchive, tmp_path: Path) -> None:
    archive.receive(archive.incident(), [("a.txt", b"a")])
    lose(archive, tmp_path / "lost")
    bundle = next((archive.home / "store" / "log" / "tile" / "entries").rglob("3"))
    bundle.write_bytes(bundle.read_bytes().replace(b"success", b"failure", 1))
    with pytest.raises(IntegrityError) as refused:
        rebuild(archive.rooms)
    assert refused.value.code == "custody/root-mismatch"


def test_another_archives_key_opens_nothing_and_builds_nothing(archive: SmallArchive, tmp_path: Path) -> None:
    archive.receive(archive.incident(), [("a.txt", b"a")])
    lose(archive, tmp_path / "lost")
    with pytest.raises(LockedError) as refused:
        rebuild(archive.rooms, generate_identity(KeyKind.X25519))
    assert refused.value.code == "keys/opens-nothing"
    assert not archive.rooms.catalogue_path.exists()


def test_a_catalogue_that_is_there_is_never_replaced(archive: SmallArchive) -> None:
    before = dump(archive.rooms.catalogue_path)
    with pytest.raises(ConflictError):
        rebuild(archive.rooms)
    assert dump(archive.rooms.catalogue_path) == before


def test_a_lost_key_file_costs_that_item_alone_and_is_said(archive: SmallArchive, tmp_path: Path) -> None:
    items = archive.receive(archive.incident(), [("a.txt", b"a"), ("b.txt", b"b")])
    before = lose(archive, tmp_path / "lost")
    (archive.home / "keys" / f"{items[0].id}.age").unlink()
    built = rebuild(archive.rooms)
    assert [(each.subject, each.code) for each in built.problems] == [(f"item {items[0].id}", "custody/key-missing")]
    after = dump(archive.rooms.catalogue_path)
    assert len(after["item"]) == 1
    assert after["entry"] == before["entry"]
    assert after["entry_subject"] == before["entry_subject"]
    subjects = {each.subject: each.code for each in archive.rooms.audit.holdings() if not each.is_expected}
    assert set(subjects.values()) == {"custody/orphan-object"}


def test_a_lost_key_of_an_incident_names_what_goes_with_it_by_its_number(archive: SmallArchive, tmp_path: Path) -> None:
    incident = archive.incident()
    (item,) = archive.receive(incident, [("a.txt", b"a")])
    lose(archive, tmp_path / "lost")
    (archive.home / "keys" / f"{incident.id}.age").unlink()
    subjects = {each.subject: each.code for each in rebuild(archive.rooms).problems}
    assert subjects == {f"incident {incident.id}": "custody/key-missing", item.number: "custody/record-missing"}


@pytest.mark.parametrize("deed", ["lost", "another's"])
def test_without_the_key_that_every_entry_is_sealed_to_nothing_is_built(
    archive: SmallArchive, tmp_path: Path, deed: str
) -> None:
    (item,) = archive.receive(archive.incident(), [("a.txt", b"a")])
    lose(archive, tmp_path / "lost")
    key = archive.home / "keys" / f"{archive.founded.organisation.id}.age"
    key.unlink()
    if deed == "another's":
        key.write_bytes((archive.home / "keys" / f"{item.id}.age").read_bytes())
    with pytest.raises(IntegrityError) as refused:
        rebuild(archive.rooms)
    assert not archive.rooms.catalogue_path.exists()
    assert refused.value.code == "custody/staff-key-lost"


@pytest.mark.parametrize("left", ["nothing", "what is no note", "the one before", "the pointer alone"])
def test_the_newest_checkpoint_is_put_back_where_the_store_names_it_and_the_log_is_signed_again(
    archive: SmallArchive, tmp_path: Path, left: str
) -> None:
    items = archive.receive(archive.incident(), [("a.txt", b"a")])
    lose(archive, tmp_path / "lost")
    newest = archive.home / "store" / "log" / "checkpoint"
    numbered = sorted((newest.parent / "checkpoints").iterdir())
    changed = newest
    if left == "nothing":
        newest.unlink()
    elif left == "what is no note":
        newest.write_bytes(b"what is no note")
    elif left == "the one before":
        newest.write_bytes(numbered[-2].read_bytes())
    else:
        changed = numbered[-1]
        changed.unlink()
    built = rebuild(archive.rooms)
    assert ("custody/checkpoint-missing", str(changed.relative_to(archive.home / "store"))) in {
        (each.code, each.subject) for each in built.problems
    }
    assert newest.read_bytes() == numbered[-1].read_bytes()
    archive.touch(items)
    archive.publish()
    assert all(each.is_expected for each in archive.rooms.audit.log())


def test_a_checkpoint_that_the_store_lacks_is_named_by_what_was_published_under_it(
    start_authority: StartAuthority, tmp_path: Path
) -> None:
    with SmallArchive(tmp_path / "home", settings=authority_settings(start_authority("one"))) as archive:
        archive.rooms.workers.stamping.work(lambda *_: None)
        archive.receive(archive.incident(), [("a.txt", b"a")])
        lose(archive, tmp_path / "lost")
        first = min((archive.home / "store" / "log" / "checkpoints").iterdir())
        note = first.read_bytes()
        first.unlink()
        assert [(each.code, each.subject) for each in rebuild(archive.rooms).problems] == [
            ("custody/checkpoint-missing", f"checkpoint {int(first.name)}")
        ]
        assert dump(archive.rooms.catalogue_path)["timestamp_token"] == []
        first.write_bytes(note)
        lose(archive, tmp_path / "lost again")
        assert rebuild(archive.rooms).problems == ()
        assert len(dump(archive.rooms.catalogue_path)["timestamp_token"]) == 1


def test_a_row_that_only_a_lost_key_would_give_back_is_not_promised_by_a_rebuild(
    archive: SmallArchive, tmp_path: Path
) -> None:
    (item,) = archive.receive(archive.incident(), [("a.txt", b"a")])
    lose(archive, tmp_path / "lost")
    key = archive.home / "keys" / f"{item.id}.age"
    sealed = key.read_bytes()
    key.unlink()
    rebuild(archive.rooms)
    (without,) = [each for each in archive.rooms.audit.log() if each.code == "custody/record-missing"]
    assert "Put the key file back" in without.words
    key.write_bytes(sealed)
    (with_key,) = [each for each in archive.rooms.audit.log() if each.code == "custody/record-missing"]
    assert "`testigo rebuild` gives the rows back" in with_key.words
    lose(archive, tmp_path / "lost again")
    rebuild(archive.rooms)
    assert all(each.is_expected for each in archive.rooms.audit.log())
