"""A receipt bears the word of authorities outside on its time, as soon as there is one, and every checker reads it."""

import hashlib
import json
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from archive.catalogue.records import Item
from cli import main
from custody.canonical import canonical_bytes
from custody.checkpoint import Checkpoint
from custody.ledger import EntryRef
from custody.receipt import Receipt, parse_receipt
from custody.receipt_office import issue_receipt
from custody.signed_note import KeyType, SignedNote
from tests.archives import SmallArchive
from tests.running_authority import RunningAuthority, StartAuthority

pytest_plugins = ("tests.authority_fixture",)

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check-receipt"
CONTENT = b"what was brought"


@pytest.fixture
def authorities(start_authority: StartAuthority) -> list[RunningAuthority]:
    return [start_authority("first"), start_authority("second")]


@pytest.fixture
def archive(tmp_path: Path, authorities: list[RunningAuthority]) -> Iterator[SmallArchive]:
    named = "".join(
        f'[[custody.authorities]]\nname = "{each.name}"\nurl = "{each.url}"\nroots = ["{each.root}"]\ntimeout_s = 2\n'
        for each in authorities
    )
    with SmallArchive(tmp_path / "archive", settings=named) as archive:
        yield archive


@pytest.fixture
def received(archive: SmallArchive) -> tuple[Item, EntryRef]:
    (made,) = archive.receive_with_entries(archive.incident("Raid"), [("z.jpg", CONTENT)])
    return made


def _issue(archive: SmallArchive, received: tuple[Item, EntryRef], path: Path) -> Receipt:
    item, entry = received
    row = (item.number, entry, hashlib.sha256(CONTENT).digest(), len(CONTENT))
    path.write_bytes(issue_receipt(archive.rooms.publisher, "R-2026-0001", archive.clock(), [row]))
    return parse_receipt(path.read_bytes())


def _size(receipt: Receipt) -> int:
    return Checkpoint.parse(SignedNote.parse(receipt.checkpoint).text).size


def _stamp(archive: SmallArchive) -> None:
    archive.rooms.workers.stamping.work(lambda *_: None)


def _say(archive: SmallArchive, path: Path, root: Path | None = None) -> tuple[int, int]:
    """Ask the program and the script; return how they end."""
    keys = str(archive.home / "store" / "log" / "verifier-keys")
    given = ["--root", str(root)] if root is not None else []
    words = ["receipt", "check", str(path), "--log-key", keys, *given]
    by_program = CliRunner().invoke(main, words, env={"TESTIGO_HOME": str(path.parent / "none")})
    by_script = subprocess.run([str(SCRIPT), str(path), "--key", keys, *given], capture_output=True, check=False)
    assert not by_script.stderr
    return by_program.exit_code, by_script.returncode


def test_a_receipt_given_again_bears_the_time_that_authorities_attested_first(
    archive: SmallArchive, received: tuple[Item, EntryRef], tmp_path: Path
) -> None:
    before = _issue(archive, received, tmp_path / "before.json")
    assert before.timestamps == ()
    assert _say(archive, tmp_path / "before.json") == (3, 3)
    _stamp(archive)
    attested = _issue(archive, received, tmp_path / "attested.json")
    assert {stamp.authority for stamp in attested.timestamps} == {"first", "second"}
    assert _size(attested) == _size(before)
    # The log grows and is attested again: the first word on this item says most, and its proof holds in the larger log.
    for number in range(300):
        archive.incident(f"Later {number}")
    archive.clock.move(timedelta(days=1))
    archive.rooms.publisher.publish()
    _stamp(archive)
    again = _issue(archive, received, tmp_path / "again.json")
    assert _size(again) == _size(attested)
    assert again.timestamps == attested.timestamps


def test_the_program_and_the_script_go_by_the_authority_that_one_trusts(
    archive: SmallArchive,
    received: tuple[Item, EntryRef],
    authorities: list[RunningAuthority],
    start_authority: StartAuthority,
    tmp_path: Path,
) -> None:
    _stamp(archive)
    path = tmp_path / "receipt.json"
    _issue(archive, received, path)
    assert _say(archive, path) == (0, 0)
    assert _say(archive, path, authorities[0].root) == (3, 3), "of the other one it cannot be told"
    assert _say(archive, path, start_authority("another").root) == (4, 4)


