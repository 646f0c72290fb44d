"""A copy made while the archive works is the archive at one moment; it never mixes, goes back or opens anything."""

import fcntl
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from archive.access import Action
from archive.age.keyring import open_identity
from archive.backup import BackupMade, copy_archive, log_reach
from archive.durable import write_durably
from archive.errors import ConflictError, InputError, LockedError, UnavailableError
from archive.fixity import check_all
from archive.keyfiles import KeyFiles
from archive.store.directory import DirectoryStore
from archive.types import Actor, Finding, StaffId
from cli import Rooms
from custody.checkpoint import Checkpoint
from custody.merkle import leaf_hash
from custody.rotation import rotate
from custody.signed_note import SignedNote
from custody.tiles import TileReader, tiles_to_write
from tests.archives import PASSPHRASE, WORK_FACTOR, SmallArchive


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "archive") as archive:
        archive.receive(archive.incident(), [("one.txt", b"one"), ("two.txt", b"two")])
        yield archive


def _copy(rooms: Rooms, destination: Path, keys_to: Path | None = None) -> BackupMade:
    return copy_archive(
        rooms.places,
        destination,
        keys_to,
        store=rooms.store,
        database=rooms.database,
        key_files=rooms.key_files,
        log_lock=rooms.log_lock,
    )


def _restored(small: SmallArchive, destination: Path) -> Rooms:
    home, small.home = small.home, destination
    try:
        return small.open_rooms()
    finally:
        small.home = home


def _prove_whole(rooms: Rooms) -> int:
    """Check, beside the program, that a copy's log is whole: every tile that its checkpoint needs, and its root."""
    note = rooms.store.read("log/checkpoint")
    checkpoint = Checkpoint.parse(SignedNote.parse(note).text)
    rooms.database.close()  # Or its newest commits would stand in the journal beside it.
    with closing(sqlite3.connect(f"file:{rooms.catalogue_path}?immutable=1", uri=True)) as catalogue:
        (newest,) = catalogue.execute("SELECT MAX(size) FROM checkpoint").fetchone()
        leaves = [row[0] for row in catalogue.execute("SELECT leaf FROM entry ORDER BY seq")]
        objects = [row[0].hex() for row in catalogue.execute("SELECT blake3 FROM object")]
    assert checkpoint.size == newest <= len(leaves)
    reader = TileReader(lambda path: rooms.store.read(f"log/{path}"), checkpoint.size)
    assert reader.root() == checkpoint.root
    for tile in tiles_to_write(0, checkpoint.size):
        assert rooms.store.exists(f"log/{tile.path}"), tile.path
    for place in range(checkpoint.size):
        assert reader.hash_at(0, place) == leaf_hash(leaves[place])
    for name in objects:
        assert rooms.store.exists(f"objects/{name[:2]}/{name[2:4]}/{name}.age")
    assert not [name for name in rooms.store.list("log/") if log_reach(name) > checkpoint.size]
    return checkpoint.size


def test_a_copy_is_the_archive_and_a_second_run_copies_only_what_is_new(small: SmallArchive, tmp_path: Path) -> None:
    first = _copy(small.rooms, tmp_path / "copy")
    assert first.objects == len(list(small.rooms.store.list(""))) - 1  # The newest checkpoint is not counted.
    copied = {p: p.read_bytes() for p in (tmp_path / "copy" / "store").rglob("*") if p.is_file()}
    original = {p: p.read_bytes() for p in (small.home / "store").rglob("*") if p.is_file()}
    assert {p.relative_to(tmp_path / "copy"): o for p, o in copied.items()} == {
        p.relative_to(small.home): o for p, o in original.items()
    }
    assert _copy(small.rooms, tmp_path / "copy").objects == 0
    small.receive(small.incident("another"), [("three.txt", b"three")])
    again = _copy(small.rooms, tmp_path / "copy")
    assert again.objects >= 1
    rooms = _restored(small, tmp_path / "copy")
    assert _prove_whole(rooms) == small.rooms.ledger.size()
    rooms.close()


