"""What waits for a second person is listed with how to agree, and a refusal says how to ask and how to agree."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.types import Actor, Role
from custody.accounts import admit, as_actor
from tests.archives import SmallArchive
from tests.commands.test_group import run


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as made:
        monkeypatch.setattr("cli.utc_now", made.clock)
        monkeypatch.setenv("TESTIGO_HOME", str(made.home))
        made.receive(made.incident(), [("one.txt", b"one")])
        yield made


def admitted(archive: SmallArchive, role: Role) -> Actor:
    rooms = archive.rooms
    made = admit(
        rooms.ledger, rooms.key_files, archive.actor, os_user=str(role), role=role, copy=None, new_id=rooms.new_id
    )
    return as_actor(made)


def test_what_was_asked_for_is_listed_until_somebody_agrees(archive: SmallArchive) -> None:
    attorney = admitted(archive, Role.ATTORNEY)
    hold = run("hold", "add", "I-2026-0001", "--title", "Doe", "--trigger", "subpoena").stdout.strip()
    assert "Nothing waits" in run("approvals").stderr
    asked = run("hold", "lift", hold, "--reason", "dismissed")
    assert asked.exit_code == 6
    assert "another attorney or coordinator must run the same command" in asked.stdout
    assert "`testigo approvals` lists it" in asked.stdout
    listed = run("approvals")
    assert (listed.exit_code, hold in listed.stdout, "lift-hold" in listed.stdout) == (0, True, True)
    assert "you asked: another attorney or coordinator" in listed.stdout
    told = json.loads(run("approvals", "--json").stdout)
    assert (told["subject"], told["requested_by"]) == (hold, archive.actor.pseudonym)
    assert told["to_agree"].startswith(f"testigo hold lift {hold}")
    assert "1 act waits for a second person: `testigo approvals`." in run("jobs").stderr
    with archive.unlocked():
        archive.rooms.acts.lift_hold(attorney, hold, reason="agreed")
    assert "Nothing waits" in run("approvals").stderr
    assert "second person" not in run("jobs").stderr


def test_whoever_can_agree_is_shown_the_line_that_does(archive: SmallArchive) -> None:
    attorney = admitted(archive, Role.ATTORNEY)
    archive.rooms.acts.destroy(attorney, "E-2026-00001", reason="request 7")
    assert "testigo item destroy E-2026-00001 --reason" in run("approvals").stdout
    with archive.unlocked():
        assert run("item", "destroy", "E-2026-00001", "--reason", "request 7", "--yes").exit_code == 0
    assert "Nothing waits" in run("approvals").stderr


def test_where_nobody_else_could_agree_it_is_said_how_to_admit_someone(archive: SmallArchive) -> None:
    admitted(archive, Role.TECHNICIAN)
    asked = run("item", "destroy", "E-2026-00001", "--reason", "request 7", "--yes")
    assert asked.exit_code == 6
    assert "testigo staff add" in asked.stdout
    again = run("item", "destroy", "E-2026-00001", "--reason", "request 7", "--yes")
    assert again.exit_code == 6
    assert "You asked for this yourself, and it waits." in again.stderr
    assert "testigo approvals" in again.stderr
