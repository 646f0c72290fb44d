"""What is published can be checked by a stranger; what was rolled back is never signed over."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.errors import IntegrityError
from custody.checkpoint import verify_checkpoint
from custody.merkle import verify_consistency, verify_inclusion
from custody.publication import NEWEST, checkpoint_name
from tests.archives import SmallArchive


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as archive:
        yield archive


def test_each_checkpoint_is_signed_by_both_keys_and_extends_the_one_before(small: SmallArchive) -> None:
    keys = small.rooms.publisher.verifier_keys
    older = verify_checkpoint(small.publish(), keys)
    incident = small.incident()
    for number in range(5):
        small.receive(incident, [(f"{number}.jpg", b"x%d" % number)])
        newer = verify_checkpoint(small.publish(), keys)
        assert set(newer.keys) == set(keys)
        reader = small.rooms.publisher.reader(newer.checkpoint.size)
        proof = reader.consistency_proof(older.checkpoint.size)
        sizes = older.checkpoint.size, newer.checkpoint.size
        verify_consistency(*sizes, proof, older.checkpoint.root, newer.checkpoint.root)
        older = newer


def test_every_entry_is_included_across_full_and_partial_tiles(small: SmallArchive) -> None:
    item = small.receive(small.incident(), [("a.jpg", b"one")])[0]
    for _ in range(260):
        small.touch([item])
    checkpoint = verify_checkpoint(small.publish(), small.rooms.publisher.verifier_keys).checkpoint
    small.touch([item])
    checkpoint = verify_checkpoint(small.publish(), small.rooms.publisher.verifier_keys).checkpoint
    reader = small.rooms.publisher.reader(checkpoint.size)
    entries = small.rooms.register.open(range(checkpoint.size), {})
    assert len(entries) == checkpoint.size > 256
    for entry in entries[::17]:
        proof = reader.inclusion_proof(entry.entry.seq)
        verify_inclusion(entry.entry.seq, checkpoint.size, entry.leaf_hash, proof, checkpoint.root)


def test_partial_tiles_that_were_replaced_are_swept(small: SmallArchive) -> None:
    incident = small.incident()
    for number in range(4):
        small.receive(incident, [("a.jpg", b"%d" % number)])
    assert len([name for name in small.rooms.store.list("log/tile/0/") if ".p/" in name]) == 1


def test_a_copy_without_the_folder_of_the_lock_goes_on_publishing(small: SmallArchive) -> None:
    shutil.rmtree(small.rooms.log_lock.parent)
    small.incident()
    newest = verify_checkpoint(small.publish(), small.rooms.publisher.verifier_keys).checkpoint
    assert newest.size == small.rooms.ledger.size()


def test_nothing_new_gives_the_newest_checkpoint_again(small: SmallArchive) -> None:
    assert small.publish() == small.publish()


def test_a_checkpoint_that_a_crash_left_without_its_row_is_adopted(small: SmallArchive) -> None:
    small.incident()
    note = small.publish()
    small.rooms.close()
    with sqlite3.connect(small.home / "catalogue.sqlite") as connection:
        connection.execute("DROP TRIGGER checkpoint_refuses_delete")
        connection.execute("DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)")
        connection.execute(
            "CREATE TRIGGER checkpoint_refuses_delete BEFORE DELETE ON checkpoint "
            "BEGIN SELECT RAISE(ABORT, 'checkpoint is append-only'); END"
        )
    small.reopen()
    assert small.publish() == note


def test_a_catalogue_that_was_rolled_back_is_never_signed_over(small: SmallArchive, tmp_path: Path) -> None:
    incident = small.incident()
    small.publish()
    small.rooms.close()
    shutil.copy(small.home / "catalogue.sqlite", tmp_path / "last-week.sqlite")
    small.reopen()
    small.receive(incident, [("a.jpg", b"one")])
    small.rooms.close()
    for leftover in small.home.glob("catalogue.sqlite*"):
        leftover.unlink()
    shutil.copy(tmp_path / "last-week.sqlite", small.home / "catalogue.sqlite")
    small.reopen()
    small.incident("another history")
    with pytest.raises(IntegrityError) as caught:
        small.publish()
    assert caught.value.code == "custody/rolled-back"


def test_a_store_that_was_rolled_back_is_never_signed_over(small: SmallArchive) -> None:
    small.receive(small.incident(), [("a.jpg", b"one")])
    small.rooms.store.delete(NEWEST)
    small.incident("more")
    with pytest.raises(IntegrityError) as caught:
        small.publish()
    assert caught.value.code == "custody/checkpoint-missing"


def test_a_changed_tile_is_never_signed_over(small: SmallArchive) -> None:
    small.receive(small.incident(), [("a.jpg", b"one")])
    name = next(name for name in small.rooms.store.list("log/tile/0/") if ".p/" in name)
    small.rooms.store.put(name, bytes(len(small.rooms.store.read(name))), replace=True)
    small.incident("more")
    with pytest.raises(IntegrityError) as caught:
        small.publish()
    assert caught.value.code == "custody/root-mismatch"


def test_the_store_alone_holds_every_checkpoint(small: SmallArchive) -> None:
    note = small.publish()
    size = verify_checkpoint(note, small.rooms.publisher.verifier_keys).checkpoint.size
    assert small.rooms.store.read(checkpoint_name(size)) == small.rooms.store.read(NEWEST) == note
