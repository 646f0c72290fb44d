"""Judging a receipt: what it proves by itself, without the archive, and on which keys that rests.

What was received is proved by the entries; that the receipt's number, its time, the use and the list of items are as
they were given, by the log's signature over the whole (`receipt_head`), which receipts of older forms lack. Time-stamp
tokens are checked elsewhere. Never raises: whatever the file holds, it ends in findings. No I/O.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from archive.errors import IntegrityError
from archive.types import Digest, Finding, ItemId
from custody.canonical import Json
from custody.checkpoint import VerifiedCheckpoint, verify_checkpoint
from custody.commitments import Disclosure
from custody.entries import RUN, Entry, EventKind, RunLink, check_disclosure, parse_item
from custody.json_members import integer, members, moment, text
from custody.merkle import leaf_hash, verify_inclusion
from custody.receipt import Receipt, ReceiptItem, parse_receipt, unsigned_octets
from custody.receipt_head import check_head
from custody.signed_note import KeyType, VerifierKey

_OPENED = ["fixity", "recorded_time", RUN]
_INTAKE = "intake"
"""Opened too where only a cleaned copy was kept: it holds the digest of what was handed in."""
_STAGE = "receipt"
_EVENTS = (EventKind.INGESTION, EventKind.DUPLICATE_RECEIPT)
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question that was asked of a receipt, in words, and its answer."""

    finding: Finding
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemVerdict:
    """What is proved of one item. The values are there only when every check matches; `stated_number` is no proof."""

    stated_number: str
    checks: tuple[Check, ...]
    item: ItemId | None = None
    sha256: Digest | None = None
    size: int | None = None
    recorded_time: datetime | None = None

    @property
    def finding(self) -> Finding:
        return _worst(self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptVerdict:
    """What a receipt proves, and on which keys that rests.

    `keys` signed the checkpoint. Where `keys_were_given` is false they came with the receipt itself: the verdict then
    rests on whoever reads it comparing `key.fingerprint` with the one that the archive published.
    """

    checks: tuple[Check, ...]
    items: tuple[ItemVerdict, ...] = ()
    receipt: Receipt | None = None
    verified: VerifiedCheckpoint | None = None
    keys_were_given: bool

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        return self.verified.keys if self.verified is not None else ()

    @property
    def finding(self) -> Finding:
        return _worst([*self.checks, *(check for item in self.items for check in item.checks)])


def verify_receipt(data: bytes, trusted_keys: tuple[VerifierKey, ...] | None) -> ReceiptVerdict:
    """Check everything that a receipt says against the log's signed state, and say what was found.

    With `trusted_keys` the log's Ed25519 key must be among them and have signed, and if an ML-DSA-44 key is among
    them, one must have signed too. With None the receipt's own keys are used and the verdict rests on their
    fingerprints.
    """
    given = trusted_keys is not None
    try:
        receipt = parse_receipt(data)
    except IntegrityError as error:
        return ReceiptVerdict(checks=(_differs(error.message),), keys_were_given=given)
    verified, signature = _check_signature(receipt, trusted_keys)
    return ReceiptVerdict(
        checks=(signature, _check_head(receipt, verified)),
        items=tuple(_check_item(item, verified) for item in receipt.items),
        receipt=receipt,
        verified=verified,
        keys_were_given=given,
    )


def _check_signature(
    receipt: Receipt, trusted_keys: tuple[VerifierKey, ...] | None
) -> tuple[VerifiedCheckpoint | None, Check]:
    keys = receipt.verifier_keys if trusted_keys is None else trusted_keys
    try:
        verified = verify_checkpoint(receipt.checkpoint, keys)
    except IntegrityError as error:
        return None, _differs(error.message)
    if KeyType.MLDSA44 not in verified.key_types and any(key.type is KeyType.MLDSA44 for key in keys):
        return None, _differs("The log's state lacks the second signature (ML-DSA-44) that its keys call for.")
    if trusted_keys is None:
        return verified, _matches("The log's state is signed by the key in the receipt. Compare its fingerprint.")
    return verified, _matches("The log's state is signed by the key that was given.")


def _check_head(receipt: Receipt, verified: VerifiedCheckpoint | None) -> Check:
    """Say whether the keys that signed the log's state signed this very receipt too."""
    if receipt.signed is None:
        return _cannot_tell(
            "A receipt of this older form is not signed as a whole: its number, time and use, the items' numbers, and "
            "that none is missing are this file's word."
        )
    if verified is None:
        return _cannot_tell("Whether the receipt is as it was given cannot be told without the log's signature.")
    try:
        check_head(unsigned_octets(receipt), receipt.signed, receipt.verifier_keys)
        if not set(verified.keys) <= set(receipt.verifier_keys):
            _refuse("The receipt is not signed by the key that signed the log's state.")
    except IntegrityError as error:
        return _differs(error.message)
    return _matches("The number, the time, the use and the list of items are as the log's key signed them.")


def _check_item(item: ReceiptItem, verified: VerifiedCheckpoint | None) -> ItemVerdict:
    checks: list[Check] = []
    try:
        entry = Entry.parse(item.leaf)
        opened = _opened(entry, item.disclosures)
        checks.append(_matches("The opened values are those that the entry committed to."))
        fixity = members(opened["fixity"], {"item", "stage", "sha256", "size"})
        subject = parse_item(fixity["item"])
        if entry.event not in _EVENTS or fixity["stage"] != _STAGE or RunLink.from_value(opened[RUN]).item != subject:
            _refuse("The entry does not speak of the receipt of this item.")
        recorded = moment(opened["recorded_time"])
        if (fixity["sha256"], integer(fixity["size"])) != (item.sha256.hex, item.size):
            _refuse("The receipt states another SHA-256 or size than the entry in the log.")
        checks.append(_matches("The stated SHA-256 and size are those of the entry."))
        if _INTAKE in opened:
            checks.append(_matches(_stripped(opened[_INTAKE], item)))
        checks.append(_check_place(item, entry, verified))
    except IntegrityError as error:
        return ItemVerdict(stated_number=item.number, checks=(*checks, _differs(error.message)))
    except (ValueError, KeyError):
        # Its message may quote a value, which does not belong in words that are shown.
        words = "A value that the entry committed to is not written as the format says."
        return ItemVerdict(stated_number=item.number, checks=(*checks, _differs(words)))
    if _worst(checks) is not Finding.MATCHES:
        return ItemVerdict(stated_number=item.number, checks=tuple(checks))
    return ItemVerdict(
        stated_number=item.number,
        checks=tuple(checks),
        item=subject,
        sha256=item.sha256,
        size=item.size,
        recorded_time=recorded,
    )


def _stripped(value: Json, item: ReceiptItem) -> str:
    """Say what was handed in where the entry states that only a cleaned copy of it is kept."""
    if not isinstance(value, Mapping):
        raise ValueError("other members than the format says")
    stored = members(value["stored"], {"sha256", "size"})
    handed_in = members(value["handed_in"], {"sha256", "size"})
    if (stored["sha256"], stored["size"]) != (item.sha256.hex, item.size):
        _refuse("The entry states another cleaned copy than the receipt.")
    digest = text(handed_in["sha256"])
    if not _HEX_SHA256.fullmatch(digest):
        raise ValueError("a SHA-256 is written in lower-case hex")
    return f"Only a copy cleaned at intake is kept; what was handed in had the SHA-256 {digest}."


def _opened(entry: Entry, disclosures: Iterable[Disclosure]) -> dict[str, Json]:
    pairs = [check_disclosure(entry, disclosure) for disclosure in disclosures]
    if sorted(name for name, _ in pairs if name != _INTAKE) != _OPENED or len(dict(pairs)) != len(pairs):
        _refuse("The receipt does not open what was received, its place and its time, and nothing else.")
    return dict(pairs)


def _check_place(item: ReceiptItem, entry: Entry, verified: VerifiedCheckpoint | None) -> Check:
    if entry.seq != item.index:
        _refuse("The receipt states another place in the log than its entry.")
    if verified is None:
        return _cannot_tell(
            "Whether the entry stands in the log cannot be told without a log state whose signature is right."
        )
    checkpoint = verified.checkpoint
    verify_inclusion(item.index, checkpoint.size, leaf_hash(item.leaf), item.proof, checkpoint.root)
    return _matches("The entry stands in the log at the stated place.")


def _refuse(words: str) -> NoReturn:
    raise IntegrityError("custody/receipt-differs", words)


def _matches(words: str) -> Check:
    return Check(finding=Finding.MATCHES, words=words)


def _cannot_tell(words: str) -> Check:
    return Check(finding=Finding.CANNOT_TELL, words=words)


def _differs(words: str) -> Check:
    return Check(finding=Finding.DOES_NOT_MATCH, words=words)


def _worst(checks: Sequence[Check]) -> Finding:
    found = {check.finding for check in checks}
    for finding in (Finding.DOES_NOT_MATCH, Finding.CANNOT_TELL):
        if finding in found:
            return finding
    return Finding.MATCHES
