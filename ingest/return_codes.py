"""Return codes: drawing new ones, hashing what people type, a few at a time; and keeping a code until it was shown.

The answer that brings a code may be lost on its way. So the code is kept, sealed to its sender's own token, until their
browser had the page with it, or they came back with it.
"""

from threading import BoundedSemaphore
from uuid import UUID, uuid5

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity, parse_recipient
from archive.age.stream import seal_bytes
from archive.catalogue.accounts import read_secret
from archive.catalogue.database import Database
from archive.catalogue.drop_models import SlipRow
from archive.catalogue.drops import slips_of, visit_by_code
from archive.vault import open_value
from ingest.tokens import ReturnKey, new_return_code, return_key, visit_id, visit_identity

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

    def unseen(self, token: bytes) -> str | None:
        """Return the code of a visit as long as its sender may not have seen it."""
        place = _place(visit_id(token))
        with self._database.reading() as session:
            sealed = slips_of(session, [place]).get(place)
        return open_value(visit_identity(token), sealed).decode("ascii") if sealed is not None else None

    def seen(self, visit: UUID) -> None:
        """Let go of a code that its sender has: from now on nobody reads it here again."""
        with self._database.reading() as session:
            if not slips_of(session, [_place(visit)]):
                return
        with self._database.writing() as session:
            session.execute(delete(SlipRow).where(SlipRow.delivery_id == _place(visit)))


def keep_unseen(session: Session, visit: UUID, identity: KeyIdentity, code: str) -> None:
    """Keep a new code for its sender, in the transaction that makes it theirs."""
    sealed = seal_bytes(code.encode("ascii"), [parse_recipient(str(identity.recipient))])
    session.execute(insert(SlipRow), [{"delivery_id": _place(visit), "visit_id": visit, "sealed": sealed}])


def _place(visit: UUID) -> UUID:
    return uuid5(visit, "return code")
