"""What the store holds of the log, compared with the catalogue: entry bundles, tiles, sealed disclosures.

Whoever edits one place only is named by the entry; a partial file that a crash left is right as long as it agrees.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from archive.errors import IntegrityError
from archive.store.port import Store
from custody.findings import Found, differs, entries, matches, ranges
from custody.log_tree import LogTree
from custody.merkle import HASH_OCTETS
from custody.publication import disclosure_line
from custody.tiles import HEIGHT, WIDTH, Tile, encode_bundle, parse_bundle

_BUNDLES = "log/tile/entries/"
_TILES = "log/tile/"
_DISCLOSURES = "log/disclosures/"
_AT_ONCE = 500
_ROWS = text(
    'SELECT first, "end", owner_kind, owner_id, sealed FROM disclosure '
    "WHERE first >= :first AND first < :end ORDER BY id"
)


class StoredBundles:
    """Compares entry bundles with the catalogue's entries while these stream by.

    `published` is the size that the store must hold at least; an entry that the catalogue lacks is taken as None.
    """

    def __init__(self, store: Store, published: int) -> None:
        self._store = store
        self._published = published
        self._found: dict[int, list[int]] = {}
        self._strange: list[str] = []
        for name in store.list(_BUNDLES):
            try:
                tile = Tile.parse(name.removeprefix("log/"))
            except ValueError:
                self._strange.append(name)
            else:
                self._found.setdefault(tile.index, []).append(tile.width)
        self._index = 0
        self._entries: list[bytes | None] = []
        self._good = 0

    def take(self, leaf: bytes | None) -> Sequence[Found]:
        """Take the next entry; return what was found, which is nothing until a bundle is full."""
        self._entries.append(leaf)
        return list(self._compare()) if len(self._entries) == WIDTH else ()

    def finish(self) -> Iterator[Found]:
        if self._entries:
            yield from self._compare()
        for name in self._strange:
            yield differs("custody/bad-tile", "A file that is no bundle lies among the bundles.", subject=name)
        for index, widths in sorted(self._found.items()):
            yield _ahead(index * WIDTH, index * WIDTH + max(widths), f"bundle {index}")
        one = "bundle of entries is the catalogue's"
        yield matches("store", "bundles of entries are the catalogue's", self._good, one=one)

    def _compare(self) -> Iterator[Found]:
        index, ours = self._index, self._entries
        self._index, self._entries = index + 1, []
        widths = self._found.pop(index, [])
        due = min(WIDTH, self._published - index * WIDTH)
        if due > 0 and not any(width >= due for width in widths):
            first, end = index * WIDTH, index * WIDTH + due
            yield differs(
                "custody/tile-missing",
                "The store lacks its copy of these entries.",
                subject=entries(first, end),
                first=first,
                end=end,
            )
        for width in widths:
            found = list(self._differing(index, width, ours))
            self._good += not found
            yield from found

    def _differing(self, index: int, width: int, ours: Sequence[bytes | None]) -> Iterator[Found]:
        first = index * WIDTH
        bundle = self._store.read(f"log/{Tile(level=None, index=index, width=width).path}")
        known = [leaf for leaf in ours[:width] if leaf is not None]
        if len(known) == width and _same_bundle(bundle, known):
            return
        try:
            theirs = parse_bundle(bundle, width)
        except IntegrityError as error:
            end = first + width
            yield differs(error.code, error.message, subject=entries(first, end), first=first, end=end)
            return
        if width > len(ours):
            yield _ahead(first + len(ours), first + width, f"bundle {index}")
        changed = [place for place, leaf in enumerate(ours[:width]) if leaf is not None and leaf != theirs[place]]
        for start, end in ranges(changed):
            yield differs(
                "custody/copies-differ",
                "The catalogue and the store hold different entries here: one of them was changed. An earlier "
                "checkpoint or receipt tells which.",
                subject=entries(first + start, first + end),
                first=first + start,
                end=first + end,
            )


def check_tiles(store: Store, tree: LogTree, published: int) -> Iterator[Found]:
    """Compare every tile of hashes with the tree over the catalogue's entries."""
    due = _tiles_of(published)
    good = 0
    for name in store.list(_TILES):
        if name.startswith(_BUNDLES):
            continue
        try:
            tile = Tile.parse(name.removeprefix("log/"))
        except ValueError:
            yield differs("custody/bad-tile", "A file that is no tile lies among the tiles.", subject=name)
            continue
        level, start = tile.level or 0, tile.index * WIDTH
        if tile.width >= due.get((level, tile.index), WIDTH + 1):
            del due[level, tile.index]
        complete = tree.size >> (HEIGHT * level)
        if start + tile.width > complete:
            yield _ahead(complete << (HEIGHT * level), (start + tile.width) << (HEIGHT * level), tile.path)
            continue
        data = store.read(name)
        if data == tree.nodes(HEIGHT * level, start, tile.width):
            good += 1
        else:
            yield from _differing_tile(tile, data, tree)
    for (level, index), width in sorted(due.items()):
        path = Tile(level=level, index=index, width=width).path
        yield differs("custody/tile-missing", "The store lacks a part of the log's tree.", subject=path)
    yield matches("store", "tiles are those of the entries", good, one="tile is that of the entries")


