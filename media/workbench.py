"""The workbench: what a file is, what it says about itself, and what it is made of, told in confinement.

Room object of `media`. Every skip and every failure is a value with its reason in the examination; nothing here raises
because of what a file contains. It keeps nothing, and no plaintext of it touches a disk.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import BoundedSemaphore
from types import TracebackType
from typing import Self

from archive.errors import InputError
from archive.types import EvidenceKind, Finding
from media.boxes import is_trimmed
from media.claims import Claims, read_claims
from media.classify import classify_all
from media.cleaners.port import CleanerFactory, Copy, InspectorFactory
from media.cleaning import Cleaning, Plan, Verdict
from media.confinement import ConfinementLevel, find_tool, open_confinement
from media.conversation import Allowance
from media.credentials import CredentialClaim, CredentialReader, may_hold_credentials
from media.holdings import Holdings, read_holdings
from media.identify import HEAD_OCTETS, Format, identify
from media.jpeg_head import read_jpeg_head
from media.likeness import Likeness
from media.likeness_maker import LikenessMaker
from media.metadata_classes import MetadataClass
from media.metadata_reader import ASKED_AT_ONCE, Extraction, MetadataReader, MetadataReaders
from media.options import MIB, MediaSettings
from media.preview_parts import Preview
from media.previews import Previews
from media.problems import NOT_READ, Problem
from media.proof_checking import ProofChecker
from media.proofmode import ProofParts
from media.ranges import RangeSource, SeekableFile, as_ranges
from media.received_as import NOT_GRADED, Credential, ReceivedAs, received_as
from media.second_reader import SecondReader
from media.tags import Tag, parse_tags
from media.video import StreamProbe, Streams

RECORDED_CLAIMS = 100
"""How many times, places, devices and the like each go into a record; the rest is in the sealed report."""

_PLAYED = (EvidenceKind.VIDEO, EvidenceKind.AUDIO)
_WITH_EDIT_LISTS = ("video/mp4", "video/quicktime", "video/3gpp")
_METADATA_SHARE = 2 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All that was found out about one file. `not_processed` names what was not, and why."""

    format: Format
    extraction: Extraction
    streams: Streams | None
    claims: Claims
    not_processed: tuple[Problem, ...]
    holdings: Holdings = Holdings()
    received_as: ReceivedAs = NOT_GRADED
    credentials: CredentialClaim | None = None

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
            ("persons", self.holdings.persons),
            ("copies", self.holdings.copies),
        ):
            values[name] = [asdict(claim) for claim in claims[:RECORDED_CLAIMS]]
            values[f"{name}_found"] = len(claims)
        return values


