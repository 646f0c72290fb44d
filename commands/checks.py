"""`verify`, `receipt`, `exposure`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from archive.access import Action, require
from archive.errors import InputError, IntegrityError, TestigoError
from archive.exposure import Exposure, measure
from archive.types import Finding
from cli import DONE_IN_PART, Rooms
from commands.account import os_user
from commands.door import common, printable
from commands.since import read_since
from commands.talk import Talk, counted
from commands.verification import Verification
from custody.accounts import actor_of
from custody.findings import Found, unknown
from custody.receipt import MAX_RECEIPT_OCTETS
from custody.receipt_checking import ReceiptVerdict, verify_receipt
from custody.receipt_times import TimeVerdict, judge_timestamps, read_root
from custody.signed_note import VerifierKey

_DOES_NOT_MATCH = 4
_NOT_FOUND = frozenset({"access/no-account", "archive/foreign-value", "archive/secret-missing"})
_EXITS = {Finding.MATCHES: 0, Finding.DOES_NOT_MATCH: _DOES_NOT_MATCH, Finding.CANNOT_TELL: DONE_IN_PART}


@click.command("verify")
@click.argument("numbers", metavar="[ITEM]...", nargs=-1)
@click.option("--full", is_flag=True, help="Open every original and compare its SHA-256 (unlocked; an entry each).")
@click.option("--keyless", is_flag=True, help="Only what needs no key, also while unlocked; writes nothing.")
@click.option(
    "--against",
    "against",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="An earlier checkpoint, receipt, proof file or packet folder; may be given several times.",
)
@click.option(
    "--since",
    metavar="ENTRY|FILE",
    help="Of items only those that entries from this number on speak of, or from a checkpoint or receipt on.",
)
@click.option(
    "--sweep", "sweep_orphans", is_flag=True, help="Remove what no entry speaks of (unlocked; asks; with an entry)."
)
@click.option("-n", "--dry-run", is_flag=True, help="With --sweep: say what would be removed; remove nothing.")
@common
def verify(
    rooms: Rooms,
    numbers: tuple[str, ...],
    full: bool,
    keyless: bool,
    against: tuple[Path, ...],
    since: str | None,
    sweep_orphans: bool,
) -> int:
    """Check bytes, log, catalogue and time-stamps.

    \b
    Example:
      testigo verify
      testigo verify --full
      testigo verify --against receipt.json --against checkpoint-of-last-week
      testigo verify --since checkpoint-of-last-week

    Ends with 0 where all matches, 4 where something does not match, 3 where something cannot be told. The log is always
    checked whole. What needs a key is checked while the archive is unlocked; while it is locked the result says what
    was not checked.
    """
    noted = _refuse_other_roles(rooms, keyless=keyless)
    if full and keyless:
        raise click.UsageError("--full needs keys; --keyless uses none")
    if numbers and since is not None:
        raise click.UsageError("--since chooses the items; name none")
    if sweep_orphans:
        require(rooms.actor, Action.RUN_JOBS)
        if numbers or since is not None:
            raise click.UsageError("--sweep looks at the whole archive; name no items")
        if keyless:
            raise click.UsageError("--sweep needs keys: only the opened log tells what is a left-over")
    elif rooms.asked.dry_run:
        raise click.UsageError("--dry-run is for --sweep; nothing else that verify does removes anything")
    return Verification(
        rooms,
        numbers,
        full=full,
        keyless=keyless,
        against=against,
        sweep=sweep_orphans,
        since=read_since(rooms, since) if since is not None else None,
        noted=noted,
    ).run()


def _refuse_other_roles(rooms: Rooms, *, keyless: bool) -> list[Found]:
    """Refuse whoever may not audit; note where nobody in the catalogue is this user, for a check without keys.

    That one enters nothing and reads nothing but what these files show to anybody who has them, so an insider who
    changed what accounts are found by does not shut it.
    """
    try:
        # Not `rooms.actor`: a catalogue that lost its guards must still be checked.
        require(actor_of(rooms.catalogue_as_it_lies, os_user()), Action.AUDIT)
    except TestigoError as error:
        if not keyless or error.code not in _NOT_FOUND:
            raise
        found = unknown(
            "custody/account-not-found",
            "Nobody in the catalogue is this operating-system user. Where you have an account, its row or the key that "
            "accounts are found by was changed, and only the log, opened with keys, tells which: move the catalogue "
            "away, keep it, and run `testigo rebuild`.",
            subject="accounts",
            cause=error.code,
        )
        return [found]
    return []


@click.group("receipt")
def receipt() -> None:
    """Check a receipt file.

    \b
    Example:
      testigo receipt check receipt.json
    """


@receipt.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--log-key", "log_keys", multiple=True, help="The log's published key (a vkey, or a file of them).")
@click.option(
    "--root", "roots", type=click.Path(path_type=Path), multiple=True, help="Root of a time-stamp authority (PEM)."
)
@common
def receipt_check(rooms: Rooms, file: Path, log_keys: tuple[str, ...], roots: tuple[Path, ...]) -> int:
    """Check a receipt, without any archive and without a network.

    \b
    Example:
      testigo receipt check receipt.json --log-key log/verifier-keys

    Without --log-key the keys in the receipt itself are used, and their fingerprints are printed to be compared with
    those that the archive published.
    """
    talk = Talk(rooms.asked)
    trusted = tuple(key for text in log_keys for key in _keys(text)) if log_keys else None
    trusted_roots = [_root(path) for path in roots]
    data = _read(file, MAX_RECEIPT_OCTETS + 1)
    verdict = verify_receipt(data, trusted)
    for check in verdict.checks:
        talk.say(f"{check.finding:<14} {check.words}")
    _print_head(talk, verdict)
    for item in verdict.items:
        talk.say(f"{item.finding:<14} {printable(item.stated_number)}")
        for check in item.checks:
            if check.finding is not Finding.MATCHES:
                talk.say(f"{'':<14}   {check.words}")
        if item.sha256 is not None:
            talk.say(f"{'':<14}   SHA-256   {item.sha256.hex}")
            talk.say(f"{'':<14}   size      {counted(item.size, 'octet') if item.size is not None else 'not told'}")
            talk.say(f"{'':<14}   recorded  {item.recorded_time} by the archive's clock")
    times: tuple[TimeVerdict, ...] = ()
    finding = verdict.finding
    if verdict.receipt is not None:
        times = judge_timestamps(verdict.receipt, trusted_roots)
        finding = _worst(finding, _print_timestamps(talk, times))
    _print_keys(talk, verdict)
    if finding is Finding.CANNOT_TELL and verdict.finding is Finding.MATCHES:
        when = "when: not every time-stamp leads to a root" if times else "when: no time-stamp says so yet"
        talk.say(f"{finding} {when}. Everything else about the receipt matches.")
    else:
        talk.say(f"{finding:<14} the receipt as a whole")
    talk.document(_verdict_document(verdict, times, finding))
    return _EXITS[finding]


def _print_head(talk: Talk, verdict: ReceiptVerdict) -> None:
    """Show what the receipt says of itself, where it is signed or at least nothing contradicts it."""
    receipt = verdict.receipt
    if receipt is None or verdict.finding is Finding.DOES_NOT_MATCH:
        return
    signed = "" if receipt.signed is not None else " (this file's word)"
    talk.say(f"{'':<14}   receipt   {printable(receipt.number)}{signed}")
    talk.say(f"{'':<14}   received  {receipt.received_time} by the archive's clock{signed}")
    if receipt.use is not None:
        who = ", ".join(receipt.use.audiences)
        talk.say(f"{'':<14}   use       {printable(receipt.use.level)}: {printable(who)}{signed}")


def _print_timestamps(talk: Talk, times: Sequence[TimeVerdict]) -> Finding:
    """Say when outside authorities attested the log. Without any, nothing can be told of the time."""
    for time in times:
        talk.say(f"{time.finding:<14} time-stamp by {printable(time.authority)}: {time.words}")
        if time.root:
            talk.say(f"{'':<14}   its root's SHA-256 is {time.root}")
    if not times:
        words = "time-stamp pending: no authority outside the archive says yet when; its times are the archive's word"
        talk.say(f"{Finding.CANNOT_TELL:<14} {words}")
        return Finding.CANNOT_TELL
    return _worst(*(time.finding for time in times))


def _print_keys(talk: Talk, verdict: ReceiptVerdict) -> None:
    if verdict.keys_were_given or not verdict.keys:
        return
    talk.say("The log's keys came with the receipt. Compare these fingerprints with those that the archive published:")
    for key in verdict.keys:
        talk.say(f"  {key.type.name:<8} {key.fingerprint}")


def _verdict_document(verdict: ReceiptVerdict, times: Sequence[TimeVerdict], finding: Finding) -> dict[str, Any]:
    return {
        "message_type": "summary",
        "ok": finding is Finding.MATCHES,
        "finding": finding,
        "keys_were_given": verdict.keys_were_given,
        "timestamps": [
            {
                "authority": time.authority,
                "finding": time.finding,
                "words": time.words,
                "root_sha256": time.root or None,
            }
            for time in times
        ],
        "keys": [key.fingerprint for key in verdict.keys],
        "checks": [{"finding": check.finding, "words": check.words} for check in verdict.checks],
        "items": [
            {
                "stated_number": item.stated_number,
                "finding": item.finding,
                "item": str(item.item) if item.item is not None else None,
                "sha256": item.sha256.hex if item.sha256 is not None else None,
                "size": item.size,
                "recorded_time": item.recorded_time.isoformat() if item.recorded_time is not None else None,
                "checks": [{"finding": check.finding, "words": check.words} for check in item.checks],
            }
            for item in verdict.items
        ],
    }


def _keys(text: str) -> list[VerifierKey]:
    """Read a vkey as it stands, or a file with one a line. None at all would leave the receipt's own keys trusted."""
    lines = [text] if "+" in text else _read(Path(text), 1 << 16).decode("utf-8", "replace").splitlines()
    try:
        keys = [VerifierKey.parse(line.strip()) for line in lines if line.strip()]
    except IntegrityError as error:
        raise click.UsageError("A log key that was given is not written name+id+key. Nothing was checked.") from error
    if not keys:
        raise click.UsageError("A file of log keys that was given holds none. Nothing was checked.")
    return keys


