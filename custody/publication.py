"""Step 7: what the catalogue has committed becomes tiles, sealed disclosures and a signed checkpoint in the store.

The order of writing, each synced before the next: tiles, entries and disclosures → the checkpoint → its row and the
requests for time-stamps. A crash in between leaves at most a checkpoint without its row, which the next run adopts. It
refuses to sign where the store holds a checkpoint that the catalogue does not know or does not agree with: a catalogue
that was rolled back must never fork the log.
"""

import fcntl
import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import insert, select

from archive.catalogue.database import Database
from archive.catalogue.models import CheckpointRow, DisclosureRow, EntryRow, TimestampTokenRow
from archive.errors import IntegrityError, NotFoundError
from archive.jobs import JobKind, JobQueue
from archive.store.port import Store
from archive.types import Clock
from custody.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from custody.merkle import Frontier, leaf_hash
from custody.receipt_head import sign_head
from custody.signed_note import SigningKey, VerifierKey
from custody.tiles import WIDTH, Tile, TileReader, encode_bundle, grow_tiles, tiles_to_write

NEWEST = "log/checkpoint"
VERIFIER_KEYS = "log/verifier-keys"


def checkpoint_name(size: int) -> str:
    return f"log/checkpoints/{size:012d}"


def disclosures_name(first: int, end: int) -> str:
    return f"log/disclosures/{first:012d}-{end:012d}.jsonl"


def timestamp_name(size: int, authority: str, suffix: str) -> str:
    return f"log/timestamps/{size:012d}/{authority}.{suffix}"


def disclosure_line(owner_kind: str, owner_id: UUID | str, first: int, end: int, sealed: bytes) -> bytes:
    """Write one line of a disclosures file (formats.md 4.2). Every member is of a closed form: none needs escaping."""
    text = b64encode(sealed).decode("ascii")
    head = f'{{"owner":{{"id":"{owner_id}","kind":"{owner_kind}"}},"sealed":"{text}",'
    return f'{head}"seqs":[{first},{end}]}}\n'.encode("ascii")


def signed_time(note: bytes, keys: Sequence[VerifierKey], clock: Clock) -> datetime:
    """Return the time that the note itself states, so that its row can be made again from the note alone.

    Only a note without the ML-DSA-44 line states none; it gets the clock's.
    """
    return verify_checkpoint(note, keys).cosigned_time or clock()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStamp:
    """An authority's TimeStampResp over a checkpoint, and the chain of its signer in PEM. Unverified."""

    authority: str
    token: bytes
    chain: bytes


