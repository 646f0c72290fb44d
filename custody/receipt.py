"""What whoever brings evidence takes home: proof, without asking the archive, that it was received whole, and when.

Knows the format of formats.md section 5: how a receipt is built and read. What it proves is said by `receipt_checking`.
Time-stamp tokens are carried along and checked elsewhere. No I/O.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from archive.errors import IntegrityError
from archive.types import Digest, DigestAlgorithm, utc_text
from custody.canonical import Json, canonical_bytes, parse_canonical
from custody.commitments import Disclosure
from custody.json_members import array, integer, members, moment, text
from custody.signed_note import VerifierKey

FORMAT_VERSION = 1
VERSION_WITH_USE = 2
VERSION_SIGNED = 3
MAX_RECEIPT_OCTETS = 64 * 2**20

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
    """A receipt as it is built or was read.

    Shapes: `checkpoint` and `signed` are signed notes, byte for byte; without `signed` it is of an older form.
    """

    number: str
    received_time: datetime
    items: tuple[ReceiptItem, ...]
    checkpoint: bytes
    verifier_keys: tuple[VerifierKey, ...]
    timestamps: tuple[ReceiptTimestamp, ...]
    use: StatedUse | None = None
    signed: bytes | None = None


def build_receipt(receipt: Receipt) -> bytes:
    """Write a receipt as canonical JSON. Raises: ValueError where it holds no item."""
    common = _members_of(receipt)
    if receipt.signed is not None:
        return canonical_bytes({**common, **_signed_form(receipt), "signed": receipt.signed.decode("utf-8")})
    if receipt.use is not None:
        return canonical_bytes({**common, "v": VERSION_WITH_USE, "use": _use_of(receipt)})
    return canonical_bytes({**common, "v": FORMAT_VERSION})


def unsigned_octets(receipt: Receipt) -> bytes:
    """Return what the log's keys sign: the whole receipt but for its member `signed`."""
    return canonical_bytes({**_members_of(receipt), **_signed_form(receipt)})


def _signed_form(receipt: Receipt) -> dict[str, Json]:
    return {"v": VERSION_SIGNED, "use": _use_of(receipt)}


def _use_of(receipt: Receipt) -> Json:
    return None if receipt.use is None else {"level": receipt.use.level, "audiences": list(receipt.use.audiences)}


def _members_of(receipt: Receipt) -> dict[str, Json]:
    """Give the members that a receipt of each version has."""
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
    return {
        "receipt": receipt.number,
        "received_time": utc_text(receipt.received_time),
        "items": items,
        "checkpoint": receipt.checkpoint.decode("utf-8"),
        "verifier_keys": list(map(str, receipt.verifier_keys)),
        "timestamps": timestamps,
    }


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt; nothing about it is verified yet.

    Raises: IntegrityError `custody/bad-receipt` for bytes that `build_receipt` would not have written.
    """
    try:
        if len(data) > MAX_RECEIPT_OCTETS:
            raise ValueError("a receipt is not that large")
        fields = _head(parse_canonical(data))
        receipt = Receipt(
            number=text(fields["receipt"]),
            received_time=moment(fields["received_time"]),
            items=tuple(map(_read_item, array(fields["items"]))),
            checkpoint=text(fields["checkpoint"]).encode("utf-8"),
            verifier_keys=tuple(VerifierKey.parse(text(key)) for key in array(fields["verifier_keys"])),
            timestamps=tuple(map(_read_timestamp, array(fields["timestamps"]))),
            use=_stated_use(fields.get("use")),
            signed=text(fields["signed"]).encode("utf-8") if "signed" in fields else None,
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


def _head(value: Json) -> Mapping[str, Json]:
    """Read the members that each version has: the second states a use, the third signs the whole."""
    names = {"v", "receipt", "received_time", "items", "checkpoint", "verifier_keys", "timestamps"}
    more = {FORMAT_VERSION: set[str](), VERSION_WITH_USE: {"use"}, VERSION_SIGNED: {"use", "signed"}}
    version = integer(value["v"]) if isinstance(value, Mapping) and "v" in value else 0
    if version not in more:
        raise ValueError("a receipt of another version")
    fields = members(value, names | more[version])
    if version == VERSION_WITH_USE and fields["use"] is None:
        raise ValueError("the second version states a use")
    return fields


def _stated_use(value: Json) -> StatedUse | None:
    if value is None:
        return None
    use = members(value, {"level", "audiences"})
    return StatedUse(level=text(use["level"]), audiences=tuple(map(text, array(use["audiences"]))))


def _read_item(value: Json) -> ReceiptItem:
    fields = members(value, {"number", "leaf", "index", "disclosures", "proof", "sha256", "size"})
    digest = text(fields["sha256"])
    if not _HEX_SHA256.fullmatch(digest):
        raise ValueError("a SHA-256 is written in lower-case hex")
    return ReceiptItem(
        number=text(fields["number"]),
        leaf=text(fields["leaf"]).encode("ascii"),
        index=integer(fields["index"]),
        disclosures=tuple(Disclosure(text(each)) for each in array(fields["disclosures"])),
        proof=tuple(b64decode(text(step), validate=True) for step in array(fields["proof"])),
        sha256=Digest(DigestAlgorithm.SHA256, bytes.fromhex(digest)),
        size=integer(fields["size"]),
    )


def _read_timestamp(value: Json) -> ReceiptTimestamp:
    fields = members(value, {"authority", "token", "chain"})
    token = b64decode(text(fields["token"]), validate=True)
    return ReceiptTimestamp(authority=text(fields["authority"]), token=token, chain=text(fields["chain"]))


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")
