"""Whom things are sealed to, without a key: the signed statement, the catalogue's row and the key files' generation
against each other; then the recipients of every key file and of every value that is sealed to several, counted.

A hybrid recipient cannot be told from another by what it leaves in a header, so a recipient that was exchanged for
another shows only to keys: then the office, or counsel, no longer opens it. One too many shows here.
"""

import io
from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.age.header import Header
from archive.age.keyring import Keyring
from archive.catalogue.accounts import organisation
from archive.catalogue.drops import sender_compartment
from archive.catalogue.models import DisclosureRow
from archive.catalogue.records import Visit
from archive.errors import InputError, IntegrityError, NotFoundError
from archive.keyfiles import KeyFiles
from archive.types import OwnerKind
from custody.audit_objects import owners_by_id, rows_by_id
from custody.findings import Found, differs, entries, from_error, matches, unknown
from custody.keyrings import Keyrings, read_statement
from custody.signed_note import VerifierKey

_DIFFERS = (
    "The catalogue, the keys folder and the signed statement name different recipients: one of them was changed, or "
    "brought back from a copy of another day. Find out which; restore what was changed from a backup. Where catalogue "
    "and key files are of different days, `testigo keys rotate --restored` makes them agree."
)


def check_keyrings(session: Session, key_files: KeyFiles, keys: Sequence[VerifierKey]) -> Iterator[Found]:
    """Compare what says whom to seal to, and count the recipients of what was sealed."""
    try:
        stated = read_statement(key_files.root, keys)
    except IntegrityError as error:
        yield from_error(error, subject="keys")
        stated = Keyrings.of(organisation(session))
    yield from _agreement(session, key_files, stated)
    yield from _key_files(session, key_files, stated.vault)
    yield from _disclosures(session, stated.identity)


def _agreement(session: Session, key_files: KeyFiles, stated: Keyrings) -> Iterator[Found]:
    generation = key_files.generation()
    if generation is None and key_files.list():
        yield differs(
            "custody/generation-missing",
            "The file that says which keyring the keys are sealed to is not beside them, and nothing is taken in or "
            "opened without it. Put generation.json back from a backup of the keys.",
            subject="keys",
        )
    try:
        row = Keyrings.of(organisation(session))
    except InputError:
        row = None
    if row is not None and row.staff == stated.staff and _same(row.identity, stated.identity):
        if _same(row.vault, stated.vault) and (generation is None or generation.is_of(row.vault)):
            return
        if key_files.rotation() is not None:
            yield unknown(
                "custody/rotation-unfinished",
                "The key files are being sealed to another keyring and are not all done. Run the rotation again.",
                subject="keys",
            )
            return
    yield differs("custody/keyring-differs", _DIFFERS, subject="keys")


def _key_files(session: Session, key_files: KeyFiles, vault: Keyring) -> Iterator[Found]:
    names = owners_by_id(session)
    good = 0
    for owner_id in key_files.list():
        try:
            wrong = _wrong(key_files.read_sealed(owner_id), str(vault.kind), len(vault.recipients))
        except NotFoundError:
            continue  # Destroyed since the folder was listed.
        good += not wrong
        if wrong:
            yield differs(
                "custody/key-sealed-to-others",
                f"Its key file {wrong}: somebody else may open what it holds. Take it as disclosed, and rotate the "
                "keyring once it is clear who changed it.",
                subject=names[owner_id][0] if owner_id in names else f"key {owner_id}",
                owner=str(owner_id),
            )
    words, one = "keys are sealed to as many as the keyring names", "key is sealed to as many as the keyring names"
    yield matches("keys", words, good, one=one)


def _disclosures(session: Session, identity: Keyring) -> Iterator[Found]:
    """Count the recipients of values that are sealed to counsel or to a sender; all others are sealed to one."""
    visit = Visit.table.c
    senders = {
        sender_compartment(visit_id): len(str(recipients).split())
        for visit_id, recipients in rows_by_id(session, visit.id, visit.sender_recipients)
    }
    row = DisclosureRow
    statement = select(row.owner_kind, row.owner_id, row.first, row.end, row.sealed).order_by(row.id)
    wanted = statement.where(row.owner_kind.in_((OwnerKind.IDENTITY, OwnerKind.SENDER)))
    for kind, owner_id, first, end, sealed in session.execute(wanted):
        is_counsels = kind == OwnerKind.IDENTITY
        most = len(identity.recipients) if is_counsels else senders.get(owner_id, 1)
        wrong = _wrong(sealed, str(identity.kind) if is_counsels else "", most)
        # A sender has one recipient until the return code is made, and two from then on.
        if wrong and (is_counsels or _count(sealed) > most):
            yield differs(
                "custody/value-sealed-to-others",
                f"What it holds for {'counsel' if is_counsels else 'a sender'} {wrong}: somebody else may open it. "
                "Take it as disclosed.",
                subject=entries(first, end),
                first=first,
                end=end,
            )


def _wrong(sealed: bytes, kind: str, due: int) -> str:
    """Say what is wrong with the recipients of an age file; nothing where they are as many and of the kind due."""
    try:
        stanzas = Header.parse(io.BytesIO(sealed)).stanzas
    except (InputError, IntegrityError):
        return "cannot be read as a sealed file"
    if len(stanzas) != due:
        return f"is sealed to {len(stanzas)} recipients where the keyring has {due}"
    if kind and any(stanza.type != kind for stanza in stanzas):
        return "is sealed to a recipient of another kind than the keyring's"
    return ""


def _count(sealed: bytes) -> int:
    try:
        return len(Header.parse(io.BytesIO(sealed)).stanzas)
    except (InputError, IntegrityError):
        return 0  # What cannot be read is named where the log's sealed values are.


def _same(one: Keyring, other: Keyring) -> bool:
    return set(map(str, one.recipients)) == set(map(str, other.recipients))
