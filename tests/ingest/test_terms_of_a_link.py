"""What a link allows holds also for many at once: one observer, so many files, so many octets."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest
from sqlalchemy import delete

from archive.catalogue.drop_models import UploadRow
from archive.catalogue.drops import files_through, link_by_number, octets_through, visits_through
from archive.errors import ConflictError, NotFoundError
from commands.drop_rooms import DropRooms
from ingest import droplinks
from ingest.droplinks import Terms
from ingest.told import Told
from tests.ingest.test_rescuing import Brought
from tests.way_in import WayIn

MANY = 8
MIB = 1 << 20


class Link:
    """A link of such terms, and senders who all come at the same instant."""

    def __init__(self, archive: WayIn, terms: Terms) -> None:
        self.archive, self.drop = archive, DropRooms(archive.rooms)
        link, self.code = self.drop.links.give(archive.actor, archive.raid.number, terms)
        self.number = link.number

    def begin(self, size: int, token: bytes = b"") -> bytes:
        return self.drop.uploads.create(token or os.urandom(32), self.code, Told(name="a.bin"), size)[0]

    def through(self) -> tuple[int, int, int]:
        with self.archive.rooms.database.reading() as session:
            link = link_by_number(session, self.number)
            return (
                visits_through(session, link.id),
                files_through(session, link.id),
                octets_through(session, link.id),
            )


def at_once(act: Callable[[int], object]) -> list[str]:
    """Do something many times at the same instant; return the codes of what was refused."""
    ready = Barrier(MANY)

    def one(number: int) -> str:
        ready.wait()
        try:
            act(number)
        except (ConflictError, NotFoundError) as error:
            return error.code
        return ""

    with ThreadPoolExecutor(MANY) as pool:
        return [code for code in pool.map(one, range(MANY)) if code]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


def test_a_link_for_one_observer_takes_one_of_many_that_come_at_once(archive: WayIn) -> None:
    link = Link(archive, Terms(once=True))
    refused = at_once(lambda _: link.begin(10))
    assert refused == ["drop/no-such-code"] * (MANY - 1)
    assert link.through()[0] == 1


class Slow(Brought):
    """A body whose last octets come when all have begun."""

    def __init__(self, octets: bytes, together: Barrier) -> None:
        super().__init__(octets)
        self._together = together

    def readinto(self, buffer: object) -> int:
        if not self.tell():
            self._together.wait(20)
        return super().readinto(buffer)  # type: ignore[arg-type]  # as in archive.segments


def test_of_many_first_files_at_once_a_link_takes_so_many_as_it_allows(archive: WayIn) -> None:
    link = Link(archive, Terms(most_files=3))
    addresses = [link.begin(10) for _ in range(MANY)]
    together = Barrier(3)
    refused = at_once(lambda number: link.drop.uploads.append(addresses[number], 0, Slow(bytes(10), together), 10))
    assert refused == ["uploads/quota"] * (MANY - 3)
    link.drop.close()
    assert link.through()[1:] == (3, 30)


def test_of_many_octets_at_once_a_link_takes_so_many_as_it_allows(archive: WayIn) -> None:
    link = Link(archive, Terms(most_octets=25))
    addresses = [link.begin(10) for _ in range(MANY)]
    together = Barrier(2)
    refused = at_once(lambda number: link.drop.uploads.append(addresses[number], 0, Slow(bytes(10), together), 10))
    assert refused == ["uploads/quota"] * (MANY - 2)
    link.drop.close()
    assert link.through()[1:] == (2, 20)


class Dripping(Brought):
    """A body of which one octet comes, and then nothing until the test lets go."""

    def __init__(self) -> None:
        super().__init__(b"x")
        self.is_silent, self.let_go = Event(), Event()

    def readinto(self, buffer: object) -> int:
        if self.tell():
            self.is_silent.set()
            self.let_go.wait(20)
        return super().readinto(buffer)  # type: ignore[arg-type]  # as in archive.segments


def test_who_says_that_much_comes_and_brings_an_octet_closes_the_link_for_nobody(archive: WayIn) -> None:
    link, drip = Link(archive, Terms(most_octets=20 * MIB)), Dripping()
    large, mine, ours = link.begin(20 * MIB), link.begin(1000), link.begin(16 * MIB)
    with ThreadPoolExecutor(1) as pool:
        dripping = pool.submit(link.drop.uploads.append, large, 0, drip, 20 * MIB)
        drip.is_silent.wait(20)
        assert link.drop.uploads.append(mine, 0, Brought(bytes(1000)), 1000).offset == 1000
        # What it may be about to bring is held for it, and no more than that.
        with pytest.raises(ConflictError, match="No more can be sent"):
            link.drop.uploads.append(ours, 0, Brought(bytes(16 * MIB)), 16 * MIB)
        drip.let_go.set()
        dripping.result()
    assert link.through()[2] == 8 * MIB + 1000 + 1
    assert link.drop.uploads.append(ours, 8 * MIB, Brought(bytes(8 * MIB)), 8 * MIB).offset == 16 * MIB
    link.drop.close()


def test_empty_files_count_too(archive: WayIn) -> None:
    link = Link(archive, Terms(most_files=3))
    assert len(at_once(lambda _: link.begin(0))) == MANY - 3
    link.drop.close()
    assert link.through()[1] == 3


def test_a_file_that_goes_on_is_no_new_one(archive: WayIn) -> None:
    link = Link(archive, Terms(most_files=1))
    address = link.begin(10)
    link.drop.uploads.append(address, 0, Brought(bytes(4)), 4)
    assert link.drop.uploads.append(address, 4, Brought(bytes(6)), 6).offset == 10
    link.drop.close()


def test_whoever_only_begins_visits_ends_with_the_link(archive: WayIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(droplinks, "LEAST_VISITS", 4)
    link = Link(archive, Terms(most_files=2))
    begun = os.urandom(32)
    address = link.begin(10, begun)
    for _ in range(3):
        link.begin(10)
    assert at_once(lambda _: link.begin(10)) == ["drop/no-such-code"] * MANY
    with pytest.raises(NotFoundError):
        link.drop.links.find(link.code)
    # Who was there before goes on, and with each file that comes there is a place for one more.
    link.drop.uploads.append(address, 0, Brought(bytes(10)), 10)
    link.drop.uploads.create(begun, link.code, Told(name="b.bin"), 10)
    link.begin(10)
    link.drop.close()
    assert link.through()[0] == 5


def test_what_a_link_took_counts_also_where_the_list_of_uploads_was_lost(archive: WayIn) -> None:
    link = Link(archive, Terms(most_files=3))
    link.begin(0)
    link.drop.uploads.append(link.begin(10), 0, Brought(bytes(10)), 10)
    link.drop.close()
    with archive.rooms.database.writing() as session:
        session.execute(delete(UploadRow))
    assert link.through() == (2, 2, 10)
