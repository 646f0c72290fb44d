"""Row `large`: one file of 1 GiB against OpenSSL, restic and Borg; memory at 1 and 4 GiB; two files at once."""

import os
from pathlib import Path
from statistics import median

from tests.bench.composition import Founded, Importing, Told
from tests.bench.pairs import at_least, at_most, compare, run_seconds, tell
from tests.bench.peers import borg_seconds, restic_seconds

_GIB = 1 << 30
_MIB_IN_KIB = 1024


def measure(work: Path, template: Founded, pairs: int) -> None:
    print(
        "large: import of one 1 GiB file of random octets (read, SHA-256, seal, BLAKE3, fsync, read back, log, publish)"
    )
    print("  Without metadata. Against OpenSSL the clock runs from the import's first step to its acknowledgement in a")
    print("  process that is already up; against restic and Borg it runs from the start of Python to its end.")
    one, other = _random_file(work / "one.bin"), _random_file(work / "other.bin")
    told: list[Told] = []

    def ours() -> Told:
        archive = template.again()
        told.append(Importing(archive, one).told())
        archive.remove()
        return told[-1]

    openssl = ["openssl", "dgst", "-sha256", str(one)]
    compare("wall ÷ openssl dgst -sha256", lambda: ours().wall, lambda: run_seconds(openssl), pairs, at_most(1.20))
    compare("wall ÷ restic backup", lambda: ours().whole, lambda: restic_seconds(work, one), pairs, at_most(0.5))
    compare("wall ÷ borg create", lambda: ours().whole, lambda: borg_seconds(work, one), pairs, at_most(0.5))
    tell("cores used by one import", median(each.cpu / each.wall for each in told), "of 2")
    tell("peak memory at 1 GiB", max(each.peak_kib for each in told) / _MIB_IN_KIB, "MiB", at_most(200))
    _two_at_once(template, one, other, pairs)
    one.unlink()
    other.unlink()
    _four_gib(work, template)


def _two_at_once(template: Founded, one: Path, other: Path, pairs: int) -> None:
    """Two imports in two processes into one archive, as of two cards."""
    cores: list[float] = []

    def both() -> float:
        archive = template.again()
        running = [Importing(archive, source) for source in (one, other)]
        told = [each.told() for each in running]
        archive.remove()
        wall = max(each.whole for each in told)
        cores.append(sum(each.cpu for each in told) / max(each.wall for each in told))
        return wall

    def alone() -> float:
        archive = template.again()
        told = Importing(archive, one).told()
        archive.remove()
        return told.whole

    compare("wall of two files at once ÷ of one", both, alone, pairs, at_most(2.0))
    tell("cores used by two at once", median(cores), "of 2", at_least(1.6))


def _four_gib(work: Path, template: Founded) -> None:
    sparse = work / "four.bin"
    with sparse.open("wb") as file:
        file.truncate(4 * _GIB)
    archive = template.again()
    told = Importing(archive, sparse).told()
    archive.remove()
    sparse.unlink()
    tell("peak memory at 4 GiB", told.peak_kib / _MIB_IN_KIB, "MiB", at_most(200), note="a sparse file, one run")


def _random_file(path: Path) -> Path:
    with path.open("wb") as file:
        for _ in range(_GIB >> 20):
            file.write(os.urandom(1 << 20))
    return path
