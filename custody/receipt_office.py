"""Issuing receipts: each entry's inclusion in a checkpoint, attested where one is, and the values that it opens."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from archive.errors import IntegrityError, UnavailableError
from archive.types import Digest, DigestAlgorithm
from custody.checkpoint import Checkpoint, verify_checkpoint
from custody.ledger import EntryRef
from custody.merkle import inclusion_proof
from custody.publication import KeptStamp, Publisher
from custody.receipt import Receipt, ReceiptItem, ReceiptTimestamp, StatedUse, build_receipt, unsigned_octets
from custody.signed_note import SignedNote
from custody.timestamps import verify_token


def issue_receipt(
    publisher: Publisher,
    number: str,
    received_time: datetime,
    items: Sequence[tuple[str, EntryRef, bytes, int]],
    use: StatedUse | None = None,
) -> bytes:
    """Write a receipt over entries that a checkpoint covers: an attested one with its time-stamps, where there is one.

    Shapes: each item is its number, its entry, its SHA-256 and its size.
    Raises: UnavailableError `custody/not-published` where an entry is not under a checkpoint yet.
    """
    newest = publisher.newest()
    published = _size_of(newest) if newest is not None else 0
    needed = 1 + max(entry.seq for _, entry, _, _ in items)
    if newest is None or needed > published:
        raise UnavailableError("custody/not-published", "The entries are not under a checkpoint yet. Ask again.")
    note, stamps = _attested(publisher, needed) or (newest, ())
    size, hash_at = _size_of(note), publisher.reader(published).hash_at
    receipt = Receipt(
        number=number,
        received_time=received_time,
        items=tuple(
            ReceiptItem(
                number=item_number,
                leaf=entry.leaf,
                index=entry.seq,
                disclosures=entry.receipt,
                proof=inclusion_proof(entry.seq, size, hash_at),
                sha256=Digest(DigestAlgorithm.SHA256, sha256),
                size=octets,
            )
            for item_number, entry, sha256, octets in items
        ),
        checkpoint=note,
        verifier_keys=publisher.verifier_keys,
        timestamps=stamps,
        use=use,
    )
    return build_receipt(replace(receipt, signed=publisher.sign_receipt(unsigned_octets(receipt))))


def _attested(publisher: Publisher, least: int) -> tuple[bytes, tuple[ReceiptTimestamp, ...]] | None:
    """Give the oldest attested state with what of its time-stamps is right; none where that state cannot be shown."""
    found = publisher.attested(least)
    if found is None:
        return None
    note, kept = found
    try:
        verified = verify_checkpoint(note, publisher.verifier_keys)
    except IntegrityError:
        return None
    # A state that other keys of the log signed is not what this receipt is signed with.
    if {key.key_id for key in verified.keys} != {key.key_id for key in publisher.verifier_keys}:
        return None
    stamps = tuple(
        ReceiptTimestamp(authority=stamp.authority, token=stamp.token, chain=stamp.chain.decode("ascii"))
        for stamp in kept
        if _is_right(stamp, note)
    )
    return (note, stamps) if stamps else None


def _is_right(stamp: KeptStamp, note: bytes) -> bool:
    """Nobody is handed a time-stamp that proves nothing; the audit names it."""
    try:
        verify_token(stamp.token, note, (), request_nonce=None, chain=stamp.chain)
        stamp.chain.decode("ascii")
    except (IntegrityError, UnicodeDecodeError):
        return False
    return True


def _size_of(note: bytes) -> int:
    return Checkpoint.parse(SignedNote.parse(note).text).size
