"""A small archive for tests: founded in a folder of the test's own, wired like the command line's rooms, with a clock
that the test moves and a real key agent.

Keys are X25519 and passphrases cheap, so that founding takes a fraction of a second. `receive` does what the way in
does, less the media tools.
"""

import hashlib
import hmac
import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from archive.age.agent import start_agent
from archive.age.keyring import Keyring
from archive.age.recipients import KeyKind
from archive.catalogue.accounts import read_secret
from archive.catalogue.database import Database
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Incident, Item, StoredObject
from archive.keyfiles import KeyFiles
from archive.types import ItemRole, Owner, OwnerKind, Role, StaffId
from archive.vault import StagedObject
from cli import Asked, Rooms
from commands.account import os_user
from custody.accounts import actor_of
from custody.canonical import Json
from custody.drafts import Draft, ItemPart, OwnedPart, Values
from custody.entries import EventKind
from custody.founding import Charter, Founded, found
from custody.incidents import open_incident
from custody.ledger import EntryRef, Transaction
from custody.permit import EntryPermit
from custody.signed_note import KeyType, SigningKey

PASSPHRASE = "correct horse battery staple again"
START = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)
WORK_FACTOR = 10
CONFIG = """
[archive]
origin = "archive.example.org/log"
key_kind = "x25519"

[keys]
scrypt_work_factor = 15
"""


