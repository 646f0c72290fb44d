"""Whether an item that a sender brought may go to somebody: by what its senders said, and by nothing else. No I/O.

Vocabulary: legal-standards 8.2. A packet holds originals, in which faces and voices are as they were; so what may go to
the press with identities hidden may not go there in a packet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from archive.catalogue.senders import WITHDRAWN_LEVEL, Said
from archive.types import Audience


class Why(StrEnum):
    """Why an item is withheld."""

    STOPPED = "stopped"
    OTHER_USE = "other use"
    ONLY_HIDDEN = "only with identities hidden"
    NOT_HANDED_OVER = "not handed over"


ONE = {
    Why.STOPPED: "its sender said stop",
    Why.OTHER_USE: "its sender allowed another use, not this one",
    Why.ONLY_HIDDEN: "its sender allowed this only with faces and voices hidden, and a packet holds originals",
    Why.NOT_HANDED_OVER: "its sender never finished handing it over, so nothing but use by counsel is allowed",
}
"""Of one item, for whoever builds."""

MANY = {
    Why.STOPPED: "whoever sent it withdrew it",
    Why.OTHER_USE: "whoever sent it allowed another use, not this one",
    Why.ONLY_HIDDEN: "whoever sent it allowed this only with identities hidden",
    Why.NOT_HANDED_OVER: "whoever sent it did not finish handing it over, and did not say for whom it is",
}
"""For whoever receives the packet: how many, and why; not which, nor of whom."""

AUDIENCES = {
    Audience.COUNSEL: "counsel",
    Audience.LITIGATION: "production to a party",
    Audience.COURT: "a court's public file",
    Audience.IMMIGRATION: "an immigration court",
    Audience.PRESS: "the press",
    Audience.PUBLIC: "the public",
}
"""For whom a packet can be, in words."""

NAMES = {
    Audience.COUNSEL: "counsel",
    Audience.LITIGATION: "production",
    Audience.COURT: "court",
    Audience.IMMIGRATION: "immigration_court",
    Audience.PRESS: "press",
}
"""What a consent calls an audience; nobody is asked for the public."""

_IN_THE_OPEN = (Audience.PRESS, Audience.PUBLIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """One item that does not go, and why. `by_number` says that it was asked for by its own number."""

    item_id: UUID
    number: str
    why: Why
    by_number: bool

    @property
    def words(self) -> str:
        return ONE[self.why]


def why_withheld(said: Sequence[Said], audience: Audience) -> Why | None:
    """Say why what these senders brought may not go to an audience; None where it may. Each of them must allow it."""
    found = [why for each in said if (why := _of_one(each, audience)) is not None]
    return min(found, key=tuple(Why).index, default=None)


def _of_one(said: Said, audience: Audience) -> Why | None:
    if said.level == WITHDRAWN_LEVEL:
        return Why.STOPPED
    if said.level is None:
        return None if audience is Audience.COUNSEL else Why.NOT_HANDED_OVER
    if NAMES.get(audience) not in said.audiences:
        return Why.OTHER_USE
    return Why.ONLY_HIDDEN if audience in _IN_THE_OPEN else None


def counted_reasons(withheld: Sequence[Withheld]) -> Mapping[Why, int]:
    """Count what is withheld, by reason."""
    return {why: count for why in Why if (count := sum(each.why is why for each in withheld))}
