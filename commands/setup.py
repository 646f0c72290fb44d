"""`init`, `doctor`, `unlock`, `lock`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from archive.access import Action, require
from archive.age.agent import start_agent
from archive.age.recipients import KeyIdentity
from archive.age.recovery import format_identity, split
from archive.errors import ConflictError, InputError, TestigoError
from archive.types import Role, StaffId
from cli import DONE_IN_PART, Rooms
from commands.approvals import say_waiting
from commands.door import GivenPath, common
from commands.plan import only_planned, plannable
from commands.setting_up import found_archive, own_folder, refuse_occupied
from commands.talk import Talk, ask_passphrase, counted
from commands.upkeep import rescue_stale
from custody.drafts import Draft
from custody.entries import EventKind
from custody.founding import Founded
from custody.permit import EntryPermit

_passphrase_file = click.option(
    "--passphrase-file", type=GivenPath(), help="Read the passphrase from a file instead of asking."
)


@click.command("init")
@click.option("--role", type=click.Choice([r.value for r in Role]), default="coordinator", help="Your role.")
@click.option("--counsel", help="Counsel's age recipient; without it an identity is made and shown once.")
@click.option("--split", "split_text", help="Split the recovery key, e.g. 2of3 (SLIP-39 words).")
@click.option("--print-recovery", is_flag=True, help="Print the recovery key though stdout is no terminal.")
@_passphrase_file
@plannable
@common
def init(
    rooms: Rooms,
    role: str,
    counsel: str | None,
    split_text: str | None,
    print_recovery: bool,
    passphrase_file: Path | None,
) -> int:
    """Set up an archive: keys, log, first account.

    \b
    Example:
      testigo init --home /srv/testigo --split 2of3

    Your operating-system user becomes the first account. The recovery key is printed once and kept nowhere: write it
    down, or print it, and keep it away from this machine.
    """
    talk = Talk(rooms.asked)
    shares = _shares(split_text)
    if rooms.asked.dry_run or rooms.asked.explain:
        refuse_occupied(rooms.places)
    would = f"set up an archive in {rooms.home}, with you as its first account ({role})"
    if only_planned(rooms, would, ["1 metadata modification: the organisation, its keyrings and your account"]):
        return 0
    if not print_recovery and not os.isatty(1):
        raise InputError(
            "cli/no-terminal",
            "The recovery key is shown once and stdout is no terminal. Nothing was made. Run this on a terminal, "
            "or give --print-recovery if a printer or a person reads the output.",
        )
    refuse_occupied(rooms.places)
    with _new_folder(rooms.home):
        question = "Choose a passphrase (12 characters or 5 words): "
        passphrase = ask_passphrase(passphrase_file, twice=True, prompt=question)
        founded = found_archive(rooms, Role(role), counsel, passphrase, lambda made: _hand_out(talk, made, shares))
    talk.say("The archive is set up. You are its first account, shown in the log as " + founded.founder.pseudonym + ".")
    talk.document(
        {
            "message_type": "summary",
            "ok": True,
            "founder": founded.founder.pseudonym,
            "origin": founded.organisation.origin,
        }
    )
    return 0


@contextmanager
def _new_folder(home: Path) -> Iterator[None]:
    """Make the archive's folder; take it away again where nothing came to be in it."""
    is_new = not home.exists()
    own_folder(home)
    try:
        yield
    except BaseException:  # Raised again: an interrupt at the passphrase, too, leaves nothing behind.
        if is_new:
            with suppress(OSError):
                home.rmdir()
        raise


def _shares(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    threshold, of, count = text.partition("of")
    if not of or not threshold.isdigit() or not count.isdigit() or not 1 < int(threshold) <= int(count) <= 16:
        raise InputError("cli/bad-split", "Write a split as 2of3: how many of how many parts are needed (at most 16).")
    return int(threshold), int(count)


def _hand_out(talk: Talk, founded: Founded, shares: tuple[int, int] | None) -> None:
    """Show the keys, and make sure that they went out: the archive is put in its place only after this.

    Raises: InputError `cli/keys-not-shown`.
    """
    recovery = _texts(founded.recovery, shares)
    counsel = None if founded.counsel is None else format_identity(founded.counsel)
    try:
        if shares is None:
            talk.say("--- RECOVERY KEY (opens everything if the office key is lost) ---")
        for text in recovery:
            talk.say(text)
            talk.say()
        if counsel is not None:
            talk.say("--- COUNSEL'S KEY (opens names and contacts; the office never keeps it) ---")
            talk.say(counsel)
        talk.say("Write these down or print them now. They are kept nowhere and are not shown again.")
        talk.document({"message_type": "keys", "recovery": recovery, "counsel": counsel})
        sys.stdout.flush()
    except OSError as error:
        # What is still held back must not be tried again when the program ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise InputError(
            "cli/keys-not-shown",
            "The keys could not be shown: what was to take them took no more. Nothing was made, and what was shown of "
            "them opens nothing. Run the same again on a terminal, or into a printer that works.",
        ) from error


def _texts(identity: KeyIdentity, shares: tuple[int, int] | None) -> list[str]:
    if shares is None:
        return [format_identity(identity)]
    threshold, count = shares
    return [share.format() for share in split(identity, threshold=threshold, total=count)]


