"""What arrived of an upload whose sender is gone: it becomes an item at an unlock, as far as it was acknowledged."""

from pathlib import Path

from archive.catalogue.drops import deliveries_of
from archive.catalogue.items import list_items
from archive.catalogue.records import Visit
from archive.segments import list_uploads
from tests.archives import PASSPHRASE
from tests.way_in import run_here
from tests.web.served import Served, new_token, serving
from tests.web.test_tus import content, made


def test_a_half_done_upload_is_rescued_after_an_unlock_to_the_last_acknowledged_octet(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    data = content(900_000)
    with serving(tmp_path / "var") as served:
        where, empty = made(served, len(data), filename="lost.mp4"), made(served, 10)
        assert served.patch(where, 0, data[:300_001]).status == 204
        assert served.patch(where, 300_001, data[300_001:600_002]).status == 204
        locked = run_here(served.home, "drop", "rescue", "--all")
        assert locked.returncode == 12, "without the office's key nothing of it opens"
        assert len(list_uploads(served.home / "uploads")) == 2
        opened = run_here(served.home, "unlock", "--minutes", "5", "--passphrase-file", str(passphrase))
        assert opened.returncode == 0, opened.stderr
        try:
            fresh = run_here(served.home, "drop", "rescue")
            assert "No upload waits" in fresh.stdout, "an upload that may go on is left alone"
            rescued = run_here(served.home, "drop", "rescue", "--all")
            assert rescued.returncode == 0, rescued.stderr
            assert "1 unfinished upload became an item" in rescued.stdout
            assert run_here(served.home, "verify", "--full").returncode in (0, 3)
        finally:
            run_here(served.home, "lock")
        assert served.patch(where, 600_002, data[600_002:]).status == 410
        assert served.state(where) == "incomplete"
        assert served.head(empty).status == 410
        archive = served.opened()
        with archive.rooms.database.reading() as session:
            items = [item for item, _ in list_items(session)]
            visits = session.execute(Visit.table.select()).mappings().all()
            deliveries = [each for visit in visits for each in deliveries_of(session, visit["id"])]
        assert [archive.stored(item.id) for item in items] == [data[:600_002]]
        assert [(each.size, each.declared) for each in deliveries] == [(600_002, 900_000)]
        entry = archive.log_of(items[0])[0]
        assert entry.get("incomplete") == {"received": 600_002, "declared": 900_000, "why": "no more came"}
        assert entry.get("original_name")["name"] == "lost.mp4"
        archive.rooms.close()
        assert list_uploads(served.home / "uploads") == ()


def test_a_rebuilt_catalogue_finds_unfinished_uploads_again(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    data = content(200_000)
    served = Served(tmp_path / "var").start()
    try:
        where = served.create(len(data), new_token(), filename="a.bin").headers["Location"]
        assert served.patch(where, 0, data[:120_000]).status == 204
    finally:
        served.stop()
    (served.home / "catalogue.sqlite").rename(tmp_path / "lost.sqlite")
    rebuilt = run_here(served.home, "rebuild", "--yes", "--passphrase-file", str(passphrase))
    assert rebuilt.returncode in (0, 3), rebuilt.stderr
    opened = run_here(served.home, "unlock", "--minutes", "5", "--passphrase-file", str(passphrase))
    assert opened.returncode == 0, opened.stderr
    try:
        rescued = run_here(served.home, "drop", "rescue", "--all")
        assert "1 unfinished upload became an item" in rescued.stdout, rescued.stdout + rescued.stderr
    finally:
        run_here(served.home, "lock")
