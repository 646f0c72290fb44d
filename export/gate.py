"""The consent gate of the way out: what of a selection may go to an audience, by rows first, and then by the log.

By rows, before a number is used up and while locked, it is said what is withheld. Once the access is entered and keys
are there, the log decides; and at the release it is looked once more whether a sender said anything meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID, uuid5

from sqlalchemy.orm import Session

from archive.access import Action
from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.records import Approval, Item
from archive.catalogue.senders import Said, said_of_items
from archive.errors import AccessError, ConflictError, DisclosureError, InputError
from archive.types import Audience
from custody.acts import Acts, Asked
from custody.canonical import canonical_bytes
from custody.consents import consents_of
from custody.ledger import Ledger
from export.consent import ONE, Why, Withheld, why_withheld
from export.request import PacketRequest
from export.selection import Selection, select_items

_COMPELLED = UUID("6f0b6f39-6a5b-4c39-9a3c-0b0c2a1f5d11")
"""The namespace of what two people agree to release although a sender does not allow it."""

_KEY = {
    **ONE,
    Why.ONLY_HIDDEN: "its sender allowed this only with faces and voices hidden, and a key opens the original",
}

Told = Mapping[UUID, tuple[Said, ...]]


def select_allowed(database: Database, request: PacketRequest) -> Selection:
    """Find the items asked for, less those that a sender does not allow to go where the packet goes.

    Where the law demands it (`request.compelled`), they stay among the items, marked.
    Raises: InputError `export/audience-needed` where a sender said for whom it is, and the request does not; as
    `select_items`.
    """
    selection = select_items(database, request)
    with database.reading() as session:
        told = said_of_items(session, [item.id for item in selection.items])
    if not told:
        return selection
    withheld = judge(told, selection.items, _audience(request), request)
    if request.compelled is not None or not withheld:
        return replace(selection, compelled=withheld)
    without = frozenset(each.item_id for each in withheld)
    if len(without) == len(selection.items):
        return replace(selection, items=(), withheld=withheld)
    return replace(select_items(database, request, without), withheld=withheld)


def refuse_withheld(selection: Selection) -> None:
    """Refuse where an item that was asked for by its own number does not go, or nothing is left.

    What came with its incident is left out, and named. Raises: DisclosureError `export/not-allowed`.
    """
    named = [each for each in selection.withheld if each.by_number]
    if named or not selection.items:
        raise DisclosureError(
            "export/not-allowed",
            "At least one of these items may not go there: whoever sent it does not allow it. No packet was built and "
            "no number used. Leave it out. Where a court order or a subpoena demands it: --compelled, with two people.",
            evidence={each.number: each.words for each in named or selection.withheld},
        )


def refuse_copy(said: Sequence[Said], audience: Audience) -> None:
    """Refuse a cleaned copy for an audience that the senders do not allow it for; for the archive itself it may be.

    That faces stay to be hidden is said beside the copy: it is made in order to hide them.
    Raises: DisclosureError `export/copy-not-allowed`.
    """
    why = None if audience is Audience.VAULT else why_withheld(said, audience)
    if why is not None and why is not Why.ONLY_HIDDEN:
        raise DisclosureError(
            "export/copy-not-allowed",
            f"No copy of this was made for that audience: {ONE[why]}. The original is kept as it is.",
        )


def refuse_key(said: Sequence[Said], audience: Audience | None) -> None:
    """Refuse an item's key, which opens the original, to somebody whom its senders do not allow to have that.

    Raises: InputError `export/audience-needed` where a sender said for whom it is, and nobody said who gets the key;
    DisclosureError `export/key-not-allowed`.
    """
    if not said or audience is Audience.VAULT:
        return
    if audience is None:
        raise InputError(
            "export/audience-needed",
            "The sender of this item said for whom it may be used. No key was given out. Say who gets it: --audience.",
        )
    why = why_withheld(said, audience)
    if why is not None:
        raise DisclosureError(
            "export/key-not-allowed",
            f"The key of this was not given out for that audience: {_KEY[why]}. Where a court order or a subpoena "
            "demands it: `testigo packet build` with --compelled, and two people.",
        )


def judge(told: Told, items: Sequence[Item], audience: Audience, request: PacketRequest) -> tuple[Withheld, ...]:
    """Name each item that does not go, with the reason."""
    return tuple(
        Withheld(item_id=item.id, number=item.number, why=why, by_number=item.number in request.items)
        for item in items
        if (why := why_withheld(told.get(item.id, ()), audience)) is not None
    )


def agreed_to(acts: Acts, request: PacketRequest, selection: Selection) -> Approval | None:
    """Have two people agree to what a sender does not allow and the law demands; None where nothing needs it.

    They agree to these items, for this receiver, on this ground: another packet is another act.
    Raises: AccessError `export/second-person-needed`, once it is asked for; as `Acts.agree_to`.
    """
    if request.compelled is None or not selection.compelled:
        return None
    act = compelled_id(request, selection)
    agreed = acts.agree_to(request.actor, Action.RELEASE_COMPELLED, act, reason=request.compelled)
    if isinstance(agreed, Asked):
        raise AccessError(
            "export/second-person-needed",
            "Asked for. No packet was built: another attorney or coordinator must see the order and run the same "
            "command, with the same items, --to, --basis, --audience and --compelled. `testigo approvals` lists it.",
            evidence={each.number: each.words for each in selection.compelled},
        )
    return agreed


def compelled_id(request: PacketRequest, selection: Selection) -> UUID:
    """Give the id of what is agreed to."""
    what = canonical_bytes(
        {
            "items": sorted(str(each.item_id) for each in selection.compelled),
            "audience": str(request.audience),
            "recipient": request.recipient,
            "legal_basis": request.legal_basis,
            "compelled": request.compelled,
        }
    )
    return uuid5(_COMPELLED, what.decode("utf-8"))


def decide_by_log(
    ledger: Ledger,
    database: Database,
    keys: Mapping[UUID, KeyIdentity],
    selection: Selection,
    request: PacketRequest,
) -> Told:
    """Prove from the log that each item may go, and return what it says.

    Raises: ConflictError `export/consent-changed`; IntegrityError `custody/row-differs`; as `consents_of`.
    """
    with ledger.transaction() as transaction:
        told = consents_of(transaction.session, database, keys, selection.items)
    if told:
        known = {each.item_id for each in selection.compelled}
        if any(each.item_id not in known for each in judge(told, selection.items, _audience(request), request)):
            raise _changed()
    return told


def refuse_changed(session: Session, told: Told, selection: Selection) -> None:
    """See, in the transaction of the release, that no sender said anything since the log was read.

    Raises: ConflictError `export/consent-changed`.
    """
    if said_of_items(session, [item.id for item in selection.items]) != told:
        raise _changed()


def _audience(request: PacketRequest) -> Audience:
    if request.audience is None:
        raise InputError(
            "export/audience-needed",
            "Senders said for whom some of these items may be used. Nothing was written. Say for whom the packet is: "
            "--audience counsel, litigation_production, court_public, immigration_court, press or public.",
        )
    return request.audience


def _changed() -> ConflictError:
    return ConflictError(
        "export/consent-changed",
        "A sender said stop, or allowed another use, while this packet was built. It was not released and is removed. "
        "Build it again: what may not go is left out.",
    )
