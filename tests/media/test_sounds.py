"""Every sound of a film is heard in review and stays in its copies, or no copy is made; what goes is named."""

import io
import re
import subprocess
from pathlib import Path

import pytest

from archive.errors import InputError
from archive.types import Audience
from media.cleaning import Verdict
from media.preview_parts import NotMade, Part, Preview, Streamed
from media.ranges import BytesRanges
from media.workbench import Workbench
from tests.media.cleaned import cleaned
from tests.media.made_videos import ffmpeg, tone
from tests.often import often

PICTURE = ["-f", "lavfi", "-i", "testsrc=size=160x96:rate=10:duration=2"]
SILENCE = ["-f", "lavfi", "-i", "anullsrc=r=48000:cl=mono:d=2"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
BOTH = ["-map", "0:v", "-map", "1:a", "-map", "2:a", *H264, "-c:a", "aac"]


def sounds_of(content: bytes, folder: Path) -> list[tuple[str, str]]:
    """Give of each sound the digest of its samples, and whether players play it by default."""
    path = folder / "asked"
    path.write_bytes(content)
    ask = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "a",
        "-show_entries",
        "stream_disposition=default",
        "-of",
        "csv=p=0",
    ]
    flags = subprocess.run([*ask, str(path)], check=True, capture_output=True, text=True).stdout.split()
    read = ["ffmpeg", "-v", "error", "-i", str(path)]
    return [
        (
            subprocess.run(
                [*read, "-map", f"0:a:{at}", "-f", "md5", "-"], check=True, capture_output=True, text=True
            ).stdout,
            flag,
        )
        for at, flag in enumerate(flags)
    ]


def loudness(content: bytes, folder: Path) -> float:
    """Give the mean volume of what a player plays, in decibels."""
    path = folder / "heard"
    path.write_bytes(content)
    said = subprocess.run(
        ["ffmpeg", "-i", str(path), "-af", "volumedetect", "-f", "null", "-"],
        check=True,
        capture_output=True,
        text=True,
    ).stderr
    found = re.search(r"mean_volume: (-?[\d.]+) dB", said)
    assert found is not None
    return float(found[1])


def previews_of(workbench: Workbench, content: bytes) -> dict[str, Preview]:
    source = BytesRanges(content)
    return {each.purpose: each for each in workbench.previews(source, workbench.examine(source))}


def review_copy(preview: Preview) -> tuple[bytes, dict[str, object]]:
    assert isinstance(preview, Streamed)
    made = io.BytesIO()
    facts, _ = preview.write(made)
    return made.getvalue(), facts


def unreadable(content: bytes, *, which: int) -> bytes:
    """Give one of the sounds a coding that nobody knows, and its parameters a box that nobody reads."""
    for known, unknown in ((b"mp4a", b"zzzz"), (b"esds", b"zsds")):
        parts = content.split(known)
        content = known.join(parts[: which + 1]) + unknown + known.join(parts[which + 1 :])
    return content


@pytest.mark.parametrize("audience", often([Audience.PRESS, Audience.COURT, Audience.LITIGATION], Audience.PRESS))
@pytest.mark.parametrize(
    "name",
    often(
        ["two.mp4", "two.mov", "two.mkv", "two.avi", "second-by-default.mp4", "two.m4a"],
        "two.mp4",
        "two.mkv",
        "second-by-default.mp4",
    ),
)
def test_each_sound_stays_in_a_copy_in_its_order(
    name: str, audience: Audience, tmp_path: Path, workbench: Workbench
) -> None:
    made = tmp_path / name
    flags = ["-disposition:a:0", "0", "-disposition:a:1", "default"] if "second" in name else []
    only = ["-vn", "-map", "-0:v"] if name.endswith("m4a") else []
    ffmpeg(*PICTURE, *SILENCE, *tone(2), *BOTH, *only, *flags, made)
    before = sounds_of(made.read_bytes(), tmp_path)
    assert len(before) == 2
    verdict, copy = cleaned(workbench, made.read_bytes(), audience)
    assert sounds_of(copy, tmp_path) == before
    assert verdict.parts_gone == ()


def test_two_sounds_of_which_an_edit_list_hides_a_part_are_both_encoded_anew(
    tmp_path: Path, workbench: Workbench
) -> None:
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    ffmpeg(*PICTURE, *SILENCE, *tone(2), *BOTH, "-g", "50", whole)
    ffmpeg("-ss", "1", "-i", whole, "-map", "0", "-c", "copy", cut)
    verdict, copy = cleaned(workbench, cut.read_bytes())
    assert "encoded anew" in verdict.tool
    assert len(sounds_of(copy, tmp_path)) == 2
    assert loudness(review_copy(previews_of(workbench, copy)["proxy"])[0], tmp_path) > -40


