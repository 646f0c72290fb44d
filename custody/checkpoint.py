"""Checkpoints: the log's signed state, by which everyone who holds one can tell whether the log was rewritten.

Knows the text of a C2SP tlog-checkpoint (origin, size, root) and its two signature lines: Ed25519 over the text, and
ML-DSA-44 over a C2SP tlog-cosignature message. Does not know what the log holds. No I/O.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from custody.canonical import MAX_INTEGER
from custody.merkle import HASH_OCTETS
from custody.signed_note import (
    KeyType,
    NoteSignature,
    SignedNote,
    SigningKey,
    VerifierKey,
    bad_note,
    bad_signature,
    check_key_name,
    verify_note,
)

__all__ = [
    "Checkpoint",
    "KeyType",
    "SignedNote",
    "SigningKey",
    "VerifiedCheckpoint",
    "VerifierKey",
    "sign_checkpoint",
    "verify_checkpoint",
    "verify_note",
]

_COSIGNED_LABEL = b"subtree/v1\n\x00"
_TIME_OCTETS = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_TIME = int((datetime.max.replace(tzinfo=UTC, microsecond=0) - _EPOCH).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a checkpoint says.

    Standard: C2SP tlog-checkpoint. Shapes: `root` is 32 octets. `extensions` are read and kept but never made here: the
    ML-DSA-44 line does not cover them.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # The log's key bears the origin as its name, so an origin must be a possible key name.
        check_key_name(self.origin)
        if len(self.origin.encode()) > 255:
            raise ValueError("an origin has at most 255 octets")
        if not 0 <= self.size <= MAX_INTEGER or len(self.root) != HASH_OCTETS:
            raise ValueError("a checkpoint has a size and a root of 32 octets")
        if not all(line and "\n" not in line for line in self.extensions):
            raise ValueError("an extension is one line and not empty")

    def text(self) -> str:
        lines = (self.origin, str(self.size), b64encode(self.root).decode("ascii"), *self.extensions)
        return "".join(line + "\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the text of a checkpoint. Raises: IntegrityError `custody/bad-note`."""
        try:
            origin, size, root, *extensions = text.removesuffix("\n").split("\n")
            if not size.isascii() or not size.isdigit() or len(size) > len(str(MAX_INTEGER)):
                raise ValueError("a size is a decimal number")
            read = cls(origin=origin, size=int(size), root=b64decode(root, validate=True), extensions=tuple(extensions))
            if read.text() != text:
                raise ValueError("a checkpoint has only one spelling")
        except ValueError as error:
            raise bad_note(text.encode("utf-8", "surrogatepass"), str(error)) from error
        return read


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedCheckpoint:
    """A checkpoint whose signatures by `keys` were verified.

    `cosigned_time` is the time that the ML-DSA-44 line states and signs, in whole seconds; it is the log's own word.
    """

    checkpoint: Checkpoint
    keys: tuple[VerifierKey, ...]
    cosigned_time: datetime | None

    @property
    def key_types(self) -> frozenset[KeyType]:
        return frozenset(key.type for key in self.keys)


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[SigningKey], time: datetime) -> bytes:
    """Write `checkpoint` as a note with one line by each of `signers`, in their order.

    Raises: ValueError where a signer's name is not the origin, no signer is Ed25519, or `time` lies before 1970 or
    knows no zone.
    """
    if any(signer.name != checkpoint.origin for signer in signers):
        raise ValueError("the log's keys bear its origin as their name")
    if all(signer.type is not KeyType.ED25519 for signer in signers):
        raise ValueError("a checkpoint needs an Ed25519 signature")
    if time.tzinfo is None or time < _EPOCH:
        raise ValueError("a signing time is aware and not before 1970")
    lines = tuple(_sign(checkpoint, signer, (time - _EPOCH) // timedelta(seconds=1)) for signer in signers)
    return SignedNote(text=checkpoint.text(), signatures=lines).to_bytes()


def verify_checkpoint(note: bytes, keys: Iterable[VerifierKey]) -> VerifiedCheckpoint:
    """Prove that the log's own Ed25519 key among `keys` signed this checkpoint.

    A wrong signature by any of `keys` refuses the whole note; lines by other keys are left aside. A key of another
    name than the origin is another log's key and proves nothing here. Whether an ML-DSA-44 line must be there too is
    the caller's to say, by `key_types`.
    Raises: IntegrityError `custody/bad-note`, `custody/bad-signature`.
    """
    read = SignedNote.parse(note)
    checkpoint = Checkpoint.parse(read.text)
    verified: list[VerifierKey] = []
    seconds: int | None = None
    for key in dict.fromkeys(keys):
        for line in read.signatures:
            if key.name != checkpoint.origin or not line.is_by(key):
                continue
            stated = _verify(checkpoint, key, line)
            if stated is None:
                raise bad_signature(note, "a signature by a known key is wrong")
            if key.type is KeyType.MLDSA44:
                seconds = stated
            if key not in verified:
                verified.append(key)
    if all(key.type is not KeyType.ED25519 for key in verified):
        raise bad_signature(note, "the log's Ed25519 key did not sign")
    cosigned = _EPOCH + timedelta(seconds=seconds) if seconds is not None else None
    return VerifiedCheckpoint(checkpoint=checkpoint, keys=tuple(verified), cosigned_time=cosigned)


def _sign(checkpoint: Checkpoint, signer: SigningKey, seconds: int) -> NoteSignature:
    match signer.type:
        case KeyType.ED25519:
            signature = signer.sign(checkpoint.text().encode())
        case KeyType.MLDSA44:
            stated = seconds.to_bytes(_TIME_OCTETS, "big")
            signature = stated + signer.sign(_cosigned_message(checkpoint, signer.name, stated))
    return NoteSignature(name=signer.name, key_id=signer.verifier_key.key_id, signature=signature)


def _verify(checkpoint: Checkpoint, key: VerifierKey, line: NoteSignature) -> int | None:
    """Return the time that a right signature states, 0 where its kind states none; None for a wrong one."""
    match key.type:
        case KeyType.ED25519:
            return 0 if key.check(line.signature, checkpoint.text().encode()) else None
        case KeyType.MLDSA44:
            stated, signature = line.signature[:_TIME_OCTETS], line.signature[_TIME_OCTETS:]
            right = len(stated) == _TIME_OCTETS and int.from_bytes(stated, "big") <= _LAST_TIME
            right = right and key.check(signature, _cosigned_message(checkpoint, key.name, stated))
            return int.from_bytes(stated, "big") if right else None


def _cosigned_message(checkpoint: Checkpoint, cosigner: str, stated_time: bytes) -> bytes:
    """Write what ML-DSA-44 signs. Standard: C2SP tlog-cosignature, `cosigned_message`, with start 0."""
    name, origin = cosigner.encode(), checkpoint.origin.encode()
    return b"".join(
        (
            _COSIGNED_LABEL,
            len(name).to_bytes(1, "big") + name,
            stated_time,
            len(origin).to_bytes(1, "big") + origin,
            (0).to_bytes(8, "big"),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )
