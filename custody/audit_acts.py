"""Acts that need two people, as the log tells them: each lifting, each destruction and each release against a sender's
word, against who asked, who agreed and the holds that stood at that moment.

The commands decide the same from the log before they act (`standing`); here it is looked at once more, entry by entry,
whatever made the entries.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select

from archive.access import Action
from archive.catalogue.holds import WITHDRAWN, holds_on
from archive.catalogue.records import Approval, Hold, Item, Packet, Record, Staff, columns_of
from archive.errors import IntegrityError
from custody.audit_accounts import AccountsAudit
from custody.findings import Found, differs, entries
from custody.fold import Fold
from custody.log_reading import ReadEntry

_ACTED_ON = frozenset({Item.kind, Hold.kind, Packet.kind, Approval.kind})


class ActsAudit:
    """Looks at each entry before `fold` takes its records."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._used: set[UUID] = set()
        self._accounts = AccountsAudit()

    def before(self, read: ReadEntry) -> Iterator[Found]:
        """Judge who acted, and what is done to holds, approvals and items that others must have agreed to."""
        yield from self._accounts.before(read)
        for _, record in read.records():
            if not isinstance(record, dict) or record.get("kind") not in _ACTED_ON:
                continue
            columns = record.get("columns", {})
            if record["kind"] == Item.kind and columns.get("state") != "destroyed":
                continue
            if record["kind"] == Hold.kind and columns.get("status") != "lifted":
                continue
            if record["kind"] == Packet.kind and (columns.get("status") != "released" or not _compelled(record)):
                continue
            try:
                record_type, values = columns_of(record)
            except IntegrityError:
                continue  # Named where it is applied.
            yield from self._fold.settle()
            if isinstance(told := record_type(**values), Packet):
                yield from self._agreed(read, Action.RELEASE_COMPELLED, _agreed_subject(record), told.number)
            yield from self._judge(read, told)

    def _judge(self, read: ReadEntry, record: Record) -> Iterator[Found]:
        match record:
            case Approval():
                yield from self._approval(read, record)
            case Item():
                if self._column(Item, record.id, "state") == "destroyed":
                    return  # The same command once more, after a crash.
                for hold in holds_on(self._fold.session, record):
                    words = f"Its key was destroyed while hold {hold.number} stood."
                    yield _wrong("custody/hold-broken", words, record.number, read)
                yield from self._agreed(read, Action.DESTROY, record.id, record.number)
            case Hold():
                if self._column(Hold, record.id, "status") != "lifted":
                    yield from self._agreed(read, Action.LIFT_HOLD, record.id, record.number)

    def _approval(self, read: ReadEntry, approval: Approval) -> Iterator[Found]:
        """Who the record says asked or agreed must be who acted in the entry."""
        if approval.status == WITHDRAWN:
            return  # It lets nothing be done; whoever closes an account enters it.
        by = approval.requested_by if approval.status == "requested" else approval.approved_by
        name = self._column(Staff, by, "pseudonym") if by is not None else None
        if name is None or name != read.opened.get("actor"):
            words = "It says that somebody asked or agreed who did not act in this entry."
            yield _wrong("custody/act-unapproved", words, f"approval {approval.id}", read)
        if approval.status == "approved" and approval.approved_by == approval.requested_by:
            words = "One person agreed to what they had asked for themselves."
            yield _wrong("custody/act-unapproved", words, f"approval {approval.id}", read)

    def _agreed(self, read: ReadEntry, act: Action, subject_id: UUID | None, name: str) -> Iterator[Found]:
        table = Approval.table
        statement = select(table.c.id).where(
            table.c.act == act, table.c.subject_id == subject_id, table.c.status == "approved"
        )
        agreed = [each for each in self._fold.session.execute(statement).scalars() if each not in self._used]
        if not agreed:
            words = f"This was done ({act}) and the log has no second person who agreed to it before."
            yield _wrong("custody/act-unapproved", words, name, read)
        self._used.update(agreed[:1])

    def _column(self, record_type: type[Record], record_id: UUID, name: str) -> str | None:
        table = record_type.table
        return self._fold.session.execute(select(table.c[name]).where(table.c.id == record_id)).scalar_one_or_none()


def _compelled(record: Mapping[str, Any]) -> bool:
    """Tell whether a packet holds what a sender does not allow and the law demands."""
    return bool(record.get("sealed", {}).get("compelled"))


def _agreed_subject(record: Mapping[str, Any]) -> UUID | None:
    """Give what two people are said to have agreed to; None where the record names nothing."""
    try:
        return UUID(record["sealed"]["agreed"]["subject"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _wrong(code: str, words: str, subject: str, read: ReadEntry) -> Found:
    place = entries(read.seq, read.seq + 1)
    return differs(code, words, subject=f"{subject} ({place})", first=read.seq, end=read.seq + 1)
