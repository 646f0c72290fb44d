"""Duration and streams, told by a confined ffprobe whatever the size of the file."""

import time

import pytest

from archive.errors import InputError
from media.confinement import Confinement, ConfinementLevel, find_tool
from media.options import MediaSettings
from media.problems import Problem
from media.ranges import BytesRanges
from media.video import StreamProbe, Streams, parse_streams
from tests.media.conftest import VECTORS

IN_ONE_MEMORY_FILE, BY_RANGES = 32, 0


@pytest.fixture(params=[IN_ONE_MEMORY_FILE, BY_RANGES])
def small_file_mib(request: pytest.FixtureRequest) -> int:
    """Both ways of giving a file to ffprobe; the second needs the full sandbox."""
    if request.param == BY_RANGES:
        request.getfixturevalue("sandbox")
    return int(request.param)


def _probe(confinement: Confinement, content: bytes, small_file_mib: int = 32) -> Streams | Problem:
    settings = MediaSettings(small_file_mib=small_file_mib, rlimits_only=True)
    probe = StreamProbe(find_tool("ffprobe"), confinement, settings)
    return probe.probe(BytesRanges(content), deadline=time.monotonic() + 30)


def test_a_video_tells_duration_streams_frame_rate_and_rotation(
    confinement: Confinement, rotated_video: bytes, small_file_mib: int
) -> None:
    told = _probe(confinement, rotated_video, small_file_mib)
    assert isinstance(told, Streams)
    (stream,) = told.streams
    assert (stream.kind, stream.codec, stream.width, stream.height) == ("video", "h264", 64, 48)
    assert stream.frame_rate == "30000/1001"
    assert stream.rotation == 90
    assert told.duration is not None
    assert told.duration.startswith("1.0")
    assert told.version
    assert b"/proc/self/fd" not in told.raw
    assert b"127.0.0.1" not in told.raw


def test_both_ways_tell_the_same_of_a_video_with_sound(confinement: Confinement, small_file_mib: int) -> None:
    told = _probe(confinement, (VECTORS / "video-with-sound.mp4").read_bytes(), small_file_mib)
    assert isinstance(told, Streams)
    assert told.duration == "5.568000"
    video, sound = told.streams
    assert (video.kind, video.codec, video.width, video.height, video.frame_rate) == ("video", "h264", 560, 320, "30/1")
    assert (sound.kind, sound.codec, sound.channels, sound.sample_rate) == ("audio", "aac", 1, 48000)


def test_sound_alone_has_a_duration(confinement: Confinement) -> None:
    told = _probe(confinement, (VECTORS / "sound.m4a").read_bytes())
    assert isinstance(told, Streams)
    assert [stream.kind for stream in told.streams] == ["audio"]
    assert told.duration == "3.706522"


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x00\x00\x00\x18ftypisom" + bytes(4000)])
def test_what_cannot_be_played_is_a_value_with_a_reason(
    confinement: Confinement, content: bytes, small_file_mib: int
) -> None:
    told = _probe(confinement, content or b"\0", small_file_mib)
    assert isinstance(told, Problem)
    assert told.code == "media/no-streams"


def test_a_playlist_opens_nothing_beside_itself(confinement: Confinement) -> None:
    playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///usr/share/perl/strict.pm\n#EXT-X-ENDLIST\n"
    told = _probe(confinement, playlist)
    assert isinstance(told, Problem)


def test_without_a_sandbox_a_large_file_is_not_served_on_everybodys_loopback(rotated_video: bytes) -> None:
    with Confinement(ConfinementLevel.RLIMITS_ONLY, run_as="nobody") as limited:
        large = _probe(limited, rotated_video, small_file_mib=0)
        small = _probe(limited, rotated_video)
    assert isinstance(large, Problem)
    assert large.code == "media/needs-sandbox"
    assert isinstance(small, Streams)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[]", b'{"streams": 5}', b'{"streams": ["x"]}', b"not json", b'{"a":' * 5000],
)
def test_an_answer_without_streams_is_refused(raw: bytes) -> None:
    with pytest.raises(InputError):
        parse_streams(raw)


def test_values_of_a_wrong_shape_become_none() -> None:
    told = parse_streams(
        b'{"streams":[{"codec_type":"video","width":-5,"height":"x","avg_frame_rate":"0/0","r_frame_rate":"1e9/1",'
        b'"duration":"NaN","side_data_list":[{"rotation":-90}],"channels":1.5}],"format":{"duration":"-1"}}'
    )
    (stream,) = told.streams
    assert (stream.width, stream.height, stream.frame_rate, stream.duration) == (None, None, None, None)
    assert stream.rotation == 90
    assert told.duration is None
