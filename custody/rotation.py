"""Rotating the vault keyring: a new office identity, every key file sealed to it, no object touched.

The new identity is kept, under the acting person's passphrase, before anything is sealed to it, and their old copy
stays until every key file is rewritten. So a rotation that was broken off at any moment goes on with the same call and
the same passphrase. The entry comes before the new statement of the keyrings, and that before the first key file is
rewritten. The keyring that is changed is the one of the statement: what a row was changed to is never taken over.

With the recovery identity the same is done where nobody's passphrase opens the office identity any more, and over a
rotation that somebody else broke off: it opens every key file, whichever office key that is sealed to.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from archive.age.keyring import Keyring
from archive.age.recipients import KeyIdentity, KeyRecipient, generate_identity
from archive.catalogue.accounts import organisation, read_secret
from archive.catalogue.records import Organisation
from archive.errors import ConflictError, InputError, IntegrityError, LockedError, NotFoundError
from archive.keyfiles import KeyFiles, strong_passphrase
from archive.keyrotation import rotating
from archive.types import Actor, StaffId
from custody.audit_objects import owners_by_id
from custody.drafts import Draft, Values
from custody.entries import EventKind
from custody.keyrings import Keyrings
from custody.ledger import Ledger, Transaction

_ROTATED = "vault keyring rotated"
_RECOVERED = "vault keyring rotated with the recovery key"
_GOES_ON = ": one that was broken off goes on"
_FROM_ANOTHER_DAY = " from the signed statement, where the catalogue named another"


def open_for_rotation(
    ledger: Ledger, key_files: KeyFiles, actor: Actor, passphrase: str
) -> tuple[KeyIdentity, KeyIdentity | None]:
    """Return the office identity and, of a rotation that was broken off, the next, once every key file opens with one.

    A rotation that meets a key file that does not open has to stay open until that file is put right, and while it is
    open nobody unlocks. So it is looked for before anything is changed.
    Raises: LockedError `keys/wrong-passphrase`; ConflictError `keys/copy-outdated`; IntegrityError
    `keys/generation-differs`, `keys/closed-keys` with the owners and their files; those of the statement.
    """
    staff_id = StaffId(actor.staff_id)
    held, prepared = key_files.open_copy(staff_id, passphrase), key_files.prepared(staff_id, passphrase)
    ours = [held, prepared] if prepared else [held]
    stated = ledger.keyrings.standing().vault
    _refuse_outdated(stated, ours)
    _refuse_other_generation(key_files, stated)
    _refuse_closed(ledger, key_files, ours)
    return held, prepared


def rotate(ledger: Ledger, key_files: KeyFiles, actor: Actor, *, passphrase: str, is_restored: bool = False) -> int:
    """Replace the office recipient and rewrite the key files; return how many there are.

    Every other copy of the office identity is deleted, because it no longer opens anything new. `is_restored` is a
    person's word that catalogue and key files were brought back from copies of different days, so that another vault
    keyring in the row is no surprise; the entry says so.
    Raises: as `open_for_rotation`; ConflictError `keys/rotation-running`; IntegrityError `keys/row-differs`; the errors
    of `KeyFiles.rewrap_all`.
    """
    staff_id = StaffId(actor.staff_id)
    with rotating(key_files.root):
        held, prepared = open_for_rotation(ledger, key_files, actor, passphrase)
        # One that a copied folder kept of a rotation that has ended would change nothing.
        is_new = prepared is None or str(prepared.recipient) == str(held.recipient)
        new = generate_identity(held.kind) if prepared is None or is_new else prepared
        change = _Change(new=new.recipient, is_restored=is_restored)
        _look(ledger, change)
        if is_new:
            key_files.prepare(staff_id, new, passphrase)
        after = _enter(ledger, actor, change)
        return _seal_anew(ledger, key_files, staff_id, held, old=_with_office(after, held.recipient), new=after)


def rotate_with_recovery(
    ledger: Ledger,
    key_files: KeyFiles,
    actor: Actor,
    *,
    recovery: KeyIdentity,
    passphrase: str,
    is_restored: bool = False,
) -> int:
    """As `rotate`, with the recovery identity; `passphrase` is a new one, of the person who acts.

    A rotation that was broken off, whoever's it was, is given up for this one, unless it is this person's and the
    passphrase opens what it had prepared.
    Raises: InputError `keys/weak-passphrase`, `keys/not-recovery`, `keys/not-in-keyring`; otherwise as `rotate`.
    """
    staff_id = StaffId(actor.staff_id)
    strong_passphrase(passphrase)
    with rotating(key_files.root):
        stated = ledger.keyrings.standing()
        refuse_other_key(stated, recovery)
        _refuse_other_generation(key_files, stated.vault)
        _refuse_closed(ledger, key_files, [recovery])
        prepared = _prepared_before(key_files, staff_id, passphrase)
        new = prepared or generate_identity(recovery.kind)
        change = _Change(
            new=new.recipient, is_restored=is_restored, with_recovery=True, takes_over=bool(key_files.begun())
        )
        _look(ledger, change)
        if prepared is None:
            key_files.prepare(staff_id, new, passphrase)
        after = _enter(ledger, actor, change)
        return _seal_anew(ledger, key_files, staff_id, recovery, old=None, new=after)


def refuse_other_key(keyrings: Keyrings, recovery: KeyIdentity) -> None:
    """Refuse a key that is not the recovery key of these keyrings.

    Raises: InputError `keys/not-recovery`, `keys/not-in-keyring`.
    """
    is_counsels = str(recovery.recipient) in map(str, keyrings.identity.recipients)
    part = (keyrings.identity if is_counsels else keyrings.vault).part_of(recovery.recipient)
    if part != "recovery":
        raise InputError(
            "keys/not-recovery", f"This is the {part} key of this archive, not its recovery key. Nothing was changed."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What is made of the keyring. `takes_over`: somebody's rotation was broken off, perhaps before its statement."""

    new: KeyRecipient
    is_restored: bool
    with_recovery: bool = False
    takes_over: bool = False

    def is_expected(self, row: Keyrings, stated: Keyrings) -> bool:
        """Tell whether it may set out from the statement beside a row that names another vault keyring."""
        if replace(row, vault=stated.vault) != stated:
            return False
        return self.is_restored or (self.takes_over and _differ_by_office_alone(row.vault, stated.vault))


