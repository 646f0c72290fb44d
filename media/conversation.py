"""Talking with a confined tool: one loop that serves its ranges, gathers its answer and keeps the deadline.

A tool that dies, is silent for too long, answers without end or asks for what no file has ends the conversation with an
`UnavailableError`; the caller ends the tool. What goes wrong in reading the file itself (a sealed chunk that fails) is
raised as it is.
"""

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from archive.errors import UnavailableError
from media.confinement import Process
from media.ranges import REQUEST_OCTETS, RangeSource, answer_request, asked_for_nothing, number_in

_READ_OCTETS = 1 << 17
_COMPLAINT_OCTETS = 1 << 14
_LEAST_SECONDS = 0.001  # No time at all would mean another kind of socket.


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long a conversation may last (as `time.monotonic` counts) and how much may be answered."""

    deadline: float
    output_octets: int


@dataclass(slots=True)
class Allowance:
    """How many seconds one file may still cost; waiting for another file's answer costs none."""

    left: float

    @contextmanager
    def running(self) -> Iterator[float]:
        """Give the deadline, as `time.monotonic` counts; what passes meanwhile is used up."""
        started = time.monotonic()
        try:
            yield started + self.left
        finally:
            self.left -= time.monotonic() - started

    @contextmanager
    def share(self, part: float) -> Iterator[Self]:
        """Give an allowance of its own for a part of what is left; only what it uses of that is used up."""
        granted = type(self)(self.left * part)
        kept = self.left - granted.left
        try:
            yield granted
        finally:
            self.left = kept + granted.left


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a tool said, and the first of what it complained of."""

    output: bytes
    complaint: str


@dataclass(slots=True, kw_only=True)
class Overheard:
    """What a tool that was asked ahead has said already of the next file: its answer's beginning, a request of it."""

    output: bytearray = field(default_factory=bytearray)
    request: bytes = b""


def converse(
    process: Process,
    *,
    source: RangeSource | None,
    ranges: socket.socket | None,
    bounds: Bounds,
    number: int = 0,
    opening: bytes = b"",
    sentinel: bytes | None = None,
    overheard: Overheard | None = None,
) -> Reply:
    """Gather a tool's output up to `sentinel`, or to its end where there is none, serving the ranges of file `number`.

    `opening` is what the tool is still to be told over the same socket before it can ask. With `overheard`, it may have
    been asked about the next file as well: what it says of that is left there, and nothing of `source` is given for it.
    Raises: UnavailableError `media/time-limit`, `media/output-limit`, `media/tool-died`, `media/tool-misbehaved`.
    """
    conversation = _Conversation(process, source, ranges, bounds, sentinel, number, overheard)
    return conversation.run(opening)


def send_within(channel: socket.socket, octets: bytes | memoryview, seconds: float) -> bool:
    """Give a tool what it waits for; False where it takes too long or listens no more, which its output explains."""
    channel.settimeout(max(seconds, _LEAST_SECONDS))
    try:
        channel.sendall(octets)
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        return False
    finally:
        channel.settimeout(None)
    return True


class _Conversation:
    def __init__(
        self,
        process: Process,
        source: RangeSource | None,
        ranges: socket.socket | None,
        bounds: Bounds,
        sentinel: bytes | None,
        number: int,
        overheard: Overheard | None,
    ) -> None:
        if process.stdout is None or process.stderr is None:
            raise ValueError("a tool is started with pipes")
        self._source = source
        self._ranges = ranges
        self._bounds = bounds
        self._sentinel = sentinel
        self._number = number
        self._next = number + 1 if overheard is not None else None
        self._heard = overheard if overheard is not None else Overheard()
        self._looked_through = 0
        self._complaint = bytearray()
        self._stdout = process.stdout.fileno()
        self._stderr = process.stderr.fileno()

    def run(self, opening: bytes) -> Reply:
        poll = select.poll()
        takers: dict[int, Callable[[], bool]] = {self._stdout: self._take_output, self._stderr: self._take_complaint}
        if self._ranges is not None and self._source is not None:
            takers[self._ranges.fileno()] = self._serve
            if opening:
                self._send(opening)
            self._answer_request()
        for descriptor in takers:
            poll.register(descriptor, select.POLLIN)
        while (answer := self._whole_answer()) is None:
            for descriptor, _ in poll.poll(self._seconds_left() * 1000):
                if not takers[descriptor]():
                    poll.unregister(descriptor)
                    if descriptor == self._stdout:
                        return self._at_end()
        return self._reply(answer)

    def _whole_answer(self) -> bytes | None:
        """Take the answer out of what was heard, once it is whole; what follows it is of the next file."""
        if self._sentinel is None:
            return None
        heard = self._heard.output
        end = heard.find(self._sentinel, max(0, self._looked_through - len(self._sentinel)))
        self._looked_through = len(heard)
        if (end if end >= 0 else len(heard)) > self._bounds.output_octets:
            raise _answered_too_much()
        if end < 0:
            return None
        answer = bytes(heard[:end])
        del heard[: end + len(self._sentinel)]
        return answer

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
        self._heard.output += piece
        if self._sentinel is None and len(self._heard.output) > self._bounds.output_octets:
            raise _answered_too_much()
        return bool(piece)

    def _take_complaint(self) -> bool:
        piece = os.read(self._stderr, _READ_OCTETS)
        if len(self._complaint) < _COMPLAINT_OCTETS:
            self._complaint += piece
        return bool(piece)

    def _serve(self) -> bool:
        if self._ranges is None:
            return False
        try:
            piece = self._ranges.recv(REQUEST_OCTETS - len(self._heard.request))
        except ConnectionResetError:
            return False
        self._heard.request += piece
        return bool(piece) and self._answer_request()

    def _answer_request(self) -> bool:
        """Answer a request that is whole; False where it is of the next file and waits for that one's turn."""
        request = self._heard.request
        if len(request) < REQUEST_OCTETS or self._source is None:
            return True
        if (number := number_in(request)) != self._number:
            if number != self._next:
                raise asked_for_nothing({"file": number})
            return False
        self._heard.request = b""
        return self._send(answer_request(request, self._source))

    def _send(self, octets: bytes) -> bool:
        if self._ranges is None:
            return False
        return send_within(self._ranges, octets, self._seconds_left())

    def _at_end(self) -> Reply:
        """The tool closed its output: the answer, where the end was awaited, else its death."""
        if self._sentinel is None:
            return self._reply(bytes(self._heard.output))
        raise UnavailableError(
            "media/tool-died",
            "A media tool ended before it had answered; memory or time for one file may not have sufficed. "
            "The original is kept.",
            evidence={"complaint": bytes(self._complaint[:_COMPLAINT_OCTETS]).decode("utf-8", "replace")},
        )

    def _reply(self, answer: bytes) -> Reply:
        complaint = bytes(self._complaint[:_COMPLAINT_OCTETS]).decode("utf-8", "replace")
        return Reply(output=answer, complaint=complaint)


def _answered_too_much() -> UnavailableError:
    return UnavailableError(
        "media/output-limit",
        "A media tool answered more than is allowed for one file and was stopped. The original is kept.",
    )
