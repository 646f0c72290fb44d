"""Rotating the vault keyring: a new office identity, every key file sealed to it, no object touched.

The new identity is kept, under the acting person's passphrase, before anything is sealed to it, and their old copy
stays until every key file is rewritten. So a rotation that was broken off at any moment goes on with the same call and
the same passphrase. The entry comes before the new statement of the keyrings, and that before the first key file is
rewritten. The keyring that is changed is the one of the statement: what a row was changed to is never taken over.
"""

from dataclasses import replace

from archive.age.keyring import Keyring
from archive.age.recipients import KeyIdentity, generate_identity
from archive.catalogue.accounts import organisation, read_secret
from archive.errors import IntegrityError
from archive.keyfiles import KeyFiles
from archive.types import Actor, StaffId
from custody.audit_objects import owners_by_id
from custody.drafts import Draft
from custody.entries import EventKind
from custody.keyrings import Keyrings
from custody.ledger import Ledger

_ROTATED = "vault keyring rotated"
_FROM_ANOTHER_DAY = "vault keyring rotated from the signed statement, where the catalogue named another"


def open_for_rotation(
    ledger: Ledger, key_files: KeyFiles, actor: Actor, passphrase: str
) -> tuple[KeyIdentity, KeyIdentity | None]:
    """Return the office identity and, of a rotation that was broken off, the next, once every key file opens with one.

    A rotation that meets a key file that does not open has to stay open until that file is put right, and while it is
    open nobody unlocks. So it is looked for before anything is changed.
    Raises: LockedError `keys/wrong-passphrase`; IntegrityError `keys/closed-keys`, with the owners and their files.
    """
    staff_id = StaffId(actor.staff_id)
    held, prepared = key_files.open_copy(staff_id, passphrase), key_files.prepared(staff_id, passphrase)
    closed = key_files.closed_to([held, prepared] if prepared else [held])
    if not closed:
        return held, prepared
    with ledger.transaction() as transaction:
        names = owners_by_id(transaction.session)
    raise IntegrityError(
        "keys/closed-keys",
        f"Of the key files, {len(closed)} did not open with the office key. Nothing was changed. Put them back from a "
        "backup of the keys. What was destroyed and came back with a copy, destroy once more (`testigo item destroy`). "
        "What no backup has, put out of the keys folder by hand and keep: a recovery key may open it. Then run the "
        "same again.",
        evidence={"keys": tuple(f"{names[each][0]} ({each})" if each in names else str(each) for each in closed)},
    )


def rotate(ledger: Ledger, key_files: KeyFiles, actor: Actor, *, passphrase: str, is_restored: bool = False) -> int:
    """Replace the office recipient and rewrite the key files; return how many there are.

    Every other copy of the office identity is deleted, because it no longer opens anything new. `is_restored` is a
    person's word that catalogue and key files were brought back from copies of different days, so that another vault
    keyring in the row is no surprise; the entry says so.
    Raises: as `open_for_rotation`; InputError `keys/not-in-keyring` where another person's rotation was broken off and
    must go on first; IntegrityError `keys/row-differs`; the errors of `KeyFiles.rewrap_all`.
    """
    staff_id = StaffId(actor.staff_id)
    held, new = open_for_rotation(ledger, key_files, actor, passphrase)
    # One that a copied folder kept of a rotation that has ended would change nothing.
    if new is None or str(new.recipient) == str(held.recipient):
        new = generate_identity(held.kind)
        key_files.prepare(staff_id, new, passphrase)
    before, after = _enter(ledger, actor, held, new, is_restored=is_restored)
    ledger.keyrings.state(replace(ledger.keyrings.standing(), vault=after))
    done = key_files.rewrap_all(held, old=before, new=after)
    key_files.promote(staff_id)
    for other in key_files.granted():
        if other != staff_id:
            key_files.revoke(other)
    return done.rewritten + done.already


def _enter(
    ledger: Ledger, actor: Actor, held: KeyIdentity, new: KeyIdentity, *, is_restored: bool
) -> tuple[Keyring, Keyring]:
    """Enter the new keyring, unless an interrupted run did; return the keyring before and after.

    Raises: IntegrityError `keys/row-differs`.
    """
    with ledger.transaction() as transaction:
        ours = organisation(transaction.session)
        row, stated = Keyrings.of(ours), ledger.keyrings.standing()
        is_stated = str(new.recipient) in map(str, stated.vault.recipients)
        before = _exchanged(stated.vault, new, held) if is_stated else stated.vault
        before.part_of(held.recipient)
        after = _exchanged(before, held, new)
        if row == replace(stated, vault=after):
            return before, after
        is_of_another_day = row != stated
        # Also where the copy of the key files is of a rotation that was broken off, which the row knows nothing of.
        if is_of_another_day and not (is_restored and replace(row, vault=stated.vault) == stated):
            raise _row_changed()
        intake_key = read_secret(transaction.session, "intake-key").hex()
        record = replace(ours, vault_keyring=after.format()).to_log({"intake_key": intake_key})
        transaction.record(
            Draft(
                event=EventKind.ENCRYPTION,
                actor=actor,
                values=(("purpose", _FROM_ANOTHER_DAY if is_of_another_day else _ROTATED), ("record", record)),
            )
        )
    return before, after


def _exchanged(keyring: Keyring, gone: KeyIdentity, come: KeyIdentity) -> Keyring:
    members = tuple(come.recipient if str(r) == str(gone.recipient) else r for r in keyring.recipients)
    return Keyring(kind=keyring.kind, recipients=members, parts=keyring.parts)


def _row_changed() -> IntegrityError:
    return IntegrityError(
        "keys/row-differs",
        "The catalogue names other recipients than the signed statement of the keyrings: its row was changed, or one "
        "of them was brought back from a copy of another day. Nothing was rotated. `testigo verify` says more. "
        "Restore the catalogue; or, where you know that it and the key files are of different days, `testigo keys "
        "rotate --restored`.",
    )
