"""Messages inside coded pictures are filled where they stand, whatever the pieces in which a file is read."""

import math
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import InputError
from media.coded_units import Blanked, _fill, coded_track, strange_units
from media.codings import H264, HEVC
from media.ranges import BytesRanges
from media.sample_tables import only_what_is_played
from tests.media.made_videos import ffmpeg, framemd5, numbered, tone

NEEDLE = b"Maria Rossi, Via Roma 7"
# A message of a user's own: kind 5, sixteen octets of a name, then anything.
_MESSAGE = "086f3693-b7b3-4f2c-9653-21492feee5b8+" + NEEDLE.decode().replace(" ", "_").replace(",", "")
SPOKEN = NEEDLE.decode().replace(" ", "_").replace(",", "").encode()


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    made = {"h264": folder / "h264.mp4", "hevc": folder / "hevc.mov"}
    picture = numbered("320x180", "25", 2)
    ffmpeg(*picture, *tone(2), "-c:v", "libx264", "-bf", "2", "-bsf:v", f"h264_metadata=sei_user_data={_MESSAGE}",
           made["h264"])  # fmt: skip
    ffmpeg(*picture, *tone(2), "-c:v", "libx265", "-x265-params", "log-level=error:info=1", "-tag:v", "hvc1",
           made["hevc"])  # fmt: skip
    return made


def _blanked(content: bytes) -> Blanked:
    track = coded_track(BytesRanges(content), 0)
    assert track is not None
    return Blanked(BytesRanges(content), track, deadline=math.inf)


@pytest.mark.parametrize(("coding", "told"), [("h264", SPOKEN), ("h264", b"x264 - core"), ("hevc", b"x265 (build")])
def test_what_a_message_says_goes_and_no_picture_changes(
    films: dict[str, Path], tmp_path: Path, coding: str, told: bytes
) -> None:
    content, target = films[coding].read_bytes(), tmp_path / films[coding].name
    assert told in content
    target.write_bytes(_blanked(content).read_range(0, len(content)))
    assert told not in target.read_bytes()
    assert target.stat().st_size == len(content)
    assert framemd5(target) == framemd5(films[coding])
    said = subprocess.run(["ffmpeg", "-v", "warning", "-i", target, "-f", "null", "-"], capture_output=True, check=True)
    assert said.stderr == b""


@pytest.mark.parametrize("coding", ["h264", "hevc"])
def test_a_walk_names_a_message_in_the_original_and_nothing_in_the_filled_one(
    films: dict[str, Path], coding: str
) -> None:
    content = films[coding].read_bytes()
    filled = BytesRanges(_blanked(content).read_range(0, len(content)))
    for file, expected in ((BytesRanges(content), True), (filled, False)):
        track = coded_track(file, 0)
        assert track is not None
        assert bool(list(strange_units(file, track, deadline=math.inf))) == expected


@pytest.mark.parametrize("coding", ["h264", "hevc"])
def test_however_a_file_is_read_the_same_octets_come(films: dict[str, Path], coding: str) -> None:
    content = films[coding].read_bytes()
    whole = _blanked(content).read_range(0, len(content))
    chance = random.Random(3)  # noqa: S311 - chosen places must be repeatable
    reading, buffer = _blanked(content), memoryview(bytearray(1 << 16))
    for step in (1, 7, 1000, 65_536):
        begin = 0 if step > 7 else 60_000 % len(content)
        for start in range(begin, min(len(content), begin + 400 * step), step):
            count = reading.read_into(start, buffer[:step])
            assert buffer[:count] == whole[start : start + step]
    for _ in range(300):
        start, length = chance.randrange(len(content)), chance.randrange(1, 5000)
        assert reading.read_range(start, length) == whole[start : start + length]


@given(length=st.integers(3, 5000), hevc=st.booleans(), message=st.booleans())
def test_a_filled_unit_is_filler_of_just_its_length(length: int, hevc: bool, message: bool) -> None:
    coding = HEVC if hevc else H264
    header = (b"\x4e\x01" if hevc else b"\x06") if message else (b"\x7c\x01" if hevc else b"\x1e")
    unit = bytearray(length)
    _fill(memoryview(unit), 0, length, coding, header)
    assert unit[-1] == 0x80 or length <= coding.head
    assert b"\0\0" not in unit
    if coding.kind(bytes(unit)) in coding.messages:
        at = coding.head
        while at < length - 1:
            assert unit[at] == 3
            at += 1
            size = 0
            while unit[at] == 0xFF:
                size, at = size + 255, at + 1
            size, at = size + unit[at], at + 1
            assert unit[at : at + size] == b"\xff" * size
            at += size
        assert at == length - 1
    else:
        assert unit[coding.head : -1] == b"\xff" * (length - 1 - coding.head)


def test_units_that_do_not_add_up_are_refused(films: dict[str, Path]) -> None:
    content = bytearray(films["h264"].read_bytes())
    track = coded_track(BytesRanges(bytes(content)), 0)
    assert track is not None
    content[track.begins[3] : track.begins[3] + 4] = b"\x7f\xff\xff\xff"
    with pytest.raises(InputError) as caught:
        Blanked(BytesRanges(bytes(content)), track, deadline=math.inf).read_range(0, len(content))
    assert caught.value.code == "media/bad-units"
    assert list(strange_units(BytesRanges(bytes(content)), track, deadline=math.inf))


def test_what_lies_between_the_samples_is_seen(films: dict[str, Path]) -> None:
    content = films["h264"].read_bytes()
    assert only_what_is_played(BytesRanges(content)) is True
    # The media data grow by what nobody plays; the index, which comes after them here, stays right.
    at = content.index(b"moov") - 4
    size_at = content.index(b"mdat") - 4
    size = int.from_bytes(content[size_at : size_at + 4], "big") + len(NEEDLE)
    grown = content[:size_at] + size.to_bytes(4, "big") + content[size_at + 4 : at] + NEEDLE + content[at:]
    assert only_what_is_played(BytesRanges(grown)) is False
