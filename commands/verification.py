"""What `testigo verify` does, in its order: first all that needs no key, then what keys tell, and only then anything is
written or swept."""

import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from archive.catalogue.items import item_by_number
from archive.errors import LockedError, TestigoError
from archive.types import Finding
from cli import DONE_IN_PART, Rooms
from commands.door import printable
from commands.since import Since
from commands.talk import Talk, counted, octets
from custody.audit import Extent
from custody.audit_full import FullCheck
from custody.audit_keys import AuditKeys
from custody.audit_objects import ORPHAN_KEY, ORPHAN_OBJECT
from custody.audit_opened import ReceivedFixity
from custody.checkpoint import Checkpoint
from custody.findings import Found, from_error, unknown
from custody.outside_files import read_outside
from custody.signed_note import SignedNote
from custody.sweep import Swept, sweep

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
    ) -> None:
        self._rooms = rooms
        self._talk = Talk(rooms.asked)
        self._full = full
        self._keyless = keyless
        self._against = against
        self._sweep = sweep
        self._tally = _Tally()
        self._since = since
        self._items = self._find_items(numbers) if since is None else since.items
        self._swept: Swept | None = None
        self._progress = self._talk.progress(counts_octets=False)
        self._tasks: dict[str, int] = {}

    def run(self) -> int:
        """Check, print, and return the exit code."""
        started = time.monotonic()
        if self._full and self._rooms.agent.status() is None:
            raise LockedError(
                "archive/locked", "The archive is locked, and --full opens every original. Run testigo unlock first."
            )
        if self._progress is None:
            self._check()
        else:
            with self._progress:
                self._check()
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
        if not self._rooms.signing_keys_path.is_file():
            words = "The log's signing keys are not here; the keys that the store itself states were used."
            self._take([unknown("custody/keys-unconfirmed", words, subject="log")])
        self._take(audit.log(outside=outside, watch=self._watch))
        log_is_right = self._tally.finding is not Finding.DOES_NOT_MATCH
        self._take(audit.holdings(items=self._items, apart=self._keyless, watch=self._watch))
        if self._keyless:
            self._tally.left_out.append("what needs a key (--keyless was asked for)")
        elif self._rooms.agent.status() is None:
            self._tally.left_out.append(
                "what only keys can tell (sealed values, the catalogue's rows): the archive is locked"
            )
        elif not log_is_right:
            # An access would be entered in a log that is not what it should be.
            self._tally.left_out.append(
                "what only keys can tell: the log itself does not match, so nothing is added to it"
            )
        else:
            self._surviving(self._check_opened)
        if self._sweep:
            self._surviving(lambda: self._sweep_orphans(log_is_right))

    def _check_opened(self) -> None:
        rooms = self._rooms
        keyed = AuditKeys(database=rooms.database, vault=rooms.vault, ledger=rooms.ledger, actor=rooms.actor)
        keys, found = keyed.unwrap(self._items)
        self._take(found)
        fixity: dict[UUID, ReceivedFixity] = {}
        self._take(rooms.audit.opened(keys, fixity, items=self._items, watch=self._watch))
        if self._full:
            full = FullCheck(
                database=rooms.database,
                vault=rooms.vault,
                ledger=rooms.ledger,
                actor=rooms.actor,
                threads=os.cpu_count() or 1,
            )
            self._take(full.run(keys, fixity, items=self._items, watch=self._watch))
        self._publish()

    def _sweep_orphans(self, log_is_right: bool) -> None:
        orphans = [found for found in self._tally.problems if found.code in (ORPHAN_OBJECT, ORPHAN_KEY)]
        if not log_is_right:
            self._tally.left_out.append("sweeping: the log does not match, so nothing is removed")
            return
        rooms = self._rooms
        self._swept = sweep(
            database=rooms.database,
            store=rooms.store,
            key_files=rooms.key_files,
            ledger=rooms.ledger,
            actor=rooms.actor,
            objects=[found.subject for found in orphans if found.code == ORPHAN_OBJECT],
            keys=[UUID(str(found.evidence["owner"])) for found in orphans if found.code == ORPHAN_KEY],
        )
        self._tally.problems = [found for found in self._tally.problems if found not in orphans]
        self._publish()

    def _publish(self) -> None:
        self._surviving(self._rooms.publisher.publish)

    def _surviving(self, step: Callable[[], object]) -> None:
        """Take a step; what ends it early is one more finding, and what was found before is still told."""
        try:
            step()
        except TestigoError as error:
            self._take([from_error(error, subject="archive")])

    def _find_items(self, numbers: tuple[str, ...]) -> list[UUID] | None:
        if not numbers:
            return None
        with self._rooms.catalogue_as_it_lies.reading() as session:
            return [item_by_number(session, number)[0].id for number in numbers]

    def _take(self, findings: Iterable[Found]) -> None:
        for found in findings:
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
        wrong = _items(tally.problems)
        right = extent.items - len(wrong)
        talk.say(f"  {right:>7,} {'item matches' if right == 1 else 'items match'}")
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
        if codes & {ORPHAN_OBJECT, ORPHAN_KEY}:
            steps.append("testigo verify --sweep")
        if tally.finding is Finding.DOES_NOT_MATCH and not self._against:
            steps.append("testigo verify --against an earlier checkpoint, receipt or packet")
        if tally.left_out and not self._keyless and self._rooms.agent.status() is None:
            steps.append("testigo unlock, then the same again")
        if steps:
            self._talk.say(f"Next: {'; '.join(steps)}")

    def _document(self, extent: Extent, seconds: float) -> None:
        tally = self._tally
        wrong = _items(tally.problems)
        newest = Checkpoint.parse(SignedNote.parse(extent.newest).text) if extent.newest is not None else None
        pending = any(found.code == "custody/timestamp-pending" for found in tally.problems)
        self._talk.document(
            {
                "message_type": "summary",
                "ok": tally.finding is Finding.MATCHES,
                "finding": tally.finding,
                "items": extent.items,
                "matched": extent.items - len(wrong),
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
    return {match[0] for found in problems if (match := _ITEM.match(found.subject))}


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
