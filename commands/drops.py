"""`drop`: links for observers, their cards, and closing them."""

from pathlib import Path

import click

from archive.access import Action, require
from archive.catalogue.drops import link_by_number, unfinished_uploads
from archive.catalogue.incidents import incident_by_number
from archive.durable import write_durably
from archive.errors import ConflictError, LockedError, NotFoundError
from cli import Rooms
from commands.door import GivenPath, GivenText, common, refuse_output
from commands.drop_rooms import DropRooms
from commands.plan import only_planned, plannable
from commands.senders import ask, received, told
from commands.serving import application
from commands.talk import Talk, counted, octets
from commands.upkeep import rescue_stale
from ingest.droplinks import MANY, QUESTIONS, Terms, tidy_code

_MIB = 1 << 20
MOST_MIB = 1 << 30
"""A pebibyte: more than any archive has, and less than a column holds."""
MOST_FILES = 1_000_000


@click.group("drop")
def drop() -> None:
    """Give out drop links, print their cards, revoke them.

    \b
    Example:
      testigo drop new -i I-2026-0087 --label "MacArthur Park, 21 Nov"
    """


@drop.command("new")
@click.option("-i", "--incident", "number", required=True, help="The incident that it is for.")
@click.option("--label", default="", help="What whoever opens it reads, to know it is the right one.")
@click.option("--days", type=click.IntRange(1, 3650), default=14, help="Days until it expires (default 14).")
@click.option("--once", is_flag=True, help="For one observer only.")
@click.option(
    "--quota-mib", type=click.IntRange(1, MOST_MIB), default=64 * 1024, help="Most MiB through it (default 65536)."
)
@click.option("--files", type=click.IntRange(1, MOST_FILES), default=1000, help="Most files through it (default 1000).")
@click.option("--ask", multiple=True, type=click.Choice(QUESTIONS), help="Ask only these (default all; all optional).")
@click.option("--card", type=GivenPath(), help="Also write the printable card (HTML, five languages).")
@plannable
@common
def drop_new(
    rooms: Rooms,
    number: str,
    label: str,
    days: int,
    once: bool,
    quota_mib: int,
    files: int,
    ask: tuple[str, ...],
    card: Path | None,
) -> int:
    """Make a drop link. Its code is shown once and kept nowhere.

    \b
    Example:
      testigo drop new -i I-2026-0087 --once --days 3 --card card.html
    """
    talk = Talk(rooms.asked)
    if card is not None:
        refuse_output(rooms, card)
    terms = Terms(
        days=days,
        most_octets=quota_mib * _MIB,
        most_files=files,
        once=once,
        label=label,
        questions=ask or QUESTIONS,
    )
    require(rooms.actor, Action.GIVE_DROP_LINK)
    with rooms.database.reading() as session:
        incident_by_number(session, number)
    would = f"make a drop link for {number}, valid for {counted(days, 'day')}"
    if only_planned(rooms, would, ["1 entry: the link's record"]):
        return 0
    link, code = DropRooms(rooms).links.give(rooms.actor, number, terms)
    rooms.publisher.publish()
    address = _address(rooms, code)
    talk.say(f"{link.number}: {address}")
    talk.say(f"Code {code}; works until {link.expires_time:%Y-%m-%d %H:%M} UTC. It is shown this once.")
    if not rooms.settings.web.public_url:
        talk.aside("The settings name no web.public_url, so the address leads to this machine alone.")
    if card is not None:
        write_durably(card, _card(rooms, code).encode("utf-8"), mode=0o600)
        talk.say(f"The card is in {card}. Whoever has it can use the link.")
    talk.document(
        {
            "message_type": "summary",
            "ok": True,
            "drop_link": link.number,
            "code": code,
            "url": address,
            "expires_time": link.expires_time.isoformat(),
        }
    )
    return 0


