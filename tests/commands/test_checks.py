"""`verify`, `receipt check`, `exposure` and `rebuild` as they are typed: words, JSON and exit codes."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from archive.age.recovery import format_identity, split
from cli import main
from custody.receipt_office import issue_receipt
from tests.archives import PASSPHRASE, SmallArchive
from tests.attacks.insider import Insider
from tests.export.packet_archive import authority_settings
from tests.running_authority import StartAuthority
from tests.way_in import ROOT

pytest_plugins = ("tests.authority_fixture",)

Run = Callable[..., Result]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallArchive]:
    with SmallArchive(tmp_path / "home") as made:
        monkeypatch.setattr("cli.utc_now", made.clock)
        made.receive(made.incident(), [(f"{n}.jpg", bytes([n]) * 3000) for n in range(4)])
        yield made


@pytest.fixture
def run(archive: SmallArchive, tmp_path: Path) -> Run:
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n", encoding="utf-8")

    def testigo(*words: object) -> Result:
        environment = {
            "TESTIGO_HOME": str(archive.home),
            "TESTIGO_PASSPHRASE_FILE": str(tmp_path / "passphrase"),
        }
        return CliRunner().invoke(main, [str(word) for word in words], env=environment)

    return testigo


def documents(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def damage(archive: SmallArchive) -> str:
    """Change one octet of an object; return the item's number."""
    query = "SELECT item.number, hex(object.blake3) FROM object JOIN item ON item.id = item_id ORDER BY 1 LIMIT 1"
    with archive.rooms.database.reading() as session:
        number, digest = session.connection().exec_driver_sql(query).one()
    path = Insider(archive.home).object_path(bytes.fromhex(digest))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return str(number)


def test_a_locked_archive_in_good_order_ends_with_0_and_says_what_was_not_checked(run: Run) -> None:
    result = run("verify")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "4 items, 11.7 KiB, 6 log entries\n"
        "        4 items have their bytes and their key; what the log says was not opened\n"
    )
    assert "items match" not in result.stdout
    assert "Not checked: what only keys can tell" in result.stdout
    assert "Next: testigo unlock" in result.stdout


def test_an_unlocked_archive_is_checked_wholly_and_each_opening_is_an_entry(run: Run, archive: SmallArchive) -> None:
    with archive.unlocked():
        result = run("verify", "--full")
    assert result.exit_code == 0, result.output
    assert "Not checked" not in result.stdout
    assert "4 originals open and have the SHA-256 and size of their receipt" in result.stdout
    assert archive.rooms.ledger.size() == 6 + 1 + 1 + 4  # unlock, the access, a fixity check each


def test_a_changed_octet_ends_with_4_and_names_the_item(run: Run, archive: SmallArchive) -> None:
    number = damage(archive)
    result = run("verify")
    assert result.exit_code == 4
    assert "        3 items have their bytes and their key;" in result.stdout
    assert f"  DOES NOT MATCH  {number}  The bytes of its original are not those that were stored." in result.stdout
    assert f"Next: testigo show {number}" in result.stdout
    assert run("verify", "E-2026-00002").exit_code == 0
    assert run("verify", number).exit_code == 4


def test_json_is_one_line_for_each_finding_and_a_summary(run: Run, archive: SmallArchive) -> None:
    number = damage(archive)
    found, summary = documents(run("verify", "--json"))
    assert (found["message_type"], found["subject"], found["code"]) == ("finding", number, "custody/object-damaged")
    assert summary["message_type"] == "summary"
    assert (summary["ok"], summary["items"], summary["entries"]) == (False, 4, 6)
    assert (summary["matched"], summary["matched_without_keys"]) == (None, 3)
    assert summary["anchored"] is False


