"""`incident`, `import`."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from archive.access import Action, require
from archive.catalogue.incidents import import_by_number, incident_by_number, incidents_by_id, list_incidents
from archive.catalogue.records import ImportBatch
from archive.errors import ConflictError, InputError, LockedError, UnavailableError
from archive.places import lies_in
from cli import INTERRUPTED, Rooms
from commands.door import GivenPath, GivenText, Interrupted, common, refuse_output
from commands.import_receipt import write_receipt
from commands.importing import Progress, forecast, report
from commands.plan import only_planned, plannable
from commands.talk import Talk, counted
from custody.incidents import Judgement, judge_report, open_incident, refuse_judged_so, told_of
from ingest.folder import look_at
from ingest.manifest import read_manifest
from ingest.reception import Result
from ingest.reconciliation import ImportRequest, Reconciliation

_TOLD = {"place": "where, as told", "started_claim": "since, as told", "title": "title"}
"""What is told of an incident, by its name in the log, and how a table calls it."""


@click.group("incident")
def incident() -> None:
    """Make incidents, list them, confirm a report or mark it unfounded.

    \b
    Example:
      testigo incident new --title "Raid at 6th and Alvarado"
    """


@incident.command("new")
@click.option("--title", type=GivenText(), required=True, help="What to call it; closed in the log.")
@click.option("--place", help="Where, in words.")
@click.option("--started", help="When it began, as told.")
@plannable
@common
def incident_new(rooms: Rooms, title: str, place: str | None, started: str | None) -> int:
    """Make an incident.

    \b
    Example:
      testigo incident new --title "Raid at 6th and Alvarado" --started "2026-11-21 05:40"
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.CREATE_INCIDENT)
    if not title.strip():
        raise click.UsageError("An incident needs a title.")
    if only_planned(rooms, "make an incident", ["1 metadata modification: the incident's number and record"]):
        return 0
    told = {"title": title, "place": place, "started_claim": started}
    made = open_incident(rooms.ledger, rooms.vault, rooms.actor, told, new_id=rooms.new_id)
    rooms.publisher.publish()
    talk.say(made.number)
    talk.document({"message_type": "summary", "ok": True, "incident": made.number})
    return 0


