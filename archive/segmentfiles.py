"""One segment of an unfinished upload on disk: writing its chunks, and reading back those that open.

A full chunk is never final and a shorter one always is, so a segment that was closed is a whole age file, unless it
ends with a full chunk; one that was cut off is an age file without its end. Knows nothing of the segments beside it.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from archive.age.header import FILE_KEY_OCTETS, Header
from archive.age.keyring import Keyring
from archive.age.payload import (
    CHUNK_OCTETS,
    PAYLOAD_NONCE_OCTETS,
    SEALED_CHUNK_OCTETS,
    TAG_OCTETS,
    ChunkCipher,
    derive_payload_key,
)
from archive.age.wrapping import wrap_file_key
from archive.durable import create_durably, remove_durably, start_writing_back, storage_errors, sync, write_durably
from archive.errors import InputError, IntegrityError
from archive.segmentkeys import SegmentKey, segment_changed

_BATCH_CHUNKS = 4
_WRITE_BACK_EVERY = 1 << 20

_SEALED = re.compile(r"([0-9]{6,})\.age")
_KEY = re.compile(r"([0-9]{6,})\.key")

KeyOf = Callable[[SegmentKey, Header], bytes]
"""Gives the file key of a segment: by the upload's address, or by a vault identity."""


def segment_numbers(folder: Path) -> tuple[int, ...]:
    """Return the numbers of the segments of an upload, in order."""
    return _numbers(folder, _SEALED)


def remove_stray_keys(folder: Path) -> None:
    """Remove the keys of segments that a crash kept from coming into being, or from going away whole."""
    for number in set(_numbers(folder, _KEY)) - set(segment_numbers(folder)):
        remove_durably(_path(folder, number, "key"))


def remove_segment(folder: Path, number: int) -> None:
    """Remove a segment, then its key; a key without its segment is swept by the next writer."""
    remove_durably(_path(folder, number, "age"))
    remove_durably(_path(folder, number, "key"))


