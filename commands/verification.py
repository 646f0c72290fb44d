"""What `testigo verify` does, in its order: first all that needs no key, then what keys tell, and only then anything is
written or swept."""

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from archive.backup import COPY_MARK
from archive.catalogue.items import item_by_number
from archive.errors import InputError, LockedError, TestigoError
from archive.types import Finding
from cli import DONE_IN_PART, Rooms
from commands.account import os_user
from commands.door import printable
from commands.since import Since
from commands.talk import Talk, counted, octets
from custody.accounts import actor_of
from custody.audit import Extent
from custody.audit_full import FullCheck
from custody.audit_keys import AuditKeys
from custody.audit_objects import ORPHAN_KEY, ORPHAN_OBJECT
from custody.audit_opened import ReceivedFixity
from custody.audit_recorded import Spoken
from custody.findings import Found, from_error, surviving, unknown
from custody.outside_files import read_outside
from custody.sweep import Orphans, Swept, of_a_copy, sweep, told_apart, why_not

_DOES_NOT_MATCH = 4
_MOST_SHOWN = 10
_ITEM = re.compile(r"E-\d{4}-\d{5,}")


@dataclass(slots=True)
class _Tally:
    """What was found so far."""

    problems: list[Found] = field(default_factory=list)
    matched: list[Found] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def finding(self) -> Finding:
        alarming = {found.finding for found in self.problems if not found.is_expected}
        for finding in (Finding.DOES_NOT_MATCH, Finding.CANNOT_TELL):
            if finding in alarming:
                return finding
        return Finding.MATCHES


