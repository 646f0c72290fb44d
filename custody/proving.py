"""The proof that the log of one checkpoint is the beginning of another's, for whoever kept the earlier one.

Read from the published tree alone: no key is needed and nothing is entered. What it refuses: to hand out a proof that
would not verify; a checkpoint that is not of this log's past is said to be that.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from archive.errors import InputError, IntegrityError, NotFoundError
from archive.store.port import Store
from custody.checkpoint import Checkpoint
from custody.merkle import consistency_proof, tree_root, verify_consistency
from custody.outside import Outside
from custody.publication import NEWEST
from custody.signed_note import SignedNote, VerifierKey
from custody.tiles import TileReader


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyProof:
    """A proof from one size of the log to a later one. Standard: RFC 9162, 2.1.4."""

    older: Checkpoint
    newer: Checkpoint
    hashes: tuple[bytes, ...]

    def to_lines(self) -> bytes:
        """Write the digests in base64, one a line, as C2SP tlog-witness does and `verify.py --consistency` reads."""
        return "".join(b64encode(step).decode("ascii") + "\n" for step in self.hashes).encode("ascii")


def newest_note(store: Store) -> bytes:
    """Return the newest published checkpoint. Raises: IntegrityError `custody/no-checkpoint`."""
    try:
        return store.read(NEWEST)
    except NotFoundError as error:
        raise IntegrityError(
            "custody/no-checkpoint",
            "No checkpoint of this log lies in the store. Nothing was changed. Keep everything, and run "
            "`testigo verify`.",
        ) from error


def prove_consistency(
    store: Store, keys: Sequence[VerifierKey], since: Outside, until: Outside | None = None
) -> ConsistencyProof:
    """Prove that the log of the later of two checkpoints begins with that of the earlier.

    `until` is the newest one where none is given.

    Raises: InputError `custody/other-log`, `custody/empty-checkpoint`; IntegrityError `custody/rolled-back`,
    `custody/inconsistent`.
    """
    newest = Checkpoint.parse(SignedNote.parse(newest_note(store)).text)
    given = [since.checkpoint, until.checkpoint if until is not None else newest]
    if any(one.origin != keys[0].name for one in given):
        raise InputError(
            "custody/other-log", "A checkpoint that was given is of another log than this archive's. Nothing was made."
        )
    older, newer = sorted(given, key=lambda one: one.size)
    if older.size == 0:
        raise InputError("custody/empty-checkpoint", "The checkpoint is of an empty log, which proves nothing.")
    if newer.size > newest.size:
        raise IntegrityError(
            "custody/rolled-back",
            "A checkpoint that was given stands for more entries than the log published here has: the log was rolled "
            "back or cut. Keep the checkpoint, and run `testigo verify --against` it.",
            evidence={"given": newer.size, "here": newest.size},
        )
    reader = TileReader(lambda path: _tile(store, path), newest.size)
    for one in given:
        if tree_root(one.size, reader.hash_at) != one.root:
            raise IntegrityError(
                "custody/inconsistent",
                "The log that lies here is not the one that this checkpoint stands for: entries were changed, removed "
                "or put in. Keep the checkpoint, and run `testigo verify --against` it: that names the place.",
                evidence={"size": one.size, "root": one.root.hex()},
            )
    hashes = consistency_proof(older.size, newer.size, reader.hash_at)
    verify_consistency(older.size, newer.size, hashes, older.root, newer.root)
    return ConsistencyProof(older=older, newer=newer, hashes=hashes)


def _tile(store: Store, path: str) -> bytes | None:
    try:
        return store.read(f"log/{path}")
    except NotFoundError:
        return None
