"""Whoever has one code cannot hold the door shut for others, with however many uploads that bring next to nothing."""

import os
from datetime import timedelta

import pytest

from archive.errors import ConflictError, NotFoundError, UnavailableError
from archive.jobs import JobState
from ingest.droplinks import Terms
from ingest.told import Told
from tests.ingest.test_rescuing import work
from tests.web.test_following import _Brought, _items, _Rooms, rooms

__all__ = ["rooms"]

MINUTE = timedelta(minutes=1)


def begin(rooms: _Rooms, brings: int = 1, *, code: str = "", token: bytes = b"") -> bytes:
    address, _ = rooms.uploads.create(token or os.urandom(32), code or rooms.served.code, Told(name="a.bin"), 10)
    if brings:
        rooms.uploads.append(address, 0, _Brought(bytes(brings)), brings)
    return address


def another_link(rooms: _Rooms) -> tuple[str, str]:
    link, code = rooms.drop.links.give(rooms.archive.actor, rooms.archive.raid.number, Terms())
    return link.number, code


def is_open(rooms: _Rooms, address: bytes) -> bool:
    try:
        rooms.uploads.progress(address)
    except (ConflictError, NotFoundError):
        return False
    return True


def test_uploads_of_an_octet_each_give_way_the_smallest_first_and_what_came_becomes_an_item(rooms: _Rooms) -> None:
    rooms.settle(open_uploads=3, ago=MINUTE)
    larger, small, also_small = begin(rooms, 5), begin(rooms), begin(rooms)
    rooms.settle(open_uploads=3)
    begin(rooms)
    assert [is_open(rooms, each) for each in (small, larger, also_small)] == [False, True, True]
    with rooms.archive.unlocked():
        assert work(rooms.archive) == ["what had come of it is an item now"]
    (item,) = _items(rooms)
    assert rooms.archive.log_of(item)[0].get("incomplete") == {"received": 1, "declared": 10, "why": "no more came"}


def test_an_octet_now_and_then_keeps_no_place(rooms: _Rooms) -> None:
    rooms.settle(open_uploads=1, ago=11 * MINUTE)
    dripping = begin(rooms)
    rooms.settle(open_uploads=1)
    rooms.uploads.append(dripping, 1, _Brought(b"x"), 1)
    begin(rooms)
    assert not is_open(rooms, dripping)


def test_one_link_and_one_visit_have_only_their_share_of_all_places(
    rooms: _Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.allowance._OF_A_VISIT", 2)
    rooms.settle(open_uploads=12)
    mine = os.urandom(32)
    begin(rooms, token=mine)
    begin(rooms, token=mine)
    with pytest.raises(UnavailableError):
        begin(rooms, token=mine)
    begin(rooms)
    with pytest.raises(UnavailableError):
        begin(rooms)
    begin(rooms, code=another_link(rooms)[1])


def test_uploads_of_a_revoked_link_close_at_once_and_what_came_is_kept(rooms: _Rooms) -> None:
    number, code = another_link(rooms)
    address = begin(rooms, 4, code=code)
    rooms.drop.links.revoke(rooms.archive.actor, number, reason="seen in public")
    with pytest.raises(ConflictError) as told:
        rooms.uploads.append(address, 4, _Brought(bytes(6)), 6)
    assert told.value.code == "uploads/expired"
    assert work(rooms.archive) == ["waiting for an unlocked archive"], "it does not wait for a day"
    with rooms.archive.unlocked():
        assert work(rooms.archive) == ["what had come of it is an item now"]
    assert [item.size for item in _items(rooms)] == [4]
    assert {job.state for job in rooms.archive.rooms.jobs.list() if job.kind == "rescue"} == {JobState.DONE}


def test_uploads_of_an_expired_link_close_when_nobody_sends_them(rooms: _Rooms) -> None:
    rooms.settle(ago=20 * MINUTE)
    link, code = rooms.drop.links.give(rooms.archive.actor, rooms.archive.raid.number, Terms(days=1))
    silent = begin(rooms, code=code)
    rooms.archive.clock.move(timedelta(days=1, minutes=1))
    rooms.settle()
    begin(rooms)
    assert not is_open(rooms, silent)


@pytest.mark.parametrize("brings", [0, 1])
def test_uploads_that_nobody_sends_hold_no_room_for_what_they_only_declare(rooms: _Rooms, brings: int) -> None:
    rooms.settle(ago=MINUTE)
    token = os.urandom(32)
    for _ in range(8):
        address, _ = rooms.uploads.create(token, rooms.served.code, Told(name="a.bin"), 1 << 30)
        if brings:
            rooms.uploads.append(address, 0, _Brought(bytes(brings)), brings)
    rooms.free = (rooms.archive.rooms.settings.ingest.reserve_mib + 100) << 20
    rooms.settle()
    begin(rooms, 10)