def test_an_orphan_ends_with_3_until_it_is_swept(run: Run, archive: SmallArchive) -> None:
    archive.rooms.store.put("objects/ab/cd/" + "abcd" + "0" * 60 + ".age", b"age-encryption.org/v1\nnobody knows")
    locked = run("verify")
    assert (locked.exit_code, "--sweep" in locked.stdout) == (3, False)
    with archive.unlocked():
        result = run("verify")
        assert result.exit_code == 3
        assert "testigo verify --sweep" in result.stdout
        swept = run("verify", "--sweep", "--yes")
    assert swept.exit_code == 0, swept.output
    assert "Swept: 1 object, 0 key files, 0 unfinished writes." in swept.stdout
    assert run("verify").exit_code == 0


def test_a_full_check_of_a_locked_archive_ends_with_12(run: Run) -> None:
    result = run("verify", "--full")
    assert result.exit_code == 12
    assert "--full opens every original" in result.stderr


def test_wrong_use_ends_with_2_and_an_unknown_item_with_5(run: Run) -> None:
    assert run("verify", "--full", "--keyless").exit_code == 2
    assert run("verify", "--sweep", "E-2026-00001").exit_code == 2
    assert run("verify", "--against", "nowhere").exit_code == 2
    assert run("verify", "E-2026-09999").exit_code == 5


def test_of_a_log_that_does_not_match_everything_else_is_checked_and_nothing_is_signed(
    run: Run, archive: SmallArchive
) -> None:
    with archive.unlocked():
        archive.publish()
        with Insider(archive.home).sql(guards_back=False) as sql:
            (signed,) = sql.execute("SELECT max(size) FROM checkpoint").fetchone()
            sql.execute("UPDATE entry SET leaf = replace(leaf, 'success', 'failure') WHERE seq = 2")
            sql.execute("UPDATE item SET size = size + 1 WHERE number = 'E-2026-00003'")
        result = run("verify")
        assert result.exit_code == 4
        assert "DOES NOT MATCH  entry 2 (E-2026-00001)" in result.stdout
        assert "DOES NOT MATCH  E-2026-00003  The catalogue's size (item) is not what the log says" in result.stdout
        assert "no checkpoint was made over it" in result.stdout
        assert "        0 items match\n" in result.stdout, "a checkpoint over all of them does not match"
        with archive.rooms.catalogue_as_it_lies.reading() as session:
            assert session.connection().exec_driver_sql("SELECT max(size) FROM checkpoint").scalar() == signed


def test_keyless_writes_nothing_even_while_unlocked(run: Run, archive: SmallArchive) -> None:
    with archive.unlocked():
        size = archive.rooms.ledger.size()
        assert run("verify", "--keyless").exit_code == 0
        assert archive.rooms.ledger.size() == size


@pytest.fixture
def receipt(archive: SmallArchive, tmp_path: Path) -> Path:
    content = b"what was brought"
    made = archive.receive_with_entries(archive.incident("Later"), [("z.jpg", content)])
    item, entry = made[0]
    row = (item.number, entry, hashlib.sha256(content).digest(), len(content))
    (tmp_path / "receipt.json").write_bytes(
        issue_receipt(archive.rooms.publisher, "R-2026-0001", archive.clock(), [row])
    )
    return tmp_path / "receipt.json"


def test_a_receipt_is_checked_without_any_archive(receipt: Path, archive: SmallArchive, tmp_path: Path) -> None:
    key = str(archive.rooms.verifier_keys[0])
    environment = {"TESTIGO_HOME": str(tmp_path / "no archive here")}

    def check(*words: str) -> Result:
        return CliRunner().invoke(main, ["receipt", "check", str(receipt), *words], env=environment)

    result = check()
    assert result.exit_code == 3, result.output  # No authority stamped it, and `verify.py --receipt` says the same.
    assert "CANNOT TELL    time-stamp pending" in result.stdout
    assert "MATCHES        E-2026-00005" in result.stdout
    assert archive.rooms.verifier_keys[0].fingerprint in result.stdout
    trusted = check("--log-key", key)
    assert trusted.exit_code == 3
    alone = subprocess.run(
        [sys.executable, "-I", str(ROOT / "export" / "packet_verifier.py"), "--receipt", str(receipt)],
        capture_output=True,
        check=False,
    )
    assert alone.returncode == 3
    assert "Compare these fingerprints" not in trusted.stdout
    receipt.write_bytes(receipt.read_bytes().replace(b'"size":16', b'"size":17'))
    altered = check("--json")
    assert altered.exit_code == 4
    (summary,) = documents(altered)
    assert (summary["ok"], summary["finding"]) == (False, "DOES NOT MATCH")


