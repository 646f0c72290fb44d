"""Everything that a file says about itself, by a tool that is never given a name from outside."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.errors import IntegrityError
from media import ranges
from media.confinement import Confinement, find_tool
from media.conversation import Allowance
from media.exiftool import COMMON_OPTIONS, EMBEDDED_OPTION, ConfinedExifTool
from media.metadata_reader import Extraction, MetadataReader
from media.options import MediaSettings
from media.ranges import BytesRanges
from media.tags import Tag, parse_tags
from tests.conftest import CorpusFinder
from tests.media.conftest import SETTINGS, VECTORS

ROOT = Path(__file__).resolve().parents[2]
PHOTO = VECTORS / "gps-and-serial-number.jpg"
# Here ExifTool by itself gives a tag without its family; `range_reader.pl` says why.
TOLD_BETTER = {"debian.mp3", "dirty.mp3", "id3v1v2-combined.mp3"}
CORPORA = ("media-metadata", "tiny-valid-files", "polyglots", "hostile-archives", "hostile-pdf", "hostile-media")


def _extract(reader: MetadataReader, content: bytes, seconds: float = 30) -> Extraction:
    return reader.extract(BytesRanges(content), Allowance(seconds))


def _bare(path: Path) -> set[Tag]:
    """What ExifTool says of a file on disk whose name tells nothing."""
    options = [*COMMON_OPTIONS, EMBEDDED_OPTION, str(path)]
    environment = {"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C.UTF-8", "PERL_HASH_SEED": "0"}
    said = subprocess.run([find_tool("exiftool"), *options], capture_output=True, env=environment)
    return set(parse_tags(said.stdout))


def test_a_photo_is_extracted_whole_with_groups_and_both_forms_of_each_value(reader: MetadataReader) -> None:
    extraction = _extract(reader, PHOTO.read_bytes())
    assert extraction.problem is None
    assert extraction.tool == "ExifTool"
    assert extraction.version[0].isdigit()
    tags = {(tag.place, tag.name): tag for tag in parse_tags(extraction.raw)}
    assert tags["IFD0", "Model"].text == "HERO6 Black"
    latitude = tags["Composite", "GPSLatitude"]
    assert latitude.text.startswith("40 deg 39'")
    assert latitude.number == "40.6584191999722"


def test_nothing_of_ours_is_in_the_extraction(reader: MetadataReader) -> None:
    told = json.loads(_extract(reader, PHOTO.read_bytes()).raw)[0]
    assert not [key for key in told if key.split(":")[-1] in ("SourceFile", "FileName", "Directory", "FilePermissions")]
    assert b"range:" not in _extract(reader, PHOTO.read_bytes()).raw


@pytest.mark.parametrize("name", sorted(path.name for path in VECTORS.iterdir() if path.suffix != ".md"))
def test_the_confined_reader_finds_what_exiftool_finds_on_a_disk(
    reader: MetadataReader, tmp_path: Path, name: str
) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes((VECTORS / name).read_bytes())
    assert set(parse_tags(_extract(reader, plain.read_bytes()).raw)) == _bare(plain)


@pytest.mark.parametrize("name", sorted(path.name for path in VECTORS.iterdir() if path.suffix != ".md"))
def test_reading_by_ranges_finds_the_same_as_reading_whole(
    reader: MetadataReader, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    content = (VECTORS / name).read_bytes()
    whole = _extract(reader, content)
    monkeypatch.setattr(ranges, "_BEGINNING_OCTETS", 64)
    monkeypatch.setattr(ranges, "_END_OCTETS", 16)
    assert _extract(reader, content).raw == whole.raw


@pytest.mark.long
@pytest.mark.parametrize("name", CORPORA)
@pytest.mark.parametrize("by_ranges", [False, True])
def test_on_every_corpus_the_confined_reader_finds_what_exiftool_finds(
    reader: MetadataReader,
    corpus: CorpusFinder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    by_ranges: bool,
) -> None:
    if by_ranges:
        monkeypatch.setattr(ranges, "_BEGINNING_OCTETS", 64)
        monkeypatch.setattr(ranges, "_END_OCTETS", 16)
    plain = tmp_path / "plain"
    different = []
    for path in sorted(each for each in corpus(name).rglob("*") if each.is_file()):
        plain.write_bytes(path.read_bytes())
        if set(parse_tags(_extract(reader, plain.read_bytes()).raw)) != _bare(plain):
            different.append(path.name)
    assert set(different) <= TOLD_BETTER


@pytest.mark.parametrize("parameter", ["a.jpg\n-Artist=injected", "\n", "-stay_open\nFalse"])
def test_a_parameter_with_a_line_feed_never_reaches_the_argument_stream(
    confinement: Confinement, parameter: str
) -> None:
    tool = ConfinedExifTool(find_tool("exiftool"), confinement, SETTINGS)
    tool.run()
    try:
        with pytest.raises(ValueError, match="line feed"):
            tool.execute(parameter)
        assert str(tool.execute("-ver")).strip() == tool.version
    finally:
        tool.end()


def test_a_name_that_is_not_ours_opens_nothing(confinement: Confinement) -> None:
    tool = ConfinedExifTool(find_tool("exiftool"), confinement, SETTINGS)
    tool.run()
    try:
        for name in ("/etc/passwd", "/usr/share/perl5/Image/ExifTool.pm", "range:1/../x", "cat /etc/passwd|"):
            assert "[{" not in str(tool.execute(name))
    finally:
        tool.end()


def test_a_killed_tool_is_started_again_and_the_file_is_read(reader: MetadataReader) -> None:
    first = _extract(reader, PHOTO.read_bytes())
    assert reader._tool is not None
    os.killpg(reader._tool._process.pid, signal.SIGKILL)
    again = _extract(reader, PHOTO.read_bytes())
    assert again.problem is None
    assert again.raw == first.raw


def test_after_a_number_of_files_the_tool_is_started_anew(confinement: Confinement) -> None:
    settings = MediaSettings(files_per_process=2, rlimits_only=True)
    with MetadataReader(find_tool("exiftool"), confinement, settings) as reader:
        processes = []
        for _ in range(4):
            _extract(reader, PHOTO.read_bytes())
            assert reader._tool is not None
            processes.append(reader._tool._process.pid)
    assert len(set(processes)) == 2


def test_trouble_in_reading_the_file_itself_is_not_the_tools(reader: MetadataReader) -> None:
    class Broken:
        size = 1 << 20

        def read_range(self, _start: int, _length: int, /) -> bytes:
            raise IntegrityError("age/chunk-failed", "A chunk of the object fails.")

    with pytest.raises(IntegrityError):
        reader.extract(Broken(), Allowance(30))
    assert _extract(reader, PHOTO.read_bytes()).problem is None


TOOLS = {
    "media/time-limit": "while (my $line = <STDIN>) { if ($line =~ /^range/) { sleep 60 } }",
    "media/output-limit": "while (1) { print 'x' x 65536 }",
    "media/tool-died": "exit 1",
    "media/tool-misbehaved": (
        "open(my $s, '+<&=', $ENV{TESTIGO_RANGE_SOCKET}); syswrite($s, pack('Q>Q>L>', 1, 1 << 40, 5)); sleep 60"
    ),
}


@pytest.fixture
def hostile_reader(
    request: pytest.FixtureRequest, open_folder: Path, confinement: Confinement
) -> Iterator[MetadataReader]:
    """A reader whose tool behaves like ExifTool until it is asked for a file, and then as the parameter says."""
    program = open_folder / "exiftool"
    answer_version = 'print "12.57\\n{ready$1}\\n" if $line =~ /^-execute(\\d+)/;'
    ask = "while (my $line = <STDIN>) { if ($line =~ /^range/) { %s } %s }"
    program.write_text("#!/usr/bin/perl\n$| = 1;\n" + ask % (TOOLS[request.param], answer_version) + "\n")
    program.chmod(0o755)
    tools = Confinement(confinement.level, run_as=SETTINGS.run_as, tools=[program])
    settings = MediaSettings(output_mib=1, rlimits_only=True)
    with tools, MetadataReader(str(program), tools, settings) as opened:
        yield opened


@pytest.mark.parametrize(("hostile_reader", "code"), [(code, code) for code in TOOLS], indirect=["hostile_reader"])
def test_a_tool_that_misbehaves_is_ended_and_the_reason_recorded(hostile_reader: MetadataReader, code: str) -> None:
    started = time.monotonic()
    extraction = _extract(hostile_reader, b"content", seconds=2)
    assert time.monotonic() - started < 4
    assert extraction.raw == b""
    assert extraction.problem is not None
    assert extraction.problem.code == code
    assert hostile_reader._tool is None


def test_a_tool_that_never_starts_costs_no_more_than_the_files_own_time(
    open_folder: Path, confinement: Confinement
) -> None:
    program = open_folder / "exiftool"
    program.write_text("#!/usr/bin/perl\nsleep 60;\n")
    program.chmod(0o755)
    tools = Confinement(confinement.level, run_as=SETTINGS.run_as, tools=[program])
    with tools, MetadataReader(str(program), tools, SETTINGS) as mute_reader:
        started = time.monotonic()
        extraction = _extract(mute_reader, b"content", seconds=2)
    assert time.monotonic() - started < 4
    assert extraction.problem is not None
    assert extraction.problem.code == "media/time-limit"


def test_a_tool_whose_parent_was_killed_while_it_started_does_not_stay() -> None:
    ours, theirs = socket.socketpair()
    number = str(theirs.fileno())
    reader = ["-config", str(ROOT / "media" / "range_reader.pl"), "-stay_open", "True", "-@", "-"]
    with subprocess.Popen(
        [find_tool("exiftool"), *reader],
        env={"PATH": "/usr/bin:/bin", "TESTIGO_RANGE_SOCKET": number, "TESTIGO_OPENING_SOCKET": number},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as tool:
        try:
            theirs.close()
            assert tool.stdin is not None
            assert tool.stdout is not None
            tool.stdin.write(b"-ver\n-execute1\n")
            tool.stdin.flush()
            assert tool.stdout.readline()[:1].isdigit()
            with pytest.raises(subprocess.TimeoutExpired):
                tool.wait(6)  # It stays while its parent lives, beyond the first look.
            tool.stdin.close()
            ours.close()
            assert tool.wait(20) == 0
        finally:
            tool.kill()


def test_where_embedded_tracks_take_too_long_the_rest_is_read_and_that_is_said(
    open_folder: Path, confinement: Confinement
) -> None:
    program = open_folder / "exiftool"
    program.write_text(
        "#!/usr/bin/perl\n$| = 1; my $slow = 0;\n"
        'while (my $line = <STDIN>) { $slow = 1 if $line eq "-ee\\n";\n'
        '  if ($line =~ /^range/) { sleep 60 if $slow; print \'[{"SourceFile": "range:1"}]\', "\\n" }\n'
        '  if ($line =~ /^-execute(\\d+)/) { print "12.57\\n" if !$slow; print "{ready$1}\\n"; $slow = 0 } }\n'
    )
    program.chmod(0o755)
    tools = Confinement(confinement.level, run_as=SETTINGS.run_as, tools=[program])
    with tools, MetadataReader(str(program), tools, SETTINGS) as slow_reader:
        extraction = _extract(slow_reader, b"content", seconds=3)
    assert extraction.raw
    assert extraction.problem is not None
    assert extraction.problem.code == "media/embedded-not-read"
