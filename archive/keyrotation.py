"""Which keyring the key files are sealed to, and the journal of a change to another.

A generation is the keyring's text and a running number. While key files are rewritten, a journal says for which
keyring, and holds the digest of each rewritten file before that file takes its name: after a crash each key file tells
by its own bytes which generation it is in. Knows no key and opens nothing.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import UUID

from archive.age.keyring import Keyring
from archive.durable import make_folder_durably, remove_durably, storage_errors, sync, write_durably
from archive.errors import ConflictError, IntegrityError

_GENERATION = "generation.json"
ROTATION_JOURNAL = "rotation.jsonl"
_LOCK = ".rotating"


def sha256_hex(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A keyring and its place among those the key files have had. Shapes: `number` starts at 1."""

    number: int
    keyring: Keyring

    def is_of(self, keyring: Keyring) -> bool:
        """Tell whether this is the generation of a keyring, whatever the order and the parts of its recipients."""
        return set(map(str, self.keyring.recipients)) == set(map(str, keyring.recipients))

    def format(self) -> str:
        """Write one line of JSON."""
        value = {"generation": self.number, "keyring": self.keyring.format(), "v": 1}
        return json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read what `format` wrote. Raises: IntegrityError `keys/bad-generation`."""
        try:
            match json.loads(line):
                case {"v": 1, "generation": int(number), "keyring": str(text), **rest} if number > 0 and not rest:
                    return cls(number=number, keyring=Keyring.parse(text))
        except ValueError as error:
            raise bad_generation() from error
        raise bad_generation()

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the generation of a folder of key files, or None where no key was ever made."""
        text = _read_text(folder / _GENERATION)
        return None if text is None else cls.parse(text)

    def write(self, folder: Path) -> None:
        """Make this the generation of a folder."""
        write_durably(folder / _GENERATION, self.format().encode("ascii"))


class Rotation:
    """A rewriting of the key files of `folder` for `generation`, begun and not finished."""

    def __init__(self, folder: Path, generation: Generation, digests: dict[UUID, str]) -> None:
        self.generation = generation
        self._folder = folder
        self._digests = digests

    @classmethod
    def begin(cls, folder: Path, *, old: Keyring | None, new: Keyring) -> Self | None:
        """Begin the change from `old` to `new`, or take up the same one again; None where it is done already.

        Without `old`, for whoever opens the key files of every generation, another change that was begun is given up.

        Raises: ConflictError `keys/rotation-unfinished`, `keys/keyring-changed`.
        """
        begun = cls.read(folder)
        if begun is not None and begun.generation.is_of(new):
            begun._drop_torn_line()
            return begun
        if begun is not None and old is not None:
            raise ConflictError(
                "keys/rotation-unfinished",
                "A change to another keyring was begun and not finished. Finish that one first.",
            )
        current = begun.generation if begun else Generation.read(folder) or Generation(number=1, keyring=old or new)
        if current.is_of(new):
            current.write(folder)
            return None
        if old is not None and not current.is_of(old):
            raise ConflictError(
                "keys/keyring-changed", "The vault keyring has changed meanwhile. Nothing was rewritten; read it again."
            )
        generation = Generation(number=current.number + 1, keyring=new)
        write_durably(folder / ROTATION_JOURNAL, generation.format().encode("ascii"))
        return cls(folder, generation, {})

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the rotation under way in a folder, or None. Raises: IntegrityError `keys/bad-generation`."""
        text = _read_text(folder / ROTATION_JOURNAL)
        if text is None:
            return None
        # A last line without its line feed was cut off by a crash, before any file it speaks of took its name.
        head, *lines = text.split("\n")[:-1] or [""]
        generation = Generation.parse(head)
        current = Generation.read(folder)
        if current is not None and current.number >= generation.number:
            return None  # Finished; the crash came before the journal was removed.
        return cls(folder, generation, dict(_parse_note(line) for line in lines))

    def digest_of(self, owner_id: UUID) -> str | None:
        """Return the SHA-256 (hex) that the rewritten key file of an owner has, if one was made."""
        return self._digests.get(owner_id)

    def note(self, sealed: Iterable[tuple[UUID, bytes]]) -> None:
        """Make durable which bytes these owners' key files are about to have."""
        noted = {owner_id: sha256_hex(octets) for owner_id, octets in sealed}
        lines = "".join(
            json.dumps({"owner": str(owner_id), "sha256": digest}, separators=(",", ":")) + "\n"
            for owner_id, digest in noted.items()
        )
        with storage_errors():
            journal = os.open(self._folder / ROTATION_JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                view = memoryview(lines.encode("ascii"))
                while view:
                    view = view[os.write(journal, view) :]
                sync(journal)
            finally:
                os.close(journal)
        self._digests.update(noted)

    def finish(self) -> None:
        """Make the new generation the folder's, and remove the journal."""
        self.generation.write(self._folder)
        remove_durably(self._folder / ROTATION_JOURNAL)

    def _drop_torn_line(self) -> None:
        path = self._folder / ROTATION_JOURNAL
        with storage_errors():
            octets = path.read_bytes()
        whole = octets[: octets.rfind(b"\n") + 1]
        if whole != octets:
            write_durably(path, whole)


@contextmanager
def rotating(folder: Path) -> Iterator[None]:
    """Let no other rotation of a folder of key files begin, or go on, during the block.

    Raises: ConflictError `keys/rotation-running`.
    """
    make_folder_durably(folder)
    with storage_errors():
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                "keys/rotation-running",
                "A rotation of the vault keyring is at work just now. Nothing was changed. Let it end first.",
            ) from error
        yield
    finally:
        os.close(lock)


def _parse_note(line: str) -> tuple[UUID, str]:
    try:
        match json.loads(line):
            case {"owner": str(owner), "sha256": str(digest), **rest} if not rest:
                return UUID(owner), digest
    except ValueError as error:
        raise bad_generation() from error
    raise bad_generation()


def _read_text(path: Path) -> str | None:
    with storage_errors(), suppress(FileNotFoundError):
        return path.read_text("ascii")
    return None


def bad_generation() -> IntegrityError:
    return IntegrityError(
        "keys/bad-generation",
        "The file that says which keyring the keys are sealed to is not there, or cannot be read. No key was made or "
        "changed. Restore generation.json and rotation.jsonl from a backup of the keys folder.",
    )
