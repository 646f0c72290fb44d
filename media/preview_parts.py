"""What previews are made of. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field

from media.cleaners.port import Sink
from media.problems import Problem

Facts = dict[str, object]
"""What a viewer needs to know beside a preview: text, whole numbers and lists only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A small preview, in memory."""

    purpose: str
    mime_type: str
    tool: str
    content: bytes = field(repr=False)
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """A large preview: `write` makes it into a sink and gives its facts and the small ones that came with it.

    Raises of `write`: InputError where it cannot be made of this file; UnavailableError as `media.conversation`.
    """

    purpose: str
    mime_type: str
    tool: str
    write: Callable[[Sink], tuple[Facts, tuple[Part, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMade:
    """A preview that there is not, and why."""

    purpose: str
    problem: Problem


Preview = Part | Streamed | NotMade
