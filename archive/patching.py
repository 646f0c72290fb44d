"""Sealing what a muxer writes: forward, and once more into its start; then naming what came of it.

The name of an object is the digest of all its octets and the first of them come last, so it is taken by reading the
staged object again, through the seal, which gives the digest of the plaintext too.
"""

import hashlib
from types import TracebackType
from typing import Self

from blake3 import blake3

from archive.age.patchable import PatchableSealingSink
from archive.age.recipients import parse_recipient
from archive.age.seekable import SeekableReader
from archive.sealing import HEAD_OCTETS, SealedStream, StagedObject
from archive.store.port import StagedWrite
from archive.types import Digest, DigestAlgorithm

_READ_OCTETS = 1 << 20


class PatchableStage:
    """A staged object that is being written; a context manager that drops it unless it was finished."""

    def __init__(self, staged: StagedWrite, recipient: str) -> None:
        self._staged = staged
        self._finished = False
        self.sink = PatchableSealingSink(staged, [parse_recipient(recipient)])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self._staged.abort()

    def finish(self) -> StagedObject:
        """Seal what is left and name the object; from now on it is dropped by whoever has it."""
        self.sink.finish()
        view = StagedRanges(self._staged)
        sealed = blake3()
        for start in range(0, view.size, _READ_OCTETS):
            sealed.update(view.read_range(start, _READ_OCTETS))
        reader = SeekableReader(view, file_key=self.sink.file_key)
        plain, size, head = hashlib.sha256(), 0, b""
        while piece := reader.read(_READ_OCTETS):
            head = head or piece[:HEAD_OCTETS]
            plain.update(piece)
            size += len(piece)
        self._finished = True
        stream = SealedStream(
            sha256=Digest(DigestAlgorithm.SHA256, plain.digest()),
            size=size,
            head=head,
            blake3=Digest(DigestAlgorithm.BLAKE3, sealed.digest()),
            sealed_size=view.size,
            file_key=self.sink.file_key,
        )
        return StagedObject(sealed=stream, staged=self._staged)


class StagedRanges:
    """A staged write as something that can be read from any place."""

    def __init__(self, staged: StagedWrite) -> None:
        self._staged = staged
        self.size = staged.tell()

    def read_range(self, start: int, length: int, /) -> bytes:
        return self._staged.read_range(start, length)
