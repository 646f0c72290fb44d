"""The end of an upload: told to whoever waits for it, also where it does not end well."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from commands.drop_rooms import DropRooms
from tests.ingest.test_rescuing import DATA, Sender
from tests.way_in import WayIn


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[WayIn]:
    with WayIn(tmp_path / "archive") as archive:
        yield archive


class _AtOnce(Executor):
    """Has done what it is given before it answers, as a pool does when its thread is the faster one."""

    def submit(self, act: Callable[..., Any], /, *words: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(act(*words, **named))
        return done


def test_an_end_that_was_reached_before_anybody_listened_holds_nobody_up(archive: WayIn) -> None:
    sender = Sender(archive, sent=len(DATA) - 1)
    finishing = DropRooms(archive.rooms).finishing
    finishing._pool.shutdown()
    finishing._pool = _AtOnce()  # type: ignore[assignment]  # both are Executors
    asking = Thread(target=lambda: finishing.finish(sender.address, why="no more comes"), daemon=True)
    asking.start()
    asking.join(30)
    assert not asking.is_alive(), "it waits for a lock that it holds itself"
