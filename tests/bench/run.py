"""`make bench`: the figures of speed and memory, each against a peer in the same minute on the same files.

    run.py [large] [fixity] [photos] [log] [review] [cleaning] [extraction] [upload] [--pairs N] [--photos N]
           [--work FOLDER]

Ratios are medians of interleaved pairs, with the least and the greatest. A figure is printed whether it reaches what it
must be or not, and the exit code is 0 either way. Figures that count are entered in docs/evidence.md with their date.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import row_extraction, row_fixity, row_large, row_log, row_photos, row_upload, row_video
from tests.bench.composition import REPOSITORY, Founded, found
from tests.bench.pairs import machine
from tests.bench.peers import missing

_ROWS = ("large", "fixity", "photos", "log", "review", "cleaning", "extraction", "upload")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure Testigo against its peers.")
    parser.add_argument("rows", nargs="*", choices=[[], *_ROWS], help="which rows (default: all)")
    parser.add_argument("--pairs", type=int, default=7, help="interleaved pairs for each ratio (default 7)")
    parser.add_argument("--photos", type=int, default=10_000, help="how many small photos (default 10,000)")
    parser.add_argument(
        "--work", type=Path, default=REPOSITORY / "build" / "bench", help="a folder on the disk to measure"
    )
    asked = parser.parse_args()
    if lacking := missing():
        print(f"Not measured: {', '.join(lacking)} not installed. `scripts/setup --bench` installs them.")
        return 0
    asked.work.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="run-", dir=asked.work))
    try:
        template = found(work / "template")
        for row in asked.rows or _ROWS:
            print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine()}", flush=True)
            _measure(row, work, template, asked)
    finally:
        shutil.rmtree(work)
    return 0


def _measure(row: str, work: Path, template: Founded, asked: argparse.Namespace) -> None:
    match row:
        case "large":
            row_large.measure(work, template, asked.pairs)
        case "fixity":
            row_fixity.measure(work, template, asked.pairs)
        case "photos":
            row_photos.measure(work, template, asked.pairs, asked.photos)
        case "log":
            row_log.measure(work, template, asked.pairs)
        case "upload":
            row_upload.measure(work, template, asked.pairs)
        case "review":
            row_video.measure_review(work, asked.pairs)
        case "cleaning":
            row_video.measure_cleaning(work, asked.pairs)
        case "extraction":
            row_extraction.measure(work, asked.pairs)


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that gigabytes do not stay behind.
    sys.exit(main())
