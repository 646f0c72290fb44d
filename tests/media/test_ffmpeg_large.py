"""A large file goes through FFmpeg by ranges and comes back whole, in little memory and with nothing on a disk."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archive.types import EvidenceKind
from media.confinement import Confinement, open_confinement
from media.doors import TARGET
from media.ffmpeg import Ffmpeg, Run
from media.likeness_maker import LikenessMaker
from media.options import MediaSettings
from media.ranges import BytesRanges
from tests.media.made_videos import ffmpeg, framemd5, numbered, tone

SMALLEST = MediaSettings(small_file_mib=0)
_COPY = {"c": "copy", "map_metadata": -1, "fflags": "+bitexact", "f": "mp4"}


def _copied(confinement: Confinement, source: bytes) -> bytes:
    sink = io.BytesIO()
    run = Run(build=lambda given: given.output(TARGET, **_COPY), deadline=time.monotonic() + 60, most=1 << 30)
    Ffmpeg(confinement, SMALLEST).write(run, BytesRanges(source), sink)
    return sink.getvalue()


@pytest.mark.usefixtures("sandbox")
def test_the_way_by_ranges_gives_an_ordinary_seekable_file(tmp_path: Path) -> None:
    made, copy = tmp_path / "made.mp4", tmp_path / "copy.mp4"
    h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"]
    ffmpeg(*numbered("320x180", "25", 8), *tone(8), *h264, made)
    with open_confinement(SMALLEST) as confinement:
        copy.write_bytes(_copied(confinement, made.read_bytes()))
    assert framemd5(copy) == framemd5(made)
    assert b"moof" not in copy.read_bytes()


@pytest.mark.usefixtures("sandbox")
def test_a_large_film_has_the_likeness_of_the_same_film_as_a_small_file(tmp_path: Path) -> None:
    made = tmp_path / "made.mp4"
    ffmpeg(*numbered("320x180", "25", 8), "-c:v", "libx264", "-preset", "ultrafast", made)
    found = []
    for settings in (MediaSettings(), SMALLEST):
        with open_confinement(settings) as confinement:
            maker = LikenessMaker(confinement, settings)
            found.append(maker.make(BytesRanges(made.read_bytes()), EvidenceKind.VIDEO, "video/mp4", "camera file"))
    assert not found[0].problem and any(each is not None for each in found[0].pictures)
    assert found[1] == found[0]


@pytest.mark.long
@pytest.mark.usefixtures("sandbox")
def test_a_video_of_two_gibibytes_is_copied_in_little_memory(tmp_path: Path) -> None:
    clip, listing, large = tmp_path / "clip.mp4", tmp_path / "list.txt", tmp_path / "large.mp4"
    noise = "nullsrc=size=1280x720:rate=30:duration=10,geq=random(1)*255:128:128"
    ffmpeg("-f", "lavfi", "-i", noise, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "10", clip)
    times = (2 << 30) // clip.stat().st_size + 1
    listing.write_text(f"file '{clip}'\n" * times, encoding="utf-8")
    ffmpeg("-f", "concat", "-safe", "0", "-i", listing, "-c", "copy", large)
    said = subprocess.run(
        [sys.executable, str(Path(__file__)), str(large), str(tmp_path / "copy.mp4")],
        check=True, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2],
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": "/usr/bin:/bin:/usr/sbin"},
    ).stdout  # fmt: skip
    assert json.loads(said)["peak_mib"] < 500
    assert json.loads(said)["octets"] > 2 << 30


def main(source: Path, target: Path) -> None:
    """Copy in a process of its own, whose memory can be told."""
    from media.ranges import FileRanges
    from tests.bench.on_disk import OnDisk
    from tests.memory import own_peak_kib

    settings = MediaSettings()
    with open_confinement(settings) as confinement, target.open("wb", buffering=0) as sink:
        run = Run(build=lambda given: given.output(TARGET, **_COPY), deadline=time.monotonic() + 900, most=4 << 30)
        Ffmpeg(confinement, settings).write(run, FileRanges(OnDisk(source)), sink)
        peak = own_peak_kib() / 1024
        print(json.dumps({"peak_mib": peak, "octets": target.stat().st_size}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
