"""Reading the log's own signing keys from the one secret file that must work while the archive is locked."""

from pathlib import Path

from archive.errors import ConfigError
from custody.signed_note import SigningKey


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