def test_what_was_restored_goes_on_where_the_copy_was_made(small: SmallArchive, tmp_path: Path) -> None:
    _copy(small.rooms, tmp_path / "copy", tmp_path / "keys")
    shutil.copytree(tmp_path / "keys", tmp_path / "copy" / "keys")
    rooms = _restored(small, tmp_path / "copy")
    size = rooms.ledger.size()
    small.rooms.close()
    small.home, small.rooms = tmp_path / "copy", rooms
    small.receive(small.incident("after the restore"), [("four.txt", b"four")])
    assert rooms.ledger.size() > size
    assert _prove_whole(rooms) == rooms.ledger.size()
    with small.unlocked():
        assert rooms.reading_room.open_item(small.actor, "E-2026-00003", "look").item.size == 4


def test_a_copy_made_while_others_write_is_one_moment_of_the_archive(small: SmallArchive, tmp_path: Path) -> None:
    stop = threading.Event()
    writer = small.open_rooms()

    def write() -> None:
        while not stop.is_set():
            for _ in range(7):
                writer.ledger.record_refusal(small.actor, Action.AUDIT, UnavailableError("archive/busy", "Busy."))
            writer.publisher.publish()

    thread = threading.Thread(target=write)
    thread.start()
    sizes = []
    try:
        for number in range(8):
            _copy(small.rooms, tmp_path / f"copy-{number % 3}")
            rooms = _restored(small, tmp_path / f"copy-{number % 3}")
            sizes.append(_prove_whole(rooms))
            rooms.close()
    finally:
        stop.set()
        thread.join()
        writer.close()
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0], "nothing was written meanwhile"


