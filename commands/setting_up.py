"""Making a new archive in its places: what `init` and the page of a first start share, so that both do the same."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from archive.age.recipients import KeyKind, parse_recipient
from archive.durable import make_folder_durably, storage_errors, sync_folder, write_durably
from archive.errors import ConflictError
from archive.places import Places
from archive.settings import KeyKind as KeyKindSetting
from archive.settings import load_settings
from archive.settings_copy import copy_settings
from archive.types import Role
from cli import Rooms
from commands.account import os_user
from custody.founding import Charter, Founded, found
from custody.ledger import Ledger
from custody.signed_note import KeyType, SigningKey

_PARTIAL = ".init-partial-"
_OF_THE_DISK = frozenset({"lost+found", ".staging"})
"""What may stand in a folder that is given to a new archive: a disk's own, and what only writers need."""


def refuse_occupied(places: Places) -> None:
    """Make sure that a new archive may come to be here.

    Raises: ConflictError `archive/already-there`, `archive/place-taken`; ConfigError `archive/catalogue-missing`.
    """
    if places.catalogue.exists():
        raise ConflictError("archive/already-there", "There is an archive here already. Nothing was changed.")
    places.refuse_lost()
    for place in (places.store, places.keys):
        if _is_taken(place):
            raise ConflictError(
                "archive/place-taken",
                "The place that the settings name for the store or for key files holds other things. Nothing was "
                "changed. Name an empty folder, or one that does not exist yet.",
                evidence={"place": str(place)},
            )


def _refuse_two_words(places: Places) -> None:
    """Refuse to set up by one settings file what every later command would look for by another.

    Raises: ConflictError `archive/two-settings`.
    """
    own = places.home / "config.toml"
    later = Places.of(places.home, load_settings(own), own)
    if own.is_file() and (later.store, later.keys) != (places.store, places.keys):
        raise ConflictError(
            "archive/two-settings",
            "The settings file in the archive's folder names other places for store and key files than the one given "
            "by --config. Nothing was made. Correct one of them, or move the first away.",
            evidence={"file": str(own)},
        )


def _is_taken(place: Path) -> bool:
    with storage_errors():
        if not place.is_dir():
            return place.exists()
        names = {each.name for each in place.iterdir()}
    return any(name not in _OF_THE_DISK and not name.startswith(_PARTIAL) for name in names)


def own_folder(folder: Path) -> None:
    """Make a folder of the archive, closed to all others."""
    make_folder_durably(folder)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


class _Part:
    """A folder that is being made: beside its place or, where a folder stands there already, in it.

    So what was made only has to be renamed, also where that folder is a disk of its own. `drop` leaves nothing of it.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._is_new = not place.exists()
        self._made = [each for each in place.parents if not each.exists()]
        own = f"{_PARTIAL}{os.getpid()}"
        self.partial = place.with_name(f".{place.name}{own}") if self._is_new else place / own

    def begin(self) -> None:
        if not self._is_new:
            own_folder(self.place)
        make_folder_durably(self.partial)
        _sweep(self.partial)

    def settle(self, *names: str) -> None:
        """Put what was made in its place; of a part only, where names are given."""
        with storage_errors():
            if self._is_new:
                self.partial.rename(self.place)
                sync_folder(self.place.parent)
                return
            for name in names or sorted(each.name for each in self.partial.iterdir()):
                if name not in _OF_THE_DISK:
                    (self.partial / name).rename(self.place / name)
            sync_folder(self.place)

    def drop(self) -> None:
        shutil.rmtree(self.partial, ignore_errors=True)
        for folder in self._made:
            with suppress(OSError):  # Not empty: it holds what was made.
                folder.rmdir()


def _sweep(ours: Path) -> None:
    """Remove what set-ups left beside ours that were killed; nothing of them was ever an archive."""
    before, mark, _ = ours.name.rpartition(_PARTIAL)
    for left in ours.parent.glob(f"{before}{mark}*"):
        if not Path("/proc", left.name.rpartition(_PARTIAL)[2]).exists():
            shutil.rmtree(left, ignore_errors=True)


def found_archive(
    rooms: Rooms, role: Role, counsel: str | None, passphrase: str, hand_out: Callable[[Founded], None]
) -> Founded:
    """Build the whole archive beside its places, then put it there; a broken set-up leaves none.

    `hand_out` shows the keys that are kept nowhere, before anything is put in its place: what it raises leaves no
    archive whose recovery key nobody has.
    Raises: as `refuse_occupied`; InputError `keys/weak-passphrase`, `keys/bad-recipient`.
    """
    places = rooms.places
    refuse_occupied(places)
    _refuse_two_words(places)
    own_folder(places.home)
    home, store, keys = parts = (_Part(places.home), _Part(places.store), _Part(places.keys))
    try:
        for part in parts:
            part.begin()
        at = replace(places, home=home.partial, store=store.partial, keys=keys.partial)
        founded = _found(rooms, at, role, counsel, passphrase)
        hand_out(founded)
        home.settle(*sorted({each.name for each in home.partial.iterdir()} - {places.catalogue.name}))
        store.settle()
        keys.settle()
        home.settle(places.catalogue.name)  # Last: while it is not there, there is no archive.
    finally:
        for part in parts:
            part.drop()
    return founded


def _found(rooms: Rooms, at: Places, role: Role, counsel: str | None, passphrase: str) -> Founded:
    """Build the whole archive in the places `at`."""
    settings = rooms.settings
    inner = Rooms(rooms.asked, at=at)
    if rooms.asked.config is not None and not (rooms.home / "config.toml").exists():
        for name, content in copy_settings(rooms.places, to_itself=False).files.items():
            make_folder_durably((at.home / name).parent)
            write_durably(at.home / name, content)
    for folder in ("secrets", "run", "run/agent"):
        make_folder_durably(at.home / folder)
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
