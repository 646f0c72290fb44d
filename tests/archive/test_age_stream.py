"""Streams: sealing in any pieces, stopping and going on, opening forward, and releasing nothing that is not proved."""

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.age.header import Header
from archive.age.payload import CHUNK_OCTETS, SEALED_CHUNK_OCTETS, payload_octets
from archive.age.recipients import KeyIdentity, KeyKind, generate_identity
from archive.age.stream import StreamState, StreamWriter, open_bytes, open_payload, open_stream, seal_bytes
from archive.errors import InputError, IntegrityError, LockedError

SIZES = [0, 1, 65535, 65536, 65537, 131072, 1048576, 1048577]


@pytest.fixture(scope="module", params=list(KeyKind))
def identity(request: pytest.FixtureRequest) -> KeyIdentity:
    return generate_identity(KeyKind(request.param))


@pytest.fixture(scope="module")
def classic() -> KeyIdentity:
    return generate_identity(KeyKind.X25519)


def pieces(data: bytes, lengths: Iterator[int]) -> Iterator[bytes]:
    start = 0
    for length in lengths:
        if start >= len(data):
            return
        yield data[start : start + length]
        start += length


def forever(*lengths: int) -> Iterator[int]:
    while True:
        yield from lengths


@pytest.mark.parametrize("size", SIZES)
def test_a_value_opens_as_it_was_sealed(identity: KeyIdentity, size: int) -> None:
    data = os.urandom(size)
    sealed = seal_bytes(data, [identity.recipient])
    assert open_bytes(sealed, [identity]) == data
    assert open_stream(io.BytesIO(sealed), [identity]).read() == data
    header = Header.parse(io.BytesIO(sealed))
    assert len(sealed) == len(header.text) + payload_octets(size)


