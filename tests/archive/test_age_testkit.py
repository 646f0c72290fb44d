"""The age test kit: what opens, what does not, why not, and how much is released before a failure."""

import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from archive.age.armor import is_armored, read_armor
from archive.age.header import Header
from archive.age.recipients import Identity, ScryptIdentity, parse_identity
from archive.age.seekable import SeekableReader
from archive.age.stream import open_bytes, open_stream
from archive.errors import InputError, IntegrityError, LockedError, TestigoError

KIT = Path(__file__).resolve().parents[1] / "vectors" / "age-testkit"
VECTORS = sorted(path for path in KIT.iterdir() if path.name != "ORIGIN.md")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    expect: str
    payload: str | None
    identities: list[Identity]
    armored: bool
    octets: bytes


def load(path: Path) -> Vector:
    text, _, body = path.read_bytes().partition(b"\n\n")
    pairs = [line.split(": ", 1) for line in text.decode().splitlines()]
    fields = {key: value for key, value in pairs}
    assert set(fields) <= {
        "expect",
        "payload",
        "file key",
        "identity",
        "passphrase",
        "armored",
        "compressed",
        "comment",
    }
    identities: list[Identity] = []
    for key, value in pairs:
        if key == "identity":
            identities.append(parse_identity(value))
        elif key == "passphrase":
            identities.append(ScryptIdentity(value))
    return Vector(
        expect=fields["expect"],
        payload=fields.get("payload"),
        identities=identities,
        armored=fields.get("armored") == "yes",
        octets=zlib.decompress(body) if fields.get("compressed") == "zlib" else body,
    )


def class_of(error: TestigoError) -> str:
    match error:
        case InputError(code="age/bad-armor"):
            return "armor failure"
        case InputError(code="age/bad-header"):
            return "header failure"
        case LockedError(code="keys/no-identity-matches"):
            return "no match"
        case IntegrityError(code="age/header-mac"):
            return "HMAC failure"
        case IntegrityError(code="age/chunk-failed"):
            return "payload failure"
    raise error


def binary(vector: Vector) -> bytes:
    return read_armor(vector.octets) if vector.armored else vector.octets


@pytest.mark.parametrize("size", [1 << 20, 65536, 1000])
@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_a_vector_ends_as_its_class_says_and_releases_what_it_may(path: Path, size: int) -> None:
    vector = load(path)
    released = hashlib.sha256()
    outcome = "success"
    try:
        reader = open_stream(io.BytesIO(binary(vector)), vector.identities)
        while octets := reader.read(size):
            released.update(octets)
    except TestigoError as error:
        outcome = class_of(error)
    assert outcome == vector.expect
    if vector.payload is not None:
        assert released.hexdigest() == vector.payload


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_a_value_opened_whole_ends_as_its_class_says(path: Path) -> None:
    vector = load(path)
    try:
        opened = open_bytes(binary(vector), vector.identities)
    except TestigoError as error:
        assert class_of(error) == vector.expect
    else:
        assert (vector.expect, hashlib.sha256(opened).hexdigest()) == ("success", vector.payload)


class Octets:
    """A source of ranges in memory."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.size = len(octets)

    def read_range(self, start: int, length: int) -> bytes:
        return self.octets[start : start + length]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_a_file_read_from_any_place_ends_as_its_class_says(path: Path) -> None:
    vector = load(path)
    try:
        reader = SeekableReader(Octets(binary(vector)), identities=vector.identities)
        whole = reader.read()
    except TestigoError as error:
        assert class_of(error) == vector.expect
    else:
        assert (vector.expect, hashlib.sha256(whole).hexdigest()) == ("success", vector.payload)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.name)
def test_a_header_that_parses_is_written_again_as_it_was(path: Path) -> None:
    vector = load(path)
    try:
        reader: BinaryIO = io.BytesIO(binary(vector))
        header = Header.parse(reader)
    except InputError:
        assert vector.expect in ("header failure", "armor failure")
        return
    octets = binary(vector)
    written = b"age-encryption.org/v1\n" + b"".join(stanza.format() for stanza in header.stanzas)
    assert octets.startswith(written + b"---")
    assert octets.startswith(header.text)
    assert reader.tell() == len(header.text)


def test_all_of_the_kit_is_here() -> None:
    assert len(VECTORS) == 143
    assert all(
        is_armored(load(path).octets) == load(path).armored for path in VECTORS if load(path).expect == "success"
    )
