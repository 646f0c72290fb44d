"""Making a new archive in its folder: what `init` and the page of a first start share, so that both do the same."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from archive.age.recipients import KeyKind, parse_recipient
from archive.durable import make_folder_durably, sync_folder, write_durably
from archive.errors import ConfigError, ConflictError
from archive.settings import KeyKind as KeyKindSetting
from archive.types import Role
from cli import CATALOGUE_MISSING, Rooms
from commands.account import os_user
from custody.founding import Charter, Founded, found
from custody.ledger import Ledger
from custody.signed_note import KeyType, SigningKey

# The catalogue comes last: while it is not there, there is no archive.
_PARTS = ("store", "keys", "secrets", "run", "config.toml", "catalogue.sqlite")


def is_bare(home: Path) -> bool:
    """Tell whether nothing of an archive is in a folder."""
    return not any((home / part).exists() for part in ("catalogue.sqlite", "store", "keys"))


def refuse_occupied(home: Path) -> None:
    """Raises: ConflictError `archive/already-there`; ConfigError `archive/catalogue-missing`."""
    if (home / "catalogue.sqlite").exists():
        raise ConflictError("archive/already-there", "There is an archive here already. Nothing was changed.")
    if not is_bare(home):
        raise ConfigError("archive/catalogue-missing", CATALOGUE_MISSING)


def own_folder(home: Path) -> None:
    """Make the archive's folder, closed to all others."""
    make_folder_durably(home)
    if home.stat().st_mode & 0o077:
        home.chmod(0o700)


def found_archive(
    rooms: Rooms, role: Role, counsel: str | None, passphrase: str, hand_out: Callable[[Founded], None]
) -> Founded:
    """Build the whole archive in a folder of its own, then put it in its place; a broken set-up leaves none.

    `hand_out` shows the keys that are kept nowhere, before anything is put in its place: what it raises leaves no
    archive whose recovery key nobody has.
    Raises: as `refuse_occupied`; InputError `keys/weak-passphrase`, `keys/bad-recipient`.
    """
    refuse_occupied(rooms.home)
    own_folder(rooms.home)
    partial = rooms.home / f".init-partial-{os.getpid()}"
    make_folder_durably(partial)
    try:
        founded = _found(rooms, partial, role, counsel, passphrase)
        hand_out(founded)
        for part in _PARTS:
            if (partial / part).exists():
                (partial / part).rename(rooms.home / part)
        sync_folder(rooms.home)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return founded


def _found(rooms: Rooms, partial: Path, role: Role, counsel: str | None, passphrase: str) -> Founded:
    """Build the whole archive in a folder of its own, so that a broken set-up leaves none."""
    settings = rooms.settings
    inner = Rooms(replace(rooms.asked, home=partial, config=rooms.asked.config or rooms.home / "config.toml"))
    if not (rooms.asked.config or rooms.home / "config.toml").is_file():
        inner = Rooms(replace(rooms.asked, home=partial, config=None))
    elif not (rooms.home / "config.toml").exists() and rooms.asked.config is not None:
        write_durably(partial / "config.toml", rooms.asked.config.read_bytes())
    for folder in ("secrets", "run", "run/agent"):
        make_folder_durably(partial / folder)
    keys = [SigningKey.generate(settings.archive.origin, kind) for kind in (KeyType.ED25519, KeyType.MLDSA44)]
    lines = "".join(f"{key.secret_text()}\n" for key in keys)
    write_durably(inner.signing_keys_path, lines.encode("ascii"))
    inner.catalogue_path.touch(mode=0o600)
    charter = Charter(
        origin=settings.archive.origin,
        kind=KeyKind.HYBRID if settings.archive.key_kind is KeyKindSetting.HYBRID else KeyKind.X25519,
        os_user=os_user(),
        role=role,
        passphrase=passphrase,
        counsel=parse_recipient(counsel) if counsel else None,
    )
    try:
        founded = found(charter, ledger=_ledger(inner), key_files=inner.key_files, new_id=inner.new_id)
        inner.publisher.publish()
    finally:
        inner.close()
    return founded


def _ledger(inner: Rooms) -> Ledger:
    inner.database.migrate()
    return inner.ledger
