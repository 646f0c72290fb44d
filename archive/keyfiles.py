"""Key files: a small sealed file for each owner key, apart from objects and log; and the copies that staff unlock with.

    <root>/<owner id>.age        an owner key, sealed to the vault keyring
    <root>/generation.json       which keyring that is, and how often it has changed
    <root>/rotation.jsonl        only while key files are being rewritten for a new keyring
    <root>/staff/<staff id>.age  the office identity, sealed to one person's passphrase
    <root>/next/<staff id>.age   only during a rotation: the next office identity, sealed to the passphrase it will have

Whoever writes holds the lock of the folder, so a key that is destroyed cannot come back through a rotation that had
read it before. Rotation never touches an object. Knows no catalogue; that keeps the recipients to seal to while locked.
"""

import fcntl
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import UUID

from archive.age.keyring import Keyring, open_identity, seal_identity
from archive.age.passphrase import ScryptIdentity, ScryptRecipient
from archive.age.recipients import KeyIdentity, KeyKind, generate_identity
from archive.age.stream import seal_bytes
from archive.durable import (
    make_folder_durably,
    remove_durably,
    storage_errors,
    sweep_partials,
    sync,
    sync_folder,
    write_durably,
)
from archive.errors import ConflictError, InputError, IntegrityError, LockedError, NotFoundError, TestigoError
from archive.filegroup import FileGroup
from archive.keyrotation import Generation, Rotation, bad_generation, sha256_hex
from archive.types import Owner, StaffId

