"""Sealing an untrusted stream: what is known of it afterwards, what it costs in memory, and how failures end."""

import hashlib
import io
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.age.recipients import KeyIdentity, KeyKind, generate_identity
from archive.age.seekable import SeekableReader
from archive.age.stream import open_bytes
from archive.sealing import seal_stream
from archive.types import DigestAlgorithm

ROOT = Path(__file__).resolve().parents[2]
MEBIBYTE = 1 << 20
IDENTITY = generate_identity(KeyKind.X25519)


class Octets:
    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.size = len(octets)

    def read_range(self, start: int, length: int) -> bytes:
        return self.octets[start : start + length]


@pytest.fixture(params=list(KeyKind))
def identity(request: pytest.FixtureRequest) -> KeyIdentity:
    return generate_identity(KeyKind(request.param))


@pytest.mark.parametrize(
    "size", [0, 1, 65535, 65536, 65537, MEBIBYTE - 1, MEBIBYTE, MEBIBYTE + 1, 2 * MEBIBYTE, 7 * MEBIBYTE + 5]
)
def test_everything_said_of_a_sealed_stream_is_true(identity: KeyIdentity, size: int) -> None:
    data, out = os.urandom(size), io.BytesIO()
    sealed = seal_stream(io.BytesIO(data), out, [identity.recipient])
    assert open_bytes(out.getvalue(), [identity]) == data
    assert (sealed.size, sealed.sha256.value) == (size, hashlib.sha256(data).digest())
    assert (sealed.sealed_size, sealed.blake3.value) == (len(out.getvalue()), blake3(out.getvalue()).digest())
    assert (sealed.sha256.algorithm, sealed.blake3.algorithm) == (DigestAlgorithm.SHA256, DigestAlgorithm.BLAKE3)
    assert sealed.head == data[:65536]
    assert SeekableReader(Octets(out.getvalue()), file_key=sealed.file_key).read() == data


@given(st.integers(0, 200_000), st.integers(0, 70_000))
@settings(max_examples=25, deadline=None)
def test_the_head_is_as_long_as_was_asked_for_or_as_there_is(size: int, head: int) -> None:
    data = os.urandom(size)
    assert seal_stream(io.BytesIO(data), io.BytesIO(), [IDENTITY.recipient], head_octets=head).head == data[:head]


def test_a_head_longer_than_the_first_buffer_is_not_promised() -> None:
    with pytest.raises(ValueError, match="head"):
        seal_stream(io.BytesIO(), io.BytesIO(), [IDENTITY.recipient], head_octets=MEBIBYTE + 1)


def test_nothing_secret_and_nothing_of_the_text_is_in_the_repr() -> None:
    sealed = seal_stream(io.BytesIO(b"a name and a street"), io.BytesIO(), [IDENTITY.recipient])
    assert sealed.file_key.hex() not in repr(sealed)
    assert repr(sealed.file_key) not in repr(sealed)
    assert "street" not in repr(sealed)


class Dribble(io.RawIOBase):
    """Gives a stream in uneven pieces, as a network does, and fails at its end when it is told to."""

    def __init__(self, octets: bytes, failure: Exception | None = None) -> None:
        self._octets = octets
        self._place = 0
        self._failure = failure

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        if self._place == len(self._octets) and self._failure is not None:
            raise self._failure
        out = memoryview(cast(bytearray, buffer))
        piece = self._octets[self._place : self._place + min(len(out), 1 + self._place * 7919 % 200_000)]
        out[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)


def test_a_source_may_give_any_number_of_octets_at_a_time() -> None:
    data, out = os.urandom(5 * MEBIBYTE + 3), io.BytesIO()
    sealed = seal_stream(cast(BinaryIO, Dribble(data)), out, [IDENTITY.recipient])
    assert open_bytes(out.getvalue(), [IDENTITY]) == data
    assert sealed.sha256.value == hashlib.sha256(data).digest()


@pytest.mark.parametrize("size", [0, 1000, 3 * MEBIBYTE, 9 * MEBIBYTE + 1])
def test_a_source_that_fails_fails_the_sealing_and_leaves_no_thread(size: int) -> None:
    before, out = threading.active_count(), io.BytesIO()
    source = Dribble(os.urandom(size), failure=ConnectionResetError("cut"))
    with pytest.raises(ConnectionResetError, match="cut"):
        seal_stream(cast(BinaryIO, source), out, [IDENTITY.recipient])
    assert threading.active_count() == before
    with pytest.raises(Exception, match=r"sealed|well-formed"):
        open_bytes(out.getvalue(), [IDENTITY])


class Full:
    """A disk that is full after so many octets."""

    def __init__(self, room: int) -> None:
        self._room = room

    def write(self, data: memoryview) -> None:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(28, "no space left")


@pytest.mark.parametrize("room", [0, 10_000, 2 * MEBIBYTE, 8 * MEBIBYTE])
def test_a_sink_that_fails_fails_the_sealing_and_leaves_no_thread(room: int) -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="no space"):
        seal_stream(io.BytesIO(bytes(20 * MEBIBYTE)), Full(room), [IDENTITY.recipient])
    assert threading.active_count() == before


def test_a_short_stream_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    seal_stream(io.BytesIO(bytes(MEBIBYTE - 1)), io.BytesIO(), [IDENTITY.recipient])
    with pytest.raises(AssertionError):
        seal_stream(io.BytesIO(bytes(2 * MEBIBYTE)), io.BytesIO(), [IDENTITY.recipient])


MEMORY = """
    import sys
    from archive.age.recipients import KeyKind, generate_identity
    from archive.sealing import seal_stream
    from tests.memory import own_peak_kib

    class Endless:
        def __init__(self, left):
            self.left = left
        def readinto(self, buffer):
            count = min(len(buffer), self.left)
            self.left -= count
            return count

    class Nowhere:
        def write(self, data):
            pass

    recipient = generate_identity(KeyKind.HYBRID).recipient
    seal_stream(Endless(100), Nowhere(), [recipient])
    before = own_peak_kib()
    seal_stream(Endless(int(sys.argv[1])), Nowhere(), [recipient])
    print(own_peak_kib() - before)
"""


@pytest.mark.parametrize("size", [64 * MEBIBYTE, pytest.param(4096 * MEBIBYTE, marks=pytest.mark.long)])
def test_the_memory_it_takes_does_not_grow_with_the_stream(size: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEMORY), str(size)], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert 0 < int(ran.stdout) < 24 * 1024, "kibibytes on top of the imports"
