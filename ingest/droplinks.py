"""Drop links: a short code for one incident, given out by a dispatcher, that lets anyone hand over evidence.

The code stands nowhere in clear: the catalogue has its MAC under the intake key. Unknown, expired, revoked and used-up
codes are all the same to whoever tries them.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy.orm import Session

from archive.access import Action, require
from archive.age.recipients import X25519Identity
from archive.catalogue.accounts import organisation, read_secret
from archive.catalogue.database import Database
from archive.catalogue.drops import (
    close_uploads_of,
    files_through,
    link_by_id,
    link_by_mac,
    link_by_number,
    list_links,
    octets_through,
    visits_through,
)
from archive.catalogue.incidents import incident_by_number
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import DropLink
from archive.errors import ConflictError, InputError, NotFoundError
from archive.types import Actor, Clock, NewId, Owner, OwnerKind
from custody.drafts import Draft, OwnedPart
from custody.entries import EventKind
from custody.ledger import Ledger
from custody.register import Register

CODE_LETTERS = 6
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without 0 and O, 1, I and L, and U, read as V; 30 signs, so six are 29 bits, to be guessed over the net."""

QUESTIONS = ("when", "where", "filmed_by_you", "happened", "told", "contact")
WORDING = "plain-1"
ONCE, MANY = "once", "many"
LEAST_VISITS = 100
"""So many visits that bring no file may begin through any link; through one that takes more files, as many as files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLink:
    """A drop link that may be used now. `label` is what its dispatcher wrote for whoever opens it; it may be empty."""

    link: DropLink
    label: str
    octets_left: int
    files_left: int
    closed: bool = False
    """It takes no more files; whoever has sent some may still write words and finish."""
    seal_to: str = ""
    """The age recipients that the phone seals its waiting copies to, this archive's arrival key first; or empty."""

    @property
    def questions(self) -> tuple[str, ...]:
        return tuple(filter(None, self.link.questions.split(",")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a new drop link allows and asks."""

    days: int = 14
    most_octets: int = 64 << 30
    most_files: int = 1000
    once: bool = False
    label: str = ""
    questions: Sequence[str] = QUESTIONS


class DropLinks:
    """Gives out, finds and revokes drop links."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        register: Register,
        clock: Clock,
        new_id: NewId,
        seal_to: Callable[[], str],
    ) -> None:
        self._database = database
        self._seal_to = seal_to
        self._ledger = ledger
        self._register = register
        self._clock = clock
        self._new_id = new_id

    def give(self, actor: Actor, incident_number: str, terms: Terms) -> tuple[DropLink, str]:
        """Make a link and return it with its code, which is told this once.

        Raises: NotFoundError `archive/no-such-incident`; InputError `drop/unknown-question`.
        """
        require(actor, Action.GIVE_DROP_LINK)
        unknown = [question for question in terms.questions if question not in QUESTIONS]
        if unknown:
            raise InputError("drop/unknown-question", f"A link can ask: {', '.join(QUESTIONS)}. Nothing was made.")
        with self._ledger.transaction() as transaction:
            session = transaction.session
            incident, _ = incident_by_number(session, incident_number)
            key = read_secret(session, "intake-key")
            code = _unused_code(session, key)
            link = DropLink(
                id=self._new_id(),
                organisation_id=organisation(session).id,
                incident_id=incident.id,
                number=next_numbers(session, NumberKind.DROP_LINK, transaction.now.year)[0],
                code_mac=code_mac(key, code),
                status="open",
                uses=ONCE if terms.once else MANY,
                most_octets=terms.most_octets,
                most_files=terms.most_files,
                questions=",".join(question for question in QUESTIONS if question in terms.questions),
                wording=WORDING,
                created_time=transaction.now,
                expires_time=transaction.now + timedelta(days=terms.days),
            )
            owner = Owner(kind=OwnerKind.SENDER, id=link.id)
            label = OwnedPart(
                owner=owner, recipients=(str(_label_key(key, code).recipient),), values=(("label", terms.label),)
            )
            transaction.record(
                Draft(
                    event=EventKind.METADATA_MODIFICATION,
                    actor=actor,
                    values=(("purpose", "drop link given"), ("record", link.to_log({"label": terms.label}))),
                    owned=(label,),
                    subjects=(Owner(kind=OwnerKind.INCIDENT, id=incident.id),),
                )
            )
        return link, code

    def find(self, untrusted_code: str) -> OpenLink:
        """Return the link that a code opens now.

        Raises: NotFoundError `drop/no-such-code` for every code that does not, whatever the reason.
        """
        code = tidy_code(untrusted_code)
        with self._database.reading() as session:
            key = read_secret(session, "intake-key")
            found = link_by_mac(session, code_mac(key, code))
            left = self._left(session, found[0]) if found is not None else None
        label = self._label(code, key, found)
        if found is None or left is None or left[0] <= 0 or left[1] <= 0:
            raise no_such_code()
        return self.opened(found[0], label, *left)

    def opened(self, link: DropLink, label: str, octets_left: int, files_left: int) -> OpenLink:
        """Say what whoever opens a link's page is told."""
        return OpenLink(link=link, label=label, octets_left=octets_left, files_left=files_left, seal_to=self._seal_to())

    def belongs(self, untrusted_code: str) -> DropLink | None:
        """Return the link of a code, used up or not; for whoever prints its card."""
        with self._database.reading() as session:
            found = link_by_mac(session, code_mac(read_secret(session, "intake-key"), tidy_code(untrusted_code)))
        return found[0] if found is not None else None

    def label(self, untrusted_code: str) -> str:
        """Return what the dispatcher wrote for whoever opens the link of this code."""
        code = tidy_code(untrusted_code)
        with self._database.reading() as session:
            key = read_secret(session, "intake-key")
            found = link_by_mac(session, code_mac(key, code))
        return self._label(code, key, found)

    def list(self, actor: Actor) -> list[tuple[DropLink, str, int, int]]:
        """Return each link with its incident's number, and the visits and octets that came through it."""
        require(actor, Action.LIST_DROP_LINKS)
        with self._database.reading() as session:
            return list_links(session)

    def state(self, link: DropLink) -> str:
        """Say in one word whether a link may be used."""
        if link.status != "open":
            return link.status
        return "expired" if link.expires_time <= self._clock() else "open"

    def revoke(self, actor: Actor, number: str, *, reason: str) -> DropLink:
        """Close a link and what is under way through it; what came stays, of unfinished files as incomplete items.

        Raises: NotFoundError `drop/no-such-link`; ConflictError `drop/revoked`.
        """
        require(actor, Action.GIVE_DROP_LINK)
        with self._ledger.transaction() as transaction:
            link = link_by_number(transaction.session, number)
            if link.status != "open":
                raise ConflictError("drop/revoked", "This drop link was revoked before. Nothing was changed.")
            closed = replace(link, status="revoked")
            close_uploads_of(transaction.session, link.id)
            values = (("purpose", "drop link revoked"), ("reason", reason), ("record", closed.to_log()))
            transaction.record(Draft(event=EventKind.METADATA_MODIFICATION, actor=actor, values=values))
        return closed

    def refuse_used_up(self, session: Session, link: DropLink) -> None:
        """Look once more in the transaction that begins a visit: of many at once a link for one observer takes one.

        Raises: NotFoundError `drop/no-such-code`.
        """
        left = self._left(session, link_by_id(session, link.id))
        if left is None or left[0] <= 0 or left[1] <= 0:
            raise no_such_code()

    def _left(self, session: Session, link: DropLink) -> tuple[int, int] | None:
        """Return the octets and files that a link still takes; None where it takes nothing more."""
        if link.status != "open" or link.expires_time <= self._clock():
            return None
        if link.uses == ONCE and visits_through(session, link.id):
            return None
        visits, files = visits_through(session, link.id), files_through(session, link.id)
        # Each visit costs a key file and an entry that nobody may remove: whoever only begins them ends with the link.
        if visits - files >= max(link.most_files, LEAST_VISITS):
            return None
        return link.most_octets - octets_through(session, link.id), link.most_files - files

    def _label(self, code: str, key: bytes, found: tuple[DropLink, int] | None) -> str:
        identity = _label_key(key, code)
        if found is None:
            return ""
        opened = self._register.open([found[1]], {found[0].id: identity})
        return next((str(entry.get("label") or "") for entry in opened), "")


def tidy_code(untrusted: str) -> str:
    """Read a code as people write it: with spaces and hyphens, in small letters."""
    kept = [sign for sign in untrusted[:64].upper() if sign in ALPHABET]
    return "".join(kept)


def code_mac(intake_key: bytes, code: str) -> bytes:
    return hmac.digest(intake_key, b"testigo drop code\0" + code.encode("ascii"), hashlib.sha256)


def no_such_code() -> NotFoundError:
    """Return the one error for every code that does not open a link."""
    return NotFoundError(
        "drop/no-such-code",
        "This code does not work, or does not work any more. What was sent before is kept. Ask for a new code.",
    )


def _label_key(intake_key: bytes, code: str) -> X25519Identity:
    return X25519Identity(hmac.digest(intake_key, b"testigo drop label\0" + code.encode("ascii"), hashlib.sha256))


def _unused_code(session: Session, key: bytes) -> str:
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LETTERS))
        if link_by_mac(session, code_mac(key, code)) is None:
            return code
