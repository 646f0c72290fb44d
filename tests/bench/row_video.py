"""Rows `review` and `cleaning`: a review copy against the bare FFmpeg command that makes the same, and a cleaning
against a bare copy.

Both are measured without the archive: what is compared is the confinement and the way that octets take through it.
"""

import ctypes
import io
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ffmpeg

from archive.durable import start_writing_back
from archive.settings import Settings
from archive.types import Audience, EvidenceKind
from commands.workshop import policy_of
from media.cleaners.audio_video import AudioVideoCleaner
from media.cleaners.port import CleanRequest
from media.cleaners.registry import CLEANERS, INSPECTORS
from media.cleaning import plan_copy
from media.confinement import Confinement, open_confinement
from media.identify import Format
from media.metadata_classes import MetadataClass
from media.moving_previews import proxy_options, proxy_rate
from media.options import MIB, MediaSettings
from media.preview_parts import Streamed
from media.previews import Previews
from media.ranges import FileRanges, RangeSource
from media.workbench import Workbench
from tests.bench.on_disk import OnDisk
from tests.bench.pairs import at_least, at_most, compare, run_seconds, tell
from tests.memory import own_peak_kib

_CLIP_SECONDS = 60
_LARGE_MIB = 1024
_SET_CHILD_SUBREAPER = 36
_MP4 = Format(mime_type="video/mp4", name="MP4", kind=EvidenceKind.VIDEO, pronom=None)
_KEPT = frozenset({MetadataClass.RENDERING, MetadataClass.STRUCTURE})


def measure_review(work: Path, pairs: int) -> None:
    clip = work / "clip.mp4"
    _make_clip(clip)
    print(f"review: {_CLIP_SECONDS} s of 1080p30 in {clip.stat().st_size / MIB:.0f} MiB")
    settings = MediaSettings()
    with open_confinement(settings) as confinement, Workbench(settings) as workbench:
        previews = Previews(confinement, settings)
        examination = workbench.examine(FileRanges(OnDisk(clip)))

        def review() -> None:
            made = previews.make(FileRanges(OnDisk(clip)), examination.format, examination.streams)
            proxy = next(each for each in made if isinstance(each, Streamed))
            with (work / "ours.mp4").open("wb", buffering=0) as sink:
                proxy.write(sink)

        def bare_review() -> None:
            rate = proxy_rate("30/1")
            sound = {"c:a": "aac", "b:a": "96k", "ac": 2, "ar": 48_000}
            line = ffmpeg.input(str(clip), threads=2).output(str(work / "bare.mp4"), **proxy_options(rate, ""), **sound)
            run_seconds(line.compile(overwrite_output=True))

        compare("review copy, CPU ÷ bare ffmpeg", _cpu(review), _cpu(bare_review), pairs, at_most(1.1))
    _tell_memory()


def measure_cleaning(work: Path, pairs: int) -> None:
    clip, large = work / "clip.mp4", work / "large.mp4"
    _make_clip(clip)
    _make_large(clip, large)
    print(f"cleaning: {large.stat().st_size / MIB:.0f} MiB")
    settings = MediaSettings()
    with open_confinement(settings) as confinement:
        _compare_cleaning(work, large, confinement, settings, pairs)
    _tell_memory()


def _tell_memory() -> None:
    tell("peak memory of our process", own_peak_kib() / 1024, "MiB", at_most(500))


class Copied:
    """A copy on the disk, written back while it is written, as the store writes its objects."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.sink = WrittenBack(path)

    @contextmanager
    def reading(self) -> Iterator[RangeSource]:
        os.fsync(self.sink.fileno())
        yield FileRanges(OnDisk(self._path))


class WrittenBack(io.FileIO):
    """A file that is handed to the disk every 16 MiB, and not all at its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._handed = 0

    def write(self, data: Any, /) -> int:
        count = super().write(data)
        if self.tell() - self._handed >= 16 * MIB:
            start_writing_back(self.fileno(), self._handed, self.tell() - self._handed)
            self._handed = self.tell()
        return count


def _compare_cleaning(work: Path, large: Path, confinement: Confinement, settings: MediaSettings, pairs: int) -> None:
    cleaner = AudioVideoCleaner(confinement, settings)
    target = work / "copy.mp4"

    def clean() -> float:
        _make_room(target)
        start = time.perf_counter()
        request = CleanRequest(
            source=FileRanges(OnDisk(large)), format=_MP4, keep=_KEPT, deadline=time.monotonic() + 600
        )
        with WrittenBack(target) as sink:
            cleaner.clean(request, sink)
            os.fsync(sink.fileno())
        return time.perf_counter() - start

    def bare_copy() -> float:
        _make_room(target)
        seconds = run_seconds(["ffmpeg", "-v", "error", "-y", "-i", str(large), "-c", "copy", str(target)])
        start = time.perf_counter()
        with target.open("rb") as written:
            os.fsync(written.fileno())
        return seconds + time.perf_counter() - start

    words = "cleaning 1 GiB, rate ÷ `ffmpeg -c copy`, both synced"
    compare(words, clean, bare_copy, pairs, at_least(0.8), faster=True)
    with Workbench(settings, cleaners=CLEANERS, inspectors=INSPECTORS) as workbench:
        examination = workbench.examine(FileRanges(OnDisk(large)))
        plan = plan_copy(policy_of(Settings()), examination.format.kind, Audience.PUBLIC)

        def clean_and_read() -> float:
            _make_room(target)
            start = time.perf_counter()
            workbench.clean(FileRanges(OnDisk(large)), examination, plan, Copied(target))
            return time.perf_counter() - start

        compare(f"{words}, with the second readers", clean_and_read, bare_copy, pairs, None, faster=True)


def _make_room(target: Path) -> None:
    """Outside the clock: what the last run wrote goes, and what is still to be written is."""
    target.unlink(missing_ok=True)
    os.sync()


def _cpu(work: Callable[[], None]) -> Callable[[], float]:
    """Measure the processor time of our process and of all its children that ended.

    bubblewrap leaves its sandbox to whoever reaps orphans, so here we are that.
    """
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def spent() -> float:
        used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
        return sum(each.ru_utime + each.ru_stime for each in used)

    def measured() -> float:
        before = spent()
        work()
        time.sleep(0.2)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        return spent() - before

    return measured


def _make_clip(path: Path) -> None:
    picture = f"testsrc2=size=1920x1080:rate=30:duration={_CLIP_SECONDS}"
    sound = f"sine=sample_rate=48000:duration={_CLIP_SECONDS}"
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "17M", "-c:a", "aac"]
    run_seconds(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *coded, str(path)]
    )


def _make_large(clip: Path, path: Path) -> None:
    listing = path.with_suffix(".txt")
    times = max(1, _LARGE_MIB * MIB // clip.stat().st_size)
    listing.write_text(f"file '{clip}'\n" * times, encoding="utf-8")
    run_seconds(
        ["ffmpeg", "-v", "error", "-y", "-f", "concat", "-safe", "0", "-i", str(listing), "-c", "copy", str(path)]
    )
