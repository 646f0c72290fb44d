"""`hold`."""

from uuid import UUID

import click

from archive.access import Action, require
from archive.catalogue.holds import hold_by_number, list_holds
from archive.catalogue.incidents import incident_by_number, incidents_by_id
from archive.catalogue.items import item_by_number, list_items
from archive.catalogue.records import Incident, Item, Json
from cli import Rooms
from commands.door import GivenText, common
from commands.plan import only_planned, plannable
from commands.talk import Talk
from commands.two_people import asked_for, second_person_planned
from custody.acts import Asked


@click.group("hold")
def hold() -> None:
    """Place and lift legal holds.

    \b
    Example:
      testigo hold add I-2026-0087 --title "Doe v. Noem" --trigger filed_case
    """


@hold.command("add")
@click.argument("target", metavar="INCIDENT|ITEM")
@click.option("--title", type=GivenText(), required=True, help="The case or demand; closed in the log.")
@click.option(
    "--trigger",
    type=click.Choice(["filed_case", "subpoena", "preservation_letter", "counsel_notice", "reasonably_anticipated"]),
    required=True,
    help="What brought the duty to keep it about.",
)
@plannable
@common
def hold_add(rooms: Rooms, target: str, title: str, trigger: str) -> int:
    """Put an incident (with whatever it will still receive) or one item on legal hold.

    \b
    Example:
      testigo hold add I-2026-0087 --title "Doe v. Noem" --trigger filed_case
    """
    talk = Talk(rooms.asked)
    with rooms.database.reading() as session:
        found: Incident | Item = (
            incident_by_number(session, target)[0] if target.startswith("I-") else item_by_number(session, target)[0]
        )
    require(rooms.actor, Action.PLACE_HOLD)
    if only_planned(rooms, f"put {found.number} on legal hold", ["1 policy assignment: the hold's number and record"]):
        return 0
    placed = rooms.acts.place_hold(rooms.actor, found, title=title, trigger=trigger)
    rooms.publisher.publish()
    talk.say(placed.number)
    talk.document({"message_type": "summary", "ok": True, "hold": placed.number})
    return 0


@hold.command("lift")
@click.argument("number", metavar="HOLD")
@click.option("--reason", type=GivenText(), required=True, help="On what basis; kept in the log.")
@plannable
@common
def hold_lift(rooms: Rooms, number: str, reason: str) -> int:
    """Lift a hold; a second person must agree by running the same command.

    \b
    Example:
      testigo hold lift H-2026-0004 --reason "case dismissed, order of 2026-11-20"

    Asking works while the archive is locked; agreeing reads in the log who asked, so it must be unlocked.
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.LIFT_HOLD)
    with rooms.database.reading() as session:
        hold_by_number(session, number)
    if second_person_planned(rooms, f"lift {number}", "policy assignment: the hold is lifted"):
        return 0
    try:
        done = rooms.acts.lift_hold(rooms.actor, number, reason=reason)
    finally:
        rooms.publisher.publish()
    if isinstance(done, Asked):
        return asked_for(rooms, talk, Action.LIFT_HOLD, f"testigo hold lift {number} --reason …")
    talk.say(f"{done.number} is lifted.")
    talk.document({"message_type": "summary", "ok": True, "hold": done.number, "status": done.status})
    return 0


@hold.command("ls")
@click.option("--titles", "with_titles", is_flag=True, help="Open what each is for (unlocked; entered in the log).")
@common
def hold_ls(rooms: Rooms, with_titles: bool) -> int:
    """List holds.

    \b
    Example:
      testigo hold ls --titles
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.LIST_RECORDS)
    with rooms.database.reading() as session:
        found = [hold for hold, _ in list_holds(session)]
        numbers = {each.id: each.number for each in incidents_by_id(session).values()}
        numbers |= {item.id: item.number for item, _ in list_items(session)}
    opened: dict[UUID, dict[str, Json]] = {}
    if with_titles and found:
        try:
            opened = rooms.reading_room.open_holds(rooms.actor, found)
        finally:
            rooms.publisher.publish()
    rows = []
    for one in found:
        target = one.incident_id or one.item_id
        on = numbers.get(target) if target is not None else None
        told = {name: opened.get(one.id, {}).get(name) for name in ("trigger", "title")}
        talk.document({"hold": one.number, "status": one.status, "on": on, **told})
        words = [str(text or "") for text in told.values()] if with_titles else []
        rows.append((one.number, one.status, on or "", f"{one.placed_time:%Y-%m-%d %H:%M}", *words))
    talk.table(("hold", "status", "on", "placed (UTC)", *(("for", "title") if with_titles else ())), rows)
    return 0


COMMANDS: dict[str, click.Command] = {"hold": hold}
