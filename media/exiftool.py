"""What a file says about itself, whole, as ExifTool reads it in confinement.

One `-stay_open` process is asked about file after file, about the next ones before it has answered. It is never given a
name from outside: the names in its argument stream are `range:1`, `range:2` ... for which `range_reader.pl` reads from
inherited sockets, so a newline in somebody's file name cannot become an option. Each answer ends with a number drawn by
chance for its question, which no file can know; each request for bytes names its file.

Options, and why:
    -j -l                 JSON, with each value both as printed and as stored ("val" and "num")
    -a -G:0:1:3:4         every duplicate, told apart by family, place, sub-document and copy
    -u                    unknown tags too. Not -U: it only cuts known blocks into numbers without a meaning
    -ee                   timed metadata (a drone's or a dash camera's track) and documents inside documents
    -struct               XMP structures as they are nested
    -x System:all         not the name and the times of what it reads from; those would be ours
Binary values (thumbnails, previews) are named with their length and not copied: the original is kept whole.
"""

import fcntl
import os
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import exiftool

from archive.errors import TestigoError
from media.confinement import Confinement, Limits, Process, end_process
from media.conversation import Allowance, Bounds, Overheard, converse, send_within
from media.options import MIB, MediaSettings
from media.ranges import RangeSource, opening, sealed_memory_file

COMMON_OPTIONS = (
    "-j", "-l", "-a", "-u", "-struct", "-G:0:1:3:4", "-x", "System:all", "-api", "LargeFileSupport=1",
)  # fmt: skip
EMBEDDED_OPTION = "-ee"
DEEPEST_OPTION = "-ee3"
"""Looks for timed metadata in the bare media data too; slow, and only for reading what was cleaned."""

_READER = Path(__file__).with_name("range_reader.pl")
_START_SECONDS = 20
_CPU_SHARE = 4
_PROCESSES = 8
_SENTINELS = 10**18
_ANSWER_BUFFER_OCTETS = 1 << 20
"""Room for the answers about several photos: the tool never waits for us to read one."""
_SEND_BUFFER_OCTETS = 1 << 20
"""What is wished for; the kernel gives what it allows, commonly enough for one file's beginning and end."""


@dataclass(slots=True, kw_only=True, eq=False)
class Question:
    """One question to one process. `unsent` is what the process is yet to be told before it can read the file."""

    number: int
    source: RangeSource | None
    sentinel: bytes
    unsent: memoryview
    first: bool
    before: Event | None
    answered: Event = field(default_factory=Event)


