"""`policy` and `clean`: what a technician sees, what is written, what the log says of it."""

import hashlib
import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from archive.catalogue.items import item_by_number
from ingest.reception import Stored
from tests.cli.conftest import Run
from tests.way_in import SAMPLES, WayIn, arrival

PHOTO = SAMPLES / "DCIM" / "Camera" / "IMG_5195.HEIC"


def told(path: Path) -> str:
    return subprocess.run(["exiftool", "-a", "-G1", "-u", str(path)], capture_output=True, text=True, check=True).stdout


def test_the_policy_is_shown_with_its_id(run: Run) -> None:
    result = run("policy", "show")
    assert result.exit_code == 0
    assert "Metadata policy sha256:" in result.stdout
    row = next(line.split() for line in result.stdout.splitlines() if line.startswith("location"))
    assert row == ["location", "keep", "keep", "keep", "ask", "ask", "-", "-"]


def test_the_policy_is_shown_as_json_too(run: Run) -> None:
    shown = json.loads(run("policy", "show", "--kind", "video", "--json").stdout)
    assert shown["handling"]["time"]["press"] == "generalise"
    assert shown["at_ingest"] == "keep"


def test_a_rule_of_the_settings_changes_the_policy_and_its_id(run: Run, home: Path) -> None:
    before = json.loads(run("policy", "show", "--json").stdout)
    config = home / "config.toml"
    rule = '[[policy.rules]]\nkind = "photo"\naudience = "press"\nmetadata = "time"\nhandling = "strip"\n'
    config.write_text((config.read_text() if config.is_file() else "") + rule)
    after = json.loads(run("policy", "show", "--json").stdout)
    assert after["handling"]["time"]["press"] == "strip"
    assert after["policy_id"] != before["policy_id"]


@pytest.mark.usefixtures("sandbox")  # Without an archive there are no settings that do without.
def test_a_file_is_tried_field_by_field_without_an_archive(run: Run, tmp_path: Path) -> None:
    result = run("policy", "test", str(PHOTO), "--audience", "press", TESTIGO_HOME=str(tmp_path / "nowhere"))
    assert result.exit_code == 0, result.output
    assert "GPS:GPSLatitude" in result.stdout
    assert "told beside it: 2021-04-11" in " ".join(result.stdout.split())
    assert "such a copy can be made" in result.stdout
    assert not (tmp_path / "nowhere").exists()


def test_the_trial_is_told_as_json_with_the_reason_of_each_field(run: Run) -> None:
    shown = json.loads(run("policy", "test", str(PHOTO), "--audience", "press", "--json").stdout)
    fields = {each["field"]: each for each in shown["fields"]}
    assert fields["GPS:GPSLatitude"]["class"] == "location"
    assert fields["GPS:GPSLatitude"]["happens"] == "strip"
    assert fields["ExifIFD:DateTimeOriginal"]["becomes"] == "2021-04-11"
    assert all(each["why"] for each in shown["fields"])
    assert shown["copy"]["removed"]["location"] > 5
    assert shown["refused"] is None


