"""`worker`, `jobs`, `backup`, `completion`."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import click

from archive.access import Action, require
from archive.backup import check_places, copy_archive
from archive.catalogue.incidents import incidents_by_id
from archive.catalogue.items import items_by_id
from archive.errors import TestigoError, UnavailableError
from archive.jobs import Job, JobKind, JobState
from archive.types import Outcome
from cli import DONE_IN_PART, Rooms
from commands.approvals import say_waiting
from commands.door import GivenPath, common, printable
from commands.plan import only_planned, plannable
from commands.talk import Talk, counted, octets
from custody.drafts import Draft
from custody.entries import EventKind
from ingest.rescuing import RESCUED

_PAUSE_S = 5
_AT_ONCE = 500
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UPLOAD = re.compile(r"[0-9a-f]{64}")


@click.command("worker")
@click.option("--once", is_flag=True, help="Do what is due and end.")
@click.option("--now", is_flag=True, help="Do not wait out the pauses after failed tries.")
@plannable
@common
def worker(rooms: Rooms, once: bool, now: bool) -> int:
    """Do the work that waits: previews and rescue (unlocked), time-stamps. Several may run at once.

    \b
    Example:
      testigo worker --once
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.RUN_JOBS)
    waiting = len(rooms.jobs.list([JobState.NEW]))
    would = f"try {counted(waiting, 'job that waits', 'jobs that wait')}"
    if only_planned(rooms, would, _entries_of(rooms.jobs.list([JobState.NEW]))):
        return 0
    if now:
        rooms.jobs.hurry()
    failed = 0

    def watch(job: Job, state: JobState, words: str) -> None:
        nonlocal failed
        failed += state in (JobState.FAILED, JobState.NEW)
        named = _named(_names(rooms, [job]), job)
        talk.say(f"{job.kind} {named}: {words}" + ("" if state is JobState.DONE else f" ({state})"))
        talk.document({"message_type": "job", "id": job.id, "subject": job.subject, "state": state, "words": words})

    rooms.workers.rescue.find()
    rooms.workers.every_kind.work(watch)
    while not once:
        time.sleep(_PAUSE_S)
        try:
            rooms.workers.rescue.find()
            rooms.workers.every_kind.work(watch)
        except UnavailableError as error:  # Another process was writing for long, or a disk was full: it may pass.
            talk.insist(f"{error.message} ({error.code})")
    return DONE_IN_PART if failed else 0


