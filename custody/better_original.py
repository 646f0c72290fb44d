"""Links between an earlier copy and the camera's own file that came later: a claim by comparison, on both items.

The link rests on how alike two items look or run, so it says how it was found and never that one was made from the
other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from archive.catalogue.records import Item
from archive.types import Actor
from custody.canonical import Json
from custody.drafts import Draft, ItemPart
from custody.entries import EventKind
from custody.ledger import Ledger
from custody.register import OpenedEntry

VALUE = "same_scene"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A copy, the camera file that shows the same, and the sentence that says by what they were found alike."""

    copy: Item
    original: Item
    reason: dict[str, Json]


def record_link(ledger: Ledger, actor: Actor | None, link: Link) -> None:
    """Enter the link in the log of both items."""
    sides = (("copy", link.copy, link.original), ("original", link.original, link.copy))
    parts = tuple(
        ItemPart(
            item_id=one.id,
            recipient=one.recipient,
            values=((VALUE, {"item": str(one.id), "role": role, "other": other.number, "reason": link.reason}),),
        )
        for role, one, other in sides
    )
    ledger.record(
        Draft(
            event=EventKind.METADATA_MODIFICATION,
            actor=actor,
            values=(("purpose", "better original found"),),
            items=parts,
        )
    )


def links_of(entries: Iterable[OpenedEntry]) -> list[dict[str, Any]]:
    """Give the links that an item's log holds, each once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        for value in entry.all(VALUE):
            found[str(value["role"]), str(value["other"])] = value
    return list(found.values())
