"""How far an import has come: what was read and what was ended, heard while it happens."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from ingest.reception import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where an import stands. `result` is what became of the file at `path`; None while the file is being read.

    `path` is untrusted text. Octets count what was read, of what the source holds.
    """

    path: str
    result: Result | None
    files_done: int
    files_total: int
    octets_done: int
    octets_total: int


Watch = Callable[[Step], None]
"""Hears each step, from several threads, one at a time."""


class Tally:
    """Counts what several readers do and tells it to one listener."""

    def __init__(self, watch: Watch, *, files: tuple[int, int], octets: tuple[int, int]) -> None:
        """`files` and `octets` are what is done already and how much there is in all."""
        self._watch = watch
        self._files_done, self._files_total = files
        self._octets_done, self._octets_total = octets
        self._lock = Lock()

    def read(self, path: str, octets: int) -> None:
        """Count octets that were read of a file."""
        with self._lock:
            self._octets_done += octets
            self._tell(path, None)

    def end(self, path: str, result: Result | None) -> None:
        """Count a file that has ended."""
        with self._lock:
            self._files_done += 1
            self._tell(path, result)

    def _tell(self, path: str, result: Result | None) -> None:
        self._watch(
            Step(
                path=path,
                result=result,
                files_done=self._files_done,
                files_total=self._files_total,
                octets_done=self._octets_done,
                octets_total=self._octets_total,
            )
        )
