"""What all kinds of recipient share: the file key sealed under a wrap key, and the rules for a header's stanzas.

Standard: C2SP age, native recipient types. No I/O.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from archive.age.header import FILE_KEY_OCTETS, Stanza, bad_header, decode_base64
from archive.errors import LockedError

SCRYPT_TYPE = "scrypt"

_WRAPPED_OCTETS = FILE_KEY_OCTETS + 16
_ZERO_NONCE = bytes(12)


class Recipient(Protocol):
    """Whom a file is sealed to."""

    @property
    def stanza_type(self) -> str: ...

    def wrap(self, file_key: bytes) -> Stanza: ...


class Identity(Protocol):
    """What opens a file.

    `unwrap` returns None where no stanza is for it. Raises: InputError `age/bad-header` on a malformed one.
    """

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None: ...


def wrap_file_key(file_key: bytes, recipients: Sequence[Recipient]) -> list[Stanza]:
    """Wrap one file key for every recipient.

    Raises: ValueError for no recipient, for two kinds in one file (the weaker would undo the stronger) and for a
    passphrase beside anything else.
    """
    types = {recipient.stanza_type for recipient in recipients}
    if not types:
        raise ValueError("a file needs a recipient")
    if len(types) > 1:
        raise ValueError("the recipients of one file are all of one kind")
    if SCRYPT_TYPE in types and len(recipients) > 1:
        raise ValueError("a passphrase is the only recipient of its file")
    return [recipient.wrap(file_key) for recipient in recipients]


def unwrap_file_key(stanzas: Sequence[Stanza], identities: Iterable[Identity]) -> bytes:
    """Return the file key for the first identity that a stanza is for.

    Raises: InputError `age/bad-header`; LockedError `keys/no-identity-matches`.
    """
    if len(stanzas) > 1 and any(stanza.type == SCRYPT_TYPE for stanza in stanzas):
        raise bad_header("a passphrase stands beside another recipient")
    for identity in identities:
        if (file_key := identity.unwrap(stanzas)) is not None:
            return file_key
    raise LockedError("keys/no-identity-matches", "None of the keys at hand opens this file. It was left as it is.")


def seal_file_key(wrap_key: bytes, file_key: bytes) -> bytes:
    return ChaCha20Poly1305(wrap_key).encrypt(_ZERO_NONCE, file_key, None)


def open_file_key(wrap_key: bytes, body: bytes) -> bytes | None:
    try:
        return ChaCha20Poly1305(wrap_key).decrypt(_ZERO_NONCE, body, None)
    except InvalidTag:
        return None


def share_of(stanza: Stanza, length: int) -> bytes:
    if len(stanza.arguments) != 2:
        raise bad_header("a recipient has the wrong number of arguments")
    return octets_of_argument(stanza.arguments[1], length)


def octets_of_argument(argument: str, length: int) -> bytes:
    try:
        octets = decode_base64(argument.encode("ascii"))
    except ValueError as error:
        raise bad_header("a recipient's argument is not canonical base64") from error
    if len(octets) != length:
        raise bad_header("a recipient's argument has the wrong length")
    return octets


def body_of(stanza: Stanza) -> bytes:
    """The length is checked before anything is decrypted, against partitioning oracles."""
    if len(stanza.body) != _WRAPPED_OCTETS:
        raise bad_header("a wrapped file key has the wrong length")
    return stanza.body
