"""Every checkpoint: its signatures, its place, the entries it stands for, and its copy in the store."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.catalogue.columns import read_moment, untyped
from archive.catalogue.models import CheckpointRow
from archive.errors import IntegrityError, NotFoundError
from archive.store.port import Store
from archive.types import utc_text
from custody.checkpoint import Checkpoint, VerifiedCheckpoint, verify_checkpoint
from custody.findings import Found, differs, entries, matches, unknown
from custody.log_tree import LogTree
from custody.publication import NEWEST, VERIFIER_KEYS
from custody.signed_note import KeyType, SignedNote, VerifierKey

_FOLDER = "log/checkpoints/"
_TOLERANCE = timedelta(seconds=3)


def check_checkpoints(session: Session, store: Store, tree: LogTree, keys: Sequence[VerifierKey]) -> Iterator[Found]:
    """Compare the catalogue's checkpoints with the entries and with the store's."""
    return _CheckpointAudit(store, tree, keys).run(session)


class _CheckpointAudit:
    def __init__(self, store: Store, tree: LogTree, keys: Sequence[VerifierKey]) -> None:
        self._store = store
        self._tree = tree
        self._keys = tuple(keys)
        self._in_store = _sizes(store)
        self._agreed = 0
        self._parted: list[int] = []
        self._before: datetime | None = None

    def run(self, session: Session) -> Iterator[Found]:
        good = newest = 0
        row = CheckpointRow
        statement = select(row.size, untyped(row.note), untyped(row.signed_time)).order_by(row.size)
        for size, kept, signed_time in session.execute(statement):
            newest, note = size, kept if isinstance(kept, bytes) else str(kept).encode("utf-8", "surrogatepass")
            verified, found = self._look_at(size, note)
            found += self._copy(size, note)
            if verified is not None and verified.cosigned_time is not None:
                found += self._times(size, signed_time, verified.cosigned_time)
            good += not found and self._stands_for_entries(size, verified)
            yield from found
        yield from self._unrecorded()
        if self._parted:
            yield self._root_mismatch()
        yield from self._newest(newest)
        yield from self._key_file()
        words = "checkpoints are rightly signed over the entries that are here"
        one = "checkpoint is rightly signed over the entries that are here"
        yield matches("checkpoints", words, good, one=one)

    def _look_at(self, size: int, note: bytes) -> tuple[VerifiedCheckpoint | None, list[Found]]:
        subject = f"checkpoint {size}"
        try:
            verified = verify_checkpoint(note, self._keys)
        except IntegrityError as error:
            return None, [differs(error.code, error.message, subject=subject, **error.evidence)]
        found: list[Found] = []
        if KeyType.MLDSA44 not in verified.key_types and any(key.type is KeyType.MLDSA44 for key in self._keys):
            found.append(
                differs("custody/signature-missing", "It lacks the log's ML-DSA-44 signature.", subject=subject)
            )
        if verified.checkpoint.size != size:
            found.append(
                differs("custody/checkpoint-elsewhere", "It states another size than its place.", subject=subject)
            )
        elif size > self._tree.size:
            found.append(_rolled_back(self._tree.size, size))
        return verified, found

    def _stands_for_entries(self, size: int, verified: VerifiedCheckpoint | None) -> bool:
        if verified is None or verified.checkpoint.root != self._tree.root(size):
            self._parted.append(size)
            return False
        if not self._parted:
            self._agreed = size
        return True

    def _root_mismatch(self) -> Found:
        first = min(self._parted)
        before = self._agreed if self._agreed < first else 0
        more = len(self._parted) - 1
        return differs(
            "custody/root-mismatch",
            f"Checkpoint {first} was signed over other entries than are here"
            + (f", and so were {more} later ones." if more else "."),
            subject=entries(before, first),
            first=before,
            end=first,
            checkpoints=tuple(self._parted[:20]),
        )

    def _copy(self, size: int, note: bytes) -> list[Found]:
        name = self._in_store.pop(size, None)
        subject = f"checkpoint {size}"
        if name is None:
            return [differs("custody/checkpoint-missing", "The store lacks its copy of this one.", subject=subject)]
        if self._store.read(name) != note:
            words = "The catalogue and the store hold different notes for it: one of them was changed."
            return [differs("custody/checkpoint-differs", words, subject=subject)]
        return []

    def _times(self, size: int, kept: object, stated: datetime) -> Iterator[Found]:
        subject, stored = f"checkpoint {size}", _moment(kept)
        if stored != stated:
            yield differs(
                "custody/time-differs",
                "The catalogue gives it another time than the one it was signed with.",
                subject=subject,
                catalogue=utc_text(stored) if stored is not None else str(kept)[:100],
                note=utc_text(stated),
            )
        if self._before is not None and stated < self._before - _TOLERANCE:
            yield differs(
                "custody/time-runs-back",
                "It states an earlier time than the checkpoint before it.",
                subject=subject,
                before=utc_text(self._before),
                note=utc_text(stated),
            )
        self._before = stated

    def _unrecorded(self) -> Iterator[Found]:
        """Look at what the catalogue has no row for: a crash leaves one such checkpoint, a roll-back several."""
        for size, name in sorted(self._in_store.items()):
            verified, found = self._look_at(size, self._store.read(name))
            yield from found
            if not found and self._stands_for_entries(size, verified):
                yield unknown(
                    "custody/checkpoint-unrecorded",
                    "It is in the store and not in the catalogue, as a crash may leave it. It stands for the entries "
                    "that are here.",
                    subject=f"checkpoint {size}",
                )

    def _newest(self, size: int) -> Iterator[Found]:
        try:
            note = self._store.read(NEWEST)
            stated = Checkpoint.parse(SignedNote.parse(note).text).size
        except NotFoundError:
            if size:
                words = "The store no longer says which checkpoint is the newest."
                yield differs("custody/checkpoint-missing", words, subject="log/checkpoint")
            return
        except IntegrityError as error:
            yield differs(error.code, error.message, subject="log/checkpoint", **error.evidence)
            return
        _, found = self._look_at(stated, note)
        yield from found
        if stated < size:
            yield differs(
                "custody/store-rolled-back",
                f"The store calls checkpoint {stated} the newest, the catalogue {size}: the store was rolled back.",
                subject="log/checkpoint",
            )

    def _key_file(self) -> Iterator[Found]:
        try:
            lines = self._store.read(VERIFIER_KEYS).decode("utf-8", "replace").splitlines()
        except NotFoundError:
            lines = []
        if not lines and self._store.exists(NEWEST):
            yield differs(
                "custody/keys-not-published",
                "The list of the log's public keys is not in the store, which nobody checks then without signing keys. "
                "Put it back from a backup.",
                subject=VERIFIER_KEYS,
            )
        if lines and set(lines) != set(map(str, self._keys)):
            yield differs(
                "custody/other-key",
                "The store publishes other keys of the log than those that this archive signs with. Compare "
                "fingerprints with what was published outside.",
                subject=VERIFIER_KEYS,
            )


def _sizes(store: Store) -> dict[int, str]:
    names = store.list(_FOLDER)
    return {int(name.removeprefix(_FOLDER)): name for name in names if name.removeprefix(_FOLDER).isdecimal()}


def _rolled_back(size: int, signed: int) -> Found:
    return differs(
        "custody/rolled-back",
        f"Checkpoint {signed} was signed over these entries and the catalogue no longer has them: it was rolled back "
        "or cut.",
        subject=entries(size, signed),
        first=size,
        end=signed,
    )


def _moment(kept: object) -> datetime | None:
    with suppress(IntegrityError):
        return read_moment(kept)
    return None
