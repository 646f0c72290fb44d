"""FFmpeg in confinement: what it reads comes through the seal, what it writes goes into one; neither touches a disk.

A small file and its copy lie in memory files. A large one is served by ranges on the sandbox's own loopback, and its
copy comes back the same way, each piece with its place, because muxers go back to patch what they wrote. That way needs
the full sandbox: without it, the loopback would be everybody's. Arguments are built with ffmpeg-python, which runs
nothing here.
"""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from archive.errors import InputError, UnavailableError
from media.cleaners.port import Sink
from media.confinement import Confinement, ConfinementLevel, Limits, Process, end_process, find_tool
from media.conversation import Bounds, Reply, converse
from media.held_back import HeldBack, WritesTaker
from media.options import MIB, MediaSettings
from media.ranges import RangeSource, sealed_memory_file

TARGET = "TARGET"
"""What a caller names as the output of its arguments: the place of the copy, which is seekable."""
STANDARD_OUTPUT = "pipe:1"

Build = Callable[[Any], Any]
"""Takes ffmpeg-python's input and gives its output."""

_SERVER = Path(__file__).with_name("range_server.pl")
_SOURCE = "URL"
_PROCESSES = 48
_SECONDS_PER_MIB = 2
_SOCKET_OCTETS = 4 * MIB
_COPY_OCTETS = MIB
_END_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. `build` names `TARGET` or `STANDARD_OUTPUT`; `most` bounds what may be written there."""

    build: Build
    deadline: float
    most: int
    before: Mapping[str, object] | None = None
    """Options of the input, such as the place to begin at."""


class Ffmpeg:
    """Runs FFmpeg on one file at a time; each run is a new process."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._executable = find_tool(settings.ffmpeg_path)
        self._perl = find_tool("perl")
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
        if self._confinement.level is not ConfinementLevel.BUBBLEWRAP:
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
            names = {_SOURCE: f"file:/proc/self/fd/{inherited[0]}", TARGET: f"file:/proc/self/fd/{inherited[-1]}"}
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
        ours, theirs = _roomy_pair()
        our_writes, their_writes = _roomy_pair()
        server = sealed_memory_file(_SERVER.read_bytes())
        with ours, our_writes:
            try:
                line = self._line(run, "http,tcp", {TARGET: TARGET})
                if target is not None:
                    at = line.index(TARGET)
                    line[at:at] = ["-ftp-write-seekable", "1"]
                numbers = [str(theirs.fileno()), str(their_writes.fileno()) if target is not None else "-"]
                process = self._confinement.start(
                    [self._perl, f"/proc/self/fd/{server}", *numbers, *line],
                    limits=self._limits(0, bounds.deadline - time.monotonic()),
                    inherit=(theirs.fileno(), their_writes.fileno(), server),
                )
            finally:
                theirs.close()
                their_writes.close()
                os.close(server)
            try:
                writes = WritesTaker(our_writes, target) if target is not None else None
                reply = converse(process, source=source, ranges=ours, bounds=bounds, writes=writes)
                return reply, _wait(process)
            finally:
                end_process(process)

    def _line(self, run: Run, protocols: str, names: Mapping[str, str]) -> list[str]:
        before = {"protocol_whitelist": protocols, **(run.before or {})}
        output = run.build(ffmpeg.input(_SOURCE, **before))
        line = [str(part) for part in output.compile(cmd=self._executable)]
        quiet = ["-hide_banner", "-nostdin", "-v", "error", "-y"]
        return [line[0], *quiet, *(names.get(part, part) for part in line[1:])]

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


def _roomy_pair() -> tuple[socket.socket, socket.socket]:
    """Give two ends with room for some pieces, so that neither waits for the other at each."""
    pair = socket.socketpair()
    for end in pair:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_OCTETS)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_OCTETS)
    return pair


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
