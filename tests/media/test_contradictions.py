"""Contradictions inside one file are named with both sides; what a zone or a fix can explain is not called one."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from media.contradictions import contradictions
from media.ranges import BytesRanges
from media.recorded import shifted
from media.sentences import english
from media.workbench import Workbench
from tests.media.received_samples import GOPRO, IPHONE, NOKIA, exiftool, ffmpeg

RECEIVED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
Told = Callable[..., list[str]]


@pytest.fixture
def told(workbench: Workbench, tmp_path: Path) -> Told:
    """Give a file other fields with ExifTool and tell what contradictions are found in it."""

    def tell(*options: str, original: Path = NOKIA) -> list[str]:
        changed = tmp_path / f"changed{original.suffix}"
        changed.write_bytes(original.read_bytes())
        if options:
            exiftool(*options, changed)
        claims = workbench.examine(BytesRanges(changed.read_bytes())).claim_values()
        return [found.id for found in contradictions(claims, RECEIVED)]

    return tell


@pytest.mark.parametrize("original", [NOKIA, IPHONE, GOPRO], ids=lambda path: path.name)
def test_a_file_that_agrees_with_itself_is_left_alone(told: Told, original: Path) -> None:
    assert told(original=original) == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["-EXIF:DateTimeOriginal=2022:08:14 20:12:31"], "contradiction/gps-time"),
        (["-EXIF:DateTimeOriginal=2027:01:01 00:00:00"], "contradiction/future"),
        (["-EXIF:ModifyDate=2022:08:13 10:00:00"], "contradiction/modified-before"),
        (["-XMP-xmp:CreateDate=2022:08:10 14:12:31+03:00"], "contradiction/taken-times"),
        (["-SubSecTimeOriginal=11", "-XMP-xmp:CreateDate=2022:08:14 14:12:31.9+03:00"], "contradiction/fraction"),
        (["-XMP-exif:GPSLatitude=41.5", "-XMP-exif:GPSLongitude=-70.5"], "contradiction/places"),
        (["-EXIF:DateTimeOriginal=2022:13:41 14:12:31", "-n"], "contradiction/no-such-time"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_each_kind_of_contradiction_is_found(told: Told, options: list[str], found: str) -> None:
    assert found in told(*options)


def test_a_time_without_a_zone_may_be_as_far_ahead_as_zones_go(told: Told) -> None:
    assert "contradiction/future" not in told("-DateTimeOriginal=2026:11:25 01:00:00", original=IPHONE)
    assert "contradiction/future" in told("-DateTimeOriginal=2026:11:25 03:00:00", original=IPHONE)


def test_tracks_that_were_begun_at_another_time_than_the_film_are_found(workbench: Workbench, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:duration=1", "-metadata", "creation_time=2024-01-01T10:00:00", film)
    exiftool("-TrackCreateDate=2023:12:31 09:00:00", film)
    claims = workbench.examine(BytesRanges(film.read_bytes())).claim_values()
    (found,) = contradictions(claims, RECEIVED)
    assert found.id == "contradiction/track-times"
    assert english(found) == (
        "The film says that it was begun at 2024-01-01 10:00:00 UTC, its track Track1 at 2023-12-31 09:00:00 UTC, "
        "25 hours apart."
    )


def test_a_small_copy_of_another_time_is_found(told: Told) -> None:
    assert told("-IFD1:ModifyDate=2015:04:01 10:00:00", original=IPHONE) == ["contradiction/thumbnail-time"]


def test_absurd_records_are_read_without_an_error() -> None:
    for embedded in (
        {},
        {"times": None, "places": None},
        {"times": [{"utc": "9999-12-31T23:59:59Z", "source": "IFD0:ModifyDate", "uncertainty_seconds": 1}]},
        {"times": [{"local": "0001-01-01T00:00:00", "source": "IFD0:ModifyDate", "uncertainty_seconds": 50401}]},
        {"places": [{"latitude": "90", "longitude": "-180", "source": "GPS:x"}] * 3},
    ):  # fmt: skip
        contradictions(embedded, RECEIVED)


@pytest.mark.parametrize(
    ("claimed", "seconds", "true"),
    [
        ("2026-01-01T00:00:00Z", 37, "2025-12-31T23:59:23Z"),
        ("2026-01-01T00:00:00", -37, "2026-01-01T00:00:37"),
        ("2026-01-01T00:00:00.123Z", 0, "2026-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59", -10, None),
        ("yesterday", 1, None),
    ],
)
def test_an_offset_moves_a_claimed_time_and_keeps_its_zone(claimed: str, seconds: int, true: str | None) -> None:
    assert shifted(claimed, seconds) == true


def test_looking_for_contradictions_costs_a_photo_little(workbench: Workbench) -> None:
    claims: dict[str, Any] = workbench.examine(BytesRanges(NOKIA.read_bytes())).claim_values()
    spent = []
    for _ in range(50):
        start = time.thread_time()
        contradictions(claims, RECEIVED)
        spent.append(time.thread_time() - start)
    assert min(spent) < 0.002
