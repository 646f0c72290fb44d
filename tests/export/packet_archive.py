"""A small archive whose items have what the way in records of them: format, extraction, claims, a metadata report,
companions; and builders of packets from it. What the media tools would say is given by the test.
"""

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from archive.age.keyring import Keyring
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Incident, Item, StoredObject
from archive.types import ItemRole, Owner, OwnerKind
from custody.canonical import Json
from custody.drafts import Draft, ItemPart, Values
from custody.entries import EventKind
from export.request import BuiltPacket, PacketRequest, Seal
from tests.archives import SmallArchive
from tests.running_authority import RunningAuthority

SAMPLES = Path(__file__).parents[2] / "demo" / "samples"

_TYPES = {
    ".jpg": ("image/jpeg", "JPEG", "photo"),
    ".heic": ("image/heic", "HEIC", "photo"),
    ".mp4": ("video/mp4", "MP4", "video"),
    ".ogg": ("audio/ogg", "Ogg", "audio"),
    ".pdf": ("application/pdf", "PDF", "document"),
    ".txt": ("text/plain", "plain text", "document"),
}


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """One file and what is said of it. `main` is the place, in the same group, of the file it is a companion of."""

    name: str
    content: bytes
    report: bytes | None = b'[{"ExifTool:ExifToolVersion":12.57}]'
    embedded: dict[str, Json] = field(default_factory=dict)
    sender: dict[str, Json] = field(default_factory=dict)
    main: int | None = None

    @property
    def type(self) -> tuple[str, str, str]:
        return _TYPES.get(Path(self.name).suffix.lower(), ("application/octet-stream", "unknown", "other"))


def sample(name: str, **told: object) -> Arrived:
    """A real file of the demo's samples."""
    return Arrived(name=Path(name).name, content=(SAMPLES / name).read_bytes(), **told)  # type: ignore[arg-type]


class PacketArchive(SmallArchive):
    """An archive from which packets are built."""

    def take_in(self, incident: Incident, files: Sequence[Arrived]) -> list[Item]:
        rooms = self.rooms
        keyring = Keyring.parse(self.founded.organisation.vault_keyring)
        keys = rooms.vault.new_owner_keys([Owner(kind=OwnerKind.ITEM, id=rooms.new_id()) for _ in files], keyring)
        items: list[Item] = []
        with rooms.ledger.transaction() as transaction:
            numbers = next_numbers(transaction.session, NumberKind.ITEM, transaction.now.year, len(files))
            for key, number, file in zip(keys, numbers, files, strict=True):
                item = Item(
                    id=key.owner.id,
                    organisation_id=incident.organisation_id,
                    incident_id=incident.id,
                    number=number,
                    role=ItemRole.ORIGINAL,
                    parent_id=None,
                    companion_id=items[file.main].id if file.main is not None else None,
                    evidence_kind=file.type[2],
                    size=len(file.content),
                    state="kept",
                    content_mac=None,
                    recipient=key.recipient,
                    received_time=transaction.now,
                )
                part = ItemPart(item_id=item.id, recipient=item.recipient, values=self._values(item, file), first=True)
                values: Values = (("purpose", "import"), ("import", "imp-2026-0001"))
                transaction.record(Draft(event=EventKind.INGESTION, actor=self.actor, values=values, items=(part,)))
                items.append(item)
        self.publish()
        return items

    def _values(self, item: Item, file: Arrived) -> Values:
        named = {"item": str(item.id)}
        digest = hashlib.sha256(file.content).hexdigest()
        mime_type, name, _ = file.type
        values: list[tuple[str, Json]] = [
            ("fixity", {**named, "stage": "receipt", "sha256": digest, "size": len(file.content)}),
            ("original_name", {**named, "name": file.name}),
            ("format", {**named, "mime_type": mime_type, "name": name, "pronom": None}),
            ("extraction", {**named, "tool": "ExifTool", "outcome": "nothing" if file.report is None else "whole"}),
            ("claims", {**named, "sender": dict(file.sender), "embedded": dict(file.embedded)}),
            ("policy", {**named, "policy_id": f"sha256:{64 * '0'}", "outcome": "kept whole"}),
            ("record", item.to_log({"original_name": file.name})),
        ]
        for purpose, content in (("original", file.content), ("metadata", file.report)):
            if content is None:
                continue
            staged = self.rooms.vault.stage(io.BytesIO(content), item.recipient)
            self.rooms.vault.publish([staged])
            sealed = staged.sealed
            place: dict[str, Json] = {
                "purpose": purpose,
                "blake3": sealed.blake3.hex,
                "sealed_size": sealed.sealed_size,
            }
            stored = StoredObject(
                id=self.rooms.new_id(),
                item_id=item.id,
                purpose=purpose,
                blake3=sealed.blake3.value,
                sealed_size=sealed.sealed_size,
            )
            values += [("record", stored.to_log()), ("object", {**named, **place})]
        return tuple(values)

    def request(
        self,
        destination: Path,
        items: Sequence[Item] = (),
        *,
        incident: Incident | None = None,
        seal: Seal | None = None,
        exclude: Sequence[Item] = (),
        reason: str | None = None,
    ) -> PacketRequest:
        return PacketRequest(
            actor=self.actor,
            recipient="A. Ortiz, counsel",
            legal_basis="client file",
            destination=destination,
            items=tuple(item.number for item in items),
            incident=incident.number if incident else None,
            exclude=tuple(item.number for item in exclude),
            reason=reason,
            seal=seal,
        )

    def build(
        self,
        destination: Path,
        items: Sequence[Item] = (),
        *,
        incident: Incident | None = None,
        seal: Seal | None = None,
        exclude: Sequence[Item] = (),
        reason: str | None = None,
    ) -> BuiltPacket:
        request = self.request(destination, items, incident=incident, seal=seal, exclude=exclude, reason=reason)
        return self.rooms.disclosure.build_legal(request, lambda _: None)


def authority_settings(*authorities: RunningAuthority) -> str:
    """Name running authorities as the settings file does."""
    return "".join(
        f'[[custody.authorities]]\nname = "{one.name}"\nurl = "{one.url}"\nroots = ["{one.root}"]\ntimeout_s = 10\n'
        for one in authorities
    )


def verify(folder: Path, *more: str) -> tuple[int, str]:
    """Run the packet's own verifier as a stranger would; return its exit code and what it said."""
    run = [sys.executable, "-I", "-S", "verify.py", *more]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def verify_json(folder: Path, *more: str) -> dict[str, Json]:
    code, said = verify(folder, "--json", *more)
    report: dict[str, Json] = json.loads(said)
    assert report["exit"] == code
    return report
