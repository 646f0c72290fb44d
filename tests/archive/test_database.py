"""The catalogue under many threads: whoever reads is not held up by those who wait to write."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError

from archive.catalogue import database as module
from archive.catalogue.database import Database, connection_of
from archive.errors import UnavailableError

_WRITERS = 60


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "catalogue.sqlite")
    with database.writing() as session:
        session.execute(text("CREATE TABLE tally (who INTEGER)"))
    return database


def _written(database: Database) -> list[int]:
    with database.reading() as session:
        return list(session.execute(text("SELECT who FROM tally ORDER BY who")).scalars())


def test_many_who_wait_to_write_do_not_hold_up_one_who_reads(database: Database) -> None:
    begun = [threading.Event() for _ in range(_WRITERS)]

    def write(who: int) -> None:
        begun[who].set()
        with database.writing() as session:
            session.execute(text("INSERT INTO tally VALUES (:who)"), {"who": who})

    threads = [threading.Thread(target=write, args=(who,)) for who in range(_WRITERS)]
    with database.writing():
        for thread in threads:
            thread.start()
        for each in begun:
            each.wait(10)
        time.sleep(0.2)  # By now each of them has asked for the lock.
        start = time.monotonic()
        assert _written(database) == []
        assert time.monotonic() - start < 5
    for thread in threads:
        thread.join()
    assert _written(database) == list(range(_WRITERS))
    database.close()


def test_a_reader_inside_a_transaction_sees_what_was_there_before_it(database: Database) -> None:
    with database.writing() as session:
        session.execute(text("INSERT INTO tally VALUES (1)"))
        assert _written(database) == []
    assert _written(database) == [1]
    database.close()


def test_a_failed_transaction_lets_the_next_one_write(database: Database) -> None:
    with pytest.raises(RuntimeError, match="no"), database.writing() as session:
        session.execute(text("INSERT INTO tally VALUES (1)"))
        raise RuntimeError("no")
    with database.writing() as session:
        session.execute(text("INSERT INTO tally VALUES (2)"))
    assert _written(database) == [2]
    database.close()


def test_whoever_waits_too_long_for_another_thread_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    refused: list[str] = []

    def write() -> None:
        try:
            with database.writing():
                pass
        except UnavailableError as error:
            refused.append(error.code)

    with database.writing():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert refused == ["archive/busy"]
    database.close()


def test_a_session_that_is_kept_past_its_block_can_do_nothing_more(database: Database) -> None:
    with database.writing() as session:
        session.execute(text("INSERT INTO tally VALUES (1)"))
    with pytest.raises(InvalidRequestError):
        session.execute(text("INSERT INTO tally VALUES (2)"))
    with sqlite3.connect(database.path, timeout=0.1) as other:
        other.execute("INSERT INTO tally VALUES (3)")  # Nobody holds the lock.
    with database.writing() as session:
        session.execute(text("INSERT INTO tally VALUES (4)"))
    assert _written(database) == [1, 3, 4]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_after_an_error_writing_goes_on_over_another_connection(database: Database, error: type[BaseException]) -> None:
    def driver() -> int:
        with database.writing() as session:
            return id(connection_of(session).connection.driver_connection)

    kept: list[object] = []  # So that no later connection takes its place in memory.
    before = driver()
    assert driver() == before, "it is kept"
    with pytest.raises(error), database.writing() as session:
        kept.append(connection_of(session).connection.driver_connection)
        session.execute(text("INSERT INTO tally VALUES (1)"))
        raise error
    assert driver() != before
    assert _written(database) == []


def test_closing_while_another_thread_writes_lets_it_end(database: Database) -> None:
    writes, closed = threading.Event(), threading.Event()

    def write() -> None:
        with database.writing() as session:
            writes.set()
            assert closed.wait(10)
            session.execute(text("INSERT INTO tally VALUES (1)"))

    thread = threading.Thread(target=write)
    thread.start()
    assert writes.wait(10)
    database.close()
    closed.set()
    thread.join()
    assert _written(Database(database.path)) == [1]
