"""Copying key files to a folder of their own, where they are kept for some weeks and not with what they open.

Nothing there is deleted but what is left of a rotation that has ended. What it refuses: to write over the key files of
another archive, or over later ones of this one.
"""

from contextlib import suppress
from pathlib import Path

from archive.catalogue.accounts import organisation
from archive.catalogue.database import Database
from archive.durable import make_folder_durably, remove_durably, storage_errors, write_durably
from archive.errors import ConflictError, InputError
from archive.keyfiles import NEXT_COPIES, KeyFiles, owners_in
from archive.keyrotation import ROTATION_JOURNAL, Generation
from archive.places import Places


def refuse_other_keys(keys_to: Path, places: Places, database: Database) -> None:
    """Refuse a folder of other things, of another archive's keys, or of keys that were rotated since these were.

    Raises: InputError `backup/not-a-backup`, `backup/other-archive`; ConflictError `backup/keys-are-newer`.
    """
    there, here = Generation.read(keys_to), Generation.read(places.keys)
    if there is None:
        if not owners_in(keys_to) and any(not path.name.startswith(".") for path in keys_to.iterdir()):
            raise InputError(
                "backup/not-a-backup",
                "The folder for the key files holds other things than an earlier copy of them. Nothing was copied. "
                "Name an empty folder, or one that does not exist yet.",
            )
        return
    with database.reading() as session:
        staff_compartment = organisation(session).id
    if staff_compartment not in owners_in(keys_to):
        raise InputError(
            "backup/other-archive", "That folder holds the key files of another archive. Nothing was copied."
        )
    if here is not None and there.number > here.number:
        raise ConflictError(
            "backup/keys-are-newer",
            "The key files in that folder were sealed to a later office key than those of this archive: it was set "
            "back. Nothing was copied. Keep both as they are, and name another folder.",
            evidence={"copy": there.number, "archive": here.number},
        )


def copy_keys(key_files: KeyFiles, keys_to: Path | None) -> tuple[int, int]:
    """Copy the key files as they were at one moment, or could have been met after a power cut at one; return how many,
    and how many owners' keys lie there that are no longer here: destroyed, or lost, which only the log tells.

    A rotation meanwhile would leave keys that are sealed to the office key before it beside copies of the one after it,
    and nobody could open them: where anything but an owner's key changed, all is copied again.
    """
    if keys_to is None:
        return 0, 0
    make_folder_durably(keys_to)
    while True:
        before, files = _beside_the_keys(key_files.root), key_files.files()
        for folder in {path.parent.relative_to(key_files.root) for path in files}:
            make_folder_durably(keys_to / folder)
        count = 0
        for path in files:
            with storage_errors(), suppress(FileNotFoundError):  # Destroyed since it was listed.
                write_durably(keys_to / path.relative_to(key_files.root), path.read_bytes())
                count += 1
        # What an earlier copy holds of a rotation that has ended would be taken up by the next one after a restore.
        for name in set(_beside_the_keys(keys_to)) - set(before):
            if name == ROTATION_JOURNAL or name.startswith(f"{NEXT_COPIES}/"):
                remove_durably(keys_to / name)
        if _beside_the_keys(key_files.root) == before:
            return count, len(set(owners_in(keys_to)) - set(key_files.list()))


def _beside_the_keys(root: Path) -> dict[str, tuple[int, int, int]]:
    """Say of each file in a folder of key files that is no owner's key which file it is; written anew it is another."""
    found: dict[str, tuple[int, int, int]] = {}
    with storage_errors():
        for path in root.rglob("*"):
            is_owners = path.parent == root and path.suffix == ".age"
            if not is_owners and path.is_file() and not path.name.startswith("."):
                with suppress(FileNotFoundError):
                    status = path.stat()
                    found[str(path.relative_to(root))] = status.st_ino, status.st_mtime_ns, status.st_size
    return found
