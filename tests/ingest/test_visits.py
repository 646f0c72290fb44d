"""Beginning a visit, where an earlier try was cut short: nothing of it stands in the way of the sender."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.age.keyring import Keyring
from archive.catalogue.drops import visit_is_published
from archive.errors import UnavailableError
from archive.types import Owner, OwnerKind
from commands.drop_rooms import DropRooms
from ingest.droplinks import Terms
from ingest.tokens import visit_id
from ingest.visits import Visits
from tests.way_in import WayIn


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


def begun_from(archive: WayIn) -> tuple[Visits, str]:
    """The room of visits, and the code of a link."""
    drop = DropRooms(archive.rooms)
    return drop.visits, drop.links.give(archive.actor, archive.raid.number, Terms())[1]


def test_a_visit_begins_although_a_killed_try_left_its_key_file(archive: WayIn) -> None:
    visits, code = begun_from(archive)
    token = os.urandom(32)
    owner = Owner(kind=OwnerKind.VISIT, id=visit_id(token))
    left = archive.rooms.key_files.create(owner, Keyring.parse(archive.founded.organisation.vault_keyring))
    visit, _ = visits.begin(token, code)
    assert visit.recipient != left.recipient
    assert str(archive.key_of(visit.id).recipient) == visit.recipient, "the key file is the one that the record names"
    assert "an interrupted beginning left" in str(archive.last_entries(1)[0].get("purpose"))
    again, _ = visits.begin(token, code)
    assert again == visit


def test_a_visit_begins_again_after_a_commit_that_failed(archive: WayIn, monkeypatch: pytest.MonkeyPatch) -> None:
    visits, code = begun_from(archive)
    token = os.urandom(32)

    def refuse(*_: Any) -> None:
        raise UnavailableError("archive/busy", "Busy.")

    with monkeypatch.context() as broken, pytest.raises(UnavailableError):
        broken.setattr("archive.catalogue.records.apply", refuse)
        visits.begin(token, code)
    assert archive.rooms.key_files.has(visit_id(token)), "the try went as far as this"
    assert visits.begin(token, code)[0].id == visit_id(token)


def test_a_visit_whose_beginning_was_killed_before_it_was_published_is_published_by_the_next_request(
    archive: WayIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits, code = begun_from(archive)
    token = os.urandom(32)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(archive.rooms.publisher, "publish", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        visits.begin(token, code)
    with archive.rooms.database.reading() as session:
        assert not visit_is_published(session, visit_id(token))
    visits.begin(token, code)
    with archive.rooms.database.reading() as session:
        assert visit_is_published(session, visit_id(token))
