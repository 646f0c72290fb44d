"""`drop received`, `drop told`, `drop ask`: what came from senders, what they told, what they are asked."""

from collections.abc import Sequence
from typing import Any

import click

from archive.access import Action, require
from archive.catalogue.drops import visit_by_number
from cli import Rooms
from commands.door import GivenText, common
from commands.drop_rooms import DropRooms
from commands.plan import only_planned, plannable
from commands.talk import Talk, counted
from ingest.telling import HandOver
from ingest.visits import STOPPED

_LONGEST = 1 << 20
"""Of a line of what was told: as long as a form takes, so that nothing is cut."""


@click.command("received")
@click.option("-i", "--incident", "number", help="Only what came in for this incident.")
@common
def received(rooms: Rooms, number: str | None) -> int:
    """List what senders handed over; needs no key.

    \b
    Example:
      testigo drop received -i I-2026-0087
    """
    talk = Talk(rooms.asked)
    found = DropRooms(rooms).telling.list(rooms.actor, number)
    for each in found:
        talk.document(_hand_over(each))
    talk.table(
        ("receipt", "incident", "link", "begun (UTC)", "items", "use", "state", ""),
        [
            (
                each.visit.number or "-",
                each.incident,
                each.link,
                f"{each.visit.created_time:%Y-%m-%d %H:%M}",
                str(len(each.items)),
                each.use or "none",
                each.visit.status,
                ", ".join(_notes(each)),
            )
            for each in found
        ],
    )
    if not found:
        talk.aside("Nothing was handed over yet. `testigo drop new` makes a link to give out.")
    say_recalls(talk, found)
    return 0


def say_recalls(talk: Talk, found: Sequence[HandOver]) -> None:
    """Name the packets whose receivers are to be told that a sender said stop."""
    recalls = sorted({number for each in found if each.visit.status == STOPPED for number in each.packets})
    if recalls:
        talk.warn(
            f"{', '.join(recalls)}: released with something whose sender has said stop since. Tell whoever got it; "
            "`testigo packet ls` says who that is."
        )


@click.command("told")
@click.argument("receipt", metavar="RECEIPT")
@click.option("--reason", type=GivenText(), default="read what was told", help="Why; kept in the log.")
@common
def told(rooms: Rooms, receipt: str, reason: str) -> int:
    """Show what the sender of a receipt told (unlocked).

    These are their answers to the form and to questions; opening them is entered in the log first. What they saw is an
    item of its own. How to reach them opens with counsel's identity: `testigo names`.

    \b
    Example:
      testigo drop told TG-2026-00412
    """
    talk = Talk(rooms.asked)
    try:
        found = DropRooms(rooms).telling.open(rooms.actor, receipt, reason)
    finally:
        rooms.publisher.publish()
    over = found.hand_over
    replies = [{"question": each.question, "answers": list(each.answers)} for each in found.replies]
    talk.document({"ok": True, **_hand_over(over), "told": [dict(each) for each in found.answers], "replies": replies})
    talk.say(f"{receipt}  {over.incident}, through {over.link}")
    talk.field("state", ", ".join([over.visit.status, *_notes(over)]))
    talk.field("use", over.use or "none")
    talk.fields("items", over.items or ("none",))
    for each in found.answers:
        for name, text in each.items():
            talk.fields(name.replace("_", " "), text.splitlines(), longest=_LONGEST)
    for reply in found.replies:
        talk.say()
        talk.fields("asked", reply.question.splitlines(), longest=_LONGEST)
        lines = [line for text in reply.answers for line in text.splitlines()]
        talk.fields("answered", lines or ["not yet"], longest=_LONGEST)
    return 0


@click.command("ask")
@click.argument("receipt", metavar="RECEIPT")
@click.argument("words", metavar="QUESTION")
@plannable
@common
def ask(rooms: Rooms, receipt: str, words: str) -> int:
    """Ask the sender of a receipt something.

    They read it when they come back with their code.

    \b
    Example:
      testigo drop ask TG-2026-00412 "Which way did they drive?"
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.ASK_SENDER)
    with rooms.database.reading() as session:
        visit_by_number(session, receipt)
    if only_planned(rooms, f"ask the sender of {receipt}", ["1 entry: the question, sealed"]):
        return 0
    question = DropRooms(rooms).returning.ask(rooms.actor, receipt, words)
    talk.say("Asked. The sender sees it at the next visit; nobody else does.")
    talk.document({"message_type": "summary", "ok": True, "question": str(question.id)})
    return 0


def _hand_over(each: HandOver) -> dict[str, Any]:
    return {
        "receipt": each.visit.number,
        "incident": each.incident,
        "drop_link": each.link,
        "begun_time": each.visit.created_time.isoformat(),
        "state": each.visit.status,
        "use": each.use,
        "items": list(each.items),
        "incomplete": each.incomplete,
        "differing": each.differing,
        "refused": each.refused,
        "questions": each.asked,
        "answered": each.answered,
        "packets": list(each.packets),
    }


def _notes(each: HandOver) -> list[str]:
    notes = []
    if each.incomplete:
        notes.append(f"{each.incomplete} incomplete")
    if each.differing:
        notes.append(counted(each.differing, "differs from what was chosen", "differ from what was chosen"))
    if each.refused:
        notes.append(f"{each.refused} not taken in")
    if each.asked:
        notes.append(f"{each.answered} of {each.asked} answered")
    if each.packets:
        notes.append(f"in {', '.join(each.packets)}")
    return notes
