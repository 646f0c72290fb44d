"""An insider changes rows of the catalogue and then lets the ordinary commands do the work: destroy, lift, sweep.

Everything here goes through the commands as they are typed, with the keys that these get for themselves. Whatever the
rows say, the log is the truth: evidence is never removed on the catalogue's word, and what was changed is named.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from archive.catalogue.records import Item
from cli import main
from custody.receipt_office import issue_receipt
from tests.archives import PASSPHRASE, SmallArchive
from tests.attacks.insider import Insider

Run = Callable[..., Result]


class Office(SmallArchive):
    """A small archive whose commands are typed; `receipts` are those that senders hold."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.items: list[Item] = []
        self.receipts: list[Path] = []
        incident = self.incident()
        for number in range(4):
            content = bytes([number]) * 700
            ((item, entry),) = self.receive_with_entries(incident, [(f"{number}.jpg", content)])
            row = (item.number, entry, hashlib.sha256(content).digest(), len(content))
            path = home.parent / f"receipt-{item.number}.json"
            path.write_bytes(issue_receipt(self.rooms.publisher, f"R-{number}", self.clock(), [row]))
            self.items.append(item)
            self.receipts.append(path)

    def spoil(self, *statements: str, **values: object) -> None:
        """Change the catalogue, the triggers out of the way meanwhile."""
        with Insider(self.home).sql() as sql:
            for statement in statements:
                sql.execute(statement, values)

    def holdings(self, item: Item) -> list[Path]:
        """Give the files that hold an item: its objects as they are recorded now, and its key."""
        query = "SELECT hex(blake3) FROM object WHERE item_id = ?"
        with self.rooms.catalogue_as_it_lies.reading() as session:
            digests = session.connection().exec_driver_sql(query, (item.id.hex,)).scalars().all()
        objects = [Insider(self.home).object_path(bytes.fromhex(digest)) for digest in digests]
        return [*objects, self.home / "keys" / f"{item.id}.age"]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    with Office(tmp_path / "home") as made:
        monkeypatch.setattr("cli.utc_now", made.clock)
        monkeypatch.setenv("TESTIGO_HOME", str(made.home))
        (tmp_path / "passphrase").write_text(PASSPHRASE + "\n", encoding="utf-8")
        monkeypatch.setenv("TESTIGO_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
        yield made


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


# ── rows taken away: what they stood for is no left-over of a crash ──────────────────────────────────────────────────

ONLY_THE_OBJECT = ("DELETE FROM object WHERE item_id = :item",)
THE_WHOLE_ITEM = (
    "DELETE FROM object WHERE item_id = :item",
    "DELETE FROM item WHERE id = :item",
    "UPDATE number SET last = last - 1 WHERE kind = 'E'",
)


@pytest.mark.parametrize("statements", [ONLY_THE_OBJECT, THE_WHOLE_ITEM], ids=["object", "item"])
def test_what_the_log_speaks_of_is_never_swept_whatever_rows_were_removed(
    office: Office, statements: tuple[str, ...]
) -> None:
    item, receipt = office.items[-1], office.receipts[-1]
    holdings = office.holdings(item)
    office.spoil(*statements, item=item.id.hex)
    locked = run("verify", "--against", receipt)
    assert locked.exit_code == 4, locked.output
    assert item.number in locked.stdout
    assert "--sweep" not in locked.stdout
    assert run("verify", "--sweep", "--yes").exit_code == 12, "no sweep while what the log says cannot be read"
    with office.unlocked():
        swept = run("verify", "--sweep", "--yes")
        assert swept.exit_code == 4, swept.output
        assert item.number in swept.stdout
        assert "nothing is removed" in swept.stdout
        assert "key is not here" not in swept.stdout
    assert all(path.is_file() for path in holdings)
    office.close()
    (office.home / "catalogue.sqlite").rename(office.home / "spoilt")
    assert run("rebuild", "--yes").exit_code == 0
    office.rooms = office.open_rooms()
    with office.unlocked():
        assert run("verify", "--full").exit_code == 0


def test_a_sweep_while_another_row_was_changed_removes_nothing(office: Office) -> None:
    stray = office.rooms.store
    name = "objects/ab/cd/" + "abcd" + "0" * 60 + ".age"
    stray.put(name, b"age-encryption.org/v1\nnobody knows")
    office.spoil("UPDATE item SET received_time = received_time - 1 WHERE id = :item", item=office.items[0].id.hex)
    with office.unlocked():
        swept = run("verify", "--sweep", "--yes")
    assert swept.exit_code == 4
    assert office.rooms.store.exists(name)


def test_what_no_entry_speaks_of_is_swept_after_a_question_and_a_dry_run_only_says_so(office: Office) -> None:
    name = "objects/ab/cd/" + "abcd" + "0" * 60 + ".age"
    office.rooms.store.put(name, b"age-encryption.org/v1\nnobody knows")
    stranger = office.home / "keys" / "6b6f9e43-5c0b-4a0c-9d4e-2b1f3f0f9b11.age"
    stranger.write_bytes((office.home / "keys" / f"{office.items[0].id}.age").read_bytes())
    with office.unlocked():
        planned = run("verify", "--sweep", "--dry-run")
        assert "Would remove 1 object, 1 key file" in planned.stdout, planned.output
        unasked = run("verify", "--sweep")
        assert (unasked.exit_code, "give --yes" in unasked.stdout) == (3, True), "there is no terminal to ask on"
        assert office.rooms.store.exists(name) and stranger.exists()
        swept = run("verify", "--sweep", "--yes")
        assert swept.exit_code == 0, swept.output
        assert "Swept: 1 object, 1 key file, 0 unfinished writes." in swept.stdout
    assert not office.rooms.store.exists(name) and not stranger.exists()
    assert UUID(stranger.stem) not in office.rooms.key_files.list()
