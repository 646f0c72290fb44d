"""Sound as telephones, dictation machines and films hold it is cleaned and sounds the same."""

from pathlib import Path

import pytest

from media.boxes import tracks
from media.ranges import BytesRanges
from media.workbench import Workbench
from tests.media.cleaned import cleaned
from tests.media.made_videos import ffmpeg, framemd5, numbered, tone
from tests.often import often

pytestmark = pytest.mark.usefixtures("sandbox")

NAME = "Maria Rossi 7"
TOLD = ["-metadata", f"title={NAME}", "-metadata", f"artist={NAME}"]
TELEPHONE = ["-ar", "8000", "-ac", "1"]
_WAVES = {
    "pcm_u8": [],
    "pcm_s16le": [],
    "pcm_s24le": [],
    "pcm_s32le": [],
    "pcm_f32le": [],
    "pcm_alaw": TELEPHONE,
    "pcm_mulaw": TELEPHONE,
    "adpcm_ms": TELEPHONE,
    "adpcm_ima_wav": TELEPHONE,
    "libgsm_ms": TELEPHONE,
    "libmp3lame": ["-ar", "44100"],
}


@pytest.mark.parametrize("coding", often(_WAVES, "pcm_mulaw", "pcm_f32le", "adpcm_ms"))
def test_a_wave_file_of_every_common_coding_is_cleaned_and_sounds_the_same(
    workbench: Workbench, tmp_path: Path, coding: str
) -> None:
    original, copy = tmp_path / "original.wav", tmp_path / "copy.wav"
    ffmpeg(*tone(2), "-c:a", coding, *_WAVES[coding], *TOLD, original)
    assert NAME.encode() in original.read_bytes()
    _, content = cleaned(workbench, original.read_bytes())
    copy.write_bytes(content)
    assert framemd5(copy) == framemd5(original) != []
    assert NAME.encode() not in content and b"Lavf" not in content


@pytest.mark.parametrize(
    "coding",
    often(["pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_mulaw", "pcm_alaw"], "pcm_s24le", "pcm_mulaw"),
)
def test_a_film_with_plain_sound_is_cleaned_and_sounds_the_same(
    workbench: Workbench, tmp_path: Path, coding: str
) -> None:
    original, copy = tmp_path / "original.mov", tmp_path / "copy.mov"
    picture = ["-c:v", "libx264", "-preset", "ultrafast"]
    ffmpeg(*numbered("176x144", "15", 1), *tone(1), *picture, "-c:a", coding, *TOLD, original)
    _, content = cleaned(workbench, original.read_bytes())
    copy.write_bytes(content)
    assert framemd5(copy) == framemd5(original) != []
    assert NAME.encode() not in content


@pytest.mark.parametrize("rate", often(["8000", "11025", "16000", "48000"], "8000", "48000"))
@pytest.mark.parametrize("wrapped", ["memo.m4a", "memo.3gp"])
def test_the_delay_of_a_slow_sound_counts_in_samples_and_not_in_seconds(
    workbench: Workbench, tmp_path: Path, rate: str, wrapped: str
) -> None:
    original, copy = tmp_path / wrapped, tmp_path / f"copy-{wrapped}"
    ffmpeg(*tone(2), "-c:a", "aac", "-ar", rate, "-ac", "1", original)
    assert [each.hides for each in tracks(BytesRanges(original.read_bytes()))] == [False]
    verdict, content = cleaned(workbench, original.read_bytes())
    copy.write_bytes(content)
    assert framemd5(copy) == framemd5(original) != []
    assert "anew" not in verdict.tool


def test_an_edit_that_hides_more_than_a_delay_is_told_at_any_rate(tmp_path: Path) -> None:
    memo = tmp_path / "memo.m4a"
    ffmpeg(*tone(2), "-c:a", "aac", "-ar", "8000", "-ac", "1", memo)
    content = memo.read_bytes()
    begin = content.index(b"elst") + 4 + 8 + 4
    assert content[begin : begin + 4] == (1024).to_bytes(4, "big")
    later = content[:begin] + (2_240).to_bytes(4, "big") + content[begin + 4 :]
    assert [each.hides for each in tracks(BytesRanges(later))] == [True]
