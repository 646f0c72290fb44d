"""What whoever brings evidence takes home: proof, without asking the archive, that it was received whole, and when.

Knows the format of formats.md section 5. What it proves is in the entries; the receipt's own number, the items' numbers
and `received_time` are the archive's words and are shown as such. Time-stamp tokens are carried along and checked
elsewhere. Checking never raises: whatever the file holds, it ends in findings. No I/O.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from archive.errors import IntegrityError
from archive.types import Digest, DigestAlgorithm, Finding, ItemId, parse_utc, utc_text
from custody.canonical import Json, canonical_bytes, parse_canonical
from custody.checkpoint import VerifiedCheckpoint, verify_checkpoint
from custody.commitments import Disclosure
from custody.entries import RUN, Entry, EventKind, RunLink, check_disclosure, parse_item
from custody.merkle import leaf_hash, verify_inclusion
from custody.signed_note import KeyType, VerifierKey

FORMAT_VERSION = 1
VERSION_WITH_USE = 2
MAX_RECEIPT_OCTETS = 64 * 2**20

_OPENED = ["fixity", "recorded_time", RUN]
_INTAKE = "intake"
"""Opened too where only a cleaned copy was kept: it holds the digest of what was handed in."""
_STAGE = "receipt"
_EVENTS = (EventKind.INGESTION, EventKind.DUPLICATE_RECEIPT)
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptItem:
    """One item received: its entry as it stands in the log, and what shows that it stands there."""

    number: str
    leaf: bytes
    index: int
    disclosures: tuple[Disclosure, ...]
    proof: tuple[bytes, ...]
    sha256: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptTimestamp:
    """An RFC 3161 TimeStampResp over the checkpoint, and the chain of its signer in PEM. Unverified."""

    authority: str
    token: bytes
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedUse:
    """What the sender allowed when the receipt was given, in the archive's words (formats.md 5)."""

    level: str
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt as it is built or was read. Shapes: `checkpoint` is the signed note, byte for byte."""

    number: str
    received_time: datetime
    items: tuple[ReceiptItem, ...]
    checkpoint: bytes
    verifier_keys: tuple[VerifierKey, ...]
    timestamps: tuple[ReceiptTimestamp, ...]
    use: StatedUse | None = None


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


def build_receipt(receipt: Receipt) -> bytes:
    """Write a receipt as canonical JSON. Raises: ValueError where it holds no item."""
    if not receipt.items:
        raise ValueError("a receipt is for at least one item")
    items: list[Json] = [
        {
            "number": item.number,
            "leaf": item.leaf.decode("ascii"),
            "index": item.index,
            "disclosures": [disclosure.text for disclosure in item.disclosures],
            "proof": list(map(_base64, item.proof)),
            "sha256": item.sha256.hex,
            "size": item.size,
        }
        for item in receipt.items
    ]
    timestamps: list[Json] = [
        {"authority": stamp.authority, "token": _base64(stamp.token), "chain": stamp.chain}
        for stamp in receipt.timestamps
    ]
    use: dict[str, Json] = {}
    if receipt.use is not None:
        use["use"] = {"level": receipt.use.level, "audiences": list(receipt.use.audiences)}
    return canonical_bytes(
        {
            **use,
            "v": VERSION_WITH_USE if use else FORMAT_VERSION,
            "receipt": receipt.number,
            "received_time": utc_text(receipt.received_time),
            "items": items,
            "checkpoint": receipt.checkpoint.decode("utf-8"),
            "verifier_keys": list(map(str, receipt.verifier_keys)),
            "timestamps": timestamps,
        }
    )


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt; nothing about it is verified yet.

    Raises: IntegrityError `custody/bad-receipt` for bytes that `build_receipt` would not have written.
    """
    try:
        if len(data) > MAX_RECEIPT_OCTETS:
            raise ValueError("a receipt is not that large")
        fields, use = _head(parse_canonical(data))
        receipt = Receipt(
            number=_text(fields["receipt"]),
            received_time=_moment(fields["received_time"]),
            items=tuple(map(_read_item, _array(fields["items"]))),
            checkpoint=_text(fields["checkpoint"]).encode("utf-8"),
            verifier_keys=tuple(VerifierKey.parse(_text(key)) for key in _array(fields["verifier_keys"])),
            timestamps=tuple(map(_read_timestamp, _array(fields["timestamps"]))),
            use=use,
        )
        # Writing it again refuses what Python reads in more than one spelling, such as base64.
        if build_receipt(receipt) != data:
            raise ValueError("a receipt has only one spelling")
    except (ValueError, IntegrityError) as error:
        raise IntegrityError(
            "custody/bad-receipt",
            "This is not a receipt as this archive writes it: it was altered or cut, or it is another file.",
            evidence={"start": data[:4096], "size": len(data), "reason": str(error)},
        ) from error
    return receipt


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
        checks=(signature,),
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


