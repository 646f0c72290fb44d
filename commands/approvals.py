"""`approvals`: what one person asked for and another must agree to."""

from collections.abc import Mapping
from uuid import UUID

import click

from archive.access import Action, Condition, condition, require
from archive.catalogue.accounts import list_staff
from archive.catalogue.holds import list_holds, waiting_approvals
from archive.catalogue.items import list_items
from archive.catalogue.records import Approval
from cli import Rooms
from commands.door import common
from commands.talk import Talk

_LINES: Mapping[str, str] = {
    Action.LIFT_HOLD: "testigo hold lift {subject} --reason …",
    Action.DESTROY: "testigo item destroy {subject} --reason …",
    Action.RELEASE_COMPELLED: "the same `testigo packet build … --compelled …`, once you have seen the order",
}
"""The command that asks for an act is the command that agrees to it."""


@click.command("approvals")
@common
def approvals(rooms: Rooms) -> int:
    """List what waits for a second person, and how to agree.

    \b
    Example:
      testigo approvals

    To ask for such an act, run its command (`hold lift`, `item destroy`, `packet build --compelled`). It is done
    when another attorney or coordinator runs the same command. Nothing happens to what nobody agrees to.
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.LIST_RECORDS)
    with rooms.database.reading() as session:
        waiting = waiting_approvals(session)
        pseudonyms = {one.id: one.pseudonym for one in list_staff(session)}
        subjects: dict[UUID, str] = {hold.id: hold.number for hold, _ in list_holds(session)}
        subjects |= {item.id: item.number for item, _ in list_items(session)}
    rows = []
    for one in waiting:
        subject, by = subjects.get(one.subject_id, str(one.subject_id)), pseudonyms.get(one.requested_by, "?")
        line = _LINES[one.act].format(subject=subject) if one.act in _LINES else ""
        talk.document(
            {
                "act": one.act,
                "subject": subject,
                "requested_by": by,
                "requested_time": one.requested_time.isoformat(),
                "to_agree": line,
            }
        )
        rows.append((one.act, subject, by, f"{one.requested_time:%Y-%m-%d %H:%M}", _who(rooms, one) or line))
    talk.table(("act", "on", "asked for by", "asked (UTC)", "to agree"), rows)
    if not waiting:
        talk.aside("Nothing waits for a second person.")
    return 0


def _who(rooms: Rooms, one: Approval) -> str | None:
    """Say why whoever looks cannot agree; None where they can."""
    if one.requested_by == rooms.actor.staff_id:
        return "you asked: another attorney or coordinator must run the same command"
    if condition(rooms.actor.role, Action(one.act)) is Condition.NEVER:
        return "an attorney or coordinator must run the same command"
    return None


def say_waiting(rooms: Rooms, talk: Talk) -> None:
    """Say that something waits for a second person, where it does."""
    with rooms.database.reading() as session:
        count = len(waiting_approvals(session))
    if count:
        verb = "act waits" if count == 1 else "acts wait"
        talk.aside(f"{count} {verb} for a second person: `testigo approvals`.")


COMMANDS: dict[str, click.Command] = {"approvals": approvals}
