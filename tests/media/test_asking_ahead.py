"""A tool is asked about the next files before it has answered: no answer and no byte ever goes to another file."""

import json
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from archive.errors import UnavailableError
from media import ranges
from media.confinement import Confinement, find_tool
from media.conversation import Allowance
from media.exiftool import ConfinedExifTool
from media.metadata_reader import ASKED_AT_ONCE, Extraction, MetadataReader, MetadataReaders
from media.ranges import BytesRanges
from tests.media.conftest import SETTINGS, VECTORS

PHOTO = (VECTORS / "gps-and-serial-number.jpg").read_bytes()

# Speaks as ExifTool does. Of each file it is given the opening; what it does then stands in the file itself.
TOOL = r"""#!/usr/bin/perl
use strict; $| = 1;
open(my $openings, '<&=', $ENV{TESTIGO_OPENING_SOCKET}); open(my $ranges, '+<&=', $ENV{TESTIGO_RANGE_SOCKET});
sub take { my ($from, $length) = @_; my $taken = '';
  while (length($taken) < $length) { sysread($from, $taken, $length - length($taken), length($taken)) or exit 1 }
  return $taken }
my $answer = "12.57";
while (my $line = <STDIN>) {
  if ($line =~ /^range/) {
    my ($number, $size, $before, $after) = unpack('Q>Q>L>L>', take($openings, 24));
    my $content = take($openings, $before) . take($openings, $after);
    sleep 60 if $content =~ /^hang/; exit 1 if $content =~ /^die/;
    if ($content =~ /^flood/) { print 'x' x 65536 while 1 }
    if ($content =~ /^ask of (\d+)/) { syswrite($ranges, pack('Q>Q>L>', $1, 0, 6)); sleep 1 }
    $content .= ' and ' . take($ranges, 6) if $content =~ /^taken/;
    $answer = qq([{\n  "SourceFile": "range:$number",\n  "A:B:C:D:Said": {"val": "$content"}\n}]) }
  if ($line =~ /^-execute(\d+)/) { print "$answer\n{ready$1}\n" } }
"""


@pytest.fixture
def tool_of(open_folder: Path) -> Path:
    program = open_folder / "exiftool"
    program.write_text(TOOL)
    program.chmod(0o755)
    return program


@contextmanager
def _started(program: Path, confinement: Confinement) -> Iterator[ConfinedExifTool]:
    with Confinement(confinement.level, run_as=SETTINGS.run_as, tools=[program]) as tools:
        tool = ConfinedExifTool(str(program), tools, SETTINGS)
        tool.run()
        try:
            yield tool
        finally:
            tool.end()


@contextmanager
def _reading(program: Path, confinement: Confinement) -> Iterator[MetadataReader]:
    with (
        Confinement(confinement.level, run_as=SETTINGS.run_as, tools=[program]) as tools,
        MetadataReader(str(program), tools, SETTINGS) as reader,
    ):
        yield reader


def _together(reader: MetadataReader, contents: list[bytes], seconds: float) -> list[Extraction]:
    """Have each file read by a thread of its own, asked about in their order."""

    def read(content: bytes) -> Extraction:
        return reader.extract(BytesRanges(content), Allowance(seconds))

    with ThreadPoolExecutor(max_workers=len(contents)) as pool:
        futures = []
        for content in contents:
            futures.append(pool.submit(read, content))
            time.sleep(0.3)
        return [future.result() for future in futures]


def _said(extraction: Extraction) -> str:
    said: str = json.loads(extraction.raw)[0]["A:B:C:D:Said"]["val"]
    return said


def test_each_of_several_files_asked_about_at_once_gets_its_own_answer(tool_of: Path, confinement: Confinement) -> None:
    with _started(tool_of, confinement) as tool:
        questions = [tool.ask(BytesRanges(b"file %d" % number)) for number in range(ASKED_AT_ONCE)]
        time.sleep(0.5)  # Everything is said before the first answer is looked at.
        answers = [tool.answer(question, Allowance(10)) for question in questions]
    said = [json.loads(answer or b"")[0]["A:B:C:D:Said"]["val"] for answer in answers]
    assert said == [f"file {number}" for number in range(ASKED_AT_ONCE)]


