"""Stored objects, key files and running numbers against the catalogue's records, without a key.

An object without a record may be what a crash leaves; a record without its object is an alarm.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.catalogue.columns import untyped
from archive.catalogue.models import NumberRow, OrganisationRow
from archive.catalogue.numbers import highest_numbers
from archive.catalogue.records import DropLink, Hold, ImportBatch, Incident, Item, Packet, Person, StoredObject, Visit
from archive.errors import NotFoundError, TestigoError
from archive.fixity import ObjectFinding, check_all, verify_object
from archive.keyfiles import KeyFiles
from archive.store.port import Store, object_name
from archive.types import Digest, DigestAlgorithm, Finding
from custody.audit_recorded import unrecorded_owners
from custody.destroyed import DESTROYED, with_deaccession
from custody.findings import Found, differs, from_error, matches, unknown

ORPHAN_OBJECT = "custody/orphan-object"
ORPHAN_KEY = "custody/orphan-key"

_NUMBERED = (Incident, Item, Hold, ImportBatch, Packet, DropLink, Visit)

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedObject:
    """One object as its record names it."""

    item: str
    is_destroyed: bool
    purpose: str
    octets: int


def recorded_objects(session: Session, only: Sequence[UUID] | None) -> dict[str, RecordedObject]:
    """Return the recorded objects by their names in the store; of some items only where these are given."""
    item, stored = Item.table.c, StoredObject.table.c
    destroyed = {each.hex for each in with_deaccession(session)}
    columns = (stored.blake3, stored.purpose, stored.sealed_size, item.number, item.state, item.id)
    statement = select(*map(untyped, columns)).join_from(StoredObject.table, Item.table, stored.item_id == item.id)
    if only is not None:
        statement = statement.where(item.id.in_(only))
    found: dict[str, RecordedObject] = {}
    for digest, purpose, octets, number, state, item_id in session.execute(statement):
        with suppress(TypeError, ValueError):  # What is no digest is named by its row.
            found[object_name(Digest(DigestAlgorithm.BLAKE3, digest))] = RecordedObject(
                item=str(number),
                is_destroyed=state == DESTROYED and item_id in destroyed,
                purpose=str(purpose),
                octets=octets if type(octets) is int else 0,
            )
    return found


def rows_by_id(session: Session, id_column: Any, *columns: Any) -> Iterator[tuple[Any, ...]]:
    """Give rows by an id as the database has them, leaving out those where somebody put something else for the id.

    What is left out is named where rows are compared with the log; here it must keep nothing else from being checked.
    """
    raw = untyped(id_column)
    for text, *values in session.execute(select(raw, *map(untyped, columns)).order_by(raw)):
        with suppress(AttributeError, TypeError, ValueError):
            yield (UUID(text), *values)


def check_objects(
    session: Session, store: Store, *, only: Sequence[UUID] | None, threads: int, watch: Watch
) -> Iterator[Found]:
    """Read every recorded object and compare it with the digest in its name; name what is missing and what is extra."""
    recorded = recorded_objects(session, only)
    total = sum(each.octets for each in recorded.values())
    done = good = 0
    checked = check_all(store, threads) if only is None else _check_some(store, sorted(recorded), threads)
    for result in checked:
        known = recorded.pop(result.name, None)
        if known is None:
            yield unknown(
                ORPHAN_OBJECT,
                "The catalogue has no row of this object, as a crash before the commit may leave it. Only the log, "
                "opened with keys, tells whether it is a left-over.",
                subject=result.name,
                state=result.reason or "whole",
            )
            continue
        done += known.octets
        watch("objects", done, total)
        if result.finding is Finding.MATCHES:
            good += 1
        else:
            yield _not_right(result, known)
    for name, known in recorded.items():
        if not known.is_destroyed:
            yield _missing(name, known)
    yield from _without_original(session, only)
    yield from _destroyed_by_nobody(session, only)
    one = "object has the digest that is its name"
    yield matches("objects", "objects have the digest that is their name", good, one=one)


def keys_apart() -> Iterator[Found]:
    """Say of a place without any key file that nothing can be told of them."""
    yield unknown(
        "custody/keys-not-here",
        "There is not one key file here, so whether they are whole cannot be told. In a copy of the archive they lie "
        "apart; in the archive itself this is an alarm: restore them from their backup.",
        subject="keys",
    )


def check_keys(session: Session, key_files: KeyFiles) -> Iterator[Found]:
    """Compare the key files with the owners of the catalogue."""
    owners = owners_by_id(session)
    have = set(key_files.list())
    good = 0
    for owner_id, (subject, is_destroyed) in owners.items():
        if is_destroyed and owner_id in have:
            yield differs(
                "custody/key-not-destroyed",
                "Its record says that its key was destroyed, and the key file is still there, as a crash may leave it. "
                "Run `testigo item destroy` for it once more.",
                subject=subject,
            )
        elif not is_destroyed and owner_id not in have:
            yield differs(
                "custody/key-missing",
                "Its key file is not there: what is sealed to it cannot be opened. Restore the file from a backup.",
                subject=subject,
                owner=str(owner_id),
            )
        else:
            good += owner_id in have
    for owner_id in sorted(have - owners.keys() - {owner.id for owner in unrecorded_owners(session)}):
        yield unknown(
            ORPHAN_KEY,
            "The catalogue has no row of the owner of this key file, as a crash before the commit may leave it. Only "
            "the log, opened with keys, tells whether it is a left-over.",
            subject=f"key {owner_id}",
            owner=str(owner_id),
        )
    yield matches("keys", "owners have their key files", good, one="owner has its key file")


def check_numbers(session: Session) -> Iterator[Found]:
    """Compare the counters of human numbers with the numbers in use.

    One that is too low would give a number twice. One that is too high leaves a gap, and a court would ask what stood
    there: a number is given out in the transaction that uses it, so there is none.
    """
    used = [number for kind in _NUMBERED for number in session.execute(select(kind.table.c.number)).scalars() if number]
    highest = highest_numbers(used)
    last = {
        (kind, year): count
        for kind, year, count in session.execute(select(NumberRow.kind, NumberRow.year, NumberRow.last))
    }
    for kind, year in sorted(highest.keys() | last.keys()):
        counter, in_use = last.get((kind, year), 0), highest.get((kind, year), 0)
        if counter < in_use:
            yield differs(
                "custody/counter-too-low",
                "The counter of these numbers was set back: the next one given out would be in use already.",
                subject=f"numbers {kind}-{year}",
                counter=counter,
                highest=in_use,
            )
        elif counter > in_use:
            yield differs(
                "custody/counter-too-high",
                "The counter of these numbers was set forward: numbers were skipped that nothing ever had.",
                subject=f"numbers {kind}-{year}",
                counter=counter,
                highest=in_use,
            )


def _check_some(store: Store, names: Sequence[str], threads: int) -> Iterator[ObjectFinding]:
    def check(name: str) -> ObjectFinding | None:
        try:
            verify_object(store, name)
        except NotFoundError:
            return None  # What is left over at the end is missing.
        except TestigoError as error:
            found = from_error(error, subject=name)
            return ObjectFinding(name=name, finding=found.finding, reason=error.code)
        return ObjectFinding(name=name, finding=Finding.MATCHES, reason=None)

    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="fixity") as pool:
        yield from filter(None, pool.map(check, names))


def _not_right(result: ObjectFinding, known: RecordedObject) -> Found:
    if result.finding is Finding.DOES_NOT_MATCH:
        return differs(
            "custody/object-damaged",
            f"The bytes of its {known.purpose} are not those that were stored. Keep the file; restore it from a copy.",
            subject=known.item,
            object=result.name,
        )
    return unknown(
        "custody/object-unreadable",
        f"Its {known.purpose} could not be read: {result.reason}.",
        subject=known.item,
        object=result.name,
    )


def _missing(name: str, known: RecordedObject) -> Found:
    return differs(
        "custody/object-missing",
        f"Its {known.purpose} is not in the store. Its record and its log are kept; restore the object from a copy.",
        subject=known.item,
        object=name,
    )


def _without_original(session: Session, only: Sequence[UUID] | None) -> Iterator[Found]:
    item, stored = Item.table.c, StoredObject.table.c
    has_one = select(stored.id).where(stored.item_id == item.id, stored.purpose == "original").exists()
    statement = select(untyped(item.number)).where(~has_one, item.state != DESTROYED)
    if only is not None:
        statement = statement.where(item.id.in_(only))
    for number in session.execute(statement.order_by(item.number)).scalars():
        words = "The catalogue no longer says which object holds its content."
        yield differs("custody/object-unrecorded", words, subject=str(number))


def _destroyed_by_nobody(session: Session, only: Sequence[UUID] | None) -> Iterator[Found]:
    """Name whatever the catalogue alone calls destroyed."""
    founded = with_deaccession(session)
    statement = select(Item.table.c.id, Item.table.c.number).where(Item.table.c.state == DESTROYED)
    if only is not None:
        statement = statement.where(Item.table.c.id.in_(only))
    for item_id, number in session.execute(statement.order_by(Item.table.c.number)):
        if item_id not in founded:
            words = (
                "The catalogue calls it destroyed and no entry of that kind stands in the log for it: the row was "
                "changed. Restore what is missing of it from a backup."
            )
            yield differs("custody/destruction-unfounded", words, subject=number, item=str(item_id))


def owners_by_id(session: Session) -> dict[UUID, tuple[str, bool]]:
    """Return what each owner is called, and whether its key was destroyed."""
    owners: dict[UUID, tuple[str, bool]] = {}
    for (owner_id,) in rows_by_id(session, OrganisationRow.id):
        owners[owner_id] = ("the staff compartment", False)
    incident, item, person = Incident.table.c, Item.table.c, Person.table.c
    destroyed = with_deaccession(session)
    for owner_id, number in rows_by_id(session, incident.id, incident.number):
        owners[owner_id] = (str(number), False)
    for owner_id, number, state in rows_by_id(session, item.id, item.number, item.state):
        owners[owner_id] = (str(number), state == DESTROYED and owner_id in destroyed)
    for owner_id, name in rows_by_id(session, person.id, person.pseudonym):
        owners[owner_id] = (str(name), False)
    for owner_id, number in rows_by_id(session, Visit.table.c.id, Visit.table.c.number):
        owners[owner_id] = (str(number or f"visit {owner_id}"), False)
    return owners
