"""What an import says: what it would do, how far it has come, how it closed."""

import shutil
import time
from types import TracebackType
from typing import Self

from archive.errors import UnavailableError
from cli import DONE_IN_PART, EXIT_CODES, Rooms
from commands.door import printable
from commands.plan import given
from commands.talk import Talk, counted, octets, tail
from ingest.progress import Step
from ingest.reception import Linked, Refused, Result, Stored
from ingest.reconciliation import Forecast, ImportRequest, Reconciliation

_JSON_PAUSE_S = 1.0
_PIPE_PAUSE_S = 60.0
_BESIDE_THE_PATH = 71
_MOST_LINES = 100


class Progress:
    """Shows an import's progress: a bar on a terminal, a line a minute in a pipe, JSON lines where they are asked for.

    `ended` counts the files of the whole import that have ended.
    """

    def __init__(self, talk: Talk) -> None:
        self.ended = 0
        self._talk = talk
        self._bar = talk.progress()
        self._task = self._bar.add_task("reading", total=None) if self._bar else None
        self._pause = _JSON_PAUSE_S if talk.speaks_json else _PIPE_PAUSE_S
        self._said = time.monotonic()
        self._errors = 0

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def watch(self, step: Step) -> None:
        """Hear a step; it comes from several threads, one at a time."""
        self.ended = step.files_done
        if step.result is not None:
            self._errors += isinstance(step.result, Refused)
            self._talk.document(_file_document(step.path, step.result))
            for label, line in _result_lines(step.path, step.result) if self._talk.is_verbose else ():
                self._talk.detail(f"  {label:<14} {line}".rstrip())
        if self._bar is not None and self._task is not None:
            width = max(12, shutil.get_terminal_size().columns - _BESIDE_THE_PATH)
            words = f"{step.files_done}/{step.files_total}  {tail(printable(step.path), width)}"
            self._bar.update(self._task, description=words, completed=step.octets_done, total=step.octets_total)
        elif time.monotonic() - self._said >= self._pause:
            self._said = time.monotonic()
            self._say(step)

    def _say(self, step: Step) -> None:
        share = step.octets_done / step.octets_total if step.octets_total else 1.0
        self._talk.aside(
            f"{step.files_done} of {counted(step.files_total, 'file')}, {octets(step.octets_done)} of "
            f"{octets(step.octets_total)} ({share:.0%})"
        )
        self._talk.document(
            {
                "message_type": "status",
                "percent_done": share,
                "files_done": step.files_done,
                "total_files": step.files_total,
                "bytes_done": step.octets_done,
                "total_bytes": step.octets_total,
                "error_count": self._errors,
                "current_files": [_json_path(step.path)],
            }
        )


def forecast(rooms: Rooms, talk: Talk, request: ImportRequest) -> int:
    """Say exactly what an import would do."""
    with Progress(talk) as progress:
        found = rooms.batch_import.forecast(request, progress.watch)
    mounted = "mounted read-only" if found.mounted_read_only else "only read from; its medium is mounted writable"
    talk.say(f"Would import from {printable(str(request.source))} ({mounted})")
    if found.going_on:
        talk.say(f"{found.ended:>6} done before    by {found.going_on}, which would go on")
    talk.say(f"{found.new:>6} new            {octets(found.new_octets)}")
    talk.say(f"{found.known:>6} already here   same SHA-256, would be linked")
    talk.say(f"{len(found.refused):>6} refused")
    for path, error in found.refused:
        talk.field("", f"{_named(path)}: {error.message}")
    _say_unclaimed(talk, found.unclaimed)
    if not found.list_was_here:
        _warn_of_list(talk, found.going_on or "it")
    if rooms.asked.explain:
        _explain(talk, found)
    if found.lacking:
        talk.say(f"There is not enough room: {octets(found.lacking)} more must be free.")
    without = given(rooms.asked.dry_run, rooms.asked.explain)
    talk.say(f"Nothing was written. To import: the same line without {without}")
    status = _done(found.refused, found.unclaimed, found.list_was_here)
    if found.lacking:
        status = EXIT_CODES[UnavailableError]
    talk.document(
        {
            "message_type": "summary",
            "dry_run": True,
            "going_on": found.going_on,
            "done_before": found.ended,
            "new": found.new,
            "new_bytes": found.new_octets,
            "known": found.known,
            "refused": [{"path": _json_path(path), "code": error.code} for path, error in found.refused],
            "claims_without_file": [_json_path(path) for path in found.unclaimed],
            "bytes_lacking": found.lacking,
            "list_was_here": found.list_was_here,
            "exit": status,
        }
    )
    return status


