"""Removing what a crash left: objects and key files that no entry of the log speaks of.

Whether the log speaks of one is told by the log, read whole with keys, and never by the catalogue's rows alone. The
entry of the sweep comes first. Then, while nobody can commit, each is looked up once more and removed only if it is
still an orphan; whoever records objects confirms, inside the commit, that they are still there (`Vault.confirm`). So
nothing that is just being taken in can be lost to a sweep.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select, union_all
from sqlalchemy.orm import Session

from archive.backup import COPY_MARK
from archive.catalogue.database import Database
from archive.catalogue.items import object_digests
from archive.catalogue.models import DisclosureRow, EntrySubjectRow
from archive.keyfiles import KeyFiles
from archive.store.port import Store, named_digest
from archive.types import Actor, Finding
from custody.audit_objects import ORPHAN_KEY, ORPHAN_OBJECT
from custody.audit_recorded import OWNER_RECORDS, Spoken
from custody.drafts import Draft
from custody.entries import EventKind
from custody.findings import Found, differs
from custody.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How many objects, key files and staged writes were removed."""

    objects: int
    keys: int
    staged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Objects (by name) and key files (by owner) that no entry of the log speaks of."""

    objects: tuple[str, ...]
    keys: tuple[UUID, ...]

    @classmethod
    def among(cls, problems: Sequence[Found]) -> "Orphans":
        """Take them from what an audit found, once `told_apart` has passed over it."""
        return cls(
            objects=tuple(found.subject for found in problems if found.code == ORPHAN_OBJECT),
            keys=tuple(UUID(str(found.evidence["owner"])) for found in problems if found.code == ORPHAN_KEY),
        )


def told_apart(found: Found, spoken: Spoken) -> Found:
    """Say of what has no row whether the log speaks of it: then it is no left-over, and its row was removed."""
    if found.code == ORPHAN_OBJECT and found.subject in spoken.objects:
        item = spoken.objects[found.subject]
        return differs(
            "custody/object-unrecorded",
            "The log says that this object in the store is its own, and the catalogue has no row of it: the row was "
            "removed. Remove nothing; `testigo rebuild` gives the rows back from the log.",
            subject=spoken.numbers.get(item, f"item {item}"),
            object=found.subject,
        )
    if found.code == ORPHAN_KEY and UUID(str(found.evidence["owner"])) in spoken.owners:
        return differs(
            "custody/record-missing",
            "The log speaks of the owner of this key file and the catalogue has no row of it: the row was removed. "
            "Remove nothing; `testigo rebuild` gives the rows back from the log.",
            subject=found.subject,
            owner=found.evidence["owner"],
        )
    return found


def of_a_copy(found: Found) -> Found:
    """Say of what has no row, in an archive brought back from a backup, that it is no left-over to be swept."""
    if found.code not in (ORPHAN_OBJECT, ORPHAN_KEY):
        return found
    return replace(
        found,
        code="custody/copied-ahead",
        words="No row names it, and this archive was brought back from a backup: it may have come in while that was "
        "made. A later backup, or the first disk, may name it; if both are lost this is the last copy. Keep it. "
        f"{COPY_MARK} in the archive's folder says more.",
    )


def why_not(problems: Sequence[Found], spoken: Spoken) -> str | None:
    """Say why nothing may be removed; None where it may."""
    if any(found.finding is Finding.DOES_NOT_MATCH for found in problems):
        return "something does not match, so nothing is removed"
    if not spoken.is_whole:
        return "some entries could not be opened and may speak of what has no row, so nothing is removed"
    return None


def sweep(
    *,
    database: Database,
    store: Store,
    key_files: KeyFiles,
    ledger: Ledger,
    actor: Actor,
    orphans: Orphans,
    spoken: Spoken,
) -> Swept:
    """Remove orphans that an audit named, with an entry; and what killed writers left in staging.

    `spoken` is what the whole log was read to speak of (`why_not` said None). Raises: ValueError where it is not.
    """
    if not spoken.is_whole:
        raise ValueError("nothing is swept before the whole log was read")
    staged = store.sweep_staging()
    if not orphans.objects and not orphans.keys:
        return Swept(objects=0, keys=0, staged=staged)
    ledger.record(
        Draft(
            event=EventKind.DELETION,
            actor=actor,
            values=(
                ("purpose", "orphans swept: no entry speaks of them"),
                ("objects", list(orphans.objects)),
                ("keys", [str(owner_id) for owner_id in orphans.keys]),
            ),
        )
    )
    with database.writing() as session:  # Nothing is written; but nobody else can commit meanwhile.
        recorded, owners = object_digests(session), _owners(session) | spoken.owners
        objects = [name for name in orphans.objects if _is_orphan(name, recorded) and name not in spoken.objects]
        forsaken = [owner_id for owner_id in orphans.keys if owner_id not in owners]
        for name in objects:
            store.delete(name)
        for owner_id in forsaken:
            key_files.destroy(owner_id)
    return Swept(objects=len(objects), keys=len(forsaken), staged=staged)


def _is_orphan(name: str, recorded: set[bytes]) -> bool:
    digest = named_digest(name)
    return digest is not None and digest.value not in recorded


def _owners(session: Session) -> set[UUID]:
    """Return whoever has a row, is named by an entry or has values sealed: also what was committed since the audit."""
    columns = [record.table.c.id for record in OWNER_RECORDS.values()]
    named = (EntrySubjectRow.owner_id, DisclosureRow.owner_id)
    return set(session.execute(union_all(*(select(column) for column in (*columns, *named)))).scalars())
