"""How long a return code is shown: until it is written down, and for some minutes after its page came."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from archive.catalogue.drop_models import SlipRow
from commands.drop_rooms import DropRooms
from ingest.choices import Choice
from ingest.droplinks import Terms
from ingest.handing_over import HandingOver
from tests.way_in import WayIn

A_MINUTE = timedelta(minutes=1)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


def handed_over(archive: WayIn) -> tuple[HandingOver, bytes, str]:
    """The room, a sender's token, and the code that they got."""
    drop, token = DropRooms(archive.rooms), os.urandom(32)
    code = drop.links.give(archive.actor, archive.raid.number, Terms())[1]
    choice = Choice(rung=None, language="en", saw="Four cars.", told="", contact="", answers={}, form="a")
    drop.handing_over.finish(token, code, choice)
    found = drop.handing_over.unseen_code(token)
    assert found is not None
    return drop.handing_over, token, found


def rows(archive: WayIn) -> int:
    with archive.rooms.database.reading() as session:
        return len(session.scalars(select(SlipRow.delivery_id)).all())


def test_a_code_stays_for_some_minutes_after_its_page_came_and_no_longer(archive: WayIn) -> None:
    room, token, code = handed_over(archive)
    archive.clock.move(600 * A_MINUTE)
    assert room.unseen_code(token) == code, "a page that never came ends nothing"
    room.code_shown(token)
    archive.clock.move((room.code_minutes - 1) * A_MINUTE)
    room.code_shown(token)
    assert room.unseen_code(token) == code, "its page was loaded again"
    archive.clock.move(A_MINUTE)
    assert room.unseen_code(token) is None, "loading it again gives no more time"
    room.code_shown(token)
    archive.clock.move(-room.code_minutes * A_MINUTE)
    assert room.unseen_code(token) is None, "it is gone, not hidden"


def test_a_code_that_nobody_asks_for_any_more_is_gone_when_the_next_comes(archive: WayIn) -> None:
    room, token, _ = handed_over(archive)
    before = rows(archive)
    room.code_shown(token)
    archive.clock.move(room.code_minutes * A_MINUTE)
    other = os.urandom(32)
    assert room.unseen_code(other) is None
    assert rows(archive) == before - 1, "neither the code nor the time is kept"


def test_a_restart_forgets_no_time(archive: WayIn) -> None:
    room, token, code = handed_over(archive)
    room.code_shown(token)
    archive.reopen()
    assert DropRooms(archive.rooms).handing_over.unseen_code(token) == code
    archive.clock.move(room.code_minutes * A_MINUTE)
    assert DropRooms(archive.rooms).handing_over.unseen_code(token) is None


def test_a_code_that_is_written_down_is_gone_at_once(archive: WayIn) -> None:
    room, token, _ = handed_over(archive)
    room.code_shown(token)
    room.code_written(token)
    assert room.unseen_code(token) is None