class Publisher:
    """Publishes the log. `signers` hold the log's private keys, the only signing secrets that work while locked."""

    def __init__(
        self,
        *,
        database: Database,
        store: Store,
        jobs: JobQueue,
        signers: Sequence[SigningKey],
        authorities: Sequence[str],
        lock: Path,
        clock: Clock,
    ) -> None:
        self._database = database
        self._store = store
        self._jobs = jobs
        self._signers = tuple(signers)
        self._authorities = tuple(authorities)
        self._lock = lock
        self._clock = clock
        self.verifier_keys: tuple[VerifierKey, ...] = tuple(signer.verifier_key for signer in signers)

    def publish(self) -> bytes:
        """Publish every committed entry and return the checkpoint over them; nothing new gives the newest again.

        Raises: IntegrityError `custody/rolled-back`, `custody/root-mismatch`.
        """
        with self._held():
            self._meet_store()
            last = self.newest()
            old_size = Checkpoint.parse(_text(last)).size if last is not None else 0
            rows = self._new_entries(old_size)
            size = old_size + len(rows) - old_size % WIDTH
            if last is not None and size == old_size:
                return last
            self._write_log(old_size, size, rows, last)
            note = self._sign(size)
            self._keep(size, note)
            self._sweep_partials(old_size, size)
            return note

    def _keep(self, size: int, note: bytes) -> None:
        row = {"size": size, "note": note, "signed_time": signed_time(note, self.verifier_keys, self._clock)}
        with self._database.writing() as session:
            session.execute(insert(CheckpointRow), [row])
            self._jobs.enqueue(session, JobKind.TIMESTAMP, [f"{size}/{name}" for name in self._authorities])

    def newest(self) -> bytes | None:
        """Return the newest checkpoint that the catalogue knows."""
        with self._database.reading() as session:
            statement = select(CheckpointRow.note).order_by(CheckpointRow.size.desc()).limit(1)
            return session.execute(statement).scalar_one_or_none()

    def attested(self, least: int) -> tuple[bytes, tuple[KeptStamp, ...]] | None:
        """Return the oldest checkpoint over `least` entries or more that an authority attested, with what it said.

        The oldest says most: what it covers was there by then. Nothing is verified here.
        """
        stamps = select(TimestampTokenRow).order_by(TimestampTokenRow.size, TimestampTokenRow.authority)
        with self._database.reading() as session:
            oldest = session.execute(stamps.where(TimestampTokenRow.size >= least).limit(1)).scalar_one_or_none()
            if oldest is None:
                return None
            note = session.execute(select(CheckpointRow.note).where(CheckpointRow.size == oldest.size)).scalar()
            rows = session.execute(stamps.where(TimestampTokenRow.size == oldest.size)).scalars()
            kept = tuple(KeptStamp(authority=row.authority, token=row.token, chain=row.chain) for row in rows)
        return (note, kept) if note is not None else None

    def sign_receipt(self, unsigned: bytes) -> bytes:
        """Sign a receipt as a whole. The text that is signed can stand for nothing else (`receipt_head`)."""
        return sign_head(unsigned, self._signers)

    def reader(self, size: int) -> TileReader:
        """Read hashes of the published log of `size` entries from its tiles."""
        return TileReader(self.read_tile, size)

    def read_tile(self, path: str) -> bytes | None:
        try:
            return self._store.read(f"log/{path}")
        except NotFoundError:
            return None

    def _new_entries(self, old_size: int) -> list[tuple[bytes, bytes]]:
        """Read (leaf, leaf hash) from the start of the tile that the last checkpoint ended in."""
        start = old_size - old_size % WIDTH
        with self._database.reading() as session:
            statement = select(EntryRow.leaf, EntryRow.leaf_hash).where(EntryRow.seq >= start).order_by(EntryRow.seq)
            rows = [(row[0], row[1]) for row in session.execute(statement)]
        # Octets that SQL turned into text could be neither written nor hashed.
        return [(_octets(seq, leaf), _octets(seq, digest)) for seq, (leaf, digest) in enumerate(rows, start)]

    def _meet_store(self) -> None:
        """Compare the newest checkpoint in the store with the catalogue; adopt it where a crash came before its row.

        Raises: IntegrityError where the catalogue does not hold the very entries that it was signed over.
        """
        last = self.newest()
        ours = Checkpoint.parse(_text(last)) if last is not None else None
        try:
            note = self._store.read(NEWEST)
        except NotFoundError:
            if ours is None:
                return
            raise _fork("custody/checkpoint-missing", {"catalogue": ours.size}) from None
        published = verify_checkpoint(note, self.verifier_keys).checkpoint
        if ours is not None and published.size < ours.size:
            raise _fork("custody/store-rolled-back", {"catalogue": ours.size, "store": published.size})
        if ours is not None and published.size == ours.size:
            if published != ours:
                raise _fork("custody/root-mismatch", {"size": ours.size})
            return
        if self._root_of_entries(published.size) != published.root:
            raise _fork("custody/rolled-back", {"catalogue": ours.size if ours else 0, "store": published.size})
        self._keep(published.size, note)

    def _root_of_entries(self, size: int) -> bytes | None:
        """Compute the root over the first `size` entries of the catalogue, from their bytes; None if it has fewer."""
        frontier = Frontier()
        with self._database.reading() as session:
            leaves = session.execute(select(EntryRow.leaf).where(EntryRow.seq < size).order_by(EntryRow.seq)).scalars()
            frontier = frontier.extend(leaf_hash(_octets(seq, leaf)) for seq, leaf in enumerate(leaves))
        return frontier.root() if frontier.size == size else None

    def _write_log(self, old_size: int, size: int, rows: list[tuple[bytes, bytes]], last: bytes | None) -> None:
        start = old_size - old_size % WIDTH
        leaves, hashes = [leaf for leaf, _ in rows], [leaf_hash for _, leaf_hash in rows]
        if last is not None and self.reader(old_size).root() != Checkpoint.parse(_text(last)).root:
            raise _fork("custody/root-mismatch", {"size": old_size})
        files: list[tuple[str, bytes]] = []
        for tile in tiles_to_write(old_size, size):
            if tile.level is None:
                place = tile.index * WIDTH - start
                files.append((f"log/{tile.path}", encode_bundle(leaves[place : place + tile.width])))
        for tile, data in grow_tiles(old_size, hashes[old_size - start :], self.read_tile):
            files.append((f"log/{tile.path}", data))
        files.append((disclosures_name(old_size, size), self._disclosures(old_size, size)))
        if last is None:
            keys = "".join(f"{key}\n" for key in self.verifier_keys).encode()
            files.append((VERIFIER_KEYS, keys))
        # A crash may have left files of the same names from the same entries; disclosures are sealed afresh only in
        # the catalogue's transaction, so the octets are the same ones.
        self._store.put_many(files)

    def _disclosures(self, first: int, end: int) -> bytes:
        statement = (
            select(DisclosureRow)
            .where(DisclosureRow.first >= first, DisclosureRow.first < end)
            .order_by(DisclosureRow.id)
        )
        with self._database.reading() as session:
            lines = [
                disclosure_line(row.owner_kind, row.owner_id, row.first, row.end, row.sealed)
                for row in session.execute(statement).scalars()
            ]
        return b"".join(lines)

    def _sign(self, size: int) -> bytes:
        """Sign the tree of `size` entries, or adopt the checkpoint that a crash left without its row."""
        root = self.reader(size).root()
        checkpoint = Checkpoint(origin=self._signers[0].name, size=size, root=root)
        try:
            note = self._store.read(checkpoint_name(size))
        except NotFoundError:
            note = sign_checkpoint(checkpoint, self._signers, self._clock())
            self._store.put(checkpoint_name(size), note)
        if verify_checkpoint(note, self.verifier_keys).checkpoint != checkpoint:
            raise _fork("custody/root-mismatch", {"size": size})
        self._store.put(NEWEST, note, replace=True)
        return note

    def _sweep_partials(self, old_size: int, size: int) -> None:
        """Remove the partial tiles of the old right edge that wider ones have replaced."""
        for tile in tiles_to_write(max(old_size - 1, 0), old_size):
            if tile.width < WIDTH and _width_at(tile, size) > tile.width:
                self._store.delete(f"log/{tile.path}")

    @contextmanager
    def _held(self) -> Iterator[None]:
        """One publisher at a time, across processes; the lock goes with whoever held it."""
        # A copy made by `testigo backup` has no such folder; entries are committed by now and must be published.
        self._lock.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _width_at(tile: Tile, size: int) -> int:
    """Return how wide a tile is in a log of `size` entries."""
    level = tile.level or 0
    return min(WIDTH, (size >> (8 * level)) - tile.index * WIDTH)


