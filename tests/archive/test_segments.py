"""Unfinished uploads: no crash loses what was acknowledged, nothing lies in clear, and no key seals a number twice."""

import hashlib
import os
import random
import shutil
import signal
import struct
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.age.keyring import Keyring
from archive.age.payload import CHUNK_OCTETS, SEALED_CHUNK_OCTETS
from archive.age.recipients import KeyIdentity, KeyKind, generate_identity
from archive.errors import ConflictError, IntegrityError, LockedError, NotFoundError
from archive.segments import (
    SegmentReader,
    SegmentWriter,
    begin_upload,
    discard_upload,
    list_uploads,
    settled_offset,
    upload_name,
)

_OFFICE = generate_identity(KeyKind.X25519)
_RECOVERY = generate_identity(KeyKind.X25519)
_KEYRING = Keyring(
    kind=KeyKind.X25519, recipients=(_OFFICE.recipient, _RECOVERY.recipient), parts=("office", "recovery")
)
_SEGMENT = 2 * CHUNK_OCTETS
_CONTENT = random.Random(7).randbytes(24 * CHUNK_OCTETS)  # noqa: S311, test content


def _read(root: Path, address: bytes) -> bytes:
    return SegmentReader.by_address(root, address).readall()


def _rescue(root: Path, address: bytes, identity: KeyIdentity = _RECOVERY) -> bytes:
    return SegmentReader.by_identities(root, upload_name(address), [identity]).readall()


def _upload(root: Path, *parts: bytes) -> bytes:
    """Send each part in a request of its own."""
    address = begin_upload(root)
    for part in parts:
        with SegmentWriter(root, address, _KEYRING, segment_octets=_SEGMENT) as writer:
            writer.append(part)
    return address


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 2 * 65536, 2 * 65536 + 1, 5 * 65536 + 17])
def test_an_upload_of_any_size_reads_back(tmp_path: Path, size: int) -> None:
    address = _upload(tmp_path, _CONTENT[:size])
    assert _read(tmp_path, address) == _CONTENT[:size]
    assert _rescue(tmp_path, address) == _CONTENT[:size]
    with SegmentWriter(tmp_path, address, _KEYRING) as writer:
        assert writer.offset == size


def test_a_hybrid_keyring_rescues_as_well(tmp_path: Path) -> None:
    office = generate_identity(KeyKind.HYBRID)
    keyring = Keyring(kind=KeyKind.HYBRID, recipients=(office.recipient,))
    address = begin_upload(tmp_path)
    with SegmentWriter(tmp_path, address, keyring) as writer:
        writer.append(_CONTENT[:100_000])
    assert _rescue(tmp_path, address, office) == _CONTENT[:100_000]


def test_sync_acknowledges_whole_chunks_and_close_everything(tmp_path: Path) -> None:
    address = begin_upload(tmp_path)
    writer = SegmentWriter(tmp_path, address, _KEYRING)
    writer.append(_CONTENT[: CHUNK_OCTETS + 5])
    assert (writer.offset, writer.sync()) == (CHUNK_OCTETS + 5, CHUNK_OCTETS)
    assert writer.close() == CHUNK_OCTETS + 5
    with pytest.raises(ValueError, match="closed"):
        writer.append(b"more")


def test_every_request_begins_a_segment_of_its_own(tmp_path: Path) -> None:
    address = _upload(tmp_path, _CONTENT[:10], _CONTENT[10:30], b"", _CONTENT[30:70_000])
    folder = tmp_path / upload_name(address)
    assert sorted(path.name for path in folder.glob("*.age")) == ["000001.age", "000002.age", "000003.age"]
    assert _read(tmp_path, address) == _CONTENT[:70_000]


def test_nothing_lies_in_clear_and_the_folder_opens_nothing(tmp_path: Path) -> None:
    marker = b"the name of a witness"
    address = _upload(tmp_path, marker * 5000, marker)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 4
    for path in files:
        octets = path.read_bytes()
        assert marker not in octets
        assert address not in octets
        assert address.hex().encode() not in octets
        assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(LockedError):
        _rescue(tmp_path, address, generate_identity(KeyKind.X25519))


def test_an_unknown_address_finds_nothing(tmp_path: Path) -> None:
    _upload(tmp_path, b"something")
    for act in (
        lambda: SegmentWriter(tmp_path, os.urandom(32), _KEYRING),
        lambda: _read(tmp_path, os.urandom(32)),
        lambda: SegmentReader.by_identities(tmp_path, "../../etc", [_OFFICE]),
        lambda: discard_upload(tmp_path, "0" * 64),
    ):
        with pytest.raises(NotFoundError) as refused:
            act()
        assert refused.value.code == "uploads/no-such-upload"