def _explain(talk: Talk, found: Forecast) -> None:
    talk.say("Entries it would write:")
    if found.going_on is None:
        talk.say("       1 import (begun), with the source and what is told of it")
    talk.say(f"  {found.new:>6} ingestion, one for each new file")
    talk.say(f"  {found.known:>6} duplicate receipt, in the log of the item that is here")
    talk.say(f"  {len(found.refused):>6} refusal, with the reason")
    talk.say("       1 import (ended), with the reconciliation")


def report(talk: Talk, closing: Reconciliation) -> int:
    """Say how an import closed; every file that was not taken in, and why."""
    lines = [_result_lines(path, result) for path, result in closing.results]
    shown = 0
    for (_, result), told in zip(closing.results, lines, strict=True):
        if isinstance(result, Refused) or len(told) > 1 or shown < _MOST_LINES or talk.is_verbose:
            shown += 1
            for label, line in told:
                talk.field(label, line)
    if shown < len(lines):
        talk.say(f"  … and {len(lines) - shown} more, all taken in; `testigo ls` lists them")
    _say_unclaimed(talk, closing.unclaimed)
    _say_of_list(talk, closing)
    talk.say(
        f"{closing.number}: {closing.seen} seen = {closing.stored} stored + {closing.linked} linked + "
        f"{closing.refused} refused"
    )
    if not closing.adds_up:
        talk.warn("These numbers do not add up. Keep the card as it is, and run `testigo verify`.")
    status = _done(closing.refused, closing.unclaimed, closing.list_was_here) if closing.adds_up else 1
    talk.document(
        {
            "message_type": "summary",
            "ok": status == 0,
            "import": closing.number,
            "seen": closing.seen,
            "stored": closing.stored,
            "linked": closing.linked,
            "refused": closing.refused,
            "claims_without_file": [_json_path(path) for path in closing.unclaimed],
            "list_was_here": closing.list_was_here,
            "exit": status,
        }
    )
    return status


def _result_lines(path: str, result: Result) -> list[tuple[str, str]]:
    match result:
        case Stored(item=item, problems=problems, handed_in_sha256=handed_in):
            cleaned = [("", f"cleaned at intake; what was handed in had SHA-256 {handed_in}")] if handed_in else []
            return [(item.number, printable(path)), *cleaned, *(("", f"not processed: {each}") for each in problems)]
        case Linked(item_number=number):
            return [(number, f"{printable(path)}   (same content; linked)")]
        case Refused(error=error):
            return [("refused", f"{_named(path)}: {error.message}")]


def _named(path: str) -> str:
    return printable(path) if path else "(its name is closed in the log)"


def _say_of_list(talk: Talk, closing: Reconciliation) -> None:
    """Say what cannot be said of the list that an import made when it began."""
    closed = sum(1 for path, _ in closing.results if not path)
    if closed:
        talk.say(
            f"{counted(closed, 'name is', 'names are')} closed: `testigo unlock`, then `testigo log --json` shows what "
            'was listed, in the entry "import begun".'
        )
    if not closing.list_was_here:
        _warn_of_list(talk, closing.number)


def _warn_of_list(talk: Talk, number: str) -> None:
    talk.warn(
        f"Whether anything that {number} listed when it began is gone since cannot be told: its list is not here, or "
        "is damaged. Compare the card with what came in."
    )


def _say_unclaimed(talk: Talk, paths: tuple[str, ...]) -> None:
    if paths:
        talk.say(f"{len(paths):>6} named in the manifest and not in the source:")
        for path in paths:
            talk.field("", path)


def _done(refused: object, unclaimed: object, list_was_here: bool) -> int:
    """Give the exit code; what cannot be told is never said to be done whole."""
    return DONE_IN_PART if refused or unclaimed or not list_was_here else 0


def _file_document(path: str, result: Result) -> dict[str, object]:
    told: dict[str, object] = {"message_type": "file", "path": _json_path(path)}
    match result:
        case Stored(item=item, sha256=sha256, entry=entry, problems=problems):
            named = {"outcome": "stored", "item": item.number, "sha256": sha256.hex(), "entry": entry.seq}
            return {**told, **named, "handed_in_sha256": result.handed_in_sha256 or None, "notes": list(problems)}
        case Linked(item_number=number, sha256=sha256, entry=entry):
            return {**told, "outcome": "linked", "item": number, "sha256": sha256.hex(), "entry": entry.seq}
        case Refused(error=error):
            return {**told, "outcome": "refused", "code": error.code, "error": error.message}


def _json_path(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
