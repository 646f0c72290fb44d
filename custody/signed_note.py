"""Signed notes: a text with signatures below it, and the keys that make and check them.

Knows the format of C2SP signed-note and two kinds of keys: Ed25519 (type 0x01), whose signature is over the text, and
ML-DSA-44 (type 0x06), which signs what a checkpoint says and is therefore made and checked in `checkpoint`. The text of
a note says nothing until a signature by a key that the caller trusts has been verified. No I/O but the system's random
source for fresh keys.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from archive.errors import IntegrityError

MAX_SIGNATURES = 100
MAX_NOTE_OCTETS = 1_000_000
SEED_OCTETS = 32

_DASH = "— "
_SIGNING_KEY_PREFIX = "PRIVATE+KEY+"


class KeyType(IntEnum):
    """Signature type identifiers of C2SP signed-note that this archive makes and checks."""

    ED25519 = 0x01
    MLDSA44 = 0x06


_PUBLIC_OCTETS = {KeyType.ED25519: 32, KeyType.MLDSA44: 1312}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key under its name, written as a vkey: `<name>+<key id>+<base64 of type and key>`."""

    name: str
    type: KeyType
    public_key: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public_key) != _PUBLIC_OCTETS[self.type]:
            raise ValueError(f"a {self.type.name} public key has {_PUBLIC_OCTETS[self.type]} octets")

    @property
    def fingerprint(self) -> str:
        """The digest by which a person compares two keys; its first eight characters are the key id."""
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public_key).hexdigest()

    @property
    def key_id(self) -> bytes:
        return bytes.fromhex(self.fingerprint[:8])

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(bytes([self.type]) + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a vkey. Raises: IntegrityError `custody/bad-key` where its parts do not fit each other."""
        try:
            name, key_id, encoded = _three_parts(text)
            material = _from_base64(encoded)
            key = cls(name=name, type=KeyType(material[0]), public_key=material[1:])
            if key.key_id.hex() != key_id:
                raise ValueError("the key id does not belong to this name and key")
        except (ValueError, IndexError) as error:
            raise _bad_key({"key": text[:4096], "reason": str(error)}) from error
        return key

    def check(self, signature: bytes, message: bytes) -> bool:
        """Tell whether `signature` over `message` was made with this key; callers turn False into an error."""
        try:
            match self.type:
                case KeyType.ED25519:
                    Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
                case KeyType.MLDSA44:
                    MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key under its name.

    Written as one line, `PRIVATE+KEY+<name>+<key id>+<base64 of type and 32-octet seed>`: for Ed25519 the form of Go's
    note tools, for ML-DSA-44 (FIPS 204 seed) the same form with its own type. Its file must be for its owner only.
    """

    name: str
    type: KeyType
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.seed) != SEED_OCTETS:
            raise ValueError("a signing key grows from a seed of 32 octets")

    @classmethod
    def generate(cls, name: str, key_type: KeyType) -> "SigningKey":
        return cls(name=name, type=key_type, seed=os.urandom(SEED_OCTETS))

    @property
    def verifier_key(self) -> VerifierKey:
        match self.type:
            case KeyType.ED25519:
                public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
            case KeyType.MLDSA44:
                public = MLDSA44PrivateKey.from_seed_bytes(self.seed).public_key().public_bytes_raw()
        return VerifierKey(name=self.name, type=self.type, public_key=public)

    def sign(self, message: bytes) -> bytes:
        match self.type:
            case KeyType.ED25519:
                return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)
            case KeyType.MLDSA44:
                return MLDSA44PrivateKey.from_seed_bytes(self.seed).sign(message)

    def secret_text(self) -> str:
        """Write the key as its one line, without line feed. The result is a secret."""
        key_id = self.verifier_key.key_id.hex()
        return f"{_SIGNING_KEY_PREFIX}{self.name}+{key_id}+{_base64(bytes([self.type]) + self.seed)}"

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read the line back. Raises: IntegrityError `custody/bad-key`, whose evidence holds nothing of the key."""
        try:
            if not text.startswith(_SIGNING_KEY_PREFIX):
                raise ValueError("a signing key starts with PRIVATE+KEY+")
            name, key_id, encoded = _three_parts(text.removeprefix(_SIGNING_KEY_PREFIX))
            material = _from_base64(encoded)
            key = cls(name=name, type=KeyType(material[0]), seed=material[1:])
            if key.verifier_key.key_id.hex() != key_id:
                raise ValueError("the key id does not belong to this name and key")
        except (ValueError, IndexError):
            # The cause is cut off: its message may quote the secret.
            raise _bad_key({"kind": "signing key"}) from None
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line, not yet verified."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {_base64(self.key_id + self.signature)}\n"

    def is_by(self, key: VerifierKey) -> bool:
        return (self.name, self.key_id) == (key.name, key.key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedNote:
    """A note as it was read: `text` ends in a line feed, and nothing about it is verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        return (self.text + "\n" + "".join(map(str, self.signatures))).encode()

    @classmethod
    def parse(cls, note: bytes) -> "SignedNote":
        """Read a note. Standard: C2SP signed-note. Raises: IntegrityError `custody/bad-note`."""
        try:
            return cls._parse(note)
        except ValueError as error:
            raise bad_note(note, str(error)) from error

    @classmethod
    def _parse(cls, note: bytes) -> "SignedNote":
        if len(note) > MAX_NOTE_OCTETS:
            raise ValueError("a note has at most a million octets")
        written = note.decode("utf-8")
        if any(character < " " and character != "\n" for character in written):
            raise ValueError("a note holds no control characters")
        # The last empty line parts text from signatures; the text may hold empty lines of its own.
        text, parting, below = written.rpartition("\n\n")
        if not parting or not below.endswith("\n"):
            raise ValueError("a note is a text, an empty line and signature lines, each with a line feed")
        lines = below.removesuffix("\n").split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise ValueError(f"a note has at most {MAX_SIGNATURES} signatures")
        return cls(text=text + "\n", signatures=tuple(map(_parse_signature, lines)))


