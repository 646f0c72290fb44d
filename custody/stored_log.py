"""The log as the store alone holds it: newest checkpoint, entries, sealed values, time-stamps. For rebuilding.

Nothing is believed but what the newest rightly signed checkpoint covers; what lies beyond it was never acknowledged to
anyone, and is named as left over.
"""

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from archive.errors import IntegrityError, NotFoundError
from archive.store.port import Store
from archive.types import Owner, OwnerKind
from custody.checkpoint import VerifiedCheckpoint, verify_checkpoint
from custody.log_reading import SealedDisclosure
from custody.publication import NEWEST, timestamp_name
from custody.signed_note import VerifierKey
from custody.tiles import WIDTH, Tile, parse_bundle
from custody.timestamps import verify_token

_CHECKPOINTS = "log/checkpoints/"
_DISCLOSURES = "log/disclosures/"
_TIMESTAMPS = "log/timestamps/"
_TILES = "log/tile/"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedSize:
    """A checkpoint of the store, its signatures verified."""

    size: int
    note: bytes
    verified: VerifiedCheckpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A time-stamp token of the store, verified over its checkpoint."""

    size: int
    authority: str
    token: bytes
    chain: bytes
    attested_time: datetime


class StoredLog:
    """Reads the log below `log/`. Raises: IntegrityError `custody/no-checkpoint` where no signed one is there."""

    def __init__(self, store: Store, keys: Sequence[VerifierKey]) -> None:
        self._store = store
        self._keys = tuple(keys)
        self.refused: list[str] = []
        self.checkpoints = tuple(sorted(self._checkpoints(), key=lambda each: each.size))
        if not self.checkpoints:
            raise IntegrityError(
                "custody/no-checkpoint",
                "The store holds no checkpoint that this archive's log key signed. Nothing was built. Check that the "
                "store and the signing keys belong together.",
                evidence={"refused": tuple(self.refused[:20])},
            )
        self.newest = self.checkpoints[-1]
        self.size = self.newest.size
        self._widths = self._bundle_widths()
        self._bundle: tuple[int, tuple[bytes, ...]] = (-1, ())

    def leaves(self, first: int, end: int) -> list[bytes]:
        """Return entries [first, end) of the signed log, fewer where it ends.

        Raises: IntegrityError `custody/tile-missing`, `custody/bad-tile`.
        """
        found: list[bytes] = []
        for index in range(first // WIDTH, -(-min(end, self.size) // WIDTH)):
            start = index * WIDTH
            found += self._read_bundle(index)[max(first - start, 0) : min(end, self.size) - start]
        return found

    def disclosures(self) -> Iterator[SealedDisclosure]:
        """Yield the sealed values of the signed log, in the order of their writing.

        Raises: IntegrityError `custody/disclosures-missing`, `custody/bad-disclosure`.
        """
        for _, name in self._publications():
            for line in self._store.read(name).splitlines():
                yield parse_line(line)

    def tokens(self) -> Iterator[StoredToken]:
        """Yield the time-stamp tokens that stand over their checkpoints; others are added to `refused`."""
        notes = {each.size: each.note for each in self.checkpoints}
        for name in self._store.list(_TIMESTAMPS):
            folder, _, file = name.removeprefix(_TIMESTAMPS).partition("/")
            authority, _, suffix = file.rpartition(".")
            if suffix != "tsr" or not folder.isdecimal() or int(folder) not in notes:
                continue
            size = int(folder)
            token = self._store.read(name)
            try:
                chain = self._store.read(timestamp_name(size, authority, "pem"))
                attested = verify_token(token, notes[size], (), request_nonce=None, chain=chain)
            except (IntegrityError, NotFoundError):
                self.refused.append(name)
                continue
            yield StoredToken(size=size, authority=authority, token=token, chain=chain, attested_time=attested.gen_time)

    def lost_checkpoints(self) -> list[int]:
        """Tell the sizes of the checkpoints that are not here: whatever was published or stamped had one."""
        stamped = {name.removeprefix(_TIMESTAMPS).partition("/")[0] for name in self._store.list(_TIMESTAMPS)}
        signed = {end for end, _ in self._publications()} | {int(size) for size in stamped if size.isdecimal()}
        return sorted(size for size in signed - {each.size for each in self.checkpoints} if size <= self.size)

    def left_over(self) -> list[str]:
        """Name what lies beyond the signed log: a crash came before its checkpoint."""
        names: list[str] = []
        for name in self._store.list(_TILES):
            tile = Tile.parse(name.removeprefix("log/"))
            height = 8 * (tile.level or 0)
            if (tile.index * WIDTH + tile.width) << height > self.size:
                names.append(name)
        names += [name for (_, end), name in self._spans().items() if end > self.size]
        return names

    def _checkpoints(self) -> Iterator[SignedSize]:
        names = [NEWEST, *self._store.list(_CHECKPOINTS)]
        seen: set[int] = set()
        for name in names:
            try:
                note = self._store.read(name)
                verified = verify_checkpoint(note, self._keys)
            except NotFoundError:
                continue
            except IntegrityError:
                self.refused.append(name)
                continue
            size = verified.checkpoint.size
            if size and size not in seen:
                seen.add(size)
                yield SignedSize(size=size, note=note, verified=verified)

    def _publications(self) -> Iterator[tuple[int, str]]:
        """Yield the end and the file of each publication of sealed values, in the order of the log.

        Raises: IntegrityError `custody/disclosures-missing`.
        """
        place = 0
        spans = self._spans()
        while place < self.size:
            # A crash may have left a shorter file of the same start; the longer one holds the same lines and more.
            end = max((end for first, end in spans if first == place and end <= self.size), default=None)
            if end is None:
                raise IntegrityError(
                    "custody/disclosures-missing",
                    "The store lacks sealed values that belong to signed entries. Nothing was built. Put the file back "
                    "from a copy of the store.",
                    evidence={"first": place},
                )
            yield end, spans[place, end]
            place = end

    def _spans(self) -> dict[tuple[int, int], str]:
        spans: dict[tuple[int, int], str] = {}
        for name in self._store.list(_DISCLOSURES):
            first, _, end = name.removeprefix(_DISCLOSURES).removesuffix(".jsonl").partition("-")
            if first.isdecimal() and end.isdecimal() and int(first) < int(end):
                spans[int(first), int(end)] = name
        return spans

    def _bundle_widths(self) -> dict[int, list[int]]:
        widths: dict[int, list[int]] = {}
        for name in self._store.list(f"{_TILES}entries/"):
            tile = Tile.parse(name.removeprefix("log/"))
            widths.setdefault(tile.index, []).append(tile.width)
        return widths

    def _read_bundle(self, index: int) -> tuple[bytes, ...]:
        if self._bundle[0] != index:
            due = min(WIDTH, self.size - index * WIDTH)
            width = min((width for width in self._widths.get(index, []) if width >= due), default=None)
            if width is None:
                raise IntegrityError(
                    "custody/tile-missing",
                    "The store lacks signed entries. Nothing was built. Put the file back from a copy of the store.",
                    evidence={"first": index * WIDTH, "end": index * WIDTH + due},
                )
            tile = Tile(level=None, index=index, width=width)
            self._bundle = (index, parse_bundle(self._store.read(f"log/{tile.path}"), width))
        return self._bundle[1]


def parse_line(line: bytes) -> SealedDisclosure:
    """Read one line of a disclosures file (formats.md 4.2). Raises: IntegrityError `custody/bad-disclosure`."""
    try:
        match json.loads(line):
            case {
                "owner": {"id": str(owner_id), "kind": str(kind)},
                "sealed": str(sealed),
                "seqs": [int(first), int(end)],
            } if 0 <= first < end:
                owner = Owner(kind=OwnerKind(kind), id=UUID(owner_id))
                return SealedDisclosure(owner=owner, first=first, end=end, sealed=b64decode(sealed, validate=True))
    except ValueError as error:
        raise _bad_line(line) from error
    raise _bad_line(line)


def _bad_line(line: bytes) -> IntegrityError:
    return IntegrityError(
        "custody/bad-disclosure",
        "A line of sealed values in the store cannot be read. Nothing was built. Put the file back from a copy of the "
        "store.",
        evidence={"start": line[:200]},
    )
