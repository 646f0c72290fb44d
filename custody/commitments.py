"""Values closed one by one: a salted digest stands in the log, its disclosure opens it to whoever is given it.

A disclosure is `base64url(canonical JSON of [salt, name, value])`; the log holds `base64url(SHA-256(disclosure))`,
both without padding. The salt keeps a value that could be guessed (a date, a yes) from being found by trying. This
module knows the construction, not what the names mean. Standard: RFC 9901, 4.2.1 to 4.2.3. No I/O but the system's
random source.
"""

import os
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from archive.errors import IntegrityError
from custody.canonical import Json, canonical_bytes, parse_canonical

SALT_OCTETS = 16
DIGEST_CHARACTERS = 43

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


class Opened(NamedTuple):
    """What a disclosure says."""

    salt: bytes
    name: str
    value: Json


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The text that opens one commitment. Nothing is trusted about `text` until `parse`."""

    text: str

    @classmethod
    def make(cls, name: str, value: Json) -> "Disclosure":
        """Close `value` under `name` with a fresh salt. Raises: ValueError where the value has no canonical form."""
        return cls._from_parts(os.urandom(SALT_OCTETS), name, value)

    @classmethod
    def _from_parts(cls, salt: bytes, name: str, value: Json) -> "Disclosure":
        opened = b'["%b",%b,%b]' % (_base64url(salt), canonical_bytes(name), canonical_bytes(value))
        return cls(_base64url(opened).decode("ascii"))

    @property
    def digest(self) -> str:
        """The commitment that stands in the log."""
        return _base64url(sha256(self.text.encode("utf-8", "surrogatepass")).digest()).decode("ascii")

    def parse(self) -> Opened:
        """Read what this disclosure says.

        Raises: IntegrityError `custody/bad-disclosure` for any text that `make` would not have written.
        """
        try:
            opened = parse_canonical(_from_base64url(self.text))
            if not (isinstance(opened, list) and len(opened) == 3):
                raise ValueError("a disclosure is an array of three")
            salt_text, name, value = opened
            if not (isinstance(salt_text, str) and isinstance(name, str) and name):
                raise ValueError("a disclosure is [salt, name, value]")
            salt = _from_base64url(salt_text)
            if len(salt) != SALT_OCTETS:
                raise ValueError("a salt has 16 octets")
        except (ValueError, IntegrityError) as error:
            raise IntegrityError(
                "custody/bad-disclosure",
                "A disclosure of the log cannot be read. It was altered or cut; the entry it belongs to still stands.",
                evidence={"disclosure": self.text[:4096], "reason": str(error)},
            ) from error
        return Opened(salt, name, value)


def commit(values: Iterable[tuple[str, Json]]) -> tuple[Disclosure, ...]:
    """Close many (name, value) pairs, each with its own fresh salt, asking the system for chance only once."""
    pairs = tuple(values)
    salts = os.urandom(SALT_OCTETS * len(pairs))
    return tuple(
        Disclosure._from_parts(salts[place : place + SALT_OCTETS], name, value)
        for place, (name, value) in zip(range(0, len(salts), SALT_OCTETS), pairs, strict=True)
    )


def _base64url(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")


def _from_base64url(text: str) -> bytes:
    """Read unpadded base64url. Raises: ValueError for any other spelling of the same octets."""
    written = text.encode("ascii")
    try:
        data = a2b_base64(written.translate(_FROM_URL) + b"=" * (-len(written) % 4), strict_mode=True)
    except Base64Error as error:
        raise ValueError("not base64url") from error
    # Reading alone would let `+` stand for `-`, and unused low bits be anything.
    if _base64url(data) != written:
        raise ValueError("not the one base64url spelling")
    return data
