"""Groups of an import: small at both ends, companions together, nothing left out and nothing twice."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import InputError
from archive.settings import IngestSettings
from ingest.grouping import groups_of


def sizes_of(count: int, **settings: Any) -> list[int]:
    return [len(group) for group, _ in groups([found(number) for number in range(count)], **settings)]


def found(number: int, size: int = 10, main: str = "") -> Any:
    return SimpleNamespace(path=f"{number:05d}.jpg", size=size, main=main, modified_ns=0)


def groups(files: list[Any], ended: frozenset[str] = frozenset(), **settings: Any) -> list[tuple[list[Any], int]]:
    skipped = [SimpleNamespace(path="link", error=InputError("batch/link", "A link."))]
    macs = {each.path: each.path.encode() for each in [*files, *skipped]}
    listing: Any = SimpleNamespace(files=files, skipped=skipped)
    standing: Any = SimpleNamespace(ended=ended, macs=macs, items={}, gone=())
    request: Any = SimpleNamespace(source=None, claims={})
    tally: Any = SimpleNamespace(read=lambda _path, _octets: None)
    return list(groups_of(listing, request, standing, tally, IngestSettings(**settings)))


def test_groups_grow_from_small_and_shrink_at_the_end() -> None:
    sizes = sizes_of(1000)
    assert sizes[:5] == [8, 16, 32, 64, 64]
    assert sum(sizes) == 1001, "the skipped one is told with the last group"
    assert sizes[-1] <= 9 and max(sizes) == 64


@pytest.mark.parametrize("most", [1, 3, 8])
def test_no_group_is_larger_than_the_settings_say(most: int) -> None:
    assert max(sizes_of(100, group_files=most)[:-1]) == most


def test_a_companion_shares_its_main_files_group_though_that_is_full() -> None:
    files = [found(number) for number in range(8)] + [found(8, main="00007.jpg"), found(9)]
    first, second = groups(files)
    assert [each.untrusted_path for each in first[0]][-1] == "00008.jpg"
    assert first[0][8].main == 7
    assert second[0][0].untrusted_path == "00009.jpg"


@given(
    sizes=st.lists(st.integers(0, 400), max_size=150),
    ended=st.sets(st.integers(0, 149)),
    most=st.integers(1, 70),
    octets=st.integers(1, 1000),
)
def test_every_file_that_has_not_ended_is_in_one_group(
    sizes: list[int], ended: set[int], most: int, octets: int
) -> None:
    files = [found(number, size) for number, size in enumerate(sizes)]
    over = frozenset(found(number).path for number in ended)
    made = groups(files, over, group_files=most, group_octets=octets)
    paths = [each.untrusted_path for group, _ in made for each in group]
    assert paths == [each.path for each in files if each.path not in over] + ["link"]
    assert sum(told for _, told in made) == sum(each.size for each in files if each.path not in over)
    for group, told in made[:-1]:
        assert told <= octets or len(group) == 1
