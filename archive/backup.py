"""Copying an archive while it works, so that the copy is one that could have been met after a power cut.

Order: while nobody publishes, the catalogue (SQLite's own online copy, one moment of it) and the log's partial tiles,
which a later publication removes; then the rest of the store, which by the order of writing holds at least every object
and every published part of the log that the catalogue names, and may hold more: a mark says so and keeps a sweep away.
Key files go to a place of their own. Nothing in the destination is deleted or overwritten with other bytes, but the
newest checkpoint.

What it refuses: to mix with anything else, and to let an archive that was set back take the place of its longer copy.
"""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from archive.catalogue.accounts import organisation
from archive.catalogue.database import Database
from archive.durable import make_folder_durably, storage_errors, sync, sync_folder, write_durably
from archive.errors import ConfigError, ConflictError, InputError, NotFoundError, UnavailableError
from archive.keyfiles import KeyFiles
from archive.keys_copy import copy_keys, refuse_other_keys
from archive.places import Places, lies_in
from archive.settings_copy import copy_settings
from archive.store.directory import DirectoryStore
from archive.store.port import Store

_CATALOGUE = "catalogue.sqlite"
_CHECKPOINT = "log/checkpoint"
COPY_MARK = "this-is-a-copy.txt"
"""Lies in every copy, and so in whatever archive is brought back from one, until a person removes it."""

_MARK = """This folder is a copy that `testigo backup` made, of an archive that may have been working meanwhile.

Its store and its keys may hold what came in while the copy was made, which its catalogue does not name yet. If the
archive itself is lost, these are the last copies. So while this file is here, `testigo verify --sweep` removes nothing
that no record names. Remove this file when it is clear that nobody needs such files: after a later backup was brought
back over this one, or once the senders and technicians of that day were asked.
"""
_PIECE = 1 << 20
_TILE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupMade:
    """What one run copied: store files and their octets, and key files.

    `gone` counts the key files of earlier runs that the archive no longer has; `lacking` are files that the settings
    name and nobody can read.
    """

    objects: int
    octets: int
    keys: int
    gone: int
    lacking: tuple[Path, ...]


def check_places(places: Places, destination: Path, keys_to: Path | None, *, store: Store, database: Database) -> None:
    """Make sure that a copy may go there; write nothing.

    Raises: InputError `backup/inside-archive`, `backup/keys-not-apart`, `backup/not-a-folder`, `backup/not-a-backup`,
    `backup/other-archive`; ConflictError `backup/copy-is-longer`, `backup/keys-are-newer`.
    """
    for place in (destination, keys_to):
        if place is not None and _meets(place, places):
            raise InputError(
                "backup/inside-archive", "A backup must lie outside the archive's folders. Nothing was copied."
            )
        if place is not None and place.exists() and not place.is_dir():
            raise InputError("backup/not-a-folder", "That place is not a folder. Nothing was copied.")
    if keys_to is not None and (lies_in(keys_to, destination) or lies_in(destination, keys_to)):
        raise InputError(
            "backup/keys-not-apart", "Key files must lie apart from the copy that they open. Nothing was copied."
        )
    if keys_to is not None and keys_to.is_dir():
        refuse_other_keys(keys_to, places, database)
    if not destination.is_dir():
        return
    present = {path.name for path in destination.iterdir() if not path.name.startswith(".")}
    if present and _CATALOGUE not in present:
        raise InputError(
            "backup/not-a-backup",
            "That folder holds other things than an earlier backup. Nothing was copied. Name an empty folder, or one "
            "that does not exist yet.",
        )
    if present:
        _refuse_other_archive(destination / _CATALOGUE, database)
        _refuse_longer(destination, store)


def copy_archive(
    places: Places,
    destination: Path,
    keys_to: Path | None,
    *,
    store: Store,
    database: Database,
    key_files: KeyFiles,
    log_lock: Path,
) -> BackupMade:
    """Copy what is new. `log_lock` is the lock of whoever publishes.

    Raises: as `check_places`; UnavailableError `backup/no-room`; InputError `backup/not-writable`; as `storage_errors`.
    """
    check_places(places, destination, keys_to, store=store, database=database)
    with _told_of_the_copy():
        return _copy(places, destination, keys_to, store, database, key_files, log_lock)