@given(st.integers(0, 400_000), st.lists(st.integers(1, 150_000), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_it_does_not_matter_in_which_pieces_a_stream_is_written(size: int, lengths: list[int]) -> None:
    data = os.urandom(size)
    sealed = bytearray()
    writer = StreamWriter(sealed.extend, file_key=bytes(16))
    for piece in pieces(data, forever(*lengths)):
        writer.write(piece)
    writer.finish()
    assert len(sealed) == payload_octets(size)
    assert open_payload(io.BytesIO(sealed), bytes(16)).read() == data


@given(st.integers(0, 300_000), st.lists(st.integers(1, 100_000), max_size=6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_stream_that_stopped_and_went_on_is_the_stream_in_one_piece(size: int, cuts: list[int], apart: bool) -> None:
    data = os.urandom(size)
    sealed = bytearray()
    writer = StreamWriter(sealed.extend, file_key=bytes(16))
    numbers = [0]
    places = [0, *sorted(cut for cut in cuts if cut < size), size]
    for begin, end in pairwise(places):
        writer.write(data[begin:end])
        state = writer.suspend()
        numbers.append(state.next_chunk)
        if apart:  # As whoever keeps the tail in another place does.
            writer = StreamWriter.resume(replace(state, tail=b""), sealed.extend)
            writer.write(state.tail)
        else:
            writer = StreamWriter.resume(state, sealed.extend)
    writer.finish()
    assert numbers == sorted(numbers)
    assert len(sealed) == payload_octets(size)
    assert open_payload(io.BytesIO(sealed), bytes(16)).read() == data


def test_nobody_goes_on_twice_from_one_state() -> None:
    writer = StreamWriter(bytearray().extend, file_key=bytes(16))
    writer.write(b"one text")
    state = writer.suspend()
    StreamWriter.resume(state, bytearray().extend)
    with pytest.raises(ValueError, match="used up"):
        StreamWriter.resume(state, bytearray().extend)
    assert repr(state) == "StreamState(next_chunk=0)"
    assert isinstance(state, StreamState)


def test_a_writer_that_ended_takes_nothing_more(classic: KeyIdentity) -> None:
    for end in ("finish", "suspend"):
        writer = StreamWriter(bytearray().extend, [classic.recipient])
        getattr(writer, end)()
        for act in (partial(writer.write, b"x"), writer.finish, writer.suspend):
            with pytest.raises(ValueError, match="finished or suspended"):
                act()
    with pytest.raises(ValueError, match="not both"):
        StreamWriter(bytearray().extend)
    with pytest.raises(ValueError, match="not both"):
        StreamWriter(bytearray().extend, [classic.recipient], file_key=bytes(16))


def test_a_chunk_number_is_used_up_even_when_the_sink_fails() -> None:
    def full(_: object) -> None:
        raise OSError("no space")

    writer = StreamWriter(bytearray().extend, file_key=bytes(16))
    writer._sink = full
    with pytest.raises(OSError, match="no space"):
        writer.write(bytes(3 * CHUNK_OCTETS))
    assert writer.suspend().next_chunk == 2


def test_two_files_of_one_value_share_only_their_first_line(classic: KeyIdentity) -> None:
    one, other = (seal_bytes(b"the same value", [classic.recipient]) for _ in range(2))
    assert [line for line in one.split(b"\n")[1:] if len(line) > 2 and line in other.split(b"\n")] == []
    assert one[-30:] != other[-30:]


@pytest.mark.parametrize("size", [0, 100, 65536, 65537])
def test_a_file_cut_anywhere_is_refused(classic: KeyIdentity, size: int) -> None:
    sealed = seal_bytes(os.urandom(size), [classic.recipient])
    step = max(1, len(sealed) // 300)
    for cut in [*range(0, len(sealed), step), len(sealed) - 1, len(sealed) - 16, len(sealed) - 17]:
        with pytest.raises((InputError, IntegrityError)):
            open_bytes(sealed[:cut], [classic])
        with pytest.raises((InputError, IntegrityError)):
            open_stream(io.BytesIO(sealed[:cut]), [classic]).read()


def test_a_file_cut_between_chunks_is_refused_after_the_good_ones(classic: KeyIdentity) -> None:
    data = os.urandom(3 * CHUNK_OCTETS)
    sealed = seal_bytes(data, [classic.recipient])
    reader = open_stream(io.BytesIO(sealed[:-SEALED_CHUNK_OCTETS]), [classic])
    assert reader.read(len(data)) == data[: 2 * CHUNK_OCTETS]
    for _ in range(2):
        with pytest.raises(IntegrityError) as caught:
            reader.read(1)
    assert caught.value.code == "age/chunk-failed"
    assert caught.value.evidence["chunk"] == 1


@given(st.integers(1, 200_000), st.integers(1, 200_000), st.data())
@settings(max_examples=60, deadline=None)
def test_any_flipped_octet_is_noticed_and_nothing_after_it_released(size: int, step: int, data: st.DataObject) -> None:
    identity = _PROPERTY_IDENTITY
    plain = os.urandom(size)
    sealed = bytearray(seal_bytes(plain, [identity.recipient]))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    released = b""
    with pytest.raises((InputError, IntegrityError, LockedError)):  # noqa: PT012, the loop is what is tested
        reader = open_stream(io.BytesIO(sealed), [identity])
        while octets := reader.read(step):
            released += octets
    start = len(sealed) - (payload_octets(size) - 16)
    assert len(released) == max(0, place - start) // SEALED_CHUNK_OCTETS * CHUNK_OCTETS
    assert plain.startswith(released)
    with pytest.raises((InputError, IntegrityError, LockedError)):
        open_bytes(sealed, [identity])


_PROPERTY_IDENTITY = generate_identity(KeyKind.X25519)


def test_a_failed_chunk_leaves_nothing_in_the_callers_buffer(classic: KeyIdentity) -> None:
    sealed = bytearray(seal_bytes(b"\xff" * 2 * CHUNK_OCTETS, [classic.recipient]))
    sealed[-1] ^= 1
    buffer = bytearray(4 * CHUNK_OCTETS)
    assert open_stream(io.BytesIO(sealed), [classic]).readinto(buffer) == CHUNK_OCTETS
    assert buffer[CHUNK_OCTETS:] == bytes(3 * CHUNK_OCTETS)


class Dribble(io.RawIOBase):
    """A source that gives a few octets at a time, as sockets do."""

    def __init__(self, octets: bytes) -> None:
        self._left = octets

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        out = memoryview(cast(bytearray, buffer))
        count = min(len(out), 1234, len(self._left))
        out[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def test_a_source_may_give_less_than_it_was_asked_for(identity: KeyIdentity) -> None:
    data = os.urandom(150_000)
    sealed = seal_bytes(data, [identity.recipient])
    source = cast(BinaryIO, Dribble(sealed))
    assert open_stream(source, [identity]).read() == data


def test_a_value_sealed_to_several_opens_for_each(identity: KeyIdentity) -> None:
    other = generate_identity(identity.kind)
    sealed = seal_bytes(b"both", [identity.recipient, other.recipient])
    assert open_bytes(sealed, [identity]) == open_bytes(sealed, [other]) == b"both"
    with pytest.raises(LockedError):
        open_bytes(sealed, [generate_identity(identity.kind)])
