"""Video and sound lose all that they say of themselves and stay what is seen and heard."""

import hashlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.errors import InputError
from archive.settings import Settings
from archive.types import Audience, EvidenceKind
from commands.workshop import policy_of
from media.cleaners.audio_video import AudioVideoCleaner
from media.cleaners.av_inspector import AudioVideoInspector
from media.cleaners.mp3 import Mp3Cleaner
from media.cleaners.port import Cleaned, Cleaner, CleanRequest
from media.cleaning import plan_copy
from media.confinement import Confinement
from media.copies import MemoryCopy
from media.metadata_classes import MetadataClass
from media.ranges import BytesRanges
from media.workbench import Workbench
from tests.conftest import CorpusFinder
from tests.media.conftest import SETTINGS, VECTORS
from tests.media.made_videos import exiftool, ffmpeg, framemd5, iphone_like, numbered, shown_numbers, tone, tracks_of
from tests.often import often

KEPT = frozenset({MetadataClass.RENDERING, MetadataClass.STRUCTURE})
SOUND_AND_VIDEO = (".mp4", ".mov", ".m4a", ".3gp", ".mkv", ".webm", ".avi", ".mp3", ".wav", ".ogg", ".opus", ".flac")
DAMAGED = {"flac_application.flac", "Matroska.mkv", "too-short.mp3", "106-invalid-streaminfo.flac", "hello.mp4"}
# FFmpeg itself plays these otherwise once the tags behind the sound are gone: it takes them for sound, or their length.
PLAYED_OTHERWISE = {"apev2-lyricsv2.mp3", "audacious-trailing-id32-apev2.mp3"}
NEEDLES = (b"SECRET", b"x264", b"Lavf", b"Lavc", b"GoPro", b"HERO")


@pytest.fixture(scope="module")
def cleaners(confinement: Confinement) -> Iterator[tuple[Cleaner, ...]]:
    yield (AudioVideoCleaner(confinement, SETTINGS), Mp3Cleaner(confinement, SETTINGS))


class Cleaning:
    """Cleans files and keeps the copies beside each other."""

    def __init__(
        self, folder: Path, workbench: Workbench, cleaners: tuple[Cleaner, ...], inspector: AudioVideoInspector
    ) -> None:
        self._folder = folder
        self._workbench = workbench
        self._cleaners = cleaners
        self._inspector = inspector

    def __call__(self, path: Path) -> tuple[Path, Cleaned]:
        source = BytesRanges(path.read_bytes())
        found = self._workbench.examine(source).format
        taker = next((each for each in self._cleaners if each.takes(found)), None)
        if taker is None:
            raise InputError("media/cannot-clean", f"There is no cleaner here that takes {found.mime_type}.")
        copy = io.BytesIO()
        deadline = time.monotonic() + 60
        cleaned = taker.clean(CleanRequest(source=source, format=found, keep=KEPT, deadline=deadline), copy)
        target = self._folder / f"clean-{path.name}"
        target.write_bytes(copy.getvalue())
        made = BytesRanges(copy.getvalue())
        form = self._workbench.examine(made).format
        assert form.mime_type == cleaned.mime_type
        assert list(self._inspector.inspect(made, form, KEPT, deadline)) == []
        return target, cleaned


@pytest.fixture
def clean(tmp_path: Path, workbench: Workbench, cleaners: tuple[Cleaner, ...], confinement: Confinement) -> Cleaning:
    return Cleaning(tmp_path, workbench, cleaners, AudioVideoInspector(confinement, SETTINGS))


