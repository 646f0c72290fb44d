"""Confinement must not cost much: a batch of photos goes nearly as fast as through ExifTool alone."""

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from media.confinement import find_tool
from media.exiftool import COMMON_OPTIONS, EMBEDDED_OPTION
from media.options import MediaSettings
from media.ranges import BytesRanges
from media.workbench import Workbench
from tests.conftest import CorpusFinder

PROCESSES = 2
PAIRS = 7
FILES = 200
LEAST_SHARE = 0.9


class BareExifTool:
    """`exiftool -stay_open` on files of a disk, with the options of the confined one."""

    def __init__(self) -> None:
        command = [find_tool("exiftool"), "-stay_open", "True", "-@", "-", "-common_args", *COMMON_OPTIONS]
        # A session of its own, as the confined one has: the scheduler shares a busy machine by session.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self._number = 0

    def read(self, path: Path) -> bytes:
        assert self.process.stdin is not None and self.process.stdout is not None
        self._number += 1
        self.process.stdin.write(f"{EMBEDDED_OPTION}\n{path}\n-execute{self._number}\n".encode())
        said, sentinel = b"", f"{{ready{self._number}}}\n".encode()
        while not said.endswith(sentinel):
            said += os.read(self.process.stdout.fileno(), 1 << 17)
        return said


def _seconds(paths: list[Path], workers: list[Callable[[Path], object]]) -> float:
    """Share the files out among the workers, each in its own thread; give how long all took."""
    left, lock = list(paths), threading.Lock()

    def work(read: Callable[[Path], object]) -> None:
        while True:
            with lock:
                if not left:
                    return
                path = left.pop()
            read(path)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


@pytest.mark.long
def test_a_batch_of_photos_goes_nearly_as_fast_as_through_exiftool_alone(corpus: CorpusFinder) -> None:
    folder = corpus("media-metadata")
    photos = [path for path in sorted(folder.rglob("*.jpg")) if path.stat().st_size < 400_000]
    paths = (photos * (FILES // len(photos) + 1))[:FILES]
    bare = [BareExifTool() for _ in range(PROCESSES)]
    shares = []
    try:
        with Workbench(MediaSettings(workers=PROCESSES, rlimits_only=True)) as workbench:
            ours: list[Callable[[Path], object]] = [
                lambda path: workbench.examine(BytesRanges(path.read_bytes())) for _ in range(PROCESSES)
            ]
            theirs: list[Callable[[Path], object]] = [tool.read for tool in bare]
            _seconds(paths[: len(photos)], ours)
            _seconds(paths[: len(photos)], theirs)
            for number in range(PAIRS):
                pair = [(ours, "ours"), (theirs, "theirs")]
                seconds = {name: _seconds(paths, workers) for workers, name in (pair if number % 2 else pair[::-1])}
                shares.append(seconds["theirs"] / seconds["ours"])
                print(f"{FILES / seconds['ours']:.0f} files/s against {FILES / seconds['theirs']:.0f}")
    finally:
        for tool in bare:
            tool.process.kill()
            tool.process.communicate()
    print(f"share of the bare tool's throughput: {statistics.median(shares):.3f} of {sorted(shares)}")
    assert statistics.median(shares) >= LEAST_SHARE