def _check_item(item: ReceiptItem, verified: VerifiedCheckpoint | None) -> ItemVerdict:
    checks: list[Check] = []
    try:
        entry = Entry.parse(item.leaf)
        opened = _opened(entry, item.disclosures)
        checks.append(_matches("The opened values are those that the entry committed to."))
        fixity = _members(opened["fixity"], {"item", "stage", "sha256", "size"})
        subject = parse_item(fixity["item"])
        if entry.event not in _EVENTS or fixity["stage"] != _STAGE or RunLink.from_value(opened[RUN]).item != subject:
            _refuse("The entry does not speak of the receipt of this item.")
        recorded = _moment(opened["recorded_time"])
        if (fixity["sha256"], _integer(fixity["size"])) != (item.sha256.hex, item.size):
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
    stored = _members(value["stored"], {"sha256", "size"})
    handed_in = _members(value["handed_in"], {"sha256", "size"})
    if (stored["sha256"], stored["size"]) != (item.sha256.hex, item.size):
        _refuse("The entry states another cleaned copy than the receipt.")
    digest = _text(handed_in["sha256"])
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
        words = "Whether the entry stands in the log cannot be told without a log state whose signature is right."
        return Check(finding=Finding.CANNOT_TELL, words=words)
    checkpoint = verified.checkpoint
    verify_inclusion(item.index, checkpoint.size, leaf_hash(item.leaf), item.proof, checkpoint.root)
    return _matches("The entry stands in the log at the stated place.")


def _head(value: Json) -> tuple[Mapping[str, Json], StatedUse | None]:
    """Read the members that each version has, and the stated use of the second."""
    names = {"v", "receipt", "received_time", "items", "checkpoint", "verifier_keys", "timestamps"}
    version = _integer(value["v"]) if isinstance(value, Mapping) and "v" in value else 0
    if version == FORMAT_VERSION:
        return _members(value, names), None
    if version != VERSION_WITH_USE:
        raise ValueError("a receipt of another version")
    fields = _members(value, names | {"use"})
    use = _members(fields["use"], {"level", "audiences"})
    return fields, StatedUse(level=_text(use["level"]), audiences=tuple(map(_text, _array(use["audiences"]))))


def _read_item(value: Json) -> ReceiptItem:
    fields = _members(value, {"number", "leaf", "index", "disclosures", "proof", "sha256", "size"})
    digest = _text(fields["sha256"])
    if not _HEX_SHA256.fullmatch(digest):
        raise ValueError("a SHA-256 is written in lower-case hex")
    return ReceiptItem(
        number=_text(fields["number"]),
        leaf=_text(fields["leaf"]).encode("ascii"),
        index=_integer(fields["index"]),
        disclosures=tuple(Disclosure(_text(text)) for text in _array(fields["disclosures"])),
        proof=tuple(b64decode(_text(step), validate=True) for step in _array(fields["proof"])),
        sha256=Digest(DigestAlgorithm.SHA256, bytes.fromhex(digest)),
        size=_integer(fields["size"]),
    )


def _read_timestamp(value: Json) -> ReceiptTimestamp:
    fields = _members(value, {"authority", "token", "chain"})
    token = b64decode(_text(fields["token"]), validate=True)
    return ReceiptTimestamp(authority=_text(fields["authority"]), token=token, chain=_text(fields["chain"]))


def _members(value: Json, names: set[str]) -> Mapping[str, Json]:
    if not isinstance(value, Mapping) or value.keys() != names:
        raise ValueError("other members than the format says")
    return value


def _array(value: Json) -> Sequence[Json]:
    if not isinstance(value, list):
        raise ValueError("a list was expected")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("text was expected")
    return value


def _integer(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("an integer was expected")
    return value


def _moment(value: Json) -> datetime:
    moment = parse_utc(_text(value))
    if utc_text(moment) != value:
        raise ValueError("a moment has only one spelling")
    return moment


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")


def _refuse(words: str) -> NoReturn:
    raise IntegrityError("custody/receipt-differs", words)


def _matches(words: str) -> Check:
    return Check(finding=Finding.MATCHES, words=words)


def _differs(words: str) -> Check:
    return Check(finding=Finding.DOES_NOT_MATCH, words=words)


def _worst(checks: Sequence[Check]) -> Finding:
    found = {check.finding for check in checks}
    for finding in (Finding.DOES_NOT_MATCH, Finding.CANNOT_TELL):
        if finding in found:
            return finding
    return Finding.MATCHES
