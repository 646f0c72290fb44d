"""Opening the catalogue: one SQLite file (WAL, `synchronous=FULL`), its migrations and its append-only guards.

What it knows: how a transaction begins (a writer takes the write lock at once, so that a running number read inside it
stays true), and that a database without its guards must not be written to.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from archive.catalogue.models import APPEND_ONLY, Base
from archive.errors import ConfigError, IntegrityError, TestigoError, UnavailableError

_WRITER = {"testigo_writer": True}
_SHARED_MEMORY_OCTETS = 32 << 10  # The size in which SQLite makes it, and lets it grow.
_MIGRATIONS = Path(__file__).parent / "migrations"
_PATIENCE_S = 60
_READ_TEXT = partial(str, encoding="utf-8", errors="surrogateescape")
"""Octets that are no text are refused by their column; SQLite's own refusal would end an audit like a failing disk."""
_KEPT_OPEN = 16
"""So many connections are kept; more are opened where more read at once, and closed again."""


class Database:
    """The catalogue's engine; every commit of Testigo goes through `writing`.

    Where nothing can be written (a copy on a read-only medium, a full disk that nobody else works on), it reads the
    file as it lies, and `writing` refuses.
    Raises: UnavailableError `archive/store-full`, `archive/busy` or `archive/store-failing` where the disk or another
    process refuses; nothing is half committed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._as_it_lies = _can_only_be_read(path)
        self._engine = _engine_as_it_lies(path) if self._as_it_lies else _engine(path)
        self._to_write = self._engine.execution_options(**_WRITER)
        self._writer: Connection | None = None
        self._next_writer = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that sees one moment of the catalogue and writes nothing."""
        with _translated(self.path), Session(self._engine) as session:
            yield session
            session.rollback()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session that holds the write lock; commit at the end, or leave nothing."""
        self._refuse_as_it_lies()
        with _translated(self.path), self._turn_to_write(), self._written_through() as connection:
            with Session(connection, expire_on_commit=False, close_resets_only=False) as session:
                yield session
                if session.in_transaction():
                    session.commit()  # Into the connection's transaction, which is committed after it.

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        """Have the writers of this process queue here, without a connection.

        SQLite has them all ask again and again, after naps of up to 100 ms, and whoever naps longest goes last.
        Raises: UnavailableError `archive/busy`.
        """
        if not self._next_writer.acquire(timeout=_PATIENCE_S):
            raise _busy()
        try:
            yield
        finally:
            self._next_writer.release()

    @contextmanager
    def _written_through(self) -> Iterator[Connection]:
        """Begin on the one connection that writes, kept because asking for one costs as much as a small insert."""
        if self._writer is None:
            self._writer = self._to_write.connect()
        try:
            with self._writer.begin():
                yield self._writer
        except BaseException:  # Raised again; the next writer does not begin where a rollback may have failed.
            self._writer.invalidate()
            self._forget_writer()
            raise

    def _forget_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def migrate(self) -> None:
        """Bring the schema to the newest version, then check that the guards are there.

        Raises: ConfigError `archive/newer-schema` where the file was written by a newer Testigo; IntegrityError
        `archive/schema-unknown` where it does not say of which version it is.
        """
        if self._version() != newest_version():
            self._refuse_as_it_lies()
            self._upgrade()
        self.check_guards()

    def _refuse_as_it_lies(self) -> None:
        if not self._as_it_lies:
            return
        if _has_no_room(self.path):
            raise _full()
        raise ConfigError(
            "archive/store-read-only",
            "The archive lies on a file system that is mounted read-only, or in a folder in which you may not write. "
            "Nothing was changed. Commands that only read work here; a copy of an older version must first be brought "
            "to this one, in a copy that can be written.",
        )

    def _upgrade(self) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.script.revision import ResolutionError
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with _translated(self.path), self._to_write.connect() as connection:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except (CommandError, ResolutionError) as error:
                raise ConfigError(
                    "archive/newer-schema",
                    "This archive was written by a newer Testigo. Nothing was changed. Update the program.",
                ) from error
            connection.commit()

    def check_guards(self) -> None:
        """Refuse a database whose guards are gone or changed, or that runs anything that no migration made.

        A batch migration drops triggers silently; whoever wants to change the log makes hollow ones, or adds others.
        """
        statement = text("SELECT name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')")
        with _translated(self.path), self._engine.connect() as connection:
            present = {name: _squeezed(sql) for name, sql in connection.execute(statement)}
        due = {name: _squeezed(sql) for name, sql in guards(_append_only_keys()).items()}
        missing = sorted(name for name in due if present.get(name) != due[name])
        if missing:
            raise IntegrityError(
                "archive/guards-missing",
                "The catalogue has lost the guards that keep the log append-only. Nothing was written. "
                "Compare with a backup, and run `testigo verify` against an earlier checkpoint before going on.",
                evidence={"missing": missing},
            )
        if foreign := sorted(present.keys() - due.keys()):
            raise IntegrityError(
                "archive/guards-foreign",
                "The catalogue holds triggers or views that Testigo never made: they may change what is written. "
                "Nothing was written. Compare with a backup, and run `testigo verify` before going on.",
                evidence={"foreign": foreign},
            )

    def close(self) -> None:
        if self._next_writer.acquire(blocking=False):  # Whoever writes still ends on a connection of their own.
            self._forget_writer()
            self._next_writer.release()
        self._engine.dispose()

    def _version(self) -> str | None:
        with _translated(self.path), self._engine.connect() as connection:
            tables = set(connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())
            if not tables:
                return None
            version = None
            if "alembic_version" in tables:
                version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if version is None:
            raise IntegrityError(
                "archive/schema-unknown",
                "The catalogue does not say any more of which version its tables are: somebody changed the file. "
                "Nothing was written. Keep it as it is, run `testigo verify` against an earlier checkpoint, and "
                "compare with a backup.",
            )
        return str(version)


def connection_of(session: Session) -> Connection:
    """Return the connection of a session of `writing`, for plain statements; the session's own costs as much as one."""
    if not isinstance(session.bind, Connection):
        raise TypeError("only a session of Database.writing has a connection of its own")
    return session.bind


