"""The sink that holds its first chunk back, so that a muxer can patch the start of what it wrote."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.age.patchable import PatchableSealingSink
from archive.age.payload import CHUNK_OCTETS
from archive.age.recipients import KeyKind, generate_identity
from archive.age.stream import open_bytes
from archive.errors import TestigoError
from archive.store.directory import DirectoryStore

IDENTITY = generate_identity(KeyKind.X25519)


class Sealed:
    """A staged write in memory."""

    def __init__(self) -> None:
        self.octets = bytearray()

    def write(self, data: bytes) -> None:
        self.octets += data

    def write_at(self, offset: int, data: bytes) -> None:
        assert offset + len(data) <= len(self.octets)
        self.octets[offset : offset + len(data)] = data


@pytest.mark.parametrize("size", [0, 1, 100, 65535, 65536, 65537, 131072, 131073, 400_000])
def test_a_start_patched_at_the_end_is_what_opens(size: int) -> None:
    sealed, data = Sealed(), bytearray(os.urandom(size))
    sink = PatchableSealingSink(sealed, [IDENTITY.recipient])
    for start in range(0, size, 30_000):
        assert sink.write(data[start : start + 30_000]) == len(data[start : start + 30_000])
    patch = min(8, size)
    sink.seek(0)
    sink.write(b"PATCHED!"[:patch])
    data[:patch] = b"PATCHED!"[:patch]
    assert (sink.seek(0, io.SEEK_END), sink.size, sink.tell()) == (size, size, size)
    sink.finish()
    assert open_bytes(bytes(sealed.octets), [IDENTITY]) == data


@given(st.lists(st.tuples(st.integers(0, 150_000), st.integers(0, 100_000)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_it_does_what_a_file_does_or_refuses(writes: list[tuple[int, int]]) -> None:
    sealed, plain = Sealed(), io.BytesIO()
    sink = PatchableSealingSink(sealed, [IDENTITY.recipient])
    for place, count in writes:
        data = os.urandom(count)
        target = place if place % 3 else sink.size
        allowed = target == sink.size or target + count <= min(CHUNK_OCTETS, sink.size)
        sink.seek(target)
        try:
            sink.write(data)
        except io.UnsupportedOperation:
            assert not allowed
        else:
            plain.seek(target)
            plain.write(data)
    sink.finish()
    assert open_bytes(bytes(sealed.octets), [IDENTITY]) == plain.getvalue()


def test_what_was_sealed_cannot_be_written_again() -> None:
    sink = PatchableSealingSink(Sealed(), [IDENTITY.recipient])
    sink.write(bytes(200_000))
    for place, count in ((65536, 1), (65535, 2), (200_001, 1), (199_999, 2)):
        sink.seek(place)
        with pytest.raises(io.UnsupportedOperation):
            sink.write(bytes(count))
    with pytest.raises(ValueError, match="before the start"):
        sink.seek(-1)
    assert (sink.writable(), sink.seekable(), sink.readable()) == (True, True, False)


def test_a_sink_closed_without_its_end_leaves_nothing_that_opens() -> None:
    for size in (10, 200_000):
        sealed = Sealed()
        sink = PatchableSealingSink(sealed, [IDENTITY.recipient])
        sink.write(bytes(size))
        sink.close()
        with pytest.raises(TestigoError):
            open_bytes(bytes(sealed.octets), [IDENTITY])
        with pytest.raises(ValueError, match="closed"):
            sink.write(b"x")
        with pytest.raises(ValueError, match="closed"):
            sink.finish()


def test_a_staged_write_of_the_store_can_stand_below_it(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    with DirectoryStore(tmp_path) as store:
        with store.stage() as staged:
            sink = PatchableSealingSink(staged, [IDENTITY.recipient])
            sink.write(bytes(10) + data[10:])
            sink.seek(0)
            sink.write(data[:10])
            sink.finish()
            store.publish([(staged, "objects/sealed")])
        assert open_bytes(store.read("objects/sealed"), [IDENTITY]) == data