_SUFFIX = ".age"
_LOCK = ".lock"
_STAFF = "staff"
NEXT_COPIES = "next"
_GROUP = 100
_PASSPHRASE_CHARACTERS = 12
_PASSPHRASE_WORDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerKey:
    """A fresh owner key. `recipient` goes to the catalogue; `identity` is forgotten once its first use is over."""

    owner: Owner
    recipient: str
    identity: KeyIdentity = field(repr=False)

    @classmethod
    def generate(cls, owner: Owner, kind: KeyKind) -> Self:
        """Make a fresh key. It is not kept anywhere yet."""
        identity = generate_identity(kind)
        return cls(owner=owner, recipient=str(identity.recipient), identity=identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrapped:
    """How many key files a run of `rewrap_all` rewrote, how many were done before it, and for which generation."""

    rewritten: int
    already: int
    generation: int


class KeyFiles:
    """The key files below `root`. Units: `work_factor` is the power of two of scrypt's N for staff copies."""

    def __init__(self, root: Path, *, work_factor: int) -> None:
        self._root = root
        self._work_factor = work_factor

    def create(self, owner: Owner, keyring: Keyring) -> OwnerKey:
        """Make a key for `owner`; as `create_many`."""
        return self.create_many((owner,), keyring)[0]

    def create_many(self, owners: Sequence[Owner], keyring: Keyring) -> tuple[OwnerKey, ...]:
        """Make a key for each owner and keep them all, or none, with one sync.

        Promises: on return every key file outlives a power cut.
        Raises: ConflictError `keys/already-there`, `keys/keyring-changed`; the errors of `storage_errors`.
        """
        keys = tuple(OwnerKey.generate(owner, keyring.kind) for owner in owners)
        self.keep_many(keys, keyring)
        return keys

    def keep_many(self, keys: Sequence[OwnerKey], keyring: Keyring) -> None:
        """Keep keys that were made before, all of them or none; as `create_many`."""
        if not keys:
            return
        sealed = {key.owner.id: seal_identity(key.identity, keyring.recipients) for key in keys}
        if len(sealed) != len(keys):
            raise ValueError("an owner has one key")
        if any(key.identity.kind is not keyring.kind for key in keys):
            raise ValueError("an owner key is of the keyring's kind")
        with self._held() as folder:
            rotation = self._admit(keyring)
            if any(_exists(folder, _name(owner_id)) for owner_id in sealed):
                raise ConflictError("keys/already-there", "One of these already has a key. No key was made or changed.")
            with FileGroup(folder) as group:
                for owner_id, octets in sealed.items():
                    group.add(_name(owner_id), octets)
                group.sync()
                if rotation is not None:
                    rotation.note(sealed.items())
                group.publish()

    @property
    def root(self) -> Path:
        return self._root

    def files(self) -> tuple[Path, ...]:
        """Return every file that a copy of the key files must hold: keys, their generation, the staff's copies."""
        files = (path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith("."))
        return tuple(sorted(files))

    def read_sealed(self, owner_id: UUID) -> bytes:
        """Return the key file of an owner as it stands. Raises: NotFoundError `keys/no-such-key`."""
        return _read(self._root / _name(owner_id), "keys/no-such-key", "This key is not here; it may be destroyed.")

    def has(self, owner_id: UUID) -> bool:
        """Tell whether an owner has a key file."""
        with storage_errors():
            return (self._root / _name(owner_id)).is_file()

    def list(self) -> tuple[UUID, ...]:
        """Return the owners that have a key file, in the order of their ids."""
        return owners_in(self._root)

    def destroy(self, owner_id: UUID) -> None:
        """Remove every version of an owner's key that is in the folder; it may be gone already.

        Promises: on return no file of it remains here, also after a power cut. Backups keep theirs until they expire.
        """
        with self._held() as folder:
            # What a killed writer left has a random name and may hold any owner's key.
            sweep_partials(self._root)
            for path in self._root.glob(f"{owner_id}*"):
                os.unlink(path.name, dir_fd=folder)
            sync(folder)

    def generation(self) -> Generation | None:
        """Return the keyring that every key file is sealed to, or None where no key was ever made here."""
        return Generation.read(self._root)

    def refuse_without_generation(self) -> None:
        """Raises: IntegrityError `keys/bad-generation`: key files are here, and not what says for which keyring."""
        if self.list() and self.generation() is None:
            raise bad_generation()

    def rotation(self) -> Rotation | None:
        """Return the rotation that was begun and not finished, if there is one."""
        return Rotation.read(self._root)

    def closed_to(self, identities: Sequence[KeyIdentity]) -> tuple[UUID, ...]:
        """Return the owners whose key file opens with none of these; changes nothing."""
        closed: list[UUID] = []
        for owner_id in self.list():
            try:
                open_identity(self.read_sealed(owner_id), identities)
            except NotFoundError:
                continue  # Destroyed since the folder was listed.
            except TestigoError:
                closed.append(owner_id)
        return tuple(closed)

    def rewrap_all(self, identity: KeyIdentity, *, old: Keyring | None, new: Keyring) -> Rewrapped:
        """Seal every key file anew, to the recipients of `new`; go on where an interrupted run stopped.

        Without `old` the identity opens the key files of every generation (it is the recovery identity), and another
        rotation that was broken off gives way to this one.

        Promises: killed at any moment, each key file is whole and sealed to `old` or to `new`; running it again with
        the same `new` finishes the work. Keys made meanwhile must be sealed to `new`.
        Raises: ConflictError `keys/rotation-unfinished`, `keys/keyring-changed`; InputError `keys/kind-change`;
        IntegrityError `keys/not-rewrapped` with the owners whose file does not open; the rest is done then.
        """
        if identity.kind is not new.kind:
            raise InputError(
                "keys/kind-change",
                "Owner keys are of the keyring's kind, so a keyring of another kind cannot take over.",
            )
        with self._held():
            sweep_partials(self._root)
            rotation = Rotation.begin(self._root, old=old, new=new)
        if rotation is None:
            current = Generation.read(self._root)
            return Rewrapped(rewritten=0, already=len(self.list()), generation=current.number if current else 0)
        owners = self.list()
        pending = [owner_id for owner_id in owners if not self._is_done(rotation, owner_id)]
        failed: list[UUID] = []
        for start in range(0, len(pending), _GROUP):
            with self._held() as folder:
                failed += self._rewrap_group(folder, pending[start : start + _GROUP], identity, rotation)
        if failed:
            raise IntegrityError(
                "keys/not-rewrapped",
                f"Of the key files, {len(failed)} did not open with the key given and stayed as they were. All others "
                "are rewritten. The rotation stays open, and nobody can unlock, until these are put back from a backup "
                "of the keys, or put out of the keys folder by hand and kept. Then run the same again.",
                evidence={"owners": tuple(str(owner_id) for owner_id in failed)},
            )
        with self._held():
            rotation.finish()
        return Rewrapped(
            rewritten=len(pending), already=len(owners) - len(pending), generation=rotation.generation.number
        )

    def grant(self, staff_id: StaffId, office_identity: KeyIdentity, passphrase: str) -> None:
        """Give a person their own copy of the office identity, in place of an earlier one.

        Raises: InputError `keys/weak-passphrase`.
        """
        self._keep_copy(_STAFF, staff_id, office_identity, passphrase)

    def prepare(self, staff_id: StaffId, next_identity: KeyIdentity, passphrase: str) -> None:
        """Keep the next office identity beside a person's copy, before anything is sealed to it.

        Raises: InputError `keys/weak-passphrase`.
        """
        self._keep_copy(NEXT_COPIES, staff_id, next_identity, passphrase)

    def prepared(self, staff_id: StaffId, passphrase: str) -> KeyIdentity | None:
        """Open what `prepare` kept; None where no rotation of this person's was begun.

        Raises: LockedError `keys/wrong-passphrase`.
        """
        with suppress(NotFoundError):
            return self._open_copy(NEXT_COPIES, staff_id, passphrase)
        return None

    def begun(self) -> tuple[StaffId, ...]:
        """Return the people whose rotation was begun and not finished."""
        return tuple(StaffId(staff_id) for staff_id in owners_in(self._root / NEXT_COPIES))

    def promote(self, staff_id: StaffId) -> None:
        """Put the prepared identity in the place of the person's copy; what others had prepared goes."""
        make_folder_durably(self._root / _STAFF)
        for other in self.begun():
            if other != staff_id:
                remove_durably(self._root / NEXT_COPIES / _name(other))
        with storage_errors():
            (self._root / NEXT_COPIES / _name(staff_id)).replace(self._root / _STAFF / _name(staff_id))
        for folder in (_STAFF, NEXT_COPIES):
            sync_folder(self._root / folder)

    def _keep_copy(self, folder: str, staff_id: StaffId, identity: KeyIdentity, passphrase: str) -> None:
        recipient = ScryptRecipient(strong_passphrase(passphrase), self._work_factor)
        sealed = seal_bytes(identity.secret_text().encode("ascii") + b"\n", [recipient])
        make_folder_durably(self._root / folder)
        write_durably(self._root / folder / _name(staff_id), sealed)

    def _open_copy(self, folder: str, staff_id: StaffId, passphrase: str) -> KeyIdentity:
        path = self._root / folder / _name(staff_id)
        sealed = _read(path, "keys/no-such-copy", "This person has no copy of the office key, or it was removed.")
        try:
            return open_identity(sealed, [ScryptIdentity(_normal(passphrase))])
        except LockedError as error:
            raise LockedError(
                "keys/wrong-passphrase",
                "The passphrase does not fit. Nothing was opened. Type it again; one that is forgotten is replaced by "
                "somebody else who may unlock (`testigo keys grant`), or with the recovery key (`testigo keys rotate "
                "--recovery FILE`).",
            ) from error

    def open_copy(self, staff_id: StaffId, passphrase: str) -> KeyIdentity:
        """Open a person's copy of the office identity.

        Raises: NotFoundError `keys/no-such-copy`; LockedError `keys/wrong-passphrase`.
        """
        return self._open_copy(_STAFF, staff_id, passphrase)

    def revoke(self, staff_id: StaffId) -> None:
        """Remove a person's copy of the office identity. What they kept elsewhere ends only with a rotation."""
        make_folder_durably(self._root / _STAFF)
        sweep_partials(self._root / _STAFF)
        remove_durably(self._root / _STAFF / _name(staff_id))

    def granted(self) -> tuple[StaffId, ...]:
        """Return the people who hold a copy of the office identity."""
        return tuple(StaffId(staff_id) for staff_id in owners_in(self._root / _STAFF))

    @contextmanager
    def _held(self) -> Iterator[int]:
        """Hold the folder against every other writer, in this process or another, and yield its descriptor."""
        make_folder_durably(self._root)
        with storage_errors():
            lock = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    yield folder
                finally:
                    os.close(folder)
            finally:
                os.close(lock)

    def _admit(self, keyring: Keyring) -> Rotation | None:
        """Refuse to make keys for a keyring that is not, or no longer, the folder's. Return the rotation under way."""
        rotation = Rotation.read(self._root)
        current = rotation.generation if rotation else Generation.read(self._root)
        if current is None:
            Generation(number=1, keyring=keyring).write(self._root)
        elif not current.is_of(keyring):
            raise ConflictError(
                "keys/keyring-changed", "The vault keyring has changed meanwhile. No key was made; read it again."
            )
        return rotation

    def _is_done(self, rotation: Rotation, owner_id: UUID) -> bool:
        with suppress(NotFoundError):
            return rotation.digest_of(owner_id) == sha256_hex(self.read_sealed(owner_id))
        return True  # Destroyed since the folder was listed.

    def _rewrap_group(
        self, folder: int, owner_ids: Iterable[UUID], identity: KeyIdentity, rotation: Rotation
    ) -> Sequence[UUID]:
        """Rewrite some key files; return those that do not open."""
        failed: list[UUID] = []
        rewrapped: list[tuple[UUID, bytes]] = []
        for owner_id in owner_ids:
            try:
                opened = open_identity(self.read_sealed(owner_id), [identity])
            except NotFoundError:
                continue  # Destroyed since the folder was listed.
            except TestigoError:
                failed.append(owner_id)
                continue
            rewrapped.append((owner_id, seal_identity(opened, rotation.generation.keyring.recipients)))
        # The digests are durable before any file takes its name, so that after a crash each file tells by its own bytes
        # whether it is rewritten; the old key may be gone by then.
        with FileGroup(folder) as group:
            for owner_id, sealed in rewrapped:
                group.add(_name(owner_id), sealed)
            group.sync()
            rotation.note(rewrapped)
            group.publish()
        return failed


def strong_passphrase(passphrase: str) -> str:
    """Return the passphrase in the form it is used in, if it is long enough.

    Raises: InputError `keys/weak-passphrase`.
    """
    normal = _normal(passphrase)
    words = normal.split()
    if len(" ".join(words)) < _PASSPHRASE_CHARACTERS and len(words) < _PASSPHRASE_WORDS:
        raise InputError(
            "keys/weak-passphrase",
            f"A passphrase needs at least {_PASSPHRASE_CHARACTERS} characters or {_PASSPHRASE_WORDS} words. "
            "Nothing was changed.",
        )
    return normal


def _normal(passphrase: str) -> str:
    # One keyboard writes é as one character, another as two; both people mean the same passphrase.
    return unicodedata.normalize("NFC", passphrase)


def _name(some_id: UUID) -> str:
    return f"{some_id}{_SUFFIX}"


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _read(path: Path, code: str, message: str) -> bytes:
    with storage_errors(), suppress(FileNotFoundError):
        return path.read_bytes()
    raise NotFoundError(code, message)


def owners_in(folder: Path) -> tuple[UUID, ...]:
    """Return whose key files, or copies of the office identity, lie in a folder, in the order of their ids."""
    found: list[UUID] = []
    with storage_errors(), suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(ValueError):  # Not named by an id: not a key file.
                found += [UUID(path.stem)] if path.name == _name(UUID(path.stem)) else []
    return tuple(sorted(found))
