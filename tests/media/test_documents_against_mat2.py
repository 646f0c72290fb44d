"""How many documents that say something of people are cleaned here, and how many by mat2, type by type."""

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from archive.errors import InputError
from media.workbench import Workbench
from tests.conftest import CorpusFinder
from tests.media.cleaned import cleaned, left_in
from tests.media.test_documents import SUFFIXES


def _ours(workbench: Workbench, path: Path, needles: list[str]) -> str:
    try:
        _, copy = cleaned(workbench, path.read_bytes())
    except InputError:
        return "refused"
    return "left" if left_in(copy, needles) else "cleaned"


def _mat2s(path: Path, needles: list[str], folder: Path) -> str:
    given = folder / f"given{path.suffix}"
    made = folder / f"given.cleaned{path.suffix}"
    made.unlink(missing_ok=True)
    shutil.copy(path, given)
    subprocess.run(["mat2", str(given)], capture_output=True, check=False)
    if not made.exists():
        return "refused"
    return "left" if left_in(made.read_bytes(), needles) else "cleaned"


@pytest.mark.long
def test_at_least_as_many_documents_are_cleaned_as_by_mat2(
    workbench: Workbench, corpus: CorpusFinder, tmp_path: Path
) -> None:
    folder = corpus("media-metadata")
    counts: Counter[tuple[str, str, str]] = Counter()
    for entry in json.loads((folder / "truth.json").read_text()):
        needles, path = [needle["text"] for needle in entry["needles"]], folder / entry["file"]
        if needles and path.suffix.lower() in SUFFIXES:
            counts[path.suffix, "ours", _ours(workbench, path, needles)] += 1
            counts[path.suffix, "mat2", _mat2s(path, needles, tmp_path)] += 1
    for suffix in sorted({suffix for suffix, _, _ in counts}):
        told = [
            f"{who} {came} {counts[suffix, who, came]}"
            for who in ("ours", "mat2")
            for came in ("cleaned", "left", "refused")
        ]
        print(f"{suffix}: {', '.join(told)}")
    total = Counter(
        {who: sum(count for key, count in counts.items() if key[1:] == (who, "cleaned")) for who in ("ours", "mat2")}
    )
    assert sum(count for key, count in counts.items() if key[1:] == ("ours", "left")) == 0
    assert total["ours"] >= total["mat2"] > 0
