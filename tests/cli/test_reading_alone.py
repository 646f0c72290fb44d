"""A copy on a medium that can only be read, and an archive on a full disk: what only reads works there."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from archive.catalogue.database import Database
from cli import main
from tests.way_in import YEAR

Run = Callable[..., Result]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def on(home: Path, *words: str) -> Result:
    result = CliRunner().invoke(main, [*words, "--home", str(home)], env={"NO_COLOR": "1"}, prog_name="testigo")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


@pytest.mark.root
def test_a_backup_is_checked_and_listed_where_it_lies_on_a_medium_that_can_only_be_read(
    run: Run, disk: Path, tmp_path: Path
) -> None:
    assert run("backup", str(disk / "copy"), "--keys-to", str(tmp_path / "keys")).exit_code == 0
    read_only(disk)
    before = sorted(disk.rglob("*"))
    checked = on(disk / "copy", "verify", "--keyless", "--json")
    assert checked.exit_code == 3, checked.output  # Of key files that lie apart nothing can be told.
    summary = json.loads(checked.stdout.splitlines()[-1])
    assert summary["finding"] == "CANNOT TELL"
    assert summary["matched_without_keys"] == summary["items"] == 3
    listed = on(disk / "copy", "ls")
    assert listed.exit_code == 0
    assert f"E-{YEAR}-00001" in listed.stdout
    assert on(disk / "copy", "log", "--closed").exit_code == 0
    assert sorted(disk.rglob("*")) == before


@pytest.mark.root
def test_a_whole_archive_on_a_medium_that_can_only_be_read_is_checked_and_nothing_is_written(
    home: Path, disk: Path
) -> None:
    shutil.copytree(home, disk / "home")
    read_only(disk)
    checked = on(disk / "home", "verify", "--json")
    assert json.loads(checked.stdout.splitlines()[-1])["matched_without_keys"] == 3
    assert checked.exit_code == 0
    refused = on(disk / "home", "incident", "new", "--title", "x")
    assert refused.exit_code == 2
    assert "archive/store-read-only" in refused.stderr
    assert "Commands that only read work here" in refused.stderr


@pytest.mark.root
def test_writes_that_a_stop_left_beside_the_catalogue_are_never_passed_over(home: Path, disk: Path) -> None:
    shutil.copytree(home, disk / "home")
    with closing(sqlite3.connect(disk / "home" / "catalogue.sqlite")) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("CREATE TABLE left_over (one INTEGER)")
        writer.commit()
        for name in ("catalogue.sqlite", "catalogue.sqlite-wal"):
            shutil.copyfile(disk / "home" / name, disk / f"kept-{name}")
    for name in ("catalogue.sqlite", "catalogue.sqlite-wal"):
        (disk / f"kept-{name}").rename(disk / "home" / name)
    read_only(disk)
    refused = on(disk / "home", "ls")
    assert refused.exit_code == 9
    assert "archive/unfinished-writes" in refused.stderr


@pytest.mark.root
def test_on_a_full_disk_the_archive_is_read_and_whatever_writes_says_that_it_is_full(home: Path, disk: Path) -> None:
    shutil.copytree(home, disk / "home")
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    assert on(disk / "home", "ls").exit_code == 0
    assert on(disk / "home", "log", "--closed").exit_code == 0
    assert on(disk / "home", "verify").exit_code == 0
    refused = on(disk / "home", "incident", "new", "--title", "x")
    assert refused.exit_code == 9
    assert "archive/store-full" in refused.stderr
    filler.unlink()
    assert on(disk / "home", "incident", "new", "--title", "x").exit_code == 0


def test_a_catalogue_that_does_not_say_its_version_any_more_is_no_failing_disk(home: Path) -> None:
    with closing(sqlite3.connect(home / "catalogue.sqlite")) as catalogue:
        catalogue.execute("DELETE FROM alembic_version")
        catalogue.commit()
    refused = on(home, "ls")
    assert refused.exit_code == 4
    assert "archive/schema-unknown" in refused.stderr
    assert "somebody changed the file" in refused.stderr


def test_an_empty_file_still_becomes_a_catalogue(tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite").touch()
    with closing(Database(tmp_path / "catalogue.sqlite")) as made:
        made.migrate()
