"""Fast uploads are sealed as objects while they arrive: whatever interrupts that, the item is right, once, and nothing
half made stays. All of it with the archive locked."""

import io
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from archive.age.stream import open_bytes
from archive.catalogue.items import list_items
from archive.catalogue.records import Item
from archive.errors import ConflictError, LockedError, UnavailableError
from commands.drop_rooms import DropRooms
from ingest.told import Told
from ingest.uploads import Uploads
from tests.way_in import Watcher
from tests.web.served import TUS, Served, free_port, serving
from tests.web.test_tus import content, made, sha256

MIB = 1 << 20
SIZE = 24 * MIB + 4321
_SENT = 12 * MIB


class _Brought(io.BytesIO):
    """What a request brings, all of it here already."""

    def cut_short(self) -> None: ...


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("following") / "var") as served:
        yield served


def half_made(home: Path, least: int = 1) -> list[Path]:
    """Find what lies in the store's staging."""
    found = []
    for path in (home / "store" / ".staging").rglob("*"):
        try:
            if path.is_file() and path.stat().st_size >= least:
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def nothing_half_made(home: Path, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while half_made(home) and time.monotonic() < end:
        time.sleep(0.05)
    return not half_made(home)


def followed(served: Served, data: bytes, **told: str) -> tuple[str, socket.socket]:
    """Send half of a file in a request that goes on, fast enough that the server follows it; a busy one may need more
    than one try."""
    for _ in range(8):
        where = made(served, len(data), **told)
        line = socket.create_connection(("127.0.0.1", served.port))
        head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        head += f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(data)}\r\n\r\n"
        line.sendall(head.encode() + data[:_SENT])
        end = time.monotonic() + 1
        while time.monotonic() < end:
            if half_made(served.home, 8 * MIB):
                return where, line
            time.sleep(0.01)
        line.close()
        assert served.ask("DELETE", where, TUS).status == 204
        served.wait_for(where, "incomplete")
    raise AssertionError("the server followed none of eight fast uploads")


def end_of(line: socket.socket, data: bytes) -> bytes:
    line.sendall(data[_SENT:])
    answer = line.recv(4096)
    line.close()
    return answer


def newest(served: Served) -> tuple[bytes, int]:
    """Return the octets of the newest item, and how many items are of its size: each test's file has its own."""
    archive = served.opened()
    with archive.rooms.database.reading() as session:
        items = [item for item, _ in list_items(session)]
    last = max(items, key=lambda item: item.number)
    found = archive.stored(last.id)
    archive.rooms.close()
    return found, sum(item.size == len(found) for item in items)


def test_a_fast_upload_is_sealed_while_it_arrives_and_is_the_same(served: Served) -> None:
    data = content(SIZE + 1, 1)
    where, line = followed(served, data, sha256=sha256(data))
    assert served.state(where) == "receiving"
    assert b" 204 " in end_of(line, data)
    served.wait_for(where, "safe")
    assert newest(served) == (data, 1)
    assert nothing_half_made(served.home)


def test_what_is_not_the_same_is_said_of_a_followed_upload_too(served: Served) -> None:
    data = content(SIZE + 2, 2)
    where, line = followed(served, data, sha256=sha256(b"other"))
    assert b" 204 " in end_of(line, data)
    served.wait_for(where, "differs")
    assert newest(served) == (data, 1)


def test_a_fast_upload_in_several_requests_is_followed_through_all_of_them(served: Served) -> None:
    data = content(SIZE + 3, 3)
    for _ in range(8):
        where, seen = made(served, len(data)), 0
        for start in range(0, len(data), 5 * MIB):
            assert served.patch(where, start, data[start : start + 5 * MIB]).status == 204
            seen = max([seen, *(path.stat().st_size for path in half_made(served.home))])
        served.wait_for(where, "safe")
        if seen > 10 * MIB:
            break
    assert seen > 10 * MIB, "none of eight was followed beyond its second request"
    assert newest(served)[0] == data
    assert nothing_half_made(served.home)


def test_another_process_may_go_on_with_a_followed_upload(served: Served) -> None:
    data = content(SIZE + 4, 4)
    other = Served.__new__(Served)
    other.home, other.port, other.code = served.home, free_port(), served.code
    other.process, other.log = None, served.home.parent / "other.log"
    other.start()
    try:
        where, line = followed(served, data, sha256=sha256(data))
        offset = int(other.head(where).headers["Upload-Offset"])
        assert 8 * MIB <= offset <= _SENT
        assert other.patch(where, offset, data[offset:]).status == 204
        line.close()
        other.wait_for(where, "safe")
        assert newest(served) == (data, 1)
        assert nothing_half_made(served.home)
    finally:
        other.stop()


