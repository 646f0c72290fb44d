"""Films of older cameras (MPEG-4, Motion JPEG, MPEG-2) are cleaned; words among their pictures go, or are named."""

from pathlib import Path

import pytest

from archive.errors import InputError
from archive.settings import Settings
from archive.types import Audience
from commands.workshop import policy_of
from media.cleaners.media_walks import walk_riff
from media.cleaners.registry import CLEANERS, INSPECTORS
from media.cleaning import plan_copy
from media.copies import MemoryCopy
from media.options import MediaSettings
from media.ranges import BytesRanges
from media.workbench import Workbench
from tests.media.made_videos import ffmpeg, framemd5, numbered, tone

pytestmark = pytest.mark.usefixtures("sandbox")

NEEDLE = b"Maria Rossi 7"
_CODINGS = {
    "mpeg4.avi": ["-c:v", "mpeg4", "-c:a", "mp3"],
    "mpeg4.mp4": ["-c:v", "mpeg4", "-c:a", "aac"],
    "mpeg4.mkv": ["-c:v", "mpeg4", "-c:a", "aac"],
    "h264.avi": ["-c:v", "libx264", "-bf", "0", "-c:a", "mp3"],
    "mjpeg.avi": ["-c:v", "mjpeg", "-q:v", "3", "-c:a", "pcm_s16le"],
    "mjpeg.mov": ["-c:v", "mjpeg", "-q:v", "3", "-c:a", "pcm_s16le"],
    "mpeg2.mkv": ["-c:v", "mpeg2video", "-c:a", "mp3"],
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    for name, options in _CODINGS.items():
        ffmpeg(*numbered("320x180", "25", 2), *tone(2), *options, folder / name)
    return {name: folder / name for name in _CODINGS}


def _clean(content: bytes) -> bytes:
    with Workbench(MediaSettings(workers=1), cleaners=CLEANERS, inspectors=INSPECTORS) as workbench:
        source, copy = BytesRanges(content), MemoryCopy()
        examination = workbench.examine(source)
        plan = plan_copy(policy_of(Settings()), examination.format.kind, Audience.PUBLIC)
        workbench.clean(source, examination, plan, copy)
    return copy.sink.getvalue()


@pytest.mark.parametrize("name", list(_CODINGS))
def test_a_film_of_an_older_coding_is_cleaned_and_looks_the_same(
    films: dict[str, Path], tmp_path: Path, name: str
) -> None:
    copy = tmp_path / name
    copy.write_bytes(_clean(films[name].read_bytes()))
    assert framemd5(copy) == framemd5(films[name])
    assert b"x264 - core" not in copy.read_bytes()


@pytest.mark.parametrize("name", ["mpeg4.avi", "mpeg4.mp4", "mpeg4.mkv"])
@pytest.mark.parametrize("which", ["first", "last"])
def test_words_among_mpeg_4_pictures_are_refused(films: dict[str, Path], name: str, which: str) -> None:
    content = films[name].read_bytes()
    before, mark, after = (content.partition if which == "first" else content.rpartition)(b"\0\0\x01\xb2")
    assert mark and after.startswith(b"Lavc")
    with pytest.raises(InputError) as caught:
        _clean(before + mark + NEEDLE + after[len(NEEDLE) :])
    assert caught.value.code == "media/not-clean"
    assert "words inside the coded pictures" in caught.value.message


@pytest.mark.parametrize("name", ["mjpeg.avi", "mjpeg.mov"])
def test_words_beside_motion_jpeg_pictures_go(films: dict[str, Path], tmp_path: Path, name: str) -> None:
    content = films[name].read_bytes()
    at = content.index(b"Lavc")
    spoken = content[:at] + NEEDLE + content[at + len(NEEDLE) :]
    planted, copy = tmp_path / f"planted-{name}", tmp_path / name
    planted.write_bytes(spoken)
    copy.write_bytes(_clean(spoken))
    assert NEEDLE not in copy.read_bytes()
    assert framemd5(copy) == framemd5(films[name]) == framemd5(planted)


def test_words_behind_a_bitmaps_header_are_named(films: dict[str, Path]) -> None:
    content = _clean(films["mpeg4.avi"].read_bytes())  # Beside the format it has the parameters.
    at = content.index(b"strf") + 8 + 40
    planted = content[:at] + NEEDLE + content[at + len(NEEDLE) :]
    named = "more beside the format of the pictures than a format"
    assert named in list(walk_riff(BytesRanges(planted)))
    assert named not in list(walk_riff(BytesRanges(content)))
