"""`preview`."""

import shutil
from pathlib import Path
from typing import BinaryIO, cast

import click

from archive.access import Action, require
from archive.catalogue.items import NOT_SHOWN, item_by_number, objects_of
from archive.catalogue.senders import said_of_items
from archive.jobs import JobKind
from archive.types import Audience
from cli import Rooms
from commands.clear_copy import ClearCopy
from commands.door import GivenPath, GivenText, common, refuse_output
from commands.plan import only_planned, plannable
from commands.talk import Talk, octets
from custody.reading import refuse_no_preview
from export.consent import why_withheld

_COPIED_OCTETS = 1 << 20


@click.command("preview")
@click.argument("number", metavar="ITEM")
@click.option("--kind", help="Which one: photo-320, poster, contact-sheet, proxy, waveform, page-0001, text …")
@click.option("-o", "--output", type=GivenPath(), help="The file that it is put into, in clear.")
@click.option("--make", is_flag=True, help="Have the previews made that this item has none of yet.")
@click.option("--reason", type=GivenText(), default="look at a preview", help="Why; kept in the log.")
@plannable
@common
def preview(rooms: Rooms, number: str, kind: str | None, output: Path | None, make: bool, reason: str) -> int:
    """List an item's previews, or put one into a file.

    \b
    Example:
      testigo preview E-2026-00412
      testigo preview E-2026-00412 --kind poster -o poster.jpg

    Previews are sealed as their originals are, so opening one is entered in the log. The file lies in clear.
    """
    talk = Talk(rooms.asked)
    if (kind is None) != (output is None):
        raise click.UsageError("To put a preview into a file, name both: --kind and -o.")
    if kind is None or output is None:
        return _list(rooms, talk, number, make)
    refuse_output(rooms, output)
    if rooms.asked.dry_run or rooms.asked.explain:
        require(rooms.actor, Action.OPEN_RECORD)
        with rooms.database.reading() as session:
            refuse_no_preview(objects_of(session, item_by_number(session, number)[0].id), kind)
    if only_planned(
        rooms, f"put {kind} of {number} into {output}, in clear", ["1 access, in the item's log, before it is opened"]
    ):
        return 0
    with ClearCopy(output) as copy:
        try:
            with rooms.reading_room.open_preview(rooms.actor, number, kind, reason) as source:
                shutil.copyfileobj(cast(BinaryIO, source), copy.sink, _COPIED_OCTETS)
                copy.keep()
        finally:
            rooms.publisher.publish()
    talk.say(f"{output} lies in clear: whoever has it can see it. Remove it when it was looked at.")
    with rooms.database.reading() as session:
        said = said_of_items(session, [item_by_number(session, number)[0].id])
    if any(why_withheld(each, Audience.COUNSEL) is not None for each in said.values()):
        talk.warn("Its sender said stop: this may be looked at here, and goes to nobody.")
    talk.document({"ok": True, "item": number, "kind": kind, "file": str(output)})
    return 0


def _list(rooms: Rooms, talk: Talk, number: str, make: bool) -> int:
    require(rooms.actor, Action.LIST_RECORDS)
    with rooms.database.reading() as session:
        item, _ = item_by_number(session, number)
        objects = objects_of(session, item.id)
    found = sorted(set(objects) - NOT_SHOWN)
    if make and not found:
        require(rooms.actor, Action.RUN_JOBS)
        if only_planned(rooms, f"have the previews of {number} made", ["1 access and 1 creation, when they are made"]):
            return 0
        with rooms.database.writing() as session:
            rooms.jobs.enqueue(session, JobKind.PREVIEW, [str(item.id)])
        talk.say("They are made by the next `testigo worker` while the archive is unlocked.")
    talk.document({"ok": True, "item": number, "previews": found})
    talk.table(("preview", "sealed size"), [(kind, octets(objects[kind].sealed_size)) for kind in found])
    if not found and not make:
        talk.aside("No previews. `testigo jobs` says whether they wait; `testigo show` why none could be made.")
    return 0


COMMANDS: dict[str, click.Command] = {"preview": preview}
