"""The offset of a device's clock: recorded with the method by which it was found, never written into a file.

The offset is a value of its own in the log. What the file claims stays as it is; whoever shows a claimed time may show
the corrected one beside it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from archive.access import Action, require
from archive.catalogue.items import item_by_number
from archive.catalogue.records import Item
from archive.errors import AccessError, InputError
from archive.types import Actor
from custody.canonical import Json
from custody.drafts import Draft, ItemPart
from custody.entries import EventKind
from custody.ledger import Ledger
from custody.register import OpenedEntry

VALUE = "clock_offset"
MOST_SECONDS = 100 * 366 * 86_400
_LONGEST_METHOD = 2000
_MOST_ITEMS = 60


def record_clock_offset(
    ledger: Ledger, actor: Actor, numbers: Sequence[str], *, seconds: int, method: str
) -> tuple[Item, ...]:
    """Record by how many seconds the clock of the device that made these items ran ahead (negative: behind).

    A later record replaces an earlier one where it is used; both stand in the log.
    Raises: InputError `custody/bad-offset`; NotFoundError, AccessError: then nothing was entered but the refusal.
    """
    try:
        require(actor, Action.DESCRIBE)
    except AccessError as error:
        ledger.record_refusal(actor, Action.DESCRIBE, error)
        raise
    told = method.strip()
    if abs(seconds) > MOST_SECONDS or not 0 < len(told) <= _LONGEST_METHOD:
        raise InputError(
            "custody/bad-offset",
            "A clock offset is a number of seconds of at most a hundred years, with the method by which it was found. "
            "Nothing was recorded.",
        )
    with ledger.transaction() as transaction:
        found = [item_by_number(transaction.session, number)[0] for number in dict.fromkeys(numbers)]
        for start in range(0, len(found), _MOST_ITEMS):
            parts = tuple(_part(item, seconds, told) for item in found[start : start + _MOST_ITEMS])
            transaction.record(
                Draft(
                    event=EventKind.METADATA_MODIFICATION,
                    actor=actor,
                    values=(("purpose", "clock offset of the device recorded"),),
                    items=parts,
                )
            )
    return tuple(found)


def newest_offset(entries: Iterable[OpenedEntry]) -> dict[str, Any] | None:
    """Give the offset that counts for an item: the last that its log holds."""
    newest = None
    for entry in entries:
        found = entry.get(VALUE)
        newest = found if isinstance(found, dict) else newest
    return newest


def _part(item: Item, seconds: int, method: str) -> ItemPart:
    value: Json = {"item": str(item.id), "seconds": seconds, "method": method}
    return ItemPart(item_id=item.id, recipient=item.recipient, values=((VALUE, value),))
