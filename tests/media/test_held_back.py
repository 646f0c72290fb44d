"""What a muxer writes back and forth arrives in an order that a sealing sink takes, or is refused."""

import io
import socket
import struct
from collections.abc import Iterator

import pytest

from archive.age.patchable import PatchableSealingSink
from archive.age.recipients import KeyKind, generate_identity
from archive.age.stream import open_bytes
from archive.errors import InputError, UnavailableError
from media.held_back import WINDOW_OCTETS, HeldBack, WritesTaker

ROOMY = 1 << 40


class _Sealed(io.BytesIO):
    def write_at(self, offset: int, data: bytes, /) -> None:
        self.getbuffer()[offset : offset + len(data)] = data


@pytest.fixture
def sealed() -> Iterator[tuple[HeldBack, PatchableSealingSink, _Sealed]]:
    target = _Sealed()
    sink = PatchableSealingSink(target, [IDENTITY.recipient])
    yield HeldBack(sink, most=ROOMY), sink, target


IDENTITY = generate_identity(KeyKind.X25519)


def test_start_and_end_can_be_changed_and_the_middle_cannot(
    sealed: tuple[HeldBack, PatchableSealingSink, _Sealed],
) -> None:
    held, sink, target = sealed
    expected = bytearray()
    for number in range(2 * WINDOW_OCTETS // 65_536 + 8):
        piece = bytes([number % 251]) * 65_536
        held.write_at(len(expected), piece)
        expected += piece
    for offset, piece in ((40, b"mdat"), (len(expected) - 900_000, b"moov" * 20), (65_530, b"edge")):
        held.write_at(offset, piece)
        expected[offset : offset + len(piece)] = piece
    with pytest.raises(InputError) as caught:
        held.write_at(5 << 20, b"too late")
    assert caught.value.code == "media/cannot-patch"
    held.write_at(len(expected), b"end")
    held.finish()
    sink.finish()
    assert open_bytes(target.getvalue(), [IDENTITY]) == bytes(expected) + b"end"


def test_a_hole_and_a_flood_are_refused() -> None:
    held = HeldBack(io.BytesIO(), most=100)
    with pytest.raises(InputError):
        held.write_at(1, b"x")
    with pytest.raises(UnavailableError) as caught:
        held.write_at(0, bytes(101))
    assert caught.value.code == "media/output-limit"


def test_messages_are_read_however_they_are_cut() -> None:
    ours, theirs = socket.socketpair()
    target = io.BytesIO()
    held = HeldBack(target, most=ROOMY)
    messages = b"".join(
        struct.pack(">QI", at, len(piece)) + piece for at, piece in ((0, b"hello "), (6, b"world"), (0, b"J"))
    )
    with ours, theirs:
        taker = WritesTaker(ours, held)
        for octet in messages:
            theirs.sendall(bytes([octet]))
            assert taker.take()
        theirs.shutdown(socket.SHUT_WR)
        assert not taker.take()
    held.finish()
    assert target.getvalue() == b"Jello world"


def test_a_message_of_a_length_that_no_honest_tool_sends_ends_the_conversation() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(struct.pack(">QI", 0, 1 << 31))
        with pytest.raises(UnavailableError) as caught:
            WritesTaker(ours, HeldBack(io.BytesIO(), most=ROOMY)).take()
    assert caught.value.code == "media/tool-misbehaved"
