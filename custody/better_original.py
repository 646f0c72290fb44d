"""Links between an earlier copy and the camera's own file that came later: a claim by comparison, on both items.

The link rests on how alike two items look or run, so it says how it was found and never that one was made from the
other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from archive.catalogue.records import Item, Json
from custody.drafts import Draft, ItemPart
from custody.entries import EventKind
from custody.register import OpenedEntry

VALUE = "same_scene"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A copy, the camera file that shows the same, and the sentence that says by what they were found alike."""

    copy: Item
    original: Item
    reason: Json


def link_draft(link: Link) -> Draft:
    """Give the entry that says so in the log of both items; the program itself is its actor."""
    sides = (("copy", link.copy, link.original), ("original", link.original, link.copy))
    parts = tuple(
        ItemPart(
            item_id=one.id,
            recipient=one.recipient,
            values=((VALUE, {"item": str(one.id), "role": role, "other": other.number, "reason": link.reason}),),
        )
        for role, one, other in sides
    )
    purpose = (("purpose", "better original found"),)
    return Draft(event=EventKind.METADATA_MODIFICATION, values=purpose, items=parts)


def links_of(entries: Iterable[OpenedEntry]) -> list[dict[str, Any]]:
    """Give the links that an item's log holds, each once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        for value in entry.all(VALUE):
            found[str(value["role"]), str(value["other"])] = value
    return list(found.values())
