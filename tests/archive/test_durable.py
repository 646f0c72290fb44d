"""Durable writes: what they leave on the disk, which system calls they make, and what they say when the disk cannot."""

import errno
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.durable import (
    PARTIAL_PREFIX,
    create_durably,
    make_folder_durably,
    remove_durably,
    storage_errors,
    sweep_partials,
    sync_file_system,
    sync_folder,
    write_durably,
)
from archive.errors import ConfigError, ConflictError, TestigoError, UnavailableError

ROOT = Path(__file__).resolve().parents[2]


def in_a_process(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def calls_of(code: str, folder: Path) -> list[str]:
    """Return the system calls that touch the disk, in order, of a Python program run on `folder`."""
    trace = folder.parent / "trace"
    wanted = "trace=openat,flock,write,fsync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,syncfs"
    line = ["strace", "-f", "-y", "-qq", "-e", "signal=none", "-e", wanted, "-o", str(trace)]
    subprocess.run([*line, sys.executable, "-c", textwrap.dedent(code), str(folder)], cwd=ROOT, check=True)
    calls = []
    for text in trace.read_text().splitlines():
        found = re.match(r"\d+ +(\w+)\(", text)
        if found and str(folder) in text and ("O_CREAT" in text or found[1] != "openat"):
            calls.append(found[1].removesuffix("2"))
    return calls


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("write", [write_durably, create_durably])
def test_a_write_leaves_the_file_alone_in_its_folder(write: Callable[..., None], tmp_path: Path) -> None:
    write(tmp_path / "key.age", b"sealed")
    assert names_in(tmp_path) == ["key.age"]
    assert (tmp_path / "key.age").read_bytes() == b"sealed"
    assert (tmp_path / "key.age").stat().st_mode & 0o777 == 0o600


def test_writing_replaces_and_creating_refuses(tmp_path: Path) -> None:
    path = tmp_path / "key.age"
    write_durably(path, b"old")
    write_durably(path, b"new", mode=0o644)
    with pytest.raises(ConflictError) as caught:
        create_durably(path, b"third")
    assert caught.value.code == "archive/already-there"
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["key.age"]


def test_a_link_planted_at_the_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / "name").symlink_to(victim)
    write_durably(tmp_path / "name", b"ours")
    assert victim.read_bytes() == b"untouched"
    assert not (tmp_path / "name").is_symlink()


def test_removing_may_be_repeated(tmp_path: Path) -> None:
    write_durably(tmp_path / "key.age", b"sealed")
    remove_durably(tmp_path / "key.age")
    remove_durably(tmp_path / "key.age")
    assert names_in(tmp_path) == []


def test_folders_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    make_folder_durably(tmp_path / "a" / "b" / "c")
    make_folder_durably(tmp_path / "a" / "b" / "c")
    for folder in ("a", "a/b", "a/b/c"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700
    sync_folder(tmp_path / "a")


def test_a_write_syncs_the_octets_before_the_name_and_the_name_before_it_returns(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write = "import sys; from pathlib import Path; from archive.durable import *; "
    assert calls_of(write + "write_durably(Path(sys.argv[1], 'x'), b'x')", folder) == [
        *("openat", "flock", "write", "fsync", "renameat", "fsync")
    ]
    assert calls_of(write + "create_durably(Path(sys.argv[1], 'y'), b'y')", folder) == [
        *("openat", "flock", "write", "fsync", "linkat", "unlinkat", "fsync")
    ]
    assert calls_of(write + "remove_durably(Path(sys.argv[1], 'x'))", folder) == ["unlinkat", "fsync"]
    assert calls_of(write + "make_folder_durably(Path(sys.argv[1], 'p', 'q'))", folder) == ["mkdir", "fsync"] * 2


def test_syncing_a_file_system_asks_twice_because_a_stopped_one_says_yes_once(tmp_path: Path) -> None:
    code = "import os, sys; from archive.durable import *; sync_file_system(os.open(sys.argv[1], os.O_RDONLY))"
    folder = tmp_path / "folder"
    folder.mkdir()
    assert calls_of(code, folder) == ["syncfs", "fsync"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    with pytest.raises(UnavailableError):
        write_durably(tmp_path / "name", b"cannot replace a folder")
    assert names_in(tmp_path) == ["name"]


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
@pytest.mark.parametrize(
    ("number", "code"),
    [("ENOSPC", "archive/store-full"), ("EIO", "archive/store-failing"), ("EDQUOT", "archive/store-full")],
)
def test_each_call_that_fails_is_told_and_keeps_the_old_file(call: str, number: str, code: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_durably(folder / "name", b"old")
    program = """
        import sys
        from pathlib import Path
        from archive.durable import write_durably
        from archive.errors import TestigoError
        try:
            write_durably(Path(sys.argv[1], "name"), b"new")
        except TestigoError as error:
            sys.exit(error.code)
    """
    calls = {"write": "write", "fsync": "fsync", "rename": "rename,renameat,renameat2"}[call]
    inject = f"inject={calls}:error={number}:when=1"
    line = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(folder), "-e", f"trace={calls}", "-e", inject]
    if call != "rename":
        line[line.index("-P") : line.index("-P") + 2] = []
    done = subprocess.run(
        [*line, sys.executable, "-c", textwrap.dedent(program), str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.strip().splitlines()[-1:]) == (1, [code])
    assert (folder / "name").read_bytes() == b"old"
    assert names_in(folder) == ["name"]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, UnavailableError, "archive/store-full"),
        (errno.EDQUOT, UnavailableError, "archive/store-full"),
        (errno.EIO, UnavailableError, "archive/store-failing"),
        (errno.ESTALE, UnavailableError, "archive/store-failing"),
        (errno.ENOENT, UnavailableError, "archive/store-missing"),
        (errno.EMFILE, UnavailableError, "archive/too-many-open-files"),
        (errno.EROFS, ConfigError, "archive/store-read-only"),
        (errno.EACCES, ConfigError, "archive/store-not-permitted"),
    ],
)
def test_what_the_kernel_says_becomes_something_to_act_on(number: int, kind: type[TestigoError], code: str) -> None:
    with pytest.raises(kind) as caught, storage_errors():
        raise OSError(number, os.strerror(number), "/secret/name")
    assert caught.value.code == code
    assert "/secret" not in caught.value.message
    assert caught.value.evidence["path"] == "/secret/name"
    assert caught.value.evidence["errno"] == errno.errorcode[number]


def test_a_sweep_takes_what_a_killed_writer_left_and_not_what_a_living_one_writes(tmp_path: Path) -> None:
    program = """
        import fcntl, os, sys
        from archive import durable
        fd, name = durable._open_partial(os.open(sys.argv[1], os.O_RDONLY), 0o600)
        print("open", flush=True)
        sys.stdin.read()
    """
    killed, living = in_a_process(program, str(tmp_path)), in_a_process(program, str(tmp_path))
    for process in (killed, living):
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
    (tmp_path / "key.age").write_bytes(b"sealed")
    killed.kill()
    killed.communicate()
    assert sweep_partials(tmp_path) == 1
    assert sorted(name.startswith(PARTIAL_PREFIX) for name in names_in(tmp_path)) == [False, True]
    living.communicate()
    assert sweep_partials(tmp_path) == 1
    assert names_in(tmp_path) == ["key.age"]


def test_a_whole_file_system_can_be_synced(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    sync_file_system(folder)
    os.close(folder)
    with pytest.raises(UnavailableError):
        sync_file_system(folder)
