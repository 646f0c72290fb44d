"""What a packet holds: the payload that comes out through the seal, and the tag files that prove it.

Every octet of an original is compared with the digest that the log recorded at receipt, before anything is released;
whatever else was sealed is compared with the name that the log gave it.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from archive.age.recipients import KeyIdentity
from archive.age.seekable import SeekableReader
from archive.catalogue.database import Database
from archive.catalogue.models import TimestampTokenRow
from archive.errors import IntegrityError
from archive.store.port import object_name
from archive.types import Digest
from archive.vault import Vault
from custody.canonical import Json, canonical_bytes
from custody.checkpoint import Checkpoint, SignedNote
from custody.publication import Publisher
from custody.tlog_proof import EXTENSION, TlogProof
from export import packet_verifier
from export.bag import PayloadFile, PayloadManifests
from export.exhibits import Exhibit
from export.explanation import Facts, read_me_first, verify_txt
from export.extract import Line
from export.index import index_csv, index_json
from export.packaging import Packaging
from export.request import Attested, Step, Watch

FORMAT_VERSION = 1
TYPE = "legal"

_PIECE_OCTETS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The payload as it was written; `originals` by path."""

    originals: Mapping[str, PayloadFile]
    manifests: PayloadManifests


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """One time-stamp token on the packet's checkpoint, with its chain."""

    attested: Attested
    token: bytes
    chain: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The log as the packet shows it: lines in order, the checkpoint over them, the time-stamps on that."""

    lines: tuple[Line, ...]
    note: bytes
    checkpoint: Checkpoint
    stamps: tuple[Stamp, ...]

    def lines_of(self) -> Mapping[UUID, list[Line]]:
        """Give the lines by the item that they speak of."""
        by_item: defaultdict[UUID, list[Line]] = defaultdict(list)
        for line in self.lines:
            for item_id in line.numbers:
                by_item[item_id].append(line)
        return by_item


def write_payload(
    packaging: Packaging,
    vault: Vault,
    keys: Mapping[UUID, KeyIdentity],
    exhibits: Sequence[Exhibit],
    number: str,
    shown: Mapping[str, Json],
    watch: Watch,
) -> Payload:
    """Open each original through the seal into the packet, then the metadata and the index.

    Raises: IntegrityError `export/digest-mismatch`; the errors of opening an age file.
    """
    total = sum(exhibit.size for exhibit in exhibits)
    done = 0
    originals: dict[str, PayloadFile] = {}
    for exhibit in exhibits:
        with _opened(vault, keys[exhibit.item.id], exhibit, exhibit.original) as reader:
            pieces = _watched(reader, exhibit.number, done, total, watch)
            written = packaging.add_payload(exhibit.path, exhibit.size, pieces)
        if written.sha256 != exhibit.sha256:
            raise _mismatch(exhibit, exhibit.sha256, written.sha256)
        originals[exhibit.path] = written
        done += exhibit.size
    for exhibit in exhibits:
        _write_metadata(packaging, vault, keys[exhibit.item.id], exhibit)
    for name, content in (
        ("data/index.csv", index_csv(exhibits, originals)),
        ("data/index.json", index_json(number, exhibits, originals, shown)),
    ):
        packaging.add_payload(name, len(content), [content])
    return Payload(originals=originals, manifests=packaging.finish_payload())


def _write_metadata(packaging: Packaging, vault: Vault, identity: KeyIdentity, exhibit: Exhibit) -> None:
    if exhibit.metadata is None:
        note = {
            "note": "No metadata report was kept when this file was received; what was found then stands below.",
            "extraction": dict(exhibit.extraction),
        }
        content = json.dumps(note, ensure_ascii=False, indent=1).encode("utf-8") + b"\n"
        packaging.add_payload(exhibit.metadata_path, len(content), [content])
        return
    # Anyone could seal something to an item's public recipient; what the log named has this digest and no other.
    found = vault.store.digest(object_name(exhibit.metadata))
    if found != exhibit.metadata:
        raise _mismatch(exhibit, exhibit.metadata, found)
    with _opened(vault, identity, exhibit, exhibit.metadata) as reader:
        packaging.add_payload(exhibit.metadata_path, reader.size, _pieces(reader))


@contextmanager
def _opened(vault: Vault, identity: KeyIdentity, exhibit: Exhibit, blake3: Digest) -> Iterator[SeekableReader]:
    """Open an object of an exhibit; what is wrong with it is told with the exhibit's number."""
    try:
        with vault.open_object(identity, blake3) as reader:
            yield reader
    except IntegrityError as error:
        raise IntegrityError(error.code, error.message, evidence={"item": exhibit.number, **error.evidence}) from error


