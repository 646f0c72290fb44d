"""The secrets that observers hold, and what is derived from them: a visit's token, and the return code. No I/O.

The archive keeps what is derived, never the secret: ids and digests to find a visit by, recipients to seal to its
sender. A return code has 53 bits, so that it can be written down; it is hashed slowly, under one salt for the whole
archive, so that a visit can be found by its code alone.
"""

import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass, field
from uuid import UUID

from argon2.low_level import Type, hash_secret_raw

from archive.age.recipients import X25519Identity

TOKEN_OCTETS = 32
CODE_DIGITS = 16
_SALT_OCTETS = 16
_PASSES, _MEMORY_KIB, _LANES = 3, 64 * 1024, 1


def visit_id(token: bytes) -> UUID:
    """Return the id of the visit that a token stands for."""
    return UUID(bytes=_derived(token, b"visit id")[:16])


def visit_identity(token: bytes) -> X25519Identity:
    """Return the identity by which a sender's own browser opens what is sealed to the visit."""
    return X25519Identity(_derived(token, b"visit identity"))


def statement_upload(token: bytes, text: bytes) -> bytes:
    """Return the name under which words become an item of a visit: the same words, however often sent, the same one."""
    return _derived(token, b"statement " + hashlib.sha256(text).digest())


def told_id(token: bytes, told: bytes) -> UUID:
    """Return the id by which a form that was sent before is known again."""
    return UUID(bytes=_derived(token, b"told " + hashlib.sha256(told).digest())[:16])


def upload_record_id(upload: bytes) -> UUID:
    """Return the id of the record that says what became of an upload: one upload, one record, however often tried."""
    return UUID(bytes=hashlib.sha256(b"testigo delivery\0" + upload).digest()[:16])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnKey:
    """What a return code opens. Shapes: `digest` is kept to find the visit by; `identity` never is."""

    digest: bytes
    identity: X25519Identity = field(repr=False)


def new_return_code() -> str:
    """Draw a return code of 16 digits."""
    return "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))


def tidy_return_code(untrusted: str) -> str | None:
    """Read a code as people write it: with spaces, in the digits of any script. None where it is not one."""
    digits = [str(unicodedata.digit(sign)) for sign in untrusted[:200] if unicodedata.category(sign) == "Nd"]
    others = [sign for sign in untrusted[:200] if unicodedata.category(sign) != "Nd"]
    if len(digits) != CODE_DIGITS or any(sign.isalnum() for sign in others):
        return None
    return "".join(digits)


def return_key(code: str, intake_key: bytes) -> ReturnKey:
    """Hash a return code, slowly: argon2id, 64 MiB, 3 passes; a tenth of a second or two."""
    salt = hmac.digest(intake_key, b"testigo return code\0", hashlib.sha256)[:_SALT_OCTETS]
    raw = hash_secret_raw(
        code.encode("ascii"), salt, time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES, hash_len=64,
        type=Type.ID,
    )  # fmt: skip
    return ReturnKey(digest=raw[:32], identity=X25519Identity(raw[32:]))


def grouped_code(code: str) -> str:
    """Write a code in groups of four."""
    return " ".join(code[start : start + 4] for start in range(0, len(code), 4))


def _derived(token: bytes, purpose: bytes) -> bytes:
    if len(token) != TOKEN_OCTETS:
        raise ValueError("a visit's token has 32 octets")
    return hmac.digest(token, b"testigo " + purpose, hashlib.sha256)
