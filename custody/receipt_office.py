"""Issuing receipts: each entry's inclusion in the newest checkpoint, with just the values that a receipt opens."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from archive.errors import UnavailableError
from archive.types import Digest, DigestAlgorithm
from custody.checkpoint import Checkpoint
from custody.ledger import EntryRef
from custody.publication import Publisher
from custody.receipt import Receipt, ReceiptItem, StatedUse, build_receipt, unsigned_octets
from custody.signed_note import SignedNote


def issue_receipt(
    publisher: Publisher,
    number: str,
    received_time: datetime,
    items: Sequence[tuple[str, EntryRef, bytes, int]],
    use: StatedUse | None = None,
) -> bytes:
    """Write a receipt over entries that the newest checkpoint covers.

    Shapes: each item is its number, its entry, its SHA-256 and its size.
    Raises: UnavailableError `custody/not-published` where an entry is not under a checkpoint yet.
    """
    note = publisher.newest()
    size = Checkpoint.parse(SignedNote.parse(note).text).size if note is not None else 0
    if note is None or any(entry.seq >= size for _, entry, _, _ in items):
        raise UnavailableError("custody/not-published", "The entries are not under a checkpoint yet. Ask again.")
    reader = publisher.reader(size)
    receipt = Receipt(
        number=number,
        received_time=received_time,
        items=tuple(
            ReceiptItem(
                number=item_number,
                leaf=entry.leaf,
                index=entry.seq,
                disclosures=entry.receipt,
                proof=reader.inclusion_proof(entry.seq),
                sha256=Digest(DigestAlgorithm.SHA256, sha256),
                size=octets,
            )
            for item_number, entry, sha256, octets in items
        ),
        checkpoint=note,
        verifier_keys=publisher.verifier_keys,
        timestamps=(),
        use=use,
    )
    return build_receipt(replace(receipt, signed=publisher.sign_receipt(unsigned_octets(receipt))))
