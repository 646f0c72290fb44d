"""An archive that holds every kind of record: its catalogue is deleted and made anew; any of its columns is changed."""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from archive.age.keyring import Keyring
from archive.age.recipients import KeyIdentity
from archive.catalogue.accounts import list_staff
from archive.catalogue.records import RECORD_TYPES, Person
from archive.types import Finding, Owner, OwnerKind, Role
from cli import utc_now
from custody.accounts import as_actor
from custody.drafts import Draft
from custody.entries import EventKind
from tests.archives import PASSPHRASE
from tests.attacks.insider import Insider, audit
from tests.way_in import SAMPLES, SETTINGS, YEAR, WayIn, run_here, run_testigo
from tests.web.served import Browser, Served, new_token, serving
from tests.web.test_handing_over import post, return_code, send
from tests.web.test_tus import content

NOT_OF_THE_LOG = {"job", "sqlite_sequence", "slip", "upload"}
"""Work to be done is found anew; slips and the list of unfinished uploads are no records."""


def _run(home: Path, *words: str, status: int = 0) -> str:
    done = run_here(home, *words)
    assert done.returncode == status, (words, done.stdout, done.stderr)
    return done.stdout


def _rows(home: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(home / "catalogue.sqlite")) as sql:
        tables = {name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return {
            table: sorted(map(repr, sql.execute(f'SELECT * FROM "{table}"')))  # noqa: S608 - named by SQLite
            for table in tables - NOT_OF_THE_LOG
        }


def _shown(home: Path, numbers: list[str]) -> dict[str, object]:
    """What `show` says of each item, but for the entries that showing adds."""
    told = {number: json.loads(_run(home, "show", number, "--json")) for number in numbers}
    return {n: {**each, "entries": [e for e in each["entries"] if e["event"] != "access"]} for n, each in told.items()}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    with serving(tmp_path / "var", settings=SETTINGS) as served:
        yield served


def _drop(served: Served) -> None:
    """One visit that comes back and says stop, one with a question, a revoked link, an upload that was left."""
    browser = send(served, [("a.mp4", content(30_000, 1))], happened="I saw it", contact="+1 213 555 0100", use="press")
    page = browser.get("/receipt").text
    code = return_code(page)
    (number, *_) = re.findall(r"TG-\d{4}-\d{5}", page)
    _run(served.home, "drop", "ask", number, "Which way did they drive?")
    other = Browser(served)
    assert post(other, "/r", other.get("/r").text, code=code) == 303
    me = other.get("/r/me").text
    (question, *_) = re.findall(r'name="question" value="([^"]+)"', me)
    assert post(other, "/r/me/answer", me, question=question, answer="South") == 303
    assert post(other, "/r/me/use", me, use="court") == 303
    assert post(other, "/r/me/stop", other.get("/r/me/stop").text) == 303
    page = send(served, [("b.jpg", content(9000, 2))], use="internal").get("/receipt").text
    _run(served.home, "drop", "ask", re.findall(r"TG-\d{4}-\d{5}", page)[0], "When was it?")
    link = _run(served.home, "drop", "new", "-i", f"I-{YEAR}-0001").partition(":")[0]
    _run(served.home, "drop", "revoke", link, "--yes")
    where = served.create(100_000, new_token(), filename="left.mp4").headers["Location"]
    assert served.patch(where, 0, content(70_000, 3)).status == 204


def _everything_else(home: Path, folder: Path) -> None:
    """Imports with duplicates and refusals, holds, approvals, staff, a destroyed item, previews, packets."""
    for name in ("card", "again"):
        card = folder / name
        card.mkdir()
        for sample in ("DCIM/Camera/IMG_5195.HEIC", "Documents/a-text.pdf", "Documents/declaracion-testigo.txt"):
            (card / Path(sample).name).write_bytes((SAMPLES / sample).read_bytes())
        (card / "link").symlink_to("nowhere")
        _run(home, "import", str(card), "-i", f"I-{YEAR}-0001", "--custodian", "M. Rivera", status=3)
    _run(home, "incident", "new", "--title", "Another", "--place", "6th")
    _run(home, "import", str(folder / "again"), "-i", f"I-{YEAR}-0002", "--reason", "again", status=3)
    _run(home, "hold", "add", f"I-{YEAR}-0001", "--title", "Doe", "--trigger", "subpoena")
    _run(home, "hold", "add", f"E-{YEAR}-00003", "--title", "Roe", "--trigger", "filed_case")
    _run(home, "hold", "lift", f"H-{YEAR}-0001", "--reason", "dismissed", status=6)
    _run(home, "hold", "lift", f"H-{YEAR}-0002", "--reason", "dismissed", status=6)
    for name, role in (("ortiz", "attorney"), ("kim", "technician"), ("lee", "auditor")):
        _run(home, "staff", "add", name, "--role", role)
    with WayIn.existing(home) as archive:
        archive.rooms.clock = utc_now  # That of tests runs ahead of the commands'.
        with archive.rooms.database.reading() as session:
            attorney = next(as_actor(each) for each in list_staff(session) if each.role == Role.ATTORNEY)
            auditor = next(each.pseudonym for each in list_staff(session) if each.role == Role.AUDITOR)
        with archive.unlocked():
            archive.rooms.acts.lift_hold(attorney, f"H-{YEAR}-0001", reason="dismissed")
        archive.rooms.acts.destroy(attorney, f"E-{YEAR}-00005", reason="request 7")
        archive.told_by_counsels_client("M. Rivera")
        _person(archive)
        archive.publish()
    _run(home, "staff", "close", auditor)
    with WayIn.existing(home) as archive, archive.unlocked():
        _run(home, "item", "destroy", f"E-{YEAR}-00005", "--reason", "request 7", "--yes")
        run_testigo(home, "worker", "--once", "--now")
        _run(home, "clock-offset", f"E-{YEAR}-00004", "--seconds", "3", "--method", "clock in the picture")
        _run(home, "item", "key", f"E-{YEAR}-00003", "--reason", "expert", "--audience", "vault")
        # One of the senders said stop: what they brought is withheld.
        _run(home, "packet", "build", "-i", f"I-{YEAR}-0001", "-x", f"E-{YEAR}-00005", "--to", "A", "--basis", "b",
             "--audience", "counsel", str(folder / "packet"), status=3)  # fmt: skip
        _run(home, "packet", "build", f"E-{YEAR}-00005", "--to", "A", "--basis", "b", str(folder / "no"), status=7)


def _person(archive: WayIn) -> None:
    """Enter a person with a key of their own; the commands that will do so are still to come."""
    rooms, ours = archive.rooms, archive.founded.organisation
    owner = Owner(kind=OwnerKind.PERSON, id=rooms.new_id())
    (key,) = rooms.vault.new_owner_keys([owner], Keyring.parse(ours.vault_keyring))
    person = Person(id=owner.id, organisation_id=ours.id, pseudonym="person-1", recipient=key.recipient)
    values = (("purpose", "person entered"), ("record", person.to_log({"role": "bystander"})))
    rooms.ledger.record(Draft(event=EventKind.METADATA_MODIFICATION, actor=archive.actor, values=values))


def test_every_kind_of_record_comes_back_from_store_and_keys(served: Served, tmp_path: Path) -> None:
    home = served.home
    _drop(served)
    _everything_else(home, tmp_path)
    served.stop()
    with WayIn.existing(home) as archive, archive.unlocked():
        numbers = [json.loads(line)["item"] for line in _run(home, "ls", "--json").splitlines()]
        numbers.remove(f"E-{YEAR}-00005")
        shown = _shown(home, numbers)
    before = _rows(home)
    (destroyed,) = (row.split("'")[1] for row in before["item"] if "'destroyed'" in row)
    tables = {record.table.name for record in RECORD_TYPES}
    assert not {table for table in tables if not before.get(table)}, "a kind of record is not in this archive"
    for path in home.glob("catalogue.sqlite*"):
        path.unlink()
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    _run(home, "rebuild", "--yes", "--passphrase-file", str(tmp_path / "passphrase"))
    after = _rows(home)
    added = {"entry", "disclosure", "entry_subject", "checkpoint"}  # The rebuilding is entered too.
    for table in sorted(before):
        lost = set(before[table]) - set(after[table])
        # From where on its card it came stood under the destroyed key alone; all else is there.
        assert all(destroyed in row for row in lost) if table == "import_file" else not lost, (table, lost)
        assert table in added or set(after[table]) <= set(before[table]), table
    with WayIn.existing(home) as archive, archive.unlocked():
        assert _shown(home, numbers) == shown
        swept = _run(home, "verify", "--full", "--sweep", "--yes")
        assert "Swept: 0 objects, 0 key files" in swept


def _other(value: object) -> object:
    """Give another value of the same kind, as near to the old one as can be."""
    match value:
        case int():
            return value + 1
        case str() if value:
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        case bytes() if value:
            return bytes([value[0] ^ 1]) + value[1:]
    return "x"


@pytest.mark.long
def test_a_change_in_any_column_of_any_table_is_found(served: Served, tmp_path: Path) -> None:
    home = served.home
    _drop(served)
    _everything_else(home, tmp_path)
    served.stop()
    insider = Insider(home)
    keys = insider.owner_keys()
    insider.close()
    kept = tmp_path / "kept.sqlite"
    with closing(sqlite3.connect(home / "catalogue.sqlite")) as catalogue:
        catalogue.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(home / "catalogue.sqlite", kept)
    told_before = _wrongs(home, keys)
    tried, missed = 0, []
    for statement, values in _changes(kept):
        for side in home.glob("catalogue.sqlite-*"):
            side.unlink()
        shutil.copy(kept, home / "catalogue.sqlite")
        with Insider(home).sql() as catalogue:
            catalogue.execute("PRAGMA ignore_check_constraints = ON")
            catalogue.execute(statement, values)
        tried += 1
        if not _wrongs(home, keys) - told_before:
            missed.append(statement)
    print(f"{tried} changes, {len(missed)} not found")
    assert tried > 150
    assert not missed


CHANGES_NOTHING = {("disclosure", "id")}
"""It orders rows and says nothing else."""


def _changes(catalogue: Path) -> Iterator[tuple[str, tuple[object, ...]]]:
    """In each table that comes from the log: the newest row with each column changed, and without that row."""
    with closing(sqlite3.connect(catalogue)) as sql:
        names = [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in sorted(set(names) - NOT_OF_THE_LOG - {"alembic_version"}):
            columns = [column for _, column, *_ in sql.execute(f"PRAGMA table_info({table})")]
            row = sql.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid DESC").fetchone()  # noqa: S608 - ours
            if row is None:
                continue
            for column, value in zip(columns, row[1:], strict=True):
                if (table, column) in CHANGES_NOTHING:
                    continue
                yield f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (_other(value), row[0])  # noqa: S608 - ours
            yield f"DELETE FROM {table} WHERE rowid = ?", (row[0],)  # noqa: S608 - ours


def _wrongs(home: Path, keys: dict[UUID, KeyIdentity]) -> set[tuple[str, str]]:
    return {(found.code, found.subject) for found in audit(home, keys=keys) if found.finding is not Finding.MATCHES}
