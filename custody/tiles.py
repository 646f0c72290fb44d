"""The tree as files: C2SP tlog-tiles, 256 hashes a tile, and every proof read back from a handful of them.

A tile at level L holds hashes of complete nodes at tree level 8*L; the levels between are hashed again when they are
needed. The right edge of each level is a partial tile (`.p/<width>`), which is never hashed into the level above. Knows
the names and the bytes of tiles and entry bundles; reading and writing files is for whoever calls. Nothing read here is
trusted: what is computed from tiles must be verified against a signed checkpoint. No I/O.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from archive.errors import IntegrityError
from custody.merkle import HASH_OCTETS, consistency_proof, inclusion_proof, node_hash, tree_root

HEIGHT = 8
WIDTH = 256
MAX_ENTRY_OCTETS = 2**16 - 1

ReadTile = Callable[[str], bytes | None]
"""Returns the bytes at a path such as `tile/0/x001/067.p/12`, or None where there is no such file."""

_MAX_LEVEL = 63
_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)

# A reader lives as long as one question to the log; this many tiles with the nodes inside them take about 8 MiB.
_TILES_HELD = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """The name of a tile or of a bundle of entries.

    `level` is None for a bundle, whose index and width are those of the tile at level 0. `width` is 256 for a full one.
    """

    level: int | None
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        level = self.level if self.level is not None else 0
        if not 0 <= level <= _MAX_LEVEL or self.index < 0 or not 1 <= self.width <= WIDTH:
            raise ValueError("there is no such tile")

    @property
    def path(self) -> str:
        """Standard: C2SP tlog-tiles. Index 1234067 is written `x001/x234/067`."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[place : place + 3] for place in range(0, len(digits), 3)]
        folders = [f"x{group}" for group in groups[:-1]]
        partial = f".p/{self.width}" if self.width < WIDTH else ""
        level = "entries" if self.level is None else str(self.level)
        return "/".join(("tile", level, *folders, groups[-1] + partial))

    @classmethod
    def parse(cls, path: str) -> "Tile":
        """Read a path back. Raises: ValueError for a path that `path` would not have written."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise ValueError("not the path of a tile")
        level, index, width = found.groups()
        tile = cls(
            level=None if level == "entries" else int(level),
            index=int(index.replace("x", "").replace("/", "")),
            width=int(width) if width else WIDTH,
        )
        if tile.path != path:
            raise ValueError("a tile has only one path")
        return tile


def tiles_to_write(old_size: int, new_size: int) -> tuple[Tile, ...]:
    """Name every tile and bundle that a log growing from `old_size` to `new_size` leaves entries must write."""
    if not 0 <= old_size <= new_size:
        raise ValueError("a log only grows")
    bundles = [Tile(level=None, index=index, width=width) for index, width in _changed(old_size, new_size)]
    tiles: list[Tile] = []
    level = 0
    while old_size < new_size:
        tiles += [Tile(level=level, index=index, width=width) for index, width in _changed(old_size, new_size)]
        level, old_size, new_size = level + 1, old_size // WIDTH, new_size // WIDTH
    return (*bundles, *tiles)


def _changed(old_size: int, new_size: int) -> Iterator[tuple[int, int]]:
    """Yield (index, width) of each tile of one level that differs between its two numbers of hashes."""
    if old_size < new_size:
        for index in range(old_size // WIDTH, -(-new_size // WIDTH)):
            yield index, min(WIDTH, new_size - index * WIDTH)


def grow_tiles(old_size: int, leaf_hashes: Sequence[bytes], read_tile: ReadTile) -> Iterator[tuple[Tile, bytes]]:
    """Yield each tile of hashes to write, with its bytes, when `leaf_hashes` are appended to a log of `old_size`.

    `read_tile` is asked only for the partial tiles on the right edge of the old log.
    Raises: IntegrityError `custody/tile-missing`, `custody/bad-tile`.
    """
    level, held, added = 0, old_size, tuple(leaf_hashes)
    while added:
        index, kept = divmod(held, WIDTH)
        edge = _split(_read(Tile(level=level, index=index, width=kept), read_tile)) if kept else ()
        hashes = (*edge, *added)
        completed: list[bytes] = []
        for start in range(0, len(hashes), WIDTH):
            part = hashes[start : start + WIDTH]
            yield Tile(level=level, index=index + start // WIDTH, width=len(part)), b"".join(part)
            if len(part) == WIDTH:
                completed.append(_inner_nodes(part)[HEIGHT][0])
        level, held, added = level + 1, held // WIDTH, tuple(completed)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Write entries one after another, each behind its length as a big-endian 16-bit number."""
    if not 1 <= len(entries) <= WIDTH or any(len(entry) > MAX_ENTRY_OCTETS for entry in entries):
        raise ValueError("a bundle holds 1 to 256 entries of at most 65,535 octets")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(bundle: bytes, width: int) -> tuple[bytes, ...]:
    """Read exactly `width` entries back. Raises: IntegrityError `custody/bad-tile`."""
    entries: list[bytes] = []
    place = 0
    while place + 2 <= len(bundle):
        start = place + 2
        place = start + int.from_bytes(bundle[place:start], "big")
        entries.append(bundle[start:place])
    if place != len(bundle) or len(entries) != width:
        raise _bad_tile("a bundle of entries", width=width, found=len(entries), size=len(bundle))
    return tuple(entries)


