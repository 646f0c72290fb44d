"""A fault at exactly the Nth system call of a kind, for every N: killed before it, or told that it failed.

strace counts the calls of each kind in each thread by itself. A kill stops the program before the call is made; that
the call was made and nothing after it is the state before the next one, so a whole sweep has both sides of every call.
Kinds of call that a program never makes cost nothing: they are not in its trace.
"""

import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.crash.laboratory import Bench, Report, Subject, pace_of, run_to_end

SYNCS = ("fsync", "fdatasync", "syncfs", "sync_file_range", "msync")
NAMES = ("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir")
WRITES = ("write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate", "copy_file_range", "sendfile")
CALLS = (*SYNCS, *NAMES, *WRITES)

_STRACE = ("strace", "-f", "-qq", "-e", "signal=none")
_LOST = {"unlink", "unlinkat", "rmdir", "sync_file_range"}
"""Calls that do not fail for want of space: removing, and the request that promises nothing."""


class Fault(StrEnum):
    """What happens at the chosen call."""

    KILL = "kill"
    FULL = "disk full from then on"
    BROKEN = "input/output error, once"
    DEAD = "input/output error from then on"


_INJECTION = {
    Fault.KILL: "signal=KILL:when={n}",
    Fault.FULL: "error=ENOSPC:when={n}+",
    Fault.BROKEN: "error=EIO:when={n}",
    Fault.DEAD: "error=EIO:when={n}+",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One fault at one call."""

    fault: Fault
    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.fault} at {self.call} {self.number}"


def unavailable() -> str | None:
    """Return why no call can be made to fail here, or None."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run([*_STRACE, "-o", "/dev/null", "true"], check=False, capture_output=True)
    return None if tried.returncode == 0 else "this machine does not let one process trace another"


def run(
    subject: Subject,
    folder: Path,
    *,
    tries: int | None,
    seed: int,
    faults: Sequence[Fault] = tuple(Fault),
    calls: Sequence[str] = CALLS,
    go_on_every: int = 4,
) -> Report:
    """Try `tries` points chosen at random, or with None every one, and check the subject after each."""
    report = Report(
        tool="sweep of system calls" if tries is None else "sample of system calls", subject=subject.name, seed=seed
    )
    begun = time.monotonic()
    bench = Bench(subject, folder / "home", folder / "template")
    pace_of(bench)
    points = points_of(bench, folder / "trace", faults=faults, calls=calls)
    if tries is not None:
        points = random.Random(seed).sample(points, min(tries, len(points)))  # noqa: S311 - must be repeatable
    for attempt, point in enumerate(points):
        bench.fresh()
        outcome = run_to_end(subject, [*_injecting(point), *bench.line()])
        wrong = list(subject.check(bench.home, outcome.acknowledged))
        if attempt % go_on_every == 0:
            wrong += bench.go_on(outcome.acknowledged)
        report.add(str(point), outcome, wrong)
    report.seconds = time.monotonic() - begun
    return report


def points_of(bench: Bench, trace: Path, *, faults: Sequence[Fault], calls: Sequence[str]) -> list[Point]:
    """Run the subject once under strace and return every point at which it can be made to fail."""
    bench.fresh()
    outcome = run_to_end(bench.subject, [*_STRACE, "-o", str(trace), "-e", f"trace={','.join(calls)}", *bench.line()])
    assert outcome.ending == "exit 0", outcome.errors
    counts: Counter[tuple[str, str]] = Counter()
    with trace.open(errors="replace") as lines:
        for line in lines:
            if made := re.match(r"(\d+) +(\w+)\(", line):
                counts[made[1], made[2]] += 1
    most: dict[str, int] = {}
    for (_, call), count in counts.items():
        most[call] = max(count, most.get(call, 0))
    return [
        Point(fault=fault, call=call, number=number)
        for fault in faults
        for call in calls
        if not (fault is Fault.FULL and call in _LOST)
        for number in range(1, most.get(call, 0) + 1)
    ]


def _injecting(point: Point) -> list[str]:
    inject = _INJECTION[point.fault].format(n=point.number)
    # A full or dead disk fails every later call of every kind, not only of the kind where it began; after the first
    # failure strace cannot begin with the others, so this is the nearest that can be had: the one kind, for good.
    # Traced from aside (-D), the program's own end is what is waited for, and not that of a tool's helper: one that is
    # killed between two of its own steps may stay, waiting for its other half, and says nothing of the program.
    return [*_STRACE, "-D", "-o", "/dev/null", "-e", f"trace={point.call}", "-e", f"inject={point.call}:{inject}"]
