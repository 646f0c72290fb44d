"""A gigabyte is examined through ranges: little memory here and in the tools, and nothing plain on a disk."""

import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from media.options import MediaSettings
from media.workbench import Workbench
from tests.media.conftest import VECTORS
from tests.memory import MemoryWatch

GIB = 1 << 30
MOST_EXTRA_OCTETS = 300 << 20

pytestmark = pytest.mark.usefixtures("sandbox")


class GigabyteVideo:
    """A real video with a gibibyte of unreadable media inserted before its index, made up as it is read."""

    def __init__(self, video: bytes, octets: int) -> None:
        cut = video.index(b"moov") - 4
        self._head = video[:cut] + struct.pack(">I4sQ", 1, b"mdat", octets + 16)
        self._tail = video[cut:]
        self._filling = octets
        self._pattern = os.urandom(1 << 20)
        self.size = len(self._head) + octets + len(self._tail)
        self.octets_read = 0

    def read_range(self, start: int, length: int, /) -> bytes:
        end, pieces = min(start + length, self.size), []
        filling_end = len(self._head) + self._filling
        while start < end:
            if start < len(self._head):
                piece = self._head[start:end]
            elif start < filling_end:
                offset = (start - len(self._head)) % len(self._pattern)
                piece = self._pattern[offset : offset + min(end, filling_end) - start]
            else:
                piece = self._tail[start - filling_end : end - filling_end]
            pieces.append(piece)
            start += len(piece)
        self.octets_read += length
        return b"".join(pieces)


@pytest.mark.parametrize(
    "octets", [pytest.param(48 << 20, id="48 MiB"), pytest.param(GIB, id="1 GiB", marks=pytest.mark.long)]
)
def test_a_large_video_is_examined_with_little_memory(octets: int) -> None:
    source = GigabyteVideo((VECTORS / "video-with-sound.mp4").read_bytes(), octets)
    with Workbench(MediaSettings(workers=1)) as workbench:
        with MemoryWatch() as watch:
            started = time.monotonic()
            examination = workbench.examine(source)
            seconds = time.monotonic() - started
    more = watch.peak - watch.before
    print(f"{octets >> 20} MiB: {seconds:.1f} s, {more >> 20} MiB more, {source.octets_read >> 20} read")
    assert examination.problems == ()
    assert examination.streams is not None
    assert examination.streams.duration == "5.568000"
    assert examination.claims.times
    assert more < MOST_EXTRA_OCTETS
    assert source.octets_read < octets


EXAMINE_BOTH_WAYS = """
import sys
from pathlib import Path
from media.options import MediaSettings
from media.ranges import BytesRanges
from media.workbench import Workbench
for small_file_mib in (0, 32):
    with Workbench(MediaSettings(workers=1, small_file_mib=small_file_mib)) as workbench:
        assert workbench.examine(BytesRanges(Path(sys.argv[1]).read_bytes())).streams is not None
"""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here to watch the tools' files")
def test_nothing_opens_a_file_for_writing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("watching tools that changed their user needs root")
    trace, root = tmp_path / "trace", Path(__file__).resolve().parents[2]
    watch = ["strace", "-f", "-qq", "-e", "trace=open,openat,creat", "-o", str(trace)]
    command = [*watch, sys.executable, "-B", "-c", EXAMINE_BOTH_WAYS, str(VECTORS / "video-with-sound.mp4")]
    subprocess.run(command, check=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, timeout=120)
    lines = [line for line in trace.read_text().splitlines() if " = -1 " not in line]
    written = [line for line in lines if "O_WRONLY" in line or "O_RDWR" in line or "creat(" in line]
    # The kernel's own files, and the empty view that bubblewrap builds in memory before a tool starts.
    harmless = ("/dev/null", "/dev/tty", "/proc/", "_map", "setgroups", "max_user_namespaces", "newroot")
    assert [line for line in written if not any(name in line for name in harmless)] == []
    assert any("exiftool" in line for line in lines)
