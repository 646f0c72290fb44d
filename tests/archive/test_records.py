"""Records and their tables: what goes in comes out, the fold writes it, the schema is the one of the models."""

import dataclasses
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import CheckConstraint, inspect, select, text
from sqlalchemy.exc import IntegrityError as ConstraintError
from sqlalchemy.orm import Session
from sqlalchemy.types import Uuid

from archive.catalogue import columns, models
from archive.catalogue.database import Database, guard_names, newest_version
from archive.catalogue.records import (
    RECORD_TYPES,
    Approval,
    Incident,
    Organisation,
    Record,
    Staff,
    apply,
    columns_of,
)
from archive.errors import ConfigError, IntegrityError
from archive.exposure import columns_without_class
from custody.canonical import canonical_bytes, parse_canonical

MOMENT = datetime(2026, 11, 22, 9, 0, 0, 123456, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)).map(lambda naive: naive.replace(tzinfo=UTC))  # noqa: DTZ001 - made aware at once


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "catalogue.sqlite")
    database.migrate()
    yield database
    database.close()


def values_of(record_type: type[Record]) -> st.SearchStrategy[Record]:
    """Draw any record of a type, by the types of its columns."""
    drawn: dict[str, st.SearchStrategy[Any]] = {}
    for field in dataclasses.fields(record_type):
        column = record_type.table.c[field.name]
        match column.type:
            case Uuid():
                value: st.SearchStrategy[Any] = st.uuids()
            case columns.UtcDateTime():
                value = MOMENTS
            case columns.DigestBytes():
                value = st.binary(min_size=32, max_size=32)
            case _ if column.type.python_type is int:
                value = st.integers(0, 2**53 - 1)
            case _:
                value = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
        drawn[field.name] = st.none() | value if column.nullable else value
    return st.builds(record_type, **drawn)


@pytest.mark.parametrize("record_type", RECORD_TYPES, ids=lambda each: each.kind)
def test_a_record_comes_back_from_the_log_as_it_went_in(record_type: type[Record]) -> None:
    @given(record=values_of(record_type))
    def round_trip(record: Record) -> None:
        logged = parse_canonical(canonical_bytes(record.to_log({"title": "told"})))
        found, columns = columns_of(logged)
        assert found is record_type
        assert record_type(**columns) == record

    round_trip()


@pytest.mark.parametrize("record_type", RECORD_TYPES, ids=lambda each: each.kind)
def test_a_record_has_a_column_for_each_field_and_none_besides(record_type: type[Record]) -> None:
    fields = {field.name for field in dataclasses.fields(record_type)}
    assert {column.name for column in record_type.table.c} == fields | {"record_seq"}


def _organisation() -> Organisation:
    return Organisation(
        id=UUID(int=1),
        origin="archive.example.org/log",
        staff_recipient="age1staff",
        vault_keyring="{}",
        identity_keyring="{}",
        created_time=MOMENT,
    )


def _staff(number: int) -> Staff:
    return Staff(
        id=UUID(int=number),
        organisation_id=UUID(int=1),
        pseudonym=f"staff-{number:06}",
        role="coordinator",
        state="active",
        account_mac=bytes([number]) * 32,
    )


def _rows(session: Session, record_type: type[Record]) -> list[tuple[Record, int]]:
    rows = session.execute(select(record_type.table)).mappings()
    return [(record_type.from_row(row), row["record_seq"]) for row in rows]


def test_the_fold_keeps_the_newest_state_of_each_record_and_the_entry_it_stands_on(database: Database) -> None:
    ours = _organisation()
    incident = Incident(
        id=UUID(int=2),
        organisation_id=ours.id,
        number="I-2026-0001",
        status="open",
        recipient="age1incident",
        created_time=MOMENT,
    )
    closed = dataclasses.replace(incident, status="closed")
    with database.writing() as session:
        apply(session, [(0, ours.to_log()), (1, incident.to_log({"title": "Raid"})), (2, closed.to_log())])
    with database.reading() as session:
        assert _rows(session, Organisation) == [(ours, 0)]
        assert _rows(session, Incident) == [(closed, 2)]


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("kind"),
        lambda record: record.update(kind="nonsense"),
        lambda record: record.update(kind=["item"]),
        lambda record: record.update(id="no id"),
        lambda record: record.update(columns=None),
        lambda record: record["columns"].pop("number"),
        lambda record: record["columns"].update(extra=1),
        lambda record: record["columns"].update(number=None),
        lambda record: record["columns"].update(number=["x"]),
        lambda record: record["columns"].update(created_time="yesterday"),
        lambda record: record["columns"].update(created_time=5),
        lambda record: record["columns"].update(organisation_id="not one"),
    ],
)
def test_a_record_that_is_none_is_refused_and_writes_nothing(database: Database, change: Any) -> None:
    incident = Incident(
        id=UUID(int=2),
        organisation_id=UUID(int=1),
        number="I-2026-0001",
        status="open",
        recipient="age1incident",
        created_time=MOMENT,
    )
    record = incident.to_log()
    change(record)
    with pytest.raises(IntegrityError) as raised, database.writing() as session:
        apply(session, [(0, _organisation().to_log()), (1, record)])
    assert raised.value.code == "archive/bad-record"
    with database.reading() as session:
        assert _rows(session, Organisation) == []


