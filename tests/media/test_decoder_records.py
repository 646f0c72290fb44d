"""Sound and film of common codings are cleaned; what hides in the record for their decoder is named."""

from pathlib import Path

import pytest

from archive.errors import InputError
from media.cleaners.sample_entries import strange_entry
from media.ranges import BytesRanges
from media.sample_tables import tables_of
from media.workbench import Workbench
from tests.media.cleaned import cleaned
from tests.media.made_videos import ffmpeg, framemd5, numbered, tone

pytestmark = pytest.mark.usefixtures("sandbox")

H264 = ["-c:v", "libx264", "-preset", "ultrafast"]
_FILMS = {
    # A voice memo of a telephone, and what is in the files of televisions, browsers and old telephones.
    "memo.m4a": (["-vn", "-c:a", "alac"], b"alac"),
    "memo.mov": ([*H264, "-c:a", "alac"], b"alac"),
    "ac3.mp4": ([*H264, "-c:a", "ac3"], b"dac3"),
    "eac3.mp4": ([*H264, "-c:a", "eac3"], b"dec3"),
    "vp9.mp4": (["-c:v", "libvpx-vp9", "-deadline", "realtime", "-an"], b"vpcC"),
    "opus.mp4": ([*H264, "-c:a", "libopus"], b"dOps"),
    "old.3gp": (["-c:v", "h263", "-an"], b"d263"),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    for name, (options, _) in _FILMS.items():
        ffmpeg(*numbered("176x144", "15", 1), *tone(1), *options, folder / name)
    return {name: folder / name for name in _FILMS}


@pytest.fixture(scope="module")
def old_phone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.263 with AMR, as telephones before 2010 wrote; the sound is made by hand, as no encoder of it is at hand."""
    folder = tmp_path_factory.mktemp("amr")
    frames = b"".join(b"\x04" + bytes((7 * frame + octet) & 255 for octet in range(12)) for frame in range(50))
    (folder / "voice.amr").write_bytes(b"#!AMR\n" + frames)
    sound: list[str | Path] = ["-i", folder / "voice.amr", "-map", "0:v", "-map", "1:a", "-c:v", "h263", "-c:a", "copy"]
    ffmpeg(*numbered("176x144", "15", 1), *sound, folder / "phone.3gp")
    return folder / "phone.3gp"


@pytest.mark.parametrize("name", list(_FILMS))
def test_a_film_of_a_common_coding_is_cleaned_and_plays_the_same(
    films: dict[str, Path], workbench: Workbench, tmp_path: Path, name: str
) -> None:
    _, content = cleaned(workbench, films[name].read_bytes())
    copy = tmp_path / name
    copy.write_bytes(content)
    assert framemd5(copy) == framemd5(films[name])
    assert _FILMS[name][1] in content and b"Lav" not in content


def test_a_film_of_an_old_telephone_is_cleaned_and_its_vendor_goes(
    old_phone: Path, workbench: Workbench, tmp_path: Path
) -> None:
    told = old_phone.read_bytes()
    assert told.count(b"damrFFMP") == 1
    _, content = cleaned(workbench, told.replace(b"damrFFMP", b"damrNoki").replace(b"d263FFMP", b"d263Noki"))
    assert b"Noki" not in content
    (tmp_path / "copy.3gp").write_bytes(content)
    assert framemd5(tmp_path / "copy.3gp") == framemd5(old_phone)


@pytest.mark.parametrize("name", list(_FILMS))
def test_words_behind_the_record_for_a_decoder_are_named(films: dict[str, Path], name: str) -> None:
    handler, stsd = _description(films[name], _FILMS[name][1])
    assert list(strange_entry(stsd, handler)) == []
    spoken = _longer(stsd, _FILMS[name][1], b"Maria Rossi 7")
    assert list(strange_entry(spoken, handler)) == [
        f"more in the box {_FILMS[name][1].decode()!r} than what a decoder needs"
    ]


def test_words_in_a_voice_memos_record_never_come_out_in_a_clean_copy(
    films: dict[str, Path], workbench: Workbench
) -> None:
    """The record is copied as it is read; four of its numbers are made to spell a name."""
    content = films["memo.m4a"].read_bytes()
    at = content.rindex(b"alac") + 4 + 4
    planted = content[: at + 12] + b"Maria Rossi " + content[at + 24 :]
    try:
        _, copy = cleaned(workbench, planted)
    except InputError as error:
        assert error.code in ("media/not-clean", "media/cannot-clean")
    else:
        assert b"Maria Rossi" not in copy


def _description(path: Path, mark: bytes) -> tuple[str, bytes]:
    source = BytesRanges(path.read_bytes())
    for number, handler in ((0, "vide"), (1, "soun"), (0, "soun")):
        stsd = tables_of(source, number)[0].get(b"stsd", b"")
        if mark in stsd and (handler == "vide") == (mark in (b"vpcC", b"d263")):
            return handler, stsd
    raise AssertionError(mark)


def _longer(stsd: bytes, mark: bytes, more: bytes) -> bytes:
    """Write a box longer, and all that it lies in."""
    at = stsd.rindex(mark) - 4
    size = int.from_bytes(stsd[at : at + 4], "big")
    longer = stsd[:at] + (size + len(more)).to_bytes(4, "big") + stsd[at + 4 : at + size] + more + stsd[at + size :]
    around = [8]
    if 0 <= (wave := stsd.find(b"wave") - 4) < at:
        around.append(wave)
    for place in around:
        inside = int.from_bytes(longer[place : place + 4], "big") + len(more)
        longer = longer[:place] + inside.to_bytes(4, "big") + longer[place + 4 :]
    return longer
