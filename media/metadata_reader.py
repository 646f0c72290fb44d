"""Readers of metadata: each has an ExifTool of its own, which is asked ahead and started anew after every trouble.

While the tool reads one file, the questions about the next five are with it already, so it never waits for us. Only the
file that it was reading is to blame for its death, its silence or its flood; those that it was asked about ahead are
asked anew, of a fresh one.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Condition, RLock
from types import TracebackType
from typing import Self

from archive.errors import UnavailableError
from media.confinement import Confinement
from media.conversation import Allowance
from media.exiftool import EMBEDDED_OPTION, ConfinedExifTool, Question
from media.options import MediaSettings
from media.problems import Problem
from media.ranges import RangeSource

TOOL = "ExifTool"
ASKED_AT_ONCE = 6
"""One file that is read and five that were asked about ahead; each may have its beginning and its end in memory.

Some, because a thread here may wait for others for as long as several photos take.
"""

_PERHAPS_ANOTHERS = ("media/tool-died", "media/tool-misbehaved")
"""What an earlier file may have made of the tool, though that answered it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What the tool said of one file: its JSON as it gave it, or why there is none, or why it is not whole."""

    tool: str
    version: str
    raw: bytes
    problem: Problem | None


class MetadataReader:
    """One ExifTool, for several threads; started when first needed, started anew after every trouble."""

    def __init__(self, executable: str, confinement: Confinement, settings: MediaSettings) -> None:
        self._executable = executable
        self._confinement = confinement
        self._settings = settings
        self._asking = RLock()
        self._tool: ConfinedExifTool | None = None
        self._version = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if there is one; nobody waits for an answer any more."""
        with self._asking:
            if self._tool is not None:
                self._tool.end()
                self._tool = None

    def make_ready(self, allowance: Allowance) -> None:
        """Start the process before it is needed. Trouble is told by the file that needs it."""
        with suppress(UnavailableError), self._asking:
            self._running_tool(allowance)

    def extract(self, source: RangeSource, allowance: Allowance, *, embedded: str = EMBEDDED_OPTION) -> Extraction:
        """Read everything; where that fails within two thirds of the time, read all but what is embedded.

        Raises: what `source` raises. Trouble with the tool is a `Problem` in the value.
        """
        try:
            with allowance.share(2 / 3) as most:
                return self._extraction(self._read(source, embedded, allowance=most), None)
        except UnavailableError as error:
            trouble = error
        try:
            raw = self._read(source, allowance=allowance)
        except UnavailableError as error:
            return self._extraction(b"", Problem.of(error))
        return self._extraction(
            raw,
            Problem(
                code="media/embedded-not-read",
                reason=f"Tracks and documents inside the file were not read. {trouble.message}",
            ),
        )

    def _extraction(self, raw: bytes, problem: Problem | None) -> Extraction:
        return Extraction(tool=TOOL, version=self._version, raw=_without_our_name(raw), problem=problem)

    def _read(self, source: RangeSource, *options: str, allowance: Allowance) -> bytes:
        """Ask the running process; blame a file for its death or its misbehaving only if a fresh one does the same."""
        while True:
            with self._asking:
                tool = self._running_tool(allowance)
                question = tool.ask(source, *options)
            try:
                answer = self._answer(tool, question, allowance)
            except UnavailableError as error:
                if question.first or error.code not in _PERHAPS_ANOTHERS:
                    raise
                return self._read_alone(source, *options, allowance=allowance)
            if answer is not None:
                return answer
            # An earlier file ended the tool before this one had its turn.

    def _read_alone(self, source: RangeSource, *options: str, allowance: Allowance) -> bytes:
        """Ask a fresh process, and let nobody ask it about anything else meanwhile."""
        with self._asking:
            self._end_tool()
            tool = self._running_tool(allowance)
            answer = self._answer(tool, tool.ask(source, *options), allowance)
        if answer is None:
            raise ValueError("the first question to a tool has its turn at once")
        return answer

    def _answer(self, tool: ConfinedExifTool, question: Question, allowance: Allowance) -> bytes | None:
        try:
            return tool.answer(question, allowance)
        except BaseException:  # What it would answer next belongs to no file.
            with self._asking:
                if self._tool is tool:
                    self._end_tool()
            raise

    def _end_tool(self) -> None:
        """End the process, once those that were asked about before had their turn."""
        if self._tool is not None:
            self._tool.wait_for_answers()
            self._tool.end()
            self._tool = None

    def _running_tool(self, allowance: Allowance) -> ConfinedExifTool:
        """Give the process, started within the file's own time where none runs."""
        if self._tool is not None and (self._tool.failed or self._tool.worn):
            self._end_tool()
        if self._tool is None:
            with allowance.running() as deadline:
                tool = ConfinedExifTool(self._executable, self._confinement, self._settings, deadline=deadline)
                try:
                    tool.run()
                except BaseException:
                    tool.end()
                    raise
            self._tool, self._version = tool, str(tool.version)
        return self._tool


class MetadataReaders:
    """Several readers; whoever has a file gets the one that is asked about the fewest."""

    def __init__(self, readers: Sequence[MetadataReader]) -> None:
        self._asked = dict.fromkeys(readers, 0)
        self._free = Condition()

    @contextmanager
    def place(self) -> Iterator[MetadataReader]:
        """Give a reader; wait while each is asked about as many files as it may be at once."""
        with self._free:
            while self._asked[reader := min(self._asked, key=self._asked.__getitem__)] >= ASKED_AT_ONCE:
                self._free.wait()
            self._asked[reader] += 1
        try:
            yield reader
        finally:
            with self._free:
                self._asked[reader] -= 1
                self._free.notify()


_OUR_NAME = re.compile(rb'\A\[\{\n  "SourceFile": "range:\d+"(,\n)?')


def _without_our_name(raw: bytes) -> bytes:
    """Drop the name that we gave, which is the first member that ExifTool prints and says nothing of the file."""
    return _OUR_NAME.sub(b"[{\n", raw, count=1)