def _text(note: bytes) -> str:
    """Return the text of a note of our own catalogue, without its signatures."""
    return note.decode("utf-8").rpartition("\n\n")[0] + "\n"


_FORKS = {
    "custody/store-rolled-back": "The store's newest checkpoint is older than the catalogue's: "
    "the store was rolled back.",
    "custody/rolled-back": "The store holds a checkpoint over entries that the catalogue does not have: the "
    "catalogue was rolled back or replaced.",
    "custody/checkpoint-missing": "The catalogue knows checkpoints and the store holds none: "
    "the store was rolled back.",
    "custody/root-mismatch": "The log's tree in the store is not the one that its checkpoint was signed over.",
}


def _octets(seq: int, leaf: object) -> bytes:
    if not isinstance(leaf, bytes):
        raise _altered(seq)
    return leaf


def _altered(seq: int) -> IntegrityError:
    return IntegrityError(
        "custody/entry-altered",
        f"Entry {seq} no longer holds what was written: it was changed behind the log's back. Nothing was signed. Keep "
        "everything as it is, and run `testigo verify`.",
        evidence={"entry": seq},
    )


def _fork(code: str, evidence: dict[str, object]) -> IntegrityError:
    return IntegrityError(
        code,
        _FORKS[code] + " Nothing was signed. Keep everything as it is, run `testigo verify --against` with an earlier "
        "checkpoint or receipt, and rebuild the catalogue with `testigo rebuild` if the store is right.",
        evidence=evidence,
    )
