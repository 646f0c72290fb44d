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

from archive.age.keyring import Keyring
from archive.catalogue.accounts import read_secret
from archive.catalogue.database import Database
from archive.catalogue.items import items_with_content
from archive.catalogue.numbers import NumberKind, next_numbers
from archive.catalogue.records import Item
from archive.errors import ConflictError
from archive.settings import IngestSettings
from archive.types import NewId
from archive.vault import Vault
from custody.ledger import Ledger
from custody.publication import Publisher
from ingest.entering import Taken, enter_duplicate, enter_item, enter_refusal
from ingest.preparing import Prepared, Preparing, Rooms
from ingest.reception import Arrival, Reception, Refused, Result
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
        settings: IngestSettings,
        equality: bool,
        new_id: NewId,
    ) -> None:
        self._vault = vault
        self._ledger = ledger
        self._publisher = publisher
        self._rooms = Rooms(vault=vault, workbench=workbench, database=database, new_id=new_id)
        self._database = database
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
        keyring = Keyring.parse(reception.organisation.vault_keyring)
        intake_key = None
        if self._equality:
            with self._database.reading() as session:
                intake_key = read_secret(session, "intake-key")
        with Preparing(self._rooms, keyring, intake_key, groups) as preparing:
            for group in preparing:
                self._vault.publish([each.metadata for each in group.fresh if each.metadata is not None])
                results = self._commit(reception, group)
                self._publisher.publish()
                yield group.arrivals, results

    @property
    def equality(self) -> bool:
        """Whether equal content is recognised; where not, everything is stored as new."""
        return self._equality

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
            known = items_with_content(transaction.session, macs)
            # Another process may have taken in the same content since it was looked for; ours is then an orphan.
            is_fresh = {id(each) for each in fresh if each.content_mac not in known}
            year, count = transaction.now.year, len(is_fresh)
            numbers = iter(next_numbers(transaction.session, NumberKind.ITEM, year, count) if count else [])
            for arrival, each in zip(group.arrivals, sealed, strict=True):
                if isinstance(each, Refused):
                    results.append(enter_refusal(transaction, reception, arrival, each, self._new_id))
                elif id(each) in is_fresh:
                    main = results[arrival.main] if arrival.main is not None else None
                    new = enter_item(transaction, reception, each, next(numbers), main, self._new_id)
                    results.append(new)
                    if each.content_mac is not None:
                        known[each.content_mac] = new.item
                else:
                    twin = _still_there(known.get(each.content_mac or b""))
                    results.append(enter_duplicate(transaction, reception, each, twin, self._new_id))
        return results


def _still_there(twin: Item | None) -> Item:
    if twin is None:
        raise ConflictError(
            "ingest/twin-gone",
            "An item with the same content as one of these files was destroyed just now. Nothing of this group was "
            "taken in. Do the same again.",
        )
    return twin
