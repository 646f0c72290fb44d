"""The log against itself and against the store, without a key: every entry, the tree over them, every checkpoint, every
item's running numbers.

Rows are streamed; a million entries pass in well under two minutes. Nothing ends the pass early: a hole in the numbers
is named and filled, so that what comes after is still compared at its own place.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from archive.catalogue.models import CheckpointRow, EntryRow
from archive.errors import IntegrityError
from archive.store.port import Store
from archive.types import Outcome
from custody.audit_checkpoints import check_checkpoints
from custody.audit_store import StoredBundles, check_disclosures, check_tiles
from custody.entries import MAX_DISCLOSURES, Entry, EventKind
from custody.findings import Found, differs, entries, matches, surviving, unknown
from custody.log_tree import LogTree
from custody.merkle import HASH_OCTETS, leaf_hash
from custody.signed_note import VerifierKey

Watch = Callable[[str, int, int], None]
"""Hears how far a part of the audit is: its name, how much is done, of how much."""

_AT_ONCE = 2000
_LONGEST_HOLE = 1_000_000
_NOTHING = bytes(HASH_OCTETS)

_ENTRIES = text("SELECT seq, leaf, leaf_hash FROM entry ORDER BY seq")
_RUNS = text(
    """
    SELECT owner_id, seq, run_number, expected, before FROM (
        SELECT owner_id, seq, run_number,
            ROW_NUMBER() OVER run AS expected, LAG(seq) OVER run AS before
        FROM entry_subject WHERE run_number IS NOT NULL
        WINDOW run AS (PARTITION BY owner_id ORDER BY run_number))
    WHERE run_number <> expected OR seq <= before
    ORDER BY seq
    """
)
_ITEMS_WITHOUT_RUN = text(
    """
    SELECT number FROM item WHERE NOT EXISTS (
        SELECT 1 FROM entry_subject WHERE owner_id = item.id AND run_number = 1)
    """
)
_ENTRIES_WITHOUT_OWNER = text(
    "SELECT seq FROM entry WHERE NOT EXISTS (SELECT 1 FROM entry_subject WHERE entry_subject.seq = entry.seq)"
)
_OWNERS_WITHOUT_ENTRY = text(
    "SELECT DISTINCT seq FROM entry_subject WHERE NOT EXISTS (SELECT 1 FROM entry WHERE entry.seq = entry_subject.seq)"
)
_RUNS_COUNTED = text("SELECT COUNT(*) FROM entry_subject WHERE run_number = 1")
_INDEXED = text("SELECT COUNT(DISTINCT seq), MIN(seq), MAX(seq) FROM entry_subject")

# What `Entry.parse` takes, as one pattern: a million entries are read in a few seconds so, and what does not fit is
# parsed then for the reason.
_LEAF = re.compile(
    rb'\{"_sd":\[("[\w-]{43}"(?:,"[\w-]{43}")*)?\],"_sd_alg":"sha-256",'
    rb'"event":"([a-z ]+)","outcome":"([a-z]+)","seq":(0|[1-9][0-9]{0,15}),"v":1\}'
)
_EVENTS = frozenset(event.encode("ascii") for event in EventKind)
_OUTCOMES = frozenset(outcome.encode("ascii") for outcome in Outcome)


class LogAudit:
    """One pass over the log in `session` and in `store`. `tree` is whole once `run` has ended."""

    def __init__(self, session: Session, store: Store, verifier_keys: Sequence[VerifierKey], watch: Watch) -> None:
        self.tree = LogTree()
        self._session = session
        self._store = store
        self._keys = tuple(verifier_keys)
        self._watch = watch

    def run(self) -> Iterator[Found]:
        """Check everything about the log that needs no key."""
        session, store = self._session, self._store
        published = session.execute(select(func.max(CheckpointRow.size))).scalar() or 0
        yield from surviving(self._entries(published), subject="log")
        yield from surviving(check_tiles(store, self.tree, published), subject="log")
        yield from surviving(check_checkpoints(session, store, self.tree, self._keys), subject="checkpoints")
        yield from surviving(check_disclosures(session, store, published), subject="log")
        yield from surviving(self._runs(), subject="log")
        if published < self.tree.size:
            yield unknown(
                "custody/entries-unpublished",
                "These entries are not under a checkpoint yet; the next command that writes will cover them.",
                subject=entries(published, self.tree.size),
                first=published,
                end=self.tree.size,
            )

    def _entries(self, published: int) -> Iterator[Found]:
        bundles = StoredBundles(self._store, published)
        total = (self._session.execute(select(func.max(EntryRow.seq))).scalar() or 0) + 1
        good = due = 0
        rows = self._session.connection().execute(_ENTRIES.execution_options(yield_per=_AT_ONCE))
        for group in rows.partitions():
            for seq, leaf, stored in group:
                if seq != due:
                    yield from self._hole(seq, bundles)
                    if seq != self.tree.size:
                        return
                due = seq + 1
                if type(leaf) is not bytes:  # Changed with SQL that turns octets into text or numbers.
                    leaf = str(leaf).encode("utf-8", "surrogatepass")
                digest = leaf_hash(leaf)
                wrong = check_entry(seq, leaf, digest, stored)
                if wrong is None:
                    good += 1
                else:
                    yield wrong
                self.tree.append(digest)
                yield from bundles.take(leaf)
            self._watch("log", due, total)
        yield from bundles.finish()
        self._watch("log", total, total)
        yield matches("log", "entries stand as they were written", good, one="entry stands as it was written")

    def _hole(self, seq: int, bundles: StoredBundles) -> Iterator[Found]:
        first = self.tree.size
        yield differs(
            "custody/entry-missing",
            "The catalogue lacks what stood here: the numbers of the log have a hole.",
            subject=entries(first, seq),
            first=first,
            end=seq,
        )
        if 0 < seq - first <= _LONGEST_HOLE:
            for _ in range(seq - first):
                self.tree.append(_NOTHING)
                yield from bundles.take(None)

    def _runs(self) -> Iterator[Found]:
        """Compare each item's running numbers as the catalogue indexes them; `audit_opened` reads the true ones."""
        execute = self._session.execute
        broken = 0
        for _, seq, number, expected, _ in execute(_RUNS):
            broken += 1
            yield differs(
                "custody/run-gap" if isinstance(number, int) and number > expected else "custody/run-broken",
                f"It bears number {number} of its item where {expected} is due: an entry of that item is missing, or "
                "the order was changed.",
                subject=entries(seq, seq + 1),
                first=seq,
                end=seq + 1,
            )
        for (number,) in execute(_ITEMS_WITHOUT_RUN):
            yield differs("custody/item-without-entry", "No entry of the log speaks of this item.", subject=str(number))
        size = self.tree.size
        if tuple(execute(_INDEXED).one()) != (size, 0, size - 1):
            for (seq,) in execute(_ENTRIES_WITHOUT_OWNER):
                yield _index_differs("The catalogue no longer says whom this entry speaks of.", seq)
            for (seq,) in execute(_OWNERS_WITHOUT_ENTRY):
                yield _index_differs("The catalogue speaks of an entry that the log does not have.", seq)
        if not broken:
            words, one = "items have running numbers without a gap", "item has running numbers without a gap"
            yield matches("log", words, execute(_RUNS_COUNTED).scalar() or 0, one=one)


