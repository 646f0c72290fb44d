"""What somebody outside holds against the log as it stands now: earlier checkpoints, receipts, proofs, packets.

An earlier checkpoint tells that something in its range was rewritten. A proof tells more: its sibling hashes stand for
parts of the log, each of which is compared by itself; a receipt or a packet brings whole entries. Several pieces
together narrow the range: what one shows to be unchanged is taken out of what another shows to be changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.catalogue.models import EntryRow
from archive.errors import IntegrityError
from custody.checkpoint import Checkpoint, verify_checkpoint
from custody.entries import Entry
from custody.findings import Found, differs, entries, matches, unknown
from custody.log_tree import LogTree
from custody.merkle import leaf_hash, root_from_inclusion_proof
from custody.signed_note import VerifierKey

_AT_ONCE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEntry:
    """An entry that somebody outside knows to stand at `index`.

    `leaf` is None where only its proof is known; `proof` is None where only the entry is. `label` names the item that
    it speaks of, where that is known.
    """

    index: int
    leaf: bytes | None
    proof: tuple[bytes, ...] | None
    label: str = ""

    @property
    def subject(self) -> str:
        place = entries(self.index, self.index + 1)
        return f"{self.label} ({place})" if self.label else place


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """One piece of evidence. `keys` came with it; `note` is its checkpoint, byte for byte.

    `numbers` are the items that it opens, each with the number by which its holder knows it.
    """

    name: str
    checkpoint: Checkpoint
    note: bytes
    keys: tuple[VerifierKey, ...] = ()
    entries: tuple[KnownEntry, ...] = ()
    numbers: Mapping[UUID, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """Entries `first` to `end` (half open) that a piece of evidence shows to be the same, or not."""

    first: int
    end: int
    same: bool

    def holds(self, other: "Span") -> bool:
        return self != other and self.first <= other.first and other.end <= self.end


def check_outside(
    pieces: Sequence[Outside], tree: LogTree, session: Session, keys: Sequence[VerifierKey]
) -> Iterator[Found]:
    """Compare every piece of evidence with the log as it stands, and name the smallest ranges that differ."""
    spans: list[Span] = []
    lost: list[tuple[Outside, KnownEntry]] = []
    for piece in pieces:
        if piece.checkpoint.origin != keys[0].name:
            yield unknown("custody/other-log", "It speaks of another log than this archive's.", subject=piece.name)
            continue
        yield from _check_signature(piece, keys)
        yield from _check_size(piece, tree)
        compared = _Comparison(piece, tree)
        found = list(compared.spans())
        spans += found
        lost += [(piece, entry) for entry in compared.lost]
        yield from compared.broken()
        if all(span.same for span in found):
            yield matches("outside evidence", f"{piece.name}: the log still has everything that it stands for", 1)
    yield from _lost_entries(lost, session)
    yield from _smallest(spans)


def _check_signature(piece: Outside, keys: Sequence[VerifierKey]) -> Iterator[Found]:
    for trusted in (keys, piece.keys):
        try:
            verify_checkpoint(piece.note, trusted)
        except IntegrityError:
            continue
        if trusted is not keys:
            words = (
                "It was signed by another key than the one this archive signs with now: the key was replaced, or the "
                "piece is not of this archive. Compare fingerprints."
            )
            yield differs("custody/other-key", words, subject=piece.name)
        return
    words = "No key that is known here signed it. It is compared all the same; it weighs what its keeper's word weighs."
    yield unknown("custody/evidence-unsigned", words, subject=piece.name)


def _check_size(piece: Outside, tree: LogTree) -> Iterator[Found]:
    if piece.checkpoint.size > tree.size:
        yield differs(
            "custody/rolled-back",
            f"{piece.name} stands for a log of {piece.checkpoint.size} entries, and only {tree.size} "
            f"{'is' if tree.size == 1 else 'are'} here: the log "
            "was rolled back or cut.",
            subject=entries(tree.size, piece.checkpoint.size),
            first=tree.size,
            end=piece.checkpoint.size,
        )


class _Comparison:
    """One piece of evidence, part by part."""

    def __init__(self, piece: Outside, tree: LogTree) -> None:
        self._piece = piece
        self._tree = tree
        self._broken: list[KnownEntry] = []
        self.lost: list[KnownEntry] = []

    def spans(self) -> Iterator[Span]:
        size, root = self._piece.checkpoint.size, self._piece.checkpoint.root
        if size:
            # A log that is too short may have been cut at its end or anywhere before it.
            yield Span(0, size, size <= self._tree.size and self._tree.root(size) == root)
        for entry in self._piece.entries:
            yield from self._entry(entry, size, root)

    def broken(self) -> Iterator[Found]:
        """Name what does not even agree with itself."""
        for entry in self._broken:
            words = f"{self._piece.name} contradicts itself: its entry and proof do not lead to its checkpoint."
            yield unknown("custody/evidence-broken", words, subject=entry.subject)

    def _entry(self, entry: KnownEntry, size: int, root: bytes) -> Iterator[Span]:
        is_here = entry.index < self._tree.size
        known = leaf_hash(entry.leaf) if entry.leaf is not None else None
        now = self._tree.hash_at(0, entry.index) if is_here else None
        if entry.proof is not None:
            if known is not None and root_from_inclusion_proof(entry.index, size, known, entry.proof) != root:
                self._broken.append(entry)
                return
            yield from self._siblings(entry.index, size, entry.proof)
            if known is None and now is not None:
                # The proof leads to its root from the true entry only.
                same = root_from_inclusion_proof(entry.index, size, now, entry.proof) == root
                known = now if same else b""
        if known is None or now == known:
            same_entry = known is not None and is_here
        else:
            same_entry = False
            self.lost.append(entry)
        if is_here:
            yield Span(entry.index, entry.index + 1, same_entry)

    def _siblings(self, index: int, size: int, proof: Sequence[bytes]) -> Iterator[Span]:
        """Compare each subtree beside the path of one entry with the same subtree now."""
        for (first, end), digest in zip(_beside(index, size), proof, strict=False):
            if end <= self._tree.size:
                yield Span(first, end, self._tree.part(first, end) == digest)


def _beside(index: int, size: int) -> Iterator[tuple[int, int]]:
    """Give the ranges of the subtrees whose hashes prove an entry, in the order of its proof (RFC 9162, 2.1.3.1)."""
    for level in range((size - 1).bit_length()):
        first = ((index >> level) ^ 1) << level
        if first < size:
            yield first, min(first + (1 << level), size)


def _lost_entries(lost: Sequence[tuple[Outside, KnownEntry]], session: Session) -> Iterator[Found]:
    """Name each entry that is not where it was, and say where its content stands now, if anywhere."""
    wanted = {digest for _, entry in lost for digest in _commitments(entry)}
    here: dict[bytes, int] = {}
    if wanted:
        statement = select(EntryRow.seq, EntryRow.leaf).order_by(EntryRow.seq)
        for seq, leaf in session.execute(statement.execution_options(yield_per=_AT_ONCE)):
            # Every commitment stands between quotation marks; reading the entry as such would take four times as long.
            here |= dict.fromkeys(wanted.intersection(leaf.split(b'"')), seq)
    for piece, entry in lost:
        yield differs(
            "custody/entry-differs",
            f"It is not what {piece.name} shows to stand here. {_fate(entry, here)}",
            subject=entry.subject,
            first=entry.index,
            end=entry.index + 1,
        )


def _fate(entry: KnownEntry, here: Mapping[bytes, int]) -> str:
    """Say what became of an entry, from where its commitments stand now."""
    digests = _commitments(entry)
    places = {here[digest] for digest in digests if digest in here}
    if not digests:
        return "Another entry stands in its place."
    if not places:
        return "What was recorded then is nowhere in the log."
    if len(places) > 1 or any(digest not in here for digest in digests):
        return "Some of its values were changed."
    place = places.pop()
    if place == entry.index:
        return "What stands open in it was changed."
    return f"Its values stand at entry {place} now: entries before it were put in, removed or moved."


def _commitments(entry: KnownEntry) -> tuple[bytes, ...]:
    return tuple(digest.encode("ascii") for digest in Entry.parse(entry.leaf).sd) if entry.leaf is not None else ()


def _smallest(spans: Sequence[Span]) -> Iterator[Found]:
    """Name the smallest differing ranges, less what other evidence shows to be unchanged."""
    same = _joined([span for span in spans if span.same])
    different = {span for span in spans if not span.same}
    for span in sorted(different, key=lambda each: (each.first, each.end)):
        if any(span.holds(other) for other in different):
            continue
        left = _without(span, same)
        if not left:
            yield differs(
                "custody/two-histories",
                "Two pieces of evidence contradict each other here: different people were shown different histories.",
                subject=entries(span.first, span.end),
                first=span.first,
                end=span.end,
            )
            continue
        yield differs(
            "custody/history-rewritten",
            "Something was changed, removed or put in here since it was signed.",
            subject=" and ".join(entries(first, end) for first, end in left),
            first=left[0][0],
            end=left[-1][1],
            ranges=tuple(left),
        )


def _joined(spans: Sequence[Span]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for span in sorted(spans, key=lambda each: each.first):
        if joined and span.first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], span.end))
        else:
            joined.append((span.first, span.end))
    return joined


def _without(span: Span, same: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what is left of a range once the unchanged ranges are taken out."""
    inside = [(max(first, span.first), min(end, span.end)) for first, end in same]
    kept = [(first, end) for first, end in inside if first < end]
    edges = [(span.first, span.first), *kept, (span.end, span.end)]
    return [(before[1], after[0]) for before, after in pairwise(edges) if before[1] < after[0]]
