"""A sealing sink for writers that come back to patch their start, as MP4 muxers do.

The first chunk stays in memory, where it may be changed, and is sealed and written last; so its number is sealed once.
Everything after it is sealed as it flows and cannot be changed.
"""

import io
import os
from collections.abc import Sequence
from typing import Protocol

from archive.age.header import FILE_KEY_OCTETS, Header
from archive.age.payload import (
    CHUNK_OCTETS,
    PAYLOAD_NONCE_OCTETS,
    SEALED_CHUNK_OCTETS,
    TAG_OCTETS,
    ChunkCipher,
    derive_payload_key,
)
from archive.age.wrapping import Recipient, wrap_file_key


class PatchableWrite(Protocol):
    """Sealed octets that are appended, and whose start may be replaced once, in place, at the end."""

    def write(self, data: bytes, /) -> object: ...

    def write_at(self, offset: int, data: bytes, /) -> object: ...


class PatchableSealingSink(io.RawIOBase):
    """A file object that seals what is written to it; `finish` completes the age file.

    The name of the file cannot be taken on the way, because its first chunk comes last.
    Writes go to the end, or into the first 65,536 octets that were already written. Raises: io.UnsupportedOperation
    for any other place.
    """

    def __init__(self, sink: PatchableWrite, recipients: Sequence[Recipient]) -> None:
        self.file_key = os.urandom(FILE_KEY_OCTETS)
        nonce = os.urandom(PAYLOAD_NONCE_OCTETS)
        start = Header.build(wrap_file_key(self.file_key, recipients), self.file_key).text + nonce
        self._sink = sink
        self._cipher = ChunkCipher(derive_payload_key(self.file_key, nonce))
        self._chunks_at = len(start)
        self._first = bytearray()
        self._tail = bytearray()
        self._next = 1
        self._position = 0
        self.size = 0
        sink.write(start)

    def writable(self) -> bool:
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

    def write(self, data: object) -> int:
        self._refuse_closed()
        view = memoryview(data).cast("B")  # type: ignore[arg-type]  # 3.11 has no name for Buffer
        begin, end = self._position, self._position + len(view)
        into_first = view[: max(0, CHUNK_OCTETS - begin)]
        after = view[len(into_first) :]
        if begin > self.size or (after and begin + len(into_first) != self.size and begin < self.size):
            raise io.UnsupportedOperation("only the first 65,536 octets can be written again")
        self._first[begin : begin + len(into_first)] = into_first
        self._append(after)
        self._position = end
        self.size = max(self.size, end)
        return len(view)

    def finish(self) -> None:
        """Seal what is left, the first chunk last, and close; a sink closed without this leaves nothing that opens."""
        self._refuse_closed()
        if self._tail:
            self._seal_next(final=True)
        sealed = self._seal(0, self._first, final=self._next == 1)
        if self._next == 1:
            self._sink.write(sealed)
        else:
            self._sink.write_at(self._chunks_at, sealed)
        self.close()

    def _refuse_closed(self) -> None:
        if self.closed:
            raise ValueError("this sink is closed")

    def _append(self, view: memoryview) -> None:
        while view:
            if len(self._tail) == CHUNK_OCTETS:
                self._seal_next(final=False)
            piece = view[: CHUNK_OCTETS - len(self._tail)]
            self._tail += piece
            view = view[len(piece) :]

    def _seal_next(self, *, final: bool) -> None:
        if self._next == 1:
            self._sink.write(bytes(SEALED_CHUNK_OCTETS))  # The place of the first chunk, until it comes.
        number, self._next = self._next, self._next + 1
        self._sink.write(self._seal(number, self._tail, final=final))
        self._tail = bytearray()

    def _seal(self, number: int, chunk: bytearray, *, final: bool) -> bytes:
        sealed = bytearray(len(chunk) + TAG_OCTETS)
        self._cipher.seal_into(number, chunk, sealed, final=final)
        return bytes(sealed)
