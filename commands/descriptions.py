"""`clock-offset`: what a person adds to an item's record."""

import click

from archive.access import Action, require
from archive.catalogue.items import item_by_number
from cli import Rooms
from commands.door import GivenText, common
from commands.plan import only_planned, plannable
from commands.talk import Talk
from custody.clock_offset import record_clock_offset


@click.command("clock-offset")
@click.argument("numbers", metavar="ITEM...", nargs=-1, required=True)
@click.option("--seconds", type=int, required=True, help="How far the device's clock ran ahead; negative: behind.")
@click.option("--method", type=GivenText(), required=True, help="How that was found; kept in the log.")
@plannable
@common
def clock_offset(rooms: Rooms, numbers: tuple[str, ...], seconds: int, method: str) -> int:
    """Record how far a device's clock was off. No file is changed; `show` gives the corrected times beside the claims.

    \b
    Example:
      testigo clock-offset E-2026-00412 --seconds -37 --method "filmed a GPS clock with it on 2026-11-24"
    """
    talk = Talk(rooms.asked)
    if rooms.asked.dry_run or rooms.asked.explain:
        require(rooms.actor, Action.DESCRIBE)
        with rooms.database.reading() as session:
            told = ", ".join(item_by_number(session, number)[0].number for number in numbers)
        only_planned(rooms, f"record a clock offset of {seconds} s for {told}", ["1 metadata modification"])
        return 0
    try:
        found = record_clock_offset(rooms.ledger, rooms.actor, numbers, seconds=seconds, method=method)
    finally:
        rooms.publisher.publish()
    shown = ", ".join(item.number for item in found)
    talk.say(
        f"Recorded for {shown}: the device's clock ran {abs(seconds):,} s {'ahead' if seconds >= 0 else 'behind'}."
    )
    talk.document({"message_type": "summary", "ok": True, "items": [item.number for item in found], "seconds": seconds})
    return 0


COMMANDS: dict[str, click.Command] = {"clock-offset": clock_offset}
