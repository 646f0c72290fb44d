"""Reading a sealed file from any place in it."""

import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.age.payload import CHUNK_OCTETS, SEALED_CHUNK_OCTETS
from archive.age.recipients import KeyKind, generate_identity
from archive.age.seekable import SeekableReader
from archive.age.stream import StreamWriter, seal_bytes
from archive.errors import InputError, IntegrityError, LockedError

IDENTITY = generate_identity(KeyKind.HYBRID)
PLAIN = os.urandom(40 * CHUNK_OCTETS + 77)


class Octets:
    """A source of ranges in memory that counts what is asked of it."""

    def __init__(self, octets: bytes | bytearray) -> None:
        self.octets = octets
        self.size = len(octets)
        self.asked = 0

    def read_range(self, start: int, length: int) -> bytes:
        assert 0 <= start <= self.size
        self.asked += length
        return bytes(self.octets[start : start + length])


SEALED = seal_bytes(PLAIN, [IDENTITY.recipient])


def read_exactly(reader: SeekableReader, count: int) -> bytes:
    octets = b""
    while len(octets) < count and (more := reader.read(count - len(octets))):
        octets += more
    return octets


@given(st.lists(st.tuples(st.integers(0, len(PLAIN) + 10), st.integers(0, 3_000_000)), max_size=8))
@settings(max_examples=40, deadline=None)
def test_any_range_is_the_same_slice_of_the_plaintext(ranges: list[tuple[int, int]]) -> None:
    reader = SeekableReader(Octets(SEALED), identities=[IDENTITY])
    for start, count in ranges:
        assert reader.seek(start) == start
        assert read_exactly(reader, count) == PLAIN[start : start + count]
        assert reader.tell() == max(start, min(start + count, len(PLAIN)))


@given(st.lists(st.tuples(st.integers(0, len(PLAIN)), st.integers(0, 5000)), max_size=20))
@settings(max_examples=20, deadline=None)
def test_it_stands_behind_a_buffered_reader_as_any_raw_file(ranges: list[tuple[int, int]]) -> None:
    reader = io.BufferedReader(SeekableReader(Octets(SEALED), identities=[IDENTITY]), 8192)
    for start, count in ranges:
        reader.seek(start)
        assert reader.read(count) == PLAIN[start : start + count]


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072])
def test_whole_files_of_every_size_are_read(size: int) -> None:
    sealed = seal_bytes(PLAIN[:size], [IDENTITY.recipient])
    reader = SeekableReader(Octets(sealed), identities=[IDENTITY])
    assert reader.size == size
    assert reader.seek(0, io.SEEK_END) == size
    assert reader.read(10) == b""
    reader.seek(-size, io.SEEK_CUR)
    assert reader.read() == PLAIN[:size]
    assert (reader.readable(), reader.seekable(), reader.writable()) == (True, True, False)


def test_who_still_holds_the_file_key_needs_no_identity() -> None:
    sealed = bytearray()
    writer = StreamWriter(sealed.extend, [IDENTITY.recipient])
    writer.write(PLAIN)
    writer.finish()
    assert SeekableReader(Octets(sealed), file_key=writer.file_key).read() == PLAIN
    with pytest.raises(IntegrityError) as caught:
        SeekableReader(Octets(sealed), file_key=bytes(16))
    assert caught.value.code == "age/header-mac"
    with pytest.raises(ValueError, match="not both"):
        SeekableReader(Octets(sealed))
    with pytest.raises(LockedError):
        SeekableReader(Octets(sealed), identities=[])


def test_a_small_range_costs_a_chunk_and_the_last_one() -> None:
    source = Octets(SEALED)
    reader = SeekableReader(source, identities=[IDENTITY])
    reader.seek(20 * CHUNK_OCTETS + 5)
    assert reader.read(100) == PLAIN[20 * CHUNK_OCTETS + 5 :][:100]
    assert reader.read(100) == PLAIN[20 * CHUNK_OCTETS + 105 :][:100]
    assert source.asked < 2 * SEALED_CHUNK_OCTETS


@pytest.mark.parametrize("cut", [1, 16, 77, 93, 94, SEALED_CHUNK_OCTETS, 3 * SEALED_CHUNK_OCTETS + 93])
def test_a_cut_file_is_refused_before_its_length_is_believed(cut: int) -> None:
    with pytest.raises(IntegrityError) as caught:
        SeekableReader(Octets(SEALED[:-cut]), identities=[IDENTITY])
    assert caught.value.code == "age/chunk-failed"


def test_a_file_cut_in_its_header_is_malformed() -> None:
    with pytest.raises(InputError):
        SeekableReader(Octets(SEALED[:1000]), identities=[IDENTITY])
    start = len(SEALED) - len(PLAIN) - 41 * 16 - 16
    with pytest.raises(InputError):
        SeekableReader(Octets(SEALED[: start + 15]), identities=[IDENTITY])


def test_octets_after_the_end_are_refused() -> None:
    with pytest.raises(IntegrityError):
        SeekableReader(Octets(SEALED + b"x"), identities=[IDENTITY])


def test_damage_is_met_where_it_is_and_releases_nothing_of_its_chunk() -> None:
    sealed = bytearray(SEALED)
    start = len(SEALED) - len(PLAIN) - 41 * 16
    sealed[start + 3 * SEALED_CHUNK_OCTETS + 9] ^= 1
    reader = SeekableReader(Octets(sealed), identities=[IDENTITY])
    assert reader.read(3 * CHUNK_OCTETS) == PLAIN[: 3 * CHUNK_OCTETS]
    buffer = bytearray(CHUNK_OCTETS)
    with pytest.raises(IntegrityError) as caught:
        reader.readinto(buffer)
    assert caught.value.evidence["chunk"] == 3
    assert buffer == bytes(CHUNK_OCTETS)
    reader.seek(4 * CHUNK_OCTETS)
    assert reader.read(5) == PLAIN[4 * CHUNK_OCTETS :][:5]


def test_a_source_that_ends_early_is_an_error_and_not_a_short_file() -> None:
    class Failing(Octets):
        def read_range(self, start: int, length: int) -> bytes:
            return super().read_range(start, length)[: 2 * SEALED_CHUNK_OCTETS - 1]

    reader = SeekableReader(Failing(SEALED), identities=[IDENTITY])
    with pytest.raises(IntegrityError):
        reader.read(4 * CHUNK_OCTETS)


def test_a_place_before_the_start_does_not_exist() -> None:
    reader = SeekableReader(Octets(SEALED), identities=[IDENTITY])
    with pytest.raises(ValueError, match="before the start"):
        reader.seek(-1)
