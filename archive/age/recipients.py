"""Who may open a sealed file: recipients wrap its file key, identities unwrap it.

The hybrid post-quantum kind `mlkem768x25519` and the classic `X25519`; a passphrase's `scrypt` comes from
`passphrase.py`. Secrets never show in a repr; text forms are parsed strictly. Knows one stanza at a time. No I/O.
Standard: C2SP age, native recipient types.
"""

import hashlib
import os
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from archive.age import bech32
from archive.age.header import Stanza, bad_header, derive_key, encode_base64
from archive.age.passphrase import ScryptIdentity, ScryptRecipient
from archive.age.wrapping import Identity, Recipient, body_of, open_file_key, seal_file_key, share_of
from archive.errors import InputError

__all__ = [
    "HybridIdentity",
    "HybridRecipient",
    "Identity",
    "KeyIdentity",
    "KeyKind",
    "KeyRecipient",
    "Recipient",
    "ScryptIdentity",
    "ScryptRecipient",
    "X25519Identity",
    "X25519Recipient",
    "generate_identity",
    "parse_identity",
    "parse_recipient",
]

_SECRET_OCTETS = 32
_X25519_OCTETS = 32
_X25519_LABEL = b"age-encryption.org/v1/X25519"
_MLKEM_OCTETS = 1184
_HYBRID_ENC_OCTETS = 1120
_HYBRID_LABEL = b"age-encryption.org/mlkem768x25519"
_HYBRID_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
_PREFIX_X25519 = "age"
_PREFIX_HYBRID = "age1pq"
_PREFIX_SECRET_X25519 = "AGE-SECRET-KEY-"  # noqa: S105, a public prefix
_PREFIX_SECRET_HYBRID = "AGE-SECRET-KEY-PQ-"  # noqa: S105, a public prefix


class KeyKind(StrEnum):
    """The kinds of key a keyring may be made of; the value is the stanza's type."""

    HYBRID = "mlkem768x25519"
    X25519 = "X25519"


class KeyRecipient(Recipient, Protocol):
    """A recipient with a public text form, which `str` gives."""

    @property
    def kind(self) -> KeyKind: ...


class KeyIdentity(Identity, Protocol):
    """An identity with a secret text form and a public recipient."""

    @property
    def kind(self) -> KeyKind: ...

    @property
    def recipient(self) -> KeyRecipient: ...

    def secret_text(self) -> str: ...


class _PublicText:
    """A recipient that is its public octets; compared and hashed by them."""

    _prefix: str

    def __init__(self, public_octets: bytes) -> None:
        self.public_octets = public_octets

    @cached_property
    def _text(self) -> str:
        return bech32.encode(self._prefix, self.public_octets)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text[:16]}…)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _PublicText):
            return NotImplemented
        return self.public_octets == other.public_octets

    def __hash__(self) -> int:
        return hash(self.public_octets)


class X25519Recipient(_PublicText):
    """Standard: C2SP age, the X25519 recipient type. Raises: InputError `keys/bad-recipient`."""

    kind = KeyKind.X25519
    stanza_type: str = KeyKind.X25519
    _prefix = _PREFIX_X25519

    def __init__(self, public_octets: bytes) -> None:
        if len(public_octets) != _X25519_OCTETS:
            raise _bad_recipient("it has the wrong length")
        super().__init__(public_octets)
        self._public = X25519PublicKey.from_public_bytes(public_octets)

    def wrap(self, file_key: bytes) -> Stanza:
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        try:
            shared = ephemeral.exchange(self._public)
        except ValueError as error:
            raise _bad_recipient("its point is of low order") from error
        wrap_key = derive_key(shared, share + self.public_octets, _X25519_LABEL)
        return Stanza((self.stanza_type, encode_base64(share).decode("ascii")), seal_file_key(wrap_key, file_key))


class HybridRecipient(_PublicText):
    """Standard: C2SP age, the MLKEM768-X25519 recipient type. Raises: InputError `keys/bad-recipient`."""

    kind = KeyKind.HYBRID
    stanza_type: str = KeyKind.HYBRID
    _prefix = _PREFIX_HYBRID

    def __init__(self, public_octets: bytes) -> None:
        if len(public_octets) != _MLKEM_OCTETS + _X25519_OCTETS:
            raise _bad_recipient("it has the wrong length")
        super().__init__(public_octets)
        try:
            lattice = mlkem.MLKEM768PublicKey.from_public_bytes(public_octets[:_MLKEM_OCTETS])
        except ValueError as error:
            raise _bad_recipient("its lattice part is not a public key") from error
        curve = X25519PublicKey.from_public_bytes(public_octets[_MLKEM_OCTETS:])
        self._public = hpke.MLKEM768X25519PublicKey(lattice, curve)

    @classmethod
    def _of_parts(cls, lattice: mlkem.MLKEM768PublicKey, curve: X25519PublicKey) -> Self:
        """Give the recipient of keys that are at hand, without reading them from octets again."""
        recipient = cls.__new__(cls)
        _PublicText.__init__(recipient, lattice.public_bytes_raw() + curve.public_bytes_raw())
        recipient._public = hpke.MLKEM768X25519PublicKey(lattice, curve)
        return recipient

    def wrap(self, file_key: bytes) -> Stanza:
        try:
            sealed = _HYBRID_SUITE.encrypt(file_key, self._public, _HYBRID_LABEL)
        except ValueError as error:
            raise _bad_recipient("its point is of low order") from error
        share = encode_base64(sealed[:_HYBRID_ENC_OCTETS]).decode("ascii")
        return Stanza((self.stanza_type, share), sealed[_HYBRID_ENC_OCTETS:])


