"""Words behind what a decoder is told to begin with go, or the copy is refused, in every container that is cleaned."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archive.errors import InputError
from media.cleaners.ebml_walk import CODING, PRIVATE, TRACK, TRACKS, element, walk_ebml
from media.cleaners.media_walks import walk_flac, walk_mp3, walk_ogg, walk_riff
from media.cleaners.mp3 import blanked, frames
from media.cleaners.sound_parameters import is_plain_aac, is_plain_wave_format
from media.cleaners.track_parameters import strange_parameters
from media.ranges import BytesRanges
from media.workbench import Workbench
from tests.media.cleaned import cleaned
from tests.media.made_videos import ffmpeg, framemd5, numbered, tone
from tests.often import often

pytestmark = pytest.mark.usefixtures("sandbox")

NEEDLE = b"Maria Rossi 34.0522,-118.2437"
_H264, _VP8 = ["-c:v", "libx264", "-preset", "ultrafast"], ["-c:v", "libvpx", "-deadline", "realtime"]
_FILMS = {
    "vorbis.webm": [*_VP8, "-c:a", "libvorbis"],
    "theora.mkv": ["-c:v", "libtheora", "-c:a", "libvorbis"],
    "h264.mkv": [*_H264, "-c:a", "aac"],
    "hevc.mkv": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-c:a", "libopus"],
    "mpeg4.mkv": ["-c:v", "mpeg4", "-c:a", "alac"],
    "acm.mkv": ["-c:v", "mpeg4", "-vtag", "XVID", "-c:a", "adpcm_ms"],
    "vp9.mkv": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "flac"],
    "av1.mkv": ["-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-c:a", "libopus"],
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    for name, options in _FILMS.items():
        ffmpeg(*numbered("176x144", "10", 1), *tone(1), *options, folder / name)
    return {name: folder / name for name in _FILMS}


@pytest.mark.parametrize("name", often(_FILMS, "vorbis.webm", "h264.mkv", "hevc.mkv"))
def test_a_film_in_matroska_is_cleaned_and_plays_the_same(
    films: dict[str, Path], workbench: Workbench, tmp_path: Path, name: str
) -> None:
    _, content = cleaned(workbench, films[name].read_bytes())
    (tmp_path / name).write_bytes(content)
    assert framemd5(tmp_path / name) == framemd5(films[name]) != []
    assert not [each for each in (b"Lavc5", b"x265", b"x264", b"Xiph") if each in content.replace(b"Lavc59", b"", 1)]


def test_the_comments_of_a_browsers_sound_go_and_it_sounds_the_same(
    films: dict[str, Path], workbench: Workbench, tmp_path: Path
) -> None:
    spoken = _changed(films["vorbis.webm"].read_bytes(), b"A_VORBIS", _commented)
    assert NEEDLE in spoken
    (tmp_path / "spoken.webm").write_bytes(spoken)
    _, content = cleaned(workbench, spoken)
    (tmp_path / "copy.webm").write_bytes(content)
    assert NEEDLE not in content
    assert framemd5(tmp_path / "copy.webm") == framemd5(tmp_path / "spoken.webm") == framemd5(films["vorbis.webm"])


@pytest.mark.parametrize("name", often(_FILMS, "vorbis.webm", "h264.mkv", "hevc.mkv"))
def test_words_behind_what_a_track_tells_its_decoder_never_come_out(
    films: dict[str, Path], workbench: Workbench, name: str
) -> None:
    spoken = _changed(films[name].read_bytes(), None, lambda private: private + NEEDLE if private else b"")
    assert NEEDLE in spoken
    _never_comes_out(workbench, spoken)


@pytest.mark.parametrize("name", often(_FILMS, "vorbis.webm", "h264.mkv", "hevc.mkv"))
def test_the_walk_names_words_behind_what_a_decoder_is_told(
    films: dict[str, Path], workbench: Workbench, name: str
) -> None:
    _, copy = cleaned(workbench, films[name].read_bytes())
    assert list(walk_ebml(BytesRanges(copy))) == []
    codings = [coding for coding, private in _privates(copy) if private]
    assert codings
    for coding in codings:
        spoken = _changed(copy, coding, lambda private: private + NEEDLE)
        assert list(walk_ebml(BytesRanges(spoken))), coding


@pytest.mark.parametrize("place", [0x536E, 0x22B59C, 0x258688, 0x4FFF])
def test_an_element_of_a_track_that_no_copy_of_ours_holds_is_named(
    films: dict[str, Path], workbench: Workbench, place: int
) -> None:
    """A track's name, a language that is a word, a coding's name, an element that nobody has defined."""
    _, copy = cleaned(workbench, films["h264.mkv"].read_bytes())
    more = place.to_bytes((place.bit_length() + 7) // 8, "big") + bytes([0x80 | len(NEEDLE)]) + NEEDLE
    spoken = _rebuilt(copy, lambda track: track + more)
    assert list(walk_ebml(BytesRanges(spoken)))


@pytest.mark.parametrize("coding", ["pcm_mulaw", "adpcm_ms", "adpcm_ima_wav", "libgsm_ms", "libmp3lame", "pcm_s24le"])
def test_words_in_the_format_of_a_wave_file_are_named(workbench: Workbench, tmp_path: Path, coding: str) -> None:
    slow = [] if coding == "libmp3lame" else ["-ar", "8000"]
    ffmpeg(*tone(1), "-c:a", coding, *slow, tmp_path / "sound.wav")
    _, copy = cleaned(workbench, (tmp_path / "sound.wav").read_bytes())
    (size,) = struct.unpack_from("<I", copy, 16)
    form = copy[20 : 20 + size]
    assert is_plain_wave_format(form) and list(walk_riff(BytesRanges(copy))) == []
    inside = form[:18] + NEEDLE[: size - 18]
    for spoken in ([inside] if size > 20 else []) + [
        form[:16] + struct.pack("<H", max(0, size - 18) + 30) + form[18:] + NEEDLE + b"\0"
    ]:
        changed = copy[:16] + struct.pack("<I", len(spoken)) + spoken + copy[20 + size :]
        changed = changed[:4] + struct.pack("<I", len(changed) - 8) + changed[8:]
        assert "more beside the format of the sound than a format" in list(walk_riff(BytesRanges(changed)))


@pytest.mark.parametrize("coding", ["libvorbis", "libopus", "flac", "libspeex"])
def test_words_in_any_header_of_an_ogg_file_never_come_out(workbench: Workbench, tmp_path: Path, coding: str) -> None:
    rate = ["-ar", "16000"] if coding == "libspeex" else []
    ffmpeg(*tone(1), "-c:a", coding, *rate, "-metadata", "artist=" + NEEDLE.decode(), tmp_path / "sound.ogg")
    content = (tmp_path / "sound.ogg").read_bytes()
    assert NEEDLE in content
    _, copy = cleaned(workbench, content)
    assert NEEDLE not in copy and list(walk_ogg(BytesRanges(copy))) == []
    for number in range(2):
        spoken = _longer_packet(copy, number)
        assert list(walk_ogg(BytesRanges(spoken))), number


def test_words_in_any_block_of_a_flac_file_are_named(workbench: Workbench, tmp_path: Path) -> None:
    ffmpeg(*tone(1), "-c:a", "flac", tmp_path / "sound.flac")
    _, copy = cleaned(workbench, (tmp_path / "sound.flac").read_bytes())
    assert list(walk_flac(BytesRanges(copy))) == []
    far = bytes(70_000) + NEEDLE
    for kind, block in ((1, far), (2, b"ATCH" + NEEDLE), (3, NEEDLE), (4, bytes(8) + NEEDLE), (6, NEEDLE), (0, NEEDLE)):
        spoken = copy[:42] + bytes([kind]) + len(block).to_bytes(3, "big") + block + copy[42:]
        assert list(walk_flac(BytesRanges(spoken))), kind


@pytest.mark.parametrize("at", ["before the mark", "in the table of places", "behind the fields"])
def test_words_in_the_first_frame_of_an_mp3_go_and_it_sounds_the_same(
    workbench: Workbench, tmp_path: Path, at: str
) -> None:
    sound, spoken_of, copy_of = (tmp_path / name for name in ("sound.mp3", "spoken.mp3", "copy.mp3"))
    ffmpeg(*tone(2), "-c:a", "libmp3lame", "-q:a", "4", "-id3v2_version", "0", "-write_id3v1", "0", sound)
    content = sound.read_bytes()
    mark = max(content.find(b"Xing"), content.find(b"Info"))
    place = {"before the mark": mark - 17, "in the table of places": mark + 20, "behind the fields": mark + 120}[at]
    spoken = content[:place] + NEEDLE[:17] + content[place + 17 :]
    spoken_of.write_bytes(spoken)
    _, copy = cleaned(workbench, spoken)
    copy_of.write_bytes(copy)
    assert NEEDLE[:11] not in copy
    assert framemd5(copy_of) == framemd5(spoken_of) != []
    assert list(walk_mp3(BytesRanges(spoken))) and list(walk_mp3(BytesRanges(copy))) == []
    assert blanked(first := next(frames(BytesRanges(copy)))) == first


@pytest.mark.parametrize("chunk", [b"strd", b"strn", b"vprp", b"IDIT", b"JUNK"])
def test_words_in_the_lists_of_an_avi_film_are_named(workbench: Workbench, tmp_path: Path, chunk: bytes) -> None:
    ffmpeg(*numbered("176x144", "10", 1), *tone(1), "-c:v", "mjpeg", "-c:a", "pcm_s16le", tmp_path / "film.avi")
    _, copy = cleaned(workbench, (tmp_path / "film.avi").read_bytes())
    assert list(walk_riff(BytesRanges(copy))) == []
    words = NEEDLE * 4
    at = copy.index(b"strl") - 8
    (size,) = struct.unpack_from("<I", copy, at + 4)
    inside = copy[at + 8 : at + 8 + size] + chunk + struct.pack("<I", len(words)) + words
    changed = copy[: at + 4] + struct.pack("<I", len(inside)) + inside + copy[at + 8 + size :]
    added = len(changed) - len(copy)
    for around in (4, 16):
        (length,) = struct.unpack_from("<I", changed, around)
        changed = changed[:around] + struct.pack("<I", length + added) + changed[around + 4 :]
    assert list(walk_riff(BytesRanges(changed)))


@pytest.mark.parametrize("options", [[*_H264, "-c:a", "aac"], ["-c:v", "mpeg4", "-c:a", "aac"]])
def test_what_lies_behind_the_parameters_of_sound_in_mp4_is_named(tmp_path: Path, options: list[str]) -> None:
    """The descriptor that follows is made a part of them, so that nothing need be moved."""
    ffmpeg(*numbered("176x144", "10", 1), *tone(1), *options, tmp_path / "film.mp4")
    content = (tmp_path / "film.mp4").read_bytes()
    at = content.rindex(b"esds")
    parameters = content.index(b"\x05\x80\x80\x80", at) + 4
    around = content.index(b"\x04\x80\x80\x80", at) + 4
    spoken = bytearray(content)
    spoken[parameters] += 6
    spoken[around] += 6
    assert list(strange_parameters(BytesRanges(content), 1)) == []
    assert list(strange_parameters(BytesRanges(bytes(spoken)), 1))


@pytest.mark.parametrize(
    "parameters", ["1210", "1588", "121056e500", "118856e500", "2b8a0800", "131056e59d4880", "11b056e500", "1190000000"]
)
def test_parameters_of_aac_are_read_to_their_last_bit(parameters: str) -> None:
    plain = bytes.fromhex(parameters)
    assert is_plain_aac(plain)
    assert not is_plain_aac(plain + b"Maria Rossi") and not is_plain_aac(plain + b"\0\0M")


def _never_comes_out(workbench: Workbench, spoken: bytes) -> None:
    try:
        _, copy = cleaned(workbench, spoken)
    except InputError as error:
        assert error.code in ("media/not-clean", "media/cannot-clean")
    else:
        assert NEEDLE not in copy


def _longer_packet(content: bytes, number: int) -> bytes:
    """Put words behind the header of that number, which is the only packet of its page, or the last but one."""
    places = [at for at in range(len(content) - 4) if content[at : at + 5] == b"OggS\0"]
    at = places[number]
    table = content[at + 27 : at + 27 + content[at + 26]]
    first = next(index for index, length in enumerate(table) if length < 255) + 1
    size, begin = sum(table[:first]), at + 27 + len(table)
    packet = content[begin : begin + size] + NEEDLE
    laces = bytes([255] * (len(packet) // 255) + [len(packet) % 255]) + table[first:]
    return content[: at + 26] + bytes([len(laces)]) + laces + packet + content[begin + size :]


def _commented(private: bytes) -> bytes:
    """Write the comments that a browser does not, and somebody might."""
    first, begin = private[1], 3 if private[2] < 255 else 4
    second = sum(private[2:begin])
    comments = [b"ARTIST=Maria Rossi", b"LOCATION=" + NEEDLE]
    spoken = b"".join(struct.pack("<I", len(each)) + each for each in comments)
    header = b"\x03vorbis" + struct.pack("<I", 4) + b"Xiph" + struct.pack("<I", len(comments)) + spoken + b"\x01"
    assert len(header) < 255
    after = begin + first
    return bytes([2, first, len(header)]) + private[begin:after] + header + private[after + second :]


def _elements(content: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    while (found := element(BytesRanges(content), begin, end)) is not None:
        yield begin, *found
        begin = found[2]


def _privates(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    begin, end = _tracks_at(content)
    for _, kind, first, last in _elements(content, begin, end):
        parts = {each: content[at:until] for _, each, at, until in _elements(content, first, last)}
        if kind == TRACK:
            yield parts[CODING], parts.get(PRIVATE, b"")


def _tracks_at(content: bytes) -> tuple[int, int]:
    _, _, begin, end = list(_elements(content, 0, len(content)))[1]
    return next((first, last) for _, kind, first, last in _elements(content, begin, end) if kind == TRACKS)


def _element(kind: int, content: bytes) -> bytes:
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + (len(content) | 1 << 56).to_bytes(8, "big") + content


def _rebuilt(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Write the tracks anew; the segment is made to reach to the end of the file."""
    begin, end = _tracks_at(content)
    tracks = b"".join(
        _element(kind, change(content[first:last]) if kind == TRACK else content[first:last])
        for _, kind, first, last in _elements(content, begin, end)
        if kind != 0xBF
    )
    _, segment, first, _ = list(_elements(content, 0, len(content)))[1]
    head = content[: content.index(segment.to_bytes(4, "big"))]
    before = content[first : content.index(TRACKS.to_bytes(4, "big"), first)]
    while (known := content.find(TRACKS.to_bytes(4, "big"), first + len(before) + 1)) > 0 and known < begin:
        before = content[first:known]
    return head + _element(segment, before + _element(TRACKS, tracks) + content[end:])


def _changed(content: bytes, coding: bytes | None, change: Callable[[bytes], bytes]) -> bytes:
    def of_track(track: bytes) -> bytes:
        parts = {kind: track[begin:end] for _, kind, begin, end in _elements(track, 0, len(track))}
        return b"".join(
            _element(kind, change(track[begin:end]))
            if kind == PRIVATE and coding in (None, parts[CODING])
            else track[start:end]
            for start, kind, begin, end in _elements(track, 0, len(track))
        )

    return _rebuilt(content, of_track)
