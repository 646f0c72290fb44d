"""Finding better originals: a job looks at the photos and films of an incident and links copies with camera files.

What a file looks like is personal, so its likeness is sealed to the item and can be compared only while the archive is
unlocked; until then the job waits. Each look at an item is an entry first. A link is made between a file that was
graded a camera file and one that was not; it is a claim on both items and says by what they were found alike.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.orm import Session

from archive.access import LoggedAccess
from archive.age.recipients import KeyIdentity
from archive.catalogue.database import Database
from archive.catalogue.items import list_items, objects_by_item
from archive.catalogue.records import Item, Json, StoredObject
from archive.errors import IntegrityError, LockedError
from archive.jobs import Job, JobKind, JobQueue
from archive.types import Digest, DigestAlgorithm, EvidenceKind, ItemRole, NewId, Owner, OwnerKind
from archive.vault import StagedObject, Vault
from archive.worker import Done, Lease, NotDone
from custody.better_original import Link, link_draft
from custody.drafts import Draft, ItemPart, Values
from custody.entries import EventKind
from custody.ledger import Ledger, Transaction
from custody.register import Register
from ingest.reception import Result, Stored
from media.likeness import Likeness, alike
from media.received_as import Grade
from media.workbench import Workbench

PURPOSE = "likeness"
"""The purpose of the sealed object that holds what an item looks like."""

_KINDS = (EvidenceKind.PHOTO, EvidenceKind.VIDEO)
_AT_ONCE = 32
_OPENED_AT_ONCE = 500


def ask_for_comparison(jobs: JobQueue, session: Session, results: Sequence[Result]) -> None:
    """Ask for one look at the group's photos and films, in the transaction that takes them in."""
    new = [each.item for each in results if isinstance(each, Stored) and each.item.evidence_kind in _KINDS]
    first = {item.incident_id: item.id for item in reversed(new)}
    jobs.enqueue(session, JobKind.COMPARE, [f"{incident}/{item}" for incident, item in first.items()])


def ask_to_compare(
    jobs: JobQueue, session: Session, items: Sequence[Item], objects: Mapping[UUID, Mapping[str, StoredObject]]
) -> int:
    """Ask for one look at each incident that has photos or films without a likeness; return how many."""
    new = [item for item in items if item.evidence_kind in _KINDS and PURPOSE not in objects[item.id]]
    first = {item.incident_id: item.id for item in reversed(new)}
    jobs.enqueue(session, JobKind.COMPARE, [f"{incident}/{item}" for incident, item in first.items()])
    return len(first)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """One item that was looked at now: its likeness, staged to be kept; whether its small copy shows another one."""

    item: Item
    likeness: Likeness
    copy_differs: bool | None
    staged: StagedObject


