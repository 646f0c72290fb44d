"""Talking with a confined tool: one loop that serves its ranges, gathers its answer and keeps the deadline.

A tool that dies, is silent for too long, answers without end or asks for what no file has ends the conversation with an
`UnavailableError`; the caller ends the tool. What goes wrong in reading the file itself (a sealed chunk that fails) is
raised as it is.
"""

import os
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from archive.errors import UnavailableError
from media.confinement import Process
from media.ranges import REQUEST_OCTETS, RangeSource, answer_request, opening

_READ_OCTETS = 1 << 17
_COMPLAINT_OCTETS = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long a conversation may last (as `time.monotonic` counts) and how much may be answered."""

    deadline: float
    output_octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a tool said, and the first of what it complained of."""

    output: bytes
    complaint: str


def converse(
    process: Process,
    *,
    source: RangeSource | None,
    ranges: socket.socket | None,
    bounds: Bounds,
    sentinel: bytes | None = None,
    number: int = 0,
) -> Reply:
    """Gather a tool's output up to `sentinel`, or to its end where there is none, serving the ranges of file `number`.

    Raises: UnavailableError `media/time-limit`, `media/output-limit`, `media/tool-died`, `media/tool-misbehaved`.
    """
    return _Conversation(process, source, ranges, bounds, sentinel).run(number)


class _Conversation:
    def __init__(
        self,
        process: Process,
        source: RangeSource | None,
        ranges: socket.socket | None,
        bounds: Bounds,
        sentinel: bytes | None,
    ) -> None:
        if process.stdout is None or process.stderr is None:
            raise ValueError("a tool is started with pipes")
        self._source = source
        self._ranges = ranges
        self._bounds = bounds
        self._sentinel = sentinel
        self._output = bytearray()
        self._complaint = bytearray()
        self._request = b""
        self._stdout = process.stdout.fileno()
        self._stderr = process.stderr.fileno()

    def run(self, number: int) -> Reply:
        poll = select.poll()
        takers: dict[int, Callable[[], bool]] = {self._stdout: self._take_output, self._stderr: self._take_complaint}
        if self._ranges is not None and self._source is not None:
            takers[self._ranges.fileno()] = self._serve
            self._send(opening(number, self._source))
        for descriptor in takers:
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll(self._seconds_left() * 1000):
                if not takers[descriptor]():
                    poll.unregister(descriptor)
                    if descriptor == self._stdout:
                        return self._at_end()
            if self._sentinel is not None and self._output.endswith(self._sentinel):
                del self._output[-len(self._sentinel) :]
                return self._reply()

    def _seconds_left(self) -> float:
        left = self._bounds.deadline - time.monotonic()
        if left <= 0:
            raise UnavailableError(
                "media/time-limit",
                "A media tool did not end in the time allowed for one file and was stopped. The original is kept.",
            )
        return left

    def _take_output(self) -> bool:
        piece = os.read(self._stdout, _READ_OCTETS)
        self._output += piece
        if len(self._output) > self._bounds.output_octets:
            raise UnavailableError(
                "media/output-limit",
                "A media tool answered more than is allowed for one file and was stopped. The original is kept.",
            )
        return bool(piece)

    def _take_complaint(self) -> bool:
        piece = os.read(self._stderr, _READ_OCTETS)
        if len(self._complaint) < _COMPLAINT_OCTETS:
            self._complaint += piece
        return bool(piece)

    def _serve(self) -> bool:
        if self._ranges is None or self._source is None:
            return False
        try:
            piece = self._ranges.recv(REQUEST_OCTETS - len(self._request))
        except ConnectionResetError:
            return False
        self._request += piece
        if len(self._request) == REQUEST_OCTETS:
            request, self._request = self._request, b""
            return self._send(answer_request(request, self._source))
        return bool(piece)

    def _send(self, octets: bytes) -> bool:
        """Give the tool what it waits for; False where it listens no more, which its output will explain."""
        if self._ranges is None:
            return False
        self._ranges.settimeout(self._seconds_left())
        try:
            self._ranges.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            return False
        except TimeoutError:
            self._seconds_left()
            return False
        return True

    def _at_end(self) -> Reply:
        """The tool closed its output: the answer, where the end was awaited, else its death."""
        if self._sentinel is None:
            return self._reply()
        raise UnavailableError(
            "media/tool-died",
            "A media tool ended before it had answered; memory or time for one file may not have sufficed. "
            "The original is kept.",
            evidence={"complaint": bytes(self._complaint[:_COMPLAINT_OCTETS]).decode("utf-8", "replace")},
        )

    def _reply(self) -> Reply:
        complaint = bytes(self._complaint[:_COMPLAINT_OCTETS]).decode("utf-8", "replace")
        return Reply(output=bytes(self._output), complaint=complaint)
