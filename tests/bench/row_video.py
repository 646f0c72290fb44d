"""Row `video`: a review copy against the bare FFmpeg command that makes the same, and a cleaning against a bare copy.

Both are measured without the archive: what is compared is the confinement and the way that octets take through it.
"""

import ctypes
import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import ffmpeg

from media.cleaners.audio_video import AudioVideoCleaner
from media.cleaners.port import CleanRequest
from media.confinement import open_confinement
from media.identify import Format
from media.metadata_classes import MetadataClass
from media.moving_previews import proxy_options, proxy_rate
from media.options import MIB, MediaSettings
from media.preview_parts import Streamed
from media.previews import Previews
from media.ranges import FileRanges
from media.workbench import Workbench
from tests.bench.pairs import at_least, at_most, compare, run_seconds, tell

_CLIP_SECONDS = 60
_LARGE_MIB = 1024
_SET_CHILD_SUBREAPER = 36
_KEPT = frozenset({MetadataClass.RENDERING, MetadataClass.STRUCTURE})


class OnDisk:
    """A file on the disk, as the workbench reads one."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.size = path.stat().st_size

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:
        return self._file.readinto(buffer)


def measure(work: Path, pairs: int) -> None:
    clip, large = work / "clip.mp4", work / "large.mp4"
    _make_clip(clip)
    _make_large(clip, large)
    print(
        f"video: {_CLIP_SECONDS} s of 1080p30 in {clip.stat().st_size / MIB:.0f} MiB, "
        f"and {large.stat().st_size / MIB:.0f} MiB"
    )
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
            line = ffmpeg.input(str(clip), threads=2).output(
                str(work / "bare.mp4"), **proxy_options(rate, False), **sound
            )
            run_seconds(line.compile(overwrite_output=True))

        compare("review copy, CPU ÷ bare ffmpeg", _cpu(review), _cpu(bare_review), pairs, at_most(1.1))
        cleaner = AudioVideoCleaner(confinement, settings)
        form = Format(mime_type="video/mp4", name="MP4", kind=examination.format.kind, pronom=None)

        def clean() -> float:
            os.sync()
            start = time.perf_counter()
            request = CleanRequest(
                source=FileRanges(OnDisk(large)), format=form, keep=_KEPT, deadline=time.monotonic() + 600
            )
            with (work / "clean.mp4").open("wb", buffering=0) as sink:
                cleaner.clean(request, sink)
                os.fsync(sink.fileno())
            return time.perf_counter() - start

        def bare_copy() -> float:
            target = work / "copy.mp4"
            seconds = run_seconds(["ffmpeg", "-v", "error", "-y", "-i", str(large), "-c", "copy", str(target)])
            start = time.perf_counter()
            with target.open("rb") as written:
                os.fsync(written.fileno())
            return seconds + time.perf_counter() - start

        compare(
            "cleaning 1 GiB, rate ÷ `ffmpeg -c copy`, both synced", clean, bare_copy, pairs, at_least(0.8), faster=True
        )
    tell("peak memory of our process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB", at_most(500))


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
