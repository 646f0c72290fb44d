"""A confined program reads a file and writes a copy through doors of its own loopback, which the archive serves."""

import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from archive.errors import InputError, IntegrityError, UnavailableError
from media.confinement import Confinement, Limits, find_tool
from media.conversation import Bounds, converse
from media.copy_taker import CopyTaker
from media.doors import Asked, Server, started_with_doors
from media.file_server import FileServer
from media.held_back import HeldBack
from media.ranges import BytesRanges
from tests.media import probes

LIMITS = Limits(memory_octets=768 << 20, cpu_seconds=10)
CONTENT = os.urandom(3_000_000)


@contextmanager
def _served(server: Server) -> Iterator[tuple[list[int], threading.Thread, list[BaseException]]]:
    """Serve on the loopback of this process; give the ports, and what the server raised."""
    doors = [socket.create_server(("127.0.0.1", 0)) for _ in server.doors]
    for door in doors:
        door.setblocking(False)
    stop, raised = os.eventfd(0), list[BaseException]()

    def serve() -> None:
        try:
            server.serve(doors, stop)
        except Exception as error:
            raised.append(error)
        finally:
            for door in doors:
                door.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield [door.getsockname()[1] for door in doors], thread, raised
    finally:
        os.eventfd_write(stop, 1)
        thread.join(10)
        os.close(stop)
        assert not thread.is_alive()


