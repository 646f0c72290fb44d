"""The way in: seven steps that every file takes, alone or in a group.

    1  read the untrusted stream once: SHA-256, count, first 64 KiB
    2  seal it as it flows; make it durable under the BLAKE3 of its ciphertext; read the ciphertext back
    3  identify what it is, from its bytes
    4  extract what it says about itself: untrusted claims, kept whole and sealed
    5  apply the metadata policy
    6  commit: records and entries, in one transaction, or neither
    7  publish: tiles, a signed checkpoint, requests for time-stamps

Nothing here needs a key that opens the archive: steps 3 and 4 read through the seal with the file key that is still in
memory. Until step 6 an object is an orphan, which a sweep removes; after step 6 no crash loses it.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import BinaryIO

from sqlalchemy.orm import Session

from archive.catalogue.accounts import read_secret
from archive.catalogue.database import Database
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Item
from archive.errors import ConflictError
from archive.jobs import JobKind, JobQueue
from archive.settings import IngestSettings
from archive.types import AtIngest, NewId
from archive.vault import Vault
from custody.ledger import Ledger
from custody.publication import Publisher
from ingest.comparing import ask_for_comparison
from ingest.entering import Taken, enter_duplicate, enter_item, enter_refusal, item_id_of
from ingest.preparing import Prepared, Preparing, Rooms, here_already, new_item_key
from ingest.proofs import check_proofs
from ingest.reception import Arrival, Begun, Reception, Refused, Result, Stored
from ingest.stripping import Stripping
from media.policy import Policy
from media.workbench import Workbench


class Intake:
    """The room object of ingest."""

    def __init__(
        self,
        *,
        vault: Vault,
        ledger: Ledger,
        publisher: Publisher,
        workbench: Workbench,
        database: Database,
        jobs: JobQueue,
        settings: IngestSettings,
        policy: Policy,
        equality: bool,
        new_id: NewId,
    ) -> None:
        self._vault = vault
        self._ledger = ledger
        self._publisher = publisher
        strips = AtIngest.STRIP in policy.at_ingest.values()
        self._rooms = Rooms(
            vault=vault,
            workbench=workbench,
            database=database,
            policy=policy,
            stripping=Stripping(vault=vault, workbench=workbench, policy=policy) if strips else None,
            new_id=new_id,
        )
        self._database = database
        self._jobs = jobs
        self._settings = settings
        self._equality = equality
        self._new_id = new_id

    def receive(self, reception: Reception, arrivals: Sequence[Arrival]) -> list[Result]:
        """Take a group of files through the seven steps; the result of each is durable when this returns.

        Raises: UnavailableError and IntegrityError where the archive itself fails: then no file of the group is in.
        A file that cannot be read is a `Refused`, entered in the log, and does not hold up the others.
        """
        ((_, results),) = self.receive_groups(reception, (arrivals,))
        return results

    def receive_groups(
        self, reception: Reception, groups: Iterable[Sequence[Arrival]]
    ) -> Generator[tuple[Sequence[Arrival], list[Result]], None, None]:
        """Take groups in, one after the other, each as `receive` does; yield each with its results.

        While one is committed the next two are prepared, so `groups` is asked ahead, by another thread. Close what this
        returns when it is not read to its end.
        """
        keyring = self._ledger.keyrings.standing().vault
        intake_key = None
        if self._equality:
            with self._database.reading() as session:
                intake_key = read_secret(session, "intake-key")
        with Preparing(self._rooms, keyring, intake_key, groups) as preparing:
            for group in preparing:
                taken = [each for each in group.sealed if isinstance(each, Taken)]
                check_proofs(group.fresh, taken, self._vault, self._rooms.workbench)
                self._vault.publish([each.metadata for each in group.fresh if each.metadata is not None])
                results = self._commit(reception, group)
                interrupt = self._publish_surely()
                yield group.arrivals, results
                if interrupt is not None:
                    raise interrupt

    def _publish_surely(self) -> KeyboardInterrupt | None:
        """Publish what was committed; return an interrupt that came meanwhile.

        What is in must be told before the interrupt goes on: its receipt can be made from these results alone.
        """
        try:
            self._publisher.publish()
        except KeyboardInterrupt as interrupt:
            self._publisher.publish()
            return interrupt
        return None

    @property
    def keeps_whole(self) -> bool:
        """Whether every kind of evidence is kept as it comes, so that a stream can be begun on before all is here."""
        return self._rooms.stripping is None

    def begin(self, source: BinaryIO) -> Begun:
        """Take a stream that may still arrive through step 1 and the first half of step 2; `receive` goes on with it.

        What is begun is nothing yet: whoever does not go on with it drops it.
        """
        key = new_item_key(self._rooms, self._ledger.keyrings.standing().vault)
        return Begun(key=key, original=self._vault.stage(source, key.recipient))

    def make_ready(self) -> None:
        """Start what steps 3 and 4 will need, so that a stream that is begun on does not wait for it at its end."""
        self._rooms.workbench.make_ready()

    @property
    def equality(self) -> bool:
        """Whether equal content is recognised; where not, everything is stored as new."""
        return self._equality

    def here_already(self, session: Session, macs: Sequence[bytes]) -> dict[bytes, Item]:
        """Find for each content an item that still has its original and its key: a file is linked to no other."""
        return here_already(self._vault, session, macs)

    def sweep_staging(self) -> int:
        """Remove what killed runs left half sealed; nothing of a living one's. Return how many there were."""
        return self._vault.store.sweep_staging()

    # ── steps 5 and 6 ────────────────────────────────────────────────────────────────────────────────────────────────

    def _commit(self, reception: Reception, group: Prepared) -> list[Result]:
        results: list[Result] = []
        sealed, fresh = group.sealed, group.fresh
        stored = [staged for each in fresh for staged in (each.original, each.metadata) if staged is not None]
        with self._ledger.transaction() as transaction:
            self._vault.confirm(stored, [each.key.owner.id for each in fresh])
            macs = [each.content_mac for each in sealed if isinstance(each, Taken) and each.content_mac is not None]
            known = self.here_already(transaction.session, macs)
            # Another process may have taken in the same content since it was looked for; ours is then an orphan.
            is_fresh = {id(each) for each in fresh if each.content_mac not in known}
            year, count = transaction.now.year, len(is_fresh)
            numbers = iter(next_numbers(transaction.session, NumberKind.ITEM, year, count) if count else [])
            for arrival, each in zip(group.arrivals, sealed, strict=True):
                if isinstance(each, Refused):
                    results.append(enter_refusal(transaction, reception, arrival, each, self._new_id))
                elif id(each) in is_fresh:
                    main = item_id_of(results[arrival.main]) if arrival.main is not None else arrival.main_item
                    new = enter_item(transaction, reception, each, next(numbers), main, self._new_id)
                    results.append(new)
                    if each.content_mac is not None:
                        known[each.content_mac] = new.item
                else:
                    twin = _still_there(known.get(each.content_mac or b""))
                    results.append(enter_duplicate(transaction, reception, each, twin, self._new_id))
            ask_for_comparison(self._jobs, transaction.session, results)
            new_items = [str(each.item.id) for each in results if isinstance(each, Stored)]
            self._jobs.enqueue(transaction.session, JobKind.PREVIEW, new_items)
        return results


def _still_there(twin: Item | None) -> Item:
    if twin is None:
        raise ConflictError(
            "ingest/twin-gone",
            "An item with the same content as one of these files was destroyed just now. Nothing of this group was "
            "taken in. Do the same again.",
        )
    return twin
