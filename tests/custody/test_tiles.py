"""Tiles: the names of the specification, and proofs that read the same from files as from memory."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import IntegrityError
from custody import merkle
from custody.merkle import Frontier
from custody.tiles import (
    MAX_ENTRY_OCTETS,
    WIDTH,
    Tile,
    TileReader,
    encode_bundle,
    grow_tiles,
    parse_bundle,
    tiles_to_write,
)

# 65,536 leaves fill one tile at level 1; this goes beyond and leaves a partial tile at each of three levels.
LEAVES = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(66_000)]


def _grown(*sizes: int) -> dict[str, bytes]:
    """Write the tiles of a log that grew through `sizes`."""
    files: dict[str, bytes] = {}
    old = 0
    for new in sizes:
        files |= {tile.path: content for tile, content in grow_tiles(old, LEAVES[old:new], files.get)}
        old = new
    return files


FILES = _grown(300, 65_000, len(LEAVES))
EDGES = list(
    accumulate(
        range(0, len(LEAVES), 1000),
        lambda edge, start: edge.extend(LEAVES[start : start + 1000]),
        initial=Frontier(),
    )
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(level=0, index=0), "tile/0/000"),
        (Tile(level=3, index=67, width=1), "tile/3/067.p/1"),
        (Tile(level=0, index=1234067), "tile/0/x001/x234/067"),
        (Tile(level=63, index=1000, width=255), "tile/63/x001/000.p/255"),
        (Tile(level=None, index=1234067, width=12), "tile/entries/x001/x234/067.p/12"),
    ],
)
def test_a_tile_is_named_as_the_specification_names_it(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "/tile/0/000",
        "tile/0/../000",
    ],
)
def test_a_path_that_would_not_have_been_written_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="tile"):
        Tile.parse(path)


def test_a_tree_of_seventy_thousand_has_the_tiles_of_the_specification_s_example() -> None:
    tiles = [tile for tile in tiles_to_write(0, 70_000) if tile.level is not None]
    full = [tile.level for tile in tiles if tile.width == WIDTH]
    partial = {tile.level: tile.width for tile in tiles if tile.width < WIDTH}
    assert (full.count(0), full.count(1), full.count(2)) == (273, 1, 0)
    assert partial == {0: 112, 1: 17, 2: 1}


def test_a_full_tile_has_a_partial_one_of_width_one_above_it() -> None:
    assert [tile.path for tile in tiles_to_write(0, 256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
    assert [tile.path for tile in tiles_to_write(256, 257)] == ["tile/entries/001.p/1", "tile/0/001.p/1"]
    assert tiles_to_write(5, 5) == ()


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_growing_writes_exactly_the_tiles_that_are_named(first: int, second: int) -> None:
    old, new = sorted((first, second))
    files = _grown(old)
    named = [tile for tile in tiles_to_write(old, new) if tile.level is not None]
    assert [tile for tile, _ in grow_tiles(old, LEAVES[old:new], files.get)] == named


@given(st.lists(st.integers(0, 1500), min_size=1, max_size=5).map(sorted))
def test_a_log_has_the_same_newest_tiles_however_it_grew(sizes: list[int]) -> None:
    files, at_once = _grown(*sizes), _grown(sizes[-1])
    assert files.items() >= at_once.items()
    assert TileReader(files.get, sizes[-1]).root() == Frontier().extend(LEAVES[: sizes[-1]]).root()


def _root(size: int) -> bytes:
    edge = EDGES[size // 1000]
    return edge.extend(LEAVES[edge.size : size]).root()


@given(st.sampled_from([256, 4096, 65_280, 65_536, len(LEAVES)]), st.data())
def test_an_inclusion_proof_read_from_tiles_verifies(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    reader = TileReader(FILES.get, size)
    assert reader.root() == _root(size)
    merkle.verify_inclusion(index, size, LEAVES[index], reader.inclusion_proof(index), _root(size))


@given(st.integers(1, len(LEAVES)))
def test_a_consistency_proof_read_from_tiles_verifies(older: int) -> None:
    proof = TileReader(FILES.get, len(LEAVES)).consistency_proof(older)
    merkle.verify_consistency(older, len(LEAVES), proof, _root(older), _root(len(LEAVES)))


def test_a_proof_asks_for_few_tiles() -> None:
    asked: list[str] = []

    def read(path: str) -> bytes | None:
        asked.append(path)
        return FILES.get(path)

    TileReader(read, len(LEAVES)).inclusion_proof(40_000)
    assert len(asked) == len(set(asked))
    assert len(asked) <= 5


def test_a_partial_tile_that_is_gone_is_read_from_the_full_one() -> None:
    files = _grown(300, 600)
    root = Frontier().extend(LEAVES[:300]).root()
    reader = TileReader({path: tile for path, tile in files.items() if not path.endswith(".p/44")}.get, 300)
    assert reader.root() == root
    merkle.verify_inclusion(299, 300, LEAVES[299], reader.inclusion_proof(299), root)


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        ("tile/0/000", None, "custody/tile-missing"),
        ("tile/0/000", b"", "custody/bad-tile"),
        ("tile/0/001.p/44", bytes(43 * 32), "custody/bad-tile"),
        ("tile/0/001.p/44", None, "custody/tile-missing"),
    ],
)
def test_a_tile_that_is_missing_or_cut_is_named(path: str, content: bytes | None, code: str) -> None:
    files: dict[str, bytes | None] = {**_grown(300), path: content}
    with pytest.raises(IntegrityError) as caught:
        TileReader(files.get, 300).inclusion_proof(257 if "001" in path else 3)
    assert caught.value.code == code
    assert caught.value.evidence["tile"] == path


def test_a_full_tile_that_is_cut_does_not_stand_in_for_a_partial_one() -> None:
    files = {**_grown(300), "tile/0/001": bytes(32 * 50)}
    del files["tile/0/001.p/44"]
    with pytest.raises(IntegrityError) as caught:
        TileReader(files.get, 300).root()
    assert caught.value.code == "custody/bad-tile"


def test_a_changed_tile_gives_a_proof_that_does_not_verify() -> None:
    files = _grown(300)
    root = TileReader(files.get, 300).root()
    files["tile/0/000"] = bytes(32) + files["tile/0/000"][32:]
    with pytest.raises(IntegrityError) as caught:
        merkle.verify_inclusion(5, 300, LEAVES[5], TileReader(files.get, 300).inclusion_proof(5), root)
    assert caught.value.code == "custody/not-included"


def test_only_complete_nodes_may_be_asked_for() -> None:
    with pytest.raises(ValueError, match="complete"):
        TileReader(FILES.get, 300).hash_at(8, 1)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=WIDTH))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    bundle = encode_bundle(entries)
    assert parse_bundle(bundle, len(entries)) == tuple(entries)
    for width in (len(entries) - 1, len(entries) + 1):
        with pytest.raises(IntegrityError) as caught:
            parse_bundle(bundle, width)
        assert caught.value.code == "custody/bad-tile"


@pytest.mark.parametrize("bundle", [b"", b"\x00", b"\x00\x02a", b"\x00\x01aa", b"\x00\x01a\x00"])
def test_a_bundle_that_was_cut_is_refused(bundle: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_bundle(bundle, 1)
    assert caught.value.code == "custody/bad-tile"


@pytest.mark.parametrize("entries", [[], [b""] * 257, [b"x" * (MAX_ENTRY_OCTETS + 1)]])
def test_a_bundle_that_the_format_cannot_hold_is_not_written(entries: list[bytes]) -> None:
    with pytest.raises(ValueError, match="bundle"):
        encode_bundle(entries)