def _copy(  # noqa: PLR0913, PLR0917 - as the function above, whose rest it is
    places: Places,
    destination: Path,
    keys_to: Path | None,
    store: Store,
    database: Database,
    key_files: KeyFiles,
    log_lock: Path,
) -> BackupMade:
    make_folder_durably(destination)
    with ExitStack() as opened:
        with _nobody_publishing(log_lock):
            # First of all: by it the next run knows this folder again, also where this one is broken off.
            _copy_catalogue(database.path, destination)
            write_durably(destination / COPY_MARK, _MARK.encode("ascii"))
            copy = opened.enter_context(DirectoryStore(destination / "store"))
            size, note = _newest_checkpoint(destination / _CATALOGUE)
            tiles = [name for name in store.list("log/tile/") if ".p/" in name]
            copied = _copy_missing(store, copy, tiles, size)
        copied += _copy_missing(store, copy, store.list(""), size)
        if note:
            copy.put(_CHECKPOINT, note, replace=True)
    lacking = _copy_beside(places, destination)
    keys, gone = copy_keys(key_files, keys_to)
    return BackupMade(objects=len(copied), octets=sum(copied), keys=keys, gone=gone, lacking=lacking)


def _copy_beside(places: Places, destination: Path) -> tuple[Path, ...]:
    """Copy the signing keys, and the settings with the files that they name; return which of these are not there."""
    secrets = places.signing_keys.parent
    make_folder_durably(destination / "secrets")
    with storage_errors():
        for place in sorted(secrets.iterdir()):
            if place.is_file():
                write_durably(destination / "secrets" / place.name, place.read_bytes())
        settings = copy_settings(places, to_itself=True)
    for name, content in settings.files.items():
        make_folder_durably((destination / name).parent)
        write_durably(destination / name, content)
    return settings.lacking


def log_reach(name: str) -> int:
    """Tell how many entries a file of the log speaks of, at most; 0 for what is not bound to a size.

    A copy of the log must not reach beyond the catalogue beside it: after a restore the log goes on from there, and
    what a tile or a checkpoint said of other entries would stand in its way. Standard: C2SP tlog-tiles.
    """
    parts = name.split("/")
    match parts[:2]:
        case ["log", "checkpoints" | "timestamps"]:
            return int(parts[2])
        case ["log", "disclosures"]:
            return int(parts[2].partition("-")[2].removesuffix(".jsonl"))
        case ["log", "tile"]:
            level = 0 if parts[2] == "entries" else int(parts[2])
            width = int(parts.pop()) if parts[-2].endswith(".p") else _TILE
            index = int("".join(part.removesuffix(".p").removeprefix("x") for part in parts[3:]))
            return (index * _TILE + width) * int(_TILE**level)
    return 0


