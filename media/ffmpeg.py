"""FFmpeg in confinement: what it reads comes through the seal, what it writes goes into one; neither touches a disk.

A small file and its copy lie in memory files. A large one is served on the sandbox's own loopback, and its copy comes
back the same way (`doors.py`), because muxers go back to patch what they wrote. Arguments are built with ffmpeg-python,
which runs nothing here.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ffmpeg

from archive.errors import InputError, UnavailableError
from media.cleaners.port import Sink
from media.confinement import Confinement, Limits, Process, end_process, find_tool
from media.conversation import Bounds, Reply, converse
from media.copy_taker import CopyTaker
from media.doors import TARGET, URL, Asked, Server, can_have_doors, started_with_doors
from media.file_server import FileServer
from media.held_back import HeldBack
from media.options import MIB, MediaSettings
from media.ranges import RangeSource, sealed_memory_file

STANDARD_OUTPUT = "pipe:1"

Build = Callable[[Any], Any]
"""Takes ffmpeg-python's input and gives its output."""

_PROCESSES = 48
_SECONDS_PER_MIB = 2
_COPY_OCTETS = MIB
_END_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. `build` names `TARGET` or `STANDARD_OUTPUT`; `most` bounds what may be written there."""

    build: Build
    deadline: float
    most: int
    before: Mapping[str, object] | None = None
    whole: bool = False
    """Whether a file that cannot be read to its end is a failure: FFmpeg else writes what came before, and is content.
    """
    """Options of the input, such as the place to begin at."""


class Ffmpeg:
    """Runs FFmpeg on one file at a time; each run is a new process."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._executable = find_tool(settings.ffmpeg_path)
        self._confinement = confinement
        self._settings = settings
        self._version = ""

    @property
    def version(self) -> str:
        """FFmpeg's own word; asked once."""
        if not self._version:
            process = self._confinement.start([self._executable, "-version"], limits=self._limits(0, 10))
            try:
                said, _ = process.communicate(timeout=_END_SECONDS)
            except subprocess.TimeoutExpired:
                said = b""
            finally:
                end_process(process)
            found = re.match(rb"ffmpeg version (\S+)", said)
            self._version = found[1].decode("ascii", "replace") if found else "unknown"
        return self._version

    def deadline(self, source: RangeSource) -> float:
        """Give the moment when a run over all of a file must have ended, by its size."""
        return time.monotonic() + self._settings.wall_seconds + _SECONDS_PER_MIB * (source.size // MIB)

    def read(self, run: Run, source: RangeSource) -> bytes:
        """Run, and give what FFmpeg wrote to its standard output. Raises: as `write`."""
        reply, status = self._run(run, source, None, run.most)
        _refuse_failure(reply, status)
        return reply.output

    def write(self, run: Run, source: RangeSource, sink: Sink, *, listing: int = MIB) -> Reply:
        """Run, and let the copy flow into `sink`; `listing` bounds what is said beside it on standard output.

        Raises: InputError `media/not-converted` where FFmpeg failed at the file, `media/cannot-patch`,
        `media/needs-sandbox`; UnavailableError as `media.conversation`.
        """
        target = HeldBack(sink, most=run.most)
        reply, status = self._run(run, source, target, listing)
        _refuse_failure(reply, status)
        target.finish()
        return reply

    def _run(self, run: Run, source: RangeSource, target: HeldBack | None, output: int) -> tuple[Reply, int]:
        bounds = Bounds(deadline=run.deadline, output_octets=output)
        if source.size <= self._settings.small_file_mib * MIB:
            return self._run_small(run, source, target, bounds)
        if not can_have_doors(self._confinement):
            raise InputError(
                "media/needs-sandbox",
                "A file of this size is opened only inside the full sandbox, which cannot run here. It is kept.",
            )
        return self._run_large(run, source, target, bounds)

    def _run_small(self, run: Run, source: RangeSource, target: HeldBack | None, bounds: Bounds) -> tuple[Reply, int]:
        inherited = [sealed_memory_file(source)]
        try:
            if target is not None:
                inherited.append(os.memfd_create("copy", os.MFD_CLOEXEC))
            names = {URL: f"file:/proc/self/fd/{inherited[0]}", TARGET: f"file:/proc/self/fd/{inherited[-1]}"}
            line = self._line(run, "file", names)
            limits = self._limits(run.most if target is not None else 0, bounds.deadline - time.monotonic())
            process = self._confinement.start(line, limits=limits, inherit=inherited)
            try:
                reply = converse(process, source=source, ranges=None, bounds=bounds)
                status = process.wait(_END_SECONDS)
            finally:
                end_process(process)
            if target is not None:
                _copy(inherited[-1], target)
            return reply, status
        finally:
            for descriptor in inherited:
                os.close(descriptor)

    def _run_large(self, run: Run, source: RangeSource, target: HeldBack | None, bounds: Bounds) -> tuple[Reply, int]:
        line = self._line(run, "http,tcp", {})
        servers: list[Server] = [FileServer(source)]
        if target is not None:
            servers.append(CopyTaker(target))
            at = line.index(TARGET)
            # Else it would send each packet by itself, however small.
            line[at:at] = ["-ftp-write-seekable", "1", "-flush_packets", "0"]
        limits = self._limits(0, bounds.deadline - time.monotonic())
        asked = Asked(line, limits, bounds.deadline)
        with started_with_doors(self._confinement, asked, *servers) as process:
            return converse(process, source=None, ranges=None, bounds=bounds), _wait(process)

    def _line(self, run: Run, protocols: str, names: Mapping[str, str]) -> list[str]:
        before = {"protocol_whitelist": protocols, **(run.before or {})}
        output = run.build(ffmpeg.input(URL, **before))
        line = [str(part) for part in output.compile(cmd=self._executable)]
        quiet = ["-hide_banner", "-nostdin", "-v", "error", "-y"]
        return [line[0], *quiet, *(["-xerror"] if run.whole else []), *(names.get(part, part) for part in line[1:])]

    def _limits(self, written: int, seconds: float) -> Limits:
        return Limits(
            memory_octets=self._settings.transcode_memory_mib * MIB,
            cpu_seconds=max(1, round(seconds) * (os.cpu_count() or 1)),
            processes=_PROCESSES,
            written_octets=written,
        )


def _wait(process: Process) -> int:
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return -1


def _copy(descriptor: int, target: HeldBack) -> None:
    place = 0
    while piece := os.pread(descriptor, _COPY_OCTETS, place):
        target.write_at(place, piece)
        place += len(piece)


def _refuse_failure(reply: Reply, status: int) -> None:
    if status == 0:
        return
    if status < 0 or status > 128:
        raise UnavailableError(
            "media/tool-died",
            "A media tool ended before it had answered; memory or time for one file may not have sufficed. "
            "The original is kept.",
            evidence={"complaint": reply.complaint, "status": status},
        )
    raise InputError(
        "media/not-converted",
        "FFmpeg could not read or convert this file; it may be damaged or of a kind that it does not know. "
        "The original is kept as it is.",
        evidence={"complaint": reply.complaint, "status": status},
    )
