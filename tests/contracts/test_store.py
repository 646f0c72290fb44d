"""What every store must do, run over each implementation of the port."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import ConflictError, NotFoundError
from archive.fixity import check_all, check_object, verify_object
from archive.store.directory import DirectoryStore
from archive.store.port import PATCHABLE, Store, check_name, named_digest, object_name
from archive.types import Digest, DigestAlgorithm, Finding
from tests.contracts.memory_store import MemoryStore


def _directory(folder: Path) -> Store:
    return DirectoryStore(folder / "store")


def _memory(_: Path) -> Store:
    return MemoryStore()


@pytest.fixture(params=[_directory, _memory], ids=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    make: Callable[[Path], Store] = request.param
    made = make(tmp_path)
    yield made
    made.close()


def digest_of(octets: bytes) -> Digest:
    return Digest(DigestAlgorithm.BLAKE3, blake3(octets).digest())


def publish(store: Store, *contents: bytes) -> list[str]:
    pairs = []
    for octets in contents:
        staged = store.stage()
        staged.write(octets)
        pairs.append((staged, object_name(digest_of(octets))))
    store.publish(pairs)
    return [name for _, name in pairs]


def test_what_is_staged_can_be_read_as_it_was_patched(store: Store) -> None:
    with store.stage() as staged:
        staged.write(b"0123456789")
        staged.write_at(2, b"xy")
        assert staged.read_range(0, 4) == b"01xy"
        assert staged.read_range(8, 100) == b"89"
        assert staged.read_range(10, 5) == b""
        staged.write(b"more")
        assert staged.read_range(9, 5) == b"9more"
        staged.close()
        with pytest.raises(ValueError, match="closed"):
            staged.read_range(0, 1)


@pytest.mark.parametrize("octets", [b"small", bytes(70 * 1024 * 1024)], ids=["small", "large"])
def test_what_was_published_is_read_back_for_who_asks(store: Store, octets: bytes) -> None:
    staged, name = store.stage(read_back=True), object_name(digest_of(octets))
    for start in range(0, len(octets), 1 << 20):
        staged.write(octets[start : start + (1 << 20)])
    store.publish([(staged, name)])
    assert store.read_back(staged, name) == digest_of(octets) == store.digest(name)


def test_what_is_published_reads_back_whole_and_in_parts(store: Store) -> None:
    octets = bytes(range(256)) * 1000
    (name,) = publish(store, octets)
    assert store.read(name) == octets
    assert store.size(name) == len(octets)
    assert store.digest(name) == digest_of(octets)
    assert store.read_range(name, 250, 10) == octets[250:260]
    with store.open_range(name) as source:
        assert source.size == len(octets)
        assert source.read_range(0, 3) == octets[:3]
        assert source.read_range(len(octets) - 2, 2) == octets[-2:]


def test_a_range_ends_where_the_object_ends(store: Store) -> None:
    store.put("log/checkpoint", b"0123456789")
    assert store.read_range("log/checkpoint", 8, 100) == b"89"
    assert store.read_range("log/checkpoint", 10, 1) == b""
    assert store.read_range("log/checkpoint", 99, 1) == b""
    assert store.read_range("log/checkpoint", 4, 0) == b""
    for start, length in ((-1, 2), (0, -1)):
        with pytest.raises(ValueError, match="range"):
            store.read_range("log/checkpoint", start, length)


@pytest.mark.parametrize("count", [1, 2, 30])
def test_a_group_is_published_as_one(store: Store, count: int) -> None:
    contents = [str(number).encode() * 50 for number in range(count)]
    names = publish(store, *contents)
    assert [store.read(name) for name in names] == contents
    assert list(store.list("objects/")) == sorted(names)


def test_an_empty_group_is_no_trouble(store: Store) -> None:
    store.publish([])
    store.put_many([])
    assert list(store.list("")) == []


def test_an_object_of_no_octets_is_an_object(store: Store) -> None:
    (name,) = publish(store, b"")
    assert store.exists(name)
    assert store.size(name) == 0
    assert check_object(store, name) is Finding.MATCHES


def test_nothing_is_visible_before_it_is_published(store: Store) -> None:
    staged = store.stage()
    staged.write(b"not yet")
    assert list(store.list("")) == []
    staged.abort()
    assert list(store.list("")) == []


def test_leaving_the_block_drops_what_was_not_published(store: Store) -> None:
    with store.stage() as dropped:
        dropped.write(b"dropped")
    with store.stage() as kept:
        kept.write(b"kept")
        store.publish([(kept, "log/kept")])
    assert list(store.list("")) == ["log/kept"]


def test_a_staged_write_may_be_closed_before_it_is_published(store: Store) -> None:
    staged = store.stage()
    staged.write(b"all written")
    staged.close()
    with pytest.raises(ValueError, match="closed"):
        staged.write(b"more")
    store.publish([(staged, "log/closed")])
    assert store.read("log/closed") == b"all written"


def test_the_start_of_a_staged_write_can_be_patched(store: Store) -> None:
    staged = store.stage()
    staged.write(bytes(100))
    staged.write(memoryview(b"end"))
    assert staged.tell() == 103
    staged.write_at(10, bytearray(b"header"))
    staged.write(b"!")
    store.publish([(staged, "log/patched")])
    assert store.read("log/patched") == bytes(10) + b"header" + bytes(84) + b"end!"


def test_a_patch_reaches_neither_beyond_what_is_written_nor_deep_into_it(store: Store) -> None:
    with store.stage() as staged:
        staged.write(bytes(PATCHABLE + 10))
        staged.write_at(PATCHABLE - 1, b"x")
        for offset, octets in ((PATCHABLE, b"x"), (PATCHABLE - 1, b"xx"), (-1, b"x")):
            with pytest.raises(ValueError, match="patched"):
                staged.write_at(offset, octets)
    with store.stage() as short:
        short.write(b"abc")
        with pytest.raises(ValueError, match="patched"):
            short.write_at(2, b"xy")


def test_publishing_again_keeps_the_object_that_is_there(store: Store) -> None:
    publish(store, b"same octets")
    (name,) = publish(store, b"same octets")
    publish(store, b"same octets", b"other octets")
    assert store.read(name) == b"same octets"
    assert len(list(store.list("objects/"))) == 2


def test_putting_the_same_octets_again_is_no_conflict(store: Store) -> None:
    store.put("log/checkpoints/000000000001", b"one")
    store.put("log/checkpoints/000000000001", b"one")
    assert store.read("log/checkpoints/000000000001") == b"one"


def test_putting_other_octets_is_refused_and_the_first_are_kept(store: Store) -> None:
    store.put("log/checkpoints/000000000001", b"one")
    with pytest.raises(ConflictError) as caught:
        store.put("log/checkpoints/000000000001", b"another")
    assert caught.value.code == "archive/object-exists"
    assert "000000000001" not in caught.value.message
    assert store.read("log/checkpoints/000000000001") == b"one"


def test_what_may_be_replaced_is_replaced_whole(store: Store) -> None:
    store.put("log/checkpoint", b"an older and longer checkpoint")
    store.put("log/checkpoint", b"newer", replace=True)
    assert store.read("log/checkpoint") == b"newer"
    store.put_many([("log/checkpoint", b"newest"), ("log/other", b"x")], replace=True)
    assert store.read("log/checkpoint") == b"newest"


def test_what_is_not_there_is_said_with_one_code(store: Store) -> None:
    store.put("log/checkpoint", b"x")
    for act in (store.read, store.size, store.open_range, store.digest, lambda name: store.read_range(name, 0, 1)):
        for name in ("log/missing", "log/checkpoint/below-a-file", "log"):
            with pytest.raises(NotFoundError) as caught:
                act(name)
            assert caught.value.code == "archive/no-such-object"
    assert not store.exists("log")


def test_deleting_is_final_and_may_be_repeated(store: Store) -> None:
    store.put("keys/a", b"a")
    store.delete("keys/a")
    store.delete("keys/a")
    store.delete("never/there")
    assert not store.exists("keys/a")
    assert list(store.list("")) == []


def test_names_are_listed_in_the_order_of_their_characters(store: Store) -> None:
    names = ["log/a", "log/a-b", "log/a.p/1", "log/a0", "log/tile/0/000", "log/tile/0/x001/067", "objects/a", "a.b"]
    store.put_many([(name, b"") for name in reversed(names)])
    assert list(store.list("")) == sorted(names)
    assert list(store.list("log/a")) == ["log/a", "log/a-b", "log/a.p/1", "log/a0"]
    assert list(store.list("log/tile/")) == ["log/tile/0/000", "log/tile/0/x001/067"]
    assert list(store.list("nothing/")) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "a/./b",
        ".hidden",
        "a/.hidden",
        "A",
        "a b",
        "a\n",
        "a\0",
        "é",
        "a" * 256,
    ],
)
def test_a_name_that_the_archive_would_never_make_is_refused_everywhere(store: Store, name: str) -> None:
    acts: list[Callable[[], object]] = [
        lambda: store.put(name, b""),
        lambda: store.read(name),
        lambda: store.size(name),
        lambda: store.exists(name),
        lambda: store.delete(name),
        lambda: store.publish([(store.stage(), name)]),
    ]
    for act in acts:
        with pytest.raises(ValueError, match="name"):
            act()
    assert list(store.list("")) == []


def test_a_store_publishes_only_its_own_writes(store: Store, tmp_path: Path) -> None:
    other: Store = MemoryStore() if isinstance(store, DirectoryStore) else DirectoryStore(tmp_path / "other")
    with pytest.raises(TypeError):
        store.publish([(other.stage(), "log/foreign")])
    other.close()


def test_sweeping_leaves_the_writes_of_the_living_alone(store: Store) -> None:
    staged = store.stage()
    staged.write(b"still writing")
    assert store.sweep_staging() == 0
    store.publish([(staged, "log/finished")])
    assert store.read("log/finished") == b"still writing"


def test_a_reader_without_the_key_can_still_check_fixity(store: Store) -> None:
    names = publish(store, *(str(number).encode() for number in range(100)))
    findings = list(check_all(store, 2))
    assert [found.name for found in findings] == sorted(names)
    assert {found.finding for found in findings} == {Finding.MATCHES}
    assert verify_object(store, names[0]) == named_digest(names[0])


def test_fixity_tells_damage_from_what_it_cannot_tell(store: Store) -> None:
    good, damaged = sorted(publish(store, b"one", b"two"))
    store.put(damaged, b"two, changed", replace=True)
    store.put("objects/zz/read-me", b"no object")
    findings = {found.name: found for found in check_all(store, 2)}
    assert findings[good].finding is Finding.MATCHES
    assert findings[damaged].finding is Finding.DOES_NOT_MATCH
    assert findings["objects/zz/read-me"].finding is Finding.CANNOT_TELL
    missing = object_name(digest_of(b"never stored"))
    assert check_object(store, missing) is Finding.CANNOT_TELL


def test_an_object_name_states_its_digest() -> None:
    name = object_name(digest_of(b"x"))
    assert check_name(name) == name
    assert named_digest(name) == digest_of(b"x")
    swapped = f"objects/00/{name[11:]}"
    assert named_digest(swapped) is None
    with pytest.raises(ValueError, match="BLAKE3"):
        object_name(Digest(DigestAlgorithm.SHA256, bytes(32)))


@given(st.text(max_size=40))
def test_every_name_that_passes_stays_below_the_root(name: str) -> None:
    try:
        check_name(name)
    except ValueError:
        return
    parts = Path("/root", name).parts
    assert parts[:2] == ("/", "root")
    assert not any(part.startswith(".") for part in parts)