@drop.command("ls")
@common
def drop_ls(rooms: Rooms) -> int:
    """List drop links; codes are not kept and not shown.

    \b
    Example:
      testigo drop ls
    """
    talk = Talk(rooms.asked)
    found = DropRooms(rooms).links.list(rooms.actor)
    rows = []
    for link, incident, visits, size in found:
        state = DropRooms(rooms).links.state(link)
        talk.document(
            {
                "drop_link": link.number,
                "incident": incident,
                "state": state,
                "uses": link.uses,
                "visits": visits,
                "octets": size,
                "expires_time": link.expires_time.isoformat(),
            }
        )
        many = "many" if link.uses == MANY else "once"
        rows.append(
            (link.number, incident, state, many, str(visits), octets(size), f"{link.expires_time:%Y-%m-%d %H:%M}")
        )
    talk.table(("link", "incident", "state", "for", "visits", "received", "until (UTC)"), rows)
    if not found:
        talk.aside("No drop links yet. `testigo drop new -i I-…` makes one.")
    return 0


@drop.command("revoke")
@click.argument("number", metavar="LINK")
@click.option("--reason", type=GivenText(), default="no longer needed", help="Why; kept in the log.")
@plannable
@common
def drop_revoke(rooms: Rooms, number: str, reason: str) -> int:
    """Close a drop link; what came through it stays.

    \b
    Example:
      testigo drop revoke D-2026-0012 --reason "seen in a public group"
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.GIVE_DROP_LINK)
    with rooms.database.reading() as session:
        link_by_number(session, number)
    if only_planned(rooms, f"close {number}", ["1 metadata modification: the link's record"]):
        return 0
    link = DropRooms(rooms).links.revoke(rooms.actor, number, reason=reason)
    rooms.publisher.publish()
    talk.say(f"{link.number} is closed. What came through it is kept.")
    talk.document({"message_type": "summary", "ok": True, "drop_link": link.number, "state": link.status})
    return 0


@drop.command("rescue")
@click.option("--all", "everything", is_flag=True, help="Also those that may yet go on; their senders begin anew.")
@plannable
@common
def drop_rescue(rooms: Rooms, everything: bool) -> int:
    """Make items of unfinished uploads whose senders are gone, marked incomplete (unlocked; entered in the log).

    \b
    Example:
      testigo drop rescue
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.OPEN_RECORD)
    if rooms.asked.dry_run or rooms.asked.explain:
        with rooms.database.reading() as session:
            waiting = len(unfinished_uploads(session))
        only_planned(
            rooms,
            f"make items of at most {counted(waiting, 'unfinished upload')}",
            [f"1 ingestion each, {waiting} at most"],
        )
        return 0
    if rooms.agent.status() is None:  # Before any upload is closed for good.
        raise LockedError("archive/locked", "The archive is locked. Nothing was changed. `testigo unlock` unlocks it.")
    rescued = rescue_stale(rooms, everything=everything)
    became = counted(rescued, "unfinished upload became an item.", "unfinished uploads became items.")
    talk.say(became if rescued else "No upload waits to be rescued.")
    talk.document({"message_type": "summary", "ok": True, "rescued": rescued})
    return 0


@drop.command("card")
@click.argument("code")
@click.argument("destination", type=GivenPath())
@common
def drop_card(rooms: Rooms, code: str, destination: Path) -> int:
    """Write the printable card of a link, with its QR code, in five languages (HTML).

    \b
    Example:
      testigo drop card QK7M2P card.html
    """
    talk = Talk(rooms.asked)
    refuse_output(rooms, destination)
    links = DropRooms(rooms).links
    link = links.belongs(code)
    if link is None:
        raise NotFoundError("drop/no-such-link", "There is no such drop link. `testigo drop ls` lists them.")
    if (state := links.state(link)) != "open":
        # On a noticeboard it would send people to a page that takes nothing.
        raise ConflictError(
            "drop/closed", f"This drop link is {state}: no card was written. `testigo drop new` makes another link."
        )
    write_durably(destination, _card(rooms, tidy_code(code)).encode("utf-8"), mode=0o600)
    talk.say(f"The card is in {destination}. Whoever has it can use the link.")
    talk.document({"message_type": "summary", "ok": True, "card": str(destination)})
    return 0


for _command in (received, told, ask):
    drop.add_command(_command)


def _address(rooms: Rooms, code: str) -> str:
    base = rooms.settings.web.public_url.rstrip("/") or f"http://{rooms.settings.web.listen}"
    return f"{base}/d/{code}"


def _card(rooms: Rooms, code: str) -> str:
    from web.cards import drop_card

    return drop_card(application(rooms, DropRooms(rooms)), code=code, address=_address(rooms, code))


COMMANDS: dict[str, click.Command] = {"drop": drop}
