"""Queries about the organisation and its staff accounts, and the secrets that work while locked."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.catalogue.models import CheckpointRow, SecretRow
from archive.catalogue.records import Organisation, Staff
from archive.errors import AccessError, ConfigError, UnavailableError

_staff = Staff.table.c


def organisation(session: Session) -> Organisation:
    """Return the one organisation. Raises: ConfigError `archive/not-initialised`."""
    row = session.execute(select(Organisation.table)).mappings().first()
    if row is None:
        raise not_initialised()
    return Organisation.from_row(row)


def not_initialised() -> ConfigError:
    """Return the error for a catalogue without an organisation."""
    return ConfigError("archive/not-initialised", "This archive was never set up. Run `testigo init`.")


def refuse_where_founded(session: Session, what: str) -> None:
    """Refuse an absent folder where a checkpoint was ever signed: from then on there are a store and key files.

    Raises: UnavailableError `archive/folder-missing`.
    """
    if session.execute(select(CheckpointRow.size).limit(1)).first() is not None:
        raise UnavailableError(
            "archive/folder-missing",
            f"The folder of the {what} is not there, or is empty. Nothing was changed. See that its disk is mounted, "
            "then do the same again.",
        )


def staff_by_account(session: Session, account_mac: bytes) -> Staff:
    """Return the active account bound to an operating-system user.

    Raises: AccessError `access/no-account`.
    """
    statement = select(Staff.table).where(_staff.account_mac == account_mac, _staff.state == "active")
    row = session.execute(statement).mappings().first()
    if row is None:
        raise AccessError(
            "access/no-account",
            "This operating-system user has no account in this archive. Nothing was read. Ask a coordinator to admit "
            "you with `testigo staff add`. If you have an account, what it is found by was changed in the catalogue: "
            "`testigo verify --keyless` runs without one; move the catalogue away, keep it, and run `testigo rebuild`.",
        )
    return Staff.from_row(row)


def list_staff(session: Session) -> list[Staff]:
    return [Staff.from_row(row) for row in session.execute(select(Staff.table).order_by(_staff.pseudonym)).mappings()]


def staff_by_pseudonym(session: Session, pseudonym: str) -> Staff | None:
    row = session.execute(select(Staff.table).where(_staff.pseudonym == pseudonym)).mappings().first()
    return Staff.from_row(row) if row is not None else None


def read_secret(session: Session, name: str) -> bytes:
    """Return a named secret. Raises: ConfigError `archive/secret-missing`."""
    row = session.get(SecretRow, name)
    if row is None:
        raise ConfigError("archive/secret-missing", "The catalogue lacks its intake key. Run `testigo rebuild`.")
    return row.value


def keep_secrets(session: Session, secrets: Sequence[tuple[str, bytes]]) -> None:
    for name, value in secrets:
        session.merge(SecretRow(name=name, value=value))
