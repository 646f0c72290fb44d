"""The entry that a copy without some of its metadata was handed out. The entry before the bytes flow is an access."""

from collections.abc import Mapping
from typing import Any

from archive.catalogue.records import Item
from archive.types import Actor, Outcome
from custody.drafts import Draft, ItemPart
from custody.entries import EventKind
from custody.ledger import EntryRef, Ledger


def record_clean_copy(ledger: Ledger, actor: Actor, item: Item, purpose: str, copy: Mapping[str, Any]) -> EntryRef:
    """Enter in an item's log what copy of it was handed out: its digest, its policy, the classes that went."""
    value = {"item": str(item.id), **copy}
    return ledger.record(
        Draft(
            event=EventKind.METADATA_MODIFICATION,
            outcome=Outcome.SUCCESS,
            actor=actor,
            values=(("purpose", purpose),),
            items=(ItemPart(item_id=item.id, recipient=item.recipient, values=(("copy", value),)),),
        )
    )