def test_a_receipt_by_another_key_does_not_match(run: Run, receipt: Path, tmp_path: Path) -> None:
    with SmallArchive(tmp_path / "another") as another:
        key = str(another.rooms.verifier_keys[0])
    assert run("receipt", "check", receipt, "--log-key", key).exit_code == 4


@pytest.mark.parametrize("option", ["--log-key", "--root"])
@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\x00no key", b"a+b\n", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_key_or_root_that_is_none_is_wrong_use_and_never_as_if_it_was_not_given(
    run: Run, receipt: Path, tmp_path: Path, option: str, content: bytes
) -> None:
    (tmp_path / "given").write_bytes(content)
    result = run("receipt", "check", receipt, option, tmp_path / "given")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "that was given" in result.stderr


def test_whoever_kept_a_receipt_finds_out_that_the_log_was_rewritten(
    run: Run, receipt: Path, archive: SmallArchive
) -> None:
    assert run("verify", "--against", receipt).exit_code == 0
    insider = Insider(archive.home)
    history, sizes = insider.history(insider.owner_keys()), insider.sizes()
    insider.rewrite(history[:6], [each for each in sizes if each[0] <= 6])
    insider.close()
    (archive.home / "keys" / f"{history[7].items[0]}.age").unlink()
    (archive.home / "keys" / f"{history[6].parts[0].owner.id}.age").unlink(missing_ok=True)
    assert run("verify").exit_code in (0, 3)
    result = run("verify", "--against", receipt)
    assert result.exit_code == 4
    assert "receipt.json stands for a log of 8 entries, and only 6 are here" in result.stdout
    assert "E-2026-00005" in result.stdout


def test_exposure_is_a_page_for_people_and_lines_for_programs(run: Run) -> None:
    page = run("exposure")
    assert page.exit_code == 0
    assert "The whole disk, archive locked (its resting state)" in page.stdout
    assert "item (4 rows): " in page.stdout
    assert "opens  sealed values: 1 of incident, 4 of item" in page.stdout
    lines = documents(run("exposure", "--json"))
    assert [line["demand"] for line in lines] == [
        "log_witness", "store_host", "seized_disk", "signing_key", "unlocked", "counsel"
    ]  # fmt: skip


def test_a_lost_catalogue_is_rebuilt_and_what_is_shown_is_the_same(run: Run, archive: SmallArchive) -> None:
    with archive.unlocked():
        before = [run("show", f"E-2026-0000{n}").stdout for n in range(1, 5)]
        listed = run("ls").stdout
    archive.rooms.close()
    assert run("rebuild").exit_code == 2
    archive.rooms.catalogue_path.rename(archive.home / "damaged")
    result = run("rebuild")
    assert result.exit_code == 0, result.output
    assert "Next: testigo verify" in result.stdout
    assert run("ls").stdout == listed
    archive.rooms = archive.open_rooms()
    with archive.unlocked():
        after = [run("show", f"E-2026-0000{n}").stdout for n in range(1, 5)]
        assert run("verify").exit_code == 0
    for one, other in zip(before, after, strict=True):
        # The second showing is one more access, and otherwise the same.
        assert other.startswith(one)
        assert len(other.splitlines()) == len(one.splitlines()) + 1
    assert "rebuild" in run("log", "--closed").stdout