def verify_note(note: bytes, keys: Iterable[VerifierKey]) -> SignedNote:
    """Prove that at least one of `keys` signed the note's text and that none of their signatures is wrong.

    For notes signed over their text, which is Ed25519; ML-DSA-44 lines speak of checkpoints only and are left aside.
    Raises: IntegrityError `custody/bad-note`, `custody/bad-signature`.
    """
    read = SignedNote.parse(note)
    verified = 0
    for key in keys:
        for line in read.signatures:
            if key.type is KeyType.ED25519 and line.is_by(key):
                if not key.check(line.signature, read.text.encode()):
                    raise bad_signature(note, "a signature by a known key is wrong")
                verified += 1
    if not verified:
        raise bad_signature(note, "no known key signed")
    return read


def check_key_name(name: str) -> None:
    """Raises: ValueError for a name that a signature line or a vkey could not carry."""
    if not name or "+" in name or any(character.isspace() or character < " " for character in name):
        raise ValueError("a key name is not empty and holds no space, plus or control character")
    name.encode("utf-8")


def bad_note(note: bytes, reason: str) -> IntegrityError:
    return IntegrityError(
        "custody/bad-note",
        "A signed note of the log cannot be read. It was altered or cut; keep the file and look for another copy.",
        evidence={"start": note[:4096], "size": len(note), "reason": reason},
    )


def bad_signature(note: bytes, reason: str) -> IntegrityError:
    return IntegrityError(
        "custody/bad-signature",
        "A signed note of the log does not bear a right signature by a key that is trusted here. Nothing in it can be "
        "believed; keep the file and compare the keys' fingerprints.",
        evidence={"note": note[:4096], "size": len(note), "reason": reason},
    )


def _bad_key(evidence: dict[str, object]) -> IntegrityError:
    return IntegrityError(
        "custody/bad-key",
        "A key of the log cannot be read: its parts do not fit each other. Look for another copy of the key file.",
        evidence=evidence,
    )


def _parse_signature(line: str) -> NoteSignature:
    if not line.startswith(_DASH):
        raise ValueError("a signature line starts with an em dash")
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not space:
        raise ValueError("a signature line has a name and a signature")
    check_key_name(name)
    material = _from_base64(encoded)
    if len(material) < 5:
        raise ValueError("a signature is a key id of four octets and what follows")
    return NoteSignature(name=name, key_id=material[:4], signature=material[4:])


def _three_parts(text: str) -> tuple[str, str, str]:
    # The base64 at the end may hold further pluses.
    name, key_id, encoded = text.split("+", 2)
    return name, key_id, encoded


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")


def _from_base64(text: str) -> bytes:
    """Read standard base64. Raises: ValueError for any other spelling of the same octets."""
    octets = b64decode(text.encode("ascii"), validate=True)
    if _base64(octets) != text:
        raise ValueError("not the one base64 spelling")
    return octets
