"""Removing what a crash left: objects and key files that no record speaks of.

The entry comes first. Then, while nobody can commit, each is looked up once more and removed only if it is still an
orphan; whoever records objects confirms, inside the commit, that they are still there (`Vault.confirm`). So nothing
that is just being taken in can be lost to a sweep.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, union_all
from sqlalchemy.orm import Session

from archive.catalogue.database import Database
from archive.catalogue.items import object_digests
from archive.catalogue.models import OrganisationRow
from archive.catalogue.records import Incident, Item, Person, Visit
from archive.keyfiles import KeyFiles
from archive.store.port import Store, named_digest
from archive.types import Actor
from custody.drafts import Draft
from custody.entries import EventKind
from custody.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How many objects, key files and staged writes were removed."""

    objects: int
    keys: int
    staged: int


def sweep(
    *,
    database: Database,
    store: Store,
    key_files: KeyFiles,
    ledger: Ledger,
    actor: Actor,
    objects: Sequence[str],
    keys: Sequence[UUID],
) -> Swept:
    """Remove orphans that an audit named, with an entry; and what killed writers left in staging."""
    staged = store.sweep_staging()
    if not objects and not keys:
        return Swept(objects=0, keys=0, staged=staged)
    ledger.record(
        Draft(
            event=EventKind.DELETION,
            actor=actor,
            values=(
                ("purpose", "orphans swept: no record speaks of them"),
                ("objects", list(objects)),
                ("keys", [str(owner_id) for owner_id in keys]),
            ),
        )
    )
    with database.writing() as session:  # Nothing is written; but nobody else can commit meanwhile.
        recorded, owners = object_digests(session), _owners(session)
        orphans = [name for name in objects if _is_orphan(name, recorded)]
        forsaken = [owner_id for owner_id in keys if owner_id not in owners]
        for name in orphans:
            store.delete(name)
        for owner_id in forsaken:
            key_files.destroy(owner_id)
    return Swept(objects=len(orphans), keys=len(forsaken), staged=staged)


def _is_orphan(name: str, recorded: set[bytes]) -> bool:
    digest = named_digest(name)
    return digest is not None and digest.value not in recorded


def _owners(session: Session) -> set[UUID]:
    tables = (OrganisationRow.id, Incident.table.c.id, Item.table.c.id, Person.table.c.id, Visit.table.c.id)
    return set(session.execute(union_all(*(select(column) for column in tables))).scalars())
