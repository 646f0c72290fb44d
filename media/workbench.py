"""The workbench: what a file is, what it says about itself, and what it is made of, told in confinement.

Room object of `media`. Every skip and every failure is a value with its reason in the examination; nothing here raises
because of what a file contains. It keeps nothing, and no plaintext of it touches a disk.
"""

import json
import queue
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import BoundedSemaphore
from types import TracebackType
from typing import Self

from archive.errors import InputError
from archive.types import EvidenceKind
from media.claims import Claims, read_claims
from media.confinement import ConfinementLevel, find_tool, open_confinement
from media.exiftool import Extraction, MetadataReader
from media.identify import HEAD_OCTETS, Format, identify
from media.options import MediaSettings
from media.problems import Problem
from media.ranges import RangeSource, SeekableFile, as_ranges
from media.tags import Tag, parse_tags
from media.video import StreamProbe, Streams

RECORDED_CLAIMS = 100
"""How many times, places and devices each go into a record; the rest is in the sealed report."""

_PLAYED = (EvidenceKind.VIDEO, EvidenceKind.AUDIO)
_METADATA_SHARE = 2 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All that was found out about one file. `not_processed` names what was not, and why."""

    format: Format
    extraction: Extraction
    streams: Streams | None
    claims: Claims
    not_processed: tuple[Problem, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """The reasons, as they are shown."""
        return tuple(str(problem) for problem in self.not_processed)

    def report(self) -> bytes:
        """Give everything that the tools said, as JSON to be sealed; empty where they said nothing."""
        if not self.extraction.raw and self.streams is None:
            return b""
        metadata = self.extraction.raw.decode("utf-8", "replace")
        streams = self.streams and {
            "tool": self.streams.tool,
            "version": self.streams.version,
            "told": json.loads(self.streams.raw),
        }
        told = {
            "metadata": {"tool": self.extraction.tool, "version": self.extraction.version, "json": metadata},
            "streams": streams,
            "not_processed": [asdict(problem) for problem in self.not_processed],
        }
        return json.dumps(told, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace")

    def format_values(self) -> dict[str, object]:
        """What a record says of the format: text, whole numbers and lists only."""
        values: dict[str, object] = {
            "mime_type": self.format.mime_type,
            "name": self.format.name,
            "kind": self.format.kind.value,
            "pronom": self.format.pronom,
            "polyglot_signs": list(self.format.polyglot_signs),
        }
        if self.streams is not None:
            values["duration"] = self.streams.duration
            values["container"] = self.streams.container
            values["streams"] = [asdict(stream) for stream in self.streams.streams[:RECORDED_CLAIMS]]
        return values

    def extraction_values(self) -> dict[str, object]:
        """What a record says of the extraction."""
        return {
            "tool": self.extraction.tool,
            "version": self.extraction.version,
            "octets": len(self.extraction.raw),
            "not_processed": [asdict(problem) for problem in self.not_processed],
        }

    def claim_values(self) -> dict[str, object]:
        """What a record says of the claims: the first of each kind, and how many there are."""
        values: dict[str, object] = {}
        for name, claims in (
            ("times", self.claims.times),
            ("places", self.claims.places),
            ("devices", self.claims.devices),
        ):
            values[name] = [asdict(claim) for claim in claims[:RECORDED_CLAIMS]]
            values[f"{name}_found"] = len(claims)
        return values


class Workbench:
    """Examines files, several at once; a context manager. Give each thread its own source.

    Raises: ConfigError `media/cannot-confine`, `media/tool-missing`, `media/no-such-user`.
    """

    def __init__(self, settings: MediaSettings) -> None:
        exiftool, ffprobe = find_tool(settings.exiftool_path), find_tool(settings.ffprobe_path)
        self.workers = settings.workers
        self._settings = settings
        self._closing = ExitStack()
        self._confinement = self._closing.enter_context(
            open_confinement(settings, tools=(Path(exiftool), Path(ffprobe)))
        )
        self._probe = StreamProbe(ffprobe, self._confinement, settings)
        self._probing = BoundedSemaphore(self.workers)
        self._readers: queue.LifoQueue[MetadataReader] = queue.LifoQueue()
        for _ in range(self.workers):
            reader = MetadataReader(exiftool, self._confinement, settings)
            self._readers.put(self._closing.enter_context(reader))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every tool."""
        self._closing.close()

    @property
    def level(self) -> ConfinementLevel:
        """What holds the tools."""
        return self._confinement.level

    def examine(self, source: RangeSource | SeekableFile, head: bytes | None = None) -> Examination:
        """Find out about one file; waits while all workers are busy. `head` is its first 64 KiB, if they are at hand.

        Raises: what `source` raises when it is read, and nothing of the file's making.
        """
        ranges = as_ranges(source)
        if head is None:
            head = ranges.read_range(0, min(HEAD_OCTETS, ranges.size))
        with self._reader() as reader:
            started = time.monotonic()
            extraction = reader.extract(ranges, deadline=started + self._settings.wall_seconds * _METADATA_SHARE)
            left = self._settings.wall_seconds - (time.monotonic() - started)
        # The tool is free for the next file while its answer is read.
        tags, problem = _read_tags(extraction)
        found = identify(head, ranges, tags)
        streams = None
        if found.kind in _PLAYED:
            with self._probing:
                streams = self._probe.probe(ranges, deadline=time.monotonic() + left)
        claims = read_claims(tags)
        problems = (extraction.problem, problem, streams if isinstance(streams, Problem) else None)
        return Examination(
            format=found,
            extraction=extraction,
            streams=streams if isinstance(streams, Streams) else None,
            claims=claims,
            not_processed=tuple(each for each in problems if each is not None),
        )

    @contextmanager
    def _reader(self) -> Iterator[MetadataReader]:
        reader = self._readers.get()
        try:
            yield reader
        finally:
            self._readers.put(reader)


def _read_tags(extraction: Extraction) -> tuple[tuple[Tag, ...], Problem | None]:
    """Read the tool's answer, and its own word that it could not read the file."""
    try:
        tags = parse_tags(extraction.raw)
    except InputError as error:
        return (), Problem.of(error)
    if any(tag.name == "Error" and tag.family == "ExifTool" for tag in tags):
        reason = "ExifTool could not read this kind of file, or found it damaged. The original is kept as it is."
        return tags, Problem(code="media/not-read", reason=reason)
    return tags, None
