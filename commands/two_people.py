"""What commands say that need two people: the plan, and that the second one is still to come."""

from archive.access import Action, Condition, condition
from archive.catalogue.accounts import list_staff
from archive.types import Role
from cli import Rooms
from commands.plan import only_planned
from commands.talk import Talk


def second_person_planned(rooms: Rooms, would: str, last: str) -> bool:
    """As `only_planned`, for an act that one person asks for and another agrees to; `last` is the act's own entry."""
    entries = [
        "1 policy assignment: the first of two people asks for it",
        "1 policy assignment, by the second: it is agreed to",
        f"1 {last}",
    ]
    return only_planned(rooms, f"{would}, once another attorney or coordinator runs the same command", entries)


def asked_for(rooms: Rooms, talk: Talk, action: Action, line: str) -> int:
    """Say that a second person is needed; nothing was done yet (exit 6)."""
    talk.say("Asked for. Nothing was done yet: another attorney or coordinator must run the same command:")
    talk.say(f"  {line}")
    if _others(rooms, action):
        talk.say("Until then `testigo approvals` lists it.")
    else:
        talk.say("No other account here may. A coordinator admits one: `testigo staff add OS-USER --role attorney`.")
    talk.document({"message_type": "summary", "ok": False, "code": "access/second-person-needed", "to_agree": line})
    return 6


def _others(rooms: Rooms, action: Action) -> int:
    """Count the active accounts that could agree."""
    with rooms.database.reading() as session:
        found = list_staff(session)
    return sum(
        one.id != rooms.actor.staff_id
        and one.state == "active"
        and condition(Role(one.role), action) is not Condition.NEVER
        for one in found
    )
