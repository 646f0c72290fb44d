"""The values of the way in: what arrives, under which act, and what became of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol
from uuid import UUID

from archive.catalogue.records import ImportBatch, Incident, Item, Organisation
from archive.errors import TestigoError
from archive.keyfiles import OwnerKey
from archive.types import Actor
from archive.vault import StagedObject
from custody.drafts import Values
from custody.ledger import EntryRef, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """The act under which files arrive. `values` are general values of each entry (formats.md 3.5)."""

    actor: Actor
    organisation: Organisation
    incident: Incident
    method: str
    batch: ImportBatch | None = None
    values: Values = ()


class Bearer(Protocol):
    """Whoever brought a file, and keeps in the same commit what became of it."""

    def values(self, came: "CameIn") -> Values:
        """Give what the entry says, in general, of how the file came."""

    def refused(self, now: datetime) -> Values:
        """Give what the entry of a refusal says, in general, of how the file came."""

    def keep(self, transaction: Transaction, came: "CameIn", number: str, entry: EntryRef) -> None:
        """Keep, in the same transaction, what the entry is needed for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameIn:
    """What is known of a file when it is entered. `item_id` is the item that it became, or was already.

    `sha256` and `size` are of what is kept, `sent_sha256` and `sent_size` of what was handed in: the same, but where
    only a cleaned copy is kept.
    `reveals` are the kinds of what it says about itself: place, time, device, software.
    """

    outcome: str
    item_id: UUID
    recipient: str
    sha256: bytes
    size: int
    sent_sha256: bytes
    sent_size: int
    now: datetime
    reveals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A stream that was sealed into staging while it still arrived, to an item's key that is in memory alone."""

    key: OwnerKey
    original: StagedObject

    def drop(self) -> None:
        """Drop what is staged; after a publication this does nothing."""
        self.original.staged.abort()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One file on its way in. Names and paths are what the sender says: untrusted, kept whole, never used as paths.

    `open` gives the stream; it is read once, from its start to its end. `path_mac` tells this file from every other of
    the same import. Equal content is linked only where it came `within` the same: one sending, or, empty, the archive's
    own imports. `claims` are what the sender says about this file. `main` is the place, in the same group, of the
    file that this one is a companion of; `main_item` the item that this file became, where it came earlier. Where the
    stream was `begun` on, it is not opened again. `written` says that it is a statement that was written down here as
    text: that is known, and not guessed from its bytes.
    """

    open: Callable[[], BinaryIO]
    untrusted_name: str
    untrusted_path: str
    path_mac: bytes | None = None
    claims: dict[str, str] = field(default_factory=dict)
    main: int | None = None
    main_item: UUID | None = None
    bearer: Bearer | None = None
    begun: Begun | None = None
    written: bool = False
    within: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The file is in: content, record and entry are durable.

    `handed_in_sha256` is that of what was sent (hex), where only a cleaned copy of it was kept; else empty.
    """

    item: Item
    sha256: bytes
    entry: EntryRef
    problems: tuple[str, ...]
    handed_in_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """The same content was here already; the arrival was entered in that item's log and nothing was copied."""

    item_id: UUID
    item_number: str
    sha256: bytes
    size: int
    entry: EntryRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The file was not taken in; the refusal, with its reason, is in the log."""

    error: TestigoError


Result = Stored | Linked | Refused