def test_a_file_that_cannot_be_cleaned_is_said_so(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM\x00*\x00\x00")
    result = run("policy", "test", str(broken))
    assert result.exit_code == 0
    assert "REFUSED" in result.stdout
    refused = run("clean", "--file", str(broken), "--audience", "press", "-o", str(tmp_path / "copy.jpg"))
    assert refused.exit_code == 1
    assert "cannot be cleaned" in refused.output
    assert sorted(each.name for each in tmp_path.iterdir() if "copy" in each.name) == []


@pytest.mark.usefixtures("sandbox")  # Without an archive there are no settings that do without.
def test_a_plain_file_is_cleaned_without_an_archive(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "copy.heic"
    before = hashlib.sha256(PHOTO.read_bytes()).hexdigest()
    result = run(
        "clean", "--file", str(PHOTO), "--audience", "press", "-o", str(out), TESTIGO_HOME=str(tmp_path / "nowhere")
    )
    assert result.exit_code == 0, result.output
    assert "WARNING" in result.stderr and "in clear" in result.stderr
    assert hashlib.sha256(out.read_bytes()).hexdigest() in result.stdout
    assert "GPS" not in told(out) and "Apple" not in told(out)
    assert out.stat().st_mode & 0o777 == 0o600
    assert hashlib.sha256(PHOTO.read_bytes()).hexdigest() == before


def test_nothing_is_ever_written_over(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "mine.heic"
    out.write_text("mine")
    result = run("clean", "--file", str(PHOTO), "--audience", "press", "-o", str(out))
    assert result.exit_code == 1
    assert out.read_text() == "mine"


def test_what_may_stay_whole_is_the_file_itself(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "copy.heic"
    assert run("clean", "--file", str(PHOTO), "--audience", "counsel", "-o", str(out)).exit_code == 0
    assert out.read_bytes() == PHOTO.read_bytes()


def test_counsel_may_let_a_class_through(run: Run, tmp_path: Path) -> None:
    shut, let = tmp_path / "shut.heic", tmp_path / "let.heic"
    file = ["clean", "--file", str(PHOTO), "--audience", "court_public", "-o"]
    assert run(*file, str(shut)).exit_code == 0
    assert run(*file, str(let), "--tick", "location").exit_code == 0
    assert "GPS" not in told(shut)
    assert "GPS" in told(let)
    # What a court keeps is in both: when it was taken, and with what.
    assert "Date/Time Original" in told(shut) and "iPhone 11 Pro Max" in told(shut)
    assert "Focus" not in told(let)


def test_an_items_copy_is_in_the_log_before_and_after(run: Run, unlocked: WayIn, tmp_path: Path) -> None:
    out = tmp_path / "copy.heic"
    before = unlocked.rooms.ledger.size()
    result = run("clean", "E-2026-00001", "--audience", "press", "--reason", "for the Tribune", "-o", str(out))
    assert result.exit_code == 0, result.output
    access, made = unlocked.last_entries(2)
    assert unlocked.rooms.ledger.size() == before + 2
    assert (access.entry.event, made.entry.event) == ("access", "metadata modification")
    assert access.get("purpose") == "clean copy for the press: for the Tribune"
    with unlocked.rooms.database.reading() as session:
        item, _ = item_by_number(session, "E-2026-00001")
    copy = unlocked.log_of(item)[-1].get("copy")
    assert copy["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert copy["policy_id"] == unlocked.rooms.policy.id
    assert copy["audience"] == "press"
    assert copy["removed"]["location"] > 5


def test_a_locked_archive_hands_nothing_out(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "copy.heic"
    result = run("clean", "E-2026-00001", "--audience", "press", "-o", str(out))
    assert result.exit_code == 12
    assert not out.exists()


@pytest.mark.parametrize("words", [(), ("E-2026-00001", "--file", str(PHOTO))])
def test_either_an_item_or_a_file(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run("clean", *words, "--audience", "press", "-o", str(tmp_path / "x")).exit_code == 2


def test_what_was_stripped_at_intake_is_said_where_the_item_and_the_log_are_shown(
    run: Run, home: Path, tmp_path: Path
) -> None:
    config = home / "config.toml"
    strip = '[policy]\nuncleanable = "keep_marked"\n[policy.at_ingest]\nphoto = "strip"\n'
    config.write_text((config.read_text() if config.is_file() else "") + strip)
    handed = SAMPLES / "DCIM" / "Camera" / "iphone_hdr_YES.jpg"
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM\x00*\x00\x00")
    digest = hashlib.sha256(handed.read_bytes()).hexdigest()
    with WayIn.existing(home) as archive, archive.unlocked():
        archive.clock.move(-timedelta(minutes=30))  # The commands look at the machine's own, which is slower.
        result, marked = archive.take_in([arrival(handed.name, handed), arrival(broken.name, broken)])
        assert isinstance(result, Stored) and isinstance(marked, Stored)
        shown, kept = (" ".join(run("show", each.item.number).stdout.split()) for each in (result, marked))
        log = " ".join(run("log", result.item.number).stdout.split())
    assert "only this cleaned copy is kept" in shown
    assert "location (" in shown and "device model (" in shown
    assert digest in shown.replace(" ", "") and digest in log.replace(" ", "")
    assert "stripped at intake" in log
    assert "It was stripped at intake" in shown and "camera file" not in shown
    assert "not stripped kept whole, because it could not be cleaned" in kept


def test_the_headers_of_a_mail_are_told_with_what_happens_to_each(run: Run, tmp_path: Path) -> None:
    mail = tmp_path / "letter.eml"
    head = "From: Ana <ana@example.org>\nTo: Luis <luis@example.org>\nDate: Mon, 1 Jan 2024 10:11:12 +0000\n"
    way = "Received: from [10.1.2.3] by x\n\twith SMTP\nX-Originating-IP: 192.0.2.7\nMessage-ID: <7@ana-laptop>\n"
    mail.write_text(head + way + "Subject: Hello\nFrom: Second\n\nWords: of the letter\n")
    shown = json.loads(run("policy", "test", str(mail), "--audience", "press", "--json").stdout)
    happens = [(each["header"], each["happens"]) for each in shown["headers"]]
    assert [name for name, what in happens if what == "keep"] == ["From", "To", "Date", "Subject"]
    assert [name for name, what in happens if what == "strip"] == [
        "Received", "X-Originating-IP", "Message-ID", "From",
    ]  # fmt: skip
    assert shown["headers"][3]["value"] == "from [10.1.2.3] by x with SMTP"
    page = run("policy", "test", str(mail), "--audience", "press").stdout
    assert "X-Originating-IP" in page and "stays: the letter shows it" in page
    copy = tmp_path / "copy.eml"
    two_writers = run("clean", "--file", str(mail), "--audience", "press", "-o", str(copy))
    assert two_writers.exit_code == 1 and not copy.exists(), "which of the two is shown hangs on the program"
    mail.write_text(mail.read_text().replace("From: Second\n", ""))
    assert run("clean", "--file", str(mail), "--audience", "press", "-o", str(copy)).exit_code == 0
    kept = copy.read_text()
    assert "Date: Mon, 01 Jan 2024" in kept and "192.0.2.7" not in kept
    assert json.loads(run("policy", "test", str(PHOTO), "--json").stdout)["headers"] == []