class TileReader:
    """The hashes of a log of `size` entries, read from its tiles as they are asked for."""

    def __init__(self, read_tile: ReadTile, size: int) -> None:
        self._read_tile = read_tile
        self._size = size
        self._held: dict[tuple[int, int], tuple[tuple[bytes, ...], ...]] = {}

    def hash_at(self, level: int, index: int) -> bytes:
        """Return the hash of the complete node at (level, index), to be given to the functions of `merkle`.

        Raises: IntegrityError `custody/tile-missing`, `custody/bad-tile`; ValueError for a node that is not complete.
        """
        if (index + 1) << level > self._size:
            raise ValueError("the log has no complete node there")
        tile_level, inner = divmod(level, HEIGHT)
        tile_index, place = divmod(index << inner, WIDTH)
        return self._nodes(tile_level, tile_index)[inner][place >> inner]

    def root(self) -> bytes:
        return tree_root(self._size, self.hash_at)

    def inclusion_proof(self, index: int) -> tuple[bytes, ...]:
        return inclusion_proof(index, self._size, self.hash_at)

    def consistency_proof(self, older_size: int) -> tuple[bytes, ...]:
        return consistency_proof(older_size, self._size, self.hash_at)

    def _nodes(self, level: int, index: int) -> tuple[tuple[bytes, ...], ...]:
        held = self._held.get((level, index))
        if held is None:
            width = min(WIDTH, (self._size >> (HEIGHT * level)) - index * WIDTH)
            held = _inner_nodes(_split(_read(Tile(level=level, index=index, width=width), self._read_tile)))
            if len(self._held) >= _TILES_HELD:
                self._held.clear()
            self._held[level, index] = held
        return held


def _inner_nodes(hashes: Sequence[bytes]) -> tuple[tuple[bytes, ...], ...]:
    """Compute every complete node above the hashes of one tile, level by level; a full tile ends in its one root."""
    levels = [tuple(hashes)]
    for _ in range(HEIGHT):
        below = levels[-1]
        levels.append(tuple(map(node_hash, below[0::2], below[1::2])))
    return tuple(levels)


def _read(tile: Tile, read_tile: ReadTile) -> bytes:
    found = read_tile(tile.path)
    if found is None and tile.width < WIDTH:
        # A partial tile may be gone once the full one is there; the full one starts with the same hashes.
        full = read_tile(Tile(level=tile.level, index=tile.index).path)
        if full is not None and len(full) != WIDTH * HASH_OCTETS:
            raise _bad_tile(tile.path, width=WIDTH, size=len(full))
        found = full[: tile.width * HASH_OCTETS] if full is not None else None
    if found is None:
        raise IntegrityError(
            "custody/tile-missing",
            "A part of the log's tree is not where it belongs. The entries may still be there: rebuild the tree from "
            "them.",
            evidence={"tile": tile.path},
        )
    if len(found) != tile.width * HASH_OCTETS:
        raise _bad_tile(tile.path, width=tile.width, size=len(found))
    return found


def _split(tile: bytes) -> tuple[bytes, ...]:
    return tuple(tile[place : place + HASH_OCTETS] for place in range(0, len(tile), HASH_OCTETS))


def _bad_tile(what: str, **evidence: object) -> IntegrityError:
    return IntegrityError(
        "custody/bad-tile",
        "A part of the log's tree has not the size it must have: it was cut or altered. Keep it and have it looked at.",
        evidence={"tile": what, **evidence},
    )