def test_a_newer_request_in_the_same_process_goes_on_right(served: Served) -> None:
    data = content(SIZE + 5, 5)
    where, line = followed(served, data, sha256=sha256(data))
    offset = int(served.head(where).headers["Upload-Offset"])
    assert served.patch(where, offset, data[offset:]).status == 204
    line.close()
    served.wait_for(where, "safe")
    assert newest(served) == (data, 1)
    assert nothing_half_made(served.home)


def test_a_server_that_is_killed_amid_a_followed_upload_leaves_what_opens_for_nobody_and_is_swept(
    tmp_path: Path,
) -> None:
    marker = b"MARKER-" + os.urandom(12).hex().encode()
    piece = marker + os.urandom(20_000)
    data = (piece * (SIZE // len(piece) + 1))[:SIZE]
    with serving(tmp_path / "var") as served:
        where, line = followed(served, data, sha256=sha256(data))
        served.kill()
        line.close()
        watcher = Watcher([served.home], [marker])
        watcher.look()
        assert watcher.found == set()
        (left,) = half_made(served.home, MIB)
        archive = served.opened()
        for identity in (archive._office, archive.key_of(archive.founded.organisation.id)):
            with pytest.raises(LockedError):
                open_bytes(left.read_bytes(), [identity])
        archive.rooms.close()
        served.start()
        offset = int(served.head(where).headers["Upload-Offset"])
        assert served.patch(where, offset, data[offset:]).status == 204
        served.wait_for(where, "safe")
        assert newest(served) == (data, 1)
        archive = served.opened()
        assert archive.rooms.intake.sweep_staging() >= 1
        assert half_made(served.home) == []
        assert len(archive.objects()) == archive.rows("object")
        archive.rooms.close()


def test_giving_up_a_followed_upload_keeps_what_came_and_drops_what_was_begun(served: Served) -> None:
    data = content(SIZE + 6, 6)
    where, line = followed(served, data)
    assert served.ask("DELETE", where, TUS).status == 204
    served.wait_for(where, "incomplete")
    line.close()
    found, _ = newest(served)
    assert 8 * MIB <= len(found) <= _SENT
    assert data.startswith(found)
    assert nothing_half_made(served.home)


class _Slow(_Brought):
    def readinto(self, buffer: object) -> int:
        time.sleep(0.01)
        return super().readinto(memoryview(buffer)[: 64 << 10])  # type: ignore[arg-type]  # as in archive.segments


class _Rooms:
    """Uploads in this process, over a disk whose free room is what the test says."""

    def __init__(self, home: Path) -> None:
        self.served = Served(home)
        self.archive = self.served.opened()
        self.drop, self.free = DropRooms(self.archive.rooms), 1 << 50
        self.settle()

    def settle(self, *, ago: timedelta = timedelta(), **settings: int) -> None:
        """Have the uploads go by such settings, as of a while ago."""
        drop = self.drop
        self.uploads = Uploads(
            root=drop.staging,
            database=self.archive.rooms.database,
            visits=drop.visits,
            finishing=drop.finishing,
            following=drop._following,
            arrival=drop._arrival,
            settings=replace(self.archive.rooms.settings.ingest, **settings),
            free_octets=lambda: self.free,
            clock=lambda: self.archive.clock() - ago,
        )

    def begin(self, size: int) -> bytes:
        return self.uploads.create(os.urandom(32), self.served.code, Told(name="a.bin"), size)[0]

    def close(self) -> None:
        self.drop.close()
        self.archive.rooms.close()


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[_Rooms]:
    rooms = _Rooms(tmp_path / "var")
    yield rooms
    rooms.close()


def test_an_upload_that_finds_no_more_room_gives_back_what_was_begun_and_goes_on_later(rooms: _Rooms) -> None:
    data, seen = content(SIZE, 7), []

    class Filling(_Brought):
        def readinto(self, buffer: object) -> int:
            if self.tell() > _SENT:
                seen.extend(half_made(rooms.served.home, MIB))
                rooms.free = 0
            return super().readinto(buffer)  # type: ignore[arg-type]  # as in archive.segments

    address = rooms.begin(SIZE)
    with pytest.raises(UnavailableError) as refused:
        rooms.uploads.append(address, 0, Filling(data), SIZE)
    assert refused.value.code == "uploads/no-room"
    assert seen, "it was not followed"
    assert nothing_half_made(rooms.served.home)
    rooms.free = 1 << 50
    offset = rooms.uploads.progress(address).offset
    assert offset >= 8 * MIB
    rooms.uploads.append(address, offset, _Brought(data[offset:]), SIZE - offset)
    rooms.drop.finishing.finish(address)
    (item,) = _items(rooms)
    assert rooms.archive.stored(item.id) == data


def test_a_slow_request_is_not_followed(rooms: _Rooms) -> None:
    address = rooms.begin(SIZE)
    seen: list[Path] = []

    class Watched(_Slow):
        def readinto(self, buffer: object) -> int:
            seen.extend(half_made(rooms.served.home))
            return super().readinto(buffer)

    rooms.uploads.append(address, 0, Watched(content(6 * MIB)), SIZE)
    assert seen == []


def test_a_request_that_grows_slow_is_let_go(rooms: _Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.following.PATIENCE_S", 0.2)
    data, held = content(SIZE, 8), [0, 0]

    class Stalling(_Brought):
        def readinto(self, buffer: object) -> int:
            if self.tell() > _SENT and not held[1]:
                held[0] = len(half_made(rooms.served.home, MIB))
                held[1] = nothing_half_made(rooms.served.home)
            return super().readinto(buffer)  # type: ignore[arg-type]  # as in archive.segments

    address = rooms.begin(SIZE)
    rooms.uploads.append(address, 0, Stalling(data), SIZE)
    rooms.drop.finishing.finish(address)
    assert held == [1, True]
    (item,) = _items(rooms)
    assert rooms.archive.stored(item.id) == data


def _items(rooms: _Rooms) -> list[Item]:
    with rooms.archive.rooms.database.reading() as session:
        return [item for item, _ in list_items(session)]


def test_the_room_kept_for_the_log_is_never_written_into(rooms: _Rooms) -> None:
    reserve = rooms.archive.rooms.settings.ingest.reserve_mib << 20
    address = rooms.begin(8 << 20)
    rooms.free = reserve + (6 << 20)
    with pytest.raises(UnavailableError) as told:
        rooms.uploads.append(address, 0, _Brought(bytes(4 << 20)), 4 << 20)
    assert told.value.code == "uploads/no-room"
    assert rooms.uploads.progress(address).offset == 0
    rooms.free = reserve + (9 << 20)
    assert rooms.uploads.append(address, 0, _Brought(bytes(4 << 20)), 4 << 20).offset == 4 << 20


def test_requests_at_once_do_not_together_reach_into_the_room_kept_for_the_log(rooms: _Rooms) -> None:
    reserve = rooms.archive.rooms.settings.ingest.reserve_mib << 20
    first, second = rooms.begin(4 << 20), rooms.begin(4 << 20)
    rooms.free = reserve + (12 << 20)
    refused: list[str] = []

    class Meanwhile(_Brought):
        def readinto(self, buffer: object) -> int:
            if not refused:
                with pytest.raises(UnavailableError) as told:
                    rooms.uploads.append(second, 0, _Brought(bytes(4 << 20)), 4 << 20)
                refused.append(told.value.code)
            return super().readinto(buffer)  # type: ignore[arg-type]  # as in archive.segments

    assert rooms.uploads.append(first, 0, Meanwhile(bytes(4 << 20)), 4 << 20).offset == 4 << 20
    assert refused == ["uploads/no-room"]
    assert rooms.uploads.append(second, 0, _Brought(bytes(4 << 20)), 4 << 20).offset == 4 << 20


def test_what_open_uploads_have_yet_to_bring_counts_when_another_is_begun(rooms: _Rooms) -> None:
    rooms.free = (rooms.archive.rooms.settings.ingest.reserve_mib << 20) + (40 << 20)
    rooms.begin(9 << 20)
    rooms.begin(9 << 20)
    with pytest.raises(UnavailableError):
        rooms.begin(9 << 20)


def test_where_too_many_are_open_those_that_brought_nothing_give_way(rooms: _Rooms) -> None:
    rooms.settle(open_uploads=2, ago=timedelta(minutes=1))
    empty, begun = rooms.begin(10), rooms.begin(10)
    rooms.uploads.append(begun, 0, _Brought(bytes(5)), 5)
    with pytest.raises(UnavailableError):
        rooms.begin(10)
    rooms.settle(open_uploads=2)
    rooms.begin(10)
    with pytest.raises(ConflictError):
        rooms.uploads.progress(empty)
    assert rooms.uploads.progress(begun).offset == 5
