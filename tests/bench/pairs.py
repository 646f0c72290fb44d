"""Measuring two things side by side, so that a busy machine slows both: pairs A B A B …, the median of their ratios."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Timed = Callable[[], float]
"""Does the work once and returns the seconds that count; what it prepares before is not in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the figure must be: at most, or at least, a bound."""

    bound: float
    at_least: bool = False

    def judge(self, value: float) -> str:
        reached = value >= self.bound if self.at_least else value <= self.bound
        return f"must be {'≥' if self.at_least else '≤'} {self.bound:g}: {'REACHED' if reached else 'NOT REACHED'}"


def at_most(bound: float) -> Target:
    return Target(bound=bound)


def at_least(bound: float) -> Target:
    return Target(bound=bound, at_least=True)


def compare(what: str, ours: Timed, peer: Timed, pairs: int, target: Target | None, *, faster: bool = False) -> float:
    """Print and return the median ratio ours / peer; with `faster`, how many times as fast ours is (peer / ours)."""
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(pairs):
        mine.append(ours())
        theirs.append(peer())
    ratios = sorted(t / m if faster else m / t for m, t in zip(mine, theirs, strict=True))
    value = median(ratios)
    print(
        f"  {what}: {value:.2f} ({ratios[0]:.2f}..{ratios[-1]:.2f}, {pairs} pairs)  "
        f"ours {spoken(median(mine))}, peer {spoken(median(theirs))}  {target.judge(value) if target else ''}".rstrip(),
        flush=True,
    )
    # So that a row that is taken in several goes can be put together.
    print(f"    each: {' '.join(f'{ratio:.3f}' for ratio in ratios)}", flush=True)
    return value


def tell(what: str, value: float, unit: str, target: Target | None = None, *, note: str = "") -> None:
    """Print one figure."""
    judged = target.judge(value) if target is not None else ""
    print(f"  {what}: {value:.4g} {unit}  {judged}{'  ' + note if note else ''}".rstrip(), flush=True)


def spoken(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run_seconds(command: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """Run a program to its end and return how long that took. What was written before is on the disk when it starts."""
    os.sync()
    start = time.perf_counter()
    subprocess.run(  # noqa: S603 - fixed words and our own paths
        command, check=True, capture_output=True, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def machine() -> str:
    """Describe the machine by what the figures depend on."""
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    flags = next((line.split() for line in told.splitlines() if line.startswith("flags")), [])
    wanted = [flag for flag in ("sha_ni", "avx2", "avx512f") if flag in flags]
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores ({', '.join(wanted) or 'no SHA or AVX instructions'}), load {load}"
