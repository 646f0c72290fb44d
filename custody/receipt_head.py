"""The signature over a whole receipt: its number, its time, what is allowed and which files it lists.

Knows the text of formats.md 5.2. It is a signed note by the log's keys, which work while the archive is locked. Its two
lines can never be read as a checkpoint, and its first words never begin what a cosignature signs, so that neither
signature can stand for the other. No I/O.
"""

from collections.abc import Sequence
from hashlib import sha256

from archive.errors import IntegrityError
from custody.signed_note import NoteSignature, SignedNote, SigningKey, VerifierKey

_FIRST_LINE = "testigo-receipt/3"


def sign_head(unsigned: bytes, signers: Sequence[SigningKey]) -> bytes:
    """Write the note by which `signers` stand for a receipt, whose octets without this note are `unsigned`."""
    text = _text(unsigned)
    lines = (
        NoteSignature(name=signer.name, key_id=signer.verifier_key.key_id, signature=signer.sign(text.encode()))
        for signer in signers
    )
    return SignedNote(text=text, signatures=tuple(lines)).to_bytes()


def check_head(unsigned: bytes, note: bytes, keys: Sequence[VerifierKey]) -> None:
    """Prove that `keys`, in this order, and nobody else signed exactly this receipt.

    Raises: IntegrityError `custody/receipt-altered`.
    """
    try:
        read = SignedNote.parse(note)
    except IntegrityError as error:
        raise _altered() from error
    message = _text(unsigned).encode()
    if read.text.encode() != message:
        raise _altered()
    if len(read.signatures) != len(keys):
        raise _altered()
    for key, line in zip(keys, read.signatures, strict=True):
        if not line.is_by(key) or not key.check(line.signature, message):
            raise _altered()


def _text(unsigned: bytes) -> str:
    return f"{_FIRST_LINE}\nsha256 {sha256(unsigned).hexdigest()}\n"


def _altered() -> IntegrityError:
    return IntegrityError(
        "custody/receipt-altered",
        "The number, the times, what is allowed or the list of files is not what the archive signed: it was altered.",
    )
