"""Fixtures of a running time-stamp authority, for any test module that says `pytest_plugins =
("tests.authority_fixture",)`.

Types and switches are imported from `tests.running_authority`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_authority import RunningAuthority, StartAuthority


@pytest.fixture
def start_authority(tmp_path: Path) -> Iterator[StartAuthority]:
    """Return a function that starts an authority of that name; all of them stop when the test ends."""
    running: list[RunningAuthority] = []

    def start(name: str) -> RunningAuthority:
        running.append(RunningAuthority(tmp_path / f"authority-{name}", name))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def authority(start_authority: StartAuthority) -> RunningAuthority:
    """One running authority, named `loopback`."""
    return start_authority("loopback")