def test_a_range_of_the_next_file_is_never_given_out_of_this_one(tool_of: Path, confinement: Confinement) -> None:
    with _started(tool_of, confinement) as tool:
        questions = [tool.ask(BytesRanges(content)) for content in (b"ask of 2", b"taken in turn")]
        answers = [tool.answer(question, Allowance(10)) for question in questions]
    assert b"ask of 2" in (answers[0] or b"")
    assert b"taken in turn and taken " in (answers[1] or b"")


@pytest.mark.parametrize("content", [b"ask of 0", b"ask of 3", b"ask of 99999"])
def test_a_tool_that_asks_for_bytes_of_a_file_whose_turn_it_is_not_is_stopped(
    tool_of: Path, confinement: Confinement, content: bytes
) -> None:
    with _started(tool_of, confinement) as tool:
        questions = [tool.ask(BytesRanges(content)), tool.ask(BytesRanges(b"taken"))]
        with pytest.raises(UnavailableError) as caught:
            for question in questions:
                tool.answer(question, Allowance(3))
        assert caught.value.code == "media/tool-misbehaved"
        assert tool.failed


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"hang", "media/time-limit"),
        (b"flood", "media/output-limit"),
        (b"die", "media/tool-died"),
        (b"ask of 99", "media/tool-misbehaved"),
    ],
)
def test_only_the_file_that_ends_a_tool_is_marked_and_those_asked_ahead_are_read_anew(
    tool_of: Path, confinement: Confinement, content: bytes, code: str
) -> None:
    with _reading(tool_of, confinement) as reader:
        good = [b"one", b"two", b"three", b"four"]
        told = _together(reader, [good[0], content, *good[1:]], seconds=6)
    assert told[1].problem is not None
    assert told[1].problem.code == code
    assert [_said(each) for each in (told[0], *told[2:])] == [each.decode() for each in good]
    assert all(each.problem is None for each in (told[0], *told[2:]))


def test_waiting_for_another_file_costs_a_file_none_of_its_own_time(tool_of: Path, confinement: Confinement) -> None:
    with _reading(tool_of, confinement) as reader, ThreadPoolExecutor(max_workers=1) as beside:
        slow = beside.submit(reader.extract, BytesRanges(b"hang"), Allowance(4))
        time.sleep(0.5)
        told = reader.extract(BytesRanges(b"quick"), Allowance(1.5))
        assert slow.result().problem is not None
    assert told.problem is None
    assert _said(told) == "quick"


def test_trouble_in_reading_a_file_asked_ahead_troubles_no_other(tool_of: Path, confinement: Confinement) -> None:
    class Broken:
        size = 5

        def read_range(self, _start: int, _length: int, /) -> bytes:
            raise OSError("the card was taken out")

    with _started(tool_of, confinement) as tool:
        first = tool.ask(BytesRanges(b"first"))
        with pytest.raises(OSError, match="taken out"):
            tool.ask(Broken())
        second = tool.ask(BytesRanges(b"second"))
        assert b"first" in (tool.answer(first, Allowance(10)) or b"")
        assert b"second" in (tool.answer(second, Allowance(10)) or b"")


@pytest.mark.parametrize("by_ranges", [False, True])
def test_many_files_at_once_say_what_each_says_alone(
    confinement: Confinement, monkeypatch: pytest.MonkeyPatch, by_ranges: bool
) -> None:
    contents = [path.read_bytes() for path in sorted(VECTORS.iterdir()) if path.suffix != ".md"] * 3
    contents.append(PHOTO + bytes(3 << 20))  # More than a socket holds.
    with MetadataReader(find_tool("exiftool"), confinement, SETTINGS) as alone:
        expected = [alone.extract(BytesRanges(content), Allowance(30)) for content in contents]
    if by_ranges:
        monkeypatch.setattr(ranges, "_BEGINNING_OCTETS", 64)
        monkeypatch.setattr(ranges, "_END_OCTETS", 16)
    with (
        MetadataReader(find_tool("exiftool"), confinement, SETTINGS) as one,
        MetadataReader(find_tool("exiftool"), confinement, SETTINGS) as other,
        ThreadPoolExecutor(max_workers=2 * ASKED_AT_ONCE + 2) as pool,
    ):
        readers = MetadataReaders([one, other])

        def read(content: bytes) -> bytes:
            with readers.place() as reader:
                return reader.extract(BytesRanges(content), Allowance(30)).raw

        told = list(pool.map(read, contents))
    assert told == [extraction.raw for extraction in expected]


def test_a_request_says_which_file_it_is_of() -> None:
    assert ranges.number_in(struct.pack(">QQI", 7, 3, 5)) == 7