def test_the_recovery_key_rebuilds_whole_and_in_parts(run: Run, archive: SmallArchive, tmp_path: Path) -> None:
    (tmp_path / "recovery").write_text(format_identity(archive.founded.recovery), encoding="utf-8")
    for number, share in enumerate(split(archive.founded.recovery, threshold=2, total=3)):
        (tmp_path / f"part-{number}").write_text(share.format(), encoding="utf-8")
    for given in (["recovery"], ["part-0", "part-2"]):
        archive.rooms.close()
        archive.rooms.catalogue_path.rename(tmp_path / f"lost-{given[0]}")
        words = [word for name in given for word in ("--recovery", tmp_path / name)]
        result = run("rebuild", *words)
        assert result.exit_code == 0, result.output
        assert run("verify").exit_code == 0


def test_store_keys_and_signing_keys_alone_make_an_archive_again(
    run: Run, archive: SmallArchive, tmp_path: Path
) -> None:
    archive.rooms.close()
    for part in ("store", "keys", "secrets", "config.toml"):
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        (archive.home / part).rename(tmp_path / "elsewhere" / part)
    assert run("rebuild", "--home", tmp_path / "elsewhere").exit_code == 0
    assert run("verify", "--home", tmp_path / "elsewhere").exit_code == 0
    (tmp_path / "elsewhere" / "catalogue.sqlite").rename(tmp_path / "lost")
    (tmp_path / "elsewhere" / "secrets" / "log-signing-keys").unlink()
    without = run("rebuild", "--home", tmp_path / "elsewhere")
    assert without.exit_code == 3, without.output
    assert "nothing can be entered, this rebuilding neither" in without.stderr
    checked = run("verify", "--home", tmp_path / "elsewhere")
    assert checked.exit_code == 3
    assert "The log's signing keys are not here" in checked.stdout


def test_a_clock_that_ran_back_keeps_nothing_found_before_from_being_told(run: Run, archive: SmallArchive) -> None:
    number = damage(archive)
    with archive.unlocked():
        archive.clock.move(timedelta(days=-2))
        result = run("verify")
        archive.clock.move(timedelta(days=3))
    assert result.exit_code == 4
    assert number in result.stdout
    assert "clock stands before the last signed checkpoint" in result.stdout


def test_a_wrong_passphrase_rebuilds_nothing(run: Run, archive: SmallArchive, tmp_path: Path) -> None:
    archive.rooms.close()
    archive.rooms.catalogue_path.rename(tmp_path / "lost")
    (tmp_path / "passphrase").write_text("this is another passphrase altogether", encoding="utf-8")
    result = run("rebuild")
    assert result.exit_code == 12
    assert not archive.rooms.catalogue_path.exists()


def test_pending_time_stamps_are_said_and_are_no_failure(
    start_authority: StartAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SmallArchive(tmp_path / "home", settings=authority_settings(start_authority("loopback"))) as archive:
        monkeypatch.setattr("cli.utc_now", archive.clock)
        pending = CliRunner().invoke(main, ["verify", "--home", str(archive.home)])
        assert pending.exit_code == 0
        assert "has not attested the newest checkpoint yet" in pending.stdout
        archive.rooms.workers.stamping.work(lambda *_: None)
        (summary,) = documents(CliRunner().invoke(main, ["verify", "--json", "--home", str(archive.home)]))
        assert (summary["ok"], summary["anchored"]) == (True, True)


def test_a_damaged_signing_key_keeps_nothing_else_from_being_checked(run: Run, archive: SmallArchive) -> None:
    secret = archive.home / "secrets" / "log-signing-keys"
    secret.write_bytes(secret.read_bytes()[:-9])
    number = damage(archive)
    done = run("verify", "--keyless", "--json")
    assert done.exit_code == 4
    codes = {each["code"] for each in documents(done) if each["message_type"] == "finding"}
    assert {"custody/bad-key", "custody/keys-unconfirmed"} < codes, number


def test_key_files_without_their_generation_are_not_called_an_unmounted_disk(run: Run, archive: SmallArchive) -> None:
    (archive.home / "keys" / "generation.json").unlink()
    done = run("unlock")
    assert (done.exit_code, "keys/bad-generation" in done.output) == (4, True)
