"""The wrapping for the next small value, made while whoever will seal it waits for the disk.

A hybrid wrap is a quarter of what the processor does for one entry of the log, and needs nothing of the entry. Knows
recipients; knows no value and keeps nothing on the disk.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from archive.age.recipients import parse_recipient
from archive.age.stream import ValueSealer


class SealersAhead:
    """Keeps one sealer ready. For one caller at a time; the ledger's writers take turns."""

    _ready: tuple[tuple[str, ...], Future[ValueSealer]] | None

    def __init__(self) -> None:
        self._begin()

    def take(self, recipients: Sequence[str]) -> ValueSealer:
        """Give a sealer for these recipients that nobody else gets: the one made ahead for the same, or a new one."""
        self._forget_what_a_parent_has()
        if self._ready is not None:
            wanted, made = self._ready
            if wanted == tuple(recipients) and made.done():
                self._ready = None
                return made.result()
        return _sealer(recipients)

    def prepare(self, recipients: Sequence[str]) -> None:
        """Begin the next one, unless one is ready for the same or still being made."""
        self._forget_what_a_parent_has()
        if self._ready is None or (self._ready[0] != tuple(recipients) and self._ready[1].done()):
            # No thread can be started where processes have run out, or the program ends; `take` makes one then.
            with suppress(RuntimeError):
                self._ready = tuple(recipients), self._thread.submit(_sealer, recipients)

    def _begin(self) -> None:
        self._process = os.getpid()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="seal-ahead")
        self._ready = None

    def _forget_what_a_parent_has(self) -> None:
        """After a fork both would seal with the same one: two texts under one key, which open each other."""
        if self._process != os.getpid():
            self._begin()


def _sealer(recipients: Sequence[str]) -> ValueSealer:
    return ValueSealer([parse_recipient(text) for text in recipients])
