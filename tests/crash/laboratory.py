"""What all crash tools share: the subject under test, its acknowledgements, the bench it lies on, the report.

A subject is a program that changes a folder and says on its standard output what it has done for good. A tool lets it
run, stops it in its own way, and then asks the subject's check what is wrong. Whatever was acknowledged must be there
after the fault, nothing half done may show, and the archive must start by itself.
"""

import json
import os
import platform
import random
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[2]
LONGEST_RUN = 120.0


class Subject(Protocol):
    """A program under test. `folder` is at the same absolute path each time, for all three."""

    @property
    def name(self) -> str: ...

    def setup(self, folder: Path) -> None:
        """Make everything below `folder` (which is there, and empty) that a run starts from. Called once."""

    def command(self, folder: Path) -> Sequence[str]:
        """Return the line that runs the program, or goes on where an earlier run was stopped."""

    def acknowledgement(self, line: str) -> object | None:
        """Return what a line of standard output acknowledges, or None."""

    def check(self, folder: Path, acknowledged: Sequence[object]) -> Sequence[str]:
        """Start the archive as a user would after the crash, and return what is wrong, one line for each wrong."""


def ack_line(line: str) -> object | None:
    """Read a line `ACK <json>`, the form for programs that are subjects and nothing else."""
    return json.loads(line[4:]) if line.startswith("ACK ") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that did not hold after one fault."""

    fault: str
    what: str


@dataclass(slots=True, kw_only=True)
class Report:
    """The figures of one series. `violations` counts lines of the subject's checks, so one fault may add several.

    Where faults are placed by the number of a call, `reached` tells how many met their call (a program with threads
    makes its calls in another order each time), `sites` where they struck, as system call and kind of file, and
    `missed` at which sites of an undisturbed run none did.
    """

    tool: str
    subject: str
    seed: int
    tries: int = 0
    after_acknowledgement: int = 0
    acknowledged: int = 0
    violations: list[Violation] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    tracebacks: list[str] = field(default_factory=list)
    seconds: float = 0.0
    reached: int | None = None
    sites: Counter[str] = field(default_factory=Counter)
    missed: set[str] = field(default_factory=set)

    def add(self, fault: str, outcome: "Outcome", wrong: Sequence[str]) -> None:
        self.tries += 1
        self.acknowledged += len(outcome.acknowledged)
        self.endings[outcome.ending] += 1
        self.violations += [Violation(fault=fault, what=what) for what in wrong]
        if "Traceback (most recent call last)" in outcome.errors:
            self.tracebacks.append(f"{fault}: {outcome.errors.strip().splitlines()[-1]}")

    def __str__(self) -> str:
        endings = ", ".join(f"{ending} {count}" for ending, count in sorted(self.endings.items()))
        lines = [
            f"{self.tool} of {self.subject}: {len(self.violations)} violations in {self.tries} tries"
            f" ({self.after_acknowledgement} right after an acknowledgement), {self.acknowledged} acknowledged,"
            f" seed {self.seed}, Linux {platform.release()}, {self.seconds:.0f} s; ended: {endings};"
            f" {len(self.tracebacks)} tracebacks"
        ]
        if self.reached is not None:
            lines.append(f"  {self.reached} of {self.tries} met their call, at {len(self.sites)} sites")
            lines += [f"  not struck: {site}" for site in sorted(self.missed)]
        lines += [f"  {violation.fault}: {violation.what}" for violation in self.violations[:10]]
        lines += [f"  {text}" for text in self.tracebacks[:10]]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one run ended: `exit 0`, `signal 9`."""

    ending: str
    acknowledged: tuple[object, ...]
    errors: str


