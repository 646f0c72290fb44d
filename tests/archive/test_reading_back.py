"""Large files are read back while they are written: what is read is what lies there, and no error goes unsaid."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from archive.errors import UnavailableError
from archive.store import reading_back, staging
from archive.store.directory import DirectoryStore
from archive.store.port import object_name
from archive.store.staging import StagedFile
from archive.types import Digest, DigestAlgorithm

BLOCK = 64 * 1024
CONTENT = os.urandom(10 * BLOCK + 77)
DIGEST = Digest(DigestAlgorithm.BLAKE3, blake3(CONTENT).digest())
NAME = object_name(DIGEST)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DirectoryStore]:
    """A store to which four blocks of 64 KiB are large."""
    monkeypatch.setattr(reading_back, "BLOCK_OCTETS", BLOCK)
    monkeypatch.setattr(staging, "_WRITE_BACK_EVERY", BLOCK)
    monkeypatch.setattr(staging, "_LARGE", 4 * BLOCK)
    (tmp_path / "store").mkdir()
    with DirectoryStore(tmp_path / "store") as made:
        yield made


def written(store: DirectoryStore, content: bytes, *, step: int = BLOCK) -> StagedFile:
    staged = store.stage(read_back=True)
    for start in range(0, len(content), step):
        staged.write(content[start : start + step])
    return staged


def staged_path(store_root: Path, staged: StagedFile) -> Path:
    (found,) = store_root.glob(f".staging/*/{staged.name}")
    return found


@pytest.mark.parametrize("step", [BLOCK, 1000, 3 * BLOCK + 1, len(CONTENT)])
def test_what_was_read_behind_the_writer_is_the_whole(store: DirectoryStore, step: int) -> None:
    staged = written(store, CONTENT, step=step)
    store.publish([(staged, NAME)])
    assert staged._reading_back is not None, "it was read while it was written"
    assert store.read_back(staged, NAME) == DIGEST == store.digest(NAME)


def test_a_small_file_is_read_as_a_whole(store: DirectoryStore) -> None:
    small = CONTENT[: 3 * BLOCK]
    digest = Digest(DigestAlgorithm.BLAKE3, blake3(small).digest())
    staged = written(store, small)
    store.publish([(staged, object_name(digest))])
    assert staged._reading_back is None
    assert store.read_back(staged, object_name(digest)) == digest


@pytest.mark.parametrize("place", [0, 5 * BLOCK, len(CONTENT) - 1], ids=["first", "middle", "last"])
def test_octets_that_are_not_what_was_written_are_found(store: DirectoryStore, tmp_path: Path, place: int) -> None:
    staged = store.stage(read_back=True)
    for start in range(0, len(CONTENT), BLOCK):
        staged.write(CONTENT[start : start + BLOCK])
        if start <= place < start + BLOCK:
            with staged_path(tmp_path / "store", staged).open("r+b") as file:
                file.seek(place)
                file.write(bytes([CONTENT[place] ^ 1]))
    store.publish([(staged, NAME)])
    assert store.read_back(staged, NAME) != DIGEST


def test_an_error_behind_the_writer_is_told_at_the_end(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_fd: int, start: int, _length: int) -> None:
        if start == BLOCK:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(reading_back, "wait_until_written", lost)
    staged = written(store, CONTENT)
    store.publish([(staged, NAME)])
    with pytest.raises(UnavailableError) as caught:
        store.read_back(staged, NAME)
    assert caught.value.code == "archive/store-failing"


def test_what_is_patched_is_read_from_its_start(store: DirectoryStore) -> None:
    patched = b"patched" + CONTENT[7:]
    digest = Digest(DigestAlgorithm.BLAKE3, blake3(patched).digest())
    staged = written(store, CONTENT[: 8 * BLOCK])
    staged.write_at(0, b"patched")
    staged.write(CONTENT[8 * BLOCK :])
    store.publish([(staged, object_name(digest))])
    assert store.read_back(staged, object_name(digest)) == digest


def test_where_the_name_was_taken_it_is_what_lies_there_that_is_read(store: DirectoryStore) -> None:
    store.put(NAME, b"another's")
    staged = written(store, CONTENT)
    store.publish([(staged, NAME)])
    assert store.read_back(staged, NAME).value == blake3(b"another's").digest()


def test_whoever_does_not_ask_for_it_has_nothing_read_back(store: DirectoryStore) -> None:
    store.stage().abort()  # The session's folder is opened with the first.
    before = set(Path("/proc/self/fd").iterdir())
    staged = store.stage()
    staged.write(CONTENT)
    assert staged._reading_back is None
    store.publish([(staged, NAME)])
    store.put("log/large", CONTENT)
    store.put("log/large", CONTENT, replace=True)
    assert set(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize("published", [False, True])
def test_nothing_is_left_open_by_whoever_does_not_ask(store: DirectoryStore, published: bool) -> None:
    store.stage().abort()  # The session's folder is opened with the first.
    before, threads = set(Path("/proc/self/fd").iterdir()), threading.active_count()
    with written(store, CONTENT) as staged:
        if published:
            store.publish([(staged, NAME)])
    assert set(Path("/proc/self/fd").iterdir()) == before
    assert threading.active_count() == threads
