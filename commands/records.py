"""`ls`, `show`, `log`, `item`."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import click
from sqlalchemy.orm import Session

from archive.access import Action, require
from archive.catalogue.drops import newest_consent, visits_of_item
from archive.catalogue.holds import holds_on, holds_on_each
from archive.catalogue.incidents import incident_by_number, incidents_by_id, items_of_incident
from archive.catalogue.items import item_by_number, items_by_id, list_items, objects_of
from archive.catalogue.records import Incident, Item, Visit
from archive.durable import write_durably
from archive.errors import TestigoError
from archive.types import Audience
from cli import Rooms
from commands.assessment_page import assessment
from commands.destroyed_page import destroyed_words, print_destroyed
from commands.door import GivenPath, GivenText, Moment, common, refuse_output
from commands.known_places import places_of
from commands.plan import only_planned, plannable
from commands.record_page import print_item, what_for
from commands.talk import Talk, octets
from commands.two_people import asked_for, second_person_planned
from custody.acts import Asked
from custody.canonical import Json
from custody.reading import OpenedItem
from custody.register import OpenedEntry
from export.gate import refuse_key
from ingest.consents import rung_of
from media.places import Place


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
        found = items_of_incident(session, incident.id) if incident is not None else list_items(session)
        also = {item.id for item, _ in found if incident is not None and item.incident_id != incident.id}
        incidents = incidents_by_id(session)
        held = holds_on_each(session, [item for item, _ in found])
        holds = {item_id: [hold.number for hold in each] for item_id, each in held.items()}
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
@click.option(
    "--as-of", "as_of", type=Moment(), metavar="MOMENT", help="As it stood then (UTC; a day alone: at its end)."
)
@click.option("--reason", type=GivenText(), default="look at the record", help="Why; kept in the log.")
@common
def show(rooms: Rooms, number: str, metadata: bool, as_of: datetime | None, reason: str) -> int:
    """Show one item's record: what it is, what it says about itself, what was done with it.

    \b
    Example:
      testigo show E-2026-00412
      testigo show E-2026-00412 --metadata
      testigo show E-2026-00412 --as-of 2026-11-21
      testigo show E-2026-00412 --as-of 2026-11-21T18:30

    With --as-of, what the record said at that moment by the archive's clock is computed anew from the log: state,
    objects, holds and entries as they were. That somebody looks is entered now, as always.
    """
    talk = Talk(rooms.asked)
    if metadata and as_of is not None:
        raise click.UsageError("--metadata does not change with time; leave --as-of away")
    if as_of is not None:
        return _show_as_of(rooms, talk, number, reason, as_of)
    if metadata:
        return _show_metadata(rooms, talk, number, reason)
    try:
        opened = rooms.reading_room.open_item(rooms.actor, number, reason)
    finally:
        rooms.publisher.publish()
    with rooms.database.reading() as session:
        holds = [hold.number for hold in holds_on(session, opened.item)]
        incident = incidents_by_id(session)[opened.item.incident_id]
        came = [_came_with(session, visit) for visit in visits_of_item(session, opened.item.id)]
        main_id = opened.item.companion_id
        main = items_by_id(session, [main_id]).get(main_id) if main_id is not None else None
    places = places_of(rooms.places)
    talk.document({**_item_document(opened, incident, holds, places), "handed_over": came})
    if opened.destruction is not None:
        print_destroyed(talk, opened, opened.destruction, incident=incident.number, holds=holds)
    elif not rooms.asked.json:
        print_item(talk, opened, incident=incident.number, holds=holds, came_with=came, main=main, places=places)
    return 0


def _show_as_of(rooms: Rooms, talk: Talk, number: str, reason: str, moment: datetime) -> int:
    purpose = f"{reason} (as of {moment:%Y-%m-%dT%H:%M:%SZ})"
    try:
        then = rooms.reading_room.open_item_as_of(rooms.actor, number, purpose, moment)
    finally:
        rooms.publisher.publish()
    opened, holds = then.opened, list(then.holds)
    with rooms.database.reading() as session:
        incident = incidents_by_id(session)[opened.item.incident_id]
        main_id = opened.item.companion_id
        main = items_by_id(session, [main_id]).get(main_id) if main_id is not None else None
    places = places_of(rooms.places)
    document = _item_document(opened, incident, holds, places)
    talk.document({**document, "as_of": moment.isoformat(), "last_entry": then.last})
    if not rooms.asked.json:
        talk.say(f"As of {moment:%Y-%m-%d %H:%M:%S} UTC, right after entry {then.last} of the log:")
    if opened.destruction is not None:
        print_destroyed(talk, opened, opened.destruction, incident=incident.number, holds=holds)
    elif not rooms.asked.json:
        print_item(talk, opened, incident=incident.number, holds=holds, came_with=[], main=main, places=places)
    return 0


def _came_with(session: Session, visit: Visit) -> dict[str, str | None]:
    consent = newest_consent(session, visit.id)
    use = rung_of(consent.level, consent.audiences) if consent is not None else None
    return {"receipt": visit.number, "state": visit.status, "use": use}


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


def _item_document(
    opened: OpenedItem, incident: Incident, holds: list[str], places: Sequence[Place]
) -> dict[str, Json]:
    return {
        "ok": True,
        "item": opened.item.to_log(),
        "incident": incident.number,
        "holds": holds,
        "objects": {purpose: stored.to_log() for purpose, stored in opened.objects.items()},
        "destroyed": opened.destruction.document() if opened.destruction else None,
        "assessment": assessment(opened.entries, places) if opened.destruction is None else None,
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
    size = rooms.register.size()
    entries: list[OpenedEntry] | tuple[OpenedEntry, ...]
    if closed:
        # Nothing is opened, entered or written: so also where nothing can be.
        seqs = list(range(size)) if number is None else _seqs_of(rooms, number)
        entries = rooms.register.open(seqs[-last:], {})
    else:
        try:
            if number is not None:
                opened = rooms.reading_room.open_item(rooms.actor, number, "read the item's log")
                entries = opened.entries
                if opened.destruction is not None:
                    talk.aside(destroyed_words(opened.destruction))
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


def _seqs_of(rooms: Rooms, number: str) -> list[int]:
    with rooms.database.reading() as session:
        item, _ = item_by_number(session, number)
    return rooms.register.seqs_of(item.id)


@click.group("item")
def item() -> None:
    """Hand out one item's key, or destroy it (two people).

    \b
    Example:
      testigo item key E-2026-00412 --reason "expert of the other side"
    """


@item.command("key")
@click.argument("number", metavar="ITEM")
@click.option("--reason", type=GivenText(), required=True, help="Why; kept in the log.")
@click.option(
    "--audience",
    type=click.Choice([each.value for each in Audience]),
    help="Who gets it; needed where a sender said for whom the item may be used.",
)
@plannable
@common
def item_key(rooms: Rooms, number: str, reason: str, audience: str | None) -> int:
    """Print one item's key, with which any age client opens this item and nothing else.

    \b
    Example:
      testigo item key E-2026-00412 --reason "expert of the other side" | age -d -i - object.age

    What a sender handed over is opened to nobody whom they do not allow to have it; `--audience vault` is for the
    archive's own use.
    """
    talk = Talk(rooms.asked)
    if rooms.asked.dry_run or rooms.asked.explain:
        require(rooms.actor, Action.RELEASE_KEY)
        with rooms.database.reading() as session:
            item_by_number(session, number)
    if only_planned(rooms, f"print the key of {number}", ["1 access, in the item's log, before the key is opened"]):
        return 0
    try:
        got_by = f" for {audience}" if audience is not None else ""
        found, identity = rooms.reading_room.release_key(
            rooms.actor,
            number,
            f"item key given out{got_by}: {reason}",
            partial(refuse_key, audience=Audience(audience) if audience is not None else None),
        )
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
@click.option("--reason", type=GivenText(), required=True, help="On what basis; kept in the log.")
@click.option("--certificate", type=GivenPath(), help="Write a certificate here.")
@plannable
@common
def item_destroy(rooms: Rooms, number: str, reason: str, certificate: Path | None) -> int:
    """Destroy an item's key for ever; a second person must agree by running the same command.

    \b
    Example:
      testigo item destroy E-2026-00412 --reason "deletion request 7 of the person shown"

    Asking works while the archive is locked; agreeing reads in the log who asked and which holds stand, so it must be
    unlocked.
    """
    talk = Talk(rooms.asked)
    if certificate is not None:
        refuse_output(rooms, certificate)
    if rooms.asked.dry_run or rooms.asked.explain:
        require(rooms.actor, Action.DESTROY)
        with rooms.database.reading() as session:
            item_by_number(session, number)
    if second_person_planned(rooms, f"destroy the key of {number} for ever", "deaccession: the key is destroyed"):
        return 0
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
        return asked_for(rooms, talk, Action.DESTROY, f"testigo item destroy {number} --reason …")
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


COMMANDS: dict[str, click.Command] = {"ls": ls, "show": show, "log": log, "item": item}
