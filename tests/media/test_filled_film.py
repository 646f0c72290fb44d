"""A large film is copied without leading its media data through FFmpeg, octet for octet as FFmpeg would copy it."""

import io
import random
import struct
import time
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from archive.errors import UnavailableError
from archive.types import EvidenceKind
from media.boxes import walk
from media.cleaners.audio_video import AudioVideoCleaner
from media.cleaners.port import CleanRequest
from media.confinement import Confinement, open_confinement
from media.filled_film import FilledFilm, filled_film
from media.hollow_film import HollowFilm, hollow_film
from media.identify import Format
from media.options import MediaSettings
from media.policy import ALWAYS_KEPT
from media.ranges import BytesRanges
from media.sample_tables import only_what_is_played, tables_of
from tests.media.made_videos import ffmpeg, tone

pytestmark = pytest.mark.usefixtures("sandbox")

SMALLEST = MediaSettings(small_file_mib=0)
_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".3gp": "video/3gpp"}
_NOISE = ["-f", "lavfi", "-i", "color=gray:size=640x360:rate=25:duration=5,noise=alls=100:allf=t"]
_COPIES = {
    "first-the-index.mp4": ["-movflags", "+faststart"],
    "first-the-sound.mp4": ["-map", "0:a", "-map", "0:v"],
    "silent.mp4": ["-an"],
    "two-sounds.mp4": ["-map", "0:v", "-map", "0:a", "-map", "0:a"],
    "telephone.3gp": ["-f", "3gp"],
    "quicktime.mov": ["-color_primaries", "bt709"],
    "odd-times.mp4": ["-video_track_timescale", "90000", "-movie_timescale", "600"],
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Films whose pictures hold more octets than FFmpeg looks at before it copies."""
    folder = tmp_path_factory.mktemp("films")
    plain = folder / "plain.mp4"
    ffmpeg(*_NOISE, *tone(5), "-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "12", "-qp", "14", plain)
    for name, options in _COPIES.items():
        ffmpeg("-i", plain, "-c", "copy", *options, folder / name)
    hevc = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:qp=14", "-tag:v", "hvc1"]
    ffmpeg("-i", plain, "-c:a", "copy", *hevc, folder / "hevc.mov")
    open_groups = ["-c:v", "libx264", "-preset", "veryfast", "-g", "12", "-x264-params", "open-gop=1", "-qp", "14"]
    ffmpeg("-i", plain, "-c:a", "copy", *open_groups, folder / "open-groups.mp4")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def confined() -> Iterator[Confinement]:
    with open_confinement(SMALLEST) as confinement:
        yield confinement


def _clean(confined: Confinement, path: Path) -> tuple[bytes, str]:
    form = Format(mime_type=_TYPES[path.suffix], name="film", kind=EvidenceKind.VIDEO, pronom=None)
    request = CleanRequest(
        source=BytesRanges(path.read_bytes()), format=form, keep=ALWAYS_KEPT, deadline=time.monotonic() + 120
    )
    sink = io.BytesIO()
    tool = AudioVideoCleaner(confined, SMALLEST).clean(request, sink).tool
    return sink.getvalue(), tool


@pytest.mark.parametrize("name", ["plain.mp4", "hevc.mov", *_COPIES])
def test_the_copy_is_octet_for_octet_what_ffmpeg_makes_of_the_whole_film(
    films: dict[str, Path], confined: Confinement, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    copy, tool = _clean(confined, films[name])
    assert tool == "ffmpeg (media data brought over beside it)"
    monkeypatch.setattr("media.hollow_film._ENTRIES", frozenset[bytes]())  # as if it were coded in another way
    expected, tool = _clean(confined, films[name])
    assert tool == "ffmpeg"
    assert copy == expected
    assert only_what_is_played(BytesRanges(copy)) is True


def test_whatever_could_be_begun_at_in_the_film_can_be_begun_at_in_the_copy(
    films: dict[str, Path], confined: Confinement
) -> None:
    copy, tool = _clean(confined, films["open-groups.mp4"])
    assert tool == "ffmpeg (media data brought over beside it)"
    before, after = (
        tables_of(BytesRanges(each), 0)[0][b"stss"] for each in (films["open-groups.mp4"].read_bytes(), copy)
    )
    assert before == after and len(before) > 8 + 4 * 5


def test_what_ffmpeg_is_given_holds_the_beginning_of_the_film_and_little_else(films: dict[str, Path]) -> None:
    content = films["plain.mp4"].read_bytes()
    hollow = hollow_film(BytesRanges(content), [0, 1])
    assert hollow is not None
    picture = hollow.tracks[0]
    assert len(hollow.content) < len(content) * 3 // 4
    for at in (0, len(picture.marks) - 1):
        given = hollow.content[picture.marks[at] : picture.mark_ends[at]]
        sample = content[picture.begins[at] : picture.ends[at]]
        assert given == (sample if at == 0 else struct.pack(">II", 0, at))


def test_films_that_are_not_plain_go_the_whole_way(films: dict[str, Path], tmp_path: Path) -> None:
    pieces, other = tmp_path / "pieces.mp4", tmp_path / "other.mp4"
    ffmpeg("-i", films["plain.mp4"], "-c", "copy", "-movflags", "frag_keyframe+empty_moov", pieces)
    ffmpeg("-i", films["plain.mp4"], "-c:v", "mpeg4", "-c:a", "copy", other)
    for path in (pieces, other):
        assert hollow_film(BytesRanges(path.read_bytes()), [0, 1]) is None
    content = films["plain.mp4"].read_bytes()
    for kind in (b"stsz", b"stco", b"stsc", b"stsd"):
        assert hollow_film(BytesRanges(content.replace(kind, b"free")), [0, 1]) is None
    assert hollow_film(BytesRanges(content.replace(b"stss\0\0\0\0\0", b"stss\0\0\0\0\x7f")), [0, 1]) is None
    twice = content.replace(b"stss", b"stsz", 1)
    assert hollow_film(BytesRanges(twice), [0, 1]) is None


@pytest.fixture(scope="module")
def hollow(films: dict[str, Path]) -> HollowFilm:
    made = hollow_film(BytesRanges(films["plain.mp4"].read_bytes()), [0, 1])
    assert made is not None
    return made


@pytest.fixture(scope="module")
def hollow_copy(hollow: HollowFilm, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("copies")
    (folder / "hollow.mp4").write_bytes(hollow.content)
    ffmpeg("-i", folder / "hollow.mp4", "-c", "copy", folder / "copy.mp4")
    return (folder / "copy.mp4").read_bytes()


def test_a_copy_in_which_a_sample_is_another_is_not_filled(hollow: HollowFilm, hollow_copy: bytes) -> None:
    assert filled_film(hollow, hollow_copy, [0, 1]) is not None
    last = len(hollow.tracks[0].marks) - 1
    marks = [struct.pack(">II", 0, last - back) for back in (1, 0)]
    assert all(mark in hollow_copy for mark in marks)
    swapped = hollow_copy.replace(marks[0], b"another!").replace(marks[1], marks[0]).replace(b"another!", marks[1])
    media = next(box for box in walk(BytesRanges(hollow_copy)) if box.kind == b"mdat")
    longer = bytearray(hollow_copy)
    longer[media.begin - 8 : media.begin - 4] = struct.pack(">I", media.end - media.begin + 16)
    longer[media.end : media.end] = b"hidden!!"
    for strange in (swapped, bytes(longer), hollow_copy[:-100], b"", hollow_copy.replace(b"stsz", b"stsx"),
                    hollow_copy.replace(b"stss", b"free")):  # fmt: skip
        try:
            assert filled_film(hollow, strange, [0, 1]) is None
        except Exception as error:
            assert getattr(error, "code", "") == "media/bad-boxes"
    assert filled_film(hollow, hollow_copy, [1, 0]) is None


def test_a_film_of_more_than_four_gibibytes_has_wide_lengths_and_places(hollow: HollowFilm, hollow_copy: bytes) -> None:
    picture = hollow.tracks[0]
    begins, ends = array("Q"), array("Q")
    for at, (begin, end) in enumerate(zip(picture.begins, picture.ends, strict=True)):
        grown = (1 << 30) if at % 20 == 19 else end - begin
        begins.append(ends[-1] if ends else begin)
        ends.append(begins[-1] + grown)
    long = replace(hollow, tracks={**hollow.tracks, 0: replace(picture, begins=begins, ends=ends)})
    filled = filled_film(long, hollow_copy, [0, 1])
    assert filled is not None
    octets = sum(end - begin for begin, end in filled.runs)
    assert octets > 6 << 30
    assert filled.start[-16:] == struct.pack(">I4sQ", 1, b"mdat", octets + 16)
    assert len(filled.start) == hollow_copy.index(b"mdat") + 4
    assert filled.index.count(b"co64") == 2 and b"stco" not in filled.index


def test_whatever_order_samples_lie_in_they_arrive_in_the_copys() -> None:
    chance = random.Random(7)  # noqa: S311 - chosen places must be repeatable
    content = chance.randbytes(9_000_000)
    runs = []
    for _ in range(400):
        begin = chance.randrange(len(content) - 1)
        runs.append((begin, min(len(content), begin + chance.choice((1, 300, 70_000, 900_000)))))
    sink = io.BytesIO()
    filled = FilledFilm(start=b"start", runs=tuple(runs), index=b"index")
    filled.write(BytesRanges(content), sink, deadline=time.monotonic() + 60)
    assert sink.getvalue() == b"start" + b"".join(content[begin:end] for begin, end in runs) + b"index"
    with pytest.raises(UnavailableError) as caught:
        filled.write(BytesRanges(content), io.BytesIO(), deadline=time.monotonic() - 1)
    assert caught.value.code == "media/time-limit"
