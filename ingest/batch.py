"""Batch import: a folder, SD card or phone dump, each file exactly once, resumable after a kill at any moment.

What became of a file is committed together with the file, so a run that goes on skips what an earlier run had ended:
the file of that path, size and time, no other. Only who names an unfinished import goes on with it; what comes without
its number is a new one. It closes with a reconciliation: seen = stored + linked + refused.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from archive.catalogue.accounts import organisation, read_secret
from archive.catalogue.database import Database
from archive.catalogue.incidents import import_by_number, import_files, open_imports
from archive.catalogue.items import items_by_id
from archive.catalogue.records import ImportBatch
from archive.errors import ConflictError, InputError, UnavailableError
from archive.settings import IngestSettings
from archive.types import Clock, NewId
from custody.canonical import Json
from custody.drafts import Draft
from custody.entries import EventKind
from custody.ledger import Ledger
from custody.publication import Publisher
from ingest.beginning import enter_going_on, enter_new
from ingest.folder import Listing, list_source, open_source_file
from ingest.grouping import groups_of
from ingest.held import hold_import, refuse_held
from ingest.intake import Intake
from ingest.listed import Macs, Standing, drop_list, kept_list, source_mac, stand
from ingest.preparing import content_mac
from ingest.progress import Tally, Watch
from ingest.reception import Arrival, Reception, Result
from ingest.reconciliation import Forecast, ImportRequest, Reconciliation

_NONE = UUID(int=0)
"""Stands for an import that was not begun: nothing is known by it."""


class BatchImport:
    """Imports of many files at once. `free_octets` tells how much room the disk of the objects has."""

    def __init__(
        self,
        *,
        intake: Intake,
        ledger: Ledger,
        publisher: Publisher,
        database: Database,
        settings: IngestSettings,
        locks: Path,
        free_octets: Callable[[], int],
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._intake = intake
        self._ledger = ledger
        self._publisher = publisher
        self._database = database
        self._settings = settings
        self._locks = locks
        self._free_octets = free_octets
        self._clock = clock
        self._new_id = new_id
        self._listings: dict[UUID, Listing] = {}
        """What was listed by `begin`, for `run` to read just that: what changes in between is then told once."""

    def forecast(self, request: ImportRequest, watch: Watch) -> Forecast:
        """Read every file and say what an import would do; write nothing."""
        listing = self._list(request)
        batch = self._named(request)
        with self._database.reading() as session:
            key = read_secret(session, "intake-key")
            rows = import_files(session, batch.id) if batch is not None else {}
        macs = Macs(key, batch.id if batch is not None else _NONE)
        listed = kept_list(self._locks, batch.id, macs) if batch is not None else ()
        standing = stand(macs, listing, rows, listed, request.listed)
        known = self._unlike(batch, request, listing, standing, key).macs if batch is not None else standing.macs
        ended = {path for path, mac in known.items() if mac in rows}
        files = [each for each in listing.files if each.path not in ended]
        refused = [(skip.path, skip.error) for skip in listing.skipped if skip.path not in standing.ended]
        refused += [(gone.path, gone.error) for gone in standing.gone]
        digests: list[tuple[bytes, int]] = []
        tally = Tally(watch, files=(0, len(files)), octets=(0, sum(each.size for each in files)))
        for file in files:
            try:
                with open_source_file(request.source, file, partial(tally.read, file.path)) as stream:
                    digests.append((_sha256(stream), file.size))
            except InputError as error:
                refused.append((file.path, error))
            tally.end(file.path, None)
        new, new_octets = self._new_among(key, digests)
        return Forecast(
            going_on=batch.number if batch is not None else None,
            ended=len(ended),
            new=new,
            new_octets=new_octets,
            known=len(digests) - new,
            refused=tuple(refused),
            unclaimed=_unclaimed(request, listing),
            mounted_read_only=listing.mounted_read_only,
            lacking=max(0, new_octets + self._reserve - self._free_octets()),
            list_was_here=standing.list_is_here,
        )

    def unfinished(self, source: Path) -> list[ImportBatch]:
        """Find the imports of that source that were begun and not ended, the newest first."""
        with self._database.reading() as session:
            return open_imports(session, source_mac(read_secret(session, "intake-key"), source))

    def begin(self, request: ImportRequest) -> ImportBatch:
        """Open an import: enter a new one, or go on with the one that `request.resume` names.

        Raises: InputError `batch/nothing-there`; ConflictError `batch/other-import` where `request.resume` names none
        of this source and incident that is unfinished; ConflictError `archive/held` where another process imports from
        the same source just now. Nothing is entered then.
        """
        listing = self._list(request)
        earlier = self._named(request)
        for each in self.unfinished(request.source) if earlier is None else (earlier,):
            refuse_held(self._locks, each)
        if earlier is not None:
            enter_going_on(self._ledger, earlier, request, listing)
            self._listings[earlier.id] = listing
            return earlier
        with self._database.reading() as session:
            key = read_secret(session, "intake-key")
        batch = enter_new(self._ledger, self._locks, key, self._new_id(), request, listing)
        self._listings[batch.id] = listing
        return batch

    def run(
        self, batch: ImportBatch, request: ImportRequest, watch: Watch, results: list[tuple[str, Result]] | None = None
    ) -> Reconciliation:
        """Take in whatever of the source is not in yet, then close the import.

        `results` is filled as files end, each before `watch` hears of it, for whoever must know them where this raises.
        Raises: ConflictError `archive/held` where another process works on the same import, `batch/ended` where it
        ended it meanwhile; the errors of the archive itself (a full disk): then what was acknowledged is in, and the
        same call goes on later.
        """
        with hold_import(self._locks, batch.id, self._clock):
            self._intake.sweep_staging()
            listing = self._listings.pop(batch.id, None) or self._list(request)
            with self._database.reading() as session:
                if import_by_number(session, batch.number)[0].status != "running":
                    raise ConflictError(
                        "batch/ended", "Another process ended this import meanwhile. Nothing was changed by this one."
                    )
                ours = organisation(session)
                key = read_secret(session, "intake-key")
                macs = Macs(key, batch.id)
                listed = kept_list(self._locks, batch.id, macs)
                standing = stand(macs, listing, import_files(session, batch.id), listed, request.listed)
            reception = Reception(
                actor=request.actor,
                organisation=ours,
                incident=request.incident,
                method="import",
                batch=batch,
                values=(("import", batch.number),),
            )
            ended = standing.ended
            tally = Tally(
                watch,
                files=(len(ended), listing.seen + len(standing.gone)),
                octets=(sum(file.size for file in listing.files if file.path in ended), listing.size),
            )
            results = [] if results is None else results
            self._take(reception, request, listing, standing, tally, results)
            if request.resume is not None:
                unlike = self._unlike(batch, request, listing, standing, key)
                if unlike.ended != standing.ended:
                    self._take(reception, request, listing, unlike, tally, results)
                standing = unlike
            return self._close(batch, request, listing, standing, results)

    def _take(
        self,
        reception: Reception,
        request: ImportRequest,
        listing: Listing,
        standing: Standing,
        tally: Tally,
        results: list[tuple[str, Result]],
    ) -> None:
        """Take in what has not ended, in groups."""
        groups = self._with_room(groups_of(listing, request, standing, tally, self._settings))
        with closing(self._intake.receive_groups(reception, groups)) as received:
            for group, ends in received:
                ended_now = [(each.untrusted_path, result) for each, result in zip(group, ends, strict=True)]
                results += ended_now
                for path, result in ended_now:
                    tally.end(path, result)

    def _unlike(
        self, batch: ImportBatch, request: ImportRequest, listing: Listing, standing: Standing, key: bytes
    ) -> Standing:
        """Compare what an earlier run took in with what stands there now; whatever holds something else is yet to come.

        Last, so that a card that is dying gives first what nobody has. Where nothing tells what came in (an item that
        was destroyed, or cleaned at intake, or `intake_equality` off), nothing is compared.
        """
        with self._database.reading() as session:
            rows = import_files(session, batch.id)
            found = items_by_id(session, [row.item_id for row in rows.values() if row.item_id is not None])
        kept = {mac: found[row.item_id].content_mac for mac, row in rows.items() if row.item_id is not None}
        macs, unlike = dict(standing.macs), set()
        for file in listing.files:
            mac = macs[file.path]
            if file.path not in standing.ended or kept.get(mac) is None or rows[mac].size != file.size:
                continue
            with suppress(InputError), open_source_file(request.source, file) as stream:
                digest = _sha256(stream)
                if content_mac(key, digest) != kept[mac]:
                    macs[file.path] = Macs(key, batch.id).unlike(mac, digest)
                    unlike.add(file.path)
        new = {path for path in unlike if macs[path] not in rows}
        ended = frozenset(standing.macs) - new if new else standing.ended
        return replace(standing, macs=macs, ended=ended, gone=(), seen=standing.seen + len(new))

    def _close(
        self,
        batch: ImportBatch,
        request: ImportRequest,
        listing: Listing,
        standing: Standing,
        results: Sequence[tuple[str, Result]],
    ) -> Reconciliation:
        with self._database.reading() as session:
            ended = import_files(session, batch.id)
        counts = {
            name: sum(1 for file in ended.values() if file.outcome == name) for name in ("stored", "linked", "refused")
        }
        reconciliation = Reconciliation(
            number=batch.number,
            seen=standing.seen,
            results=tuple(results),
            unclaimed=_unclaimed(request, listing),
            list_was_here=standing.list_is_here,
            **counts,
        )
        told: dict[str, Json] = {
            "seen": reconciliation.seen,
            **counts,
            "claims_without_file": len(reconciliation.unclaimed),
            **({} if standing.list_is_here else {"gone_since_it_began": "cannot tell"}),
        }
        self._ledger.record(
            Draft(
                event=EventKind.IMPORT,
                actor=request.actor,
                values=(
                    ("purpose", "import ended"),
                    ("reconciliation", told),
                    ("record", replace(batch, status="ended").to_log()),
                ),
            )
        )
        self._publisher.publish()
        drop_list(self._locks, batch.id)
        return reconciliation

    @property
    def _reserve(self) -> int:
        return self._settings.reserve_mib << 20

    def _with_room(self, groups: Iterable[tuple[list[Arrival], int]]) -> Iterator[list[Arrival]]:
        """Give each group on where there is room for it, when everything before it lies in the store."""
        for group, octets in groups:
            self._leave_room(octets)
            yield group

    def _leave_room(self, octets: int) -> None:
        """Refuse a group of that size where it would eat into the room that is kept back for the log."""
        needed = octets + self._reserve
        free = self._free_octets()
        if free < needed:
            raise UnavailableError(
                "archive/store-full",
                "The disk of the archive has not enough room. Everything acknowledged so far is kept; nothing more was "
                "taken in. Free some space, then go on.",
                evidence={
                    "needed": _mebibytes(needed),
                    "free": _mebibytes(free),
                    "of which kept back for the log": _mebibytes(self._reserve),
                },
            )

    def _list(self, request: ImportRequest) -> Listing:
        return list_source(request.source, max_file_octets=self._settings.max_file_octets, never=request.never)

    def _named(self, request: ImportRequest) -> ImportBatch | None:
        """Find the import that is to be gone on with, where one is named."""
        if request.resume is None:
            return None
        for each in self.unfinished(request.source):
            if each.number == request.resume and each.incident_id == request.incident.id:
                return each
        raise ConflictError(
            "batch/other-import",
            "That import was of another source, or has ended. Nothing was changed. Without --resume a new import "
            "begins.",
        )

    def _new_among(self, key: bytes, digests: Sequence[tuple[bytes, int]]) -> tuple[int, int]:
        """Count what would be stored as new, files and octets."""
        if not self._intake.equality:
            return len(digests), sum(size for _, size in digests)
        macs = [content_mac(key, digest) for digest, _ in digests]
        with self._database.reading() as session:
            known = set(self._intake.here_already(session, macs))
        new = octets = 0
        for mac, (_, size) in zip(macs, digests, strict=True):
            if mac not in known:
                known.add(mac)
                new, octets = new + 1, octets + size
        return new, octets


def _mebibytes(octets: int) -> str:
    return f"{octets / (1 << 20):,.1f} MiB"


def _sha256(stream: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while piece := stream.read(1 << 20):
        digest.update(piece)
    return digest.digest()


def _unclaimed(request: ImportRequest, listing: Listing) -> tuple[str, ...]:
    """Name the paths that the manifest speaks of and the source has no file for."""
    found = {file.path for file in listing.files} | {skip.path for skip in listing.skipped}
    return tuple(path for path in request.claims if path not in found)
