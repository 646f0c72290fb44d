"""What every cleaner does, and what a cleaning comes to. No I/O.

A cleaner writes a new file; it never touches the original and never judges its own work. Whether the copy is clean is
told by another program that reads it (`media/second_reader.py`); a copy that fails there is thrown away and the file is
refused with the reason.
"""

from dataclasses import dataclass
from typing import Protocol

from media.identify import Format
from media.metadata_classes import MetadataClass
from media.ranges import RangeSource

PATCHABLE_OCTETS = 65_536


class Sink(Protocol):
    """Where a copy goes: forward, and back again only within its first `PATCHABLE_OCTETS`; it never rests in clear."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRequest:
    """What is to be cleaned and what may stay.

    `keep` holds the classes that the policy keeps; `RENDERING` and `STRUCTURE` are always among them, `UNCLASSED` never
    is for a copy that leaves. `deadline` counts as `time.monotonic` does.
    """

    source: RangeSource
    format: Format
    keep: frozenset[MetadataClass]
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """How a copy was made. `mime_type` is the copy's own, which a rebuilt file may not share with its original."""

    tool: str
    version: str
    mime_type: str


class Cleaner(Protocol):
    """Cleans one family of formats.

    Raises of `clean`: InputError `media/cannot-clean` with the reason in words that a person understands, where this
    file cannot be cleaned; UnavailableError as `media.conversation`; what the source raises.
    """

    def takes(self, format: Format) -> bool: ...  # noqa: A002  # the field's own word

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned: ...
