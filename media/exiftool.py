"""What a file says about itself, whole, as ExifTool reads it in confinement.

One `-stay_open` process serves one worker, file after file; it is started anew after a death, a time-out or a number of
files. It is never given a name from outside: the names in its argument stream are `range:1`, `range:2` ... for which
`range_reader.pl` reads from an inherited socket, so a newline in somebody's file name cannot become an option.

Options, and why:
    -j -l                 JSON, with each value both as printed and as stored ("val" and "num")
    -a -G:0:1:3:4         every duplicate, told apart by family, place, sub-document and copy
    -u                    unknown tags too. Not -U: it only cuts known blocks into numbers without a meaning
    -ee                   timed metadata (a drone's or a dash camera's track) and documents inside documents
    -struct               XMP structures as they are nested
    -x System:all         not the name and the times of what it reads from; those would be ours
Binary values (thumbnails, previews) are named with their length and not copied: the original is kept whole.
"""

import os
import re
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import exiftool

from archive.errors import TestigoError, UnavailableError
from media.confinement import Confinement, Limits, Process, end_process
from media.conversation import Bounds, converse
from media.options import MIB, MediaSettings
from media.problems import Problem
from media.ranges import RangeSource, sealed_memory_file

COMMON_OPTIONS = (
    "-j", "-l", "-a", "-u", "-struct", "-G:0:1:3:4", "-x", "System:all", "-api", "LargeFileSupport=1",
)  # fmt: skip
EMBEDDED_OPTION = "-ee"
DEEPEST_OPTION = "-ee3"
"""Looks for timed metadata in the bare media data too; slow, and only for reading what was cleaned."""
TOOL = "ExifTool"

