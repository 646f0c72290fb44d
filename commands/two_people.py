"""What commands say that need two people: the plan, and that the second one is still to come."""

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


def asked_for(talk: Talk, line: str) -> int:
    """Say that a second person is needed; nothing was done yet (exit 6)."""
    talk.say("Asked for. Nothing was done yet: another attorney or coordinator must run the same command:")
    talk.say(f"  {line}")
    talk.document({"message_type": "summary", "ok": False, "code": "access/second-person-needed"})
    return 6
