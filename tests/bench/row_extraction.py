"""Row `extraction`: reading metadata alone, by ExifTool in confinement against the bare one kept open, photo by photo.

Both are given the same photos, options and number of processes, and the start of the processes is in both.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from media.confinement import Confinement, find_tool, open_confinement
from media.conversation import Allowance
from media.metadata_reader import MetadataReader
from media.options import MediaSettings
from media.ranges import FileRanges
from tests.bench.composition import SAMPLES
from tests.bench.on_disk import OnDisk
from tests.bench.pairs import at_least, compare
from tests.bench.peers import exiftool_seconds
from tests.bench.photos import make_photos

_PHOTOS = 1000
_SECONDS = 30


def measure(work: Path, pairs: int) -> None:
    folder = work / "photos-to-read"
    make_photos(folder, SAMPLES, _PHOTOS)
    files = sorted(folder.rglob("*.JPG"))
    processes = os.cpu_count() or 1
    settings = MediaSettings()
    with open_confinement(settings) as confinement:
        print(f"extraction: {len(files)} photos, {processes} processes")
        compare(
            "metadata of photos, rate ÷ bare `exiftool -stay_open`",
            lambda: _confined_seconds(confinement, settings, files, processes),
            lambda: exiftool_seconds(files, processes),
            pairs,
            at_least(0.9),
            faster=True,
        )


def _confined_seconds(
    confinement: Confinement, settings: MediaSettings, files: Sequence[Path], processes: int
) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(max_workers=processes) as threads:
        shares = [files[number::processes] for number in range(processes)]
        list(threads.map(lambda share: _read(confinement, settings, share), shares))
    return time.perf_counter() - start


def _read(confinement: Confinement, settings: MediaSettings, files: Sequence[Path]) -> None:
    with MetadataReader(find_tool(settings.exiftool_path), confinement, settings) as reader:
        for path in files:
            with OnDisk(path) as file:
                told = reader.extract(FileRanges(file), Allowance(_SECONDS))
            if told.problem is not None or not told.raw:
                raise RuntimeError("a photo that was measured was not read")
