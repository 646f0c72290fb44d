"""Visits: one observer's handing over, known by a token that only they hold, later by their return code.

A visit has two keys. Its owner key is of the vault's kind: the office opens with it what the observer told. To the
sender's own recipients go what a receipt opens and what the office asks; of these the archive has no identity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity, parse_recipient
from archive.age.stream import seal_bytes
from archive.catalogue.accounts import organisation
from archive.catalogue.database import Database
from archive.catalogue.drop_models import SlipRow
from archive.catalogue.drops import (
    DAMAGED as DAMAGED,
)
from archive.catalogue.drops import (
    RECEIVING,
    deliveries_of,
    files_through,
    has_brought,
    link_by_id,
    octets_through,
    slips_of,
    uploads_of,
    visit_by_id,
    visit_is_published,
)
from archive.catalogue.incidents import incidents_by_id
from archive.catalogue.records import Delivery, DropLink, Incident, Organisation, Visit
from archive.errors import ConflictError, NotFoundError
from archive.types import Actor, Clock, Owner, OwnerKind, Role, StaffId
from archive.vault import Vault, open_value
from custody.canonical import Json, canonical_bytes, parse_canonical
from custody.commitments import Disclosure
from custody.drafts import Draft
from custody.entries import EventKind
from custody.ledger import EntryRef, Ledger
from custody.publication import Publisher
from ingest.droplinks import DropLinks, OpenLink, no_such_code
from ingest.tokens import visit_id, visit_identity

OPEN, HANDED_OVER, STOPPED = "open", "handed over", "stopped"
SAME, DIFFERS, NOT_GIVEN = "same", "differs", "not given"
REFUSED = "refused"
CLOSED = "closed"
_BEGUN = "delivery begun"
_BEGUN_AGAIN = "delivery begun; a key that an interrupted beginning left was replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """How far one file of a visit is, in the words of `state_of`."""

    upload: str
    state: str
    declared: int
    received: int


class Visits:
    """Begins visits and says how far they are."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        vault: Vault,
        links: DropLinks,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._vault = vault
        self._links = links
        self._publisher = publisher
        self._clock = clock

    def begin(self, token: bytes, untrusted_code: str) -> tuple[Visit, DropLink]:
        """Return the visit that a token stands for, begun through the link if it is new.

        Raises: NotFoundError `drop/no-such-code` where the link takes nothing more, or the visit was stopped.
        """
        with self._database.reading() as session:
            visit = visit_by_id(session, visit_id(token))
            is_published = visit is not None and visit_is_published(session, visit.id)
            if visit is not None:
                link = self._still_open(session, visit)
        if visit is None:
            link = self._links.find(untrusted_code).link
            visit = self._begin(token, link)
        if not is_published:
            # What comes from now on can be found again only by the visit, also where the catalogue is lost. One that is
            # there already may have been begun by a request that was killed before this.
            self._publisher.publish()
        return visit, link

    def _begin(self, token: bytes, link: DropLink) -> Visit:
        with self._ledger.transaction() as transaction:
            visit = visit_by_id(transaction.session, visit_id(token))
            if visit is not None:  # Two first files at once.
                return visit
            self._links.refuse_used_up(transaction.session, link)
            ours = organisation(transaction.session)
            owner = Owner(kind=OwnerKind.VISIT, id=visit_id(token))
            keyring = self._ledger.keyrings.standing().vault
            key, replaced = self._vault.new_owner_key_instead(owner, keyring)
            visit = Visit(
                id=owner.id,
                organisation_id=ours.id,
                drop_link_id=link.id,
                incident_id=link.incident_id,
                number=None,
                status=OPEN,
                recipient=key.recipient,
                sender_recipients=str(visit_identity(token).recipient),
                code_digest=None,
                created_time=transaction.now,
            )
            purpose = _BEGUN_AGAIN if replaced else _BEGUN
            values = (("purpose", purpose), ("record", visit.to_log()))
            transaction.record(Draft(event=EventKind.IMPORT, actor=sender(visit.id), values=values))
        return visit

    def link_for(self, tokens: Sequence[bytes], untrusted_code: str) -> OpenLink:
        """Return the link of a code, for whoever opens its page, also again: a link for one observer is theirs.

        `tokens` are of the visits that they have begun, through this link or others.
        Raises: NotFoundError `drop/no-such-code`.
        """
        link = self._links.belongs(untrusted_code)
        with self._database.reading() as session:
            visits = [(token, visit_by_id(session, visit_id(token))) for token in tokens]
        for token, visit in visits:
            if link is not None and visit is not None and visit.drop_link_id == link.id:
                return replace(self.link_again(token), label=self._links.label(untrusted_code))
        return self._links.find(untrusted_code)

    def link_again(self, token: bytes | None) -> OpenLink:
        """Return the link of a visit that was begun before, for whoever adds to it.

        Where the link takes nothing more, whoever has brought something still finds it, closed.
        Raises: NotFoundError `drop/no-such-code` where there is none, or nothing came and it takes nothing more.
        """
        with self._database.reading() as session:
            visit = visit_by_id(session, visit_id(token)) if token is not None else None
            if visit is None:
                raise no_such_code()
            if not self._is_open(session, visit):
                if visit.status == STOPPED or not has_brought(session, visit.id):
                    raise no_such_code()
                return replace(self._links.opened(link_by_id(session, visit.drop_link_id), "", 0, 0), closed=True)
            link = link_by_id(session, visit.drop_link_id)
            octets_left = link.most_octets - octets_through(session, link.id)
            files_left = link.most_files - files_through(session, link.id)
        return self._links.opened(link, "", octets_left, files_left)

    def to_finish(self, token: bytes, untrusted_code: str) -> Visit:
        """Return the visit that is finished now. One that has brought anything may be, whatever became of its link.

        Raises: as `begin`.
        """
        with self._database.reading() as session:
            visit = visit_by_id(session, visit_id(token))
            if visit is not None and visit.status != STOPPED and has_brought(session, visit.id):
                return visit
        return self.begin(token, untrusted_code)[0]

    def waits_to_be_finished(self, visit: Visit) -> bool:
        """Tell whether something arrived of a visit for which nobody has asked for the receipt yet."""
        with self._database.reading() as session:
            return visit.status == OPEN and has_brought(session, visit.id)

    def is_begun(self, token: bytes) -> bool:
        with self._database.reading() as session:
            return visit_by_id(session, visit_id(token)) is not None

    def find(self, token: bytes) -> Visit:
        """Raises: NotFoundError `visits/no-such-visit`."""
        with self._database.reading() as session:
            visit = visit_by_id(session, visit_id(token))
        if visit is None:
            raise NotFoundError("visits/no-such-visit", "There is no such visit here. What was sent is kept.")
        return visit

    def files(self, visit_id_: UUID) -> list[FileState]:
        """Say how far each file of a visit is, in the order in which they began."""
        with self._database.reading() as session:
            uploads = uploads_of(session, visit_id_)
            delivered = {each.upload: each for each in deliveries_of(session, visit_id_)}
        return [
            FileState(
                upload=row.name.hex(),
                state=state_of(row.state, row.received == row.declared, delivered.get(row.name)),
                declared=row.declared,
                received=row.declared if row.name in delivered and row.received == row.declared else row.received,
            )
            for row in uploads
        ]

    def place_of(self, visit: Visit) -> tuple[Organisation, Incident]:
        with self._database.reading() as session:
            return organisation(session), incidents_by_id(session)[visit.incident_id]

    def _still_open(self, session: Session, visit: Visit) -> DropLink:
        if not self._is_open(session, visit):
            raise no_such_code()
        return link_by_id(session, visit.drop_link_id)

    def _is_open(self, session: Session, visit: Visit) -> bool:
        """A visit may go on while its link was not revoked; once handed over, also after the link has expired."""
        link = link_by_id(session, visit.drop_link_id)
        expired = link.expires_time <= self._clock() and visit.status != HANDED_OVER
        return link.status == "open" and not expired and visit.status != STOPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Slip:
    """What a receipt needs of one delivery: its entry, the values that a receipt opens, and what they say."""

    number: str
    entry: EntryRef
    sha256: bytes
    size: int
    reveals: tuple[str, ...]
    comparison: str
    handed_in: str | None
    """The SHA-256 of what was sent (hex), where only a cleaned copy of it is kept."""
    incomplete: bool
    written: bool
    """Whether it is words from the page, of which there is no other copy to compare with."""
    of: str = ""
    """A digest of the visit and of the name that its sender's file has; empty on slips of before."""
    declared: int = 0
    superseded: bool = False
    """Whether it is a part of a file that came whole, too."""


