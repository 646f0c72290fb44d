"""What the tests of the workbench share: one confinement, real tools, files of a known content."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from media.cleaners.registry import CLEANERS, INSPECTORS
from media.confinement import Confinement, find_tool, open_confinement
from media.metadata_reader import MetadataReader
from media.options import MediaSettings
from media.workbench import Workbench

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "media"
SETTINGS = MediaSettings(workers=2, rlimits_only=True)


@pytest.fixture(scope="session")
def confinement() -> Iterator[Confinement]:
    with open_confinement(SETTINGS) as opened:
        yield opened


@pytest.fixture
def reader(confinement: Confinement) -> Iterator[MetadataReader]:
    with MetadataReader(find_tool("exiftool"), confinement, SETTINGS) as opened:
        yield opened


@pytest.fixture(scope="session")
def workbench() -> Iterator[Workbench]:
    with Workbench(SETTINGS, cleaners=CLEANERS, inspectors=INSPECTORS) as opened:
        yield opened


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, so that only the confinement keeps a tool out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def rotated_video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One second of a moving pattern, 30000/1001 frames a second, to be shown turned clockwise by 90 degrees."""
    folder = tmp_path_factory.mktemp("video")
    plain, turned = folder / "plain.mp4", folder / "turned.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=30000/1001:duration=1"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-pix_fmt", "yuv420p", str(plain)], check=True)
    # This option counts against the clock; ExifTool's `Rotation` is asked below what was written.
    turn = ["-i", str(plain), "-c", "copy", "-metadata:s:v", "rotate=270"]
    subprocess.run(["ffmpeg", "-v", "error", *turn, str(turned)], check=True)
    said = subprocess.run(["exiftool", "-s3", "-Rotation", str(turned)], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "90"
    return turned.read_bytes()
