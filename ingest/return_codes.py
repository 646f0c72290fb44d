"""Return codes: drawing new ones, and hashing what people type, a few at a time."""

from threading import BoundedSemaphore

from archive.catalogue.accounts import read_secret
from archive.catalogue.database import Database
from archive.catalogue.drops import visit_by_code
from ingest.tokens import ReturnKey, new_return_code, return_key

_HASHES_AT_ONCE = 2


class ReturnCodes:
    """Each hash takes 64 MiB; a crowd of returning people must not take the machine's memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hashing = BoundedSemaphore(_HASHES_AT_ONCE)

    def key(self, code: str) -> ReturnKey:
        """Hash a code of 16 digits, slowly."""
        with self._database.reading() as session:
            intake_key = read_secret(session, "intake-key")
        with self._hashing:
            return return_key(code, intake_key)

    def new(self) -> tuple[str, ReturnKey]:
        """Draw a code that no visit has."""
        while True:
            code = new_return_code()
            key = self.key(code)
            with self._database.reading() as session:
                if visit_by_code(session, key.digest) is None:
                    return code, key
