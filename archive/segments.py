"""Where an unfinished upload waits: sealed segments of whole chunks, each under a fresh key, and nothing in clear.

    <root>/<digest of the address>/lock          whose turn it is
    <root>/<digest of the address>/000001.age    an age file to the vault keyring; its end may be missing
    <root>/<digest of the address>/000001.key    its key under the address, and its place

Every opening of an upload for writing takes the turn from whoever had it and begins a new segment with a new key, and
within a segment chunk numbers only rise: no key ever seals a number twice, whatever a crash has taken back. A segment
begins only when all before it is durable and cut to what opens, so that segments join without a gap. Staging is never
an object.
"""

import io
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Self

from archive.age.keyring import Keyring
from archive.age.payload import CHUNK_OCTETS, Octets
from archive.age.wrapping import Identity, unwrap_file_key
from archive.durable import (
    make_folder_durably,
    remove_durably,
    storage_errors,
    sweep_partials,
    sync_folder,
    write_durably,
)
from archive.errors import IntegrityError
from archive.segmentfiles import (
    KeyOf,
    NewSegment,
    StoredSegment,
    remove_segment,
    remove_stray_keys,
    segment_numbers,
)
from archive.segmentkeys import ADDRESS_OCTETS, segment_changed, upload_name
from archive.turns import Turn, no_such_upload

__all__ = [
    "SEGMENT_OCTETS",
    "SegmentReader",
    "SegmentWriter",
    "begin_upload",
    "discard_upload",
    "list_uploads",
    "retire_writer",
    "settled_offset",
    "upload_folder",
    "upload_name",
]

SEGMENT_OCTETS = 64 * 1024 * 1024
"""Plain octets of a full segment: the most that is opened again when an upload goes on."""

_TRIAL = "trial"
_DISCARDED = ".discarded-"
_BATCH_OCTETS = 16 * CHUNK_OCTETS
_NAME = re.compile(r"[0-9a-f]{64}")


def begin_upload(root: Path) -> bytes:
    """Make room for a new upload and return its address, which nothing here keeps."""
    address = os.urandom(ADDRESS_OCTETS)
    make_folder_durably(root / upload_name(address))
    return address


def list_uploads(root: Path) -> tuple[str, ...]:
    """Return the names of the uploads that wait under `root`."""
    with storage_errors(), suppress(FileNotFoundError):
        return tuple(sorted(path.name for path in root.iterdir() if _NAME.fullmatch(path.name)))
    return ()


def discard_upload(root: Path, name: str) -> None:
    """Remove an upload, all of it or none, and what interrupted removals left. Whoever writes it writes nothing more.

    Raises: NotFoundError `uploads/no-such-upload`.
    """
    folder = upload_folder(root, name)
    turn = Turn(folder)
    try:
        with turn.taken(), storage_errors():
            folder.rename(root / f"{_DISCARDED}{name}")
        sync_folder(root)
    finally:
        turn.close()
    with storage_errors():
        for left in root.glob(f"{_DISCARDED}*"):
            shutil.rmtree(left, ignore_errors=True)  # Another removal may be at the same one.
    sync_folder(root)


def retire_writer(root: Path, name: str) -> None:
    """Take the turn from whoever writes an upload. Raises: NotFoundError `uploads/no-such-upload`."""
    turn = Turn(upload_folder(root, name))
    try:
        with turn.taken():
            pass
    finally:
        turn.close()


def settled_offset(root: Path, address: bytes, *, at_least: int = 0, synced: int = 0) -> int:
    """Take the turn from whoever writes, leave only what opens, make it durable, and return where it ends.

    `synced` is as for `SegmentWriter`.
    """
    folder = upload_folder(root, upload_name(address))
    turn = Turn(folder)
    try:
        with turn.taken():
            return _settle(folder, address, at_least, synced)[1]
    finally:
        turn.close()


