"""What a muxer writes back and forth arrives in an order that a sealing sink takes, or is refused."""

import io
import random
from collections.abc import Iterator

import pytest

from archive.age.patchable import PatchableSealingSink
from archive.age.recipients import KeyKind, generate_identity
from archive.age.stream import open_bytes
from archive.errors import InputError, UnavailableError
from media.held_back import WINDOW_OCTETS, HeldBack

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


def test_octets_that_come_into_the_room_lie_where_those_written_at_a_place_lie() -> None:
    target, expected = io.BytesIO(), bytearray()
    held = HeldBack(target, most=ROOMY)
    chance = random.Random(5)  # noqa: S311 - chosen lengths must be repeatable
    for number in range(400):
        room = held.room()
        assert held.room().nbytes == room.nbytes
        count = min(len(room), chance.randrange(0, 200_000))
        room[:count] = bytes([number % 251]) * count
        held.appended(count)
        expected += bytes([number % 251]) * count
        back = min(len(expected), chance.randrange(1, WINDOW_OCTETS))
        piece = bytes([number % 241]) * chance.randrange(0, 3_000_000)
        held.write_at(len(expected) - back, piece)
        expected[len(expected) - back : len(expected) - back + len(piece)] = piece
    held.finish()
    assert target.getvalue() == bytes(expected)


def test_room_that_is_filled_beyond_what_is_allowed_is_refused() -> None:
    held = HeldBack(io.BytesIO(), most=100)
    with pytest.raises(UnavailableError) as caught:
        held.appended(len(held.room()))
    assert caught.value.code == "media/output-limit"