def keep_slip(
    session: Session, visit: Visit, delivery_id: UUID, number: str, entry: EntryRef, came: Mapping[str, Json]
) -> None:
    """Seal a delivery's slip to the visit's sender, in the transaction of its entry."""
    plain = canonical_bytes(
        {
            "v": 1,
            "number": number,
            "seq": entry.seq,
            "leaf": entry.leaf.decode("ascii"),
            "leaf_hash": entry.leaf_hash.hex(),
            "disclosures": [disclosure.text for disclosure in entry.receipt],
            **came,
        }
    )
    recipients = [parse_recipient(text) for text in visit.sender_recipients.split()]
    row = {"delivery_id": delivery_id, "visit_id": visit.id, "sealed": seal_bytes(plain, recipients)}
    session.execute(delete(SlipRow).where(SlipRow.delivery_id == delivery_id))
    session.execute(insert(SlipRow), [row])


def open_slips(session: Session, deliveries: Sequence[Delivery], identity: KeyIdentity) -> list[Slip]:
    """Open the slips of some deliveries with the sender's own identity, in the order of the log.

    A file that came more than once, as when a form is sent again, is one item and stands here once.
    """
    from_disk = slips_of(session, [delivery.id for delivery in deliveries])
    slips = [_slip(parse_canonical(open_value(identity, sealed))) for sealed in from_disk.values()]
    slips.sort(key=lambda slip: slip.entry.seq, reverse=True)
    found = sorted({(slip.number, slip.handed_in): slip for slip in slips}.values(), key=lambda slip: slip.entry.seq)
    return [replace(slip, superseded=_came_whole(slip, found)) for slip in found]


