"""The strongroom: seals what comes in without any key, opens only against an entry of the log.

What it knows: sealed objects in the store, owner keys in their own folder, the key agent that alone holds the vault
identity. What it refuses: opening anything without a `LoggedAccess` that names the owner.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO
from uuid import UUID

from archive.access import LoggedAccess
from archive.age.agent import AgentClient
from archive.age.keyring import Keyring
from archive.age.recipients import KeyIdentity, parse_recipient
from archive.age.seekable import SeekableReader
from archive.age.stream import open_bytes
from archive.errors import AccessError, IntegrityError, LockedError, NotFoundError, UnavailableError
from archive.keyfiles import KeyFiles, OwnerKey
from archive.patching import PatchableStage, StagedRanges
from archive.sealing import StagedObject, seal_stream
from archive.store.port import Store, object_name
from archive.types import Digest, Owner

__all__ = ["StagedObject", "Vault", "open_value"]


class Vault:
    """The room object of the archive."""

    def __init__(self, *, store: Store, key_files: KeyFiles, agent: AgentClient) -> None:
        self.store = store
        self.key_files = key_files
        self.agent = agent

    # ── sealing: works while locked ──────────────────────────────────────────────────────────────────────────────────

    def new_owner_keys(self, owners: Sequence[Owner], keyring: Keyring) -> tuple[OwnerKey, ...]:
        """Make an owner key for each and keep it, sealed to the vault keyring; durable when this returns."""
        return self.key_files.create_many(owners, keyring)

    def new_owner_key_instead(self, owner: Owner, keyring: Keyring) -> tuple[OwnerKey, bool]:
        """As `new_owner_keys`, for an owner whose id is derived, so that it is the same again at the next try.

        A key file that an interrupted try left goes first, and the answer says so. Only for the transaction that
        records the owner, once it has found that no record names it: then nothing was ever sealed to the key that goes.
        """
        left = self.key_files.has(owner.id)
        if left:
            self.key_files.destroy(owner.id)
        return self.key_files.create(owner, keyring), left

    def stage(self, source: BinaryIO, recipient: str) -> StagedObject:
        """Steps 1 and 2, first half: read the stream once, digest it, seal it into staging."""
        staged = self.store.stage(read_back=True)
        try:
            sealed = seal_stream(source, staged, [parse_recipient(recipient)])
        except BaseException:
            staged.abort()
            raise
        return StagedObject(sealed=sealed, staged=staged)

    def stage_patchable(self, recipient: str) -> PatchableStage:
        """As `stage`, for a writer that comes back to its first 65,536 octets; nothing of it waits in clear."""
        return PatchableStage(self.store.stage(), recipient)

    def publish(self, objects: Sequence[StagedObject]) -> None:
        """Step 2, second half: make the objects durable under their names, then read the ciphertext back.

        Raises: IntegrityError `archive/digest-mismatch` where the store gives back other bytes than were written.
        """
        self.store.publish([(staged.staged, staged.name) for staged in objects])
        for staged in objects:
            found = self.store.read_back(staged.staged, staged.name)
            if found != staged.sealed.blake3:
                raise IntegrityError(
                    "archive/digest-mismatch",
                    "The store gave back other bytes than were just written. Nothing was recorded; the source is "
                    "untouched. Check the disk before going on.",
                    evidence={"written": str(staged.sealed.blake3), "read": str(found)},
                )

    def confirm(self, objects: Sequence[StagedObject], owner_ids: Sequence[UUID]) -> None:
        """Make sure, inside the transaction that records them, that objects and key files are still there.

        Until then they are orphans, which a sweep in another process may take away.
        Raises: UnavailableError `archive/swept-meanwhile`.
        """
        if all(self.store.exists(staged.name) for staged in objects) and all(map(self.key_files.has, owner_ids)):
            return
        raise UnavailableError(
            "archive/swept-meanwhile",
            "A sweep took away what was just stored, before it was recorded. Nothing was recorded; the source is "
            "untouched. Do the same again.",
        )

    def has(self, owner_id: UUID, blake3: Digest) -> bool:
        """Tell whether a recorded object and its owner's key file are both there; neither is read."""
        return self.key_files.has(owner_id) and self.store.exists(object_name(blake3))

    @contextmanager
    def reopen(self, staged: StagedObject) -> Iterator[SeekableReader]:
        """Read what was just published through the seal, with the file key still in memory (steps 3 and 4 only)."""
        with self.store.open_range(staged.name) as source:
            yield SeekableReader(source, file_key=staged.sealed.file_key)

    @contextmanager
    def reread(self, staged: StagedObject) -> Iterator[SeekableReader]:
        """Read what is staged and not published, with the file key still in memory."""
        yield SeekableReader(StagedRanges(staged.staged), file_key=staged.sealed.file_key)

    # ── opening: no entry, no access ─────────────────────────────────────────────────────────────────────────────────

    def refuse_closed(self, owner_ids: Sequence[UUID]) -> None:
        """Make sure, before an access is entered, that it can be: so that the log holds none that never was.

        Raises: NotFoundError `keys/no-such-key`; LockedError `archive/locked`.
        """
        if not all(map(self.key_files.has, owner_ids)):
            raise NotFoundError("keys/no-such-key", "The key of this is not here. Restore its file from a backup.")
        if self.agent.status() is None:
            raise LockedError("archive/locked", "The archive is locked. Run testigo unlock, then do the same again.")

    def unwrap(self, access: LoggedAccess, owner_ids: Sequence[UUID]) -> dict[UUID, KeyIdentity]:
        """Have the agent unwrap owner keys against the entry that permits it.

        Raises: AccessError `access/no-entry`; LockedError `archive/locked`; NotFoundError `keys/no-such-key`.
        """
        for owner_id in owner_ids:
            if owner_id not in access.owners:
                raise AccessError(
                    "access/no-entry",
                    "The log holds no entry that permits this key to be opened. Nothing was opened.",
                    evidence={"entry": access.entry, "owner": str(owner_id)},
                )
        requests = [(owner_id, self.key_files.read_sealed(owner_id)) for owner_id in owner_ids]
        return self.agent.unwrap_many(requests, access.entry)

    @contextmanager
    def open_object(self, identity: KeyIdentity, blake3: Digest) -> Iterator[SeekableReader]:
        """Open a stored object with its owner's key, which only `unwrap` gives.

        Raises: IntegrityError `archive/object-missing`: a record names it, so that it is not here is an alarm.
        """
        name = object_name(blake3)
        self.refuse_absent(blake3)
        with self.store.open_range(name) as source:
            yield SeekableReader(source, identities=[identity])

    def refuse_absent(self, blake3: Digest) -> None:
        """Raises: IntegrityError `archive/object-missing` where an object that a record names is not in the store."""
        name = object_name(blake3)
        if not self.store.exists(name):
            raise IntegrityError(
                "archive/object-missing",
                "An object that a record names is not in the store. The record and the log are kept; nothing was "
                "opened. Run `testigo verify`, and restore the object from a copy.",
                evidence={"object": name},
            )


def open_value(identity: KeyIdentity, sealed: bytes) -> bytes:
    """Open a small sealed value with its owner's key."""
    return open_bytes(sealed, [identity])
