"""Bytes reach a tool by ranges or in a memory file that nobody can change."""

import io
import os
import struct

import pytest

from archive.errors import UnavailableError
from media.ranges import (
    LARGEST_RANGE,
    BytesRanges,
    FileRanges,
    answer_request,
    as_ranges,
    opening,
    sealed_memory_file,
)

CONTENT = bytes(range(256)) * 4096


class Raw(io.BytesIO):
    """A raw file that knows its size and gives less than was asked for, as raw files may."""

    size = len(CONTENT)

    def readinto(self, buffer: object) -> int:
        return super().readinto(memoryview(buffer).cast("B")[:1000])  # type: ignore[arg-type]  # typeshed has no Buffer in 3.11


def test_a_range_of_a_seekable_file_is_whole_though_the_file_gives_little_at_a_time() -> None:
    ranges = as_ranges(Raw(CONTENT))
    assert isinstance(ranges, FileRanges)
    assert ranges.size == len(CONTENT)
    assert ranges.read_range(5000, 70_000) == CONTENT[5000:75_000]
    assert ranges.read_range(len(CONTENT) - 3, 10) == CONTENT[-3:]
    assert ranges.read_range(len(CONTENT), 10) == b""


def test_what_gives_ranges_already_is_used_as_it_is() -> None:
    source = BytesRanges(CONTENT)
    assert as_ranges(source) is source


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 18) + 1, 1 << 20])
def test_the_opening_tells_number_size_beginning_and_end(size: int) -> None:
    content = CONTENT[:size]
    said = opening(7, BytesRanges(content))
    number, told_size, before, after = struct.unpack(">QQII", said[:24])
    assert (number, told_size) == (7, size)
    assert said[24 : 24 + before] == content[:before]
    assert said[24 + before :] == content[size - after : size]
    assert before + after <= size


def test_a_request_is_answered_with_exactly_these_bytes() -> None:
    assert answer_request(struct.pack(">QQI", 1, 3, 5), BytesRanges(CONTENT)) == CONTENT[3:8]


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 0), (len(CONTENT), 1), (len(CONTENT) - 1, 2), (0, LARGEST_RANGE + 1), (2**64 - 1, 2**32 - 1)],
)
def test_a_request_outside_the_file_is_refused(offset: int, length: int) -> None:
    with pytest.raises(UnavailableError) as caught:
        answer_request(struct.pack(">QQI", 1, offset, length), BytesRanges(CONTENT))
    assert caught.value.code == "media/tool-misbehaved"


def test_a_sealed_memory_file_holds_the_bytes_and_refuses_every_change() -> None:
    descriptor = sealed_memory_file(BytesRanges(CONTENT))
    try:
        assert os.read(descriptor, len(CONTENT) + 1) == CONTENT
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
