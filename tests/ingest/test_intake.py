"""The seven steps, with real files and real tools: what comes in is there, sealed and recorded, or nothing of it is."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
from blake3 import blake3

from archive.catalogue.items import objects_of
from archive.errors import InputError, UnavailableError
from custody.checkpoint import Checkpoint
from custody.signed_note import SignedNote
from ingest.reception import Arrival, Linked, Refused, Result, Stored
from tests.way_in import SAMPLES, Watcher, WayIn, arrival


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WayIn]:
    with WayIn(tmp_path_factory.mktemp("archive")) as archive:
        yield archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


def test_every_sample_is_sealed_recorded_and_says_what_it_is(shared: WayIn) -> None:
    paths = sorted(path for path in SAMPLES.rglob("*") if path.is_file())
    results = shared.take_in([arrival(path.name, path, claims={"place": "6th St"}) for path in paths])
    kinds = {}
    for path, result in zip(paths, results, strict=True):
        assert isinstance(result, Stored)
        assert result.problems == ()
        content = path.read_bytes()
        assert result.sha256 == hashlib.sha256(content).digest()
        assert shared.stored(result.item.id) == content
        assert json.loads(shared.stored(result.item.id, "metadata"))["metadata"]["tool"] == "ExifTool"
        kinds[path.suffix] = result.item.evidence_kind
        with shared.rooms.database.reading() as session:
            for each in objects_of(session, result.item.id).values():
                name = each.blake3.hex()
                sealed = (shared.home / "store" / "objects" / name[:2] / name[2:4] / f"{name}.age").read_bytes()
                assert blake3(sealed).digest() == each.blake3
                assert len(sealed) == each.sealed_size
        (receipt,) = shared.log_of(result.item)
        assert (receipt.entry.event, receipt.entry.outcome) == ("ingestion", "success")
        assert receipt.get("fixity")["sha256"] == result.sha256.hex()
        assert receipt.get("original_name")["name"] == path.name
        assert receipt.get("claims")["sender"] == {"place": "6th St"}
        assert receipt.get("policy")["outcome"] == "kept whole"
        assert receipt.get("run")["number"] == 1
    assert kinds == {
        ".mp4": "video",
        ".jpg": "photo",
        ".heif": "photo",
        ".HEIC": "photo",
        ".pdf": "document",
        ".txt": "document",
        ".ogg": "audio",
    }


def test_what_was_received_is_under_a_signed_checkpoint_when_the_answer_comes(shared: WayIn) -> None:
    (result,) = shared.take_in([arrival("a.txt", b"under a checkpoint")])
    assert isinstance(result, Stored)
    note = shared.rooms.publisher.newest()
    assert note is not None
    assert result.entry.seq < Checkpoint.parse(SignedNote.parse(note).text).size == shared.rooms.ledger.size()


def test_equal_content_is_linked_and_not_copied_within_a_group_and_against_the_archive(shared: WayIn) -> None:
    content = b"the same bytes twice\n" * 500
    first, second, other = shared.take_in(
        [arrival("one.txt", content), arrival("two.txt", content), arrival("other.txt", b"other")]
    )
    objects, keys = shared.objects(), shared.rooms.key_files.list()
    (third,) = shared.take_in([arrival("three.txt", content, claims={"who": "Ana"})])
    assert isinstance(first, Stored)
    assert isinstance(other, Stored)
    for again in (second, third):
        assert isinstance(again, Linked)
        assert (again.item_id, again.sha256, again.size) == (first.item.id, first.sha256, len(content))
    assert shared.objects() == objects
    assert shared.rooms.key_files.list() == keys
    assert not shared.staged()
    log = shared.log_of(first.item)
    assert [entry.entry.event for entry in log] == ["ingestion", "duplicate receipt", "duplicate receipt"]
    assert [entry.get("run")["number"] for entry in log] == [1, 2, 3]
    assert [entry.get("duplicate")["name"] for entry in log[1:]] == ["two.txt", "three.txt"]
    assert log[2].get("duplicate")["claims"] == {"who": "Ana"}
    assert all(entry.get("fixity")["sha256"] == first.sha256.hex() for entry in log)


@pytest.mark.parametrize("lost", ["object", "key"])
def test_content_whose_object_or_key_was_lost_is_taken_in_anew_and_not_linked_to_the_loss(
    archive: WayIn, lost: str
) -> None:
    content = b"the card still has it\n" * 90
    (first,) = archive.take_in([arrival("a.txt", content)])
    assert isinstance(first, Stored)
    if lost == "key":
        (archive.home / "keys" / f"{first.item.id}.age").unlink()
    else:
        with archive.rooms.database.reading() as session:
            name = objects_of(session, first.item.id)["original"].blake3.hex()
        (archive.home / "store" / "objects" / name[:2] / name[2:4] / f"{name}.age").unlink()
    again, twice = archive.take_in([arrival("a.txt", content), arrival("b.txt", content)])
    assert isinstance(again, Stored)
    assert isinstance(twice, Linked)
    assert twice.item_id == again.item.id
    assert archive.stored(again.item.id) == content
    (third,) = archive.take_in([arrival("c.txt", content)])
    assert isinstance(third, Linked)
    assert third.item_id == again.item.id


def test_companions_name_what_they_came_with_also_where_that_was_here_already(shared: WayIn) -> None:
    still, moving, sidecar = shared.take_in(
        [
            arrival("IMG_0001.HEIC", SAMPLES / "DCIM" / "Camera" / "IMG_5195.HEIC"),
            arrival("IMG_0001.MOV", b"the moving half", main=0),
            arrival("IMG_0001.xmp", b"<x:xmpmeta/>", main=0),
        ]
    )
    assert isinstance(still, Stored | Linked)
    main = still.item.id if isinstance(still, Stored) else still.item_id
    for companion in (moving, sidecar):
        assert isinstance(companion, Stored)
        assert companion.item.companion_id == main
    again, proof = shared.take_in(
        [
            arrival("IMG_0001.HEIC", SAMPLES / "DCIM" / "Camera" / "IMG_5195.HEIC"),
            arrival("IMG_0001.proof.json", b'{"proof": 1}', main=0),
        ]
    )
    assert isinstance(again, Linked)
    assert isinstance(proof, Stored)
    assert proof.item.companion_id == main


def test_a_file_that_cannot_be_read_is_refused_with_its_reason_and_the_others_go_on(shared: WayIn) -> None:
    class Torn(BytesIO):
        def readinto(self, buffer: object) -> int:
            count = super().readinto(buffer)  # type: ignore[arg-type] # of BytesIO
            if self.tell() > 2_000_000:
                raise InputError("batch/unreadable", "The file could not be read.")
            return count

    before = len(shared.rooms.key_files.list())
    good, torn, also_good = shared.take_in(
        [
            arrival("good.bin", os.urandom(100)),
            arrival("torn.bin", lambda: Torn(os.urandom(3_000_000))),
            arrival("also good.bin", os.urandom(100)),
        ]
    )
    assert isinstance(good, Stored)
    assert isinstance(also_good, Stored)
    assert isinstance(torn, Refused)
    assert torn.error.code == "batch/unreadable"
    assert len(shared.rooms.key_files.list()) == before + 2
    assert not shared.staged()
    refusal = shared.last_entries(2)[0]
    assert (refusal.entry.event, refusal.entry.outcome) == ("refusal", "failure")
    assert refusal.get("code") == "batch/unreadable"


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, UnavailableError])
def test_a_group_that_is_broken_off_leaves_nothing(shared: WayIn, failure: type[BaseException]) -> None:
    def broken() -> BinaryIO:
        if failure is UnavailableError:
            raise UnavailableError("archive/store-failing", "The disk fails.")
        raise failure("broken off")

    before = (shared.rooms.ledger.size(), shared.objects(), shared.rooms.key_files.list(), shared.rows("item"))
    with pytest.raises(failure):
        shared.take_in([arrival("in.bin", os.urandom(50_000)), arrival("broken.bin", broken), arrival("x", b"x1")])
    assert (shared.rooms.ledger.size(), shared.objects(), shared.rooms.key_files.list(), shared.rows("item")) == before
    assert not shared.staged()


def test_groups_prepared_ahead_link_what_an_earlier_one_brings_and_leave_no_orphan(shared: WayIn) -> None:
    contents = [os.urandom(40_000), os.urandom(50)]
    groups = [[arrival(f"{n}.bin", contents[n % 2])] for n in range(7)]
    objects, keys = len(shared.objects()), len(shared.rooms.key_files.list())
    received = list(shared.rooms.intake.receive_groups(shared.reception, groups))
    assert [group for group, _ in received] == groups
    results = [result for _, (result,) in received]
    assert [type(result) for result in results] == [Stored] * 2 + [Linked] * 5
    assert [result.sha256 for result in results if not isinstance(result, Refused)] == [
        hashlib.sha256(contents[n % 2]).digest() for n in range(7)
    ]
    assert len(shared.objects()) == objects + 4  # Each with what was found out about it.
    assert len(shared.rooms.key_files.list()) == keys + 2
    assert not shared.staged()


def test_a_group_that_fails_does_not_take_with_it_the_one_before_and_ends_those_after(shared: WayIn) -> None:
    opened: list[int] = []

    def fail() -> BinaryIO:
        raise UnavailableError("archive/store-failing", "The disk fails.")

    def groups() -> Iterator[list[Arrival]]:
        for n in range(9):
            opened.append(n)
            yield [arrival(f"{n}.bin", fail if n == 2 else os.urandom(2000))]

    before = shared.rows("item")
    received: list[Result] = []
    with pytest.raises(UnavailableError):
        for _, results in shared.rooms.intake.receive_groups(shared.reception, groups()):
            received += results
    assert [type(result) for result in received] == [Stored, Stored]
    assert opened == [0, 1, 2]
    assert shared.rows("item") == before + 2
    assert not shared.staged()


def test_an_import_that_is_given_up_leaves_nothing_of_the_groups_prepared_ahead_in_staging(shared: WayIn) -> None:
    before = shared.rows("item")
    groups = [[arrival(f"{n}.bin", os.urandom(3000)), arrival(f"{n}.txt", os.urandom(9))] for n in range(20)]
    received = shared.rooms.intake.receive_groups(shared.reception, groups)
    assert len(next(received)[1]) == 2
    received.close()
    assert shared.rows("item") == before + 2
    assert not shared.staged()


def test_an_interrupt_does_not_wait_for_what_is_still_being_read(shared: WayIn) -> None:
    class Endless(BytesIO):
        read_so_far = 0

        def readinto(self, buffer: object) -> int:
            Endless.read_so_far += len(memoryview(buffer))  # type: ignore[arg-type] # a buffer
            assert Endless.read_so_far < 256 << 20, "the reading went on after the interrupt"
            return len(memoryview(buffer))  # type: ignore[arg-type] # a buffer

    def interrupted() -> BinaryIO:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shared.take_in([arrival("endless.bin", Endless), arrival("interrupted.bin", interrupted)])
    assert not shared.staged()


def test_content_that_another_process_took_in_meanwhile_is_linked(archive: WayIn) -> None:
    other = archive.open_rooms()
    real = archive.rooms.workbench

    class Beaten:
        """Examines as the real workbench does, after another process has taken in the same file."""

        at_once = 1
        make_ready = real.make_ready

        def examine(self, source: object, head: bytes, *, untrusted_name: str) -> object:
            other.intake.receive(archive.reception, [arrival("theirs.txt", b"raced for")])
            return real.examine(source, head, untrusted_name=untrusted_name)  # type: ignore[arg-type] # passed through

    archive.rooms.workbench = Beaten()  # type: ignore[assignment] # passes through
    (result,) = archive.take_in([arrival("ours.txt", b"raced for")])
    archive.rooms.workbench = real
    other.close()
    assert isinstance(result, Linked)
    assert archive.rows("item") == 1
    assert [entry.entry.event for entry in archive.log_of(result.item_id)] == ["ingestion", "duplicate receipt"]


def test_with_equality_off_equal_content_is_stored_twice_and_no_mac_is_kept(tmp_path: Path) -> None:
    with WayIn(tmp_path / "archive", archive_settings="intake_equality = false") as archive:
        results = archive.take_in([arrival("one.txt", b"equal"), arrival("two.txt", b"equal")])
        items = [result.item for result in results if isinstance(result, Stored)]
        assert len(items) == 2
        assert {item.content_mac for item in items} == {None}
        assert [archive.stored(item.id) for item in items] == [b"equal", b"equal"]


def test_hostile_names_and_claims_are_kept_as_text_and_never_become_paths(shared: WayIn) -> None:
    names = [
        "../../../etc/cron.d/x",
        "-execute\nrm.jpg",
        "bad\udcff\udc80bytes.jpg",
        "lone \ud800 half",
        "\u202egpj.exe",
        "nul\0inside",
        "x" * 5000,
        "",
    ]
    results = shared.take_in(
        [arrival(name, b"content %d" % i, claims={name or "claim": name}) for i, name in enumerate(names)]
    )
    for name, result in zip(names, results, strict=True):
        assert isinstance(result, Stored)
        (receipt,) = shared.log_of(result.item)
        shown = receipt.get("original_name")["name"]
        assert shown == name or "\\" in shown
        assert list(receipt.get("claims")["sender"].values()) == [shown]
    assert not [path for path in shared.home.rglob("*") if "cron" in path.name or "rm.jpg" in path.name]


def test_a_large_group_does_not_run_out_of_open_files(archive: WayIn) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Files that other tests of this process hold open are none of ours.
    here_already = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (here_already + 120, hard))
    try:
        results = archive.take_in([arrival(f"{n}.txt", b"%d" % n) for n in range(150)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all(isinstance(result, Stored) for result in results)


def test_nothing_lies_in_clear_in_any_file_while_it_is_being_taken_in(archive: WayIn, tmp_path: Path) -> None:
    marker = os.urandom(32)
    content = marker * (24 << 20 >> 5)
    photo = (SAMPLES / "DCIM" / "Camera" / "IMG_5195.HEIC").read_bytes() + marker
    with Watcher([tmp_path], [marker]).watching() as watcher:
        results = archive.take_in([arrival("long.bin", content), arrival("photo.heic", photo)])
        after = watcher.rounds
    assert all(isinstance(result, Stored) for result in results)
    assert after > 0
    assert not watcher.found
    (tmp_path / "planted").write_bytes(b"before " + marker + b" after")
    watcher.look()
    assert {path for path, _ in watcher.found} >= {str(tmp_path / "planted")}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.root
def test_on_a_full_disk_nothing_is_recorded_and_the_same_goes_on_when_there_is_room(small_disk: Path) -> None:
    with WayIn(small_disk / "archive") as archive:
        content = os.urandom(30 << 20)
        before = (archive.rooms.ledger.size(), archive.objects(), archive.rooms.key_files.list())
        with pytest.raises(UnavailableError, match="disk of the archive is full") as raised:
            archive.take_in([arrival("small.bin", b"small"), arrival("large.bin", content)])
        assert raised.value.code == "archive/store-full"
        assert (archive.rooms.ledger.size(), archive.objects(), archive.rooms.key_files.list()) == before
        assert not archive.staged()
        subprocess.run(["mount", "-o", "remount,size=96m", str(small_disk)], check=True)
        results = archive.take_in([arrival("small.bin", b"small"), arrival("large.bin", content)])
        assert all(isinstance(result, Stored) for result in results)
