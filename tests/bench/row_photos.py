"""Row `photos`: many small photos without metadata against restic, and with metadata against ExifTool alone."""

import os
from pathlib import Path
from statistics import median

from tests.bench.composition import SAMPLES, Founded, Importing, Told
from tests.bench.pairs import at_least, at_most, compare, tell
from tests.bench.peers import exiftool_seconds, restic_seconds
from tests.bench.photos import make_photos

_WITH_METADATA = 1000
_MIB_IN_KIB = 1024


def measure(work: Path, template: Founded, pairs: int, count: int) -> None:
    folder = work / "photos"
    octets = make_photos(folder, SAMPLES, count)
    print(f"photos: {count} JPEGs, {octets / count / 1000:.0f} KB each on average, into a hybrid-keyed archive")
    told: list[Told] = []

    def ours() -> float:
        archive = template.again()
        told.append(Importing(archive, folder).told())
        archive.remove()
        if told[-1].stored != count:
            raise RuntimeError("the import that was measured did not store every photo")
        return told[-1].whole

    compare("wall ÷ restic backup, without metadata", ours, lambda: restic_seconds(work, folder), pairs, at_most(1))
    tell("a photo", median(each.wall for each in told) / count * 1000, "ms of wall clock")
    tell("a photo", median(each.cpu for each in told) / count * 1000, "ms of CPU")
    tell("peak memory", max(each.peak_kib for each in told) / _MIB_IN_KIB, "MiB", at_most(200))
    _with_metadata(work, template, pairs, min(count, _WITH_METADATA))


def _with_metadata(work: Path, template: Founded, pairs: int, count: int) -> None:
    folder = work / "photos-with-metadata"
    make_photos(folder, SAMPLES, count)
    files = sorted(folder.rglob("*.JPG"))
    # With one process on each side the second core is free for what we do beside; with one for each core nothing is.
    for processes in sorted({1, os.cpu_count() or 1}):
        _against_exiftool(template, pairs, folder, files, processes)


def _against_exiftool(template: Founded, pairs: int, folder: Path, files: list[Path], processes: int) -> None:
    told: list[Told] = []

    def ours() -> float:
        archive = template.again()
        archive.set_workers(processes)
        told.append(Importing(archive, folder, metadata=True).told())
        archive.remove()
        return told[-1].wall

    compare(
        f"rate ÷ {processes} bare `exiftool -stay_open`, {len(files)} photos with metadata, as many tools of ours",
        ours,
        lambda: exiftool_seconds(files, processes),
        pairs,
        at_least(0.9),
        faster=True,
    )
    tell("a photo", median(each.wall for each in told) / len(files) * 1000, "ms of wall clock")
    tell("a photo", median(each.cpu for each in told) / len(files) * 1000, "ms of CPU, the tools' own not counted")
