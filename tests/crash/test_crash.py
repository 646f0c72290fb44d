"""Crashes of the store and of the import: a sample of each kind here, whole series under the mark `long`."""

import os
from pathlib import Path

import pytest

from archive import durable
from archive.errors import UnavailableError
from tests.crash import full_disk, power_cut, random_kill, syscall_sweep
from tests.crash.laboratory import Report
from tests.crash.power_cut import FileSystem
from tests.crash.subject_import import ImportSubject
from tests.crash.subject_store import StoreSubject
from tests.crash.syscall_sweep import Fault

SEED = 20261122


_NEVER_FIRST = {f"{fault}: write keys/.partial-*" for fault in Fault}
"""strace counts the calls of each thread: a key file is among the first that its own writes, and the write with the
same number of another thread, which ends the import, always comes before. Its sync is struck."""


def small() -> StoreSubject:
    return StoreSubject(items=7, group=4, largest=60_000)


def long_running() -> StoreSubject:
    return StoreSubject(items=60, group=6)


def small_import() -> ImportSubject:
    return ImportSubject(files=5, group=2)


def long_import() -> ImportSubject:
    return ImportSubject(files=12, group=3)


def nothing_lost(report: Report) -> None:
    print(report)
    assert report.acknowledged > 0
    assert report.violations == []
    assert report.tracebacks == []
    assert "hung" not in report.endings


@pytest.fixture
def tracing() -> None:
    if reason := syscall_sweep.unavailable():
        pytest.skip(reason)


def power(kind: FileSystem) -> None:
    if reason := power_cut.unavailable(kind):
        pytest.skip(reason)


@pytest.mark.usefixtures("tracing")
def test_a_fault_at_some_system_calls_loses_nothing(tmp_path: Path) -> None:
    nothing_lost(syscall_sweep.run(small(), tmp_path, tries=12, seed=SEED))


def test_some_kills_at_random_instants_lose_nothing(tmp_path: Path) -> None:
    nothing_lost(random_kill.run(long_running(), tmp_path, tries=8, seed=SEED))


@pytest.mark.root
@pytest.mark.parametrize("kind", list(FileSystem))
def test_some_power_cuts_lose_nothing(kind: FileSystem, tmp_path: Path) -> None:
    power(kind)
    nothing_lost(power_cut.run(long_running(), tmp_path, kind=kind, tries=6, seed=SEED))


@pytest.mark.root
@pytest.mark.parametrize("kind", list(FileSystem))
def test_a_disk_that_runs_full_loses_nothing_and_work_goes_on_when_space_is_freed(
    kind: FileSystem, tmp_path: Path
) -> None:
    power(kind)
    nothing_lost(full_disk.run(long_running(), tmp_path, kind=kind, tries=2, seed=SEED))


@pytest.mark.root
@pytest.mark.parametrize("kind", list(FileSystem))
def test_a_stopped_disk_is_never_taken_for_a_synced_one(kind: FileSystem, tmp_path: Path) -> None:
    power(kind)
    with power_cut.disk(kind, tmp_path) as disk:
        (disk.mount_point / "key.age").write_bytes(b"sealed")
        disk.sync()
        folder = os.open(disk.mount_point, os.O_RDONLY)
        (disk.mount_point / "key.age").unlink()
        disk.cut()
        for sync in (durable.sync, durable.sync_file_system):
            with pytest.raises(UnavailableError) as caught:
                sync(folder)
            assert caught.value.code == "archive/store-failing"
        os.close(folder)
        disk.unmount()
        disk.mount()
        assert (disk.mount_point / "key.age").exists(), "the removal was not durable, so nothing may have said so"


@pytest.mark.root
@pytest.mark.parametrize("kind", list(FileSystem))
def test_power_cuts_lose_much_where_syncs_are_lies(kind: FileSystem, tmp_path: Path) -> None:
    power(kind)
    report = power_cut.run(long_running(), tmp_path, kind=kind, tries=4, seed=SEED, wrapper=("eatmydata",))
    print(report)
    assert report.violations, "the laboratory does not notice what it is there to notice"


@pytest.mark.usefixtures("tracing")
def test_a_fault_at_some_system_calls_of_an_import_loses_nothing(tmp_path: Path) -> None:
    nothing_lost(syscall_sweep.run(small_import(), tmp_path, tries=4, seed=SEED))


@pytest.mark.root
def test_two_power_cuts_in_an_import_lose_nothing(tmp_path: Path) -> None:
    power(FileSystem.EXT4)
    nothing_lost(power_cut.run(small_import(), tmp_path, kind=FileSystem.EXT4, tries=2, seed=SEED))


@pytest.mark.long
@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_every_system_call_of_an_import_loses_nothing(fault: Fault, tmp_path: Path) -> None:
    report = syscall_sweep.run(
        small_import(), tmp_path, tries=None, seed=SEED, faults=(fault,), go_on_every=8, at_once=2
    )
    nothing_lost(report)
    assert report.missed <= _NEVER_FIRST, "no fault struck at some call of an undisturbed run"


@pytest.mark.long
def test_two_hundred_kills_of_an_import_lose_nothing(tmp_path: Path) -> None:
    nothing_lost(random_kill.run(long_import(), tmp_path, tries=200, seed=SEED))


@pytest.mark.long
@pytest.mark.root
@pytest.mark.parametrize("kind", list(FileSystem))
def test_three_hundred_power_cuts_in_imports_lose_nothing(kind: FileSystem, tmp_path: Path) -> None:
    power(kind)
    report = power_cut.run(long_import(), tmp_path, kind=kind, tries=300, seed=SEED)
    nothing_lost(report)
    assert report.after_acknowledgement >= 150


@pytest.mark.long
@pytest.mark.usefixtures("tracing")
def test_a_fault_at_every_system_call_loses_nothing(tmp_path: Path) -> None:
    report = syscall_sweep.run(small(), tmp_path, tries=None, seed=SEED, at_once=2)
    nothing_lost(report)
    assert report.missed == set(), "no fault struck at some call of an undisturbed run"


@pytest.mark.long
def test_two_hundred_kills_at_random_instants_lose_nothing(tmp_path: Path) -> None:
    nothing_lost(random_kill.run(long_running(), tmp_path, tries=200, seed=SEED))


@pytest.mark.long
@pytest.mark.root
@pytest.mark.parametrize("kind", list(FileSystem))
def test_three_hundred_power_cuts_lose_nothing(kind: FileSystem, tmp_path: Path) -> None:
    power(kind)
    report = power_cut.run(long_running(), tmp_path, kind=kind, tries=300, seed=SEED)
    nothing_lost(report)
    assert report.after_acknowledgement >= 150


@pytest.mark.long
@pytest.mark.root
@pytest.mark.parametrize("kind", list(FileSystem))
def test_a_disk_that_runs_full_at_a_hundred_sizes_loses_nothing(kind: FileSystem, tmp_path: Path) -> None:
    power(kind)
    nothing_lost(full_disk.run(long_running(), tmp_path, kind=kind, tries=100, seed=SEED))
