"""`verify --since`: the log whole, of items only those of which something was entered since."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from custody.publication import VERIFIER_KEYS
from tests.archives import SmallArchive
from tests.attacks.insider import Insider
from tests.commands.test_checks import archive, damage, documents, run

__all__ = ["archive", "run"]

Run = Callable[..., Result]


def test_only_items_that_later_entries_speak_of_are_read_again(archive: SmallArchive, run: Run, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint-of-last-week"
    checkpoint.write_bytes(archive.publish())
    size = archive.rooms.ledger.size()
    damage(archive)
    (later,) = archive.receive(archive.incident(), [("later.jpg", b"later" * 1000)])
    for since in (checkpoint, size):
        done = run("verify", "--since", since)
        assert done.exit_code == 0, done.output
        assert "1 item, " in done.stdout
        assert f"Not checked: 4 items of which no entry from number {size} on speaks (--since)." in done.stdout
    (summary,) = documents(run("verify", "--since", checkpoint, "--json"))
    assert (summary["items"], summary["since"]) == (1, size)
    assert run("verify").exit_code == 4
    Insider(archive.home).object_path(bytes.fromhex(_object_of(archive, later.number))).unlink()
    damaged = run("verify", "--since", checkpoint)
    assert (damaged.exit_code, later.number in damaged.stdout) == (4, True)


def _object_of(archive: SmallArchive, number: str) -> str:
    query = "SELECT hex(blake3) FROM object JOIN item ON item.id = item_id WHERE number = ?"
    with archive.rooms.database.reading() as session:
        return str(session.connection().exec_driver_sql(query, (number,)).scalar_one())


def test_the_log_before_that_is_checked_all_the_same(archive: SmallArchive, run: Run) -> None:
    size = archive.rooms.ledger.size()
    with Insider(archive.home).sql() as catalogue:
        catalogue.execute("UPDATE entry SET leaf = replace(leaf, 'success', 'failure') WHERE seq = 2")
    done = run("verify", "--since", size)
    assert done.exit_code == 4
    assert "entry 2" in done.stdout


def test_a_checkpoint_of_a_longer_log_tells_that_the_log_was_set_back(
    archive: SmallArchive, run: Run, tmp_path: Path
) -> None:
    archive.rooms.close()
    shutil.copytree(archive.home, tmp_path / "kept")
    archive.reopen()
    archive.receive(archive.incident(), [("later.jpg", b"later")])
    (tmp_path / "checkpoint").write_bytes(archive.publish())
    archive.rooms.close()
    shutil.rmtree(archive.home)
    shutil.copytree(tmp_path / "kept", archive.home)
    done = run("verify", "--since", tmp_path / "checkpoint")
    assert done.exit_code == 4
    assert "only" in done.stdout


def test_what_names_no_place_in_the_log_is_refused_with_what_to_do(
    archive: SmallArchive, run: Run, tmp_path: Path
) -> None:
    beyond = run("verify", "--since", 9999, "--json")
    assert beyond.exit_code == 1
    assert json.loads(beyond.stdout)["code"] == "custody/no-such-entry"
    assert run("verify", "--since", tmp_path / "none").exit_code == 1
    assert run("verify", "--since", archive.home / "store" / VERIFIER_KEYS).exit_code in (1, 4)
    assert run("verify", "E-2026-00001", "--since", 1).exit_code == 2
    assert run("verify", "--sweep", "--since", 1).exit_code == 2