def _look(ledger: Ledger, change: _Change) -> None:
    """Make sure that the change can be entered, before anything is kept for it. Raises: as `_judged`."""
    with ledger.transaction() as transaction:
        _judged(ledger, transaction, change)


def _enter(ledger: Ledger, actor: Actor, change: _Change) -> Keyring:
    """Enter the new keyring, unless an interrupted run did; return it. What is done with the recovery key is entered
    each time.

    Raises: as `_judged`.
    """
    purpose = _RECOVERED if change.with_recovery else _ROTATED
    with ledger.transaction() as transaction:
        ours, after, is_entered, is_of_another_day = _judged(ledger, transaction, change)
        if not is_entered:
            intake_key = read_secret(transaction.session, "intake-key").hex()
            record = replace(ours, vault_keyring=after.format()).to_log({"intake_key": intake_key})
            purpose += _FROM_ANOTHER_DAY if is_of_another_day else ""
            values: Values = (("purpose", purpose), ("record", record))
            transaction.record(Draft(event=EventKind.ENCRYPTION, actor=actor, values=values))
        elif change.with_recovery:
            values = (("purpose", purpose + _GOES_ON),)
            transaction.record(Draft(event=EventKind.ENCRYPTION, actor=actor, values=values))
    return after


def _judged(ledger: Ledger, transaction: Transaction, change: _Change) -> tuple[Organisation, Keyring, bool, bool]:
    """Return our row, the keyring after the change, whether the row has it already, and whether it is of another day.

    Raises: IntegrityError `keys/row-differs`.
    """
    ours = organisation(transaction.session)
    row, stated = Keyrings.of(ours), ledger.keyrings.standing()
    after = _with_office(stated.vault, change.new)
    is_entered = row == replace(stated, vault=after)
    is_of_another_day = not is_entered and row != stated
    if is_of_another_day and not change.is_expected(row, stated):
        raise _row_changed()
    return ours, after, is_entered, is_of_another_day


