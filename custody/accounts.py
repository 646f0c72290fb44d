"""Staff accounts: bound to an operating-system user, shown in the log under a pseudonym only."""

import hashlib
import hmac
import re
from dataclasses import replace

from sqlalchemy.orm import Session

from archive.age.recipients import KeyIdentity
from archive.catalogue.accounts import organisation, read_secret, staff_by_account, staff_by_pseudonym
from archive.catalogue.database import Database
from archive.catalogue.holds import WITHDRAWN, waiting_approvals
from archive.catalogue.records import Staff
from archive.errors import AccessError, ConflictError, InputError, NotFoundError
from archive.keyfiles import KeyFiles
from archive.types import Actor, NewId, Role, StaffId
from custody.drafts import Draft
from custody.entries import EventKind
from custody.ledger import Ledger

_ACCOUNT = re.compile(r"[^\s:/\x00-\x1f\x7f-]([^\s:/\x00-\x1f\x7f]{0,254})")
"""What no system allows in a name: white space, the separators of its files, control characters, a leading hyphen."""


def account_mac(intake_key: bytes, os_user: str) -> bytes:
    """Give the value by which an operating-system user is found, without the name standing in the catalogue."""
    return hmac.digest(intake_key, b"testigo account\0" + os_user.encode("utf-8", "surrogateescape"), hashlib.sha256)


def pseudonym(staff_id: StaffId) -> str:
    """Make the name under which an account stands in the log: `staff-3f9a1c`."""
    return f"staff-{staff_id.hex[:6]}"


def actor_of(database: Database, os_user: str) -> Actor:
    """Return who acts. Raises: AccessError `access/no-account`."""
    with database.reading() as session:
        staff = staff_by_account(session, account_mac(read_secret(session, "intake-key"), os_user))
    return as_actor(staff)


def as_actor(staff: Staff) -> Actor:
    return Actor(staff_id=StaffId(staff.id), pseudonym=staff.pseudonym, role=Role(staff.role))


def admit(
    ledger: Ledger,
    key_files: KeyFiles,
    actor: Actor,
    *,
    os_user: str,
    role: Role,
    copy: tuple[KeyIdentity, str] | None,
    new_id: NewId,
) -> Staff:
    """Admit a person; `copy` (the office identity and their passphrase) lets them unlock.

    Raises: ConflictError `access/already-admitted`; InputError `access/bad-account`, `keys/weak-passphrase`.
    """
    if not _ACCOUNT.fullmatch(os_user):
        raise InputError(
            "access/bad-account", "That cannot be the name of an operating-system user. Nothing was changed."
        )
    with ledger.transaction() as transaction:
        session = transaction.session
        mac = account_mac(read_secret(session, "intake-key"), os_user)
        staff_id = StaffId(new_id())
        record = Staff(
            id=staff_id,
            organisation_id=organisation(session).id,
            pseudonym=pseudonym(staff_id),
            role=role,
            state="active",
            account_mac=mac,
        )
        if _is_bound(transaction.session, mac):
            raise ConflictError(
                "access/already-admitted", "This operating-system user has an account already. Nothing was changed."
            )
        if copy is not None:
            key_files.grant(staff_id, *copy)
        transaction.record(
            Draft(
                event=EventKind.METADATA_MODIFICATION,
                actor=actor,
                values=(("purpose", "account admitted"), ("record", record.to_log({"account": os_user}))),
            )
        )
    return record


def grant_copy(ledger: Ledger, key_files: KeyFiles, actor: Actor, *, name: str, copy: tuple[KeyIdentity, str]) -> Staff:
    """Give an account its own copy of the office identity (`copy`, with their passphrase), so that they can unlock.

    Raises: NotFoundError `access/no-such-account`; InputError `keys/weak-passphrase`.
    """
    with ledger.transaction() as transaction:
        staff = _active(transaction.session, name)
        values = (("purpose", f"copy of the office key given to {staff.pseudonym}"),)
        transaction.record(Draft(event=EventKind.ENCRYPTION, actor=actor, values=values))
        key_files.grant(StaffId(staff.id), *copy)
    return staff


def dismiss(ledger: Ledger, key_files: KeyFiles, actor: Actor, *, name: str) -> Staff:
    """Close an account and delete its copy of the office identity; the caller rotates the keyring after it.

    What it asked a second person for is withdrawn: nobody's later request becomes the agreement to it.

    Raises: NotFoundError `access/no-such-account`.
    """
    with ledger.transaction() as transaction:
        staff = _active(transaction.session, name)
        record = Staff(
            id=staff.id,
            organisation_id=staff.organisation_id,
            pseudonym=staff.pseudonym,
            role=staff.role,
            state="dismissed",
            account_mac=None,
        )
        transaction.record(
            Draft(
                event=EventKind.METADATA_MODIFICATION,
                actor=actor,
                values=(("purpose", "account closed"), ("record", record.to_log())),
            )
        )
        for asked in waiting_approvals(transaction.session):
            if asked.requested_by == staff.id:
                withdrawn = replace(asked, status=WITHDRAWN, decided_time=transaction.now)
                values = (
                    ("purpose", f"{asked.act}: withdrawn, for its account is closed"),
                    ("record", withdrawn.to_log()),
                )
                transaction.record(Draft(event=EventKind.POLICY_ASSIGNMENT, actor=actor, values=values))
    key_files.revoke(StaffId(staff.id))
    return record


def _active(session: Session, name: str) -> Staff:
    staff = staff_by_pseudonym(session, name)
    if staff is None or staff.state != "active":
        raise NotFoundError("access/no-such-account", "There is no such active account. `testigo staff ls` lists them.")
    return staff


def _is_bound(session: Session, mac: bytes) -> bool:
    try:
        staff_by_account(session, mac)
    except AccessError:
        return False
    return True
