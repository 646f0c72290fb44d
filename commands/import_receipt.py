"""The receipt of an import: for what one run took in, also where that run was broken off.

It can be made only while the entries' salts are in memory, so whatever happens to the place that was asked for, or in
the terminal, it is written somewhere and the place is said.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from archive.durable import write_durably
from archive.errors import TestigoError, UnavailableError
from archive.jobs import Job, JobState
from cli import Rooms
from commands.door import printable
from commands.talk import Talk, counted
from custody.ledger import EntryRef
from custody.receipt_office import issue_receipt
from custody.stamping import COVERED
from ingest.reception import Linked, Result, Stored

_MOST_ITEMS = 10_000
"""What one receipt is for: some 30 MB, well below what checkers read (`MAX_RECEIPT_OCTETS`)."""

Received = tuple[str, EntryRef, bytes, int]
"""One item of a receipt: its number, its entry, its SHA-256 and its size."""


def write_receipt(
    rooms: Rooms, talk: Talk, number: str, results: Sequence[Result], path: Path, *, ask: bool = True
) -> None:
    """Write a receipt for these results; the authorities are asked first, so that it bears their word on the time.

    Of very many files there are several, each for some of them: no checker reads one of any length.
    Promises: an interrupt while they are asked, or while it is written, leaves it written.
    Raises: UnavailableError `cli/receipt-not-written`.
    """
    items: list[Received] = [(r.item.number, r.entry, r.sha256, r.item.size) for r in results if isinstance(r, Stored)]
    items += [(r.item_number, r.entry, r.sha256, r.size) for r in results if isinstance(r, Linked)]
    if not items:
        talk.aside("No receipt: this run took nothing in.")
        return
    if ask:
        try:
            rooms.workers.stamping.work(partial(_tell, talk))
        except KeyboardInterrupt:
            talk.insist("Stopped asking the time-stamp authorities; the receipt is written without waiting for them.")

    parts = [items[start : start + _MOST_ITEMS] for start in range(0, len(items), _MOST_ITEMS)]
    interrupt: KeyboardInterrupt | None = None
    for part, some in enumerate(parts, start=1):
        put = partial(_put_part, rooms, talk, number, some, path, part, len(parts))
        try:
            put()
        except KeyboardInterrupt as error:
            interrupt = error
            put()
    if interrupt is not None:
        raise interrupt


def _put_part(
    rooms: Rooms, talk: Talk, number: str, items: Sequence[Received], path: Path, part: int, parts: int
) -> None:
    """Write one receipt of an import that has one or several; each says which of how many it is."""
    named = number if parts == 1 else f"{number}, {part} of {parts}"
    place = path if part == 1 else path.with_name(f"{path.stem}-{part}{path.suffix}")
    content = issue_receipt(rooms.publisher, named, rooms.clock(), items)
    _put(rooms, talk, content, number, place)


def _tell(talk: Talk, job: Job, _state: JobState, words: str) -> None:
    if words != COVERED:
        size, _, authority = job.subject.partition("/")
        talk.aside(f"Time-stamp by {authority}, on the log's first {counted(int(size), 'entry', 'entries')}: {words}")


def _put(rooms: Rooms, talk: Talk, content: bytes, number: str, path: Path) -> None:
    """Write it where it was asked for; where that can no longer be, beside it, or in the folder we were started in."""
    named = f"{path.stem}-{number}{path.suffix}"
    for place in (path, path.with_name(named), Path.cwd() / named):
        # What came there since the import began may be another receipt.
        if place.exists() or place.is_symlink() or rooms.places.hold(place):
            continue
        with suppress(TestigoError):
            write_durably(place, content)
            if place == path:
                talk.aside(f"Receipt: {path}")
            else:
                talk.warn(f"The receipt could not be put at {printable(str(path))}; it is at {printable(str(place))}")
            return
    raise UnavailableError(
        "cli/receipt-not-written",
        "All that is named is in and stays so, but its receipt could be written neither where it was asked for nor in "
        "this folder, and cannot be made again.",
    )