def _seal_anew(
    ledger: Ledger, key_files: KeyFiles, staff_id: StaffId, opener: KeyIdentity, *, old: Keyring | None, new: Keyring
) -> int:
    """State the entered keyring, rewrite the key files, and leave one copy of the office identity: this person's."""
    ledger.keyrings.state(replace(ledger.keyrings.standing(), vault=new))
    done = key_files.rewrap_all(opener, old=old, new=new)
    key_files.promote(staff_id)
    for other in key_files.granted():
        if other != staff_id:
            key_files.revoke(other)
    return done.rewritten + done.already


def _prepared_before(key_files: KeyFiles, staff_id: StaffId, passphrase: str) -> KeyIdentity | None:
    """Open what this person's broken-off rotation had prepared; None where there is none that this passphrase opens.

    Nor where it is what their copy holds already, as a copied folder may keep it: then nothing would be exchanged.
    """
    prepared = held = None
    with suppress(LockedError, IntegrityError):  # Of another passphrase, or damaged: another is made in its place.
        prepared = key_files.prepared(staff_id, passphrase)
    with suppress(NotFoundError, LockedError, IntegrityError):
        held = key_files.open_copy(staff_id, passphrase)
    return None if prepared and held and str(prepared.recipient) == str(held.recipient) else prepared


def _office_of(keyring: Keyring) -> KeyRecipient:
    return keyring.recipients[keyring.parts.index("office")]


def _with_office(keyring: Keyring, office: KeyRecipient) -> Keyring:
    gone = str(_office_of(keyring))
    members = tuple(office if str(member) == gone else member for member in keyring.recipients)
    return replace(keyring, recipients=members)


def _differ_by_office_alone(keyring: Keyring, stated: Keyring) -> bool:
    names, known = set(map(str, keyring.recipients)), set(map(str, stated.recipients))
    return len(names) == len(known) and known - names <= {str(_office_of(stated))}


def _refuse_outdated(stated: Keyring, ours: Sequence[KeyIdentity]) -> None:
    if str(_office_of(stated)) not in {str(each.recipient) for each in ours}:
        raise ConflictError(
            "keys/copy-outdated",
            "Your copy of the office key is of before a rotation that somebody else began. Nothing was changed. They "
            "finish it with `testigo keys rotate` and give you a new copy (`testigo keys grant`); where they cannot, "
            "`testigo keys rotate --recovery FILE` makes a new office key with the recovery key.",
        )


def _refuse_other_generation(key_files: KeyFiles, stated: Keyring) -> None:
    """Refuse key files of a keyring that is not the stated one, save in its office key where a rotation was begun.

    The files in the folder that say so are signed by nobody, and a rotation that met others half-way would stay open.
    """
    is_begun, rotation = bool(key_files.begun()), key_files.rotation()
    for each in (key_files.generation(), rotation.generation if rotation else None):
        if each is None or each.is_of(stated):
            continue
        if not (is_begun and _differ_by_office_alone(each.keyring, stated)):
            raise IntegrityError(
                "keys/generation-differs",
                "What lies beside the key files names other recipients for them than the signed statement of the "
                "keyrings: it was changed. Nothing was rotated. Put generation.json back from a backup of the keys, "
                "and find out who changed it.",
            )


def _refuse_closed(ledger: Ledger, key_files: KeyFiles, ours: Sequence[KeyIdentity]) -> None:
    closed = key_files.closed_to(ours)
    if not closed:
        return
    with ledger.transaction() as transaction:
        names = owners_by_id(transaction.session)
    raise IntegrityError(
        "keys/closed-keys",
        f"Of the key files, {len(closed)} did not open with the key that is to rewrite them. Nothing was changed. Put "
        "them back from a backup of the keys. What was destroyed and came back with a copy, destroy once more "
        "(`testigo item destroy`). What no backup has, put out of the keys folder by hand and keep: another key of "
        "this archive may open it. Then run the same again.",
        evidence={"keys": tuple(f"{names[each][0]} ({each})" if each in names else str(each) for each in closed)},
    )


def _row_changed() -> IntegrityError:
    return IntegrityError(
        "keys/row-differs",
        "The catalogue names other recipients than the signed statement of the keyrings: its row was changed, or one "
        "of them was brought back from a copy of another day. Nothing was rotated. `testigo verify` says more. "
        "Restore the catalogue; or, where you know that it and the key files are of different days, `testigo keys "
        "rotate --restored`.",
    )
