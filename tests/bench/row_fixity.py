"""Row `fixity`: the check without a key against `sha256sum` of the same object files, on a warm cache."""

import os
from pathlib import Path

from archive.fixity import check_all
from archive.types import Finding
from tests.bench.composition import SAMPLES, Founded, Importing, open_rooms
from tests.bench.pairs import Target, at_least, compare, run_seconds, seconds_of
from tests.bench.photos import make_photos

_FILES, _OCTETS = 16, 64 << 20
_SMALL = 1000


def measure(work: Path, template: Founded, pairs: int) -> None:
    print("fixity: every object against the BLAKE3 in its name, without a key (the object part of `verify --keyless`)")
    big, small = work / "big", work / "small"
    big.mkdir()
    for number in range(_FILES):
        (big / f"{number}.bin").write_bytes(os.urandom(_OCTETS))
    make_photos(small, SAMPLES, _SMALL)
    _compare("1 GiB in 16 objects", template, big, pairs, at_least(8))
    _compare(f"{_SMALL} small photos (for comparison)", template, small, pairs, None)


def _compare(what: str, template: Founded, source: Path, pairs: int, target: Target | None) -> None:
    archive = template.again()
    Importing(archive, source).told()
    rooms = open_rooms(archive.home)
    objects = sorted(map(str, (archive.home / "store" / "objects").rglob("*.age")))

    def check() -> None:
        found = list(check_all(rooms.store, threads=os.cpu_count() or 1))
        if len(found) != len(objects) or any(each.finding is not Finding.MATCHES for each in found):
            raise RuntimeError("the fixity check that was measured did not find what was stored")

    sums = ["sha256sum", *objects]
    run_seconds(sums)  # Warms the cache for both.
    compare(
        f"times as fast as sha256sum, {what}",
        lambda: seconds_of(check),
        lambda: run_seconds(sums),
        pairs,
        target,
        faster=True,
    )
    rooms.close()
    archive.remove()
