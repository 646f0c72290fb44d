"""The tree against 196 vectors of another implementation and against the recursive definition of RFC 6962."""

import json
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import IntegrityError
from custody import merkle
from custody.merkle import Frontier, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion

VECTORS = Path(__file__).parents[1] / "vectors" / "merkle-rfc6962"
INCLUSION = sorted((VECTORS / "inclusion").rglob("*.json"))
CONSISTENCY = sorted((VECTORS / "consistency").rglob("*.json"))


def _largest_power_below(number: int) -> int:
    return 1 << ((number - 1).bit_length() - 1)


def naive_root(entries: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not entries:
        return merkle.EMPTY_ROOT
    if len(entries) == 1:
        return merkle.leaf_hash(entries[0])
    k = _largest_power_below(len(entries))
    return merkle.node_hash(naive_root(entries[:k]), naive_root(entries[k:]))


def naive_path(m: int, entries: list[bytes]) -> tuple[bytes, ...]:
    """RFC 6962, 2.1.1, word for word."""
    if len(entries) == 1:
        return ()
    k = _largest_power_below(len(entries))
    if m < k:
        return (*naive_path(m, entries[:k]), naive_root(entries[k:]))
    return (*naive_path(m - k, entries[k:]), naive_root(entries[:k]))


def naive_consistency(m: int, entries: list[bytes], whole: bool = True) -> tuple[bytes, ...]:
    """RFC 6962, 2.1.2, word for word."""
    if m == len(entries):
        return () if whole else (naive_root(entries),)
    k = _largest_power_below(len(entries))
    if m <= k:
        return (*naive_consistency(m, entries[:k], whole), naive_root(entries[k:]))
    return (*naive_consistency(m - k, entries[k:], False), naive_root(entries[:k]))


def _entries(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def _hash_at(entries: list[bytes]) -> merkle.HashAt:
    def hash_at(level: int, index: int) -> bytes:
        covered = entries[index << level : (index + 1) << level]
        assert len(covered) == 1 << level, "only complete nodes may be asked for"
        return naive_root(covered)

    return hash_at


def _hashes(texts: list[str] | None) -> tuple[bytes, ...]:
    return tuple(b64decode(text) for text in texts or ())


def test_all_196_vectors_are_here() -> None:
    assert len(INCLUSION) + len(CONSISTENCY) == 196


@pytest.mark.parametrize("path", INCLUSION, ids=lambda path: str(path.relative_to(VECTORS)))
def test_an_inclusion_vector_is_judged_as_its_maker_says(path: Path) -> None:
    case = json.loads(path.read_text())
    arguments = case["leafIdx"], case["treeSize"], b64decode(case["leafHash"]), _hashes(case["proof"])
    if case["wantErr"]:
        with pytest.raises(IntegrityError) as caught:
            verify_inclusion(*arguments, b64decode(case["root"]))
        assert caught.value.code == "custody/not-included"
    else:
        verify_inclusion(*arguments, b64decode(case["root"]))


@pytest.mark.parametrize("path", CONSISTENCY, ids=lambda path: str(path.relative_to(VECTORS)))
def test_a_consistency_vector_is_judged_as_its_maker_says(path: Path) -> None:
    case = json.loads(path.read_text())
    roots = b64decode(case["root1"]), b64decode(case["root2"])
    if case["wantErr"]:
        with pytest.raises(IntegrityError) as caught:
            verify_consistency(case["size1"], case["size2"], _hashes(case["proof"]), *roots)
        assert caught.value.code == "custody/inconsistent"
    else:
        verify_consistency(case["size1"], case["size2"], _hashes(case["proof"]), *roots)


@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_an_inclusion_proof_is_the_one_of_the_rfc_and_verifies(place: tuple[int, int]) -> None:
    size, index = place
    entries = _entries(size)
    proof = inclusion_proof(index, size, _hash_at(entries))
    assert proof == naive_path(index, entries)
    verify_inclusion(index, size, merkle.leaf_hash(entries[index]), proof, naive_root(entries))


@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.integers(1, size), st.just(size))))
def test_a_consistency_proof_is_the_one_of_the_rfc_and_verifies(sizes: tuple[int, int]) -> None:
    size1, size2 = sizes
    entries = _entries(size2)
    proof = consistency_proof(size1, size2, _hash_at(entries))
    assert proof == naive_consistency(size1, entries)
    verify_consistency(size1, size2, proof, naive_root(entries[:size1]), naive_root(entries))


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_frontier_has_the_root_of_the_whole_tree_wherever_the_appends_are_cut(first: int, more: int) -> None:
    entries = _entries(first + more)
    hashes = [merkle.leaf_hash(entry) for entry in entries]
    frontier = Frontier().extend(hashes[:first])
    assert frontier.root() == naive_root(entries[:first])
    resumed = Frontier(size=frontier.size, hashes=frontier.hashes).extend(hashes[first:])
    assert resumed.root() == naive_root(entries)
    assert resumed == Frontier().extend(hashes)


def test_appending_one_gives_a_new_frontier_and_leaves_the_old_one() -> None:
    empty = Frontier()
    one = empty.append(merkle.leaf_hash(b"a"))
    assert (empty.size, one.size) == (0, 1)
    assert empty.root() == merkle.EMPTY_ROOT
    assert one.root() == merkle.leaf_hash(b"a")


@pytest.mark.parametrize(("size", "hashes"), [(1, ()), (2, (b"x" * 32,) * 2), (1, (b"short",)), (-1, (b"x" * 32,))])
def test_a_frontier_that_no_tree_has_is_refused(size: int, hashes: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="frontier"):
        Frontier(size=size, hashes=hashes)


@given(st.integers(0, 40))
def test_the_root_from_stored_nodes_is_the_root_of_the_rfc(size: int) -> None:
    entries = _entries(size)
    assert merkle.tree_root(size, _hash_at(entries)) == naive_root(entries)


@given(st.integers(2, 40), st.data())
def test_a_proof_with_any_bit_turned_is_refused(size: int, data: st.DataObject) -> None:
    entries = _entries(size)
    index = data.draw(st.integers(0, size - 1))
    proof = list(inclusion_proof(index, size, _hash_at(entries)))
    step, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    turned = int.from_bytes(proof[step], "big") ^ (1 << bit)
    proof[step] = turned.to_bytes(32, "big")
    with pytest.raises(IntegrityError) as caught:
        verify_inclusion(index, size, merkle.leaf_hash(entries[index]), proof, naive_root(entries))
    assert caught.value.evidence["index"] == index


def test_an_inner_node_cannot_pose_as_a_leaf() -> None:
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_no_proof_is_made_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_proof(index, size, _hash_at([]))


@pytest.mark.parametrize(("size1", "size2"), [(0, 3), (4, 3), (-1, 2)])
def test_no_consistency_proof_is_made_from_nothing_or_backwards(size1: int, size2: int) -> None:
    with pytest.raises(ValueError, match="cannot be proved"):
        consistency_proof(size1, size2, _hash_at([]))