class _SecretText:
    """An identity that is 32 secret octets; neither repr nor str shows them."""

    _secret_prefix: str

    def __init__(self, secret: bytes) -> None:
        if len(secret) != _SECRET_OCTETS:
            raise _bad_identity("it has the wrong length")
        self._secret = secret

    def secret_text(self) -> str:
        """Write the secret as age clients read it; the caller answers for where it goes."""
        return bech32.encode(self._secret_prefix.lower(), self._secret).upper()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(secret)"


class X25519Identity(_SecretText):
    """Raises: InputError `keys/bad-identity`."""

    kind = KeyKind.X25519
    _secret_prefix = _PREFIX_SECRET_X25519

    @cached_property
    def _private(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self._secret)

    @cached_property
    def recipient(self) -> X25519Recipient:
        return X25519Recipient(self._private.public_key().public_bytes_raw())

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        for share, body in _shares_of(stanzas, KeyKind.X25519, _X25519_OCTETS):
            try:
                shared = self._private.exchange(X25519PublicKey.from_public_bytes(share))
            except ValueError as error:
                raise bad_header("a recipient's share is of low order") from error
            wrap_key = derive_key(shared, share + self.recipient.public_octets, _X25519_LABEL)
            if (file_key := open_file_key(wrap_key, body)) is not None:
                return file_key
        return None


class HybridIdentity(_SecretText):
    """Raises: InputError `keys/bad-identity`."""

    kind = KeyKind.HYBRID
    _secret_prefix = _PREFIX_SECRET_HYBRID

    @cached_property
    def _parts(self) -> tuple[mlkem.MLKEM768PrivateKey, X25519PrivateKey]:
        expanded = hashlib.shake_256(self._secret).digest(96)
        lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        return lattice, X25519PrivateKey.from_private_bytes(expanded[64:])

    @cached_property
    def _private(self) -> hpke.MLKEM768X25519PrivateKey:
        return hpke.MLKEM768X25519PrivateKey(*self._parts)

    @cached_property
    def recipient(self) -> HybridRecipient:
        lattice, curve = self._parts
        return HybridRecipient._of_parts(lattice.public_key(), curve.public_key())

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        for share, body in _shares_of(stanzas, KeyKind.HYBRID, _HYBRID_ENC_OCTETS):
            try:
                return _HYBRID_SUITE.decrypt(share + body, self._private, _HYBRID_LABEL)
            except InvalidTag:
                self._refuse_low_order(share)
        return None

    def _refuse_low_order(self, share: bytes) -> None:
        """HPKE says the same of a wrong key and of a share without a shared secret; the format tells them apart."""
        try:
            self._parts[1].exchange(X25519PublicKey.from_public_bytes(share[-_X25519_OCTETS:]))
        except ValueError as error:
            raise bad_header("a recipient's share is of low order") from error


# Every group of an import seals to the same few recipients again, and to each item's own several times.
@lru_cache(maxsize=512)
def parse_recipient(text: str) -> KeyRecipient:
    """Read `age1…` or `age1pq1…`. Raises: InputError `keys/bad-recipient`."""
    try:
        prefix, octets = bech32.decode(text)
    except ValueError as error:
        raise _bad_recipient(str(error)) from error
    match prefix:
        case "age":
            return X25519Recipient(octets)
        case "age1pq":
            return HybridRecipient(octets)
        case _:
            raise _bad_recipient("it begins neither with age1 nor with age1pq1")


def parse_identity(text: str) -> KeyIdentity:
    """Read `AGE-SECRET-KEY-1…` or `AGE-SECRET-KEY-PQ-1…`. Raises: InputError `keys/bad-identity`."""
    try:
        prefix, secret = bech32.decode(text)
    except ValueError as error:
        raise _bad_identity(str(error)) from error
    match prefix:
        case "AGE-SECRET-KEY-":
            return X25519Identity(secret)
        case "AGE-SECRET-KEY-PQ-":
            return HybridIdentity(secret)
        case _:
            raise _bad_identity("it does not begin with AGE-SECRET-KEY-")


def generate_identity(kind: KeyKind) -> KeyIdentity:
    """Make a fresh identity from the system's randomness."""
    match kind:
        case KeyKind.HYBRID:
            return HybridIdentity(os.urandom(_SECRET_OCTETS))
        case KeyKind.X25519:
            return X25519Identity(os.urandom(_SECRET_OCTETS))
    raise ValueError(f"unknown kind of key: {kind}")


def _shares_of(stanzas: Sequence[Stanza], kind: KeyKind, octets: int) -> list[tuple[bytes, bytes]]:
    """Every stanza of the kind is checked before any of them is decrypted."""
    return [(share_of(stanza, octets), body_of(stanza)) for stanza in stanzas if stanza.type == kind.value]


def _bad_recipient(why: str) -> InputError:
    return InputError("keys/bad-recipient", f"This is not an age recipient that can be used: {why}.")


def _bad_identity(why: str) -> InputError:
    return InputError("keys/bad-identity", f"This is not an age identity that can be used: {why}.")