@click.command("jobs")
@click.option("--all", "everything", is_flag=True, help="Also what is done.")
@common
def jobs(rooms: Rooms, everything: bool) -> int:
    """Show the work that waits, runs or failed.

    \b
    Example:
      testigo jobs
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.LIST_RECORDS)
    wanted = list(JobState) if everything else [state for state in JobState if state is not JobState.DONE]
    found = rooms.jobs.list(wanted)
    subjects = _names(rooms, found)
    for job in found:
        shown = {"job": job.id, "kind": job.kind, "subject": job.subject, "state": job.state}
        talk.document({**shown, "tries": job.tries, "reason": job.reason})
    rows = [
        (
            str(job.id),
            job.kind,
            _named(subjects, job),
            job.state,
            str(job.tries),
            f"{job.not_before:%Y-%m-%d %H:%M}",
            job.reason or "",
        )
        for job in found
    ]
    talk.table(("job", "kind", "subject", "state", "tries", "not before (UTC)", "why"), rows)
    if not found:
        talk.aside("Nothing waits.")
    locked = sum(job.state is JobState.WAITING_FOR_UNLOCK for job in found)
    if locked:
        wait = "waits" if locked == 1 else "wait"
        talk.aside(f"{locked} of these {wait} for an unlock: `testigo unlock`, then `testigo worker --once`.")
    say_waiting(rooms, talk)
    return 0


def rescue_stale(rooms: Rooms, *, everything: bool = False) -> int:
    """After an unlock: make items of uploads whose senders are gone, as the worker does; return how many."""
    rescued = 0

    def watch(_job: Job, state: JobState, words: str) -> None:
        nonlocal rescued
        rescued += state is JobState.DONE and words == RESCUED

    if rooms.workers.rescue.find(everything=everything):
        rooms.workers.rescuing.work(watch)
    return rescued


_ENTRIES = {
    JobKind.TIMESTAMP: "none: a time-stamp is a file beside its checkpoint",
    JobKind.PREVIEW: "1 access and 1 creation for each preview made",
    JobKind.COMPARE: "1 access, and 1 metadata extraction for each group of files compared",
    JobKind.RESCUE: "1 access and 1 ingestion for each unfinished upload rescued",
}


def _entries_of(waiting: Sequence[Job]) -> list[str]:
    """Say for each kind of work that waits which entries it writes; what writes none says so, too."""
    counts = {kind: sum(job.kind is kind for job in waiting) for kind in _ENTRIES}
    said = [f"{words} ({counted(counts[kind], 'job')})" for kind, words in _ENTRIES.items() if counts[kind]]
    return said or ["none: no work waits"]


def _named(names: dict[str, str], job: Job) -> str:
    """Name what a job is about; of several parts the first that people know."""
    return next((names[part] for part in job.subject.split("/") if part in names), job.subject)


def _names(rooms: Rooms, jobs: Sequence[Job]) -> dict[str, str]:
    """Give the numbers by which people know the items and incidents that these jobs are about; uploads have none."""
    parts = {part for job in jobs for part in job.subject.split("/")}
    ids = [UUID(part) for part in sorted(parts) if _ID.fullmatch(part)]
    names = {part: f"upload {part[:8]}" for part in parts if _UPLOAD.fullmatch(part)}
    with rooms.database.reading() as session:
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            names |= {str(item.id): item.number for item in items_by_id(session, some).values()}
            names |= {str(one.id): one.number for one in incidents_by_id(session, some).values()}
    return names


@click.command("backup")
@click.argument("destination", type=GivenPath())
@click.option("--keys-to", type=GivenPath(), help="Where key files go: apart, not kept for long.")
@plannable
@common
def backup(rooms: Rooms, destination: Path, keys_to: Path | None) -> int:
    """Copy the archive while it works: catalogue, store and signing keys; key files apart.

    \b
    Example:
      testigo backup /mnt/disk-a/testigo --keys-to /mnt/disk-b/testigo-keys

    The copy opens nothing without key files. A second run copies only what is new.
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.BACK_UP)
    key_files = rooms.present_key_files
    check_places(rooms.places, destination, keys_to, store=rooms.store, database=rooms.database)
    apart = "key files apart" if keys_to is not None else "no key files"
    if only_planned(rooms, f"copy catalogue, store and signing keys; {apart}", ["1 backup"]):
        return 0
    rooms.ledger.record(Draft(event=EventKind.BACKUP, actor=rooms.actor, values=(("purpose", "backup"),)))
    rooms.publisher.publish()
    try:
        made = copy_archive(
            rooms.places,
            destination,
            keys_to,
            store=rooms.store,
            database=rooms.database,
            key_files=key_files,
            log_lock=rooms.log_lock,
        )
    except TestigoError as error:
        values = (("purpose", "backup"), ("code", error.code))
        rooms.ledger.record(Draft(event=EventKind.BACKUP, outcome=Outcome.FAILURE, actor=rooms.actor, values=values))
        rooms.publisher.publish()
        raise
    new = counted(made.objects, "new object or log file", "new objects and log files")
    talk.say(f"{new}, {octets(made.octets)}; the catalogue as of now.")
    for place in made.lacking:
        talk.warn(f"{printable(str(place))}, which the settings name, cannot be read and is not in the copy.")
    days = counted(rooms.settings.archive.backup_days_max, "day")
    if keys_to is None:
        talk.say(f"No key files were copied: give --keys-to, on another medium, and delete each copy within {days}.")
    else:
        count = counted(made.keys, "key file")
        talk.say(f"{count} in {keys_to}. Delete this copy within {days}: a destroyed key lives on in it.")
    if made.gone:
        lie = "key file of an earlier run lies" if made.gone == 1 else "key files of earlier runs lie"
        talk.warn(
            f"{made.gone} {lie} there that the archive no longer has. What was destroyed lives on in this folder "
            "however often it is written: copy into a new one, and delete this one by the day that the certificate of "
            "destruction names. If nothing was destroyed, keep it: `testigo verify` says which key is lost."
        )
    talk.document(
        {
            "message_type": "summary",
            "ok": True,
            "files": made.objects,
            "octets": made.octets,
            "keys": made.keys,
            "keys_no_longer_here": made.gone,
            "not_copied": [str(place) for place in made.lacking],
        }
    )
    return 0


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print shell completion.

    \b
    Example:
      testigo completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    from cli import main

    found = get_completion_class(shell)
    if found is not None:
        click.echo(found(main, {}, "testigo", "_TESTIGO_COMPLETE").source())


COMMANDS: dict[str, click.Command] = {"worker": worker, "jobs": jobs, "backup": backup, "completion": completion}
