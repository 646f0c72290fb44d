"""`packet ls`: what was built, for whom, and what in it was stopped since."""

from uuid import UUID

import click

from archive.access import Action, require
from archive.catalogue.senders import list_packets, recalls_of
from cli import Rooms
from commands.door import common, printable
from commands.talk import Talk
from custody.canonical import Json


@click.command("ls")
@common
def ls(rooms: Rooms) -> int:
    """List packets, for whom they were, and which hold something whose sender has said stop since.

    \b
    Example:
      testigo packet ls

    For whom and on what basis opens while the archive is unlocked, against an entry.
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.LIST_RECORDS)
    with rooms.database.reading() as session:
        found, recalls = list_packets(session), recalls_of(session)
    told: dict[UUID, dict[str, Json]] = {}
    if found and rooms.agent.status() is not None:
        try:
            told = rooms.reading_room.open_packets(rooms.actor, [seq for _, seq in found])
        finally:
            rooms.publisher.publish()
    rows = []
    for one, _ in found:
        closed, stopped = told.get(one.id, {}), recalls.get(one.id, [])
        said = {name: str(closed.get(name) or "") for name in ("recipient", "legal_basis", "audience")}
        talk.document({"packet": one.number, "status": one.status, **said, "stopped_since": stopped})
        note = f"stopped since: {', '.join(stopped)}" if stopped else ""
        shown = [printable(each) or "-" for each in said.values()]
        rows.append((one.number, one.status, f"{one.created_time:%Y-%m-%d %H:%M}", *shown, note))
    talk.table(("packet", "status", "begun (UTC)", "to", "basis", "audience", ""), rows)
    if recalls:
        talk.warn("Of what is in the marked packets a sender has said stop since. Tell whoever got them.")
    if not found:
        talk.aside("No packet was built yet.")
    return 0