def check_disclosures(session: Session, store: Store, published: int) -> Iterator[Found]:
    """Compare every file of sealed disclosures with the catalogue's, octet for octet."""
    covered, good = 0, 0
    for name in store.list(_DISCLOSURES):
        span = _span(name)
        if span is None:
            words = "A file that is no disclosures file lies among them."
            yield differs("custody/bad-disclosure", words, subject=name)
            continue
        first, end = span
        if first > covered:
            yield _disclosures_missing(covered, first)
        covered = max(covered, end)
        if _is_same_file(session, store, name, first, end):
            good += 1
        else:
            yield _differing_file(session, store, name, first, end)
    if covered < published:
        yield _disclosures_missing(covered, published)
    one = "file of sealed values is the catalogue's"
    yield matches("store", "files of sealed values are the catalogue's", good, one=one)


def _same_bundle(bundle: bytes, leaves: Sequence[bytes]) -> bool:
    try:
        return bundle == encode_bundle(leaves)
    except ValueError:
        return False  # An entry too long for any bundle: it was changed.


def _tiles_of(size: int) -> dict[tuple[int, int], int]:
    """Give (level, index) and width of every tile of hashes that a log of `size` entries has."""
    tiles: dict[tuple[int, int], int] = {}
    level = 0
    while count := size >> (HEIGHT * level):
        tiles |= {(level, index): min(WIDTH, count - index * WIDTH) for index in range(-(-count // WIDTH))}
        level += 1
    return tiles


def _differing_tile(tile: Tile, data: bytes, tree: LogTree) -> Iterator[Found]:
    height = HEIGHT * (tile.level or 0)
    start = tile.index * WIDTH
    ours = tree.nodes(height, start, tile.width)
    changed = [
        start + place // HASH_OCTETS
        for place in range(0, len(ours), HASH_OCTETS)
        if ours[place : place + HASH_OCTETS] != data[place : place + HASH_OCTETS]
    ]
    for first, end in ranges(changed):
        yield differs(
            "custody/tile-differs",
            "The store's tree stands for other entries than the catalogue has here.",
            subject=entries(first << height, end << height),
            first=first << height,
            end=end << height,
            tile=tile.path,
        )
    if not changed:
        yield differs("custody/bad-tile", "A tile has octets after its end.", subject=tile.path)


def _is_same_file(session: Session, store: Store, name: str, first: int, end: int) -> bool:
    """Compare a file with the catalogue's lines part by part: one publication may hold gigabytes."""
    place = 0
    with store.open_range(name) as source:
        for lines in _lines(session, first, end):
            part = b"".join(line for _, _, line in lines)
            if source.read_range(place, len(part)) != part:
                return False
            place += len(part)
        return place == source.size


def _differing_file(session: Session, store: Store, name: str, first: int, end: int) -> Found:
    """Name the entries whose lines differ."""
    theirs = set(store.read(name).splitlines(keepends=True))
    ours = [each for lines in _lines(session, first, end) for each in lines]
    changed = [(start, stop) for start, stop, line in ours if line not in theirs]
    start = min((each[0] for each in changed), default=first)
    stop = max((each[1] for each in changed), default=end)
    return differs(
        "custody/copies-differ",
        "The catalogue and the store hold different sealed values for this: one of them was changed.",
        subject=entries(start, stop),
        first=start,
        end=stop,
        only_in_catalogue=len(changed),
        only_in_store=len(theirs.difference(line for _, _, line in ours)),
    )


def _lines(session: Session, first: int, end: int) -> Iterator[list[tuple[int, int, bytes]]]:
    """Write the catalogue's lines for a file, some hundred at a time."""
    statement = _ROWS.execution_options(yield_per=_AT_ONCE)
    for group in session.connection().execute(statement, {"first": first, "end": end}).partitions():
        lines = []
        for start, stop, kind, owner, sealed in group:
            # The id as the database stores it, in its text form: making a UUID of each would take a third of the time.
            owner_id = f"{owner[:8]}-{owner[8:12]}-{owner[12:16]}-{owner[16:20]}-{owner[20:]}"
            lines.append((start, stop, disclosure_line(kind, owner_id, start, stop, sealed)))
        yield lines


def _span(name: str) -> tuple[int, int] | None:
    first, dash, end = name.removeprefix(_DISCLOSURES).removesuffix(".jsonl").partition("-")
    if not dash or not (first + end).isdecimal() or not int(first) < int(end):
        return None
    return int(first), int(end)


def _ahead(first: int, end: int, path: str) -> Found:
    return differs(
        "custody/rolled-back",
        "The store holds these entries and the catalogue does not: the catalogue was rolled back or cut.",
        subject=entries(first, end),
        first=first,
        end=end,
        path=path,
    )


def _disclosures_missing(first: int, end: int) -> Found:
    return differs(
        "custody/disclosures-missing",
        "The store lacks the sealed values of these entries.",
        subject=entries(first, end),
        first=first,
        end=end,
    )