class Comparing:
    """A handler of jobs: makes the likeness of what has none, and compares it with the incident's others."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        ledger: Ledger,
        register: Register,
        workbench: Callable[[], Workbench],
        new_id: NewId,
    ) -> None:
        self._database = database
        self._vault = vault
        self._ledger = ledger
        self._register = register
        self._workbench = workbench
        self._new_id = new_id

    def work(self, job: Job, lease: Lease) -> Done | NotDone:
        """Look at everything of the job's incident that was not looked at yet. Raises: LockedError while locked."""
        incident = UUID(job.subject.partition("/")[0])
        known: dict[UUID, Likeness] = {}
        looked = linked = 0
        while True:
            fresh, others = self._to_do(incident)
            if not fresh:
                return Done(words=f"{looked} looked at, {linked} linked" if looked else "all were looked at before")
            items = {item.id: item for item in (*fresh, *others)}
            known |= self._open_likenesses([item for item in others if item.id not in known])
            found = self._look(fresh[:_AT_ONCE])
            known |= {each.item.id: each.likeness for each in found}
            links = [link for each in found for link in _links(each, known, items)]
            more = len(fresh) > _AT_ONCE
            self._keep(found, links, None if more else lease)
            looked, linked = looked + len(found), linked + len(links)
            if not more:
                return Done(words=f"{looked} looked at, {linked} linked")

    def give_up(self, job: Job, reason: str, lease: Lease) -> None:
        """Leave it to the queue, where the reason stays in sight: nothing of an item is wanting."""

    def _to_do(self, incident: UUID) -> tuple[list[Item], list[Item]]:
        """Give the incident's photos and films without a likeness, and those with one."""
        with self._database.reading() as session:
            items = [
                item
                for item, _ in list_items(session, incident_id=incident)
                if item.evidence_kind in _KINDS
                and item.role == ItemRole.ORIGINAL
                and item.state == "kept"
                # One whose key was just destroyed must not keep the others from being compared.
                and self._vault.key_files.has(item.id)
            ]
            objects = objects_by_item(session, [item.id for item in items])
        fresh = [item for item in items if PURPOSE not in objects[item.id]]
        return fresh, [item for item in items if PURPOSE in objects[item.id]]

    def _open_likenesses(self, items: Sequence[Item]) -> dict[UUID, Likeness]:
        found: dict[UUID, Likeness] = {}
        for start in range(0, len(items), _OPENED_AT_ONCE):
            some = items[start : start + _OPENED_AT_ONCE]
            keys = self._unwrap(some, "compare what items look like")
            with self._database.reading() as session:
                objects = objects_by_item(session, [item.id for item in some])
            for item in some:
                raw = self._read(keys[item.id], objects[item.id][PURPOSE])
                likeness = Likeness.from_json(raw)
                if likeness is not None:
                    found[item.id] = likeness
        return found

    def _look(self, items: Sequence[Item]) -> list[_Looked]:
        """Open each original against an entry, look at it, and stage what was seen, sealed to the item."""
        keys = self._unwrap(items, "look at what an item shows, to find better originals")
        with self._database.reading() as session:
            objects = objects_by_item(session, [item.id for item in items])
        looked: list[_Looked] = []
        try:
            for item in items:
                entries = self._register.open(self._register.seqs_of(item.id)[:1], {item.id: keys[item.id]})
                mime_type = str((entries[0].get("format") or {}).get("mime_type", ""))
                grade = str((entries[0].get("received_as") or {}).get("grade", Grade.UNKNOWN))
                name = Digest(DigestAlgorithm.BLAKE3, objects[item.id]["original"].blake3)
                kind = EvidenceKind(item.evidence_kind)
                with self._vault.open_object(keys[item.id], name) as source:
                    likeness = self._workbench().likeness(source, kind, mime_type, grade)
                    differs = self._workbench().small_copy_differs(source, likeness)
                if differs and likeness.grade == Grade.CAMERA_FILE:
                    # No camera's small copy shows another picture, so this is nobody's better original.
                    likeness = replace(likeness, grade=Grade.UNKNOWN)
                staged = self._vault.stage(io.BytesIO(likeness.to_json()), item.recipient)
                looked.append(_Looked(item=item, likeness=likeness, copy_differs=differs, staged=staged))
            self._vault.publish([each.staged for each in looked])
        except BaseException:  # Raised again; what is staged must not stay.
            for each in looked:
                each.staged.staged.abort()
            raise
        return looked

    def _keep(self, looked: Sequence[_Looked], links: Sequence[Link], lease: Lease | None) -> None:
        """Record likenesses, links and, with the last of them, the job's end: all of it or nothing."""
        with self._ledger.transaction() as transaction:
            self._vault.confirm([each.staged for each in looked], [each.item.id for each in looked])
            self._record(transaction, looked)
            for link in links:
                transaction.record(link_draft(link))
            if lease is not None:
                lease.complete(transaction.session)

    def _record(self, transaction: Transaction, looked: Sequence[_Looked]) -> None:
        parts = []
        for each in looked:
            sealed = each.staged.sealed
            stored = StoredObject(
                id=self._new_id(),
                item_id=each.item.id,
                purpose=PURPOSE,
                blake3=sealed.blake3.value,
                sealed_size=sealed.sealed_size,
            )
            about: dict[str, Json] = {"item": str(each.item.id), "purpose": PURPOSE, "blake3": sealed.blake3.hex}
            values: Values = (("record", stored.to_log()), ("object", {**about, "sealed_size": sealed.sealed_size}))
            if each.copy_differs is not None:
                values += (("small_copy", {"item": str(each.item.id), "differs": each.copy_differs}),)
            parts.append(ItemPart(item_id=each.item.id, recipient=each.item.recipient, values=values))
        purpose = (("purpose", "looked at, to find better originals"),)
        transaction.record(Draft(event=EventKind.METADATA_EXTRACTION, values=purpose, items=tuple(parts)))

    def _unwrap(self, items: Sequence[Item], purpose: str) -> dict[UUID, KeyIdentity]:
        owners = [Owner(kind=OwnerKind.ITEM, id=item.id) for item in items]
        if not owners:
            return {}
        if self._vault.agent.status() is None:
            # Asked first, so that the log holds no access that never was.
            raise LockedError("archive/locked", "The archive is locked. Nothing was opened. Run `testigo unlock`.")
        access: LoggedAccess = self._ledger.record_access(
            None, owners, purpose, recipients={item.id: item.recipient for item in items}
        )
        return self._vault.unwrap(access, [owner.id for owner in owners])

    def _read(self, key: KeyIdentity, stored: StoredObject) -> bytes:
        try:
            with self._vault.open_object(key, Digest(DigestAlgorithm.BLAKE3, stored.blake3)) as source:
                return source.read()
        except IntegrityError as error:
            if error.code != "archive/object-missing":
                raise
            return b""  # An audit names a missing object; here there is only less to compare with.


def _links(each: _Looked, known: dict[UUID, Likeness], items: dict[UUID, Item]) -> Iterator[Link]:
    """Pair what was looked at with every other of which one alone is a camera file."""
    for other_id, other in known.items():
        if other_id == each.item.id or (each.likeness.grade == Grade.CAMERA_FILE) == (other.grade == Grade.CAMERA_FILE):
            continue
        reason = alike(each.likeness, other)
        if reason is None or other_id not in items:
            continue
        pair = (each.item, items[other_id])
        copy, original = pair if other.grade == Grade.CAMERA_FILE else pair[::-1]
        yield Link(copy=copy, original=original, reason=reason.value())
