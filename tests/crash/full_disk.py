"""A disk that really is full: the file system on a loop device is filled up to a chosen rest before the program starts.

Unlike an injected ENOSPC it also refuses new files and folders, fails where the file system itself runs short, and
stays full. Then space is freed, as the message asks, and the work must go on to its end with nothing lost.
"""

import os
import random
import time
from contextlib import suppress
from pathlib import Path

from tests.crash.laboratory import Bench, Report, Subject, pace_of, run_to_end
from tests.crash.power_cut import FileSystem, disk

_BLOCK = 4096


def run(subject: Subject, folder: Path, *, kind: FileSystem, tries: int, seed: int) -> Report:
    """Run the subject `tries` times with less space than it needs, and check it each time after space was freed."""
    chance = random.Random(seed)  # noqa: S311 - chosen sizes must be repeatable
    report = Report(tool=f"full {kind}", subject=subject.name, seed=seed)
    begun = time.monotonic()
    with disk(kind, folder) as under_test:
        bench = Bench(subject, under_test.mount_point / "home", folder / "template")
        bench.fresh()
        under_test.sync()
        before = _free(under_test.mount_point)
        pace_of(bench)
        under_test.sync()
        needed = before - _free(under_test.mount_point)
        filler = under_test.mount_point / "filler"
        _fill(filler, 0)
        kept_back = _free(under_test.mount_point)  # For its own tables; no program gets it.
        filler.unlink()
        for _ in range(tries):
            bench.fresh()
            under_test.sync()
            rest = chance.randrange(needed)
            _fill(filler, kept_back + rest)
            outcome = run_to_end(subject, bench.line())
            filler.unlink()
            under_test.sync()
            wrong = list(subject.check(bench.home, outcome.acknowledged)) + bench.go_on(outcome.acknowledged)
            report.add(f"{rest // 1024} KiB were free of {needed // 1024} needed", outcome, wrong)
    report.seconds = time.monotonic() - begun
    return report


def _free(mount_point: Path) -> int:
    status = os.statvfs(mount_point)
    return status.f_bfree * status.f_frsize  # Root may use what is reserved for root.


def _fill(filler: Path, rest: int) -> None:
    """Take space until `rest` octets are free, or until the file system gives no more."""
    with filler.open("wb") as file, suppress(OSError):
        size = 0
        while (surplus := _free(filler.parent) - rest) >= _BLOCK:
            step = min(surplus // _BLOCK * _BLOCK, 1024 * _BLOCK)
            os.posix_fallocate(file.fileno(), size, step)
            size += step
