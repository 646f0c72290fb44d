"""The arrival key: what a phone seals its waiting copy to, so that whoever takes the phone sees its size and time only.

It is derived from the intake key, a secret on the server's disk, so that a locked archive can open in memory what
arrives and take it through the seven steps. A phone seals to the vault keyring, too: the copy can be opened where this
key was lost. Whoever has the server's disk and the phone opens what waits on that phone (docs/threat-model.md).
"""

import hashlib
import hmac
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from archive.age.keyring import Keyring
from archive.age.payload import CHUNK_OCTETS
from archive.age.recipients import HybridIdentity, KeyIdentity, KeyKind, X25519Identity
from archive.age.stream import open_bytes, open_stream
from archive.catalogue.accounts import read_secret
from archive.catalogue.database import Database
from archive.errors import InputError, IntegrityError, LockedError
from custody.keyrings import KeyringStatement

_NOTE = ("filename", "filetype", "last_modified", "sha256")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_READ_OCTETS = 16 * CHUNK_OCTETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Opens:
    """How many octets of a copy open, and whether these are all of it."""

    octets: int
    whole: bool


class ArrivalKey:
    """Opens what a phone sealed. Its secret is made anew at each use and kept nowhere."""

    def __init__(self, database: Database, keyrings: KeyringStatement) -> None:
        self._database = database
        self._keyrings = keyrings

    def recipients(self) -> str:
        """Write the recipients that a phone seals to: this key first, then the vault keyring, apart by spaces."""
        identity, keyring = self._identity()
        return " ".join([str(identity.recipient), *map(str, keyring.recipients)])

    def measure(self, source: BinaryIO) -> Opens | None:
        """Read a sealed copy through and say how much of it opens; None where it is not sealed to this archive."""
        octets = 0
        try:
            reader = open_stream(source, [self._identity()[0]])
            while count := len(reader.read(_READ_OCTETS)):
                octets += count
        except (InputError, LockedError):
            return None
        except IntegrityError:
            return Opens(octets=octets, whole=False)
        return Opens(octets=octets, whole=True)

    def opener(self, source: Callable[[], BinaryIO], octets: int) -> Callable[[], BinaryIO]:
        """Return what opens the first octets of a sealed copy, as many as `measure` found."""

        def opened() -> BinaryIO:
            reader = open_stream(source(), [self._identity()[0]])
            return cast(BinaryIO, io.BufferedReader(_First(reader, octets), _READ_OCTETS))

        return opened

    def open_note(self, sealed: bytes) -> dict[str, str]:
        """Open what a phone tells of its file: any of `filename`, `filetype`, `last_modified`, `sha256`.

        Raises: InputError `uploads/not-opened`.
        """
        try:
            told: Any = json.loads(open_bytes(sealed, [self._identity()[0]]))
        except (InputError, LockedError, IntegrityError, ValueError, RecursionError) as error:
            raise _not_opened() from error
        if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
            raise _not_opened()
        if not _SHA256.fullmatch(told.get("sha256", "0" * 64)):
            raise _not_opened()
        return {name: told[name] for name in _NOTE if name in told}

    def _identity(self) -> tuple[KeyIdentity, Keyring]:
        keyring = self._keyrings.standing().vault
        with self._database.reading() as session:
            intake_key = read_secret(session, "intake-key")
        secret = hmac.digest(intake_key, f"testigo arrival key {keyring.kind}\0".encode("ascii"), hashlib.sha256)
        kind = HybridIdentity if keyring.kind is KeyKind.HYBRID else X25519Identity
        return kind(secret), keyring


class _First(io.RawIOBase):
    """The first octets of a stream, as if it ended there."""

    def __init__(self, source: io.RawIOBase, octets: int) -> None:
        self._source = source
        self._left = octets

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        out = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # typeshed's Buffer has no runtime name in 3.11
        count = self._source.readinto(out[: self._left]) or 0
        self._left -= count
        return count


def _not_opened() -> InputError:
    return InputError("uploads/not-opened", "What was told of this file does not open here. Nothing was changed.")
