"""Setting up an archive: its keys, its log, its first entry and its first account.

What is handed out once and kept nowhere in clear: the recovery identity, and counsel's identity where counsel brought
none. The office identity stays only as the founder's passphrase-sealed copy.
"""

import os
from dataclasses import dataclass, field
from uuid import UUID

from archive.age.keyring import Keyring
from archive.age.recipients import KeyIdentity, KeyKind, KeyRecipient, generate_identity
from archive.catalogue import records
from archive.catalogue.accounts import keep_secrets
from archive.keyfiles import KeyFiles
from archive.types import Actor, NewId, Owner, OwnerKind, Role, StaffId
from custody.accounts import account_mac, pseudonym
from custody.drafts import Draft
from custody.entries import EventKind
from custody.keyrings import Keyrings
from custody.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """What the founder decides. `counsel` is counsel's public recipient, if counsel brought one."""

    origin: str
    kind: KeyKind
    os_user: str
    role: Role
    passphrase: str = field(repr=False)
    counsel: KeyRecipient | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """What the founder must now keep apart from this machine."""

    organisation: records.Organisation
    founder: Actor
    recovery: KeyIdentity = field(repr=False)
    counsel: KeyIdentity | None = field(repr=False)


def found(charter: Charter, *, ledger: Ledger, key_files: KeyFiles, new_id: NewId) -> Founded:
    """Make the keys and enter the organisation and its first account as the log's first entries."""
    office, recovery = generate_identity(charter.kind), generate_identity(charter.kind)
    counsel = generate_identity(charter.kind) if charter.counsel is None else None
    counsel_recipient = charter.counsel or (counsel.recipient if counsel else None)
    if counsel_recipient is None:
        raise ValueError("an identity keyring needs counsel's recipient")
    vault = Keyring(kind=charter.kind, recipients=(office.recipient, recovery.recipient), parts=("office", "recovery"))
    identity = Keyring(kind=counsel_recipient.kind, recipients=(counsel_recipient,), parts=("counsel",))
    organisation_id, staff_id = new_id(), StaffId(new_id())
    staff_key = key_files.create(Owner(kind=OwnerKind.STAFF, id=organisation_id), vault)
    key_files.grant(staff_id, office, charter.passphrase)
    intake_key = os.urandom(32)
    founder = Actor(staff_id=staff_id, pseudonym=pseudonym(staff_id), role=charter.role)
    with ledger.transaction() as transaction:
        organisation = records.Organisation(
            id=organisation_id,
            origin=charter.origin,
            staff_recipient=staff_key.recipient,
            vault_keyring=vault.format(),
            identity_keyring=identity.format(),
            created_time=transaction.now,
        )
        staff = staff_record(organisation_id, founder, intake_key, charter.os_user)
        transaction.record(
            Draft(
                event=EventKind.METADATA_MODIFICATION,
                actor=founder,
                values=(
                    ("purpose", "archive founded"),
                    ("record", organisation.to_log({"intake_key": intake_key.hex()})),
                    ("record", staff.to_log({"account": charter.os_user})),
                ),
            )
        )
        keep_secrets(transaction.session, [("intake-key", intake_key)])
    ledger.keyrings.state(Keyrings(vault=vault, identity=identity, staff=staff_key.recipient))
    return Founded(organisation=organisation, founder=founder, recovery=recovery, counsel=counsel)


def staff_record(organisation_id: UUID, actor: Actor, intake_key: bytes, os_user: str) -> records.Staff:
    """Give the record of an active account bound to an operating-system user."""
    return records.Staff(
        id=actor.staff_id,
        organisation_id=organisation_id,
        pseudonym=actor.pseudonym,
        role=actor.role,
        state="active",
        account_mac=account_mac(intake_key, os_user),
    )
