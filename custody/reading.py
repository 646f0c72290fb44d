"""Reading records: each opening is an entry first, then the bytes.

Whoever asks gets an item's record, its custody log and its key only against an access entry that names the item and,
where general values are shown, the staff compartment.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from archive.access import Action, LoggedAccess, require
from archive.age.keyring import Keyring
from archive.age.recipients import KeyIdentity
from archive.age.seekable import SeekableReader
from archive.catalogue.accounts import organisation
from archive.catalogue.database import Database
from archive.catalogue.drops import senders_of
from archive.catalogue.holds import holds_on
from archive.catalogue.items import NOT_SHOWN, item_by_number, objects_of
from archive.catalogue.records import Hold, Item, Json, StoredObject
from archive.catalogue.senders import Said
from archive.errors import AccessError, InputError, NotFoundError, TestigoError
from archive.types import Actor, Digest, DigestAlgorithm, Owner, OwnerKind, parse_utc
from archive.vault import Vault
from custody.consents import consents_of
from custody.destroyed import DESTROYED, Destruction, destroying_entry, destruction_of
from custody.drafts import ItemPart
from custody.fold import catalogue_as_of
from custody.ledger import Ledger
from custody.register import OpenedEntry, Register


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedItem:
    """An item with its record, its objects and its whole custody log in clear.

    Of one whose key was destroyed only what the staff compartment holds is in clear and, while the archive is locked,
    nothing: then there was no access.
    """

    item: Item
    objects: dict[str, StoredObject]
    entries: tuple[OpenedEntry, ...]
    access: LoggedAccess | None
    destruction: Destruction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAsOf:
    """An item as it stood right after entry `last`, with the numbers of the holds on it and its incident then."""

    opened: OpenedItem
    last: int
    holds: tuple[str, ...]


def refuse_no_preview(objects: Mapping[str, StoredObject], kind: str) -> StoredObject:
    """Return the preview of that kind. Raises: NotFoundError `archive/no-such-preview`."""
    stored = objects.get(kind)
    if stored is None or kind in NOT_SHOWN:
        raise NotFoundError(
            "archive/no-such-preview",
            "This item has no preview of that kind. `testigo preview` with its number alone lists those it has.",
        )
    return stored


class ReadingRoom:
    """Opens records for a person, against entries."""

    def __init__(self, *, database: Database, vault: Vault, ledger: Ledger, register: Register) -> None:
        self._database = database
        self._vault = vault
        self._ledger = ledger
        self._register = register

    def open_item(self, actor: Actor, number: str, purpose: str) -> OpenedItem:
        """Open an item's record and log. Raises: NotFoundError, AccessError, LockedError; each refusal is an entry."""
        self._allow(actor, Action.OPEN_RECORD)
        with self._database.reading() as session:
            item, _ = item_by_number(session, number)
            objects = objects_of(session, item.id)
        if self._is_gone(item):
            return self._open_destroyed(actor, item, objects, purpose)
        keys, access = self._keys(actor, Action.OPEN_RECORD, [item], purpose)
        entries = self._register.open(self._register.seqs_of(item.id), keys)
        return OpenedItem(item=item, objects=objects, entries=tuple(entries), access=access)

    def _open_destroyed(self, actor: Actor, item: Item, objects: dict[str, StoredObject], purpose: str) -> OpenedItem:
        keys: dict[UUID, KeyIdentity] = {}
        access = None
        if self._vault.agent.status() is not None:
            keys, access = self._keys(actor, Action.OPEN_RECORD, [item], purpose)
        entries = self._register.open(self._register.seqs_of(item.id), keys)
        with self._database.reading() as session:
            told = destruction_of(session, item, entries)
        return OpenedItem(item=item, objects=objects, entries=tuple(entries), access=access, destruction=told)

    def open_item_as_of(self, actor: Actor, number: str, purpose: str, moment: datetime) -> "ItemAsOf":
        """Open an item as it stood at a past moment, by the archive's clock of then: folded from the log anew.

        Raises: NotFoundError `archive/not-here-yet` for a moment before it was received; as `open_item`. Of an item
        whose key was destroyed since, what the staff compartment holds is all that can be opened; its state is told.
        """
        self._allow(actor, Action.OPEN_RECORD)
        with self._database.reading() as session:
            item, _ = item_by_number(session, number)
            staff = organisation(session).id
        keys, access = self._keys(actor, Action.OPEN_RECORD, [item], purpose)
        last = self._last_by(moment, {staff: keys[staff]})
        seqs = [seq for seq in self._register.seqs_of(item.id) if seq <= last]
        if not seqs:
            raise NotFoundError(
                "archive/not-here-yet", "At that moment this item was not here yet. Nothing of it is shown."
            )
        entries, told, then = tuple(self._register.open(seqs, keys)), None, item
        if item.id not in keys:
            with self._database.reading() as session:
                told = destruction_of(session, item, self._register.open(self._register.seqs_of(item.id), keys))
            then = item if told.entry is None or told.entry <= last else replace(item, state="kept")
        with catalogue_as_of(self._database, keys, last) as fold:
            if told is None:
                then, _ = item_by_number(fold.session, number)
            objects, holds = objects_of(fold.session, item.id), holds_on(fold.session, then)
        return ItemAsOf(
            opened=OpenedItem(item=then, objects=objects, entries=entries, access=access, destruction=told),
            last=last,
            holds=tuple(hold.number for hold in holds),
        )

    def _last_by(self, moment: datetime, keys: Mapping[UUID, KeyIdentity]) -> int:
        """Find the last entry that was recorded by a moment; -1 where there is none.

        Recorded times fall by no more than what the ledger lets a clock run back.
        """
        first, end = 0, self._register.size()
        while first < end:
            middle = (first + end) // 2
            recorded = self._register.open([middle], keys)[0].get("recorded_time")
            if parse_utc(str(recorded)) <= moment:
                first = middle + 1
            else:
                end = middle
        return first - 1

    def open_metadata(self, actor: Actor, number: str, purpose: str) -> bytes:
        """Open all that the media tools said of an item, as they said it; empty where they said nothing."""
        self._allow(actor, Action.OPEN_RECORD)
        with self._database.reading() as session:
            item, _ = item_by_number(session, number)
            stored = objects_of(session, item.id).get("metadata")
        keys, _ = self._keys(actor, Action.OPEN_RECORD, [item], purpose, stored)
        if stored is None:
            return b""
        with self._vault.open_object(keys[item.id], Digest(DigestAlgorithm.BLAKE3, stored.blake3)) as source:
            return source.read()

    @contextmanager
    def open_content(
        self, actor: Actor, number: str, purpose: str, allowed: Callable[[Sequence[Said]], None]
    ) -> Iterator[tuple[Item, SeekableReader]]:
        """Open an item's stored bytes, for something that is to leave; the entry is durable before the first byte.

        `allowed` is given what the log says that its senders allow, and raises where it may not leave so.
        Raises: NotFoundError, AccessError, LockedError, and what `allowed` raises; each refusal is an entry.
        """
        self._allow(actor, Action.BUILD_PACKET)
        with self._database.reading() as session:
            item, _ = item_by_number(session, number)
            stored = objects_of(session, item.id).get("original")
        if stored is None:
            raise NotFoundError("archive/no-such-object", "No bytes of this item are kept any more. Its log is.")
        keys, _ = self._keys(actor, Action.BUILD_PACKET, [item], purpose, stored)
        self._refuse_unallowed(actor, Action.BUILD_PACKET, keys, item, allowed)
        with self._vault.open_object(keys[item.id], Digest(DigestAlgorithm.BLAKE3, stored.blake3)) as source:
            yield item, source

    @contextmanager
    def open_preview(self, actor: Actor, number: str, kind: str, purpose: str) -> Iterator[SeekableReader]:
        """Open one preview of an item. Raises: NotFoundError `archive/no-such-preview`; as `open_item`."""
        self._allow(actor, Action.OPEN_RECORD)
        with self._database.reading() as session:
            item, _ = item_by_number(session, number)
            stored = refuse_no_preview(objects_of(session, item.id), kind)
        keys, _ = self._keys(actor, Action.OPEN_RECORD, [item], purpose, stored)
        with self._vault.open_object(keys[item.id], Digest(DigestAlgorithm.BLAKE3, stored.blake3)) as source:
            yield source

    def open_log(self, actor: Actor, first: int, end: int) -> list[OpenedEntry]:
        """Open what entries `first` to `end` (half open) say in general; items' own values stay closed."""
        self._allow(actor, Action.READ_LOG)
        keys, _ = self._keys(actor, Action.READ_LOG, [], "read the log")
        return self._register.open(list(range(first, end)), keys)

    def open_holds(self, actor: Actor, holds: Sequence[Hold]) -> dict[UUID, dict[str, Json]]:
        """Open what holds are for, by hold: `title`, `trigger`."""
        self._allow(actor, Action.OPEN_RECORD)
        keys, _ = self._keys(actor, Action.OPEN_RECORD, [], "list holds")
        targets = {target for hold in holds if (target := hold.incident_id or hold.item_id) is not None}
        seqs = sorted({seq for target in targets for seq in self._register.seqs_of(target)})
        records = [record for entry in self._register.open(seqs, keys) for record in entry.all("record")]
        return {UUID(each["id"]): each["sealed"] for each in records if each["kind"] == "hold" and each["sealed"]}

    def open_packets(self, actor: Actor, seqs: Sequence[int]) -> dict[UUID, dict[str, Json]]:
        """Open what packets were for, by packet, from the entries of their records: `recipient`, `legal_basis`."""
        self._allow(actor, Action.OPEN_RECORD)
        keys, _ = self._keys(actor, Action.OPEN_RECORD, [], "list packets")
        records = [record for entry in self._register.open(sorted(seqs), keys) for record in entry.all("record")]
        return {UUID(each["id"]): each["sealed"] for each in records if each["kind"] == "packet" and each["sealed"]}

    def open_names(self, actor: Actor, counsel: KeyIdentity, purpose: str) -> list[OpenedEntry]:
        """Open, with counsel's own identity, the entries that hold names and contacts sealed to it.

        Raises: InputError `keys/not-in-keyring`; AccessError; LockedError. Each refusal of a role or a key is an entry.
        """
        self._allow(actor, Action.OPEN_NAMES)
        with self._database.reading() as session:
            ours = organisation(session)
        try:
            Keyring.parse(ours.identity_keyring).part_of(counsel.recipient)
        except InputError as error:
            self._ledger.record_refusal(actor, Action.OPEN_NAMES, error)
            raise
        keys, _ = self._keys(actor, Action.OPEN_NAMES, [], f"names and contacts sealed to counsel: {purpose}")
        return self._register.open_names(counsel, keys)

    def release_key(
        self, actor: Actor, number: str, purpose: str, allowed: Callable[[Sequence[Said]], None]
    ) -> tuple[Item, KeyIdentity]:
        """Give out one item's key, which opens this item's objects and nothing else; `allowed` as in `open_content`."""
        self._allow(actor, Action.RELEASE_KEY)
        with self._database.reading() as session:
            item, _ = item_by_number(session, number)
        keys, _ = self._keys(actor, Action.RELEASE_KEY, [item], purpose)
        self._refuse_unallowed(actor, Action.RELEASE_KEY, keys, item, allowed)
        return item, keys[item.id]

    def _refuse_unallowed(
        self,
        actor: Actor,
        action: Action,
        keys: Mapping[UUID, KeyIdentity],
        item: Item,
        allowed: Callable[[Sequence[Said]], None],
    ) -> None:
        """Ask `allowed` about what the log says that the item's senders allow; its refusal is an entry."""
        with self._ledger.transaction() as transaction:
            told = consents_of(transaction.session, self._database, keys, [item])
        try:
            allowed(told.get(item.id, ()))
        except TestigoError as error:
            self._ledger.record_refusal(actor, action, error)
            raise

    def _allow(self, actor: Actor, action: Action) -> None:
        """Refuse first, so that nobody learns what there is from being refused differently."""
        try:
            require(actor, action)
        except AccessError as error:
            self._ledger.record_refusal(actor, action, error)
            raise

    def _is_gone(self, item: Item) -> bool:
        """Tell whether an item's key was destroyed: its record says so and its file is not here, or an entry does."""
        if item.state != DESTROYED:
            return False
        with self._database.reading() as session:
            return destroying_entry(session, item.id) is not None or not self._vault.key_files.has(item.id)

    def _keys(
        self,
        actor: Actor,
        action: Action,
        items: Sequence[Item],
        purpose: str,
        stored: StoredObject | None = None,
    ) -> tuple[dict[UUID, KeyIdentity], LoggedAccess]:
        """Enter the access and have the keys unwrapped; first, that both can be, so that no entry says what never was.

        Of an item whose key was destroyed the record alone can be opened, with the staff compartment's key.
        """
        with self._database.reading() as session:
            staff = Owner(kind=OwnerKind.STAFF, id=organisation(session).id)
            senders = senders_of(session, [item.id for item in items])
        owners = [*(Owner(kind=OwnerKind.ITEM, id=item.id) for item in items), staff]
        gone = {item.id: item for item in items if self._is_gone(item)}
        wanted = [owner.id for owner in owners if owner.id not in gone]
        recipients = {item.id: item.recipient for item in items}
        try:
            if gone and (action is not Action.OPEN_RECORD or stored is not None):
                raise self._destroyed(next(iter(gone)))
            self._vault.refuse_closed(wanted)
            if stored is not None:
                self._vault.refuse_absent(Digest(DigestAlgorithm.BLAKE3, stored.blake3))
            access = self._ledger.record_access(actor, [*owners, *senders], purpose, recipients=recipients)
            return self._vault.unwrap(access, wanted), access
        except TestigoError as error:
            named = [ItemPart(item_id=item.id, recipient=item.recipient) for item in items]
            self._ledger.record_refusal(actor, action, error, items=named)
            raise

    def _destroyed(self, item_id: UUID) -> NotFoundError:
        with self._database.reading() as session:
            entry = destroying_entry(session, item_id)
        by = f" by entry {entry}" if entry is not None else ""
        return NotFoundError(
            "archive/destroyed",
            f"The key of this item was destroyed{by}: what was sealed to it opens no more. `testigo show` says who "
            "asked for it, who agreed, and why.",
        )
