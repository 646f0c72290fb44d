"""What a room asks the ledger to record, before it has a number, salts and a place. No I/O."""

from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from archive.types import Actor, Outcome, Owner
from custody.canonical import Json
from custody.entries import EventKind

Values: TypeAlias = "tuple[tuple[str, Json], ...]"
"""Named closed values; a name may occur more than once (formats.md 3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPart:
    """What an entry says of one item, closed under the item's key. The run link is added by the ledger.

    `first` says that this is the item's first entry ever, so that no earlier one is looked for.
    """

    item_id: UUID
    recipient: str
    values: Values = ()
    first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedPart:
    """What an entry says under another owner's key: an incident, a person, the staff or the identity keyring."""

    owner: Owner
    recipients: tuple[str, ...]
    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One entry to be. `values` are general and closed under the staff compartment's key.

    `actor` None means the program itself. Every value named `record` also becomes a row of the catalogue, in the same
    transaction. `subjects` are owners whose keys the entry permits to open though it says nothing new of them.
    """

    event: EventKind
    outcome: Outcome = Outcome.SUCCESS
    actor: Actor | None = None
    values: Values = ()
    items: tuple[ItemPart, ...] = ()
    owned: tuple[OwnedPart, ...] = ()
    subjects: tuple[Owner, ...] = field(default=())