class Verification:
    """One run of `verify`."""

    def __init__(
        self,
        rooms: Rooms,
        numbers: tuple[str, ...],
        *,
        full: bool,
        keyless: bool,
        against: tuple[Path, ...],
        sweep: bool,
        since: Since | None = None,
        noted: Iterable[Found] = (),
    ) -> None:
        self._rooms = rooms
        self._talk = Talk(rooms.asked)
        self._full = full
        self._keyless = keyless
        self._against = against
        self._sweep = sweep
        self._is_copy = (rooms.home / COPY_MARK).exists()
        self._noted = noted
        self._tally = _Tally()
        self._since = since
        self._items = self._find_items(numbers) if since is None else since.items
        self._swept: Swept | None = None
        self._spoken = Spoken()
        self._is_opened = False
        self._progress = self._talk.progress(counts_octets=False)
        self._tasks: dict[str, int] = {}

    def run(self) -> int:
        """Check, print, and return the exit code."""
        started = time.monotonic()
        if self._full and self._rooms.agent.status() is None:
            raise LockedError(
                "archive/locked", "The archive is locked, and --full opens every original. Run testigo unlock first."
            )
        if self._sweep and self._rooms.agent.status() is None:
            raise LockedError(
                "archive/locked",
                "The archive is locked, and only the log, opened with keys, tells what is a left-over. Nothing was "
                "checked or removed. Run testigo unlock first.",
            )
        if self._progress is None:
            self._check()
        else:
            with self._progress:
                self._check()
        if self._sweep:
            self._surviving(self._sweep_orphans)
        extent = self._rooms.audit.extent(self._items)
        self._print(extent)
        self._document(extent, time.monotonic() - started)
        exits = {Finding.MATCHES: 0, Finding.CANNOT_TELL: DONE_IN_PART, Finding.DOES_NOT_MATCH: _DOES_NOT_MATCH}
        return exits[self._tally.finding]

    # ── checking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check(self) -> None:
        audit = self._rooms.audit
        outside = [read_outside(path) for path in self._against]
        if self._since is not None:
            outside += [self._since.evidence] if self._since.evidence is not None else []
            others = counted(self._since.others, "item")
            self._tally.left_out.append(
                f"{others} of which no entry from number {self._since.entry} on speaks (--since)"
            )
        self._take(self._noted)
        self._take(self._signing_keys())
        self._take(audit.log(outside=outside, watch=self._watch))
        log_is_right = self._tally.finding is not Finding.DOES_NOT_MATCH
        self._take(audit.holdings(items=self._items, apart=self._keyless, watch=self._watch))
        if self._keyless:
            self._tally.left_out.append("what needs a key (--keyless was asked for)")
        elif self._rooms.agent.status() is None:
            self._tally.left_out.append(
                "what only keys can tell (sealed values, the catalogue's rows): the archive is locked"
            )
        else:
            # Also where the log does not match: one changed place must not hide what else was changed.
            self._surviving(self._check_opened)
            if not self._is_opened:
                self._tally.left_out.append("what only keys can tell, or not all of it: that check ended early")
            if log_is_right:
                self._publish()
            else:
                self._tally.left_out.append("signing: the log does not match, so no checkpoint was made over it")
        self._tally.problems = [told_apart(found, self._spoken) for found in self._tally.problems]

    def _signing_keys(self) -> Iterator[Found]:
        rooms, words = self._rooms, "are not here"
        if rooms.signing_keys_path.is_file():
            try:
                if rooms.signers:
                    return
            except TestigoError as error:
                yield from_error(error, subject="log")
                words = "cannot be read"
        said = f"The log's signing keys {words}; the keys that the store itself states were used."
        yield unknown("custody/keys-unconfirmed", said, subject="log")

    def _check_opened(self) -> None:
        rooms = self._rooms
        # Also where guards are gone: the access must be in the log all the same, and their loss is told.
        database = rooms.catalogue_as_it_lies
        ledger = rooms.ledger_over(database)
        actor = actor_of(database, os_user())
        keyed = AuditKeys(database=database, vault=rooms.vault, ledger=ledger, actor=actor)
        keys, found = keyed.unwrap(self._items)
        self._take(found)
        fixity: dict[UUID, ReceivedFixity] = {}
        self._take(rooms.audit.opened(keys, fixity, items=self._items, watch=self._watch, spoken=self._spoken))
        if self._full:
            full = FullCheck(
                database=database,
                vault=rooms.vault,
                ledger=ledger,
                actor=actor,
                threads=os.cpu_count() or 1,
            )
            self._take(full.run(keys, fixity, items=self._items, watch=self._watch))
        self._is_opened = True

    def _sweep_orphans(self) -> None:
        """Remove what no entry of the log speaks of, once all was checked, and after a question."""
        tally, rooms = self._tally, self._rooms
        orphans = Orphans.among(tally.problems)
        if (reason := why_not(tally.problems, self._spoken)) is not None:
            tally.left_out.append(f"sweeping: {reason}")
            return
        counts = f"{counted(len(orphans.objects), 'object')}, {counted(len(orphans.keys), 'key file')}"
        if rooms.asked.dry_run:
            self._talk.say(f"Would remove {counts}, and what killed writers left unfinished. Nothing was removed.")
            return
        if (orphans.objects or orphans.keys) and not self._agreed(counts):
            return
        self._swept = sweep(
            database=rooms.database,
            store=rooms.store,
            key_files=rooms.key_files,
            ledger=rooms.ledger,
            actor=rooms.actor,
            orphans=orphans,
            spoken=self._spoken,
        )
        tally.problems = [found for found in tally.problems if found.code not in (ORPHAN_OBJECT, ORPHAN_KEY)]
        self._publish()

    def _agreed(self, counts: str) -> bool:
        """Ask; what was checked is told all the same where nobody agrees."""
        try:
            if self._talk.confirm(f"No entry of the log speaks of {counts}. Remove what was found for ever?"):
                return True
            self._tally.left_out.append("sweeping: it was not agreed to, so nothing was removed")
        except InputError as error:
            self._tally.left_out.append(f"sweeping: {error.message.rstrip('.')}")
        return False

    def _publish(self) -> None:
        self._surviving(self._rooms.publisher.publish)

    def _surviving(self, step: Callable[[], object]) -> None:
        """Take a step; what ends it early is one more finding, and what was found before is still told."""

        def taken() -> Iterator[Found]:
            step()
            yield from ()

        self._take(surviving(taken(), subject="archive"))

    def _find_items(self, numbers: tuple[str, ...]) -> list[UUID] | None:
        if not numbers:
            return None
        with self._rooms.catalogue_as_it_lies.reading() as session:
            return [item_by_number(session, number)[0].id for number in numbers]

    def _take(self, findings: Iterable[Found]) -> None:
        for each in findings:
            found = of_a_copy(each) if self._is_copy else each
            (self._tally.matched if found.finding is Finding.MATCHES else self._tally.problems).append(found)
            self._talk.detail(f"{found.finding:<14} {printable(_subject(found))}  {printable(found.words)}")
            if found.finding is not Finding.MATCHES:
                self._talk.document(_finding_document(found))

    def _watch(self, part: str, done: int, total: int) -> None:
        if self._progress is None:
            return
        if part not in self._tasks:
            self._tasks[part] = self._progress.add_task(part, total=total)
        self._progress.update(self._tasks[part], completed=done, total=total)  # type: ignore[arg-type]  # a TaskID is an int

    # ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _print(self, extent: Extent) -> None:
        talk, tally = self._talk, self._tally
        entries = counted(extent.entries, "log entry", "log entries")
        talk.say(f"{counted(extent.items, 'item')}, {octets(extent.octets)}, {entries}")
        self._print_items(extent)
        for finding in (Finding.DOES_NOT_MATCH, Finding.CANNOT_TELL):
            self._print_problems(finding)
        for found in tally.matched:
            if found.count:
                words = found.words_of_one if found.count == 1 and found.words_of_one else found.words
                talk.say(f"  {found.count:>7,} {printable(words)}")
        for found in tally.problems:
            if found.is_expected:
                talk.say(f"  note: {printable(_subject(found))}: {printable(found.words)}")
        for words in tally.left_out:
            talk.say(f"Not checked: {words}.")
        if self._swept is not None:
            swept = self._swept
            counts = (swept.objects, "object"), (swept.keys, "key file"), (swept.staged, "unfinished write")
            talk.say(f"Swept: {', '.join(counted(*each) for each in counts)}.")
        self._say_next()

    def _print_items(self, extent: Extent) -> None:
        """Say how many items match: only where what the log says of them was opened and compared."""
        talk = self._talk
        right = self._matched(extent)
        if right is None:
            talk.say("  how many items match is not told: a whole range of the log does not match")
        elif self._is_opened:
            talk.say(f"  {right:>7,} {'item matches' if right == 1 else 'items match'}")
        else:
            words = ("item has", "its") if right == 1 else ("items have", "their")
            # Key files are looked at where the whole archive is, and are apart from a copy.
            apart = any(found.code == "custody/keys-not-here" for found in self._tally.problems)
            key = f" and {words[1]} key" if self._items is None and not apart else ""
            talk.say(f"  {right:>7,} {words[0]} {words[1]} bytes{key}; what the log says was not opened")
        if extent.destroyed:
            words = ("item is", "it") if extent.destroyed == 1 else ("items are", "them")
            if self._is_opened:
                told = "the log says who asked for it and who agreed"
            else:
                told = f"CANNOT TELL without keys whether the entries that say so are of {words[1]}"
            talk.say(f"  {extent.destroyed:>7,} {words[0]} called destroyed; {told}")

    def _matched(self, extent: Extent) -> int | None:
        """Count the items that nothing was found of; None where a finding is of more of them than it names."""
        problems = self._tally.problems
        if any(found.evidence.get("more_items") for found in problems if not found.is_expected):
            return None
        return extent.items - extent.destroyed - self._rooms.audit.kept_among(_items(problems), self._items)

    def _print_problems(self, finding: Finding) -> None:
        """Print each problem on a line, and many of the same kind under one."""
        kinds: dict[str, list[str]] = {}
        for found in self._tally.problems:
            if found.finding is finding and not found.is_expected:
                kinds.setdefault(found.words, []).append(_subject(found))
        for words, subjects in kinds.items():
            if len(subjects) == 1:
                self._talk.say(f"  {finding}  {printable(subjects[0])}  {printable(words)}")
                continue
            self._talk.say(f"  {finding}  {len(subjects):,} times: {printable(words)}")
            shown = subjects if self._talk.is_verbose else subjects[:_MOST_SHOWN]
            for subject in shown:
                self._talk.say(f"      {printable(subject)}")
            if len(subjects) > len(shown):
                self._talk.say(f"      … and {len(subjects) - len(shown):,} more; --verbose lists all")

    def _say_next(self) -> None:
        tally = self._tally
        items = sorted(_items(tally.problems))
        steps = [f"testigo show {number}" for number in items[:3]]
        codes = {found.code for found in tally.problems}
        if codes & {ORPHAN_OBJECT, ORPHAN_KEY} and why_not(tally.problems, self._spoken) is None:
            steps.append("testigo verify --sweep")
        if tally.finding is Finding.DOES_NOT_MATCH and not self._against:
            steps.append("testigo verify --against an earlier checkpoint, receipt or packet")
        if tally.left_out and not self._keyless and self._rooms.agent.status() is None:
            steps.append("testigo unlock, then the same again")
        if steps:
            self._talk.say(f"Next: {'; '.join(steps)}")

    def _document(self, extent: Extent, seconds: float) -> None:
        tally = self._tally
        matched = self._matched(extent)
        newest = extent.newest
        pending = any(found.code == "custody/timestamp-pending" for found in tally.problems)
        self._talk.document(
            {
                "message_type": "summary",
                "ok": tally.finding is Finding.MATCHES,
                "finding": tally.finding,
                "items": extent.items,
                "matched": matched if self._is_opened else None,
                "matched_without_keys": matched,
                "destroyed": extent.destroyed,
                "octets": extent.octets,
                "entries": extent.entries,
                "checkpoints": extent.checkpoints,
                "log_head": newest.root.hex() if newest is not None else None,
                "log_size": newest.size if newest is not None else 0,
                "anchored": bool(self._rooms.authorities) and not pending,
                "not_checked": tally.left_out,
                "matches": {f"{found.subject}: {found.words}": found.count for found in tally.matched},
                "since": self._since.entry if self._since is not None else None,
                "seconds": round(seconds, 3),
            }
        )


def _items(problems: Iterable[Found]) -> set[str]:
    """Return the items that something was found of, by number."""
    numbers: set[str] = set()
    for found in problems:
        if found.is_expected:
            continue
        named = found.evidence.get("items")
        numbers.update(map(str, named) if isinstance(named, tuple) else ())
        numbers.update(match[0] for match in [_ITEM.match(found.subject)] if match)
    return numbers


def _subject(found: Found) -> str:
    """Name the subject, and the items that its entries speak of."""
    items = found.evidence.get("items")
    if not isinstance(items, tuple) or not items or _ITEM.match(found.subject):
        return found.subject
    return f"{found.subject} ({', '.join(map(str, items[:5]))}{', …' if len(items) > 5 else ''})"


def _finding_document(found: Found) -> dict[str, object]:
    return {
        "message_type": "finding",
        "finding": found.finding,
        "subject": found.subject,
        "code": found.code,
        "words": found.words,
        "expected": found.is_expected,
        "evidence": {name: _plain(value) for name, value in found.evidence.items()},
    }


def _plain(value: object) -> object:
    """Make a raw value fit for JSON."""
    match value:
        case None | bool() | int() | str():
            return value
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_plain(each) for each in value]
    return str(value)
