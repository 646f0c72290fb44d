"""The receipt of an import is not put over anything, and is given whatever breaks the run or its place off."""

import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import commands.import_receipt
from archive.types import Finding
from commands.import_receipt import write_receipt
from commands.talk import Talk
from custody.receipt import MAX_RECEIPT_OCTETS
from custody.receipt_checking import verify_receipt
from ingest.reconciliation import ImportRequest
from tests.cli.conftest import Run
from tests.export.packet_archive import authority_settings
from tests.running_authority import Behaviour, StartAuthority
from tests.way_in import AN_HOUR_AGO, SAMPLES, SETTINGS, YEAR, WayIn, command_line, environment

pytest_plugins = ("tests.authority_fixture",)

INCIDENT = f"I-{YEAR}-0001"


def _card(folder: Path, files: int) -> Path:
    folder.mkdir()
    for number in range(files):
        (folder / f"{number:03}.txt").write_text(f"file {number}\n" * 2000)
    return folder


def _interrupted(
    home: Path, card: Path, receipt: Path, until: Callable[[str], bool], by: signal.Signals = signal.SIGINT
) -> tuple[int, str]:
    """Import, and interrupt at the line for which `until` holds; return the exit code and the rest of what it said."""
    line = command_line("import", str(card), "-i", INCIDENT, "--json", "--receipt", str(receipt))
    with subprocess.Popen(
        line,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whoever runs the tests in the background has it ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        for told in process.stdout:
            if until(told):
                break
        process.send_signal(by)
        rest = process.stdout.read()
    return process.returncode, rest


@pytest.mark.parametrize("kind", ["file", "dangling link", "link to a file"])
def test_what_lies_where_a_receipt_should_go_is_kept_and_nothing_is_done(run: Run, tmp_path: Path, kind: str) -> None:
    receipt, other = tmp_path / "receipt.json", tmp_path / "other.json"
    if kind == "file":
        receipt.write_text("an earlier receipt")
    else:
        receipt.symlink_to(other)
    if kind == "link to a file":
        other.write_text("an earlier receipt")
    log = run("log", "--closed").stdout
    for more in ((), ("--dry-run",)):
        result = run("import", str(SAMPLES / "Documents"), "-i", INCIDENT, "--receipt", str(receipt), *more)
        assert result.exit_code == 1
        assert "is there already, and was kept as it is. Nothing was done." in result.output
    assert run("log", "--closed").stdout == log
    assert receipt.is_symlink() == (kind != "file")
    assert other.exists() == (kind == "link to a file")
    if kind != "dangling link":
        assert receipt.read_text() == "an earlier receipt"


def test_a_receipt_does_not_go_into_the_archive(run: Run, home: Path) -> None:
    for place in (home / "receipt.json", home / "store" / "receipt.json", home / "keys" / "receipt.json"):
        result = run("import", str(SAMPLES / "Documents"), "-i", INCIDENT, "--receipt", str(place))
        assert result.exit_code == 1
        assert "inside the archive's own folders" in result.output
        assert not place.exists()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_import_that_is_interrupted_gives_the_receipt_for_what_is_in(tmp_path: Path, by: signal.Signals) -> None:
    home = tmp_path / "archive"
    with WayIn(home, settings=SETTINGS + "group_files = 2\n", now=AN_HOUR_AGO):
        pass
    receipt = tmp_path / "receipt.json"
    lines: list[str] = []

    def is_acknowledged(told: str) -> bool:
        lines.append(told)
        return '"outcome": "stored"' in told

    status, rest = _interrupted(home, _card(tmp_path / "card", 60), receipt, is_acknowledged, by)
    assert status == 130, rest
    assert "To have one when going on, name another file." in rest
    acknowledged = ("".join(lines) + rest).count('"outcome": "stored"')
    with WayIn.existing(home) as archive:
        assert 1 <= acknowledged <= len(json.loads(receipt.read_text())["items"]) <= archive.rows("item") < 60


def test_a_terminal_that_closes_leaves_the_receipt_for_what_is_in(tmp_path: Path) -> None:
    """As where the line to the machine breaks: nothing can be said any more, and writing to the terminal fails."""
    home, receipt = tmp_path / "archive", tmp_path / "receipt.json"
    with WayIn(home, settings=SETTINGS + "group_files = 2\n", now=AN_HOUR_AGO):
        pass
    line = command_line(
        "import", str(_card(tmp_path / "card", 60)), "-i", INCIDENT, "--json", "--receipt", str(receipt)
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        line,
        env=environment(home),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(theirs)
        told = b""
        while b'"outcome": "stored"' not in told:
            told += os.read(ours, 1 << 16)
        os.close(ours)
        assert process.wait(60) == 130
    with WayIn.existing(home) as archive:
        assert 1 <= len(json.loads(receipt.read_text())["items"]) <= archive.rows("item") < 60


def test_an_interrupt_while_an_authority_is_asked_leaves_the_receipt_written(
    tmp_path: Path, start_authority: StartAuthority
) -> None:
    home, slow = tmp_path / "archive", start_authority("slow")
    slow.behaviour = Behaviour.SLOW

    def is_asked(told: str) -> bool:
        while '"002.txt"' in told and not slow.requests:
            time.sleep(0.02)
        return slow.requests > 0

    with WayIn(home, settings=SETTINGS + authority_settings(slow), now=AN_HOUR_AGO):
        pass
    receipt = tmp_path / "receipt.json"
    status, rest = _interrupted(home, _card(tmp_path / "card", 3), receipt, is_asked)
    assert "Stopped asking the time-stamp authorities" in rest
    assert status == 0, rest
    assert len(json.loads(receipt.read_text())["items"]) == 3


def test_a_receipt_whose_place_is_gone_or_taken_at_the_end_is_written_elsewhere_and_the_place_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stick").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with WayIn(tmp_path / "archive") as archive:
        request = ImportRequest(
            source=_card(tmp_path / "card", 2), incident=archive.raid, actor=archive.actor, claims={}
        )
        closing = archive.rooms.batch_import.run(archive.rooms.batch_import.begin(request), request, lambda _: None)
        results = [result for _, result in closing.results]
        talk = Talk(archive.rooms.asked)
        place = tmp_path / "stick" / "receipt.json"
        place.write_text("of another import")
        write_receipt(archive.rooms, talk, closing.number, results, place)
        beside = tmp_path / "stick" / f"receipt-{closing.number}.json"
        assert len(json.loads(beside.read_text())["items"]) == 2
        assert str(beside) in capsys.readouterr().err.replace("\n", "")
        assert place.read_text() == "of another import"
        shutil.rmtree(tmp_path / "stick")
        write_receipt(archive.rooms, talk, closing.number, results, place)
        assert len(json.loads((tmp_path / "here" / f"receipt-{closing.number}.json").read_text())["items"]) == 2


def test_an_import_of_very_many_files_gives_receipts_that_checkers_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commands.import_receipt._MOST_ITEMS * 5000 < MAX_RECEIPT_OCTETS, "an item takes some 2,700 octets"
    monkeypatch.setattr(commands.import_receipt, "_MOST_ITEMS", 2)
    with WayIn(tmp_path / "archive") as archive:
        request = ImportRequest(
            source=_card(tmp_path / "card", 5), incident=archive.raid, actor=archive.actor, claims={}
        )
        closing = archive.rooms.batch_import.run(archive.rooms.batch_import.begin(request), request, lambda _: None)
        results = [result for _, result in closing.results]
        write_receipt(archive.rooms, Talk(archive.rooms.asked), closing.number, results, tmp_path / "receipt.json")
    told = [verify_receipt((tmp_path / f"receipt{end}.json").read_bytes(), None) for end in ("", "-2", "-3")]
    assert [verdict.finding for verdict in told] == [Finding.MATCHES] * 3
    receipts = [verdict.receipt for verdict in told if verdict.receipt is not None]
    assert [receipt.number for receipt in receipts] == [f"{closing.number}, {part} of 3" for part in (1, 2, 3)]
    assert [len(receipt.items) for receipt in receipts] == [2, 2, 1]
    assert len({item.number for receipt in receipts for item in receipt.items}) == 5