class SegmentWriter:
    """Go on with an upload where its durable octets end. The newest writer alone writes; not for two threads at once.

    `offset` is where the next octet goes. A writer that failed takes nothing more; another one goes on. What is written
    on `trial` counts only once it was confirmed; until then whoever comes next removes it. `synced` octets are known to
    be durable: an upload that ends just there is not read again, nor synced again.
    Raises: NotFoundError `uploads/no-such-upload`; ConflictError `uploads/retired` once another has begun;
    IntegrityError `uploads/segment-changed`, and `uploads/octets-lost` where fewer than `at_least` octets are left.
    """

    def __init__(
        self,
        root: Path,
        address: bytes,
        keyring: Keyring,
        *,
        at_least: int = 0,
        synced: int = 0,
        segment_octets: int = SEGMENT_OCTETS,
        trial: bool = False,
    ) -> None:
        if segment_octets <= 0 or segment_octets % CHUNK_OCTETS:
            raise ValueError("a segment holds whole chunks")
        self._folder = upload_folder(root, upload_name(address))
        self._address = address
        self._keyring = keyring
        self._segment_chunks = segment_octets // CHUNK_OCTETS
        self._tail = bytearray()
        self._segment: NewSegment | None = None
        self._turn: Turn | None = Turn(self._folder)
        with self._used_up_by_failure(), self._turn.taken():
            self._number, self._sealed_to = _settle(self._folder, address, at_least, synced)
            if trial:
                write_durably(self._folder / _TRIAL, str(self._number + 1).encode("ascii"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._turn is not None:
            self.close()
        else:
            self.abandon()

    @property
    def offset(self) -> int:
        return self._sealed_to + len(self._tail)

    @property
    def sealed_to(self) -> int:
        """Where the octets end that were sealed and written; they may not be durable."""
        return self._sealed_to

    def append(self, data: Octets) -> None:
        """Take the next octets. Those that do not fill a chunk wait in memory, for more of them or for `close`."""
        self._refuse_closed()
        view = memoryview(data).cast("B")
        if self._tail:
            room = CHUNK_OCTETS - len(self._tail)
            self._tail += view[:room]
            view = view[room:]
            if len(self._tail) < CHUNK_OCTETS:
                return
            full, self._tail = self._tail, bytearray()
            self._seal(memoryview(full))
        end = len(view) // CHUNK_OCTETS * CHUNK_OCTETS
        self._seal(view[:end])
        self._tail += view[end:]

    def sync(self) -> int:
        """Make the whole chunks durable and return where they end: so much may be acknowledged."""
        self._refuse_closed()
        if self._segment is not None:
            with self._used_up_by_failure(), self._held():
                self._segment.sync()
        return self._sealed_to

    def uncache(self) -> None:
        """Say that what was synced will not be read soon."""
        if self._segment is not None:
            self._segment.uncache()

    def confirm(self) -> int:
        """Close, and let what was written on trial count from now on."""
        self._refuse_closed()
        tail, self._tail = self._tail, bytearray()
        self._seal(memoryview(tail))
        with self._used_up_by_failure(), self._held():
            if self._segment is not None:
                self._segment.sync()
            remove_durably(self._folder / _TRIAL)
        self.abandon()
        return self._sealed_to

    def reject(self) -> None:
        """Take back what this writer wrote on trial, and let the upload go."""
        with self._used_up_by_failure(), self._held():
            _drop_trial(self._folder)
        self.abandon()

    def close(self) -> int:
        """Seal what waits, make everything durable, let the upload go, and return where it ends."""
        self._refuse_closed()
        tail, self._tail = self._tail, bytearray()
        self._seal(memoryview(tail))
        end = self.sync()
        self.abandon()
        return end

    def abandon(self) -> None:
        """Let the upload go as it is; what was not synced may be lost."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        if self._turn is not None:
            self._turn.close()
            self._turn = None

    def _seal(self, plain: memoryview) -> None:
        while plain:
            with self._used_up_by_failure(), self._held():
                segment = self._current()
                room = min(_BATCH_OCTETS, (self._segment_chunks - segment.chunks) * CHUNK_OCTETS)
                segment.seal(plain[:room])
            self._sealed_to += len(plain[:room])
            plain = plain[room:]

    def _current(self) -> NewSegment:
        if self._segment is not None and self._segment.chunks >= self._segment_chunks:
            self._segment.sync()
            self._segment.close()
            self._segment = None
        if self._segment is None:
            self._number += 1
            self._segment = NewSegment.create(
                self._folder, self._address, self._keyring, number=self._number, start=self._sealed_to
            )
        return self._segment

    def _refuse_closed(self) -> None:
        if self._turn is None:
            raise ValueError("this writer was closed, or has failed")

    def _held(self) -> AbstractContextManager[None]:
        if self._turn is None:
            raise ValueError("this writer was closed, or has failed")
        return self._turn.held()

    @contextmanager
    def _used_up_by_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:  # Raised again. What has reached the disk is not known; settling it is the next writer's.
            self.abandon()
            raise


class SegmentReader(io.RawIOBase):
    """The octets of an upload from its first to the last that opens, read forward.

    `unread_octets` tells, after the end, how many sealed octets at the end did not open: a writer was killed there.
    `to_the_break` ends at a segment that is damaged or missing, for whoever saves what is left of an upload.
    Raises: NotFoundError `uploads/no-such-upload`; from reading, IntegrityError `uploads/segment-changed`, LockedError
    `keys/no-identity-matches`.
    """

    def __init__(self, root: Path, name: str, key_of: KeyOf, *, to_the_break: bool = False) -> None:
        self._to_the_break = to_the_break
        self._name = name
        self._key_of = key_of
        self._folder = upload_folder(root, name)
        self._pieces = self._read()
        self._rest = memoryview(b"")
        self.unread_octets = 0

    @classmethod
    def by_address(cls, root: Path, address: bytes, *, to_the_break: bool = False) -> Self:
        """Read as the client's next request does."""
        return cls(root, upload_name(address), lambda key, _: key.open(address), to_the_break=to_the_break)

    @classmethod
    def by_identities(
        cls, root: Path, name: str, identities: Sequence[Identity], *, to_the_break: bool = False
    ) -> Self:
        """Read as an unlocked office does, to rescue what a client that vanished has left."""
        return cls(root, name, lambda _, header: unwrap_file_key(header.stanzas, identities), to_the_break=to_the_break)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        out = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # typeshed's Buffer has no runtime name in 3.11
        if not self._rest:
            self._rest = next(self._pieces, memoryview(b""))
        count = min(len(out), len(self._rest))
        out[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _read(self) -> Iterator[memoryview]:
        try:
            yield from self._read_all()
        except IntegrityError:
            if not self._to_the_break:
                raise

    def _read_all(self) -> Iterator[memoryview]:
        offset = 0
        for number in segment_numbers(self._folder):
            with StoredSegment(self._folder, self._name, number, self._key_of) as segment:
                # A segment that is missing, exchanged or cut shows here: the next one does not begin where it ended.
                if segment.key.start != offset:
                    raise segment_changed(number)
                for piece in segment.plain():
                    offset += len(piece)
                    yield piece
                self.unread_octets = segment.unread_octets


def _settle(folder: Path, address: bytes, at_least: int, synced: int) -> tuple[int, int]:
    """Leave only what opens, durable. Return the last segment's number and where it ends."""
    sweep_partials(folder)
    _drop_trial(folder)
    remove_stray_keys(folder)
    name = upload_name(address)
    numbers = segment_numbers(folder)
    end = 0
    for number in numbers:
        with StoredSegment(folder, name, number, lambda key, _: key.open(address)) as segment:
            if segment.key.start != end:
                raise segment_changed(number)
            if number != numbers[-1] or end + segment.claimed_octets == synced:
                end += segment.claimed_octets
                continue
            end += sum(map(len, segment.plain()))
            if end < at_least:
                raise _octets_lost(end, at_least)
            segment.cut()
    if end < at_least:
        raise _octets_lost(end, at_least)
    return (numbers[-1] if numbers else 0), end


def _octets_lost(left: int, at_least: int) -> IntegrityError:
    return IntegrityError(
        "uploads/octets-lost",
        "Part of an unfinished upload that was acknowledged does not open any more. What is left was not changed. "
        "Check the disk; the sender can send the file again.",
        evidence={"left": left, "acknowledged": at_least},
    )


def _drop_trial(folder: Path) -> None:
    """Remove what was written on trial and never confirmed."""
    try:
        first = int((folder / _TRIAL).read_bytes())
    except FileNotFoundError:
        return
    except ValueError as error:
        raise segment_changed(0) from error
    for number in segment_numbers(folder):
        if number >= first:
            remove_segment(folder, number)
    remove_durably(folder / _TRIAL)


def upload_folder(root: Path, name: str) -> Path:
    """Return where an upload lies. Raises: NotFoundError `uploads/no-such-upload`."""
    if not _NAME.fullmatch(name) or not (root / name).is_dir():
        raise no_such_upload()
    return root / name
