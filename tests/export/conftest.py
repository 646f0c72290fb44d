"""Fixtures of the way out: one unlocked archive a module, because founding and unlocking take their time."""

from collections.abc import Iterator

import pytest

from tests.export.packet_archive import PacketArchive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PacketArchive]:
    """An unlocked archive without time-stamp authorities."""
    with PacketArchive(tmp_path_factory.mktemp("archive") / "home") as made:
        made.unlock()
        yield made