@click.command("unlock")
@click.option("--minutes", type=click.IntRange(1, 24 * 60), help="How long (default from the settings).")
@_passphrase_file
@plannable
@common
def unlock(rooms: Rooms, minutes: int | None, passphrase_file: Path | None) -> int:
    """Start the key agent with your passphrase.

    \b
    Example:
      testigo unlock --minutes 30

    The agent alone holds the key, in memory, and ends by itself, by `testigo lock` or when the machine stops.
    """
    talk = Talk(rooms.asked)
    actor = rooms.actor
    require(actor, Action.UNLOCK)
    running = rooms.agent.status()
    if running is not None:
        raise ConflictError("keys/agent-running", "The archive is unlocked already. `testigo lock` locks it.")
    lifetime = minutes or rooms.settings.keys.unlock_minutes
    entries = ["1 unlock, before the key agent starts", "where the passphrase is wrong: 1 refusal"]
    if only_planned(rooms, f"start the key agent for {counted(lifetime, 'minute')}", entries):
        return 0
    passphrase = ask_passphrase(passphrase_file)
    try:
        identity = rooms.present_key_files.open_copy(StaffId(actor.staff_id), passphrase)
        _refuse_half_rotated(rooms)
    except TestigoError as error:
        rooms.ledger.record_refusal(actor, Action.UNLOCK, error)
        raise
    rooms.ledger.record(Draft(event=EventKind.UNLOCK, actor=actor, values=(("purpose", "unlock"),)))
    permit = EntryPermit(rooms.catalogue_path, rooms.ledger.size())
    socket = rooms.run_folder / "agent" / "socket"
    # SQLite must not be open across the fork: the agent would inherit its locks and maps of files that it has closed.
    rooms.database.close()
    status = start_agent(
        socket,
        identity,
        lifetime_s=lifetime * 60,
        permit=permit,
        owns=permit.owns,
        clock=rooms.clock,
    )
    waiting = rooms.jobs.release_waiting()
    rescued = rescue_stale(rooms)
    rooms.publisher.publish()
    talk.say(f"Unlocked until {status.until:%Y-%m-%d %H:%M} UTC, for {counted(lifetime, 'minute')}.")
    if not status.memory_locked:
        talk.aside("Note: the agent's memory could not be kept out of swap. `testigo doctor` says what to do.")
    if rescued:
        became = counted(rescued, "upload whose sender is gone is", "uploads whose senders are gone are")
        talk.say(f"{became} in now, as far as received.")
    if waiting:
        talk.say(f"{counted(waiting, 'job')} that waited for this will now be done by `testigo worker`.")
    say_waiting(rooms, talk)
    talk.document({"message_type": "summary", "ok": True, "until": status.until.isoformat(), "released_jobs": waiting})
    return 0


def _refuse_half_rotated(rooms: Rooms) -> None:
    if rooms.present_key_files.rotation() is not None:
        raise ConflictError(
            "keys/rotation-unfinished",
            "A rotation of the vault keyring was broken off: some key files are sealed to the next office key. Nothing "
            "was opened. Whoever began it finishes it with `testigo keys rotate`; where they cannot, `testigo keys "
            "rotate --recovery FILE` makes another with the recovery key. Then unlock.",
        )


@click.command("lock")
@plannable
@common
def lock(rooms: Rooms) -> int:
    """End the key agent; the archive is locked again.

    \b
    Example:
      testigo lock

    Nothing more is opened. A command that still runs ends with what it was given keys for before, a packet too: where
    that must not be, end it first (Ctrl-C).
    """
    talk = Talk(rooms.asked)
    was_open = rooms.agent.status() is not None
    would = "end the key agent" if was_open else "change nothing: it is locked"
    if only_planned(rooms, would, ["1 lock"] if was_open else []):
        return 0
    rooms.agent.lock()
    talk.say("Locked." if was_open else "It was locked already.")
    try:
        if was_open:
            rooms.ledger.record(Draft(event=EventKind.LOCK, actor=rooms.actor, values=(("purpose", "lock"),)))
            rooms.publisher.publish()
    except TestigoError as error:
        # Whoever locks in a hurry must not read that nothing was done: the key is gone, whatever else fails.
        talk.warn(f"It is locked, but that could not be entered in the log. {error.message}")
        talk.document({"message_type": "summary", "ok": False, "was_unlocked": was_open, "code": error.code})
        return DONE_IN_PART
    talk.document({"message_type": "summary", "ok": True, "was_unlocked": was_open})
    return 0


@click.command("doctor")
@click.option("--url", help="Check instead the way through this public address: sends 6 MiB, and cuts it.")
@common
def doctor(rooms: Rooms, url: str | None) -> int:
    """Check this machine: tools, confinement, clock, disk, swap, keys.

    \b
    Example:
      testigo doctor
      testigo doctor --url https://drop.example.org
    """
    from commands.doctor import Verdict, examine
    from commands.proxy_path import check_path

    talk = Talk(rooms.asked)
    findings = check_path(url) if url is not None else examine(rooms)
    for finding in findings:
        talk.document(
            {"message_type": "finding", "check": finding.check, "verdict": finding.verdict, "words": finding.words}
        )
    talk.table(("", "check", "what was found"), [(f.verdict, f.check, f.words) for f in findings])
    return 2 if any(finding.verdict is Verdict.FAIL for finding in findings) else 0


COMMANDS: dict[str, click.Command] = {"init": init, "unlock": unlock, "lock": lock, "doctor": doctor}