class Run:
    """A running subject in a process group of its own, whose acknowledgements are read as they come."""

    def __init__(self, subject: Subject, line: Sequence[str]) -> None:
        self._subject = subject
        self._errors = tempfile.TemporaryFile()
        self._rest = b""
        self.acknowledged: list[object] = []
        self.over = False
        self._process = subprocess.Popen(
            list(line),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
        )

    def follow(self, *, seconds: float, count: int | None = None) -> None:
        """Read until `count` acknowledgements are there, `seconds` have passed, or the output is closed."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        end = time.monotonic() + seconds
        while not self.over and (count is None or len(self.acknowledged) < count):
            ready, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return
            self._take(os.read(fd, 65536))

    def kill(self) -> None:
        """Kill the whole group, as the kernel or a power cut would: nobody gets to clean up."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of its streams; whatever it said was read by `end`."""
        self._errors.close()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def end(self) -> Outcome:
        """Read what is left, wait, and say how it ended."""
        assert self._process.stdout is not None
        self.follow(seconds=LONGEST_RUN)
        try:
            status = self._process.wait(timeout=LONGEST_RUN if self.over else 0)
            hung = False
        except subprocess.TimeoutExpired:
            hung = True
            self.kill()
            self.follow(seconds=LONGEST_RUN)
            status = self._process.wait()
        self._process.stdout.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # A tracer that stands aside and still watches what is left.
        self._errors.seek(0)
        errors = self._errors.read().decode(errors="replace")
        ending = "hung" if hung else f"signal {-status}" if status < 0 else f"exit {status}"
        return Outcome(ending=ending, acknowledged=tuple(self.acknowledged), errors=errors)

    def _take(self, octets: bytes) -> None:
        self.over = not octets
        *lines, self._rest = (self._rest + octets).split(b"\n")
        for line in lines:
            acknowledged = self._subject.acknowledgement(line.decode(errors="replace"))
            if acknowledged is not None:
                self.acknowledged.append(acknowledged)


@contextmanager
def started(subject: Subject, line: Sequence[str]) -> Iterator[Run]:
    """Start the program; whatever happens in the block, it is dead after it."""
    run = Run(subject, line)
    try:
        yield run
    finally:
        run.kill()
        run.close()


def run_to_end(subject: Subject, line: Sequence[str]) -> Outcome:
    with started(subject, line) as run:
        return run.end()


class Bench:
    """The folder of the subject, put back to its beginning before each try."""

    def __init__(self, subject: Subject, home: Path, template: Path) -> None:
        self.subject = subject
        self.home = home
        self._template = template
        home.mkdir()
        subject.setup(home)
        shutil.copytree(home, template, symlinks=True)

    def fresh(self) -> None:
        if self.home.exists():
            shutil.rmtree(self.home)
        shutil.copytree(self._template, self.home, symlinks=True)

    def line(self) -> Sequence[str]:
        return self.subject.command(self.home)

    def go_on(self, acknowledged: Sequence[object]) -> list[str]:
        """Run the program again without any fault; it must finish the work, and still have what it had."""
        outcome = run_to_end(self.subject, self.line())
        wrong = list(self.subject.check(self.home, [*acknowledged, *outcome.acknowledged]))
        if outcome.ending != "exit 0":
            last = outcome.errors.strip().splitlines()[-1:]
            wrong.append(f"the next run did not finish the work: {outcome.ending} {last}")
        return wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long an undisturbed run takes, and how many acknowledgements it gives."""

    seconds: float
    acknowledgements: int


def pace_of(bench: Bench) -> Pace:
    """Run the subject undisturbed. Raises: AssertionError if it fails by itself; then there is nothing to test."""
    bench.fresh()
    begun = time.monotonic()
    outcome = run_to_end(bench.subject, bench.line())
    seconds = time.monotonic() - begun
    wrong = bench.subject.check(bench.home, outcome.acknowledged)
    assert outcome.ending == "exit 0", outcome.errors
    assert outcome.acknowledged, "the subject acknowledged nothing"
    assert not wrong, wrong
    return Pace(seconds=seconds, acknowledgements=len(outcome.acknowledged))


def wait_for_instant(run: Run, pace: Pace, attempt: int, chance: random.Random) -> str:
    """Let the program run up to the instant of the fault: every other time right after an acknowledgement.

    Instants are counted from acknowledgements, not from the start, so that most fall into the work even on a machine
    whose speed changes from one try to the next.
    """
    if attempt % 2 == 0:
        count = chance.randint(1, pace.acknowledgements)
        run.follow(seconds=LONGEST_RUN, count=count)
        return f"right after acknowledgement {count}"
    count = chance.randrange(pace.acknowledgements)
    seconds = chance.uniform(0, pace.seconds / (2 if count == 0 else pace.acknowledgements / 3))
    run.follow(seconds=LONGEST_RUN, count=count)
    run.follow(seconds=seconds)
    return f"{seconds:.3f} s after acknowledgement {count}"
