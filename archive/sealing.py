"""Reading an untrusted stream once and sealing it as it flows: steps 1 and 2 of the way in.

Whatever its length, a few mebibytes of it are in memory. Knows digests and age; knows neither stores nor records.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import BinaryIO, Protocol

from blake3 import blake3

from archive.age.recipients import Recipient
from archive.age.stream import StreamWriter
from archive.store.port import StagedWrite, object_name
from archive.types import Digest, DigestAlgorithm

HEAD_OCTETS = 64 * 1024

_FIRST_OCTETS = 1 << 20
"""So much is read before a second thread is worth its start."""
_BUFFER_OCTETS = 1 << 22
"""Large, because each hand-over makes one thread wait for the other; made when needed, because most files are small."""
_BUFFERS = 4


class SealedSink(Protocol):
    """Takes sealed octets in order; must be done with the buffer when it returns."""

    def write(self, data: memoryview, /) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedStream:
    """What is known of a stream after it was sealed.

    `sha256`, `size` and `head` are of the plaintext, `blake3` and `sealed_size` of the age file. `file_key` opens it
    again before the commit and is to be dropped then.
    """

    sha256: Digest
    size: int
    head: bytes = field(repr=False)
    blake3: Digest
    sealed_size: int
    file_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedObject:
    """An object sealed into staging: not yet visible, not yet durable."""

    sealed: SealedStream
    staged: StagedWrite

    @property
    def name(self) -> str:
        return object_name(self.sealed.blake3)


class _NamedSink:
    """Takes the name of what passes through: BLAKE3 and length of the sealed octets."""

    def __init__(self, sink: SealedSink) -> None:
        self._sink = sink
        self.digest = blake3()
        self.octets = 0

    def write(self, sealed: memoryview) -> None:
        self.digest.update(sealed)
        self._sink.write(sealed)
        self.octets += len(sealed)


def seal_stream(
    source: BinaryIO, sink: SealedSink, recipients: Sequence[Recipient], *, head_octets: int = HEAD_OCTETS
) -> SealedStream:
    """Read a stream to its end once, seal it into the sink and take both digests on the way.

    Whatever the source or the sink raises passes through; what was written by then opens for nobody.
    """
    if not 0 <= head_octets <= _FIRST_OCTETS:
        raise ValueError(f"a head has at most {_FIRST_OCTETS} octets")
    named = _NamedSink(sink)
    writer = StreamWriter(named.write, recipients)
    # Most files of a phone are small, and clearing a whole buffer for each would take longer than sealing it.
    first = bytearray(max(head_octets, HEAD_OCTETS))
    count = _fill(source, first)
    if count == len(first):
        first += bytes(_FIRST_OCTETS - count)
        count += _fill(source, memoryview(first)[count:])
    head = bytes(memoryview(first)[:head_octets][:count])
    if count < _FIRST_OCTETS:
        digest = hashlib.sha256(memoryview(first)[:count]).digest()
        writer.write(memoryview(first)[:count])
        size = count
    else:
        digest, size = _seal_overlapped(source, writer, first)
    writer.finish()
    return SealedStream(
        sha256=Digest(DigestAlgorithm.SHA256, digest),
        size=size,
        head=head,
        blake3=Digest(DigestAlgorithm.BLAKE3, named.digest.digest()),
        sealed_size=named.octets,
        file_key=writer.file_key,
    )


def _seal_overlapped(source: BinaryIO, writer: StreamWriter, first: bytearray) -> tuple[bytes, int]:
    """Seal, name and write in this thread, while another reads ahead and takes the SHA-256 of the same buffers."""
    free: SimpleQueue[bytearray | None] = SimpleQueue()
    full: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()
    for _ in range(_BUFFERS - 1):
        free.put(bytearray())
    full.put((first, len(first)))
    size = 0
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256") as executor:
        reading = executor.submit(_read_and_hash, source, first, free, full)
        try:
            while (filled := full.get()) is not None:
                buffer, count = filled
                writer.write(memoryview(buffer)[:count])
                size += count
                free.put(buffer)
        finally:
            free.put(None)
        return reading.result(), size


def _read_and_hash(
    source: BinaryIO,
    first: bytearray,
    free: "SimpleQueue[bytearray | None]",
    full: "SimpleQueue[tuple[bytearray, int] | None]",
) -> bytes:
    """Fill free buffers, hand them on and return the SHA-256 of all; a None in a queue says that nothing more comes.

    A buffer is handed on before it is hashed; it may come back meanwhile, but is taken again only afterwards.
    """
    digest = hashlib.sha256()
    try:
        digest.update(first)
        while (buffer := free.get()) is not None:
            if len(buffer) < _BUFFER_OCTETS:
                buffer = bytearray(_BUFFER_OCTETS)
            if not (count := _fill(source, buffer)):
                break
            full.put((buffer, count))
            digest.update(memoryview(buffer)[:count])
    finally:
        full.put(None)
    return digest.digest()


def _fill(source: BinaryIO, buffer: bytearray | memoryview) -> int:
    """Read until the buffer is full or the source has ended; a raw source may give less at a time."""
    view, done = memoryview(buffer), 0
    while done < len(view) and (count := source.readinto(view[done:])):  # type: ignore[attr-defined]  # of BinaryIO
        done += count
    return done