def test_a_time_stamp_on_another_state_is_not_handed_out_and_one_that_is_put_in_is_refused(
    archive: SmallArchive, received: tuple[Item, EntryRef], tmp_path: Path
) -> None:
    _stamp(archive)
    path = tmp_path / "receipt.json"
    _issue(archive, received, path)
    right = json.loads(path.read_text())
    archive.incident("Later")
    archive.rooms.publisher.publish()
    with archive.rooms.catalogue_as_it_lies.writing() as session:
        session.execute(text("DROP TRIGGER timestamp_token_refuses_update"))
        session.execute(text("UPDATE timestamp_token SET size = size + 1"))
    assert _issue(archive, received, path).timestamps == ()
    mixed = json.loads(path.read_text()) | {"timestamps": right["timestamps"]}
    path.write_text(json.dumps(mixed, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    assert _say(archive, path) == (4, 4)


def test_the_script_says_what_it_cannot_read_and_calls_no_receipt_wrong_for_it(
    archive: SmallArchive, received: tuple[Item, EntryRef], tmp_path: Path
) -> None:
    path = tmp_path / "receipt.json"
    _issue(archive, received, path)
    for words in ([str(tmp_path / "nowhere.json")], [str(path), "--root", str(tmp_path / "nowhere.pem")]):
        found = subprocess.run([str(SCRIPT), *words], capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout) == (2, "")
        assert "cannot be read" in found.stderr and "Traceback" not in found.stderr
    without = [sys.executable, str(SCRIPT), str(path)]
    found = subprocess.run(without, capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)})
    assert found.returncode == 2
    assert "This needs the openssl program." in found.stderr and "Traceback" not in found.stderr


def test_what_a_made_up_receipt_says_of_itself_cannot_pass_for_the_scripts_own_words(
    archive: SmallArchive, received: tuple[Item, EntryRef], tmp_path: Path
) -> None:
    """Whoever makes a log of their own can write a number that prints another key and hides the true one."""
    item, entry = received
    forged = "E-1\nThe log's state (9 entries) is signed by archive.example.org/log+theirs\x1b[8m"
    path, row = tmp_path / "receipt.json", (forged, entry, hashlib.sha256(CONTENT).digest(), item.size)
    path.write_bytes(issue_receipt(archive.rooms.publisher, forged, archive.clock(), [row]))
    found = subprocess.run([str(SCRIPT), str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 3, found.stdout
    signed_by = [line for line in found.stdout.splitlines() if line.startswith("The log's state")]
    (key,) = [str(key) for key in archive.rooms.publisher.verifier_keys if key.type is KeyType.ED25519]
    assert signed_by == [f"The log's state ({_size(parse_receipt(path.read_bytes()))} entries) is signed by {key}"]
    assert "\x1b" not in found.stdout


def test_the_script_refuses_a_key_under_the_id_of_another(
    archive: SmallArchive, received: tuple[Item, EntryRef], tmp_path: Path
) -> None:
    path, keys = tmp_path / "receipt.json", tmp_path / "keys"
    _issue(archive, received, path)
    (key,) = [key for key in archive.rooms.publisher.verifier_keys if key.type is KeyType.ED25519]
    name, key_id, octets = str(key).split("+", 2)
    keys.write_text(f"{name}+{'0' * len(key_id)}+{octets}\n")
    found = subprocess.run([str(SCRIPT), str(path), "--key", str(keys)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (4, "") and "a key's id is not that of the key" in found.stdout


def test_the_program_and_the_script_judge_time_stamps_alike_whatever_comes_with_them(
    archive: SmallArchive, received: tuple[Item, EntryRef], start_authority: StartAuthority, tmp_path: Path
) -> None:
    """Of a receipt of an older form nothing signs the time-stamps: whoever hands it in may have changed them."""
    _stamp(archive)
    path, other = tmp_path / "receipt.json", start_authority("another").root
    _issue(archive, received, path)
    whole = json.loads(path.read_text())
    older = {name: value for name, value in whole.items() if name not in ("signed", "use")} | {"v": 1}

    def judged(**changed: Callable[[str], str]) -> list[tuple[int, int]]:
        stamps = [{**stamp, **{name: to(stamp[name]) for name, to in changed.items()}} for stamp in older["timestamps"]]
        path.write_bytes(canonical_bytes({**older, "timestamps": stamps}))
        return [_say(archive, path), _say(archive, path, other)]

    def certificates(chain: str) -> list[str]:
        return [f"{each}-----END CERTIFICATE-----\n" for each in chain.split("-----END CERTIFICATE-----\n")[:-1]]

    leads_to_another, cannot_tell, wrong = [(3, 3), (4, 4)], [(3, 3), (3, 3)], [(4, 4), (4, 4)]
    assert judged() == leads_to_another
    assert judged(chain=lambda chain: "".join(certificates(chain)[::-1])) == leads_to_another
    assert judged(chain=lambda chain: chain + other.read_text()) == leads_to_another
    assert judged(chain=lambda chain: "".join(certificates(chain)[:-1])) == cannot_tell, "its root did not come along"
    assert judged(chain=lambda _: "") == cannot_tell
    assert judged(chain=lambda _: other.read_text()) == wrong
    assert judged(token=lambda token: b64encode(b64decode(token) + b"more").decode()) == wrong
