"""Sealing and opening whole age files as they flow.

The writer seals 64 KiB chunks, many into one buffer, and can stop at a chunk boundary and go on later. The reader
releases no octet of a chunk before its tag was checked. Random access is `SeekableReader`'s business.
Standard: C2SP age, payload.
"""

import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import BinaryIO, Self

from archive.age.header import FILE_KEY_OCTETS, Header, bad_header
from archive.age.patchable import PatchableSealingSink, PatchableWrite
from archive.age.payload import (
    CHUNK_OCTETS,
    PAYLOAD_NONCE_OCTETS,
    SEALED_CHUNK_OCTETS,
    TAG_OCTETS,
    ChunkCipher,
    Octets,
    chunk_failed,
    derive_payload_key,
)
from archive.age.seekable import RangeSource, SeekableReader
from archive.age.wrapping import Identity, Recipient, unwrap_file_key, wrap_file_key
from archive.errors import IntegrityError

__all__ = [
    "PatchableSealingSink",
    "PatchableWrite",
    "RangeSource",
    "SeekableReader",
    "StreamReader",
    "StreamState",
    "StreamWriter",
    "ValueSealer",
    "open_bytes",
    "open_payload",
    "open_stream",
    "seal_bytes",
]

_BATCH_CHUNKS = 16

