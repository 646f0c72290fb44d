"""`backup` onto a place that has no room, or may not be written to: said of that place, entered, and gone on with."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from archive.catalogue.incidents import items_of_incident
from archive.catalogue.records import Item
from archive.jobs import JobKind
from commands.upkeep import _names
from tests.archives import SmallArchive
from tests.commands.test_checks import archive, run

__all__ = ["archive", "run"]

Run = Callable[..., Result]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _fill(disk: Path, left: int) -> Path:
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 12)):
            pass
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - left)
    return filler


@pytest.mark.root
@pytest.mark.parametrize("left", [0, 64 << 10, 1 << 20])
def test_a_full_place_is_told_from_a_full_archive_and_the_next_run_goes_on(
    archive: SmallArchive, run: Run, small_disk: Path, left: int
) -> None:
    archive.receive(archive.incident(), [(f"{n}.bin", bytes([n]) * 300_000) for n in range(5)])
    filler = _fill(small_disk, left)
    size = archive.rooms.ledger.size()
    done = run("backup", small_disk / "copy", "--json")
    assert done.exit_code == 9, done.output
    told = json.loads(done.stdout)
    assert told["code"] == "backup/no-room"
    assert "The archive itself is untouched" in told["error"]
    assert "not a backup until a run ends without an error" in told["error"]
    entries = [json.loads(line) for line in run("log", "--closed", "--last", "2", "--json").stdout.splitlines()]
    assert [(each["seq"], each["event"], each["outcome"]) for each in entries] == [
        (size, "backup", "success"),
        (size + 1, "backup", "failure"),
    ]
    filler.unlink()
    assert run("backup", small_disk / "copy").exit_code == 0
    checked = run("verify", "--keyless", "--home", small_disk / "copy")
    assert checked.exit_code == 3, checked.output
    assert "9 items have their bytes; what the log says was not opened" in checked.stdout
    assert "CANNOT TELL  keys  There is not one key file here" in checked.stdout
    assert "DOES NOT MATCH" not in checked.stdout
    assert not list((small_disk / "copy").glob(".catalogue-partial*"))


@pytest.mark.root
def test_a_place_that_may_not_be_written_to_is_told_as_that_place(
    archive: SmallArchive, run: Run, small_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = run("backup", small_disk / "copy")
    assert done.exit_code == 1, done.output
    assert "Nothing can be written to the place of the copy." in done.stderr
    assert archive.rooms.ledger.size() > 0


def test_the_plan_of_a_worker_names_the_entries_of_each_kind_that_waits(archive: SmallArchive, run: Run) -> None:
    assert _planned(run) == ["none: no work waits"]
    items = archive.receive(archive.incident(), [(f"{n}.bin", bytes([n]) * 100) for n in range(2)])
    with archive.rooms.database.writing() as session:
        archive.rooms.jobs.enqueue(session, JobKind.PREVIEW, [str(item.id) for item in items])
        archive.rooms.jobs.enqueue(session, JobKind.TIMESTAMP, ["1/two"])
    assert _planned(run) == [
        "none: a time-stamp is a file beside its checkpoint (1 job)",
        "1 access and 1 creation for each preview made (2 jobs)",
    ]


def _planned(run: Run) -> list[str]:
    done = run("worker", "--explain", "--json")
    assert done.exit_code == 0, done.output
    return list(json.loads(done.stdout.splitlines()[-1])["entries"])


def test_what_jobs_are_about_is_looked_up_for_those_jobs_alone(
    archive: SmallArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = archive.incident()
    items = archive.receive(incident, [(f"{n}.bin", bytes([n]) * 100) for n in range(4)])
    with archive.rooms.database.writing() as session:
        archive.rooms.jobs.enqueue(session, JobKind.PREVIEW, [str(items[2].id)])
    (job,) = archive.rooms.jobs.list()
    read: list[str] = []
    from_row = Item.from_row

    def counted(row: Any) -> Item:
        read.append(row["number"])
        return from_row(row)

    monkeypatch.setattr(Item, "from_row", counted)
    (named,) = _names(archive.rooms, [job]).items()
    assert named == (job.subject, items[2].number) and len(read) == 1
    assert _names(archive.rooms, [replace(job, subject=f"{incident.id}/7")]) == {str(incident.id): incident.number}
    other = archive.incident("Another")
    archive.receive(other, [("other.bin", b"other")])
    read.clear()
    with archive.rooms.database.reading() as session:
        assert len(items_of_incident(session, other.id)) == 1
    assert len(read) == 1, "the items of other incidents stay where they are"
