"""Reading the log's own signing keys from the one secret file that must work while the archive is locked."""

from pathlib import Path

from archive.errors import ConfigError, IntegrityError
from archive.store.port import Store
from custody.publication import VERIFIER_KEYS
from custody.signed_note import SigningKey, VerifierKey


def read_signing_keys(path: Path) -> tuple[SigningKey, ...]:
    """Give the keys, one a line. Raises: ConfigError `custody/no-signing-key`."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "custody/no-signing-key", "The log's signing keys cannot be read. Put them back from a backup."
        ) from error
    if not lines:
        raise ConfigError(
            "custody/no-signing-key", "The file of the log's signing keys is empty. Put it back from a backup."
        )
    return tuple(SigningKey.parse(line) for line in lines)


def public_keys(path: Path, store: Store) -> tuple[VerifierKey, ...]:
    """Give the log's public keys: of its signing keys or, in a copy without these, as the store states them.

    Raises: as `read_signing_keys`; IntegrityError `custody/bad-key`.
    """
    if path.is_file():
        return tuple(signer.verifier_key for signer in read_signing_keys(path))
    return _published(store)


def keys_to_audit_with(path: Path, store: Store) -> tuple[VerifierKey, ...]:
    """As `public_keys`, also where the signing keys cannot be read: an audit goes on, and whoever runs it says so."""
    try:
        return public_keys(path, store)
    except (ConfigError, IntegrityError):
        return _published(store)


def _published(store: Store) -> tuple[VerifierKey, ...]:
    return tuple(map(VerifierKey.parse, store.read(VERIFIER_KEYS).decode("utf-8", "replace").splitlines()))