@incident.command("ls")
@click.option("--titles", "with_titles", is_flag=True, help="Open titles, places, starts (unlocked; logged).")
@common
def incident_ls(rooms: Rooms, with_titles: bool) -> int:
    """List incidents.

    \b
    Example:
      testigo incident ls --titles
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.LIST_INCIDENTS)
    with rooms.database.reading() as session:
        found = list_incidents(session)
    opened = {}
    if with_titles and found:
        require(rooms.actor, Action.OPEN_RECORD)
        opened = told_of(rooms.ledger, rooms.vault, rooms.register, rooms.actor, [one for one, _, _ in found])
        rooms.publisher.publish()
    for one, _, count in found:
        told = {name: opened.get(one.id, {}).get(name) for name in _TOLD}
        talk.document({"incident": one.number, "status": one.status, "items": count, **told})
    shown = [name for name in _TOLD if any(told.get(name) for told in opened.values())]
    head = ("incident", "status", "items", "made (UTC)", *(_TOLD[name] for name in shown))
    talk.table(
        head,
        [
            (i.number, i.status, str(count), f"{i.created_time:%Y-%m-%d %H:%M}", *_told(opened.get(i.id, {}), shown))
            for i, _, count in found
        ],
    )
    if not found:
        talk.aside("No incidents yet. `testigo incident new --title …` makes one.")
    return 0


def _told(sealed: Mapping[str, Any], shown: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(sealed.get(name) or "") for name in shown)


@incident.command("confirm")
@click.argument("number", metavar="INCIDENT")
@click.option(
    "--reason",
    type=GivenText(),
    default="confirmed by whoever dispatched",
    help="How it was confirmed; kept in the log.",
)
@plannable
@common
def incident_confirm(rooms: Rooms, number: str, reason: str) -> int:
    """Say that a report was confirmed; works while locked.

    \b
    Example:
      testigo incident confirm I-2026-0087 --reason "two observers on the spot"
    """
    return _judge(rooms, number, Judgement.CONFIRMED, reason)


@incident.command("unfounded")
@click.argument("number", metavar="INCIDENT")
@click.option(
    "--reason", type=GivenText(), default="unfounded, says whoever dispatched", help="What was found; kept in the log."
)
@plannable
@common
def incident_unfounded(rooms: Rooms, number: str, reason: str) -> int:
    """Mark a report as unfounded; what came in is kept, and its drop links stay as they are.

    \b
    Example:
      testigo incident unfounded I-2026-0087 --reason "a film was being shot there"
    """
    return _judge(rooms, number, Judgement.UNFOUNDED, reason)


def _judge(rooms: Rooms, number: str, judgement: Judgement, reason: str) -> int:
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.JUDGE_REPORT)
    with rooms.database.reading() as session:
        refuse_judged_so(incident_by_number(session, number)[0], judgement)
    if only_planned(rooms, f"mark {number} as {judgement}", ["1 metadata modification: the incident's record"]):
        return 0
    judged = judge_report(rooms.ledger, rooms.actor, number, judgement, reason=reason)
    rooms.publisher.publish()
    talk.say(f"{judged.number} is {judged.status}.")
    if judgement is Judgement.UNFOUNDED:
        talk.aside("What came in is kept. Its drop links still work: `testigo drop ls`, `testigo drop revoke`.")
    talk.document({"message_type": "summary", "ok": True, "incident": judged.number, "status": judged.status})
    return 0


@click.command("import")
@click.argument("source", type=GivenPath(), required=False)
@click.option("-i", "--incident", "number", help="The incident that the files belong to.")
@click.option("-r", "--resume", help="Go on with an import, by its number.")
@click.option("--custodian", type=GivenText(), help="Who handed it over, as told; sealed to counsel.")
@click.option("--device", help="What device it comes from, as told.")
@click.option("--write-blocker", help="What kept the medium from being written to.")
@click.option("--manifest", type=GivenPath(), help="CSV or JSON with claims per file.")
@click.option("--reason", type=GivenText(), help="Why; kept in the log.")
@click.option("--receipt", "receipt_file", type=GivenPath(), help="Write a receipt file here.")
@click.option("-n", "--dry-run", is_flag=True, help="Say exactly what would happen; write nothing.")
@click.option("--explain", is_flag=True, help="With --dry-run: the custody entries it would write.")
@common
def import_(  # noqa: PLR0913 - one parameter an option
    rooms: Rooms,
    source: Path | None,
    number: str | None,
    resume: str | None,
    custodian: str | None,
    device: str | None,
    write_blocker: str | None,
    manifest: Path | None,
    reason: str | None,
    receipt_file: Path | None,
) -> int:
    """Take in a folder, SD card or phone dump.

    \b
    Example:
      testigo import /media/SD-07 -i I-2026-0087 --custodian "M. Rivera" --dry-run
      testigo import /media/SD-07 -i I-2026-0087 --custodian "M. Rivera"
      testigo import /media/SD-07 --resume imp-2026-0003
      testigo import --resume imp-2026-0003            (unlocked: its source stands sealed in the log)

    Without --resume each import is a new one, also of a path that was read before: another card may lie there.
    Files are only read. What is here already is linked, not copied; nothing is unpacked; every file that is not
    taken in is listed with its reason (exit 3).
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.RECEIVE)
    is_planned = rooms.asked.dry_run or rooms.asked.explain
    if receipt_file is not None:
        refuse_output(rooms, receipt_file)  # A receipt can be made only in this run.
    source, listed = _where_from(rooms, source, resume, is_planned)
    request = _request(rooms, source, number, resume, manifest, custodian, device, write_blocker, reason)
    request = replace(request, listed=listed)
    if resume is None:
        _tell_unfinished(rooms, talk, request.source)
    if is_planned:
        return forecast(rooms, talk, request)
    batch = rooms.batch_import.begin(request)
    talk.aside(f"Import {batch.number}" + ("" if resume is None else ", going on"))
    closing = _run(rooms, talk, batch, request, receipt_file)
    if receipt_file is None:
        return report(talk, closing)
    try:
        write_receipt(rooms, talk, closing.number, [result for _, result in closing.results], receipt_file)
    finally:
        status = report(talk, closing)
    return status


def _run(
    rooms: Rooms, talk: Talk, batch: ImportBatch, request: ImportRequest, receipt_file: Path | None
) -> Reconciliation:
    """Run an import; where it is broken off, give the receipt for what is in, and the line that goes on."""
    line = _resume_line(request.source, batch.number)
    results: list[tuple[str, Result]] = []
    with Progress(talk) as progress:
        try:
            return rooms.batch_import.run(batch, request, progress.watch, results)
        except KeyboardInterrupt:
            progress.stop()
            ended = counted(progress.ended, "file is", "files are")
            talk.insist(f"Stopped. {ended} in and checked; what was in hand was dropped whole.")
            _give_early(rooms, talk, batch, results, receipt_file)
            talk.insist(f"To go on: {line}")
            talk.document({"message_type": "interrupted", "import": batch.number, "resume": line, "exit": INTERRUPTED})
            raise Interrupted from None
        except UnavailableError as error:
            progress.stop()
            _give_early(rooms, talk, batch, results, receipt_file)
            raise UnavailableError(error.code, f"{error.message} To go on: {line}", evidence=error.evidence) from error


