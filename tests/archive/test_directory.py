"""The store as a directory: what lies on the disk, what a killed writer leaves, and that common tools can check it."""

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from archive.errors import UnavailableError
from archive.fixity import check_all, check_object
from archive.store.directory import DirectoryStore
from archive.store.port import object_name
from archive.types import Digest, DigestAlgorithm, Finding

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    with DirectoryStore(tmp_path / "store") as opened:
        yield opened


def publish(store: DirectoryStore, *contents: bytes) -> list[str]:
    pairs = []
    for octets in contents:
        staged = store.stage()
        staged.write(octets)
        pairs.append((staged, object_name(Digest(DigestAlgorithm.BLAKE3, blake3(octets).digest()))))
    store.publish(pairs)
    return [name for _, name in pairs]


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_files_and_folders_are_for_their_owner_alone(store: DirectoryStore, tmp_path: Path) -> None:
    publish(store, b"one", b"two")
    store.put("log/checkpoint", b"x")
    for path in (tmp_path / "store").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_b3sum_finds_the_same_as_the_check(store: DirectoryStore, tmp_path: Path) -> None:
    names = publish(store, *(bytes([number]) * 70_000 for number in range(20)))
    lines = subprocess.run(
        ["b3sum", "--no-names", *(str(tmp_path / "store" / name) for name in names)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert lines == [name.rpartition("/")[2].removesuffix(".age") for name in names]


@pytest.mark.parametrize("size", [1, 100_000, 9 * 1024 * 1024])
def test_a_flipped_bit_a_cut_tail_and_a_swap_are_each_found(size: int, store: DirectoryStore, tmp_path: Path) -> None:
    flipped, cut, swapped, intact = publish(store, *(bytes([number]) * size for number in range(4)))
    path = tmp_path / "store" / flipped
    octets = bytearray(path.read_bytes())
    octets[size // 2] ^= 1
    path.write_bytes(octets)
    with (tmp_path / "store" / cut).open("r+b") as file:
        file.truncate(size - 1)
    (tmp_path / "store" / swapped).write_bytes((tmp_path / "store" / intact).read_bytes())
    findings = {found.name: found.finding for found in check_all(store, 2)}
    assert {name for name, finding in findings.items() if finding is Finding.DOES_NOT_MATCH} == {flipped, cut, swapped}
    assert findings[intact] is Finding.MATCHES


def test_a_link_or_folder_in_the_place_of_an_object_is_never_read(store: DirectoryStore, tmp_path: Path) -> None:
    linked, folder = publish(store, b"one", b"two")
    for name in (linked, folder):
        (tmp_path / "store" / name).unlink()
    (tmp_path / "outside").write_bytes(b"one")
    (tmp_path / "store" / linked).symlink_to(tmp_path / "outside")
    (tmp_path / "store" / folder).mkdir()
    assert check_object(store, linked) is Finding.CANNOT_TELL
    assert check_object(store, folder) is Finding.CANNOT_TELL


def test_a_killed_writer_leaves_nothing_visible_and_its_remains_are_swept(tmp_path: Path) -> None:
    program = """
        import sys
        from pathlib import Path
        from archive.store.directory import DirectoryStore
        store = DirectoryStore(Path(sys.argv[1]))
        writes = [store.stage() for _ in range(3)]
        for staged in writes:
            staged.write(b"half")
        print("staged", flush=True)
        sys.stdin.read()
        store.publish([(staged, f"log/{number}") for number, staged in enumerate(writes)])
    """
    line = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "store")]
    killed, living = (
        subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    )
    for process in (killed, living):
        assert process.stdout is not None
        assert process.stdout.readline() == "staged\n"
    killed.kill()
    killed.communicate()
    with DirectoryStore(tmp_path / "store") as store:
        assert list(store.list("")) == []
        own = store.stage()
        own.write(b"ours")
        assert store.sweep_staging() == 3
        assert store.sweep_staging() == 0
        living.communicate()
        assert living.returncode == 0
        assert store.read("log/0") == b"half"
        store.publish([(own, "log/own")])
    assert [path.name for path in files_below(tmp_path / "store" / ".staging")] == []


def test_refused_writes_leave_no_staged_file(store: DirectoryStore, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name"):
        store.put_many([("log/good", b"x"), ("log/BAD", b"x")])
    (tmp_path / "store" / "log").write_bytes(b"a file where a folder must be")
    with pytest.raises(UnavailableError):
        publish_as(store, "log/x")
    assert files_below(tmp_path / "store" / ".staging") == []


def publish_as(store: DirectoryStore, *names: str) -> None:
    pairs = []
    for name in names:
        staged = store.stage()
        staged.write(name.encode())
        pairs.append((staged, name))
    store.publish(pairs)


def test_a_failed_sync_fails_every_write_that_was_under_way_and_none_that_began_later(tmp_path: Path) -> None:
    # The kernel tells of lost octets once; asked again, for another thread's group, it would say that all is well.
    program = """
        import sys
        from pathlib import Path
        from archive.errors import UnavailableError
        from archive.store.directory import DirectoryStore
        store = DirectoryStore(Path(sys.argv[1]))

        def stage(*names):
            pairs = [(store.stage(), name) for name in names]
            for staged, name in pairs:
                staged.write(name.encode())
            return pairs

        first, second = stage("log/a", "log/b"), stage("log/c", "log/d")
        for group in (first, second, None):
            try:
                store.publish(group or stage("log/e", "log/f"))
                print("published")
            except UnavailableError as error:
                print(error.code)
        print(*store.list(""))
    """
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=syncfs", "-e", "inject=syncfs:error=EIO:when=1"]
    line = [*inject, sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "store")]
    said = subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    assert said == ["archive/store-failing", "archive/store-failing", "published", "log/e log/f"]


def test_several_threads_publish_into_one_store(store: DirectoryStore) -> None:
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for group in range(5):
                publish(store, *(f"{number} of {group}".encode() for number in range(thread % 2 * 9 + 1)))
        except BaseException as error:  # Told by the assertion below; a thread cannot raise into the test.
            failures.append(error)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    findings = list(check_all(store, 2))
    assert len(findings) == 50
    assert {found.finding for found in findings} == {Finding.MATCHES}
