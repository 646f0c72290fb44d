"""Row `log`: appending in batches and alone, proofs and the audit of a million entries, and `testigo --help`."""

import os
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from uuid import UUID

from sqlalchemy import insert, select

from archive.age.recipients import KeyKind, generate_identity
from archive.age.stream import seal_bytes
from archive.catalogue.accounts import organisation
from archive.catalogue.models import DisclosureRow, EntryRow, EntrySubjectRow
from archive.types import Finding, Outcome, OwnerKind
from cli import Rooms
from custody.drafts import Draft
from custody.entries import Entry, EventKind
from custody.merkle import leaf_hash, verify_inclusion
from tests.bench.composition import TESTIGO, Founded, open_rooms
from tests.bench.pairs import at_least, at_most, compare, run_seconds, seconds_of, tell

_BATCH = 1000
_APPENDS = 50
_MILLION = 1_000_000
_ENTRIES_OF_AN_ITEM = 10
_PUBLISHED_AT_ONCE = 100_000


def measure(work: Path, template: Founded, pairs: int) -> None:
    print("log: custody entries, each with commitments, sealed values and its place in the tree")
    archive = template.again()
    rooms = open_rooms(archive.home)
    _batches(rooms, pairs)
    _single(rooms, work, pairs)
    rooms.close()
    archive.remove()
    _help()
    archive = template.again()
    rooms = open_rooms(archive.home)
    _million(rooms)
    rooms.close()
    archive.remove()


def _draft(number: int) -> Draft:
    values = (("purpose", "measuring"), ("number", number))
    return Draft(event=EventKind.FIXITY_CHECK, values=values)


def _batches(rooms: Rooms, pairs: int) -> None:
    def batch() -> None:
        with rooms.ledger.transaction() as transaction:
            for number in range(_BATCH):
                transaction.record(_draft(number))
        rooms.publisher.publish()

    rates = [_BATCH / seconds_of(batch) for _ in range(pairs)]
    tell(f"entries a second, {_BATCH} a batch, committed and published", median(rates), "/s", at_least(3000))


def _single(rooms: Rooms, work: Path, pairs: int) -> None:
    """One entry, durable when `record` returns, against one row of the same size; neither is published."""
    bare = sqlite3.connect(work / "bare.sqlite", isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = FULL")
    bare.execute("CREATE TABLE entry (seq INTEGER PRIMARY KEY, leaf BLOB, leaf_hash BLOB)")
    row = (os.urandom(400), os.urandom(32))

    def append() -> None:
        for number in range(_APPENDS):
            rooms.ledger.record(_draft(number))

    def plain() -> None:
        for _ in range(_APPENDS):
            bare.execute("INSERT INTO entry (leaf, leaf_hash) VALUES (?, ?)", row)

    what = f"single durable append ÷ bare SQLite insert ({_APPENDS} each a pair)"
    compare(what, lambda: seconds_of(append), lambda: seconds_of(plain), pairs, at_most(3))
    bare.close()


def _help() -> None:
    seconds = [run_seconds([str(TESTIGO), "--help"]) for _ in range(11)]
    tell("testigo --help, median of 11 starts", median(seconds), "s", at_most(0.35))


def _million(rooms: Rooms) -> None:
    """Proofs from, and the audit of, a real catalogue and store with a million entries.

    The entries are written as rows, not one by one through the ledger: their commitments are chance, so that nobody
    could open them. They are published, signed and audited as any.
    """
    started = time.perf_counter()
    size = rooms.ledger.size()
    recipients = [generate_identity(KeyKind.HYBRID).recipient]
    sealed = seal_bytes(bytes(4000), recipients)
    with rooms.database.reading() as session:
        owner = organisation(session).id
    chance = random.Random(1)  # noqa: S311 - chooses places, no secrets
    items = [UUID(int=chance.getrandbits(128)) for _ in range(_PUBLISHED_AT_ONCE // _ENTRIES_OF_AN_ITEM)]
    for round_ in range(_MILLION // _PUBLISHED_AT_ONCE):
        first, end = max(size, round_ * _PUBLISHED_AT_ONCE), (round_ + 1) * _PUBLISHED_AT_ONCE
        entries = list(_entries(first, end))
        with rooms.database.writing() as session:
            session.execute(insert(EntryRow), entries)
            session.execute(insert(EntrySubjectRow), list(_subjects(first, end, round_, items)))
            session.execute(insert(DisclosureRow), list(_disclosures(first, end, owner, sealed)))
        rooms.publisher.publish()
    tell("(making and publishing the log)", time.perf_counter() - started, "s")
    _proofs(rooms, chance)
    found: list[Finding] = []
    seconds = seconds_of(lambda: found.extend(each.finding for each in rooms.audit.log()))
    bad = sum(1 for each in found if each is not Finding.MATCHES)
    tell("audit of the log without a key, a million entries", seconds, "s", at_most(120), note=f"{bad} differences")


def _entries(first: int, end: int) -> Iterator[dict[str, object]]:
    for seq in range(first, end):
        # A commitment is 43 characters of base64url; hexadecimal digits are among those.
        digests = sorted(os.urandom(22).hex()[:43] for _ in range(8))
        entry = Entry(seq=seq, event=EventKind.FIXITY_CHECK, outcome=Outcome.SUCCESS, sd=tuple(digests))
        leaf = entry.leaf()
        yield {"seq": seq, "leaf": leaf, "leaf_hash": leaf_hash(leaf)}


def _subjects(first: int, end: int, round_: int, items: list[UUID]) -> Iterator[dict[str, object]]:
    """Give every item one entry a round of `items`, in turn, with its running numbers."""
    seen: dict[UUID, int] = {}
    for seq in range(first, end):
        item = UUID(int=items[seq % len(items)].int ^ round_)
        seen[item] = seen.get(item, 0) + 1
        yield {"seq": seq, "owner_id": item, "run_number": seen[item]}


def _disclosures(first: int, end: int, owner: UUID, sealed: bytes) -> Iterator[dict[str, object]]:
    for start in range(first, end, 50):
        yield {
            "id": start + _MILLION,
            "first": start,
            "end": min(start + 50, end),
            "owner_kind": str(OwnerKind.STAFF),
            "owner_id": owner,
            "sealed": sealed,
        }


def _proofs(rooms: Rooms, chance: random.Random) -> None:
    root = rooms.publisher.reader(_MILLION).root()
    seconds: list[float] = []
    for index in (chance.randrange(_MILLION) for _ in range(300)):
        start = time.perf_counter()
        proof = rooms.publisher.reader(_MILLION).inclusion_proof(index)
        seconds.append(time.perf_counter() - start)
        with rooms.database.reading() as session:
            hash_ = session.execute(select(EntryRow.leaf_hash).where(EntryRow.seq == index)).scalar_one()
        verify_inclusion(index, _MILLION, hash_, proof, root)
    worst = sorted(seconds)[int(len(seconds) * 0.95)]
    note = f"95 of 100 within {worst * 1000:.2f} ms"
    tell(
        "inclusion proof from a million entries, each from the files anew",
        median(seconds) * 1000,
        "ms",
        at_most(5),
        note=note,
    )
