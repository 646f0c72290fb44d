"""Every hostile file comes in: stored, sealed, its digest right; where a tool gave up, the item says why."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ingest.reception import Linked, Stored
from tests.conftest import CorpusFinder
from tests.memory import MemoryWatch
from tests.way_in import WayIn, arrival

CORPORA = ("hostile-media", "hostile-pdf", "hostile-archives", "polyglots", "tiny-valid-files")
LONGEST_S = 30
LARGEST_CHILD = 1 << 30
GROUP = 16


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WayIn]:
    with WayIn(tmp_path_factory.mktemp("hostile") / "archive") as archive:
        yield archive


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _take_in(archive: WayIn, paths: Sequence[Path]) -> list[str]:
    """Take files in and prove each; return the reasons for what was not processed."""
    reasons: list[str] = []
    for start in range(0, len(paths), GROUP):
        group = paths[start : start + GROUP]
        results = archive.take_in([arrival(path.name, path) for path in group])
        for path, result in zip(group, results, strict=True):
            content = path.read_bytes()
            assert isinstance(result, Stored | Linked), path.name
            assert result.sha256 == hashlib.sha256(content).digest(), path.name
            item_id = result.item.id if isinstance(result, Stored) else result.item_id
            assert archive.stored(item_id) == content, path.name
            if isinstance(result, Stored):
                entry = archive.log_of(result.item)[0]
                told = [each["code"] for each in entry.get("extraction")["not_processed"]]
                assert len(told) == len(result.problems)
                assert entry.entry.outcome == ("warning" if told else "success")
                assert all(each.strip() for each in result.problems)
                reasons += told
    return reasons


@pytest.mark.parametrize("name", CORPORA)
def test_a_sample_of_hostile_files_comes_in_whole(archive: WayIn, corpus: CorpusFinder, name: str) -> None:
    files = _files(corpus(name))
    with MemoryWatch() as watch:
        _take_in(archive, files[:: max(1, len(files) // 8)])
    assert watch.largest_child < LARGEST_CHILD


@pytest.mark.long
@pytest.mark.parametrize("name", CORPORA)
def test_every_hostile_file_comes_in_whole_within_its_time(
    archive: WayIn, corpus: CorpusFinder, name: str, record_property: Callable[[str, object], None]
) -> None:
    files = _files(corpus(name))
    slowest = ("", 0.0)
    reasons: list[str] = []
    started = time.monotonic()
    with MemoryWatch() as watch:
        for path in files:
            begun = time.monotonic()
            reasons += _take_in(archive, [path])
            slowest = max(slowest, (path.name, time.monotonic() - begun), key=lambda each: each[1])
    found = {
        "files": len(files),
        "seconds": round(time.monotonic() - started, 1),
        "slowest": f"{slowest[0]} {slowest[1]:.1f} s",
        "not processed": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
        "largest child, MiB": watch.largest_child >> 20,
    }
    record_property(name, json.dumps(found))
    print(name, json.dumps(found))
    assert slowest[1] < LONGEST_S, slowest
    assert watch.largest_child < LARGEST_CHILD


def test_nothing_is_unpacked(archive: WayIn, corpus: CorpusFinder, tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    for path in _files(corpus("hostile-archives")):
        (card / path.name).write_bytes(path.read_bytes())
    before = {path for path in (tmp_path, Path.cwd()) for path in path.iterdir()}
    objects = len(archive.objects())
    results = archive.take_in([arrival(path.name, path) for path in sorted(card.iterdir())])
    new = [result for result in results if isinstance(result, Stored)]
    assert len(archive.objects()) <= objects + 2 * len(new)
    assert {path.name for path in card.iterdir()} == {path.name for path in _files(corpus("hostile-archives"))}
    after = {path for path in (tmp_path, Path.cwd()) for path in path.iterdir()}
    assert after <= before
