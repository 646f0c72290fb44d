"""What is left to say of an item whose key was destroyed: that it was, by whom, and the open part of its log."""

from collections.abc import Sequence

from commands.door import printable
from commands.record_page import moment, what_for
from commands.talk import Talk, counted, octets
from custody.destroyed import Destruction
from custody.reading import OpenedItem


def destroyed_words(told: Destruction) -> str:
    """Say in a sentence how an item was destroyed, as far as that is open."""
    if told.entry is None:
        return "The catalogue calls it destroyed and no entry of the log says so. Run `testigo verify`."
    who = f", asked for by {told.asked_by}" if told.asked_by else ""
    who += f", agreed by {told.agreed_by}" if told.agreed_by else ""
    when = f" on {told.agreed_time:%Y-%m-%d %H:%M} UTC" if told.agreed_time else ""
    return f"Destroyed by entry {told.entry}{when}{who}. What was sealed to its key opens no more."


def print_destroyed(talk: Talk, opened: OpenedItem, told: Destruction, *, incident: str, holds: Sequence[str]) -> None:
    """Print the record as far as it is open."""
    item = opened.item
    talk.say(item.number)
    talk.field("incident", incident)
    talk.field("what", f"{item.role}, {item.evidence_kind}; its name and what it said of itself are gone with its key")
    talk.field("size", f"{counted(item.size, 'octet')} ({octets(item.size)})")
    talk.field("received", f"{item.received_time:%Y-%m-%d %H:%M:%S} UTC")
    if holds:
        talk.field("legal hold", ", ".join(holds))
    talk.field("state", item.state if item.state == "destroyed" else f"{item.state} then; destroyed since")
    talk.field("destroyed", destroyed_words(told))
    if told.reason is not None:
        talk.field("why", str(told.reason))
    elif opened.access is None:
        talk.field("why", "closed: the archive is locked. After `testigo unlock` this shows the reason.")
    talk.say()
    talk.say("  Custody log of this item, as far as it opens")
    talk.table(
        ("   no.", "recorded", "entry", "event", "by", "what for"),
        [
            (
                f"{told.runs.get(entry.entry.seq, ''):>6}",
                moment(entry.get("recorded_time")) if entry.get("recorded_time") else "",
                str(entry.entry.seq),
                str(entry.entry.event) + ("" if entry.entry.outcome == "success" else f" ({entry.entry.outcome})"),
                printable(str(entry.get("actor") or "")),
                what_for(entry),
            )
            for entry in opened.entries
        ],
    )
