"""A network that keeps no metadata: only the cleaned copy becomes an object, and the log stays truthful about it."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from custody.receipt_checking import verify_receipt
from custody.receipt_office import issue_receipt
from ingest.reception import Linked, Refused, Stored
from tests.way_in import SAMPLES, WayIn, arrival

PHOTO = SAMPLES / "DCIM" / "Camera" / "IMG_5195.HEIC"
STRIP = '[policy.at_ingest]\nphoto = "strip"\n'


def archive_that(tmp_path: Path, settings: str) -> WayIn:
    home = tmp_path / "archive"
    with WayIn(home) as founded:
        config = founded.home / "config.toml"
        before = config.read_text() if config.is_file() else ""
        config.write_text(before + "\n" + settings)
    return WayIn.existing(home)


def test_only_the_cleaned_copy_becomes_an_object_and_both_digests_are_committed_to(tmp_path: Path) -> None:
    original = PHOTO.read_bytes()
    with archive_that(tmp_path, STRIP) as archive:
        (result,) = archive.take_in([arrival("IMG_5195.HEIC", PHOTO, claims={"who": "Ana"})])
        assert isinstance(result, Stored)
        stored = archive.stored(result.item.id)
        assert hashlib.sha256(stored).digest() == result.sha256 != hashlib.sha256(original).digest()
        copy = tmp_path / "copy.heic"
        copy.write_bytes(stored)
        said = subprocess.run(["exiftool", "-a", "-G1", "-u", str(copy)], capture_output=True, text=True, check=True)
        assert "GPS" not in said.stdout
        assert "iPhone" not in said.stdout
        (entry,) = archive.log_of(result.item)
        intake = entry.get("intake")
        assert intake["handed_in"] == {"sha256": hashlib.sha256(original).hexdigest(), "size": len(original)}
        assert intake["stored"] == {"sha256": result.sha256.hex(), "size": len(stored)}
        assert {"location", "time", "device_model", "maker"} <= set(intake["removed"])
        assert entry.get("fixity")["sha256"] == result.sha256.hex()
        assert entry.get("policy")["outcome"] == "stripped"
        assert entry.get("policy")["policy_id"] == archive.rooms.policy.id
        # Neither the report of the tools nor the sender's words keep what the file lost.
        report = json.loads(archive.stored(result.item.id, "metadata"))
        assert "GPS" not in report["metadata"]["json"]
        assert entry.get("original_name")["name"] == ""
        assert entry.get("claims")["sender"] == {}
        assert archive.staged() == []
        assert len(archive.objects()) == 2


def test_a_receipt_tells_whoever_handed_it_in_both_digests(tmp_path: Path) -> None:
    original = PHOTO.read_bytes()
    with archive_that(tmp_path, STRIP) as archive:
        (result,) = archive.take_in([arrival("IMG_5195.HEIC", PHOTO)])
        assert isinstance(result, Stored)
        assert result.handed_in_sha256 == hashlib.sha256(original).hexdigest()
        receipt = issue_receipt(
            archive.rooms.publisher,
            "R-1",
            archive.clock(),
            [(result.item.number, result.entry, result.sha256, result.item.size)],
        )
        verdict = verify_receipt(receipt, archive.rooms.verifier_keys)
        (item,) = verdict.items
        assert item.sha256 is not None and item.sha256.value == result.sha256
        assert any(result.handed_in_sha256 in check.words for check in item.checks)
        path = tmp_path / "receipt.json"
        path.write_bytes(receipt)
        verifier = Path(__file__).resolve().parents[2] / "export" / "packet_verifier.py"
        said = subprocess.run(
            ["python3", "-I", str(verifier), "--receipt", str(path)], capture_output=True, text=True, check=False
        )
        assert result.handed_in_sha256 in said.stdout, said.stdout + said.stderr


def test_the_same_file_again_is_recognised_by_its_cleaned_copy(tmp_path: Path) -> None:
    with archive_that(tmp_path, STRIP) as archive:
        first, second = archive.take_in([arrival("a.heic", PHOTO), arrival("b.heic", PHOTO)])
        assert isinstance(first, Stored)
        assert isinstance(second, Linked)
        assert archive.staged() == []


def test_kinds_that_are_not_named_are_kept_whole(tmp_path: Path) -> None:
    with archive_that(tmp_path, STRIP) as archive:
        (note,) = archive.take_in([arrival("note.txt", b"a note\n")])
        assert isinstance(note, Stored)
        assert archive.stored(note.item.id) == b"a note\n"
        (entry,) = archive.log_of(note.item)
        assert entry.get("policy")["outcome"] == "kept whole"
        assert entry.get("original_name")["name"] == "note.txt"
        assert archive.staged() == []


BROKEN = b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM\x00*\x00\x00"


def test_what_cannot_be_cleaned_is_refused_with_the_reason(tmp_path: Path) -> None:
    with archive_that(tmp_path, STRIP) as archive:
        (result,) = archive.take_in([arrival("broken.jpg", BROKEN)])
        assert isinstance(result, Refused)
        assert result.error.code == "ingest/cannot-strip"
        assert "keeps no metadata" in result.error.message
        assert archive.staged() == []
        assert archive.objects() == []
        (entry,) = archive.last_entries(1)
        assert (entry.entry.event, entry.get("code")) == ("refusal", "ingest/cannot-strip")


def test_or_kept_whole_and_marked_where_the_settings_say_so(tmp_path: Path) -> None:
    with archive_that(tmp_path, f'[policy]\nuncleanable = "keep_marked"\n{STRIP}') as archive:
        (result,) = archive.take_in([arrival("broken.jpg", BROKEN)])
        assert isinstance(result, Stored)
        assert archive.stored(result.item.id) == BROKEN
        assert any("kept-whole" in problem for problem in result.problems)
        (entry,) = archive.log_of(result.item)
        assert entry.get("policy")["outcome"] == "kept whole, could not be cleaned"
        assert "could not be" in entry.get("policy")["reason"] or "cannot be" in entry.get("policy")["reason"]
        assert entry.entry.outcome == "warning"


@pytest.mark.parametrize("member", ["handed_in", "stored"])
def test_both_digests_of_a_stripped_file_stand_in_the_log_as_commitments_alone(tmp_path: Path, member: str) -> None:
    with archive_that(tmp_path, STRIP) as archive:
        (result,) = archive.take_in([arrival("a.heic", PHOTO)])
        assert isinstance(result, Stored)
        (entry,) = archive.log_of(result.item)
        digest = entry.get("intake")[member]["sha256"]
        assert digest.encode() not in result.entry.leaf
