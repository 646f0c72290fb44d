"""Sealing under a passphrase.

Standard: C2SP age, the scrypt recipient type; RFC 7914. No I/O.
"""

import os
import re
from collections.abc import Sequence

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from archive.age.header import Stanza, bad_header, encode_base64
from archive.age.wrapping import SCRYPT_TYPE, body_of, octets_of_argument, open_file_key, seal_file_key
from archive.errors import UnavailableError

_LABEL = b"age-encryption.org/v1/scrypt"
_SALT_OCTETS = 16
_WORK_FACTOR = re.compile(r"[1-9][0-9]*")


class ScryptRecipient:
    """A passphrase to seal under. Units: `work_factor` is the power of two of scrypt's N."""

    stanza_type = SCRYPT_TYPE

    def __init__(self, passphrase: str, work_factor: int = 18) -> None:
        if not 1 <= work_factor <= 30:
            raise ValueError("the work factor lies between 1 and 30")
        self._passphrase = passphrase
        self._work_factor = work_factor

    def wrap(self, file_key: bytes) -> Stanza:
        salt = os.urandom(_SALT_OCTETS)
        wrap_key = _passphrase_key(self._passphrase, salt, self._work_factor)
        arguments = (SCRYPT_TYPE, encode_base64(salt).decode("ascii"), str(self._work_factor))
        return Stanza(arguments, seal_file_key(wrap_key, file_key))


class ScryptIdentity:
    """A passphrase to open with.

    Units: `max_work_factor` bounds the work, and the memory (2 to its power, in KiB), that a hostile file may ask for.
    """

    def __init__(self, passphrase: str, max_work_factor: int = 22) -> None:
        self._passphrase = passphrase
        self._max_work_factor = max_work_factor

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        for stanza in stanzas:
            if stanza.type != SCRYPT_TYPE:
                continue
            if len(stanza.arguments) != 3 or not _WORK_FACTOR.fullmatch(stanza.arguments[2]):
                raise bad_header("its passphrase parameters are not written as they must be")
            salt = octets_of_argument(stanza.arguments[1], _SALT_OCTETS)
            if len(stanza.arguments[2]) > 2 or int(stanza.arguments[2]) > self._max_work_factor:
                raise bad_header("its passphrase asks for more work than is allowed")
            body = body_of(stanza)
            return open_file_key(_passphrase_key(self._passphrase, salt, int(stanza.arguments[2])), body)
        return None


def _passphrase_key(passphrase: str, salt: bytes, work_factor: int) -> bytes:
    try:
        return Scrypt(salt=_LABEL + salt, length=32, n=1 << work_factor, r=8, p=1).derive(passphrase.encode())
    except MemoryError as error:
        raise UnavailableError(
            "age/out-of-memory",
            "There is not enough memory free to use this passphrase. Nothing was changed; free some and try again.",
        ) from error