def _get(port: int, head: bytes) -> tuple[bytes, bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(head)
        said = b""
        while piece := client.recv(1 << 16):
            said += piece
    answer, _, content = said.partition(b"\r\n\r\n")
    return answer, content


def test_a_range_is_answered_with_its_octets_and_no_others() -> None:
    with _served(FileServer(BytesRanges(CONTENT))) as ((port,), _, _):
        for said, begin, end in (
            (b"", 0, len(CONTENT)),
            (b"Range: bytes=1000-1999\r\n", 1000, 2000),
            (b"Range: bytes=2999990-\r\n", 2_999_990, len(CONTENT)),
            (b"range: bytes=5-99999999\r\n", 5, len(CONTENT)),
        ):
            answer, content = _get(port, b"GET /file HTTP/1.1\r\n" + said + b"\r\n")
            assert content == CONTENT[begin:end]
            assert f"Content-Length: {end - begin}".encode() in answer
        assert _get(port, b"HEAD /file HTTP/1.1\r\n\r\n")[1] == b""
        answer, content = _get(port, b"GET /file HTTP/1.1\r\nRange: bytes=3000000-\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 416") and content == b""


def test_one_that_listens_no_more_does_not_keep_the_next_waiting() -> None:
    with _served(FileServer(BytesRanges(CONTENT))) as ((port,), _, _):
        with socket.create_connection(("127.0.0.1", port)) as idle:
            idle.sendall(b"GET /file HTTP/1.1\r\n\r\n")
            assert _get(port, b"GET /file HTTP/1.1\r\nRange: bytes=7-8\r\n\r\n")[1] == CONTENT[7:9]


def test_heads_without_end_and_crowds_are_dropped() -> None:
    with _served(FileServer(BytesRanges(CONTENT))) as ((port,), _, raised):
        with pytest.raises(ConnectionResetError):
            _get(port, b"G" * 40_000)
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
        for each in crowd:
            each.close()
        assert _get(port, b"GET /file HTTP/1.1\r\nRange: bytes=0-0\r\n\r\n")[1] == CONTENT[:1]
        assert not raised


def _say(control: socket.socket, line: str) -> str:
    control.sendall(f"{line}\r\n".encode())
    return control.recv(4096).decode()


def test_octets_come_to_the_places_that_were_named() -> None:
    target = io.BytesIO()
    held = HeldBack(target, most=1 << 30)
    with _served(CopyTaker(held)) as ((port, _), _, raised):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as control:
            assert control.recv(100).startswith(b"220")
            for place, piece in ((0, CONTENT), (4, b"moov"), (len(CONTENT) - 2, b"at the end"), (1 << 20, b"edge")):
                there = int(_say(control, "EPSV").split("|")[3])
                with socket.create_connection(("127.0.0.1", there), timeout=10) as data:
                    assert _say(control, f"REST {place}").startswith("350")
                    assert _say(control, "STOR /copy").startswith("150")
                    data.sendall(piece)
                assert _say(control, "ABOR").startswith("226")
    assert not raised
    held.finish()
    expected = bytearray(CONTENT[:-2] + b"at the end")
    expected[4:8], expected[1 << 20 : (1 << 20) + 4] = b"moov", b"edge"
    assert target.getvalue() == bytes(expected)


def test_a_place_beyond_the_end_ends_the_copy() -> None:
    with _served(CopyTaker(HeldBack(io.BytesIO(), most=1 << 30))) as ((port, _), thread, raised):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as control:
            there = int(_say(control, "EPSV").rpartition("|")[0].rpartition("|")[2]) if control.recv(100) else 0
            with socket.create_connection(("127.0.0.1", there), timeout=10) as data:
                _say(control, "REST 5")
                _say(control, "STOR /copy")
                data.sendall(b"x")
                thread.join(10)
    assert isinstance(raised[0], InputError) and raised[0].code == "media/cannot-patch"


@pytest.mark.parametrize("busy", [0, 200], ids=["idle", "a process with many connections"])
@pytest.mark.usefixtures("sandbox")
def test_through_the_doors_nothing_but_them_is_reached(confinement: Confinement, busy: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service, ExitStack() as held:
        for _ in range(busy):
            held.callback(os.close, os.dup(service.fileno()))
        other = service.getsockname()[1]
        code = probes.PRELUDE + (
            "print join(',', inherited());"
            "my ($port) = $ARGV[0] =~ /:(\\d+)/;"
            "my $door = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 2);"
            "print $door ? 'door ' : '';"
            f"print 'service ' if IO::Socket::INET->new(PeerAddr => '127.0.0.1:{other}', Timeout => 2);"
        )
        asked = Asked([find_tool("perl"), "-e", code, "URL"], LIMITS, time.monotonic() + 20)
        with started_with_doors(confinement, asked, FileServer(BytesRanges(CONTENT))) as process:
            bounds = Bounds(deadline=time.monotonic() + 20, output_octets=1000)
            reply = converse(process, source=None, ranges=None, bounds=bounds)
    assert reply.output == b"door ", reply.complaint


@pytest.mark.usefixtures("sandbox")
def test_a_file_that_cannot_be_read_says_so_itself_and_not_by_the_tool(confinement: Confinement) -> None:
    class Damaged(BytesRanges):
        def read_range(self, start: int, length: int, /) -> bytes:
            if start >= 1 << 20:
                raise IntegrityError("age/chunk-failed", "A sealed file is damaged or changed.")
            return super().read_range(start, length)

    line = [find_tool("ffmpeg"), "-v", "error", "-nostdin", "-f", "s16le", "-i", "URL", "-f", "null", "-"]
    asked = Asked(line, Limits(memory_octets=2 << 30, cpu_seconds=10, processes=48), time.monotonic() + 20)
    with (
        pytest.raises(IntegrityError),
        started_with_doors(confinement, asked, FileServer(Damaged(CONTENT))) as process,
    ):
        converse(process, source=None, ranges=None, bounds=Bounds(deadline=time.monotonic() + 20, output_octets=1000))


@pytest.mark.usefixtures("sandbox")
def test_a_program_that_does_not_start_is_said_to_have_died(confinement: Confinement) -> None:
    asked = Asked(["/nowhere"], Limits(memory_octets=1 << 20, cpu_seconds=1), time.monotonic() + 10)
    with (
        pytest.raises(UnavailableError) as caught,
        started_with_doors(confinement, asked, FileServer(BytesRanges(b"x"))),
    ):
        pass
    assert caught.value.code == "media/tool-died"