def _give_early(
    rooms: Rooms, talk: Talk, batch: ImportBatch, results: Sequence[tuple[str, Result]], receipt_file: Path | None
) -> None:
    """Give the receipt for what a broken-off run took in: the run that goes on can give none for it."""
    if receipt_file is None:
        return
    try:
        write_receipt(rooms, talk, batch.number, [result for _, result in results], receipt_file, ask=False)
    except UnavailableError as error:
        talk.warn(error.message)
    else:
        talk.insist("A receipt names what one run took in. To have one when going on, name another file.")


def _where_from(
    rooms: Rooms, source: Path | None, resume: str | None, is_planned: bool
) -> tuple[Path, tuple[str, ...]]:
    """Find where an import reads from, and, of one that is gone on with, the names of what it listed when it began.

    Both stand sealed in the log, and opening them is an entry: while locked, and in a plan, the names stay closed.
    """
    if resume is None:
        if source is None:
            raise click.UsageError("Name the folder, card or file to import.")
        return source, ()
    with rooms.database.reading() as session:
        batch, seq = import_by_number(session, resume)
    if batch.status != "running":
        raise ConflictError(
            "batch/ended", "That import has ended; there is nothing to go on with. Nothing was changed."
        )
    is_locked = rooms.agent.status() is None
    if source is not None and (is_locked or is_planned):
        return source, ()
    if is_locked:
        raise LockedError(
            "batch/source-closed",
            "Where that import reads from is not kept in the clear: it stands sealed in the log, and the archive is "
            "locked. Nothing was done. Name the folder, card or file too, or run `testigo unlock` first.",
        )
    try:
        (entry,) = rooms.reading_room.open_log(rooms.actor, seq, seq + 1)
    finally:
        rooms.publisher.publish()
    records = [each for each in entry.all("record") if each.get("id") == str(batch.id)]
    listed = tuple(str(each["path"]) for each in entry.get("listing") or ())
    return source or Path(records[0]["sealed"]["source"]), listed


def _tell_unfinished(rooms: Rooms, talk: Talk, source: Path) -> None:
    """Say which import of the same path was broken off: to go on with it is for a person to say, not for a path."""
    found = rooms.batch_import.unfinished(source)
    if not found:
        return
    newest = found[0]
    others = f", and {counted(len(found) - 1, 'earlier one')}," if len(found) > 1 else ""
    talk.aside(
        f"{newest.number} of this same path{others} was begun {newest.started_time:%Y-%m-%d %H:%M} UTC and has not "
        "ended. This is a new import: what is in already is linked, not copied."
    )
    talk.aside(f"To go on with that one instead: {_resume_line(source, newest.number)}")
    talk.document({"message_type": "unfinished", "imports": [each.number for each in found]})


def _resume_line(source: Path, number: str) -> str:
    return f"testigo import {shlex.quote(str(source))} --resume {number}"


def _request(
    rooms: Rooms, source: Path, number: str | None, resume: str | None, manifest: Path | None, *told: str | None
) -> ImportRequest:
    look_at(source)
    source = source.resolve()
    _refuse_own_folders(rooms, source)
    with rooms.database.reading() as session:
        if number is not None:
            incident, _ = incident_by_number(session, number)
        elif resume is not None:
            batch, _ = import_by_number(session, resume)
            incident = incidents_by_id(session)[batch.incident_id]
        else:
            raise click.UsageError("Name the incident with -i.")
    custodian, device, write_blocker, reason = told
    return ImportRequest(
        source=source,
        incident=incident,
        actor=rooms.actor,
        claims=read_manifest(manifest) if manifest is not None else {},
        resume=resume,
        never=tuple(rooms.places.folders),
        custodian=custodian,
        device=device,
        write_blocker=write_blocker,
        reason=reason,
    )


def _refuse_own_folders(rooms: Rooms, source: Path) -> None:
    """Refuse to take the archive into itself: its keys would become evidence, and the import would never end."""
    for ours in rooms.places.folders:
        if lies_in(source, ours) or lies_in(ours, source):
            raise InputError(
                "batch/inside-archive",
                "The source holds this archive's own folders, or lies in them. Nothing was imported.",
            )


COMMANDS: dict[str, click.Command] = {"incident": incident, "import": import_}