class NewSegment:
    """A segment being written. Promises: no chunk number is sealed twice; numbers rise and nothing goes back."""

    def __init__(self, fd: int, cipher: ChunkCipher, size: int) -> None:
        self._fd = fd
        self._cipher = cipher
        self._out = memoryview(b"")
        self._size = size
        self._handed_to_disk = size
        self.chunks = 0

    @classmethod
    def create(cls, folder: Path, address: bytes, keyring: Keyring, *, number: int, start: int) -> Self:
        """Make a segment under a fresh key; the key is durable before the segment is there."""
        file_key, nonce = os.urandom(FILE_KEY_OCTETS), os.urandom(PAYLOAD_NONCE_OCTETS)
        header = Header.build(wrap_file_key(file_key, keyring.recipients), file_key)
        key = SegmentKey.seal(file_key, address, number=number, start=start)
        write_durably(_path(folder, number, "key"), key.format())
        create_durably(_path(folder, number, "age"), header.text + nonce)
        with storage_errors():
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(_path(folder, number, "age"), flags)
        return cls(fd, ChunkCipher(derive_payload_key(file_key, nonce)), len(header.text) + len(nonce))

    def seal(self, plain: memoryview) -> None:
        """Seal whole chunks, or one shorter one, which is the segment's last."""
        length = len(plain) + TAG_OCTETS * -(-len(plain) // CHUNK_OCTETS)
        if len(self._out) < length:
            self._out = memoryview(bytearray(length))
        out, end = self._out[:length], 0
        for begin in range(0, len(plain), CHUNK_OCTETS):
            chunk = plain[begin : begin + CHUNK_OCTETS]
            sealed = out[end : end + len(chunk) + TAG_OCTETS]
            end += len(sealed)
            # The number is used up before the cipher runs, so that a failure between the two cannot use it again.
            number, self.chunks = self.chunks, self.chunks + 1
            self._cipher.seal_into(number, chunk, sealed, final=len(chunk) < CHUNK_OCTETS)
        with storage_errors():
            while out:
                out = out[os.write(self._fd, out) :]
        self._size += length
        if self._size - self._handed_to_disk >= _WRITE_BACK_EVERY:
            # Without this the disk idles until the next sync, which then waits for all of it.
            start_writing_back(self._fd, self._handed_to_disk, self._size - self._handed_to_disk)
            self._handed_to_disk = self._size

    def sync(self) -> None:
        """Make what was sealed durable."""
        sync(self._fd)

    def uncache(self) -> None:
        """Let the kernel forget what was synced: it will not be read soon, and its memory serves what comes next."""
        with suppress(OSError):  # A request, which a file system may refuse.
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Give back the descriptor."""
        with suppress(OSError):  # What counts was synced before.
            os.close(self._fd)


class StoredSegment:
    """A segment as it lies in an upload's folder, open for reading.

    Raises: IntegrityError `uploads/segment-changed` where its key or its header cannot be read.
    """

    def __init__(self, folder: Path, upload: str, number: int, key_of: KeyOf) -> None:
        self.number = number
        self._folder = folder
        self._opened_octets = 0
        try:
            line = _path(folder, number, "key").read_bytes()
        except FileNotFoundError as error:
            raise segment_changed(number) from error
        self.key = SegmentKey.parse(line, upload=upload, number=number)
        self._file = _path(folder, number, "age").open("rb")
        try:
            header = self._header()
            file_key = key_of(self.key, header)
            header.verify_mac(file_key)
            self.key.verify_place(file_key)
            nonce = self._file.read(PAYLOAD_NONCE_OCTETS)
            self._begin = len(header.text) + len(nonce)
            self._cipher = ChunkCipher(derive_payload_key(file_key, nonce))
        except BaseException:  # Raised again; the file is closed.
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def claimed_octets(self) -> int:
        """How many plain octets the segment's length speaks of; nothing was opened for this."""
        whole, rest = divmod(self._sealed_octets, SEALED_CHUNK_OCTETS)
        return whole * CHUNK_OCTETS + max(0, rest - TAG_OCTETS)

    @property
    def unread_octets(self) -> int:
        """How many sealed octets `plain` has not opened."""
        return self._sealed_octets - self._opened_octets

    def plain(self) -> Iterator[memoryview]:
        """Yield the octets up to the first chunk that does not open, if any; each piece is good until the next."""
        self._file.seek(self._begin)
        self._opened_octets = 0
        chunks = 0
        sealed = memoryview(bytearray(_BATCH_CHUNKS * SEALED_CHUNK_OCTETS))
        opened = memoryview(bytearray(_BATCH_CHUNKS * CHUNK_OCTETS))
        while count := self._file.readinto(sealed):
            end = 0
            for begin in range(0, count, SEALED_CHUNK_OCTETS):
                chunk = sealed[begin : min(begin + SEALED_CHUNK_OCTETS, count)]
                plain = opened[end : end + len(chunk) - TAG_OCTETS]
                if not self._opens(chunks, chunk, plain):
                    if end:
                        yield opened[:end]
                    return
                self._opened_octets += len(chunk)
                chunks, end = chunks + 1, end + len(plain)
            yield opened[:end]

    def _opens(self, number: int, sealed: memoryview, plain: memoryview) -> bool:
        if len(sealed) <= TAG_OCTETS:
            return False
        try:
            self._cipher.open_into(number, sealed, plain, final=len(sealed) < SEALED_CHUNK_OCTETS)
        except IntegrityError:
            return False
        return True

    def cut(self) -> None:
        """Cut off what `plain` has not opened, and make the rest durable; remove the segment where nothing is left.

        What a killed writer left in the kernel's memory alone must be on the disk before anything is written after it.
        """
        path = _path(self._folder, self.number, "age")
        if not self._opened_octets:
            remove_segment(self._folder, self.number)
            return
        with storage_errors(), path.open("r+b") as file:
            if self.unread_octets:
                file.truncate(self._begin + self._opened_octets)
            sync(file.fileno())

    @property
    def _sealed_octets(self) -> int:
        return max(0, os.fstat(self._file.fileno()).st_size - self._begin)

    def _header(self) -> Header:
        try:
            return Header.parse(self._file)
        except InputError as error:
            raise segment_changed(self.number) from error


def _path(folder: Path, number: int, kind: str) -> Path:
    return folder / f"{number:06}.{kind}"


def _numbers(folder: Path, names: re.Pattern[str]) -> tuple[int, ...]:
    with storage_errors():
        found = [names.fullmatch(path.name) for path in folder.iterdir()]
    return tuple(sorted(int(match[1]) for match in found if match))
