"""Films in which somebody hid or damaged something: it is gone from the copy, or there is none and the reason is told.

What is seen and heard stays the same wherever there is a copy.
"""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from archive.errors import InputError
from archive.types import Audience
from media.workbench import Workbench
from tests.media.altered_films import Film
from tests.media.cleaned import cleaned
from tests.media.made_videos import ffmpeg, framemd5, numbered, tone
from tests.often import often

pytestmark = pytest.mark.usefixtures("sandbox")

NEEDLE = b"NEEDLE-Maria-Rossi-7741"
_PICTURE, _SOUND = 0, 1
_CODED = {
    "h264.mp4": ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"],
    "hevc.mp4": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-c:a", "aac"],
    "mjpeg.mov": ["-c:v", "mjpeg", "-q:v", "3", "-c:a", "pcm_s16le"],
    "mjpeg.mkv": ["-c:v", "mjpeg", "-q:v", "3", "-c:a", "pcm_s16le"],
    "png.mov": ["-c:v", "png", "-c:a", "pcm_s16le"],
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    for name, options in _CODED.items():
        ffmpeg(*numbered("160x96", "25", 4), *tone(4), *options, folder / name)
    return {name: folder / name for name in _CODED}


def _same(workbench: Workbench, content: bytes, folder: Path, suffix: str) -> bytes:
    """Clean a film, and hold what is seen and heard of the copy against the original."""
    _, copy = cleaned(workbench, content, Audience.PUBLIC)
    before, after = folder / f"before{suffix}", folder / f"after{suffix}"
    before.write_bytes(content)
    after.write_bytes(copy)
    assert framemd5(after) == framemd5(before)
    return copy


def _refused(workbench: Workbench, content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        cleaned(workbench, content, Audience.PUBLIC)
    assert caught.value.code in ("media/cannot-clean", "media/not-clean")
    return caught.value.message


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = NEEDLE.decode(), "Secretphone"
    exif.get_ifd(0x8825)[2] = (34.0, 3.0, 27.5)
    block = exif.tobytes()
    return struct.pack(">BBH", 0xFF, 0xE1, len(block) + 2) + block


def _after_start(segment: bytes) -> Callable[[int, int, bytes], bytes]:
    return lambda track, _at, sample: sample[:2] + segment + sample[2:] if track == _PICTURE else sample


@pytest.mark.parametrize("number", often([0xE1, 0xE5, 0xED, 0xFE], 0xE1))
def test_what_every_picture_of_a_motion_jpeg_film_says_goes(
    films: dict[str, Path], workbench: Workbench, tmp_path: Path, number: int
) -> None:
    words = struct.pack(">BBH", 0xFF, number, len(NEEDLE) + 2) + NEEDLE
    segment = _exif() if number == 0xE1 else words
    planted = Film(films["mjpeg.mov"].read_bytes()).alter(_after_start(segment)).octets()
    assert planted.count(NEEDLE) == 100
    copy = _same(workbench, planted, tmp_path, ".mov")
    assert NEEDLE not in copy and b"Secretphone" not in copy
    (tmp_path / "planted.mov").write_bytes(planted)
    ffmpeg("-i", tmp_path / "planted.mov", "-c", "copy", tmp_path / "planted.mkv")
    assert NEEDLE in (tmp_path / "planted.mkv").read_bytes()
    assert NEEDLE not in _same(workbench, (tmp_path / "planted.mkv").read_bytes(), tmp_path, ".mkv")


@pytest.mark.parametrize("kind", often([0xE0, 0xEE, 0xDB, 0xCC], 0xEE, 0xDB))
def test_what_cannot_be_taken_out_of_motion_jpeg_is_refused(
    films: dict[str, Path], workbench: Workbench, tmp_path: Path, kind: int
) -> None:
    content = {0xE0: b"AVI1\0" + NEEDLE, 0xEE: b"Adobe" + NEEDLE, 0xDB: b"\3" + NEEDLE.ljust(64), 0xCC: NEEDLE + b"!"}
    segment = struct.pack(">BBH", 0xFF, kind, len(content[kind]) + 2) + content[kind]
    planted = tmp_path / "planted.mov"
    planted.write_bytes(Film(films["mjpeg.mov"].read_bytes()).alter(_after_start(segment)).octets())
    ffmpeg("-i", planted, "-c", "copy", tmp_path / "planted.mkv")
    for path in (planted, tmp_path / "planted.mkv"):
        assert NEEDLE in path.read_bytes()
        assert "words inside the coded pictures" in _refused(workbench, path.read_bytes())


def test_films_of_pictures_that_can_say_anything_are_refused(films: dict[str, Path], workbench: Workbench) -> None:
    assert "its pictures (png)" in _refused(workbench, films["png.mov"].read_bytes())


@pytest.mark.parametrize("kind", often([2, 3, 4, 9, 10, 11, 13, 14, 15, 19, 20, 21, 24], 2, 9, 15, 24))
def test_units_of_h264_that_no_player_shows_keep_nothing(
    films: dict[str, Path], workbench: Workbench, tmp_path: Path, kind: int
) -> None:
    unit = bytes((kind,)) + NEEDLE + b"\x80"
    film = Film(films["h264.mp4"].read_bytes()).alter(_before(unit))
    copy = _same(workbench, film.octets(), tmp_path, ".mp4")
    assert NEEDLE not in copy
    (tmp_path / "film.mp4").write_bytes(film.octets())
    ffmpeg("-i", tmp_path / "film.mp4", "-c", "copy", "-movflags", "frag_keyframe", tmp_path / "pieces.mp4")
    assert NEEDLE in (tmp_path / "pieces.mp4").read_bytes()
    try:
        _, copy = cleaned(workbench, (tmp_path / "pieces.mp4").read_bytes(), Audience.PUBLIC)
    except InputError as error:
        assert error.code in ("media/cannot-clean", "media/not-clean")
    else:
        assert NEEDLE not in copy


@pytest.mark.parametrize("head", [b"\x46\x01", b"\x02\x09", b"\x42\x09"])
def test_units_of_hevc_that_no_player_shows_keep_nothing(
    films: dict[str, Path], workbench: Workbench, tmp_path: Path, head: bytes
) -> None:
    film = Film(films["hevc.mp4"].read_bytes()).alter(_before(head + NEEDLE + b"\x80", at=99))
    assert NEEDLE not in _same(workbench, film.octets(), tmp_path, ".mp4")


@pytest.mark.parametrize("head", [b"\x48\x01", b"\x4a\x01"])
def test_an_end_of_hevc_with_words_in_it_is_refused(films: dict[str, Path], workbench: Workbench, head: bytes) -> None:
    content = films["hevc.mp4"].read_bytes()
    _refused(workbench, Film(content).alter(_before(head + NEEDLE + b"\x80", at=99)).octets())


def _before(unit: bytes, at: int = 5) -> Callable[[int, int, bytes], bytes]:
    octets = struct.pack(">I", len(unit)) + unit
    return lambda track, number, sample: octets + sample if (track, number) == (_PICTURE, at) else sample


@pytest.mark.parametrize("kind", [7, 8])
def test_parameters_among_the_pictures_are_parameters_or_refused(
    films: dict[str, Path], workbench: Workbench, tmp_path: Path, kind: int
) -> None:
    content = films["h264.mp4"].read_bytes()
    film = Film(content).alter(_before(bytes((0x60 | kind,)) + NEEDLE + b"\x80"))
    _refused(workbench, film.octets())
    plain = _parameters(content)[kind]
    copy = _same(workbench, Film(content).alter(_before(plain)).octets(), tmp_path, ".mp4")
    assert copy.count(plain) == 2
    _refused(workbench, Film(content).alter(_before(plain + NEEDLE + b"\x80")).octets())


def _parameters(content: bytes) -> dict[int, bytes]:
    at = content.index(b"avcC") + 4
    (length,) = struct.unpack_from(">H", content, at + 6)
    picture = at + 8 + length + 1
    (other,) = struct.unpack_from(">H", content, picture)
    return {7: content[at + 8 : at + 8 + length], 8: content[picture + 2 : picture + 2 + other]}


def test_words_behind_the_parameters_of_h264_go(films: dict[str, Path], workbench: Workbench, tmp_path: Path) -> None:
    content = films["h264.mp4"].read_bytes()
    film, plain = Film(content), _parameters(content)[7]
    table = film.box(_PICTURE, b"mdia", b"minf", b"stbl", b"stsd")
    assert isinstance(table.content, bytes)
    at = table.content.index(b"avcC")
    longer = plain + NEEDLE + b"\x80"
    changed = table.content.replace(struct.pack(">H", len(plain)) + plain, struct.pack(">H", len(longer)) + longer)
    for place in (8, at - 4):
        size = struct.unpack_from(">I", changed, place)[0] + len(longer) - len(plain)
        changed = changed[:place] + struct.pack(">I", size) + changed[place + 4 :]
    table.content = changed
    assert NEEDLE in film.octets()
    assert NEEDLE not in _same(workbench, film.octets(), tmp_path, ".mp4")


def test_a_colour_profile_with_words_in_it_is_refused(films: dict[str, Path], workbench: Workbench) -> None:
    made = io.BytesIO()
    for profile in (NEEDLE.ljust(200), made.getvalue()):
        film = Film(films["h264.mp4"].read_bytes())
        film.add_to_entry(_PICTURE, b"colr", b"prof" + profile)
        assert "colour profile" in _refused(workbench, film.octets())


def test_a_length_that_is_told_too_short_hides_nothing(
    films: dict[str, Path], workbench: Workbench, tmp_path: Path
) -> None:
    film = Film(films["h264.mp4"].read_bytes())
    header = film.box(_PICTURE, b"mdia", b"mdhd")
    assert isinstance(header.content, bytes)
    (scale,) = struct.unpack_from(">I", header.content, 12)
    header.content = header.content[:16] + struct.pack(">I", scale) + header.content[20:]
    film.edit(_PICTURE, 1000, 0)
    (tmp_path / "lie.mp4").write_bytes(film.octets())
    verdict, copy = cleaned(workbench, film.octets(), Audience.PUBLIC)
    assert verdict.tool == "ffmpeg (video encoded anew)"
    (tmp_path / "copy.mp4").write_bytes(copy)
    shown, left = (len([line for line in framemd5(tmp_path / name) if line.startswith("0 ")]) for name in
                   ("lie.mp4", "copy.mp4"))  # fmt: skip
    assert shown == left < 35


@pytest.mark.parametrize("track", [_PICTURE, _SOUND])
def test_a_film_of_which_a_part_cannot_be_read_is_refused(
    films: dict[str, Path], workbench: Workbench, track: int
) -> None:
    def lie(of: int, at: int, offset: int) -> int:
        return 0xFFFFFFF0 if (of, at) == (track, 40) else offset

    _refused(workbench, Film(films["h264.mp4"].read_bytes()).octets(lie))


def test_a_cover_before_the_tracks_does_not_change_which_is_which(
    films: dict[str, Path], workbench: Workbench, tmp_path: Path
) -> None:
    cover = tmp_path / "cover.jpg"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64", "-frames:v", "1", cover)
    ffmpeg("-i", films["h264.mp4"], "-i", cover, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1",
           "attached_pic", tmp_path / "covered.mp4")  # fmt: skip
    film = Film((tmp_path / "covered.mp4").read_bytes())
    film.moov.sort(key=lambda box: (b"mvhd", b"udta", b"trak").index(box.kind))
    covered = film.octets()
    (tmp_path / "first.mp4").write_bytes(covered)
    verdict, copy = cleaned(workbench, covered, Audience.PUBLIC)
    assert verdict.tool == "ffmpeg"
    (tmp_path / "copy.mp4").write_bytes(copy)
    assert framemd5(tmp_path / "copy.mp4") == framemd5(tmp_path / "first.mp4")
