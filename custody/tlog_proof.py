"""Proof files: one entry's place in the log, with the checkpoint that covers it, checked without asking anyone.

Knows the text format of C2SP tlog-proof. It does not hold the entry itself; whoever checks brings it. No I/O.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from archive.errors import IntegrityError
from custody.canonical import MAX_INTEGER
from custody.checkpoint import VerifiedCheckpoint, verify_checkpoint
from custody.merkle import HASH_OCTETS, leaf_hash, verify_inclusion
from custody.signed_note import MAX_NOTE_OCTETS, VerifierKey

EXTENSION = ".tlog-proof"

_FIRST_LINE = "c2sp.org/tlog-proof@v1"
_MAX_STEPS = 63
_MAX_OCTETS = 2 * MAX_NOTE_OCTETS


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """A proof file as it was read; nothing about it is verified yet.

    `checkpoint` is the signed note, byte for byte. `untrusted_extra` is not covered by any signature.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    untrusted_extra: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index <= MAX_INTEGER:
            raise ValueError("an index is that of an entry in the log")
        if len(self.hashes) > _MAX_STEPS or any(len(step) != HASH_OCTETS for step in self.hashes):
            raise ValueError("an inclusion proof is a few hashes of 32 octets")

    def to_bytes(self) -> bytes:
        extra = [f"extra {_base64(self.untrusted_extra)}"] if self.untrusted_extra is not None else []
        lines = [_FIRST_LINE, *extra, f"index {self.index}", *map(_base64, self.hashes), ""]
        return "".join(line + "\n" for line in lines).encode("ascii") + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> "TlogProof":
        """Read a proof file. Standard: C2SP tlog-proof. Raises: IntegrityError `custody/bad-proof`."""
        try:
            if len(data) > _MAX_OCTETS:
                raise ValueError("a proof file is not that large")
            head, _, checkpoint = data.partition(b"\n\n")
            first, *lines = head.decode("ascii").split("\n")
            if first != _FIRST_LINE:
                raise ValueError("the first line names another format")
            extra = _from_base64(lines.pop(0).removeprefix("extra ")) if lines[0].startswith("extra ") else None
            word, _, index = lines.pop(0).partition(" ")
            if word != "index" or not index.isdigit() or len(index) > len(str(MAX_INTEGER)):
                raise ValueError("the index is missing")
            hashes = tuple(map(_from_base64, lines))
            proof = cls(index=int(index), hashes=hashes, checkpoint=checkpoint, untrusted_extra=extra)
            if proof.to_bytes() != data:
                raise ValueError("a proof file has only one spelling")
        except (ValueError, IndexError) as error:
            raise IntegrityError(
                "custody/bad-proof",
                "A proof file cannot be read. It was altered or cut; ask for it again, the log can make it anew.",
                evidence={"start": data[:4096], "size": len(data), "reason": str(error)},
            ) from error
        return proof


def verify_tlog_proof(data: bytes, leaf: bytes, keys: Iterable[VerifierKey]) -> tuple[TlogProof, VerifiedCheckpoint]:
    """Prove that `leaf` is an entry of the log whose key is among `keys`, at the place that the proof file names.

    Raises: IntegrityError `custody/bad-proof`, `custody/bad-note`, `custody/bad-signature`, `custody/not-included`.
    """
    proof = TlogProof.parse(data)
    verified = verify_checkpoint(proof.checkpoint, keys)
    checkpoint = verified.checkpoint
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(leaf), proof.hashes, checkpoint.root)
    return proof, verified


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")


def _from_base64(text: str) -> bytes:
    return b64decode(text, validate=True)