def test_a_newer_writer_takes_the_turn_and_the_older_writes_nothing_more(tmp_path: Path) -> None:
    address = begin_upload(tmp_path)
    older = SegmentWriter(tmp_path, address, _KEYRING, segment_octets=_SEGMENT)
    older.append(_CONTENT[:_SEGMENT])
    with SegmentWriter(tmp_path, address, _KEYRING) as newer:
        assert newer.offset == _SEGMENT
        for act in (lambda: older.append(_CONTENT[:_SEGMENT]), older.sync, older.close):
            with pytest.raises((ConflictError, ValueError)):
                act()
        newer.append(b"newer")
    assert _read(tmp_path, address) == _CONTENT[:_SEGMENT] + b"newer"


def test_asking_for_the_offset_retires_the_writer(tmp_path: Path) -> None:
    address = begin_upload(tmp_path)
    writer = SegmentWriter(tmp_path, address, _KEYRING)
    writer.append(_CONTENT[: 3 * CHUNK_OCTETS])
    assert settled_offset(tmp_path, address) == 3 * CHUNK_OCTETS
    with pytest.raises(ConflictError) as refused:
        writer.append(_CONTENT[: 3 * CHUNK_OCTETS])
    assert refused.value.code == "uploads/retired"
    assert settled_offset(tmp_path, address) == 3 * CHUNK_OCTETS


