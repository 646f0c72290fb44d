"""What waits on a phone is sealed there to the archive; a locked archive takes it in as the file that was chosen."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.age.recipients import KeyKind, generate_identity, parse_recipient
from archive.age.stream import open_bytes, seal_bytes
from archive.catalogue.items import list_items
from tests.archives import PASSPHRASE
from tests.way_in import SETTINGS, Watcher, run_here
from tests.web.served import TUS, Served, new_token, serving
from tests.web.test_tus import content, sha256

ON = SETTINGS + "[web]\nseal_waiting_copies = true\n"
MARK = b"MARK-in-a-sealed-copy"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("sealed") / "var", settings=ON) as served:
        yield served


def seal_to(served: Served) -> list[str]:
    """The recipients that the page gives, the arrival key first."""
    from commands.drop_rooms import DropRooms

    archive = served.opened()
    link = DropRooms(archive.rooms).links.find(served.code)
    archive.rooms.close()
    return link.seal_to.split(" ")


def sealed_by_a_phone(served: Served, data: bytes) -> bytes:
    return seal_bytes(data, [parse_recipient(text) for text in seal_to(served)])


def begun(served: Served, copy: bytes, data: bytes, **told: str) -> str:
    answer = served.create(len(copy), new_token(), sealed="1", plain_size=str(len(data)), **told)
    assert answer.status == 201, answer.body
    return answer.headers["Location"]


def note(served: Served, where: str, recipient: str, **told: Any) -> int:
    sealed = base64.b64encode(seal_bytes(json.dumps(told).encode(), [parse_recipient(recipient)])).decode()
    headers = {**TUS, "Content-Type": "application/json"}
    return served.ask("POST", f"{where}/digest", headers, json.dumps({"sealed": sealed}).encode()).status


def newest(served: Served) -> tuple[bytes, Any]:
    archive = served.opened()
    with archive.rooms.database.reading() as session:
        item = max((item for item, _ in list_items(session)), key=lambda item: item.number)
    found = archive.stored(item.id), archive.log_of(item)[0]
    archive.rooms.close()
    return found


@pytest.mark.parametrize("size", [0, 1, 65_536, 700_001])
def test_a_sealed_copy_becomes_the_file_that_was_chosen(served: Served, size: int) -> None:
    data = (MARK + content(max(size, 1), size + 5))[:size]
    copy = sealed_by_a_phone(served, data)
    where = begun(served, copy, data)
    names = Watcher([served.home], [MARK, b"names-a-neighbour", sha256(data).encode()])
    with names.watching():
        arrival = seal_to(served)[0]
        assert note(served, where, arrival, filename="names-a-neighbour.mp4", filetype="video/mp4") == 204
        half = len(copy) // 2
        assert served.patch(where, 0, copy[:half]).status == 204
        assert note(served, where, arrival, sha256=sha256(data)) == 204
        assert served.patch(where, half, copy[half:]).status == 204
        served.wait_for(where, "safe")
        names.look()
    assert not names.found
    stored, entry = newest(served)
    assert stored == data
    assert entry.get("original_name")["name"] == "names-a-neighbour.mp4"
    assert entry.get("sealed_on_the_phone") == {"opens": True}
    assert entry.get("comparison") == {"said": sha256(data), "result": "same"}
    assert served.head(where).headers["Upload-Length"] == str(len(copy)), "offsets are of the sealed copy"


@pytest.mark.parametrize("damage", ["of another archive", "changed", "no age file"])
def test_a_copy_that_does_not_open_is_kept_as_it_came_and_said_to_differ(served: Served, damage: str) -> None:
    data = content(300_000, 8)
    copy = sealed_by_a_phone(served, data)
    match damage:
        case "of another archive":
            copy = seal_bytes(data, [generate_identity(KeyKind.HYBRID).recipient])
        case "changed":
            copy = copy[:-70_000] + bytes([copy[-70_000] ^ 1]) + copy[-69_999:]
        case _:
            copy = content(len(copy), 9)
    where = begun(served, copy, data)
    assert served.patch(where, 0, copy).status == 204
    served.wait_for(where, "differs")
    stored, entry = newest(served)
    assert stored == copy
    assert entry.get("sealed_on_the_phone") == {"opens": False}


def test_a_sealed_copy_that_broke_off_is_rescued_as_far_as_it_opens(served: Served, tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    data = content(400_000, 4)
    copy = sealed_by_a_phone(served, data)
    where = begun(served, copy, data)
    assert served.patch(where, 0, copy[:300_000]).status == 204
    opened = run_here(served.home, "unlock", "--minutes", "5", "--passphrase-file", str(passphrase))
    assert opened.returncode == 0, opened.stderr
    try:
        assert "1 unfinished" in run_here(served.home, "drop", "rescue", "--all").stdout
    finally:
        run_here(served.home, "lock")
    stored, entry = newest(served)
    assert data.startswith(stored)
    assert len(stored) > 300_000 - 65_536 - 6000, "all but the piece that was under way, and the header"
    assert entry.get("incomplete") == {"received": len(stored), "declared": 400_000, "why": "no more came"}
    assert served.state(where) == "incomplete"


def test_what_is_told_in_a_sealed_note_must_open_and_a_second_digest_is_refused(served: Served) -> None:
    data = content(1000, 3)
    copy = sealed_by_a_phone(served, data)
    where = begun(served, copy, data)
    arrival, office, *_ = seal_to(served)
    assert note(served, where, office, filename="a") == 422
    assert note(served, where, arrival, filename=7) == 422
    assert note(served, where, arrival, sha256="A" * 64) == 422
    assert note(served, where, arrival, sha256=sha256(data), filename="b", more="kept out") == 204
    assert note(served, where, arrival, sha256=sha256(b"other")) == 409
    headers = {**TUS, "Content-Type": "application/json"}
    assert served.ask("POST", f"{where}/digest", headers, b'{"sealed": "%%"}').status == 400
    assert served.create(100, new_token(), sealed="1").status == 400
    assert served.patch(where, 0, copy).status == 204
    served.wait_for(where, "safe")


def test_the_office_opens_a_waiting_copy_where_the_arrival_key_was_lost(served: Served) -> None:
    copy = sealed_by_a_phone(served, b"a film")
    archive = served.opened()
    assert open_bytes(copy, [archive._office]) == b"a film"
    archive.rooms.close()


def test_the_page_names_no_recipient_unless_the_setting_says_so(tmp_path: Path) -> None:
    served = Served(tmp_path / "var")
    assert seal_to(served) == [""]
