"""Whose account an act was done under, as the log tells it: each entry against the account's own records before it.

A row of an account can be given another role, or be opened again, used, and put back. What was done meanwhile states
the role that the row had then; the log's own record of the account states another.
"""

from collections.abc import Iterator

from archive.catalogue.records import Staff
from archive.types import OwnerKind
from custody.findings import Found, differs, entries
from custody.log_reading import ReadEntry

_ACCOUNT = "staff-"
_ACTIVE = "active"


class AccountsAudit:
    """Hears of each entry in the order of the log."""

    def __init__(self) -> None:
        self._accounts: dict[str, tuple[str, str]] = {}
        self._is_whole = True

    def before(self, read: ReadEntry) -> Iterator[Found]:
        """Compare who acted with what the log has said of that account so far; then hear what this entry says."""
        self._is_whole = self._is_whole and all(owner.kind is not OwnerKind.STAFF for owner in read.closed_to)
        actor, role = read.opened.get("actor"), read.opened.get("role")
        told = dict(self._told(read))
        # The founder's account is recorded by the very entry that it makes.
        known = self._accounts.get(str(actor)) or (told.get(str(actor)) if read.seq == 0 else None)
        if isinstance(actor, str) and actor.startswith(_ACCOUNT):
            if known is None and self._is_whole:
                yield _wrong("custody/account-unknown", "It was done by an account that the log never admitted.", read)
            elif known is not None and known != (role, _ACTIVE):
                words = (
                    f"It was done as {role} by an account that the log says was {known[0]} and {known[1]} then: the "
                    "account's row was changed meanwhile."
                )
                yield _wrong("custody/account-differs", words, read)
        self._accounts |= told

    def _told(self, read: ReadEntry) -> Iterator[tuple[str, tuple[str, str]]]:
        for _, record in read.records():
            match record:
                case {"kind": Staff.kind, "columns": {"pseudonym": str(name), "role": str(role), "state": str(state)}}:
                    yield name, (role, state)


def _wrong(code: str, words: str, read: ReadEntry) -> Found:
    return differs(code, words, subject=entries(read.seq, read.seq + 1), first=read.seq, end=read.seq + 1)