def _root(path: Path) -> bytes:
    try:
        return read_root(_read(path, 1 << 20))
    except ValueError as error:
        raise click.UsageError("A root that was given is no certificate in PEM. Nothing was checked.") from error


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise InputError("cli/unreadable-file", "A file that was named cannot be read. Nothing was checked.") from error


def _worst(*findings: Finding) -> Finding:
    order = (Finding.DOES_NOT_MATCH, Finding.CANNOT_TELL, Finding.MATCHES)
    return next(finding for finding in order if finding in findings)


@click.command("exposure")
@common
def exposure(rooms: Rooms) -> int:
    """What each kind of demand could obtain today.

    \b
    Example:
      testigo exposure
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.READ_EXPOSURE)
    found = measure(rooms.database)
    for each in found:
        talk.document(_exposure_document(each))
    shown: list[Exposure] = []
    talk.say("What each kind of demand, theft or order could obtain from this archive today.")
    for each in found:
        talk.say()
        talk.say(f"{each.demand.value[0].upper()}{each.demand.value[1:]}")
        for words in each.also:
            talk.say(f"  · {words}")
        twin = next((other for other in shown if other.readable == each.readable), None)
        if twin is not None and each.readable:
            talk.say(f"  reads  the same rows as: {twin.demand.value}")
        else:
            shown.append(each)
            for table, columns in _by_table(each).items():
                talk.say(f"  reads  {table}: {columns}")
        if each.sealed_values_opened:
            opened = ", ".join(f"{count} of {kind}" for kind, count in sorted(each.sealed_values_opened.items()))
            talk.say(f"  opens  sealed values: {opened}")
    return 0


def _by_table(each: Exposure) -> dict[str, str]:
    """Write what is readable as one line a table: how many rows, and which columns."""
    tables: dict[str, list[str]] = {}
    rows: dict[str, int] = {}
    for holding in each.readable:
        tables.setdefault(holding.table, []).append(holding.column)
        rows[holding.table] = max(rows.get(holding.table, 0), holding.rows)
    return {
        f"{table} ({rows[table]} row{'' if rows[table] == 1 else 's'})": ", ".join(columns)
        for table, columns in tables.items()
    }


def _exposure_document(each: Exposure) -> dict[str, Any]:
    return {
        "demand": each.demand.name.lower(),
        "words": each.demand.value,
        "obtains": list(each.also),
        "readable": [
            {"table": one.table, "column": one.column, "class": one.column_class, "rows": one.rows}
            for one in each.readable
        ],
        "sealed_values_opened": each.sealed_values_opened,
    }


COMMANDS: dict[str, click.Command] = {"verify": verify, "receipt": receipt, "exposure": exposure}
