"""Write BagIt 1.0 bags (RFC 8493) in the form of an evidence packet.

The writer knows digests and names and nothing about evidence. It writes only inside `<folder>.partial` and renames that
to `<folder>` at the end, so that no half packet is ever visible under its own name. What judges bags is the verifier
that travels in every packet (`packet_verifier`).
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from archive.durable import sync_folder_plainly, sync_plainly
from archive.errors import ConflictError, UnavailableError
from archive.types import Digest, DigestAlgorithm
from export.packet_verifier import PACKET_DIGESTS, manifest_text

DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

# Every name in a packet is made by the archive, so the safe form can be narrow: no space, no leading dot or tilde,
# nothing that a shell, a URL, Windows or a bag reader would understand in its own way.
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_OWN_TAG_FILES = re.compile(r"bagit\.txt|bag-info\.txt|fetch\.txt|(tag)?manifest-.*")
_LABEL = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadFile:
    """One payload file as written."""

    name: str
    size: int
    sha256: Digest
    sha512: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadManifests:
    """Digests (SHA-512) of the two payload manifests; that of `manifest-sha512.txt` is what a release entry names."""

    of_sha256_manifest: Digest
    of_sha512_manifest: Digest


class BagWriter:
    """Writes one bag: payload, then `finish_payload`, then tag files, then `finish`.

    Promises: used as a context manager, it removes what is not finished when the block ends.

    Raises: ConflictError `export/packet-exists` where something already stands at the folder or its `.partial`;
    UnavailableError `export/cannot-write`; ValueError for an unsafe name or calls out of order.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partial = folder.with_name(folder.name + ".partial")
        self._payload: dict[str, PayloadFile] = {}
        self._tags: dict[str, PayloadFile] = {}
        self._names: set[str] = set()
        self._payload_open = self._open = True
        for place in (self._folder, self._partial):
            if place.exists() or place.is_symlink():
                raise ConflictError(
                    "export/packet-exists",
                    "Something already stands where the packet should go; nothing was written. Name another folder, or "
                    "remove what a build that was interrupted left behind.",
                    evidence={"path": str(place)},
                )
        with writing(self._partial):
            self._partial.mkdir(mode=0o700)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._open:
            self._open = False
            with writing(self._partial):
                shutil.rmtree(self._partial)

    def add_payload(self, name: str, chunks: Iterable[bytes]) -> PayloadFile:
        """Write one payload file; `name` begins with `data/`. Read once, digested as it flows."""
        if not self._payload_open or not name.startswith("data/"):
            raise ValueError("payload goes below data/, before the payload is finished")
        self._payload[name] = written = self._write(name, chunks)
        return written

    def finish_payload(self) -> PayloadManifests:
        """Write both payload manifests; no payload can be added after this."""
        if not self._payload_open:
            raise ValueError("the payload is finished already")
        with writing(self._partial):
            (self._partial / "data").mkdir(mode=0o700, exist_ok=True)
        self._payload_open = False
        digests = {}
        for algorithm in PACKET_DIGESTS:
            name = f"manifest-{algorithm}.txt"
            self._tags[name] = self._write(name, [manifest_of(self._payload.values(), algorithm)])
            digests[algorithm] = self._tags[name].sha512
        return PayloadManifests(of_sha256_manifest=digests["sha256"], of_sha512_manifest=digests["sha512"])

    def add_tag(self, name: str, data: bytes) -> PayloadFile:
        """Write one tag file: anything outside `data/`."""
        if self._payload_open or name.startswith("data/") or _OWN_TAG_FILES.fullmatch(name):
            raise ValueError(
                "tag files come after the payload, outside data/, and never under a name that BagIt has taken"
            )
        self._tags[name] = written = self._write(name, [data])
        return written

    def finish(self, bag_info: Sequence[tuple[str, str]]) -> Path:
        """Write the remaining tag files and manifests, sync everything, and let the packet appear under its name.

        `bag_info` is kept in its order; Payload-Oxum is added here.
        """
        if self._payload_open:
            raise ValueError("the payload is not finished yet")
        oxum = f"{sum(file.size for file in self._payload.values())}.{len(self._payload)}"
        self._tags["bagit.txt"] = self._write("bagit.txt", [DECLARATION])
        self._tags["bag-info.txt"] = self._write("bag-info.txt", [_bag_info([*bag_info, ("Payload-Oxum", oxum)])])
        for algorithm in PACKET_DIGESTS:
            self._write(f"tagmanifest-{algorithm}.txt", [manifest_of(self._tags.values(), algorithm)])
        with writing(self._partial):
            for path, _, _ in os.walk(self._partial, topdown=False):
                sync_folder_plainly(Path(path))
            # Files and folders are on the disk now. rename refuses a folder that is not empty; the second sync makes
            # the new name last through a power cut.
            self._partial.rename(self._folder)
            self._open = False
            sync_folder_plainly(self._folder.parent)
        return self._folder

    def _write(self, name: str, chunks: Iterable[bytes]) -> PayloadFile:
        if not self._open:
            raise ValueError("the bag is closed")
        self._claim(name)
        digests = {algorithm: hashlib.new(algorithm) for algorithm in PACKET_DIGESTS}
        size = 0
        with self._create(name) as target:
            for chunk in chunks:
                size += len(chunk)
                for digest in digests.values():
                    digest.update(chunk)
                with writing(self._partial):
                    target.write(chunk)
            with writing(self._partial):
                target.flush()
                sync_plainly(target.fileno())
        return PayloadFile(
            name=name,
            size=size,
            sha256=Digest(DigestAlgorithm.SHA256, digests["sha256"].digest()),
            sha512=Digest(DigestAlgorithm.SHA512, digests["sha512"].digest()),
        )

    def _claim(self, name: str) -> None:
        parts = name.split("/")
        if not all(_PART.fullmatch(part) and not part.endswith(".") and not _DEVICES.fullmatch(part) for part in parts):
            raise ValueError("a name in a packet is made of plain letters, digits, dots, hyphens and underscores")
        if name.casefold() in self._names:
            raise ValueError("two names in a packet differ in more than the case of their letters")
        self._names.add(name.casefold())

    def _create(self, name: str) -> BinaryIO:
        path = self._partial / name
        with writing(self._partial):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            return os.fdopen(descriptor, "wb")


def manifest_of(files: Iterable[PayloadFile], algorithm: str) -> bytes:
    return manifest_text({file.name: getattr(file, algorithm).hex for file in files}).encode("utf-8")


def _bag_info(labels: Sequence[tuple[str, str]]) -> bytes:
    lines = []
    for label, value in labels:
        if not _LABEL.fullmatch(label) or not value.isprintable() or value != value.strip():
            raise ValueError("a bag-info line is a label and one line of printable text")
        lines.append(f"{label}: {value}\n")
    return "".join(lines).encode("utf-8")


@contextmanager
def writing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as trouble:
        raise UnavailableError(
            "export/cannot-write",
            "The packet could not be written and is not there. Check the disk and its free space, then build again.",
            evidence={"path": str(place), "reason": trouble.strerror or type(trouble).__name__},
        ) from trouble
