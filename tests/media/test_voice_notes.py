"""Voice notes as telephones keep them lose what is around their sound, and keep every sample."""

import random
import subprocess
from pathlib import Path

import pytest

from archive.errors import InputError
from archive.types import Audience
from media.workbench import Workbench
from tests.media.cleaned import cleaned, left_in
from tests.media.made_videos import ffmpeg, tone
from tests.often import often

SECRET = "SECRET-PLACE 34.0522"


def heard(content: bytes, folder: Path) -> bytes:
    """Give the digest of all samples."""
    path = folder / "heard"
    path.write_bytes(content)
    read = ["ffmpeg", "-v", "quiet", "-i", str(path), "-c:a", "pcm_s32le", "-f", "md5", "-"]
    return subprocess.run(read, check=True, capture_output=True, timeout=60).stdout


def _amr(mark: bytes, mode: int, length: int) -> bytes:
    """FFmpeg decodes AMR here and encodes none, so the frames hold chance."""
    chance = random.Random(7)  # noqa: S311 - it must be repeatable
    return mark + b"".join(bytes([mode << 3 | 4]) + chance.randbytes(length - 1) for _ in range(100))


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder: Path = tmp_path_factory.mktemp("notes")
    ffmpeg(*tone(2), "-c:a", "aac", folder / "note.aac")
    ffmpeg(*tone(2), "-c:a", "alac", folder / "note.caf")
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    tag = b"ID3\x04\0\0\0\0\0" + bytes([10 + len(SECRET) + 1])
    frame = b"TIT2\0\0\0" + bytes([len(SECRET) + 1]) + b"\0\0\0" + SECRET.encode()
    made["behind-a-tag.aac"] = tag + frame + made["note.aac"]
    return made | {"note.amr": _amr(b"#!AMR\n", 7, 32), "note.awb": _amr(b"#!AMR-WB\n", 2, 33)}


@pytest.mark.parametrize("audience", often([Audience.PRESS, Audience.COURT], Audience.PRESS))
@pytest.mark.parametrize("name", ["note.aac", "note.caf", "note.amr", "note.awb", "behind-a-tag.aac"])
def test_a_voice_note_keeps_every_sample_and_nothing_beside(
    name: str, audience: Audience, notes: dict[str, bytes], tmp_path: Path, workbench: Workbench
) -> None:
    verdict, copy = cleaned(workbench, notes[name], audience)
    assert verdict.mime_type == "audio/mp4"
    assert heard(copy, tmp_path) == heard(notes[name], tmp_path)
    assert left_in(copy, [SECRET]) == []


@pytest.mark.parametrize("name", ["note.aac", "note.amr", "note.awb"])
@pytest.mark.parametrize("place", ["behind", "between"])
def test_words_between_or_behind_the_frames_are_not_taken_for_sound(
    name: str, place: str, notes: dict[str, bytes], workbench: Workbench
) -> None:
    content = notes[name]
    if place == "behind":
        changed = content + SECRET.encode()
    else:
        at = content.index(b"\xff\xf1", len(content) // 2) if name.endswith("aac") else len(content) - 33 * 50
        changed = content[:at] + SECRET.encode() + content[at:]
    with pytest.raises(InputError, match="more than frames of sound"):
        cleaned(workbench, changed)


def test_what_has_no_cleaner_is_refused_for_that_reason(tmp_path: Path, workbench: Workbench) -> None:
    made = tmp_path / "note.caf"
    ffmpeg(*tone(1), "-c:a", "pcm_s16le", made)
    with pytest.raises(InputError, match=r"only sound coded as alac goes over into a copy\. Save it as M4A"):
        cleaned(workbench, made.read_bytes())
    with pytest.raises(InputError, match="there is no cleaner here for this kind of file"):
        cleaned(workbench, b"\x00\x01\x02\x03" * 20)