def _newest_checkpoint(catalogue: Path) -> tuple[int, bytes]:
    """Return the newest checkpoint that a copied catalogue knows, and its size."""
    with closing(_opened(catalogue)) as copy:
        row = copy.execute("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    return (int(row[0]), bytes(row[1])) if row else (0, b"")


def _refuse_other_archive(catalogue: Path, database: Database) -> None:
    with database.reading() as session:
        ours = organisation(session).id.hex
    try:
        with closing(_opened(catalogue)) as copy:
            theirs = copy.execute("SELECT id FROM organisation").fetchone()
    except sqlite3.DatabaseError as error:
        raise InputError(
            "backup/not-a-backup",
            "The catalogue in that folder cannot be read. Nothing was copied. Name an empty folder, and keep this one "
            "as it is until you know why.",
        ) from error
    if theirs is None or theirs[0] != ours:
        raise InputError("backup/other-archive", "That folder holds the backup of another archive. Nothing was copied.")


def _refuse_longer(destination: Path, store: Store) -> None:
    """Refuse where the copy holds entries that the archive lacks, or other ones."""
    with DirectoryStore(destination / "store") as copy:
        if not copy.exists(_CHECKPOINT):
            return
        size, root = copy.read(_CHECKPOINT).split(b"\n")[1:3]
    name = f"log/checkpoints/{int(size):012}"
    ours = store.read(_CHECKPOINT).split(b"\n")
    same = store.exists(name) and store.read(name).split(b"\n")[2] == root
    if int(size) > int(ours[1]) or not same:
        raise ConflictError(
            "backup/copy-is-longer",
            "That backup holds entries of the log that this archive lacks: the archive was set back, or rewritten. "
            "Nothing was copied. Keep both as they are, and run `testigo verify --against` with the checkpoint of the "
            "backup.",
            evidence={"copy": int(size), "archive": int(ours[1])},
        )


def _opened(catalogue: Path) -> sqlite3.Connection:
    """Open a catalogue that nobody writes to, without leaving a file beside it."""
    return sqlite3.connect(f"{catalogue.absolute().as_uri()}?immutable=1", uri=True)


def _copy_catalogue(catalogue: Path, destination: Path) -> None:
    partial = destination / ".catalogue-partial"
    with storage_errors():
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            with closing(sqlite3.connect(catalogue)) as source, closing(sqlite3.connect(partial)) as target:
                source.backup(target)
        except sqlite3.Error as error:  # It says full, or an error of input and output, and has left its part.
            partial.unlink(missing_ok=True)
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL or _is_full(destination)
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(partial)) from error
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            sync(descriptor)
        finally:
            os.close(descriptor)
        for left in ("-wal", "-shm"):  # Of an older copy that someone opened; it would be read into the new one.
            (destination / f"{_CATALOGUE}{left}").unlink(missing_ok=True)
        partial.rename(destination / _CATALOGUE)
        sync_folder(destination)


def _is_full(place: Path) -> bool:
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize < _PIECE


_IT_STAYS = (
    " The archive itself is untouched. What was copied is whole and stays there, but it is not a backup until a run "
    "ends without an error. "
)


@contextmanager
def _told_of_the_copy() -> Iterator[None]:
    """Say of a disk that refuses that it is the copy's: nothing is written to the archive's own disk here."""
    try:
        yield
    except (ConfigError, UnavailableError) as error:
        match error.code:
            case "archive/store-full":
                words = f"The place of the copy is full.{_IT_STAYS}Free some space there, or take a larger disk, then "
                raise UnavailableError(
                    "backup/no-room",
                    f"{words}do the same again: only what is lacking is copied.",
                    evidence=error.evidence,
                ) from error
            case "archive/store-read-only" | "archive/store-not-permitted":
                words = (
                    f"Nothing can be written to the place of the copy.{_IT_STAYS}See how its disk is mounted and whose "
                )
                raise InputError(
                    "backup/not-writable", f"{words}the folder is, or name another place.", evidence=error.evidence
                ) from error
        raise


@contextmanager
def _nobody_publishing(lock: Path) -> Iterator[None]:
    with storage_errors():
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _copy_missing(store: Store, copy: DirectoryStore, names: Iterable[str], size: int) -> list[int]:
    """Copy what the copy lacks, of the log no more than `size` entries' worth; return the octets of each."""
    copied: list[int] = []
    for name in names:
        if name == _CHECKPOINT or log_reach(name) > size or copy.exists(name):
            continue
        with suppress(NotFoundError):  # An orphan that a sweep took away since it was listed.
            copied.append(_copy_object(store, copy, name))
    return copied


def _copy_object(store: Store, copy: DirectoryStore, name: str) -> int:
    with store.open_range(name) as source, copy.stage() as staged:
        for start in range(0, source.size, _PIECE):
            staged.write(source.read_range(start, _PIECE))
        size = source.size
        copy.publish([(staged, name)])
    return size


def _meets(place: Path, places: Places) -> bool:
    """Tell whether a place lies in the archive's folders or one of these in it: a store may lie anywhere."""
    return places.hold(place) or any(lies_in(folder, place) for folder in places.folders)