class ConfinedExifTool(exiftool.ExifTool):  # type: ignore[misc]  # pyexiftool ships no types
    """pyexiftool's protocol over a confined process.

    Starting and reading are ours: pyexiftool forks with Python code in between (unsafe beside threads), waits for ever
    for a process that died, and stops when more than a pipe of warnings was written.
    """

    def __init__(
        self, executable: str, confinement: Confinement, settings: MediaSettings, *, deadline: float | None = None
    ) -> None:
        super().__init__(executable=executable, common_args=list(COMMON_OPTIONS), encoding="utf-8")
        self._confinement = confinement
        self._settings = settings
        self._start_seconds = min(_START_SECONDS, deadline - time.monotonic() if deadline else _START_SECONDS)
        self._limits = Limits(
            memory_octets=settings.memory_mib * MIB,
            cpu_seconds=settings.wall_seconds * _CPU_SHARE,
            processes=_PROCESSES,
        )
        self._channels: tuple[socket.socket, socket.socket] | None = None
        self._overheard = Overheard()
        self._asked = 0
        self._last: Question | None = None
        self._busy_seconds = 0.0
        self.failed = False
        """Whether an answer did not come as it should; then what the process says next belongs to no file."""

    def run(self) -> None:
        """Start the process with its sockets and its configuration, and ask for its version."""
        ranges, of_ranges = socket.socketpair()
        openings, of_openings = socket.socketpair()
        openings.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_OCTETS)
        reader = sealed_memory_file(_READER.read_bytes())
        command = [self.executable, "-config", f"/proc/self/fd/{reader}", "-stay_open", "True", "-@", "-"]
        sockets = {"TESTIGO_RANGE_SOCKET": of_ranges.fileno(), "TESTIGO_OPENING_SOCKET": of_openings.fileno()}
        try:
            self._process: Process = self._confinement.start(
                [*command, "-common_args", *self.common_args],
                limits=self._limits,
                inherit=(*sockets.values(), reader),
                environment={name: str(number) for name, number in sockets.items()} | {"PERL_HASH_SEED": "0"},
            )
        except TestigoError:
            ranges.close()
            openings.close()
            raise
        finally:
            of_ranges.close()
            of_openings.close()
            os.close(reader)
        if self._process.stdout is not None:
            # Refused where the user's pipes hold as much as they may, or memory is short; the usual room does then.
            with suppress(OSError):
                fcntl.fcntl(self._process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _ANSWER_BUFFER_OCTETS)
        self._channels = ranges, openings
        self._running = True
        self._ver = self._parse_ver()

    @property
    def worn(self) -> bool:
        """Whether the process has read as many files as it may, or used most of its processor time."""
        # That is limited for a process, not for a file: what is left must suffice for what is asked, and for one more.
        spent = self._busy_seconds > self._settings.wall_seconds * (_CPU_SHARE - 2)
        return spent or self._asked >= self._settings.files_per_process

    def execute(self, *params: str, raw_bytes: bool = False) -> str | bytes:
        """Execute one command that reads no file, as the question for its version with which it starts."""
        answer = self.answer(self._ask(params, None, b""), Allowance(self._start_seconds)) or b""
        return answer if raw_bytes else answer.decode("utf-8", "replace")

    def ask(self, source: RangeSource, *options: str) -> Question:
        """Ask what ExifTool prints of one file, maybe while it is still busy with another; one caller at a time.

        Raises: what `source` raises; then nothing was asked.
        """
        told = opening(self._asked + 1, source)
        self._asked += 1
        return self._ask((*options, f"range:{self._asked}"), source, told)

    def answer(self, question: Question, allowance: Allowance) -> bytes | None:
        """Give the JSON that ExifTool prints; None where the process failed at an earlier question.

        Raises: as `converse`, and what the source raises.
        """
        if question.before is not None:
            question.before.wait()
        try:
            if self.failed:
                return None
            started = time.monotonic()
            with allowance.running() as deadline:
                answer = self._converse(question, deadline)
            self._busy_seconds += time.monotonic() - started
            return answer
        except BaseException:
            self.failed = True
            raise
        finally:
            question.answered.set()

    def wait_for_answers(self) -> None:
        """Wait until every question had its turn."""
        if self._last is not None:
            self._last.answered.wait()

    def end(self) -> None:
        """Kill the process with all that it may have started."""
        if self._running:
            end_process(self._process)
            self._flag_running_false()
        for channel in self._channels or ():
            channel.close()
        self._channels = None

    def terminate(self, timeout: int = 30, _del: bool = False) -> None:  # noqa: ARG002  # pyexiftool's signature
        self.end()

    def _ask(self, params: tuple[str, ...], source: RangeSource | None, told: bytes) -> Question:
        chance = secrets.randbelow(_SENTINELS)
        lines = [*params, f"-execute{chance}", ""]
        if any("\n" in line for line in lines):
            raise ValueError("a parameter of ExifTool holds no line feed")
        if self._process.stdin is None or self._channels is None:
            raise ValueError("a tool is started with pipes and sockets")
        last = self._last
        question = Question(
            number=self._asked,
            source=source,
            sentinel=f"{{ready{chance}}}\n".encode(),
            unsent=memoryview(told),
            first=self._asked == 1,
            before=last.answered if last is not None else None,
        )
        # As much as is taken without waiting, and nothing before what an earlier file is yet to be told.
        if told and (last is None or not last.unsent):
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                question.unsent = question.unsent[self._channels[1].send(told, socket.MSG_DONTWAIT) :]
        with suppress(BrokenPipeError):  # It died; the conversation says so.
            self._process.stdin.write("\n".join(lines).encode())
        self._last = question
        return question

    def _converse(self, question: Question, deadline: float) -> bytes:
        if self._channels is None:
            raise ValueError("a tool is asked while it runs")
        ranges, openings = self._channels
        bounds = Bounds(deadline=deadline, output_octets=self._settings.output_mib * MIB)
        if question.unsent and send_within(openings, question.unsent, deadline - time.monotonic()):
            question.unsent = question.unsent[:0]
        return converse(
            self._process,
            source=question.source,
            ranges=ranges,
            bounds=bounds,
            number=question.number,
            sentinel=question.sentinel,
            overheard=self._overheard,
        ).output