def test_nobody_can_agree_to_what_they_asked_for_themselves(database: Database) -> None:
    approval = Approval(
        id=UUID(int=9),
        organisation_id=UUID(int=1),
        act="destroy",
        subject_id=UUID(int=8),
        status="approved",
        requested_by=UUID(int=2),
        approved_by=UUID(int=2),
        requested_time=MOMENT,
        decided_time=MOMENT,
    )
    with database.writing() as session:
        apply(session, [(0, _organisation().to_log()), (1, _staff(2).to_log())])
    with pytest.raises(ConstraintError, match="two_people"), database.writing() as session:
        apply(session, [(2, approval.to_log())])


def test_every_column_says_who_could_read_it() -> None:
    assert columns_without_class() == []


def test_the_migrations_give_exactly_the_schema_of_the_models(database: Database) -> None:
    with database.reading() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, models.Base.metadata) == []
        found = inspect(session.connection())
        for table in models.Base.metadata.sorted_tables:
            checks = {each["name"] for each in found.get_check_constraints(table.name)}
            assert checks == {c.name for c in table.constraints if isinstance(c, CheckConstraint)}, table.name


def test_the_newest_version_is_alembics_own() -> None:
    scripts = ScriptDirectory(str(Path(models.__file__).parent / "migrations"))
    assert newest_version() == scripts.get_current_head()


def test_the_catalogue_syncs_each_commit_and_holds_its_references(database: Database) -> None:
    with database.reading() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "temp_store")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0, "temp_store": 2}


ROWS = {
    "entry": {"seq": 0, "leaf": b"leaf", "leaf_hash": bytes(32)},
    "disclosure": {"id": 1, "first": 0, "end": 1, "owner_kind": "staff", "owner_id": "0" * 32, "sealed": b"age"},
    "entry_subject": {"seq": 0, "owner_id": "0" * 32, "run_number": 1},
    "checkpoint": {"size": 1, "note": b"note", "signed_time": 1},
    "timestamp_token": {"size": 1, "authority": "a", "token": b"t", "chain": b"c", "attested_time": 1},
}


@pytest.mark.parametrize("table", models.APPEND_ONLY)
def test_a_row_of_the_log_cannot_be_changed_removed_or_replaced(database: Database, table: str) -> None:
    """Asked of SQLite itself, beside the program, as an insider with its file would."""
    database.close()
    row = ROWS[table]
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    with sqlite3.connect(database.path, isolation_level=None) as catalogue:
        catalogue.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - ours
        column = next(iter(row))
        for statement, values in (
            (f'UPDATE {table} SET "{column}" = "{column}"', ()),  # noqa: S608 - ours
            (f"DELETE FROM {table}", ()),  # noqa: S608 - ours
            (f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", tuple(row.values())),  # noqa: S608 - ours
            (f"REPLACE INTO {table} ({names}) VALUES ({marks})", tuple(row.values())),  # noqa: S608 - ours
        ):
            with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
                catalogue.execute(statement, values)
        assert catalogue.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (1,)  # noqa: S608 - ours
    catalogue.close()


@pytest.mark.parametrize("guard", guard_names())
def test_a_catalogue_that_lost_a_guard_is_not_written_to(tmp_path: Path, guard: str) -> None:
    path = tmp_path / "catalogue.sqlite"
    database = Database(path)
    database.migrate()
    with sqlite3.connect(path) as catalogue:
        catalogue.execute(f"DROP TRIGGER {guard}")
    catalogue.close()
    with pytest.raises(IntegrityError) as raised:
        database.migrate()
    database.close()
    assert raised.value.code == "archive/guards-missing"
    assert raised.value.evidence["missing"] == [guard]


def test_a_catalogue_of_a_newer_program_is_left_alone(database: Database) -> None:
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError) as raised:
        database.migrate()
    assert raised.value.code == "archive/newer-schema"


@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        (columns.UtcDateTime(), datetime(2026, 11, 22)),  # noqa: DTZ001 - to be refused
        (columns.DigestBytes(), b"short"),
        (columns.DigestBytes(), bytes(33)),
        (columns.Sealed(), b"plaintext"),
    ],
)
def test_a_column_refuses_what_it_must_not_hold(column_type: Any, value: object) -> None:
    with pytest.raises(ValueError):
        column_type.process_bind_param(value, None)


@given(moment=MOMENTS)
def test_a_moment_keeps_its_microseconds(moment: datetime) -> None:
    column = columns.UtcDateTime()
    stored = column.process_bind_param(moment, None)  # type: ignore[arg-type] # no dialect is asked
    assert column.process_result_value(stored, None) == moment  # type: ignore[arg-type] # as above