def test_while_somebody_publishes_the_copy_waits(small: SmallArchive, tmp_path: Path) -> None:
    descriptor = os.open(small.rooms.log_lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    thread = threading.Thread(target=_copy, args=(small.rooms, tmp_path / "copy"))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    assert not (tmp_path / "copy" / "catalogue.sqlite").exists()
    os.close(descriptor)
    thread.join(30)
    assert (tmp_path / "copy" / "catalogue.sqlite").exists()


def test_the_copy_opens_nothing_without_the_key_files_which_lie_apart(small: SmallArchive, tmp_path: Path) -> None:
    made = _copy(small.rooms, tmp_path / "copy", tmp_path / "keys")
    assert made.keys == len(small.rooms.key_files.files())
    assert not (tmp_path / "copy" / "keys").exists()
    secrets = [path.read_bytes() for path in small.rooms.key_files.files()]
    for path in (tmp_path / "copy").rglob("*"):
        assert not path.is_file() or path.read_bytes() not in secrets
    assert {
        p.relative_to(tmp_path / "keys"): p.read_bytes() for p in (tmp_path / "keys").rglob("*") if p.is_file()
    } == {p.relative_to(small.rooms.key_files.root): p.read_bytes() for p in small.rooms.key_files.files()}
    modes = {path.stat().st_mode & 0o077 for place in ("copy", "keys") for path in (tmp_path / place).rglob("*")}
    assert modes == {0}


@pytest.mark.parametrize(
    ("destination", "keys_to", "code"),
    [
        ("archive", None, "backup/inside-archive"),
        ("archive/store/x", None, "backup/inside-archive"),
        ("copy", "archive/keys", "backup/inside-archive"),
        ("copy", "copy", "backup/keys-not-apart"),
        ("copy", "copy/keys", "backup/keys-not-apart"),
        ("copy/inner", "copy", "backup/keys-not-apart"),
        ("file", None, "backup/not-a-folder"),
        ("copy", "file", "backup/not-a-folder"),
        ("full", None, "backup/not-a-backup"),
        ("torn", None, "backup/not-a-backup"),
    ],
)
def test_a_place_that_must_not_hold_a_copy_is_refused_before_anything_is_written(
    small: SmallArchive, tmp_path: Path, destination: str, keys_to: str | None, code: str
) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.odt").write_text("four years of work")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "catalogue.sqlite").write_bytes(b"no catalogue")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as raised:
        _copy(small.rooms, tmp_path / destination, tmp_path / keys_to if keys_to else None)
    assert raised.value.code == code
    assert sorted(tmp_path.rglob("*")) == before


def test_the_copy_of_another_archive_is_never_written_over(small: SmallArchive, tmp_path: Path) -> None:
    _copy(small.rooms, tmp_path / "copy")
    with SmallArchive(tmp_path / "other") as other, pytest.raises(InputError) as raised:
        _copy(other.rooms, tmp_path / "copy")
    assert raised.value.code == "backup/other-archive"


def test_an_archive_that_was_set_back_does_not_take_the_place_of_its_longer_copy(
    small: SmallArchive, tmp_path: Path
) -> None:
    small.rooms.close()
    shutil.copytree(small.home, tmp_path / "earlier")
    small.rooms = small.open_rooms()
    small.incident("later")
    small.publish()
    _copy(small.rooms, tmp_path / "copy")
    before = (tmp_path / "copy" / "catalogue.sqlite").read_bytes()
    set_back = _restored(small, tmp_path / "earlier")
    with pytest.raises(ConflictError) as raised:
        _copy(set_back, tmp_path / "copy")
    assert raised.value.code == "backup/copy-is-longer"
    set_back.ledger.record_refusal(small.actor, Action.AUDIT, UnavailableError("archive/busy", "Busy."))
    set_back.ledger.record_refusal(small.actor, Action.AUDIT, UnavailableError("archive/busy", "Busy."))
    set_back.publisher.publish()
    with pytest.raises(ConflictError):
        _copy(set_back, tmp_path / "copy")  # As long now, and another history.
    set_back.close()
    assert (tmp_path / "copy" / "catalogue.sqlite").read_bytes() == before


def test_what_an_older_copy_left_of_its_journal_is_not_read_into_the_new_one(
    small: SmallArchive, tmp_path: Path
) -> None:
    _copy(small.rooms, tmp_path / "copy")
    opened = sqlite3.connect(tmp_path / "copy" / "catalogue.sqlite")
    opened.execute("CREATE TABLE stray (x)")
    opened.execute("INSERT INTO stray VALUES (1)")
    opened.commit()
    assert (tmp_path / "copy" / "catalogue.sqlite-wal").exists()
    _copy(small.rooms, tmp_path / "copy")
    assert not (tmp_path / "copy" / "catalogue.sqlite-wal").exists()
    opened.close()
    with closing(sqlite3.connect(tmp_path / "copy" / "catalogue.sqlite")) as catalogue:
        assert catalogue.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'stray'").fetchone() == (0,)
        assert catalogue.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_copy_is_found_good_without_any_key(small: SmallArchive, tmp_path: Path) -> None:
    _copy(small.rooms, tmp_path / "copy")
    with DirectoryStore(tmp_path / "copy" / "store") as store:
        assert {checked.finding for checked in check_all(store, 1)} == {Finding.MATCHES}


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("log/tile/0/000", 256),
        ("log/tile/0/001.p/44", 300),
        ("log/tile/0/x001/234", 1235 * 256),
        ("log/tile/0/x001/234.p/7", 1234 * 256 + 7),
        ("log/tile/1/000.p/3", 3 * 256),
        ("log/tile/1/001", 2 * 256 * 256),
        ("log/tile/2/000.p/1", 65536),
        ("log/tile/entries/002.p/9", 521),
        ("log/tile/entries/x000/003", 1024),
        ("log/disclosures/000000000003-000000000010.jsonl", 10),
        ("log/checkpoints/000000000042", 42),
        ("log/timestamps/000000000042/name.tsr", 42),
        ("log/verifier-keys", 0),
        ("objects/ab/cd/abcd.age", 0),
    ],
)
def test_a_file_of_the_log_tells_how_many_entries_it_speaks_of(name: str, entries: int) -> None:
    assert log_reach(name) == entries


