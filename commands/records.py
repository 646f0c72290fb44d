"""`ls`, `show`, `log`, `item`, `hold`."""

import json
from pathlib import Path
from uuid import UUID

import click

from archive.access import Action, require
from archive.catalogue.holds import holds_on, list_holds
from archive.catalogue.incidents import incident_by_number, incidents_by_id, items_linked_to
from archive.catalogue.items import item_by_number, items_by_id, list_items, objects_of
from archive.catalogue.records import Hold, Incident, Item
from archive.durable import write_durably
from archive.errors import TestigoError
from cli import Rooms
from commands.assessment_page import assessment
from commands.door import GivenPath, common, refuse_unwritable
from commands.record_page import print_item, what_for
from commands.talk import Talk, octets
from custody.acts import Asked
from custody.canonical import Json
from custody.reading import OpenedItem
from custody.register import OpenedEntry


@click.command("ls")
@click.option("-i", "--incident", "number", help="Only items of this incident.")
@common
def ls(rooms: Rooms, number: str | None) -> int:
    """List items. Names stay closed; `testigo show` opens one.

    \b
    Example:
      testigo ls -i I-2026-0087
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.LIST_RECORDS)
    with rooms.database.reading() as session:
        incident = incident_by_number(session, number)[0] if number is not None else None
        also = items_linked_to(session, incident.id) if incident is not None else set()
        found = [
            (item, seq)
            for item, seq in list_items(session)
            if incident is None or item.incident_id == incident.id or item.id in also
        ]
        incidents = incidents_by_id(session)
        holds = {item.id: [hold.number for hold in holds_on(session, item)] for item, _ in found}
    for item, seq in found:
        talk.document(
            {
                "item": item.number,
                "incident": incidents[item.incident_id].number,
                "role": item.role,
                "kind": item.evidence_kind,
                "size": item.size,
                "state": item.state,
                "received_time": item.received_time.isoformat(),
                "holds": holds[item.id],
                "entry": seq,
                "received_here_too": item.id in also,
            }
        )
    rows = [
        (
            item.number,
            incidents[item.incident_id].number,
            item.evidence_kind,
            octets(item.size),
            f"{item.received_time:%Y-%m-%d %H:%M}",
            ", ".join(filter(None, (*_notes(item, also), *holds[item.id]))),
        )
        for item, _ in found
    ]
    talk.table(("item", "incident", "kind", "size", "received (UTC)", ""), rows)
    if not found:
        talk.aside("No items yet. `testigo import SOURCE -i I-…` takes some in.")
    return 0


def _notes(item: Item, also: set[UUID]) -> tuple[str, str]:
    return (item.state if item.state != "kept" else "", "received here too" if item.id in also else "")


@click.command("show")
@click.argument("number", metavar="ITEM")
@click.option("--metadata", is_flag=True, help="Print everything that the media tools said of it, as JSON.")
@click.option("--reason", default="look at the record", help="Why; kept in the log.")
@common
def show(rooms: Rooms, number: str, metadata: bool, reason: str) -> int:
    """Show one item's record: what it is, what it says about itself, what was done with it.

    \b
    Example:
      testigo show E-2026-00412
      testigo show E-2026-00412 --metadata
    """
    talk = Talk(rooms.asked)
    if metadata:
        return _show_metadata(rooms, talk, number, reason)
    try:
        opened = rooms.reading_room.open_item(rooms.actor, number, reason)
    finally:
        rooms.publisher.publish()
    with rooms.database.reading() as session:
        holds = [hold.number for hold in holds_on(session, opened.item)]
        incident = incidents_by_id(session)[opened.item.incident_id]
        main_id = opened.item.companion_id
        main = items_by_id(session, [main_id]).get(main_id) if main_id is not None else None
    talk.document(_item_document(opened, incident, holds))
    if not rooms.asked.json:
        print_item(talk, opened, incident=incident.number, holds=holds, main=main)
    return 0


def _show_metadata(rooms: Rooms, talk: Talk, number: str, reason: str) -> int:
    try:
        report = rooms.reading_room.open_metadata(rooms.actor, number, reason)
    finally:
        rooms.publisher.publish()
    told = json.loads(report) if report else {}
    metadata = told.get("metadata") or {}
    if metadata.get("json"):
        metadata["json"] = _parsed(metadata["json"])
    talk.say(json.dumps(told, indent=2, ensure_ascii=True))
    talk.document({"ok": True, "item": number, "metadata": told})
    return 0


def _parsed(text: str) -> Json:
    """Give a tool's own JSON as such; as it stands where it is none."""
    try:
        found: Json = json.loads(text)
    except ValueError:
        return text
    return found


