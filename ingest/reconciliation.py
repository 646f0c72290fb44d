"""What an import is asked for, what it would do, and how it closed. No I/O."""

from dataclasses import dataclass
from pathlib import Path

from archive.catalogue.records import Incident
from archive.errors import TestigoError
from archive.types import Actor
from ingest.manifest import Claims
from ingest.reception import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What a technician asks for. Texts are claims, closed in the log; the custodian's name is sealed to counsel.

    `resume` is the number of the import to go on with, where one is named; `listed` are the paths that it listed when
    it began, in that order, where the log was opened for them. `never` are folders that are refused wherever they are
    mounted in the source.
    """

    source: Path
    incident: Incident
    actor: Actor
    claims: Claims
    resume: str | None = None
    listed: tuple[str, ...] = ()
    never: tuple[Path, ...] = ()
    custodian: str | None = None
    device: str | None = None
    write_blocker: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What an import would do: files that are new, already here, or would be refused (path and reason).

    `going_on` is the number of the unfinished import that it would go on with, and `ended` how many files that one has
    already. `unclaimed` are paths that the manifest names and the source lacks. `lacking` is how many octets the disk
    is short of. `list_was_here` is false where it cannot be told whether something is gone since that import began.
    """

    going_on: str | None
    ended: int
    new: int
    new_octets: int
    known: int
    refused: tuple[tuple[str, TestigoError], ...]
    unclaimed: tuple[str, ...]
    mounted_read_only: bool
    lacking: int
    list_was_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """How an import closed. `results` are this run's; the counts are the whole import's.

    `unclaimed` are paths that the manifest names and the source lacks. `list_was_here` is false where it cannot be told
    whether something is gone that the import listed when it began. A path is empty where its name is closed in the log.
    """

    number: str
    seen: int
    stored: int
    linked: int
    refused: int
    results: tuple[tuple[str, Result], ...]
    unclaimed: tuple[str, ...] = ()
    list_was_here: bool = True

    @property
    def adds_up(self) -> bool:
        return self.seen == self.stored + self.linked + self.refused