def newest_version() -> str:
    """Tell the newest version of the schema by the names of the migrations; loading Alembic would cost each command."""
    return max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def guard_names() -> tuple[str, ...]:
    """Name every trigger that must be there."""
    return tuple(f"{table}_refuses_{act}" for table in APPEND_ONLY for act in ("update", "delete", "replace"))


def create_guards(connection: Connection, keys: dict[str, tuple[str, ...]]) -> None:
    """Create the triggers that refuse UPDATE, DELETE and REPLACE; called by migrations only."""
    for statement in guards(keys).values():
        connection.exec_driver_sql(statement)


def guards(keys: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Write the statement of each guard, by its name.

    `INSERT OR REPLACE` passes through a DELETE trigger unless recursive triggers are on, so a BEFORE INSERT trigger
    refuses a key that is there already. `keys` names each table's primary key columns.
    """
    written: dict[str, str] = {}
    for table, columns in keys.items():
        same_key = " AND ".join(f"{column} = NEW.{column}" for column in columns)
        refusal = f"RAISE(ABORT, '{table} is append-only')"
        for act, clause in (("update", "BEFORE UPDATE"), ("delete", "BEFORE DELETE")):
            name = f"{table}_refuses_{act}"
            written[name] = f"CREATE TRIGGER {name} {clause} ON {table} BEGIN SELECT {refusal}; END"
        name = f"{table}_refuses_replace"
        written[name] = (
            f"CREATE TRIGGER {name} BEFORE INSERT ON {table} "  # noqa: S608 - the names are our own
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same_key}) BEGIN SELECT {refusal}; END"
        )
    return written


def _append_only_keys() -> dict[str, tuple[str, ...]]:
    return {name: tuple(Base.metadata.tables[name].primary_key.columns.keys()) for name in APPEND_ONLY}


def _squeezed(sql: str | None) -> str:
    return " ".join((sql or "").split())


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        # Nobody waits for a connection: whoever reads inside a transaction would wait for itself.
        pool_size=_KEPT_OPEN,
        max_overflow=-1,
        connect_args={"timeout": _PATIENCE_S, "isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.text_factory = _READ_TEXT
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writer = connection.get_execution_options().get("testigo_writer")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


def _can_only_be_read(path: Path) -> bool:
    """Tell whether SQLite could not even make the files beside the catalogue that a reader of a WAL file needs."""
    beside = path.with_name(path.name + "-shm")
    try:
        if not path.stat().st_size:
            return False
        return not os.access(path.parent, os.W_OK) or (_has_no_room(path) and not beside.exists())
    except OSError:
        return False


def _engine_as_it_lies(path: Path) -> Engine:
    """Read a file that nobody can be writing to: no lock is taken and nothing is made beside it.

    Raises: UnavailableError `archive/unfinished-writes` where a power cut left writes that are not in the file yet.
    """
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise UnavailableError(
            "archive/unfinished-writes",
            "Beside the catalogue lie writes that a stop left unfinished, and nothing can be written here to take them "
            "in. Nothing was changed. Make room, or copy the whole folder to where it can be written, and use that.",
        )

    def connect() -> sqlite3.Connection:
        where = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        return sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.text_factory = _READ_TEXT
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _full() -> UnavailableError:
    return UnavailableError(
        "archive/store-full",
        "The disk is full. What was acknowledged before is kept; nothing of this step was recorded. "
        "Free some space and run the same command again.",
    )


def _has_no_room(path: Path) -> bool:
    """Tell whether the disk is full: SQLite calls it an I/O error where it cannot even make its shared-memory file."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _SHARED_MEMORY_OCTETS


def _busy() -> UnavailableError:
    return UnavailableError(
        "archive/busy",
        "Another process is writing to this archive and did not finish within a minute. "
        "Nothing was changed. Try again when it has ended.",
    )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except TestigoError:
        raise
    except OperationalError as error:
        words = str(error.orig).lower()
        if "locked" in words or "busy" in words:
            raise _busy() from error
        if "full" in words or ("disk i/o error" in words and _has_no_room(path)):
            raise _full() from error
        raise UnavailableError(
            "archive/store-failing",
            "The catalogue could not be read or written. What was acknowledged before is kept. "
            "Check the disk and the rights on the archive's folder, then try again.",
            evidence={"cause": str(error.orig)},
        ) from error
    except DatabaseError as error:
        if "malformed" in str(error.orig) or "not a database" in str(error.orig):
            raise IntegrityError(
                "archive/catalogue-damaged",
                "The catalogue file is damaged. Objects, log and keys are apart from it and untouched. "
                "Move the file away and run `testigo rebuild`.",
                evidence={"cause": str(error.orig)},
            ) from error
        raise