@pytest.mark.parametrize("flags", [[], ["-disposition:a:0", "0", "-disposition:a:1", "default"]])
def test_the_review_copy_lets_all_sounds_be_heard(flags: list[str], tmp_path: Path, workbench: Workbench) -> None:
    made = tmp_path / "silent-first.mp4"
    ffmpeg(*PICTURE, *SILENCE, *tone(2), *BOTH, *flags, made)
    previews = previews_of(workbench, made.read_bytes())
    review, facts = review_copy(previews["proxy"])
    assert facts["sounds_mixed"] == 2
    assert loudness(review, tmp_path) > -40
    waveform = previews["waveform"]
    assert isinstance(waveform, Part) and max(map(int, re.findall(rb"\d+", waveform.content))) > 1000


@pytest.mark.parametrize("audience", [Audience.PRESS, Audience.COURT])
def test_an_only_sound_that_cannot_be_read_is_not_dropped(
    audience: Audience, tmp_path: Path, workbench: Workbench
) -> None:
    made = tmp_path / "made.mp4"
    ffmpeg(*PICTURE, *tone(2), *H264, "-c:a", "aac", made)
    with pytest.raises(InputError, match="a sound of a coding that is not known here"):
        cleaned(workbench, unreadable(made.read_bytes(), which=0), audience)


def test_a_film_whose_sound_cannot_be_read_is_shown_without_it_and_this_is_said(
    tmp_path: Path, workbench: Workbench
) -> None:
    made = tmp_path / "made.mp4"
    ffmpeg(*PICTURE, *tone(2), *H264, "-c:a", "aac", made)
    previews = previews_of(workbench, unreadable(made.read_bytes(), which=0))
    review, facts = review_copy(previews["proxy"])
    assert facts["sounds_not_readable"] == 1 and b"avc1" in review
    said = previews["waveform"]
    assert isinstance(said, NotMade) and "played here without sound" in said.problem.reason


def test_another_form_of_a_sound_goes_and_is_named_only_where_it_is_switched_off(
    tmp_path: Path, workbench: Workbench
) -> None:
    """As telephones record for their own players, beside the sound for all."""
    made, on = tmp_path / "made.mp4", tmp_path / "on.mp4"
    ffmpeg(*PICTURE, *tone(2), *tone(2), *BOTH, "-disposition:a:0", "default", "-disposition:a:1", "0", made)
    verdict, copy = cleaned(workbench, unreadable(made.read_bytes(), which=1), Audience.COURT)
    assert verdict.parts_gone == ("another form of the sound, of a coding that is not known here",)
    assert verdict.values()["parts_gone"] == list(verdict.parts_gone)
    assert sounds_of(copy, tmp_path) == sounds_of(made.read_bytes(), tmp_path)[:1]
    ffmpeg("-i", made, "-map", "0", "-c", "copy", "-disposition:a:0", "default", "-disposition:a:1", "default", on)
    with pytest.raises(InputError, match="a sound of a coding that is not known here"):
        cleaned(workbench, unreadable(on.read_bytes(), which=1))


@pytest.mark.parametrize("name", often(["words.mkv", "words.mp4"], "words.mp4"))
def test_subtitles_go_by_name_and_a_court_gets_no_copy_without_them(
    name: str, tmp_path: Path, workbench: Workbench
) -> None:
    words, made = tmp_path / "w.srt", tmp_path / name
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nThey knock.\n", encoding="utf-8")
    coding = "srt" if name.endswith("mkv") else "mov_text"
    ffmpeg(
        *PICTURE,
        *tone(2),
        "-i",
        words,
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "2",
        *H264,
        "-c:a",
        "aac",
        "-c:s",
        coding,
        made,
    )
    verdict, copy = cleaned(workbench, made.read_bytes())
    assert [each.partition(" (")[0] for each in verdict.parts_gone] == ["subtitles"]
    assert b"They knock" not in copy
    for audience in (Audience.COURT, Audience.IMMIGRATION):
        with pytest.raises(InputError, match="a viewer may also see subtitles"):
            cleaned(workbench, made.read_bytes(), audience)


def test_a_second_picture_goes_by_name_and_a_court_gets_no_copy_without_it(
    tmp_path: Path, workbench: Workbench
) -> None:
    made = tmp_path / "two-cameras.mkv"
    ffmpeg(*PICTURE, *PICTURE, *tone(2), "-map", "0", "-map", "1", "-map", "2", *H264, "-c:a", "aac", made)
    verdict, _ = cleaned(workbench, made.read_bytes())
    assert isinstance(verdict, Verdict) and verdict.parts_gone == ("another picture (h264)",)
    with pytest.raises(InputError, match=r"another picture \(h264\)"):
        cleaned(workbench, made.read_bytes(), Audience.COURT)
