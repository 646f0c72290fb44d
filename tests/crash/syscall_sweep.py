"""A fault at exactly the Nth system call of a kind, for every N: killed before it, or told that it failed.

strace counts the calls of each kind in each thread by itself. A kill stops the program before the call is made; that
the call was made and nothing after it is the state before the next one, so a whole sweep has both sides of every call.
Kinds of call that a program never makes cost nothing: they are not in its trace.

A program with threads does not make its calls in the same order twice, so the Nth call of one run need not be that of
the next. Therefore each try is traced too: the report says at which call the fault struck, by kind of file, and names
each such site of undisturbed runs that no fault of the series struck. A whole sweep goes on until there is none: what
another thread's call of the same number always forestalls is struck by the name that the call gives.
"""

import copy
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from queue import SimpleQueue

from tests.crash.laboratory import Bench, Outcome, Report, Subject, pace_of, run_to_end

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


_UNDISTURBED = 3
"""How many undisturbed runs tell what can be struck; the order of threads differs from one to the next."""

_MOST_ROUNDS = 3
"""How many times the points of a sweep are tried at most, for the sites that none has struck yet."""

_INJECTION = {
    Fault.KILL: "signal=KILL:when={n}",
    Fault.FULL: "error=ENOSPC:when={n}+",
    Fault.BROKEN: "error=EIO:when={n}",
    Fault.DEAD: "error=EIO:when={n}+",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One fault at one call; `name` is the text that the call gives as a file's name, where only such calls count."""

    fault: Fault
    call: str
    number: int
    name: str = ""

    def __str__(self) -> str:
        return f"{self.fault} at {self.call} {self.number}" + (f" of {self.name}" if self.name else "")


def unavailable() -> str | None:
    """Return why no call can be made to fail here, or None."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run([*_STRACE, "-o", "/dev/null", "true"], check=False, capture_output=True)
    return None if tried.returncode == 0 else "this machine does not let one process trace another"


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """What became of one try: `sites` are where the fault struck, none where its call was not made this time."""

    point: Point
    outcome: Outcome
    wrong: tuple[str, ...]
    sites: tuple[str, ...]


def run(
    subject: Subject,
    folder: Path,
    *,
    tries: int | None,
    seed: int,
    faults: Sequence[Fault] = tuple(Fault),
    calls: Sequence[str] = CALLS,
    go_on_every: int = 4,
    at_once: int = 1,
) -> Report:
    """Try `tries` points chosen at random, or with None every one, and check the subject after each."""
    report = Report(
        tool="sweep of system calls" if tries is None else "sample of system calls", subject=subject.name, seed=seed
    )
    chance = random.Random(seed)  # noqa: S311 - must be repeatable
    begun = time.monotonic()
    benches: SimpleQueue[Bench] = SimpleQueue()
    for number in range(at_once):
        place = folder / f"bench-{number}"
        place.mkdir()
        benches.put(Bench(copy.copy(subject), place / "home", place / "template"))
    bench = benches.get()
    pace_of(bench)
    points, sites = points_of(bench, folder / "trace", faults=faults, calls=calls)
    benches.put(bench)
    if tries is not None:
        points = chance.sample(points, min(tries, len(points)))
    report.reached, rounds = 0, 0
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        while points:
            numbers = range(report.tries, report.tries + len(points))
            done = pool.map(lambda number, point: _try(benches, number, point, go_on_every), numbers, points)
            for struck in done:
                report.add(str(struck.point), struck.outcome, struck.wrong)
                report.reached += bool(struck.sites)
                report.sites.update({f"{struck.point.fault}: {site}" for site in struck.sites})
            if tries is not None:
                break
            report.missed = {site for site in sites if not report.sites[site]}
            rounds += 1
            if rounds == _MOST_ROUNDS:
                break
            # Another round at the calls of those kinds, for the sites that the order of the threads kept from us.
            kinds = {(fault, call) for fault, call in (_fault_and_call(site) for site in report.missed)}
            again = [point for point in points if (str(point.fault), point.call) in kinds and not point.name]
            points = again + [sites[site] for site in sorted(report.missed) if sites[site].name]
    report.seconds = time.monotonic() - begun
    return report


def _try(benches: "SimpleQueue[Bench]", attempt: int, point: Point, go_on_every: int) -> Struck:
    bench = benches.get()
    try:
        bench.fresh()
        trace = bench.home.parent / "trace"
        outcome = run_to_end(bench.subject, [*_injecting(point, trace), *bench.line()])
        wrong = list(bench.subject.check(bench.home, outcome.acknowledged))
        sites = tuple(_sites(trace, bench.home, struck_by=point.fault))
        if attempt % go_on_every == 0:
            wrong += bench.go_on(outcome.acknowledged)
        return Struck(point=point, outcome=outcome, wrong=tuple(wrong), sites=sites)
    finally:
        benches.put(bench)


def points_of(
    bench: Bench, trace: Path, *, faults: Sequence[Fault], calls: Sequence[str]
) -> tuple[list[Point], dict[str, Point]]:
    """Run the subject undisturbed under strace; return every point at which it can fail, and the sites of these.

    Each site comes with a point at the first call there that gives a file's name, as the last undisturbed run gave it.
    """
    most: dict[str, int] = {}
    names: dict[str, str] = {}
    for _ in range(_UNDISTURBED):
        bench.fresh()
        tracing = [*_STRACE, "-y", "-s", "8", "-o", str(trace), "-e", f"trace={','.join(calls)}"]
        outcome = run_to_end(bench.subject, [*tracing, *bench.line()])
        assert outcome.ending == "exit 0", outcome.errors
        counts: Counter[tuple[str, str]] = Counter()
        with trace.open(errors="replace") as lines:
            for line in lines:
                if made := re.match(r"(\d+) +(\w+)\(", line):
                    counts[made[1], made[2]] += 1
        for (_, call), count in counts.items():
            most[call] = max(count, most.get(call, 0))
        names |= dict(_sites_and_names(trace, bench.home, struck_by=None))
    points = [
        Point(fault=fault, call=call, number=number)
        for fault in faults
        for call in calls
        if not (fault is Fault.FULL and call in _LOST)
        for number in range(1, most.get(call, 0) + 1)
    ]
    kinds = {(point.fault, point.call) for point in points}
    return points, {
        f"{fault}: {site}": Point(fault=fault, call=call, number=1, name=name if call in NAMES else "")
        for fault, call in kinds
        for site, name in names.items()
        if site.startswith(f"{call} ")
    }


def _fault_and_call(site: str) -> tuple[str, str]:
    fault, _, rest = site.partition(": ")
    return fault, rest.split(" ", 1)[0]


def _sites(trace: Path, home: Path, *, struck_by: Fault | None) -> Iterator[str]:
    """Read from a trace where a fault struck, or with None every site; as `fsync store/log/checkpoints`."""
    return (site for site, _ in _sites_and_names(trace, home, struck_by=struck_by))


def _sites_and_names(trace: Path, home: Path, *, struck_by: Fault | None) -> Iterator[tuple[str, str]]:
    """As `_sites`, each with the last text in its line, which in a call that names is the name.

    What the sandbox of a tool does to its own small world is no site: the archive's folders are not in it.
    """
    end = {None: "", Fault.KILL: "= ?"}.get(struck_by, "(INJECTED)")
    for line in trace.read_text(errors="replace").splitlines():
        made = re.match(r"\d+ +(\w+)\((.*)$", line)
        if not made or not line.endswith(end):
            continue
        kind = _kind_of_file(made[1], made[2], str(home))
        if kind is not None:
            yield f"{made[1]} {kind}", next(reversed(re.findall(r"\"([^\"]*)\"", made[2])), "")


def _kind_of_file(call: str, arguments: str, home: str) -> str | None:
    """Give the file of a call as a kind, names that chance or the clock made being left out; None where not ours."""
    named = re.findall(r"<([^<>]*)>|\"([^\"]*)\"", arguments)
    if call not in NAMES:
        named = named[:1]
    folder = next((opened for opened, _ in reversed(named) if opened), "")
    name = named[-1][1] if named and named[-1][1] else ""
    path = name if name.startswith("/") else f"{folder}/{name}".rstrip("/")
    if path.startswith("pipe:") and call == "write":
        return "standard output"
    if not path.startswith(home):
        return None
    parts = path.removeprefix(home).strip("/").replace("archive/", "", 1).split("/")
    return "/".join(_without_chance(part) for part in parts)


def _without_chance(part: str) -> str:
    part = re.sub(r"^\.partial-.*", ".partial-*", part)
    part = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32,}|^[0-9a-f]{2}$", "*", part)
    return re.sub(r"\d+", "#", part)


def _injecting(point: Point, trace: Path) -> list[str]:
    inject = _INJECTION[point.fault].format(n=point.number)
    # A full or dead disk fails every later call of every kind, not only of the kind where it began; after the first
    # failure strace cannot begin with the others, so this is the nearest that can be had: the one kind, for good.
    # Traced from aside (-D), the program's own end is what is waited for, and not that of a tool's helper: one that is
    # killed between two of its own steps may stay, waiting for its other half, and says nothing of the program.
    told = ("-y", "-s", "8", "-o", str(trace), *(("-P", point.name) if point.name else ()))
    return [*_STRACE, "-D", *told, "-e", f"trace={point.call}", "-e", f"inject={point.call}:{inject}"]
