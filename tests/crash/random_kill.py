"""Kill -9 at random instants. It shows that nothing half done shows and that the next start goes on by itself; what was
written stays in the kernel's memory, so it shows nothing about power cuts."""

import random
import time
from pathlib import Path

from tests.crash.laboratory import Bench, Report, Subject, pace_of, started, wait_for_instant


def run(subject: Subject, folder: Path, *, tries: int, seed: int, go_on_every: int = 4) -> Report:
    """Kill the subject `tries` times, and check it after each; every so often let it go on to the end."""
    chance = random.Random(seed)  # noqa: S311 - chosen instants must be repeatable
    report = Report(tool="random kill", subject=subject.name, seed=seed)
    begun = time.monotonic()
    bench = Bench(subject, folder / "home", folder / "template")
    pace = pace_of(bench)
    for attempt in range(tries):
        bench.fresh()
        with started(subject, bench.line()) as running:
            instant = wait_for_instant(running, pace, attempt, chance)
            running.kill()
            outcome = running.end()
        wrong = list(subject.check(bench.home, outcome.acknowledged))
        if attempt % go_on_every == 0:
            wrong += bench.go_on(outcome.acknowledged)
        report.add(f"killed {instant}", outcome, wrong)
        report.after_acknowledgement += attempt % 2 == 0
    report.seconds = time.monotonic() - begun
    return report
