"""The work behind the queue's `preview` jobs: open an original, make its previews, seal and record them.

While locked nothing is tried: the job waits. Each try that opens an original is an access entry first. What was made,
what could not be made and why, and the end of the job are one transaction; so a worker that is killed leaves orphans
for the sweep, and the next one does it all again.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from archive.age.seekable import SeekableReader
from archive.catalogue.database import Database
from archive.catalogue.items import NOT_SHOWN, items_by_id, objects_of
from archive.catalogue.records import Item, Json, StoredObject
from archive.errors import InputError, LockedError, UnavailableError
from archive.jobs import Job
from archive.sealing import StagedObject
from archive.types import Actor, Digest, DigestAlgorithm, NewId, Outcome, Owner, OwnerKind
from archive.vault import Vault
from archive.worker import Done, Lease, NotDone
from custody.drafts import Draft, ItemPart, Values
from custody.entries import EventKind
from custody.ledger import Ledger
from media.cleaners.port import Sink
from media.preview_parts import Facts, NotMade, Part, Preview, Streamed
from media.problems import Problem
from media.workbench import Workbench

PURPOSE = "make previews"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A preview that is sealed and staged."""

    purpose: str
    mime_type: str
    tool: str
    facts: Facts
    staged: StagedObject


class Previewing:
    """A handler of jobs whose subject is an item's id. `actor` is whoever runs the worker, asked when work begins."""

    def __init__(
        self,
        *,
        vault: Vault,
        ledger: Ledger,
        workbench: Callable[[], Workbench],
        database: Database,
        actor: Callable[[], Actor],
        new_id: NewId,
    ) -> None:
        self._vault = vault
        self._ledger = ledger
        self._workbench = workbench
        self._database = database
        self._actor = actor
        self._new_id = new_id

    def work(self, job: Job, lease: Lease) -> Done | NotDone:
        """Make the previews of one item. Raises: LockedError `archive/locked`; as `Vault`."""
        item, objects = self._item(job)
        if item is None or "original" not in objects or not self._vault.key_files.has(item.id):
            return Done(words="the item or its key is gone")
        if any(purpose not in NOT_SHOWN for purpose in objects):
            return Done(words="its previews are here already")
        if self._vault.agent.status() is None:
            raise LockedError("archive/locked", "The archive is locked. Previews are made after the next unlock.")
        with ExitStack() as closing, self._opened(item, objects["original"]) as source:
            kept: list[_Kept] = []
            missing: list[NotMade] = []
            examination = self._workbench().examine(source)
            for preview in self._workbench().previews(source, examination):
                for one in self._keep(preview, item):
                    if isinstance(one, NotMade):
                        missing.append(one)
                    else:
                        closing.callback(one.staged.staged.abort)
                        kept.append(one)
            self._vault.publish([each.staged for each in kept])
            self._commit(item, kept, missing, lease)
        words = ["1 preview" if len(kept) == 1 else f"{len(kept)} previews"] if kept else []
        return Done(words="; ".join([*words, *(f"not processed: {each.problem}" for each in missing)]))

    def give_up(self, job: Job, reason: str, lease: Lease) -> None:
        """Enter in the item's log that it has no previews, and why; needs no key."""
        item, _ = self._item(job)
        if item is None:
            return
        missing = NotMade(purpose="previews", problem=Problem(code="media/gave-up", reason=reason))
        with self._ledger.transaction() as transaction:
            transaction.record(self._draft(item, [], [missing]))
            lease.fail(transaction.session, reason)

    def _item(self, job: Job) -> tuple[Item | None, dict[str, StoredObject]]:
        item_id = UUID(job.subject)
        with self._database.reading() as session:
            return items_by_id(session, [item_id]).get(item_id), objects_of(session, item_id)

    @contextmanager
    def _opened(self, item: Item, original: StoredObject) -> Iterator[SeekableReader]:
        """Enter the access, then open the original."""
        owner = Owner(kind=OwnerKind.ITEM, id=item.id)
        self._vault.refuse_closed([item.id])
        access = self._ledger.record_access(self._actor(), [owner], PURPOSE, recipients={item.id: item.recipient})
        keys = self._vault.unwrap(access, [item.id])
        with self._vault.open_object(keys[item.id], Digest(DigestAlgorithm.BLAKE3, original.blake3)) as source:
            yield source

    def _keep(self, preview: Preview, item: Item) -> Iterator[_Kept | NotMade]:
        match preview:
            case NotMade():
                yield preview
            case Part():
                staged = self._vault.stage(io.BytesIO(preview.content), item.recipient)
                yield _Kept(
                    purpose=preview.purpose,
                    mime_type=preview.mime_type,
                    tool=preview.tool,
                    facts=preview.facts,
                    staged=staged,
                )
            case Streamed():
                yield from self._keep_streamed(preview, item)

    def _keep_streamed(self, preview: Streamed, item: Item) -> Iterator[_Kept | NotMade]:
        with self._vault.stage_patchable(item.recipient) as stage:
            try:
                facts, beside = preview.write(cast(Sink, stage.sink))
            except (InputError, UnavailableError) as error:
                yield NotMade(purpose=preview.purpose, problem=Problem.of(error))
                return
            staged = stage.finish()
        yield _Kept(purpose=preview.purpose, mime_type=preview.mime_type, tool=preview.tool, facts=facts, staged=staged)
        for part in beside:
            yield from self._keep(part, item)

    def _commit(self, item: Item, kept: Sequence[_Kept], missing: Sequence[NotMade], lease: Lease) -> None:
        with self._ledger.transaction() as transaction:
            self._vault.confirm([each.staged for each in kept], [item.id])
            transaction.record(self._draft(item, kept, missing))
            lease.complete(transaction.session)

    def _draft(self, item: Item, kept: Sequence[_Kept], missing: Sequence[NotMade]) -> Draft:
        named = {"item": str(item.id)}
        values: list[tuple[str, Json]] = []
        for each in kept:
            values += self._values(item, each)
        for none in missing:
            told = {"purpose": none.purpose, "code": none.problem.code, "reason": none.problem.reason}
            values.append(("not_processed", {**named, **told}))
        outcome = Outcome.SUCCESS if not missing else Outcome.WARNING if kept else Outcome.FAILURE
        part = ItemPart(item_id=item.id, recipient=item.recipient, values=tuple(values))
        general: Values = (("purpose", PURPOSE),)
        return Draft(event=EventKind.CREATION, outcome=outcome, actor=self._actor(), values=general, items=(part,))

    def _values(self, item: Item, kept: _Kept) -> Values:
        named, sealed = {"item": str(item.id), "purpose": kept.purpose}, kept.staged.sealed
        stored = StoredObject(
            id=self._new_id(),
            item_id=item.id,
            purpose=kept.purpose,
            blake3=sealed.blake3.value,
            sealed_size=sealed.sealed_size,
        )
        derivative: Json = {
            **named,
            "parent": "original",
            "mime_type": kept.mime_type,
            "tool": kept.tool,
            "facts": kept.facts,
            "sha256": sealed.sha256.hex,
            "size": sealed.size,
        }
        place: Json = {**named, "blake3": sealed.blake3.hex, "sealed_size": sealed.sealed_size}
        return (("derivative", derivative), ("record", stored.to_log()), ("object", place))