def check_entry(seq: int, leaf: bytes, digest: bytes, stored_hash: bytes) -> Found | None:
    """Compare an entry with its place and with the hash that stands beside it."""
    if digest == stored_hash and _stands_right(leaf, seq):
        return None
    place = {"first": seq, "end": seq + 1}
    subject = entries(seq, seq + 1)
    try:
        entry = Entry.parse(leaf)
    except IntegrityError as error:
        return differs(error.code, error.message, subject=subject, **place, **error.evidence)
    if entry.seq != seq:
        return differs(
            "custody/entry-elsewhere",
            f"What stands here says of itself that it is entry {entry.seq}: entries were moved.",
            subject=subject,
            **place,
        )
    if digest != stored_hash:
        return differs(
            "custody/entry-altered", "It no longer has the leaf hash that stands beside it.", subject=subject, **place
        )
    return None


def _stands_right(leaf: bytes, seq: int) -> bool:
    found = _LEAF.fullmatch(leaf)
    if found is None or int(found[4]) != seq or found[2] not in _EVENTS or found[3] not in _OUTCOMES:
        return False
    digests = found[1].split(b",") if found[1] else []
    return sorted(set(digests)) == digests and len(digests) <= MAX_DISCLOSURES


def _index_differs(words: str, seq: int) -> Found:
    return differs("custody/index-differs", words, subject=entries(seq, seq + 1), first=seq, end=seq + 1)