def _came_whole(part: Slip, slips: Sequence[Slip]) -> bool:
    """Tell whether a whole file of the same name and length came after a part."""
    return bool(part.incomplete and part.of) and any(
        (each.of, each.declared) == (part.of, part.declared)
        and not each.incomplete
        and each.comparison != DIFFERS
        and each.entry.seq > part.entry.seq
        for each in slips
    )


def reseal_slips(session: Session, visit: Visit, deliveries: Sequence[Delivery], identity: KeyIdentity) -> None:
    """Seal the slips of a visit anew, to the recipients that it has now."""
    recipients = [parse_recipient(text) for text in visit.sender_recipients.split()]
    for delivery_id, sealed in slips_of(session, [delivery.id for delivery in deliveries]).items():
        plain = open_value(identity, sealed)
        session.execute(delete(SlipRow).where(SlipRow.delivery_id == delivery_id))
        row = {"delivery_id": delivery_id, "visit_id": visit.id, "sealed": seal_bytes(plain, recipients)}
        session.execute(insert(SlipRow), [row])


def sender(visit: UUID) -> Actor:
    """Return who acts when an observer sends: no account, a name for this visit alone."""
    return Actor(staff_id=StaffId(visit), pseudonym=f"sender-{visit.hex[:6]}", role=Role.OBSERVER)


def stopped() -> ConflictError:
    return ConflictError("visits/stopped", "Use was stopped before. Nothing was changed.")


def _slip(value: Any) -> Slip:
    return Slip(
        number=value["number"],
        entry=EntryRef(
            seq=value["seq"],
            leaf=value["leaf"].encode("ascii"),
            leaf_hash=bytes.fromhex(value["leaf_hash"]),
            receipt=tuple(Disclosure(text) for text in value["disclosures"]),
        ),
        sha256=bytes.fromhex(value["sha256"]),
        size=value["size"],
        reveals=tuple(value["reveals"]),
        comparison=value["comparison"],
        handed_in=value.get("handed_in"),
        incomplete=value.get("incomplete", False),
        written=value.get("written", False),
        of=value.get("of", ""),
        declared=value.get("declared", 0),
    )


def state_of(upload: str, is_whole: bool, delivery: Delivery | None) -> str:
    """Say in one word how far a file is: receiving, closed, damaged, checking, safe, differs, incomplete,
    refused.

    A closed one takes no more; what arrived of it becomes an item, at an unlock where nobody has its address.
    """
    if delivery is not None:
        if delivery.outcome == REFUSED:
            return REFUSED
        if delivery.size is not None and delivery.size < delivery.declared:
            return "incomplete"
        return "differs" if delivery.comparison == DIFFERS else "safe"
    if upload == DAMAGED:
        return DAMAGED
    if is_whole:
        return "checking"
    return "receiving" if upload == RECEIVING else CLOSED
