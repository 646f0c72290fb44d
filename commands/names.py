"""`names`: what only counsel's identity opens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from archive.access import Action, require
from archive.catalogue.drops import visit_by_id
from cli import Rooms
from commands.door import GivenText, common
from commands.talk import Talk, read_identity_file
from custody.register import OpenedEntry


@click.command("names")
@click.option(
    "--counsel",
    "file",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="Counsel's identity, in a file; `-` reads it from standard input.",
)
@click.option("--reason", type=GivenText(), required=True, help="Why; kept in the log.")
@common
def names(rooms: Rooms, file: Path, reason: str) -> int:
    """Open the names and contacts that are sealed to counsel: senders who can be reached, who handed a card over.

    The archive must be unlocked and counsel present: their identity is used for this one command and kept nowhere.

    \b
    Example:
      testigo names --counsel - --reason "to ask the sender of TG-2026-00412 to testify"
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.OPEN_NAMES)
    counsel = read_identity_file(file)
    try:
        entries = rooms.reading_room.open_names(rooms.actor, counsel, reason)
    finally:
        rooms.publisher.publish()
    rows = []
    for entry in entries:
        received = str(entry.get("recorded_time") or "")
        for whose, kind, text in _told(rooms, entry):
            talk.document({"entry": entry.entry.seq, "recorded_time": received, "of": whose, "is": kind, "text": text})
            rows.append((str(entry.entry.seq), received.replace("T", " ")[:19], whose, kind, text))
    talk.table(("entry", "recorded (UTC)", "of", "is", "in their words"), rows)
    if not rows:
        talk.aside("Nothing is sealed to counsel yet.")
    return 0


def _told(rooms: Rooms, entry: OpenedEntry) -> Iterator[tuple[str, str, str]]:
    """Say of each closed value whose it is, what it is, and what it says."""
    for claim in entry.all("custodian_claim"):
        yield _import_of(entry), "custodian, as told", str(claim)
    for contact in entry.all("contact"):
        with rooms.database.reading() as session:
            visit = visit_by_id(session, UUID(contact["visit"]))
        yield (
            (visit.number if visit is not None else None) or "unfinished",
            "how to reach the sender",
            contact["contact"],
        )


def _import_of(entry: OpenedEntry) -> str:
    records: list[Any] = entry.all("record")
    return next((str(each["columns"]["number"]) for each in records if each["kind"] == "import"), "an import")


COMMANDS: dict[str, click.Command] = {"names": names}