Sink = Callable[[memoryview], object]
"""Takes the next sealed octets; must be done with the buffer when it returns, because it is used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """A payload that stopped at a chunk boundary.

    `tail` was written but is not sealed yet; whoever stores a state may keep the tail elsewhere and put `b""` here if
    it writes the tail again after resuming.
    """

    payload_key: bytes = field(repr=False)
    next_chunk: int
    tail: bytes = field(default=b"", repr=False)
    _spent: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def spend(self) -> None:
        """Let nobody go on twice from one state: two texts under one chunk number would open both.

        Raises: ValueError the second time. A copy restored from outside escapes this check; its keeper answers for it.
        """
        if not self._spent.acquire(blocking=False):
            raise ValueError("this state was resumed before; its chunk numbers are used up")


class StreamWriter:
    """Seal what is written, chunk by chunk, into a sink.

    With `recipients`, a whole age file under a fresh file key; with `file_key`, its payload alone (nonce and chunks).
    Promises: no chunk number is sealed twice under one key.
    """

    def __init__(
        self, sink: Sink, recipients: Sequence[Recipient] | None = None, *, file_key: bytes | None = None
    ) -> None:
        if (recipients is None) == (file_key is None):
            raise ValueError("a writer takes recipients or a file key, and not both")
        self.file_key = os.urandom(FILE_KEY_OCTETS) if file_key is None else file_key
        nonce = os.urandom(PAYLOAD_NONCE_OCTETS)
        self._begin(sink, derive_payload_key(self.file_key, nonce), 0)
        start = nonce
        if recipients is not None:
            start = Header.build(wrap_file_key(self.file_key, recipients), self.file_key).text + nonce
        sink(memoryview(start))

    @classmethod
    def resume(cls, state: StreamState, sink: Sink) -> Self:
        """Go on after the last sealed chunk; `file_key` is not known to the new writer."""
        state.spend()
        writer = cls.__new__(cls)
        writer.file_key = b""
        writer._begin(sink, state.payload_key, state.next_chunk)
        writer.write(state.tail)
        return writer

    def _begin(self, sink: Sink, payload_key: bytes, next_chunk: int) -> None:
        self._sink = sink
        self._payload_key = payload_key
        self._cipher = ChunkCipher(payload_key)
        self._next = next_chunk
        self._tail = bytearray()
        self._out = memoryview(b"")
        self._closed = False

    def write(self, data: Octets) -> None:
        """Take the next octets. The last 1 to 65,536 are kept back, because only the end knows which chunk is final."""
        self._refuse_closed()
        view = memoryview(data).cast("B")
        if self._tail:
            room = CHUNK_OCTETS - len(self._tail)
            self._tail += view[:room]
            view = view[room:]
            if not view:
                return
            self._seal(memoryview(self._tail), final=False)
            self._tail = bytearray()
        whole = max(0, len(view) - 1) // CHUNK_OCTETS * CHUNK_OCTETS
        self._seal(view[:whole], final=False)
        self._tail += view[whole:]

    def finish(self) -> None:
        """Seal the final chunk; nothing can be written afterwards."""
        self._refuse_closed()
        self._seal(memoryview(self._tail), final=True)
        self._closed = True

    def suspend(self) -> StreamState:
        """Stop at the last chunk boundary; this writer takes nothing more."""
        self._refuse_closed()
        self._closed = True
        return StreamState(payload_key=self._payload_key, next_chunk=self._next, tail=bytes(self._tail))

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ValueError("this stream was finished or suspended")

    def _seal(self, plain: memoryview, *, final: bool) -> None:
        """Shapes: whole chunks; or one chunk of any length when it is the final one."""
        for start in range(0, max(len(plain), 1 if final else 0), _BATCH_CHUNKS * CHUNK_OCTETS):
            self._seal_batch(plain[start : start + _BATCH_CHUNKS * CHUNK_OCTETS], final=final)

    def _seal_batch(self, plain: memoryview, *, final: bool) -> None:
        count = max(1, -(-len(plain) // CHUNK_OCTETS))
        needed = len(plain) + count * TAG_OCTETS
        if len(self._out) < needed:
            self._out = memoryview(bytearray(needed))
        out, end = self._out, 0
        for start in range(0, count * CHUNK_OCTETS, CHUNK_OCTETS):
            chunk = plain[start : start + CHUNK_OCTETS]
            # The number is used up before the cipher runs, so that a failure between the two cannot use it again.
            number, self._next = self._next, self._next + 1
            sealed = out[end : end + len(chunk) + TAG_OCTETS]
            end += self._cipher.seal_into(number, chunk, sealed, final=final)
        self._sink(out[:end])


class StreamReader(io.RawIOBase):
    """A payload read forward. A read gives whole chunks' worth; an error comes after the good octets before it.

    Raises: IntegrityError `age/chunk-failed` from the read that reaches the damage, and from every later one.
    """

    def __init__(self, reader: BinaryIO, payload_key: bytes) -> None:
        self._reader = reader
        self._cipher = ChunkCipher(payload_key)
        self._number = 0
        self._sealed = memoryview(bytearray(SEALED_CHUNK_OCTETS))
        self._ahead = memoryview(bytearray(SEALED_CHUNK_OCTETS))
        self._ahead_octets = self._fill(self._ahead)
        self._plain = memoryview(bytearray(CHUNK_OCTETS))
        self._rest = self._plain[:0]
        self._ended = False
        self._failure: IntegrityError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        out = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # 3.11 has no name for Buffer
        done = 0
        while done < len(out):
            if self._rest:
                count = min(len(self._rest), len(out) - done)
                out[done : done + count] = self._rest[:count]
                self._rest = self._rest[count:]
                done += count
                continue
            if self._ended:
                break
            try:
                done += self._open_next(out[done:])
            except IntegrityError as error:
                self._failure, self._ended = error, True
        if not done and len(out) and self._failure is not None:
            raise self._failure
        return done

    def _open_next(self, out: memoryview) -> int:
        """Open the next chunk into `out` when it fits there, into the rest otherwise; return what went into `out`."""
        self._sealed, self._ahead = self._ahead, self._sealed
        count = self._ahead_octets
        self._ahead_octets = self._fill(self._ahead) if count == SEALED_CHUNK_OCTETS else 0
        length = max(0, count - TAG_OCTETS)
        fits = length <= len(out)
        target = out[:length] if fits else self._plain[:length]
        self._open(self._sealed[:count], target, last=self._ahead_octets == 0)
        self._rest = self._plain[:0] if fits else target
        return length if fits else 0

    def _open(self, sealed: memoryview, target: memoryview, *, last: bool) -> None:
        number, self._number, self._ended = self._number, self._number + 1, last
        try:
            self._cipher.open_into(number, sealed, target, final=last)
        except IntegrityError:
            if len(sealed) < SEALED_CHUNK_OCTETS:
                raise
            # A full chunk that is good, but final too early or last and not final, is released; then the reading fails.
            self._cipher.open_into(number, sealed, target, final=not last)
            self._ended, self._failure = True, chunk_failed(number, "the final chunk is not the last")

    def _fill(self, buffer: memoryview) -> int:
        done = 0
        while done < len(buffer) and (count := self._reader.readinto(buffer[done:])):  # type: ignore[attr-defined]  # of BinaryIO
            done += count
        return done


def open_stream(reader: BinaryIO, identities: Iterable[Identity]) -> StreamReader:
    """Open an age file that is read forward.

    Raises: InputError `age/bad-header`; LockedError `keys/no-identity-matches`; IntegrityError `age/header-mac`; and
    from the reading, IntegrityError `age/chunk-failed`.
    """
    return open_payload(reader, _open_header(reader, identities))


def open_payload(reader: BinaryIO, file_key: bytes) -> StreamReader:
    """Open what a `StreamWriter` made from a file key alone. Raises: as `open_stream`."""
    return StreamReader(reader, _read_payload_key(reader, file_key))


def _open_header(reader: BinaryIO, identities: Iterable[Identity]) -> bytes:
    header = Header.parse(reader)
    file_key = unwrap_file_key(header.stanzas, identities)
    header.verify_mac(file_key)
    return file_key


def _read_payload_key(reader: BinaryIO, file_key: bytes) -> bytes:
    nonce = reader.read(PAYLOAD_NONCE_OCTETS)
    if len(nonce) != PAYLOAD_NONCE_OCTETS:
        raise bad_header("it ends before its payload")
    return derive_payload_key(file_key, nonce)


class ValueSealer:
    """Seals one small value whole; what takes the time, the wrapping for its recipients, is done before it is there."""

    def __init__(self, recipients: Sequence[Recipient]) -> None:
        self._parts: list[bytes] = []
        self._writer = StreamWriter(lambda sealed: self._parts.append(bytes(sealed)), recipients)

    def seal(self, data: Octets) -> bytes:
        """Give the age file. Raises: ValueError the second time; a file key seals one value."""
        self._writer.write(data)
        self._writer.finish()
        return b"".join(self._parts)


def seal_bytes(data: Octets, recipients: Sequence[Recipient]) -> bytes:
    """Seal a small value whole."""
    return ValueSealer(recipients).seal(data)


def open_bytes(sealed: Octets, identities: Iterable[Identity]) -> bytes:
    """Open a small value whole, or release nothing of it. Raises: as `open_stream`."""
    reader = io.BytesIO(sealed)
    payload_key = _read_payload_key(reader, _open_header(reader, identities))
    chunks = memoryview(sealed).cast("B")[reader.tell() :]
    cipher = ChunkCipher(payload_key)
    last = max(0, len(chunks) - 1) // SEALED_CHUNK_OCTETS
    if len(chunks) - last * SEALED_CHUNK_OCTETS < TAG_OCTETS:
        raise chunk_failed(last, "shorter than its tag")
    plain = memoryview(bytearray(len(chunks) - (last + 1) * TAG_OCTETS))
    for number in range(last + 1):
        chunk = chunks[number * SEALED_CHUNK_OCTETS : (number + 1) * SEALED_CHUNK_OCTETS]
        target = plain[number * CHUNK_OCTETS :][: len(chunk) - TAG_OCTETS]
        cipher.open_into(number, chunk, target, final=number == last)
    return bytes(plain)
