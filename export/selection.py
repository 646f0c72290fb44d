"""Which items a packet is of, and whether each may leave. Reads the catalogue only; opens nothing.

What it refuses, with the item named: an item whose key is destroyed, an item that is not kept any more, a number that
is not here. A legal hold forbids destruction, never a release.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from archive.catalogue.accounts import organisation
from archive.catalogue.database import Database
from archive.catalogue.incidents import incident_by_number, incidents_by_id, items_of_incident, receipts_of
from archive.catalogue.items import item_by_number, objects_by_item
from archive.catalogue.models import NumberRow
from archive.catalogue.numbers import NumberKind
from archive.catalogue.records import Incident, Item, Organisation
from archive.errors import DisclosureError, InputError, IntegrityError, NotFoundError
from archive.keyfiles import KeyFiles
from archive.store.port import Store, object_name
from archive.types import Digest, DigestAlgorithm
from export.consent import Withheld
from export.request import MOST_ITEMS, PacketRequest

_item = Item.table.c
_AT_ONCE = 500
_NEEDED = ("original", "metadata")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The items of a packet in the order of their numbers.

    `incidents` are the matters that the packet is of. An item may have come in for several; `linked` are those that it
    holds as evidence of a matter for which their content came in again, and not as evidence of the one that had them
    first. `received_here` are the entries of these further receipts, by item, for the packet's matters alone.
    `apart` are the numbers of items received together with one of these (a sidecar, the other half of a live photo)
    that are not among them, `lacking` the ids of those that lack one; `left_out` counts the items of the incident that
    were excluded. `withheld` are those that their senders do not allow to go where the packet goes, and that are not
    among the items; `compelled` those among them that go because the law demands it.
    """

    organisation: Organisation
    items: tuple[Item, ...]
    incidents: tuple[Incident, ...]
    linked: frozenset[UUID]
    received_here: Mapping[UUID, tuple[int, ...]]
    apart: tuple[str, ...]
    lacking: frozenset[UUID]
    left_out: int
    withheld: tuple[Withheld, ...] = ()
    compelled: tuple[Withheld, ...] = ()

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items)


def select_items(database: Database, request: PacketRequest, without: frozenset[UUID] = frozenset()) -> Selection:
    """Find the items asked for, `without` those that do not go.

    Raises: NotFoundError `archive/no-such-item`, `archive/no-such-incident`; InputError `export/no-items`,
    `export/too-many-items`.
    """
    with database.reading() as session:
        found, matters, left_out = _asked_for(session, request)
        found = {item_id: item for item_id, item in found.items() if item_id not in without}
        matters = {item_id: matters[item_id] for item_id in found}
        if not found:
            raise InputError("export/no-items", "No item was named that could be in the packet. Nothing was written.")
        if len(found) > MOST_ITEMS:
            raise InputError(
                "export/too-many-items",
                f"A packet holds at most {MOST_ITEMS:,} items, and these are {len(found):,}. Nothing was written. "
                "Build several packets.",
            )
        items = tuple(sorted(found.values(), key=lambda item: (len(item.number), item.number)))
        incidents = incidents_by_id(session)
        numbers = {id_: incident.number for id_, incident in incidents.items()}
        apart, lacking = _received_together(session, found)
        return Selection(
            organisation=organisation(session),
            items=items,
            incidents=tuple(incidents[id_] for id_ in sorted({*chain(*matters.values())}, key=numbers.__getitem__)),
            linked=frozenset(item.id for item in items if item.incident_id not in matters[item.id]),
            received_here=_received_here(session, items, matters),
            apart=apart,
            lacking=lacking,
            left_out=left_out,
        )


def why_not(items: Sequence[Item], key_files: KeyFiles) -> tuple[tuple[str, str], ...]:
    """Name each item that must not or cannot leave, with the reason."""
    refused: list[tuple[str, str]] = []
    for item in items:
        if item.state == "destroyed":
            refused.append((item.number, "its key was destroyed"))
        elif item.state != "kept":
            refused.append((item.number, f"its state is {item.state}"))
        else:
            try:
                key_files.read_sealed(item.id)
            except NotFoundError:
                refused.append((item.number, "its key file is not here"))
    return tuple(refused)