def read_stamps(database: Database, size: int) -> tuple[Stamp, ...]:
    """Return the time-stamps that the checkpoint of that size has by now."""
    statement = select(TimestampTokenRow).where(TimestampTokenRow.size == size).order_by(TimestampTokenRow.authority)
    with database.reading() as session:
        return tuple(
            Stamp(
                attested=Attested(authority=row.authority, attested_time=row.attested_time),
                token=row.token,
                chain=row.chain,
            )
            for row in session.execute(statement).scalars()
        )


def checkpoint_of(note: bytes) -> Checkpoint:
    return Checkpoint.parse(SignedNote.parse(note).text)


def write_tags(
    packaging: Packaging,
    publisher: Publisher,
    *,
    packet: Json,
    proof: Proof,
    facts: Facts,
) -> None:
    """Write every tag file but BagIt's own."""
    reader = publisher.reader(proof.checkpoint.size)
    packaging.add_tag("metadata/packet.json", canonical_bytes(packet))
    packaging.add_tag("metadata/custody-log.jsonl", b"".join(line.text for line in proof.lines))
    packaging.add_tag("metadata/checkpoint", proof.note)
    packaging.add_tag("metadata/verifier-keys", "".join(f"{key}\n" for key in publisher.verifier_keys).encode("ascii"))
    for line in proof.lines:
        hashes = reader.inclusion_proof(line.seq)
        shown = TlogProof(index=line.seq, hashes=hashes, checkpoint=proof.note)
        packaging.add_tag(f"metadata/proofs/{line.seq}{EXTENSION}", shown.to_bytes())
    for stamp in proof.stamps:
        packaging.add_tag(f"metadata/timestamps/{stamp.attested.authority}.tsr", stamp.token)
        packaging.add_tag(f"metadata/timestamps/{stamp.attested.authority}.pem", stamp.chain)
    packaging.add_tag("verify.py", verifier_source())
    packaging.add_tag("verify.txt", verify_txt(facts))
    packaging.add_tag("read-me-first.html", read_me_first(facts))


def packet_json(
    number: str, packet_id: UUID, origin: str, release: int, exhibits: Sequence[Exhibit], payload: Payload
) -> Json:
    """Give the value of `metadata/packet.json` (formats.md 6.4)."""
    items: list[Json] = [
        {
            "item": str(exhibit.item.id),
            "number": exhibit.number,
            "path": exhibit.path,
            "sha256": payload.originals[exhibit.path].sha256.hex,
            "size": payload.originals[exhibit.path].size,
        }
        for exhibit in exhibits
    ]
    return {
        "v": FORMAT_VERSION,
        "packet": number,
        "packet_id": str(packet_id),
        "type": TYPE,
        "origin": origin,
        "release": release,
        "items": items,
    }


def verifier_source() -> bytes:
    """Return the verifier that travels in every packet, byte for byte."""
    return Path(packet_verifier.__file__).read_bytes()


def verifier_sha256() -> str:
    return sha256(verifier_source()).hexdigest()


def _watched(reader: SeekableReader, number: str, before: int, total: int, watch: Watch) -> Iterator[bytes]:
    done = before
    for piece in _pieces(reader):
        yield piece
        done += len(piece)
        watch(Step(words=f"opening {number}", octets_done=done, octets_total=total))


def _pieces(reader: SeekableReader) -> Iterator[bytes]:
    while piece := reader.read(_PIECE_OCTETS):
        yield piece


def _mismatch(exhibit: Exhibit, recorded: Digest, found: Digest) -> IntegrityError:
    return IntegrityError(
        "export/digest-mismatch",
        "What came out of the archive is not what the log recorded when it was received. No packet was built. Run "
        "`testigo verify`, restore the object from a copy, and keep everything as it is until then.",
        evidence={"item": exhibit.number, "recorded": str(recorded), "found": str(found)},
    )
