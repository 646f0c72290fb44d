"""Return codes: drawing new ones, hashing what people type, a few at a time; and keeping a code until it was shown.

The answer that brings a code may be lost on its way, and the page with it may come in a language that its reader cannot
read. So the code is kept, sealed to its sender's own token, until they say that they wrote it down, or come back with
it, or some minutes have passed since their browser first had the page with it.
"""

from datetime import datetime, timedelta
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
from archive.types import Clock
from archive.vault import open_value
from ingest.tokens import ReturnKey, new_return_code, return_key, visit_id, visit_identity

SHOWN_FOR = timedelta(minutes=20)
"""How long a code is shown again after its page came first: time for another language, a pen and somebody's help."""

_HASHES_AT_ONCE = 2


class ReturnCodes:
    """Each hash takes 64 MiB; a crowd of returning people must not take the machine's memory."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._hashing = BoundedSemaphore(_HASHES_AT_ONCE)
        self._ends: dict[UUID, datetime] = {}

    def key(self, code: str) -> ReturnKey:
        """Hash a code of 16 digits, slowly."""
        with self._database.reading() as session:
            intake_key = read_secret(session, "intake-key")
        with self._hashing:
            return return_key(code, intake_key)

    def new(self) -> tuple[str, ReturnKey]:
        """Draw a code that no visit has."""
        self._let_go_of_old()
        while True:
            code = new_return_code()
            key = self.key(code)
            with self._database.reading() as session:
                if visit_by_code(session, key.digest) is None:
                    return code, key

    def unseen(self, token: bytes) -> str | None:
        """Return the code of a visit as long as its sender may not have it."""
        self._let_go_of_old()
        visit = visit_id(token)
        places = (_place(visit), _shown_place(visit))
        with self._database.reading() as session:
            found = slips_of(session, places)
        code, shown = (
            open_value(visit_identity(token), found[place]).decode("ascii") if place in found else None
            for place in places
        )
        if code is not None and shown is not None and self._clock() >= datetime.fromisoformat(shown) + SHOWN_FOR:
            self.seen(visit)
            return None
        return code

    def shown(self, token: bytes) -> None:
        """Write down, for its sender alone, when the page with a code first came; from then on its time runs."""
        visit, now = visit_id(token), self._clock()
        place = _shown_place(visit)
        with self._database.writing() as session:
            found = slips_of(session, [_place(visit), place])
            if _place(visit) not in found or place in found:
                return
            recipient = parse_recipient(str(visit_identity(token).recipient))
            sealed = seal_bytes(now.isoformat().encode("ascii"), [recipient])
            session.execute(insert(SlipRow), [{"delivery_id": place, "visit_id": visit, "sealed": sealed}])
        self._ends[visit] = now + SHOWN_FOR

    def seen(self, visit: UUID) -> None:
        """Let go of a code that its sender has: from now on nobody reads it here again."""
        self._ends.pop(visit, None)
        places = [_place(visit), _shown_place(visit)]
        with self._database.reading() as session:
            if not slips_of(session, places):
                return
        with self._database.writing() as session:
            session.execute(delete(SlipRow).where(SlipRow.delivery_id.in_(places)))

    def _let_go_of_old(self) -> None:
        """Delete what nobody asked for any more; what an earlier process showed goes when its sender asks next."""
        now = self._clock()
        for visit in [visit for visit, end in list(self._ends.items()) if now >= end]:
            self.seen(visit)


def keep_unseen(session: Session, visit: UUID, identity: KeyIdentity, code: str) -> None:
    """Keep a new code for its sender, in the transaction that makes it theirs."""
    sealed = seal_bytes(code.encode("ascii"), [parse_recipient(str(identity.recipient))])
    session.execute(insert(SlipRow), [{"delivery_id": _place(visit), "visit_id": visit, "sealed": sealed}])


def _place(visit: UUID) -> UUID:
    return uuid5(visit, "return code")


def _shown_place(visit: UUID) -> UUID:
    return uuid5(visit, "return code shown")
