"""What a packet is asked for, and what came of it: frozen values. No I/O.

Knows who asks, for whom, on what basis, which items, and in what form the packet leaves. A recipient's name and the
basis are closed in the log and stand in the packet itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from archive.age.wrapping import Recipient
from archive.types import Actor, Audience
from export.consent import Withheld

MOST_ITEMS = 1000
"""One entry can name no more items, and the release is one entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Whom a packet is sealed to. `to` is what the log keeps of it: public recipients, or that it is a passphrase."""

    recipients: tuple[Recipient, ...] = field(repr=False)
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketRequest:
    """A packet as a person asks for it.

    `items` are item numbers; `incident` stands for all its items but those in `exclude`. `destination` is the folder to
    make, or the one file where `seal` is given. `audience` must be said where items came from senders. `compelled` is
    the order or subpoena that demands what they do not allow.
    """

    actor: Actor
    recipient: str
    legal_basis: str
    destination: Path
    items: tuple[str, ...] = ()
    incident: str | None = None
    exclude: tuple[str, ...] = ()
    reason: str | None = None
    seal: Seal | None = None
    audience: Audience | None = None
    compelled: str | None = None

    def __post_init__(self) -> None:
        if not self.recipient.strip() or not self.legal_basis.strip():
            raise ValueError("a packet has a receiver and a basis")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastItem:
    """One exhibit to be, from what the catalogue shows while locked. Its file's extension comes from its bytes.

    `linked` says that another incident had it first, and the one asked for received the same content again.
    """

    number: str
    kind: str
    size: int
    received_time: datetime
    linked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a build would do; nothing was opened, entered or used up.

    `apart` are items that were received together with one of these and are not among them. `refused` are the numbers of
    items that must not leave, with the reason. `withheld` are those that their senders do not allow to go there,
    and that are left out; `compelled` those that would go all the same, because the law demands it.
    """

    number: str
    items: tuple[ForecastItem, ...]
    apart: tuple[str, ...]
    left_out: int
    refused: tuple[tuple[str, str], ...]
    withheld: tuple[Withheld, ...]
    compelled: tuple[Withheld, ...]
    locked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """One time-stamp on the packet's checkpoint."""

    authority: str
    attested_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPacket:
    """A packet that was verified as a stranger would and stands at `path`.

    `release` is the entry of the log that releases it. Without any `attested`, its time-stamp is pending.
    """

    number: str
    path: Path
    sealed_to: tuple[str, ...]
    items: tuple[str, ...]
    octets: int
    release: int
    checkpoint_size: int
    attested: tuple[Attested, ...]
    apart: tuple[str, ...]
    withheld: tuple[Withheld, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Progress of a build: what is being done, and how many octets of how many are through."""

    words: str
    octets_done: int
    octets_total: int


Watch = Callable[[Step], None]
