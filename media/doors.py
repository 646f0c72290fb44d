"""A confined program with doors: listening sockets on its sandbox's own loopback, which the archive itself serves.

FFmpeg can seek in what it reads by HTTP, and in what it writes by FTP, and in nothing else that is not a file. The
sockets are made inside the sandbox (`doors.pl`) and handed out, so each octet goes from the archive to the program and
back without a third process between. Nobody but that program can connect to them. This needs the full sandbox: without
it, the loopback would be everybody's.
"""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from archive.errors import UnavailableError
from media.confinement import Confinement, ConfinementLevel, Limits, Process, end_process, find_tool
from media.ranges import sealed_memory_file
from media.system_calls import sendmsg_number

URL = "URL"
"""What an argument names as the address that the file is read from."""
TARGET = "TARGET"
"""What a caller names as the output of its arguments: the place of the copy, which is seekable."""
SOCKET_OCTETS = 4 << 20

_SCRIPT = Path(__file__).with_name("doors.pl")


class Server(Protocol):
    """Serves some doors, in the order of their names in `doors`.

    `serve` runs in a thread of its own until `stop` becomes readable and nothing is left to take.
    """

    @property
    def doors(self) -> tuple[str, ...]: ...

    def serve(self, doors: Sequence[socket.socket], stop: int, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be started: its line, in which the names of the doors stand for their addresses."""

    command: Sequence[str]
    limits: Limits
    deadline: float


@contextmanager
def started_with_doors(confinement: Confinement, asked: Asked, *servers: Server) -> Iterator[Process]:
    """Start a program and serve its doors while the body runs; then end it, and let its servers take what it left.

    Raises: UnavailableError `media/tool-died`, `media/cannot-start`; before anything else, what a server raised.
    """
    process, doors = _start(confinement, asked, [name for server in servers for name in server.doors])
    stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    with ThreadPoolExecutor(max_workers=len(servers), thread_name_prefix="door") as threads:
        serving = []
        for server in servers:
            own, doors = doors[: len(server.doors)], doors[len(server.doors) :]
            serving.append(threads.submit(_serve, server, own, stop))
        try:
            yield process
        finally:
            end_process(process)
            os.eventfd_write(stop, 1)
            trouble = [each.exception() for each in serving]
            os.close(stop)
            # A server that failed closed its doors, so whatever the program did after that follows from it.
            for error in trouble:
                if error is not None:
                    raise error


def can_have_doors(confinement: Confinement) -> bool:
    """Tell whether programs have a loopback of their own here, and this machine's numbers are known."""
    return confinement.level is ConfinementLevel.BUBBLEWRAP and sendmsg_number(os.uname().machine) is not None


def _start(confinement: Confinement, asked: Asked, names: Sequence[str]) -> tuple[Process, list[socket.socket]]:
    call = sendmsg_number(os.uname().machine)
    ours, theirs = socket.socketpair()
    script = sealed_memory_file(_SCRIPT.read_bytes())
    with ours:
        try:
            opener = [find_tool("perl"), f"/proc/self/fd/{script}", str(theirs.fileno()), str(call), ",".join(names)]
            process = confinement.start(
                [*opener, *asked.command], limits=asked.limits, inherit=(theirs.fileno(), script)
            )
        finally:
            theirs.close()
            os.close(script)
        try:
            return process, _received(ours, len(names), asked.deadline)
        except BaseException:
            end_process(process)
            raise


def _received(ours: socket.socket, count: int, deadline: float) -> list[socket.socket]:
    ours.settimeout(max(0.01, deadline - time.monotonic()))
    try:
        _, numbers, _, _ = socket.recv_fds(ours, 1, count)
    except TimeoutError:
        numbers = []
    doors = [socket.socket(fileno=number) for number in numbers]
    if len(doors) != count:
        for door in doors:
            door.close()
        raise UnavailableError(
            "media/tool-died",
            "A media tool ended before it had answered; memory or time for one file may not have sufficed. "
            "The original is kept.",
        )
    for door in doors:
        os.set_inheritable(door.fileno(), False)
        door.setblocking(False)
        # What is accepted inherits these: neither end then waits for the other at each piece.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_OCTETS)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_OCTETS)
    return doors


def _serve(server: Server, doors: Sequence[socket.socket], stop: int) -> None:
    with ExitStack() as closing:
        for door in doors:
            closing.enter_context(door)
        server.serve(doors, stop)