def _opened_by_its_own_copy(keys: Path, actor: Actor) -> list[bool]:
    """Tell of each key in a folder of key files whether the founder's copy of the office key there opens it."""
    key_files = KeyFiles(keys, work_factor=WORK_FACTOR)
    office = key_files.open_copy(StaffId(actor.staff_id), PASSPHRASE)

    def opens(owner_id: UUID) -> bool:
        try:
            return bool(open_identity(key_files.read_sealed(owner_id), [office]))
        except LockedError:
            return False

    return [opens(owner_id) for owner_id in key_files.list()]


def _rotate(small: SmallArchive) -> None:
    rotate(small.rooms.ledger, small.rooms.key_files, small.actor, passphrase=PASSPHRASE)


def test_keys_that_are_copied_during_a_rotation_are_opened_by_the_copies_beside_them(
    small: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def write_and_rotate(path: Path, octets: bytes) -> None:
        write_durably(path, octets)
        written.append(path)
        if [each.parent for each in written].count(tmp_path / "keys") == 2:
            _rotate(small)

    monkeypatch.setattr("archive.keys_copy.write_durably", write_and_rotate)
    made = _copy(small.rooms, tmp_path / "copy", tmp_path / "keys")
    assert _opened_by_its_own_copy(tmp_path / "keys", small.actor) == [True] * 4
    assert made.keys == 7


def test_keys_are_copied_while_a_rotation_is_broken_off_and_no_later_copy_takes_it_up_again(
    small: SmallArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise OSError("the power is gone")

    with monkeypatch.context() as patch, pytest.raises(UnavailableError):
        patch.setattr(KeyFiles, "_rewrap_group", cut)
        _rotate(small)
    _copy(small.rooms, tmp_path / "copy", tmp_path / "keys")
    assert all(_opened_by_its_own_copy(tmp_path / "keys", small.actor))
    _rotate(small)
    _copy(small.rooms, tmp_path / "copy", tmp_path / "keys")
    assert KeyFiles(tmp_path / "keys", work_factor=WORK_FACTOR).files() == tuple(
        tmp_path / "keys" / path.relative_to(small.home / "keys") for path in small.rooms.key_files.files()
    )


def test_keys_that_the_archive_no_longer_has_are_counted_in_a_copy_that_is_used_again(
    small: SmallArchive, tmp_path: Path
) -> None:
    assert _copy(small.rooms, tmp_path / "copy", tmp_path / "keys").gone == 0
    small.rooms.key_files.destroy(small.rooms.key_files.list()[0])
    assert _copy(small.rooms, tmp_path / "copy", tmp_path / "keys").gone == 1
    assert _copy(small.rooms, tmp_path / "copy", tmp_path / "fresh").gone == 0


def test_no_other_archives_keys_later_ones_or_other_things_are_written_over(
    small: SmallArchive, tmp_path: Path
) -> None:
    def refused(keys_to: str) -> str:
        before = sorted((path, path.read_bytes()) for path in (tmp_path / keys_to).rglob("*") if path.is_file())
        with pytest.raises((ConflictError, InputError)) as error:
            _copy(small.rooms, tmp_path / "copy", tmp_path / keys_to)
        assert before == sorted((path, path.read_bytes()) for path in (tmp_path / keys_to).rglob("*") if path.is_file())
        return error.value.code

    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-counsel.txt").write_text("Dear A.")
    with SmallArchive(tmp_path / "another") as another:
        _copy(another.rooms, tmp_path / "another-copy", tmp_path / "another-keys")
    small.rooms.close()
    shutil.copytree(small.home / "keys", tmp_path / "then")
    small.reopen()
    _rotate(small)
    _copy(small.rooms, tmp_path / "copy", tmp_path / "later-keys")
    shutil.rmtree(small.home / "keys")
    (tmp_path / "then").rename(small.home / "keys")
    assert refused("letters") == "backup/not-a-backup"
    assert refused("another-keys") == "backup/other-archive"
    assert refused("later-keys") == "backup/keys-are-newer"