class Workbench:
    """Examines and cleans files, several at once; a context manager. Give each thread its own source.

    Raises: ConfigError `media/cannot-confine`, `media/tool-missing`, `media/no-such-user`.
    """

    def __init__(
        self,
        settings: MediaSettings,
        *,
        cleaners: Sequence[CleanerFactory] = (),
        inspectors: Sequence[InspectorFactory] = (),
    ) -> None:
        exiftool, ffprobe = find_tool(settings.exiftool_path), find_tool(settings.ffprobe_path)
        self.at_once = settings.workers * ASKED_AT_ONCE
        """How many files it takes at once before one has to wait."""
        self._settings = settings
        self._closing = ExitStack()
        self._confinement = self._closing.enter_context(
            open_confinement(settings, tools=(Path(exiftool), Path(ffprobe)))
        )
        self._probe = StreamProbe(ffprobe, self._confinement, settings)
        self._probing = BoundedSemaphore(settings.workers)
        self._likeness = LikenessMaker(self._confinement, settings)
        self._proofs = ProofChecker(self._confinement, settings)
        self._credentials = CredentialReader(self._confinement, settings)
        self._closing.callback(self._credentials.close)
        readers = [MetadataReader(exiftool, self._confinement, settings) for _ in range(settings.workers)]
        self._readers = MetadataReaders([self._closing.enter_context(reader) for reader in readers])
        self._previews = Previews(self._confinement, settings)
        self._cleaning = Cleaning(
            [make(self._confinement, settings) for make in cleaners],
            SecondReader([make(self._confinement, settings) for make in inspectors], self._probe),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check_proof(self, proof: ProofParts, source: RangeSource | SeekableFile) -> CredentialClaim | None:
        """Check a proof that came beside a file; None where it is none. Raises: what `source` raises."""
        return self._proofs.check(proof, as_ranges(source))

    def likeness(self, source: RangeSource | SeekableFile, kind: EvidenceKind, mime_type: str, grade: str) -> Likeness:
        """Look at what a photo or a film shows, to find others that show the same. Raises: what `source` raises."""
        return self._likeness.make(source, kind, mime_type, grade)

    def small_copy_differs(self, source: RangeSource | SeekableFile, picture: Likeness) -> bool | None:
        """Say whether a photo's small copy shows another picture; None if that cannot be told. Raises as `likeness`."""
        return self._likeness.small_copy_differs(source, picture)

    def close(self) -> None:
        """End every tool."""
        self._closing.close()

    @property
    def level(self) -> ConfinementLevel:
        """What holds the tools."""
        return self._confinement.level

    def make_ready(self) -> None:
        """Start a tool for a file that is on its way, while it comes; `examine` starts what is not running."""
        with self._readers.place() as reader:
            reader.make_ready(Allowance(self._settings.wall_seconds))

    def examine(
        self, source: RangeSource | SeekableFile, head: bytes | None = None, *, untrusted_name: str = ""
    ) -> Examination:
        """Find out about one file; waits while all tools are busy. `head` is its first 64 KiB, if they are at hand.

        The name that it came under is looked at for how the file was received, and for nothing else.
        Raises: what `source` raises when it is read, and nothing of the file's making.
        """
        ranges = as_ranges(source)
        if head is None:
            head = ranges.read_range(0, min(HEAD_OCTETS, ranges.size))
        allowance = Allowance(self._settings.wall_seconds)
        with self._readers.place() as reader, allowance.share(_METADATA_SHARE) as most:
            extraction = reader.extract(ranges, most)
        # The tool is busy with the next file while its answer is read.
        tags, problem = _read_tags(extraction)
        found = identify(head, ranges, tags)
        deadline = time.monotonic() + allowance.left
        streams, credentials = None, None
        if found.kind in _PLAYED:
            with self._probing:
                streams = self._probe.probe(ranges, deadline=deadline)
        if may_hold_credentials(head, tags):
            with self._probing:
                credentials = self._credentials.read(ranges, found.mime_type, deadline=deadline)
        elif found.mime_type == "application/zip":
            credentials = self._proofs.check_bundle(ranges)
        told = streams if isinstance(streams, Streams) else None
        graded = received_as(
            found,
            told,
            tags,
            head=_graded_by(head, ranges),
            size=ranges.size,
            untrusted_name=untrusted_name,
            trimmed=found.mime_type in _WITH_EDIT_LISTS and is_trimmed(ranges),
            credential=_as_evidence(credentials),
        )
        problems = (extraction.problem, problem, streams if isinstance(streams, Problem) else None)
        return Examination(
            format=found,
            extraction=extraction,
            streams=told,
            claims=read_claims(tags),
            holdings=read_holdings(tags, head),
            received_as=graded,
            credentials=credentials,
            not_processed=tuple(each for each in problems if each is not None),
        )

    def clean(self, source: RangeSource | SeekableFile, examination: Examination, plan: Plan, copy: Copy) -> Verdict:
        """Make a copy without what must not leave, and have it read by others; waits while all tools are busy.

        Raises: InputError `media/cannot-clean`, `media/not-clean`; UnavailableError as `media.conversation`; what the
        source and the copy raise. Then the copy is to be thrown away.
        """
        tags, problem = _read_tags(examination.extraction)
        unread = examination.extraction.problem or problem
        # Where everything may stay that a file of this kind can hold, it need not be understood.
        if unread is not None and not set(MetadataClass) - {MetadataClass.TRANSPORT} <= plan.keep:
            self._cleaning.refuse_unread(examination.format, unread)
        with self._readers.place() as reader:
            seconds = self._settings.wall_seconds + source.size / self._settings.cleaning_octets_a_second
            return self._cleaning.clean(
                as_ranges(source), examination.format, classify_all(tags), plan, copy, reader=reader, seconds=seconds
            )

    def previews(self, source: RangeSource | SeekableFile, examination: Examination) -> Iterator[Preview]:
        """Make the previews of an examined file, one after the other. Raises: what the source raises."""
        return self._previews.make(as_ranges(source), examination.format, examination.streams)


def _graded_by(head: bytes, source: RangeSource) -> bytes:
    """Give more of a JPEG whose tables lie behind all that its makers put in front of them."""
    jpeg = read_jpeg_head(head)
    return head if jpeg is None or jpeg.whole else source.read_range(0, min(MIB, source.size))


def _as_evidence(credentials: CredentialClaim | None) -> Credential | None:
    if credentials is None:
        return None
    intact = {Finding.MATCHES: True, Finding.DOES_NOT_MATCH: False}.get(credentials.finding)
    return Credential(
        intact=intact, by_camera=credentials.by_camera, generated=credentials.generated, edits=credentials.edits
    )


def _read_tags(extraction: Extraction) -> tuple[tuple[Tag, ...], Problem | None]:
    """Read the tool's answer, and its own word that it could not read the file."""
    try:
        tags = parse_tags(extraction.raw)
    except InputError as error:
        return (), Problem.of(error)
    if any(tag.name == "Error" and tag.family == "ExifTool" for tag in tags):
        reason = "ExifTool could not read this kind of file, or found it damaged. The original is kept as it is."
        return tags, Problem(code=NOT_READ, reason=reason)
    return tags, None