def test_what_is_known_to_be_durable_is_neither_read_nor_synced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = _upload(tmp_path, _CONTENT[: CHUNK_OCTETS + 7])
    synced: list[int] = []
    sync = os.fsync

    def counted(fd: int) -> None:
        synced.append(fd)
        sync(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", counted)
        assert settled_offset(tmp_path, address, synced=CHUNK_OCTETS + 7) == CHUNK_OCTETS + 7
        assert synced == []
        assert settled_offset(tmp_path, address, synced=CHUNK_OCTETS) == CHUNK_OCTETS + 7
        assert synced != []


def test_what_came_beyond_the_octets_known_to_be_durable_counts_as_far_as_it_opens(tmp_path: Path) -> None:
    address = begin_upload(tmp_path)
    writer = SegmentWriter(tmp_path, address, _KEYRING)
    writer.append(_CONTENT[:CHUNK_OCTETS])
    acknowledged = writer.sync()
    writer.append(_CONTENT[CHUNK_OCTETS : 3 * CHUNK_OCTETS])
    writer.abandon()
    segment = tmp_path / upload_name(address) / "000001.age"
    os.truncate(segment, segment.stat().st_size - 1)
    with SegmentWriter(tmp_path, address, _KEYRING, synced=acknowledged) as newer:
        assert newer.offset == 2 * CHUNK_OCTETS
        newer.append(_CONTENT[2 * CHUNK_OCTETS : 3 * CHUNK_OCTETS])
    assert _read(tmp_path, address) == _CONTENT[: 3 * CHUNK_OCTETS]


def test_discarding_ends_whoever_writes(tmp_path: Path) -> None:
    address = begin_upload(tmp_path)
    writer = SegmentWriter(tmp_path, address, _KEYRING)
    writer.append(_CONTENT[:CHUNK_OCTETS])
    discard_upload(tmp_path, upload_name(address))
    with pytest.raises(ConflictError):
        writer.append(_CONTENT[:CHUNK_OCTETS])
    assert list_uploads(tmp_path) == ()


def test_what_was_written_on_trial_counts_once_it_was_confirmed(tmp_path: Path) -> None:
    address = _upload(tmp_path, b"first")
    for end in ("reject", "abandon", "confirm"):
        writer = SegmentWriter(tmp_path, address, _KEYRING, trial=True)
        writer.append(_CONTENT[: 2 * CHUNK_OCTETS + 7])
        writer.sync()
        getattr(writer, end)()
        expected = b"first" + (_CONTENT[: 2 * CHUNK_OCTETS + 7] if end == "confirm" else b"")
        assert settled_offset(tmp_path, address) == len(expected)
        assert _read(tmp_path, address) == expected


def test_of_two_processes_that_race_one_writes_at_a_time(tmp_path: Path) -> None:
    address = begin_upload(tmp_path)
    racers = []
    for mark in (b"a", b"b"):
        if (child := os.fork()) == 0:
            status = 1
            try:
                for _ in range(20):
                    with suppress(ConflictError), SegmentWriter(tmp_path, address, _KEYRING) as writer:
                        start = writer.offset
                        for step in range(4):
                            writer.append(mark + struct.pack(">QI", start, step) + bytes(CHUNK_OCTETS - 13))
                status = 0
            finally:
                os._exit(status)
        racers.append(child)
    assert [os.waitpid(child, 0)[1] for child in racers] == [0, 0]
    written = _read(tmp_path, address)
    assert len(written) % CHUNK_OCTETS == 0
    for place in range(0, len(written), CHUNK_OCTETS):
        start, step = struct.unpack(">QI", written[place + 1 : place + 13])
        assert start + step * CHUNK_OCTETS == place, "a late chunk of a retired writer landed"


def test_a_discarded_upload_is_gone_and_the_others_stay(tmp_path: Path) -> None:
    address, other = _upload(tmp_path, _CONTENT[:10]), _upload(tmp_path, _CONTENT[:20])
    assert set(list_uploads(tmp_path)) == {upload_name(address), upload_name(other)}
    (tmp_path / ".discarded-half").mkdir()
    discard_upload(tmp_path, upload_name(address))
    assert list_uploads(tmp_path) == (upload_name(other),)
    assert [path.name for path in tmp_path.iterdir()] == [upload_name(other)]
    assert _read(tmp_path, other) == _CONTENT[:20]


def test_an_age_client_opens_a_segment(tmp_path: Path) -> None:
    if shutil.which("age") is None:
        pytest.skip("the program age is not installed")
    address = _upload(tmp_path, _CONTENT[: CHUNK_OCTETS + 9])
    identity = tmp_path / "identity"
    identity.write_text(_OFFICE.secret_text() + "\n")
    segment = tmp_path / upload_name(address) / "000001.age"
    opened = subprocess.run(["age", "-d", "-i", str(identity), str(segment)], capture_output=True, check=True).stdout
    assert opened == _CONTENT[: CHUNK_OCTETS + 9]


@pytest.mark.parametrize(
    "harm", ["exchange", "exchange with keys", "remove one", "remove a key", "cut one", "flip a chunk", "flip a key"]
)
def test_segments_that_were_changed_are_found(tmp_path: Path, harm: str) -> None:
    address = _upload(tmp_path, *(_CONTENT[at : at + 70_000] for at in (0, 70_000, 140_000)))
    folder = tmp_path / upload_name(address)
    match harm:
        case "exchange" | "exchange with keys":
            for kind in ("age", "key") if "keys" in harm else ("age",):
                (folder / f"000001.{kind}").rename(folder / "kept")
                (folder / f"000002.{kind}").rename(folder / f"000001.{kind}")
                (folder / "kept").rename(folder / f"000002.{kind}")
        case "remove one":
            (folder / "000002.age").unlink()
            (folder / "000002.key").unlink()
        case "remove a key":
            (folder / "000002.key").unlink()
        case "cut one":
            os.truncate(folder / "000002.age", (folder / "000002.age").stat().st_size - SEALED_CHUNK_OCTETS)
        case _:
            path = folder / ("000002.age" if harm == "flip a chunk" else "000002.key")
            octets = bytearray(path.read_bytes())
            octets[-40] ^= 1
            path.write_bytes(octets)
    for read in (_read, _rescue):
        with pytest.raises(IntegrityError):
            read(tmp_path, address)


def test_acknowledged_octets_that_are_lost_are_reported_and_nothing_is_cut(tmp_path: Path) -> None:
    address = _upload(tmp_path, _CONTENT[:_SEGMENT])
    path = tmp_path / upload_name(address) / "000001.age"
    octets = bytearray(path.read_bytes())
    octets[-1] ^= 1
    path.write_bytes(octets)
    with pytest.raises(IntegrityError) as refused:
        SegmentWriter(tmp_path, address, _KEYRING, at_least=_SEGMENT)
    assert refused.value.code == "uploads/octets-lost"
    assert path.read_bytes() == octets
    with SegmentWriter(tmp_path, address, _KEYRING) as writer:
        assert writer.offset == CHUNK_OCTETS


def test_a_writer_that_failed_takes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = begin_upload(tmp_path)
    writer = SegmentWriter(tmp_path, address, _KEYRING)
    writer.append(_CONTENT[:CHUNK_OCTETS])
    writer.sync()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(Exception, match="full"):
            writer.append(_CONTENT[CHUNK_OCTETS : 3 * CHUNK_OCTETS])
    with pytest.raises(ValueError, match="failed"):
        writer.append(b"more")
    with SegmentWriter(tmp_path, address, _KEYRING) as another:
        assert another.offset == CHUNK_OCTETS
        another.append(_CONTENT[CHUNK_OCTETS : 3 * CHUNK_OCTETS])
    assert _read(tmp_path, address) == _CONTENT[: 3 * CHUNK_OCTETS]


def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    address = begin_upload(tmp_path)
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            writer = SegmentWriter(tmp_path, address, _KEYRING, segment_octets=_SEGMENT)
            for at in range(0, len(_CONTENT), 50_000):
                writer.append(_CONTENT[at : at + 50_000])
                os.write(told, f"{writer.sync()}\n".encode())
        finally:
            os._exit(1)
    os.close(told)
    with os.fdopen(heard) as pipe:
        acknowledged = [int(pipe.readline()) for _ in range(9)][-1]
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert acknowledged > CHUNK_OCTETS
    rescued = _rescue(tmp_path, address)
    assert len(rescued) >= acknowledged
    with SegmentWriter(tmp_path, address, _KEYRING, at_least=acknowledged) as writer:
        assert writer.offset == len(rescued)
        writer.append(_CONTENT[writer.offset :])
    assert _read(tmp_path, address) == _CONTENT == _rescue(tmp_path, address)


class _Disk:
    """Remembers what was synced of each file, so that a power cut can take back anything else."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._synced: dict[int, int] = {}
        self._seen: dict[tuple[str, int], bytes] = {}
        self._fsync = os.fsync

    def fsync(self, fd: int) -> None:
        self._fsync(fd)
        found = os.fstat(fd)
        self._synced[found.st_ino] = found.st_size

    def cut_power(self, chance: random.Random) -> None:
        self.check_chunks()
        for path in self._root.rglob("*.age"):
            found = path.stat()
            synced = self._synced.get(found.st_ino, 0)
            lost = found.st_size - synced
            if lost <= 0:
                continue
            # What was not synced may be there in part, or as a hole, or as something else.
            kept = chance.randint(0, lost)
            holes = chance.choice((0, 0, chance.randint(0, kept)))
            os.truncate(path, synced + kept - holes)
            os.truncate(path, synced + kept)

    def check_chunks(self) -> None:
        """Refuse two different sealings of one chunk number of one segment file."""
        for path in self._root.rglob("*.age"):
            octets = path.read_bytes()
            begin = octets.index(b"\n---") + 49 + 16
            assert octets[begin - 17 : begin - 16] == b"\n"
            header = hashlib.sha256(octets[:begin]).hexdigest()
            for number, at in enumerate(range(begin, len(octets) - SEALED_CHUNK_OCTETS + 1, SEALED_CHUNK_OCTETS)):
                chunk = octets[at : at + SEALED_CHUNK_OCTETS]
                if any(chunk):
                    seen = self._seen.setdefault((header, number), chunk)
                    if seen != chunk:
                        assert chunk.endswith(bytes(16)), "a chunk number was sealed twice"


_SIZES = st.one_of(st.integers(0, 3 * CHUNK_OCTETS), st.sampled_from((CHUNK_OCTETS, _SEGMENT, _SEGMENT + 1)))
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), _SIZES),
        st.tuples(st.just("append"), _SIZES),
        st.tuples(st.sampled_from(("sync", "close", "kill")), st.just(0)),
        st.tuples(st.just("power cut"), st.integers(0, 1 << 32)),
    ),
    min_size=6,
    max_size=24,
)


@given(steps=_STEPS)
@settings(deadline=None, max_examples=50)
def test_any_appends_crashes_and_resumes_give_the_exact_beginning(steps: list[tuple[str, int]]) -> None:
    _try(steps)


@pytest.mark.long
@given(steps=_STEPS)
@settings(deadline=None, max_examples=2000)
def test_very_many_appends_crashes_and_resumes_give_the_exact_beginning(steps: list[tuple[str, int]]) -> None:
    _try(steps)


def _try(steps: list[tuple[str, int]]) -> None:
    root = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    with pytest.MonkeyPatch.context() as patch:
        disk = _Disk(root)
        patch.setattr(os, "fsync", disk.fsync)
        try:
            _run(root, disk, steps)
        finally:
            shutil.rmtree(root)


def _run(root: Path, disk: _Disk, steps: list[tuple[str, int]]) -> None:
    address = begin_upload(root)
    acknowledged = 0
    writer = SegmentWriter(root, address, _KEYRING, segment_octets=_SEGMENT)
    for step, argument in steps:
        match step:
            case "append":
                writer.append(_CONTENT[writer.offset : writer.offset + argument])
            case "sync":
                acknowledged = writer.sync()
            case "close":
                acknowledged = writer.close()
            case "kill" | "power cut":
                reached = writer.offset
                writer.abandon()
                if step == "power cut":
                    disk.cut_power(random.Random(argument))  # noqa: S311, a test's chance
                rescued = _rescue(root, address)
                assert acknowledged <= len(rescued) <= reached
                assert rescued == _CONTENT[: len(rescued)]
        if step not in ("append", "sync"):
            writer = SegmentWriter(
                root, address, _KEYRING, segment_octets=_SEGMENT, at_least=acknowledged, synced=acknowledged
            )
            assert writer.offset >= acknowledged
            acknowledged = writer.offset
    end = writer.close()
    disk.check_chunks()
    assert end >= acknowledged
    assert _read(root, address) == _CONTENT[:end] == _rescue(root, address)
    reader = SegmentReader.by_address(root, address)
    reader.readall()
    assert reader.unread_octets == 0
