"""Watches the memory of this process and of all that descend from it, while something runs."""

import os
import threading
from pathlib import Path

PAGE_OCTETS = os.sysconf("SC_PAGE_SIZE")
BETWEEN_LOOKS_S = 0.02


class MemoryWatch:
    """Keeps the largest sums that were seen, in octets; what several processes share counts once.

    The kernel's own maximum (`ru_maxrss`) is of no use here: a child begins with all that its parent has in memory,
    which in a process that ran other tests is much.
    """

    def __init__(self) -> None:
        self.before = sum(_resident_family().values())
        self.peak = self.before
        self.largest_child = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(BETWEEN_LOOKS_S):
            family = _resident_family()
            self.peak = max(self.peak, sum(family.values()))
            family.pop(os.getpid())
            self.largest_child = max(self.largest_child, *family.values(), 0)


def own_peak_kib() -> int:
    """The most that this process held since its program began; see `MemoryWatch` for why not `ru_maxrss`."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _resident_family() -> dict[int, int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    family = {os.getpid()}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return {member: _resident(member) for member in family}


def _resident(process: int) -> int:
    """Give the octets in memory of a process, each page divided by its sharers (`Pss`); all where that is shut."""
    place = Path("/proc") / str(process)
    try:
        return next(
            int(line.split()[1]) << 10
            for line in (place / "smaps_rollup").read_text().splitlines()
            if line.startswith("Pss:")
        )
    except (OSError, StopIteration):
        pass
    try:
        return int((place / "statm").read_text().split()[1]) * PAGE_OCTETS
    except (OSError, IndexError):
        return 0