def refuse_what_may_not_leave(items: Sequence[Item], key_files: KeyFiles) -> None:
    """Raises: DisclosureError `export/may-not-leave`, with each item and the reason."""
    refused = why_not(items, key_files)
    if refused:
        raise DisclosureError(
            "export/may-not-leave",
            "At least one of these items must not or cannot leave the archive. No packet was built and no number used. "
            "Leave it out and build again.",
            evidence=dict(refused),
        )


def missing_objects(database: Database, items: Sequence[Item], store: Store) -> dict[str, str]:
    """Name each item of which the store lacks an object that its packet needs, and the objects."""
    with database.reading() as session:
        recorded = objects_by_item(session, [item.id for item in items])
    found: dict[str, str] = {}
    for item in items:
        needed = [stored.blake3 for purpose, stored in recorded[item.id].items() if purpose in _NEEDED]
        names = [object_name(Digest(DigestAlgorithm.BLAKE3, blake3)) for blake3 in needed]
        lacking = [name for name in names if not store.exists(name)]
        if lacking:
            found[item.number] = ", ".join(lacking)
    return found


def refuse_incomplete(database: Database, items: Sequence[Item], store: Store) -> None:
    """Raises: IntegrityError `export/object-missing`, with each item and its objects that are not there."""
    lacking = missing_objects(database, items, store)
    if lacking:
        raise IntegrityError(
            "export/object-missing",
            "Objects that the log records are not in the store. No packet was built and no number used; records and "
            "log are kept. Run `testigo verify`, restore the objects from a copy, and build again. Until then a packet "
            "can be built without these items only.",
            evidence=lacking,
        )


def next_packet_number(database: Database, year: int) -> str:
    """Return the number that the next packet of that year would get; it is not used up."""
    with database.reading() as session:
        statement = select(NumberRow.last).where(NumberRow.kind == str(NumberKind.PACKET), NumberRow.year == year)
        last = session.execute(statement).scalar_one_or_none() or 0
    return f"{NumberKind.PACKET}-{year}-{last + 1:04d}"


def _asked_for(session: Session, request: PacketRequest) -> tuple[dict[UUID, Item], dict[UUID, frozenset[UUID]], int]:
    """Return the items by id, the incidents as whose evidence each was asked for, and how many were left out.

    An incident stands for the same items as in `testigo ls -i`. An item asked for by its own number is evidence of the
    incident that it was received for first.
    """
    found: dict[UUID, Item] = {}
    matters: dict[UUID, frozenset[UUID]] = {}
    left_out = 0
    excluded = {item_by_number(session, number)[0].id for number in request.exclude}
    if request.incident is not None:
        incident, _ = incident_by_number(session, request.incident)
        for item, _ in items_of_incident(session, incident.id):
            if item.id in excluded:
                left_out += 1
            else:
                found[item.id], matters[item.id] = item, frozenset({incident.id})
    for number in request.items:
        item, _ = item_by_number(session, number)
        if item.id not in excluded:
            found[item.id] = item
            matters[item.id] = matters.get(item.id, frozenset()) | {item.incident_id}
    return found, matters, left_out


def _received_here(
    session: Session, items: Sequence[Item], matters: Mapping[UUID, frozenset[UUID]]
) -> dict[UUID, tuple[int, ...]]:
    here: dict[UUID, tuple[int, ...]] = {}
    for receipt in receipts_of(session, [item.id for item in items]):
        if receipt.incident_id in matters[receipt.item_id]:
            here[receipt.item_id] = (*here.get(receipt.item_id, ()), receipt.seq)
    return here


def _received_together(session: Session, found: dict[UUID, Item]) -> tuple[tuple[str, ...], frozenset[UUID]]:
    apart: set[str] = set()
    lacking: set[UUID] = set()
    ids = list(found)
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        mains = [found[id_].companion_id for id_ in some if found[id_].companion_id is not None]
        statement = select(Item.table).where(or_(_item.companion_id.in_(some), _item.id.in_(mains)))
        for row in session.execute(statement).mappings():
            other = Item.from_row(row)
            if other.id not in found:
                apart.add(other.number)
                lacking |= {id_ for id_ in some if found[id_].companion_id == other.id or other.companion_id == id_}
    return tuple(sorted(apart)), frozenset(lacking)