_READER = Path(__file__).with_name("range_reader.pl")
_START_SECONDS = 20
_CPU_SHARE = 4
_PROCESSES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What the tool said of one file: its JSON as it gave it, or why there is none, or why it is not whole."""

    tool: str
    version: str
    raw: bytes
    problem: Problem | None


class ConfinedExifTool(exiftool.ExifTool):  # type: ignore[misc]  # pyexiftool ships no types
    """pyexiftool's protocol over a confined process.

    Starting and reading are ours: pyexiftool forks with Python code in between (unsafe beside threads), waits for ever
    for a process that died, and stops when more than a pipe of warnings was written.
    """

    def __init__(
        self,
        executable: str,
        confinement: Confinement,
        settings: MediaSettings,
        *,
        start_seconds: float = _START_SECONDS,
    ) -> None:
        super().__init__(executable=executable, common_args=list(COMMON_OPTIONS), encoding="utf-8")
        self._confinement = confinement
        self._start_seconds = start_seconds
        self._limits = Limits(
            memory_octets=settings.memory_mib * MIB,
            cpu_seconds=settings.wall_seconds * _CPU_SHARE,
            processes=_PROCESSES,
        )
        self._output_octets = settings.output_mib * MIB
        self._ranges: socket.socket | None = None
        self._asked = 0

    def run(self) -> None:
        """Start the process with its socket and its configuration, and ask for its version."""
        ours, theirs = socket.socketpair()
        reader = sealed_memory_file(_READER.read_bytes())
        command = [self.executable, "-config", f"/proc/self/fd/{reader}", "-stay_open", "True", "-@", "-"]
        try:
            self._process: Process = self._confinement.start(
                [*command, "-common_args", *self.common_args],
                limits=self._limits,
                inherit=(theirs.fileno(), reader),
                environment={"TESTIGO_RANGE_SOCKET": str(theirs.fileno()), "PERL_HASH_SEED": "0"},
            )
        except TestigoError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(reader)
        self._ranges = ours
        self._running = True
        self._ver = self._parse_ver()

    def execute(self, *params: str, raw_bytes: bool = False) -> str | bytes:
        """Execute one command that reads no file, as the question for its version with which it starts."""
        bounds = Bounds(deadline=time.monotonic() + self._start_seconds, output_octets=self._output_octets)
        answer = self._ask(params, None, bounds)
        return answer if raw_bytes else answer.decode("utf-8", "replace")

    def read(self, source: RangeSource, *options: str, deadline: float) -> bytes:
        """Give the JSON that ExifTool prints for one file."""
        bounds = Bounds(deadline=deadline, output_octets=self._output_octets)
        self._asked += 1
        return self._ask((*options, f"range:{self._asked}"), source, bounds)

    def end(self) -> None:
        """Kill the process with all that it may have started."""
        if self._running:
            end_process(self._process)
            self._flag_running_false()
        if self._ranges is not None:
            self._ranges.close()
            self._ranges = None

    def terminate(self, timeout: int = 30, _del: bool = False) -> None:  # noqa: ARG002  # pyexiftool's signature
        self.end()

    def _ask(self, params: tuple[str, ...], source: RangeSource | None, bounds: Bounds) -> bytes:
        number = secrets.randbelow(10**12)
        lines = [*params, f"-execute{number}", ""]
        if any("\n" in line for line in lines):
            raise ValueError("a parameter of ExifTool holds no line feed")
        if self._process.stdin is None:
            raise ValueError("a tool is started with pipes")
        try:
            self._process.stdin.write("\n".join(lines).encode())
        except BrokenPipeError:
            pass  # It died; the conversation says so.
        sentinel = f"{{ready{number}}}\n".encode()
        return converse(
            self._process, source=source, ranges=self._ranges, bounds=bounds, sentinel=sentinel, number=self._asked
        ).output


class MetadataReader:
    """One worker's ExifTool: started when first needed, started anew after every trouble."""

    def __init__(self, executable: str, confinement: Confinement, settings: MediaSettings) -> None:
        self._executable = executable
        self._confinement = confinement
        self._settings = settings
        self._tool: ConfinedExifTool | None = None
        self._version = ""
        self._files = 0
        self._busy_seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if there is one."""
        if self._tool is not None:
            self._tool.end()
            self._tool = None

    def make_ready(self) -> None:
        """Start the process before it is needed. Trouble is told by the file that needs it."""
        with suppress(UnavailableError):
            self._running_tool(time.monotonic() + _START_SECONDS)

    def extract(self, source: RangeSource, *, deadline: float, embedded: str = EMBEDDED_OPTION) -> Extraction:
        """Read everything; where that fails within two thirds of the time, read all but what is embedded.

        Raises: what `source` raises. Trouble with the tool is a `Problem` in the value.
        """
        first_deadline = deadline - (deadline - time.monotonic()) / 3
        try:
            return self._extraction(self._read(source, embedded, deadline=first_deadline), None)
        except UnavailableError as error:
            trouble = error
        try:
            raw = self._read(source, deadline=deadline)
        except UnavailableError as error:
            return self._extraction(b"", Problem.of(error))
        return self._extraction(
            raw,
            Problem(
                code="media/embedded-not-read",
                reason=f"Tracks and documents inside the file were not read. {trouble.message}",
            ),
        )

    def _extraction(self, raw: bytes, problem: Problem | None) -> Extraction:
        return Extraction(tool=TOOL, version=self._version, raw=_without_our_name(raw), problem=problem)

    def _read(self, source: RangeSource, *options: str, deadline: float) -> bytes:
        """Ask the running process; blame a file for a death only if it killed a fresh one."""
        tool, fresh = self._running_tool(deadline)
        try:
            return self._timed_read(tool, source, options, deadline)
        except UnavailableError as error:
            if fresh or error.code != "media/tool-died":
                raise
        tool, _ = self._running_tool(deadline)
        return self._timed_read(tool, source, options, deadline)

    def _timed_read(
        self, tool: ConfinedExifTool, source: RangeSource, options: tuple[str, ...], deadline: float
    ) -> bytes:
        started = time.monotonic()
        try:
            raw = tool.read(source, *options, deadline=deadline)
        except BaseException:
            self.close()  # What it would answer next belongs to no file.
            raise
        self._files += 1
        self._busy_seconds += time.monotonic() - started
        return raw

    def _running_tool(self, deadline: float) -> tuple[ConfinedExifTool, bool]:
        """Give the process, started within the file's own time where none runs."""
        settings = self._settings
        # Processor time is limited for a process, not for a file: what is left must suffice for one more.
        spent = self._busy_seconds > settings.wall_seconds * (_CPU_SHARE - 1)
        worn = spent or self._files >= settings.files_per_process
        if self._tool is not None and worn:
            self.close()
        if self._tool is not None:
            return self._tool, False
        start_seconds = min(deadline - time.monotonic(), _START_SECONDS)
        tool = ConfinedExifTool(self._executable, self._confinement, settings, start_seconds=start_seconds)
        try:
            tool.run()
        except BaseException:
            tool.end()
            raise
        self._tool, self._files, self._busy_seconds, self._version = tool, 0, 0.0, str(tool.version)
        return tool, True


_OUR_NAME = re.compile(rb'\A\[\{\n  "SourceFile": "range:\d+"(,\n)?')


def _without_our_name(raw: bytes) -> bytes:
    """Drop the name that we gave, which is the first member that ExifTool prints and says nothing of the file."""
    return _OUR_NAME.sub(b"[{\n", raw, count=1)