class MovableClock:
    """A clock that moves one second at each look, and further when it is told to."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def move(self, by: timedelta) -> None:
        self.now += by


@cache
def _empty_catalogue() -> bytes:
    """Make a catalogue with no row once; what makes one is tested where it stands."""
    with TemporaryDirectory() as folder:
        database = Database(Path(folder) / "catalogue.sqlite")
        database.migrate()
        database.close()
        return database.path.read_bytes()


class SmallArchive:
    """An archive in `home`. `rooms` are the command line's own; `settings` is TOML added to the settings file."""

    def __init__(self, home: Path, *, settings: str = "", now: datetime = START) -> None:
        self.home = home
        self.clock = MovableClock(now)
        for folder in ("secrets", "run", "run/agent"):
            (home / folder).mkdir(parents=True, mode=0o700)
        (home / "config.toml").write_text(CONFIG + settings, encoding="utf-8")
        self.rooms = self.open_rooms()
        keys = [SigningKey.generate(self.rooms.settings.archive.origin, key_type) for key_type in KeyType]
        self.rooms.signing_keys_path.write_text("".join(f"{key.secret_text()}\n" for key in keys), encoding="ascii")
        self.rooms.catalogue_path.touch(mode=0o600)
        self.rooms.catalogue_path.write_bytes(_empty_catalogue())
        self.founded: Founded = found(
            Charter(
                origin=self.rooms.settings.archive.origin,
                kind=KeyKind.X25519,
                os_user=os_user(),
                role=Role.COORDINATOR,
                passphrase=PASSPHRASE,
                counsel=None,
            ),
            ledger=self.rooms.ledger,
            key_files=self.rooms.key_files,
            new_id=self.rooms.new_id,
        )
        self.actor = actor_of(self.rooms.database, os_user())
        self.publish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open_rooms(self) -> Rooms:
        """Give fresh rooms over the same home, as another process would have them."""
        asked = Asked(home=self.home, config=None, json=False, quiet=True, yes=True, dry_run=False, explain=False)
        rooms = Rooms(asked)
        rooms.clock = self.clock
        rooms.key_files = KeyFiles(rooms.places.keys, work_factor=WORK_FACTOR)
        return rooms

    def reopen(self) -> Rooms:
        """Close the rooms and open them anew, as the next command would."""
        self.rooms.close()
        self.rooms = self.open_rooms()
        return self.rooms

    def close(self) -> None:
        self.lock()
        self.rooms.close()

    def publish(self) -> bytes:
        return self.rooms.publisher.publish()

    def unlock(self, *, seconds: float = 600) -> None:
        """Start a real key agent with the founder's copy of the office identity."""
        identity = self.rooms.key_files.open_copy(StaffId(self.actor.staff_id), PASSPHRASE)
        self.rooms.ledger.record(Draft(event=EventKind.UNLOCK, actor=self.actor, values=(("purpose", "unlock"),)))
        permit = EntryPermit(self.rooms.catalogue_path, self.rooms.ledger.size())
        self.rooms.database.close()  # SQLite must not be open across the fork.
        start_agent(
            self.rooms.run_folder / "agent" / "socket",
            identity,
            lifetime_s=seconds,
            permit=permit,
            owns=permit.owns,
            clock=self.clock,
        )

    def lock(self) -> None:
        self.rooms.agent.lock()

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        self.unlock()
        try:
            yield
        finally:
            self.lock()

    def incident(self, title: str = "Raid at 6th and Alvarado") -> Incident:
        return open_incident(
            self.rooms.ledger, self.rooms.vault, self.actor, {"title": title}, new_id=self.rooms.new_id
        )

    def receive(self, incident: Incident, files: Sequence[tuple[str, bytes]]) -> list[Item]:
        """Take in files as one group and publish; an item each."""
        return [item for item, _ in self.receive_with_entries(incident, files)]

    def receive_with_entries(
        self, incident: Incident, files: Sequence[tuple[str, bytes]]
    ) -> list[tuple[Item, EntryRef]]:
        """As `receive`; give the entries too, for receipts."""
        rooms = self.rooms
        keyring = Keyring.parse(self.founded.organisation.vault_keyring)
        owners = [Owner(kind=OwnerKind.ITEM, id=rooms.new_id()) for _ in files]
        keys = rooms.vault.new_owner_keys(owners, keyring)
        staged = [
            rooms.vault.stage(io.BytesIO(data), key.recipient) for key, (_, data) in zip(keys, files, strict=True)
        ]
        rooms.vault.publish(staged)
        made: list[tuple[Item, EntryRef]] = []
        with rooms.ledger.transaction() as transaction:
            numbers = next_numbers(transaction.session, NumberKind.ITEM, transaction.now.year, len(files))
            mac_key = read_secret(transaction.session, "intake-key")
            for key, each, number, (name, _) in zip(keys, staged, numbers, files, strict=True):
                item = Item(
                    id=key.owner.id,
                    organisation_id=incident.organisation_id,
                    incident_id=incident.id,
                    number=number,
                    role=ItemRole.ORIGINAL,
                    parent_id=None,
                    companion_id=None,
                    evidence_kind="photo",
                    size=each.sealed.size,
                    state="kept",
                    content_mac=hmac.digest(mac_key, b"testigo content\0" + each.sealed.sha256.value, hashlib.sha256),
                    recipient=key.recipient,
                    received_time=transaction.now,
                )
                made.append((item, self._ingestion(transaction, item, each, name)))
        self.publish()
        return made

    def touch(self, items: Sequence[Item], purpose: str = "look at the record") -> int:
        """Enter an access to items, as a reader does; return the entry's number."""
        owners = [Owner(kind=OwnerKind.ITEM, id=item.id) for item in items]
        recipients = {item.id: item.recipient for item in items}
        return self.rooms.ledger.record_access(self.actor, owners, purpose, recipients=recipients).entry

    def told_by_counsels_client(self, name: str) -> None:
        """Enter a value that only counsel's key opens."""
        ours = self.founded.organisation
        recipients = tuple(str(recipient) for recipient in Keyring.parse(ours.identity_keyring).recipients)
        part = OwnedPart(
            owner=Owner(kind=OwnerKind.IDENTITY, id=ours.id), recipients=recipients, values=(("custodian_claim", name),)
        )
        self.rooms.ledger.record(Draft(event=EventKind.IMPORT, actor=self.actor, owned=(part,)))

    def _ingestion(self, transaction: Transaction, item: Item, staged: StagedObject, name: str) -> EntryRef:
        named = {"item": str(item.id)}
        sealed = staged.sealed
        stored = StoredObject(
            id=self.rooms.new_id(),
            item_id=item.id,
            purpose="original",
            blake3=sealed.blake3.value,
            sealed_size=sealed.sealed_size,
        )
        place: Json = {
            **named,
            "purpose": "original",
            "blake3": sealed.blake3.hex,
            "sealed_size": sealed.sealed_size,
        }
        values: Values = (
            ("fixity", {**named, "stage": "receipt", "sha256": sealed.sha256.hex, "size": sealed.size}),
            ("original_name", {**named, "name": name}),
            ("record", item.to_log({"original_name": name})),
            ("record", stored.to_log()),
            ("object", place),
        )
        part = ItemPart(item_id=item.id, recipient=item.recipient, values=values, first=True)
        return transaction.record(
            Draft(event=EventKind.INGESTION, actor=self.actor, values=(("purpose", "import"),), items=(part,))
        )


def bring_back(home: Path, then: Path, *names: str) -> None:
    """Put parts of an archive back as a copy of another day has them; it is closed meanwhile."""
    for name in names:
        there = home / name
        shutil.rmtree(there) if there.is_dir() else there.unlink()
        (then / name).rename(there)