def _item_document(opened: OpenedItem, incident: Incident, holds: list[str]) -> dict[str, Json]:
    return {
        "ok": True,
        "item": opened.item.to_log(),
        "incident": incident.number,
        "holds": holds,
        "objects": {purpose: stored.to_log() for purpose, stored in opened.objects.items()},
        "assessment": assessment(opened.entries),
        "entries": [_entry_document(entry) for entry in opened.entries],
    }


def _entry_document(entry: OpenedEntry) -> dict[str, Json]:
    values: list[Json] = [{"name": value.name, "value": value.value} for value in entry.values]
    return {"seq": entry.entry.seq, "event": entry.entry.event, "outcome": entry.entry.outcome, "values": values}


@click.command("log")
@click.argument("number", metavar="[ITEM]", required=False)
@click.option("--last", type=click.IntRange(1), default=50, help="How many entries (default 50).")
@click.option("--closed", is_flag=True, help="Show only what stands open in the log; needs no key.")
@common
def log(rooms: Rooms, number: str | None, last: int, closed: bool) -> int:
    """Show the custody log, whole or of one item.

    \b
    Example:
      testigo log --last 20
      testigo log E-2026-00412
      testigo log --closed
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.READ_LOG)
    size = rooms.ledger.size()
    entries: list[OpenedEntry] | tuple[OpenedEntry, ...]
    try:
        if number is not None:
            entries = rooms.reading_room.open_item(rooms.actor, number, "read the item's log").entries
        elif closed:
            entries = rooms.register.open(list(range(max(0, size - last), size)), {})
        else:
            entries = rooms.reading_room.open_log(rooms.actor, max(0, size - last), size)
    finally:
        rooms.publisher.publish()
    for entry in entries:
        talk.document(_entry_document(entry))
    rows = [
        (
            str(entry.entry.seq),
            str(entry.get("recorded_time") or "").replace("T", " ")[:19],
            str(entry.entry.event),
            str(entry.entry.outcome),
            str(entry.get("actor") or ""),
            what_for(entry),
        )
        for entry in entries
    ]
    talk.table(("entry", "recorded (UTC)", "event", "outcome", "by", "what for"), rows)
    return 0


@click.group("item")
def item() -> None:
    """Hand out one item's key, or destroy it (two people).

    \b
    Example:
      testigo item key E-2026-00412 --reason "expert of the other side"
    """


@item.command("key")
@click.argument("number", metavar="ITEM")
@click.option("--reason", required=True, help="Why; kept in the log.")
@common
def item_key(rooms: Rooms, number: str, reason: str) -> int:
    """Print one item's key, with which any age client opens this item and nothing else.

    \b
    Example:
      testigo item key E-2026-00412 --reason "expert of the other side" | age -d -i - object.age
    """
    talk = Talk(rooms.asked)
    try:
        found, identity = rooms.reading_room.release_key(rooms.actor, number, f"item key given out: {reason}")
    finally:
        rooms.publisher.publish()
    with rooms.database.reading() as session:
        objects = objects_of(session, found.id)
    for purpose, stored in objects.items():
        name = stored.blake3.hex()
        talk.say(f"# {purpose}: objects/{name[:2]}/{name[2:4]}/{name}.age")
    talk.say(identity.secret_text())
    talk.document(
        {
            "item": found.number,
            "identity": identity.secret_text(),
            "objects": {p: o.blake3.hex() for p, o in objects.items()},
        }
    )
    return 0


@item.command("destroy")
@click.argument("number", metavar="ITEM")
@click.option("--reason", required=True, help="On what basis; kept in the log.")
@click.option("--certificate", type=GivenPath(), help="Write a certificate here.")
@common
def item_destroy(rooms: Rooms, number: str, reason: str, certificate: Path | None) -> int:
    """Destroy an item's key for ever; a second person must agree by running the same command.

    \b
    Example:
      testigo item destroy E-2026-00412 --reason "deletion request 7 of the person shown"
    """
    talk = Talk(rooms.asked)
    if certificate is not None:
        refuse_unwritable(certificate)
    if not talk.confirm(f"Destroy the key of {number} for ever?"):
        return 1
    try:
        done = rooms.acts.destroy(rooms.actor, number, reason=reason)
    except TestigoError as error:
        rooms.ledger.record_refusal(rooms.actor, Action.DESTROY, error)
        raise
    finally:
        rooms.publisher.publish()
    if isinstance(done, Asked):
        return _asked(talk, f"testigo item destroy {number} --reason …")
    statement = {
        "item": number,
        "entry": done.entry,
        "destroyed": "every copy of the key that this archive can reach",
        "last_backup_of_key_files_expires_by": done.backups_expire_by.isoformat(),
        "until_then": "a copy may stand in a backup of key files; nothing is destroyed everywhere before that day",
    }
    if certificate is not None:
        write_durably(certificate, json.dumps(statement, indent=2).encode() + b"\n")
    talk.say(f"The key of {number} is destroyed here (entry {done.entry}).")
    talk.say(
        f"A backup of key files may hold it until {done.backups_expire_by}; it is not gone everywhere before that."
    )
    talk.document({"ok": True, **statement})
    return 0


@click.group("hold")
def hold() -> None:
    """Place and lift legal holds.

    \b
    Example:
      testigo hold add I-2026-0087 --title "Doe v. Noem" --trigger filed_case
    """


@hold.command("add")
@click.argument("target", metavar="INCIDENT|ITEM")
@click.option("--title", required=True, help="The case or demand; closed in the log.")
@click.option(
    "--trigger",
    type=click.Choice(["filed_case", "subpoena", "preservation_letter", "counsel_notice", "reasonably_anticipated"]),
    required=True,
    help="What brought the duty to keep it about.",
)
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
    placed = rooms.acts.place_hold(rooms.actor, found, title=title, trigger=trigger)
    rooms.publisher.publish()
    talk.say(placed.number)
    talk.document({"message_type": "summary", "ok": True, "hold": placed.number})
    return 0


@hold.command("lift")
@click.argument("number", metavar="HOLD")
@click.option("--reason", required=True, help="On what basis; kept in the log.")
@common
def hold_lift(rooms: Rooms, number: str, reason: str) -> int:
    """Lift a hold; a second person must agree by running the same command.

    \b
    Example:
      testigo hold lift H-2026-0004 --reason "case dismissed, order of 2026-11-20"
    """
    talk = Talk(rooms.asked)
    try:
        done = rooms.acts.lift_hold(rooms.actor, number, reason=reason)
    finally:
        rooms.publisher.publish()
    if isinstance(done, Asked):
        return _asked(talk, f"testigo hold lift {number} --reason …")
    talk.say(f"{done.number} is lifted.")
    talk.document({"message_type": "summary", "ok": True, "hold": done.number, "status": done.status})
    return 0


@hold.command("ls")
@common
def hold_ls(rooms: Rooms) -> int:
    """List holds.

    \b
    Example:
      testigo hold ls
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.LIST_RECORDS)
    with rooms.database.reading() as session:
        found: list[tuple[Hold, int]] = list_holds(session)
        incidents = incidents_by_id(session)
        items = {item.id: item.number for item, _ in list_items(session)}
    for one, _ in found:
        target = (
            incidents[one.incident_id].number if one.incident_id else items.get(one.item_id) if one.item_id else None
        )
        talk.document({"hold": one.number, "status": one.status, "on": target})
    talk.table(
        ("hold", "status", "on", "placed (UTC)"),
        [
            (
                one.number,
                one.status,
                incidents[one.incident_id].number
                if one.incident_id
                else str(items.get(one.item_id))
                if one.item_id
                else "",
                f"{one.placed_time:%Y-%m-%d %H:%M}",
            )
            for one, _ in found
        ],
    )
    return 0


def _asked(talk: Talk, line: str) -> int:
    """Say that a second person is needed; nothing was done yet (exit 6)."""
    talk.say("Asked for. Nothing was done yet: another attorney or coordinator must run the same command:")
    talk.say(f"  {line}")
    talk.document({"message_type": "summary", "ok": False, "code": "access/second-person-needed"})
    return 6


COMMANDS: dict[str, click.Command] = {"ls": ls, "show": show, "log": log, "item": item, "hold": hold}
