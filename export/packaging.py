"""How a packet leaves: as a folder in clear, or as one file sealed to whoever receives it.

Both take the same calls in the same order (payload, manifests, tag files, end), show nothing under the final name until
the finished packet was verified, and remove what they wrote when the block ends before that. The sealed form is a tar
stream that is sealed as it is produced: nothing of it is ever in clear on a disk.
"""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from archive.age.seekable import SeekableReader
from archive.age.stream import StreamWriter
from archive.durable import sync_folder_plainly, sync_plainly
from archive.errors import ConflictError, IntegrityError, UnavailableError
from archive.types import Digest, DigestAlgorithm
from export.bag import DECLARATION, BagWriter, PayloadFile, PayloadManifests, manifest_of, writing
from export.packet_verifier import PACKET_DIGESTS
from export.request import Seal

Labels = Sequence[tuple[str, str]]
CheckFolder = Callable[[Path], None]
"""Raises where the finished packet in a folder is not what it should be."""
CheckSealed = Callable[[Callable[[], SeekableReader]], None]
"""The same for a sealed packet, given what opens it anew for reading."""

_BLOCK = 512


class Packaging(Protocol):
    """A packet being written. Used as a context manager; what is not ended is removed."""

    def add_payload(self, name: str, size: int, chunks: Iterable[bytes]) -> PayloadFile: ...
    def finish_payload(self) -> PayloadManifests: ...
    def add_tag(self, name: str, content: bytes) -> None: ...
    def finish(self, bag_info: Labels) -> Path:
        """Write what remains, verify the whole, let it appear under its name; return where it is."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None, /
    ) -> None: ...


def refuse_occupied(destination: Path) -> None:
    """Raises: ConflictError `export/packet-exists`; UnavailableError `export/cannot-write`: no folder to put it in."""
    for place in (destination, _partial(destination)):
        if place.exists() or place.is_symlink():
            raise ConflictError(
                "export/packet-exists",
                "Something already stands where the packet should go; nothing was written. Name another place, or "
                "remove what a build that was interrupted left behind.",
                evidence={"path": str(place)},
            )
    if not destination.parent.is_dir():
        raise UnavailableError(
            "export/cannot-write",
            "The folder that the packet should go into is not there. Nothing was written. Make it, or name another.",
            evidence={"path": str(destination.parent)},
        )


class ClearPackaging:
    """A bag in clear. It is written and verified inside `<destination>.partial`, then renamed."""

    def __init__(self, destination: Path, check: CheckFolder) -> None:
        self._destination = destination
        self._partial = _partial(destination)
        self._check = check
        refuse_occupied(destination)
        with writing(self._partial):
            self._partial.mkdir(mode=0o700)
        self._bag = BagWriter(self._partial / "packet")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None, /
    ) -> None:
        self._bag.__exit__(kind, error, at)
        with writing(self._partial):
            if self._partial.exists():
                shutil.rmtree(self._partial)

    def add_payload(self, name: str, size: int, chunks: Iterable[bytes]) -> PayloadFile:
        return _of_size(self._bag.add_payload(name, chunks), size)

    def finish_payload(self) -> PayloadManifests:
        return self._bag.finish_payload()

    def add_tag(self, name: str, content: bytes) -> None:
        self._bag.add_tag(name, content)

    def finish(self, bag_info: Labels) -> Path:
        built = self._bag.finish(bag_info)
        self._check(built)
        with writing(self._destination):
            built.rename(self._destination)
            sync_folder_plainly(self._destination.parent)
            self._partial.rmdir()
        return self._destination


class SealedPackaging:
    """A bag as one tar file, sealed while it is written. `folder` is the one name at the top of the tar file."""

    def __init__(self, destination: Path, seal: Seal, *, folder: str, moment: datetime, check: CheckSealed) -> None:
        self._destination = destination
        self._partial = _partial(destination)
        self._folder = folder
        self._moment = int(moment.timestamp())
        self._check = check
        self._payload: dict[str, PayloadFile] = {}
        self._tags: dict[str, PayloadFile] = {}
        refuse_occupied(destination)
        with writing(self._partial):
            descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            self._file: BinaryIO = os.fdopen(descriptor, "wb")
            self._writer = StreamWriter(self._file.write, seal.recipients)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None, /
    ) -> None:
        with writing(self._partial):
            try:
                self._file.close()
            finally:
                self._partial.unlink(missing_ok=True)

    def add_payload(self, name: str, size: int, chunks: Iterable[bytes]) -> PayloadFile:
        self._payload[name] = written = self._write(name, size, chunks)
        return written

    def finish_payload(self) -> PayloadManifests:
        digests = {}
        for algorithm in PACKET_DIGESTS:
            name = f"manifest-{algorithm}.txt"
            self.add_tag(name, manifest_of(self._payload.values(), algorithm))
            digests[algorithm] = self._tags[name].sha512
        return PayloadManifests(of_sha256_manifest=digests["sha256"], of_sha512_manifest=digests["sha512"])

    def add_tag(self, name: str, content: bytes) -> None:
        self._tags[name] = self._write(name, len(content), [content])

    def finish(self, bag_info: Labels) -> Path:
        oxum = f"{sum(file.size for file in self._payload.values())}.{len(self._payload)}"
        lines = "".join(f"{label}: {value}\n" for label, value in (*bag_info, ("Payload-Oxum", oxum)))
        self.add_tag("bagit.txt", DECLARATION)
        self.add_tag("bag-info.txt", lines.encode("utf-8"))
        for algorithm in PACKET_DIGESTS:
            listed = manifest_of(self._tags.values(), algorithm)
            self._write(f"tagmanifest-{algorithm}.txt", len(listed), [listed])
        with writing(self._partial):
            self._writer.write(bytes(2 * _BLOCK))
            self._writer.finish()
            self._file.flush()
            sync_plainly(self._file.fileno())
        self._check_through_the_seal()
        with writing(self._destination):
            self._partial.rename(self._destination)
            sync_folder_plainly(self._destination.parent)
        return self._destination

    def _check_through_the_seal(self) -> None:
        """Open what was written with the file key that is still in memory, and have it verified from there."""
        with writing(self._partial), self._partial.open("rb") as file:
            source = FileRange(file)
            self._check(lambda: SeekableReader(source, file_key=self._writer.file_key))

    def _write(self, name: str, size: int, chunks: Iterable[bytes]) -> PayloadFile:
        """Write one tar member; what it holds must be of the size that its head states."""
        head = tarfile.TarInfo(f"{self._folder}/{name}")
        head.size, head.mtime, head.mode = size, self._moment, 0o644
        digests = {algorithm: hashlib.new(algorithm) for algorithm in PACKET_DIGESTS}
        found = 0
        with writing(self._partial):
            self._writer.write(head.tobuf(tarfile.PAX_FORMAT))
        for chunk in chunks:
            found += len(chunk)
            for digest in digests.values():
                digest.update(chunk)
            with writing(self._partial):
                self._writer.write(chunk)
        with writing(self._partial):
            self._writer.write(bytes(-found % _BLOCK))
        written = PayloadFile(
            name=name,
            size=found,
            sha256=Digest(DigestAlgorithm.SHA256, digests["sha256"].digest()),
            sha512=Digest(DigestAlgorithm.SHA512, digests["sha512"].digest()),
        )
        return _of_size(written, size)


class FileRange:
    """A file as sealed octets that can be read from any place, by several threads."""

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self.size = os.fstat(self._descriptor).st_size

    def read_range(self, start: int, length: int, /) -> bytes:
        return os.pread(self._descriptor, length, start)


def _partial(destination: Path) -> Path:
    return destination.with_name(destination.name + ".partial")


def _of_size(written: PayloadFile, size: int) -> PayloadFile:
    if written.size != size:
        raise IntegrityError(
            "export/size-differs",
            "What came out of the archive is not as long as the record says. No packet was built. "
            "Run `testigo verify`.",
            evidence={"file": written.name, "recorded": size, "found": written.size},
        )
    return written
