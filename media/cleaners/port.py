"""What every cleaner does, what every inspector does, and what a cleaning comes to.

A cleaner writes a new file; it never touches the original and never judges its own work. Whether the copy is clean is
told by others that read it (`media/second_reader.py`): ExifTool, whose fields must all be allowed, and an inspector,
which walks the copy piece by piece and names every piece that is not on its own list. A copy that fails there, or that
no inspector knows, is thrown away and the file is refused with the reason.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from media.classify import ClassedTag
from media.confinement import Confinement
from media.identify import Format
from media.metadata_classes import MetadataClass
from media.options import MediaSettings
from media.ranges import RangeSource

PATCHABLE_OCTETS = 65_536
UNTOLD = frozenset({"audio/aac", "audio/x-caf", "audio/amr", "audio/amr-wb"})
"""Types of which ExifTool can read nothing, and need not: their coded sound alone goes over into another wrapping."""


class Sink(Protocol):
    """Where a copy goes: forward, and back again only within its first `PATCHABLE_OCTETS`; it never rests in clear."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRequest:
    """What is to be cleaned and what may stay.

    `keep` holds the classes that the policy keeps; `RENDERING` and `STRUCTURE` are always among them, `UNCLASSED` never
    is for a copy that leaves. A cleaner may take out more than it must, never less: one that cannot put single fields
    back simply takes out all. `fields` are all that the original tells. `traces` are values of those that are to go; a
    copy that holds one of them fails, so a cleaner may look where they lie. `deadline` counts as `time.monotonic` does.
    `for_court` says that nothing that may be seen or heard is left out, or no copy is made.
    """

    source: RangeSource
    format: Format
    keep: frozenset[MetadataClass]
    deadline: float
    traces: tuple[str, ...] = ()
    fields: tuple[ClassedTag, ...] = ()
    for_court: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """How a copy was made. `mime_type` is the copy's own, which a rebuilt file may not share with its original.

    `words_may_stay` is said of texts and documents, in whose visible words a name may rightly stand: then the copy is
    not searched for the values of the fields that went. `samples` are the least that a copy's tracks must have, by
    their handler and in their order (none where a track was encoded anew), and `sounds` is how many it must have,
    so that nothing that is seen or heard is missing. `gone` names each track that was left out.
    """

    tool: str
    version: str
    mime_type: str
    words_may_stay: bool = False
    samples: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    sounds: int | None = None
    gone: tuple[str, ...] = ()


class Copy(Protocol):
    """Where a copy is written and then, before anybody gets it, read again. It rests nowhere in clear meanwhile, unless
    a person said where it should."""

    @property
    def sink(self) -> Sink: ...

    def reading(self) -> AbstractContextManager[RangeSource]:
        """End the writing, and give the copy to its readers."""


class Cleaner(Protocol):
    """Cleans one family of formats.

    Raises of `clean`: InputError `media/cannot-clean` with the reason in words that a person understands, where this
    file cannot be cleaned; UnavailableError as `media.conversation`; what the source raises.
    """

    def takes(self, format: Format) -> bool: ...  # noqa: A002  # the field's own word

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned: ...


class Inspector(Protocol):
    """Walks a finished copy of one family of formats with other code than made it.

    `inspect` gives a plain phrase for each piece that should not be there ("bytes after the end of the picture", "an
    unknown box 'abcd'"); none says that the walk met nothing but what is on its list. It raises only what the source
    raises, and UnavailableError for trouble with a tool.
    """

    def takes(self, format: Format) -> bool: ...  # noqa: A002  # the field's own word

    def inspect(
        self,
        copy: RangeSource,
        format: Format,
        keep: frozenset[MetadataClass],
        deadline: float,  # noqa: A002  # as above
    ) -> Iterable[str]: ...


CleanerFactory = Callable[[Confinement, MediaSettings], Cleaner]
InspectorFactory = Callable[[Confinement, MediaSettings], Inspector]
