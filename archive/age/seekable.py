"""Reading an age file from any place in it, over a source that gives ranges.

A length is not trusted before the last chunk was authenticated: without that, a cut file is only a shorter file.
Standard: C2SP age, payload.
"""

import io
from collections.abc import Iterable
from typing import Protocol

from archive.age.header import Header, bad_header
from archive.age.payload import (
    CHUNK_OCTETS,
    PAYLOAD_NONCE_OCTETS,
    SEALED_CHUNK_OCTETS,
    TAG_OCTETS,
    ChunkCipher,
    chunk_failed,
    derive_payload_key,
)
from archive.age.wrapping import Identity, unwrap_file_key

_BATCH_CHUNKS = 16
_HEADER_BLOCK = 8 * 1024


class RangeSource(Protocol):
    """Sealed octets that can be read from any place."""

    @property
    def size(self) -> int: ...

    def read_range(self, start: int, length: int, /) -> bytes: ...


class _Forward(io.RawIOBase):
    """A range source as a plain file, for the header alone."""

    def __init__(self, source: RangeSource) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        out = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # 3.11 has no name for Buffer
        found = self._source.read_range(self._position, min(len(out), self._source.size - self._position))
        out[: len(found)] = found
        self._position += len(found)
        return len(found)


class SeekableReader(io.RawIOBase):
    """The plaintext of an age file, readable from any place; not for two threads at once.

    A read may give less than was asked for, as raw files do. Raises: InputError `age/bad-header`; LockedError
    `keys/no-identity-matches`; IntegrityError `age/header-mac`, `age/chunk-failed`.
    """

    def __init__(
        self, source: RangeSource, *, identities: Iterable[Identity] | None = None, file_key: bytes | None = None
    ) -> None:
        if (identities is None) == (file_key is None):
            raise ValueError("a reader takes identities or a file key, and not both")
        self._source = source
        beginning = io.BufferedReader(_Forward(source), _HEADER_BLOCK)
        header = Header.parse(beginning)
        key = unwrap_file_key(header.stanzas, identities) if identities is not None else file_key or b""
        header.verify_mac(key)
        nonce = beginning.read(PAYLOAD_NONCE_OCTETS)
        if len(nonce) != PAYLOAD_NONCE_OCTETS:
            raise bad_header("it ends before its payload")
        self._cipher = ChunkCipher(derive_payload_key(key, nonce))
        self._offset = len(header.text) + PAYLOAD_NONCE_OCTETS
        self._sealed_octets = source.size - self._offset
        self._chunks = max(1, -(-self._sealed_octets // SEALED_CHUNK_OCTETS))
        self._position = 0
        self._kept_number = self._chunks - 1
        self._kept = self._open_alone(self._kept_number)
        self.size = self._kept_number * CHUNK_OCTETS + len(self._kept)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("a position cannot lie before the start")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: object) -> int:
        out = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # 3.11 has no name for Buffer
        count = max(0, min(len(out), self.size - self._position))
        if not count:
            return 0
        number, inside = divmod(self._position, CHUNK_OCTETS)
        whole = min(count // CHUNK_OCTETS, _BATCH_CHUNKS) if not inside else 0
        if whole:
            done = self._open_batch(number, whole, out)
        else:
            piece = self._chunk(number)[inside : inside + count]
            done = len(piece)
            out[:done] = piece
        self._position += done
        return done

    def readall(self) -> bytes:
        """Read to the end in one buffer."""
        out = memoryview(bytearray(max(0, self.size - self._position)))
        done = 0
        while done < len(out):
            done += self.readinto(out[done:])
        return bytes(out)

    def _chunk(self, number: int) -> memoryview:
        if number != self._kept_number:
            self._kept, self._kept_number = self._open_alone(number), number
        return self._kept

    def _open_alone(self, number: int) -> memoryview:
        sealed = self._sealed(number, 1)
        plain = memoryview(bytearray(max(0, len(sealed) - TAG_OCTETS)))
        self._cipher.open_into(number, sealed, plain, final=number == self._chunks - 1)
        return plain

    def _open_batch(self, first: int, count: int, out: memoryview) -> int:
        """Open full chunks straight into the caller's buffer."""
        sealed = memoryview(self._sealed(first, count))
        for index in range(count):
            begin = index * SEALED_CHUNK_OCTETS
            target = out[index * CHUNK_OCTETS : (index + 1) * CHUNK_OCTETS]
            number = first + index
            self._cipher.open_into(
                number, sealed[begin : begin + SEALED_CHUNK_OCTETS], target, final=number == self._chunks - 1
            )
        return count * CHUNK_OCTETS

    def _sealed(self, first: int, count: int) -> bytes:
        begin = first * SEALED_CHUNK_OCTETS
        length = min(count * SEALED_CHUNK_OCTETS, self._sealed_octets - begin)
        sealed = self._source.read_range(self._offset + begin, length)
        if len(sealed) != length:
            raise chunk_failed(first, "the source ended early")
        return sealed