BITEXACT = ["-flags", "+bitexact"]
TOLD = ["-metadata", "title=SECRET-TITLE", "-metadata", "comment=SECRET", "-metadata", "location=+34.05-118.24/"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"]
MADE = {
    "h264.mp4": [*H264, "-c:a", "aac"],
    "h264.mov": [*H264, "-c:a", "pcm_s16le"],
    "hevc.mp4": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-c:a", "aac"],
    "hevc.mkv": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-c:a", "flac"],
    "h264.mkv": [*H264, "-c:a", "libvorbis"],
    "vp9.webm": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"],
    "av1.mp4": ["-c:v", "libaom-av1", "-cpu-used", "8", "-c:a", "aac"],
    "h264.3gp": [*H264, "-c:a", "aac"],
    "mjpeg.avi": ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"],
    "sound.m4a": ["-vn", "-c:a", "aac"],
    "sound.mp3": ["-vn", "-c:a", "libmp3lame"],
    "sound.wav": ["-vn", "-c:a", "pcm_s16le", "-write_bext", "1", "-metadata", "originator=SECRET-DEVICE"],
    "sound.ogg": ["-vn", "-c:a", "libvorbis"],
    "sound.opus": ["-vn", "-c:a", "libopus"],
    "sound.flac": ["-vn", "-c:a", "flac"],
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_seen_and_heard_stays_and_what_is_told_goes(name: str, tmp_path: Path, clean: Cleaning) -> None:
    made = tmp_path / name
    ffmpeg(*numbered("160x96", "10", 1), *tone(1), *TOLD, *BITEXACT, *MADE[name], made)
    copy, _ = clean(made)
    assert framemd5(copy) == framemd5(made)
    octets = copy.read_bytes()
    assert [needle for needle in NEEDLES if needle in octets and needle != b"Lavf"] == []
    told = exiftool("-ee3", "-a", "-G1", "-s", copy)
    assert "SECRET" not in told and "GPS" not in told and "34.05" not in told


def test_the_settings_that_x264_writes_into_the_video_were_there_before(tmp_path: Path) -> None:
    made = tmp_path / "h264.mp4"
    ffmpeg(*numbered("160x96", "10", 1), *H264, made)
    assert b"x264" in made.read_bytes()


def test_chapters_subtitles_attachments_and_covers_are_gone(tmp_path: Path, clean: Cleaning) -> None:
    words, chapters, made = tmp_path / "w.srt", tmp_path / "c.txt", tmp_path / "full.mkv"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nSECRET-WORDS\n", encoding="utf-8")
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nSTART=0\nEND=900\ntitle=SECRET-CHAPTER\n", encoding="utf-8")
    ffmpeg(
        *numbered("160x96", "10", 1), *tone(1), "-i", words, "-i", chapters, "-map", "0", "-map", "1", "-map", "2",
        "-map_metadata", "3", "-map_chapters", "3", "-attach", words, "-metadata:s:t", "mimetype=text/plain",
        *H264, "-c:a", "flac", "-c:s", "srt", made,
    )  # fmt: skip
    assert len(tracks_of(made)) == 4
    copy, _ = clean(made)
    assert tracks_of(copy) == ["video", "audio"]
    assert b"SECRET" not in copy.read_bytes()
    assert framemd5(copy) == framemd5(made)


@pytest.mark.parametrize("begin", [None, 0.5], ids=["whole", "trimmed"])
def test_a_telephones_video_keeps_picture_and_sound_and_nothing_else(
    begin: float | None, tmp_path: Path, clean: Cleaning
) -> None:
    made = iphone_like(tmp_path, seconds=2, begin=begin)
    before = exiftool("-ee3", "-a", "-G1", "-s", made)
    assert "GPSLatitude" in before and "SECRET-OWNER" in before and b"SECRET-TIMED" in made.read_bytes()
    assert len(tracks_of(made)) == 5
    copy, cleaned = clean(made)
    assert tracks_of(copy) == ["video", "audio"]
    after = exiftool("-ee3", "-a", "-G1", "-s", "--System:all", copy)
    assert not [word for word in ("GPS", "SECRET", "Apple, ", "iPhone", "Lavc", "GoPro", "2026:") if word in after]
    assert not [needle for needle in NEEDLES if needle in copy.read_bytes()]
    assert exiftool("-s3", "-CreateDate", copy).strip() == "0000:00:00 00:00:00"
    if begin is None:
        assert cleaned.tool == "ffmpeg" and framemd5(copy) == framemd5(made)
        assert exiftool("-s3", "-Rotation", copy) == exiftool("-s3", "-Rotation", made)
    else:
        assert "encoded anew" in cleaned.tool
        shown = shown_numbers(made)
        assert shown[0] == 15 and 0 in shown_numbers(made, ignore_edits=True), "the original hides what was trimmed"
        assert shown_numbers(copy, ignore_edits=True) == shown, (
            "the copy has what the original shows, and hides nothing"
        )


def test_what_the_press_gets_of_a_telephones_video_was_read_by_others(tmp_path: Path, workbench: Workbench) -> None:
    source = BytesRanges(iphone_like(tmp_path, seconds=2).read_bytes())
    copy = MemoryCopy()
    plan = plan_copy(policy_of(Settings()), EvidenceKind.VIDEO, Audience.PRESS)
    verdict = workbench.clean(source, workbench.examine(source), plan, copy)
    made = copy.sink.getvalue()
    assert verdict.sha256 == hashlib.sha256(made).digest() and not verdict.whole
    assert dict(verdict.removed)[MetadataClass.LOCATION] > 2
    assert not [needle for needle in (*NEEDLES, b"34.05", b"iPhone") if needle in made]


@pytest.mark.parametrize("step", often([4, 1], 4))
def test_every_sound_and_video_of_the_corpus_is_cleaned_or_refused_with_a_reason(
    corpus: CorpusFinder, clean: Cleaning, step: int
) -> None:
    files = [each for each in sorted(corpus("media-metadata").rglob("*")) if each.suffix in SOUND_AND_VIDEO][::step]
    refused = set()
    for path in files:
        try:
            copy, _ = clean(path)
        except InputError as error:
            assert error.code == "media/cannot-clean" and len(error.message) > 40
            refused.add(path.name)
            continue
        if path.name not in PLAYED_OTHERWISE:
            assert framemd5(copy) == framemd5(path), path.name
        assert len(framemd5(copy)) == len(framemd5(path)), path.name
    assert refused <= DAMAGED
    assert len(files) * step > 25


def test_what_is_no_video_is_refused_with_a_reason(tmp_path: Path, clean: Cleaning) -> None:
    torn = tmp_path / "torn.mp4"
    torn.write_bytes((VECTORS / "video-with-sound.mp4").read_bytes()[:2000])
    with pytest.raises(InputError) as caught:
        clean(torn)
    assert caught.value.code == "media/cannot-clean"
    assert "kept as it is" in caught.value.message
