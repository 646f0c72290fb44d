"""Times, places and devices that a file claims: raw, with the field, read only as far as the file allows."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from media.claims import Claims, decimal_degrees, read_claims
from media.conversation import Allowance
from media.metadata_reader import MetadataReader
from media.ranges import BytesRanges
from media.tags import Tag, parse_tags
from tests.conftest import CorpusFinder
from tests.media.conftest import VECTORS


def _tag(source: str, text: str, number: str | None = None, *, family: str = "EXIF", copy: str = "") -> Tag:
    place, _, name = source.partition(":")
    document, _, name = name.rpartition(":")
    return Tag(family, place, document, copy, name, text, text if number is None else number)


def _claims_of(reader: MetadataReader, path: Path) -> Claims:
    extraction = reader.extract(BytesRanges(path.read_bytes()), Allowance(30))
    return read_claims(parse_tags(extraction.raw))


def test_a_time_without_an_offset_stays_local_and_says_so() -> None:
    (claim,) = read_claims([_tag("ExifIFD:DateTimeOriginal", "2026:06:14 15:04:05")]).times
    assert (claim.utc, claim.local) == (None, "2026-06-14T15:04:05")
    assert claim.raw == "2026:06:14 15:04:05"
    assert claim.source == "ExifIFD:DateTimeOriginal"
    assert claim.uncertainty_seconds == 14 * 3600 + 1
    assert claim.note == "offset unknown"


def test_the_offset_beside_an_exif_time_gives_utc_and_is_named() -> None:
    tags = [
        _tag("ExifIFD:DateTimeOriginal", "2026:06:14 15:04:05"),
        _tag("ExifIFD:OffsetTimeOriginal", "-05:00"),
        _tag("ExifIFD:SubSecTimeOriginal", "054"),
        _tag("ExifIFD:OffsetTime", "+09:00"),
    ]
    (claim,) = read_claims(tags).times
    assert claim.utc == "2026-06-14T20:04:05.054Z"
    assert claim.uncertainty_seconds == 1
    assert "OffsetTimeOriginal" in claim.note


def test_satellite_time_is_utc_and_date_and_time_are_read_together() -> None:
    tags = [_tag("GPS:GPSDateStamp", "2026:06:14"), _tag("GPS:GPSTimeStamp", "20:04:05.5")]
    (claim,) = read_claims(tags).times
    assert claim.utc == "2026-06-14T20:04:05.5Z"
    assert claim.source == "GPS:GPSDateStamp+GPSTimeStamp"


def test_a_quicktime_time_is_utc_by_its_format_but_not_surely() -> None:
    (claim,) = read_claims([_tag("QuickTime:CreateDate", "2026:06:14 15:04:05", family="QuickTime")]).times
    assert claim.utc == "2026-06-14T15:04:05Z"
    assert claim.uncertainty_seconds > 14 * 3600
    assert "local time" in claim.note


@pytest.mark.parametrize(
    ("raw", "utc", "local", "seconds"),
    [
        ("2026:06:14 23:30:00-04:00", "2026-06-15T03:30:00Z", None, 1),
        ("2026-06-14T23:30:00+05:30", "2026-06-14T18:00:00Z", None, 1),
        ("2026:06:14 23:30Z", "2026-06-14T23:30:00Z", None, 60),
        ("2026:06:14", None, "2026-06-14", 24 * 3600 + 14 * 3600),
        ("2026:02:30 10:00:00", None, None, 0),
        ("0001:01:01 00:00:00+14:00", None, "0001-01-01T00:00:00", 1),
    ],
)
def test_a_written_time_is_read_as_far_as_it_goes(raw: str, utc: str | None, local: str | None, seconds: int) -> None:
    (claim,) = read_claims([_tag("XMP-xmp:CreateDate", raw, family="XMP")]).times
    assert (claim.raw, claim.utc, claim.local, claim.uncertainty_seconds) == (raw, utc, local, seconds)


@pytest.mark.parametrize("raw", ["0000:00:00 00:00:00", "2026", "yesterday", "", "2026:06:14 15:04:05 and more"])
def test_what_is_no_time_claims_none(raw: str) -> None:
    assert read_claims([_tag("ExifIFD:DateTimeOriginal", raw)]).times == ()


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("39.5", "", "39.5"),
        ("94.25", "W", "-94.25"),
        ("-94.25", "W", "-94.25"),
        ("1e-05", "", "0.00001"),
        ("51 deg 30' 0.00\" N", "", "51.5"),
        ("0 deg 7' 30.00\" W", "", "-0.125"),
        ("181", "", None),
        ("nan", "", None),
        ("undef", "", None),
        ("9" * 400, "", None),
    ],
)
def test_an_angle_becomes_decimal_text_with_its_sign(text: str, reference: str, expected: str | None) -> None:
    found = decimal_degrees(text, reference)
    assert (found if found is None else Decimal(found)) == (expected if expected is None else Decimal(expected))


def test_a_point_takes_its_sign_from_the_references_beside_it() -> None:
    tags = [
        _tag("GPS:GPSLatitude", "33 deg", "33.5"),
        _tag("GPS:GPSLatitudeRef", "South", "S"),
        _tag("GPS:GPSLongitude", "70 deg", "70.25"),
        _tag("GPS:GPSLongitudeRef", "West", "W"),
        _tag("GPS:GPSAltitude", "5 m", "5"),
        _tag("GPS:GPSAltitudeRef", "Below", "1"),
        _tag("GPS:GPSHPositioningError", "8 m", "8"),
    ]
    (place,) = read_claims(tags).places
    assert (place.latitude, place.longitude) == ("-33.5", "-70.25")
    assert (place.altitude_metres, place.accuracy_metres) == ("-5", "8")
    assert place.raw == "33 deg, 70 deg"


def test_an_impossible_point_is_no_place() -> None:
    tags = [_tag("GPS:GPSLatitude", "91", "91"), _tag("GPS:GPSLongitude", "5", "5")]
    assert read_claims(tags).places == ()


def test_points_of_a_timed_track_are_paired_copy_by_copy() -> None:
    tags = [
        _tag("Track4:Doc1:GPSLatitude", "1", "1.5", family="GoPro"),
        _tag("Track4:Doc1:GPSLatitude", "2", "2.5", family="GoPro", copy="Copy1"),
        _tag("Track4:Doc1:GPSLongitude", "4", "4.5", family="GoPro", copy="Copy1"),
        _tag("Track4:Doc1:GPSLongitude", "3", "3.5", family="GoPro"),
    ]
    assert [(place.latitude, place.longitude) for place in read_claims(tags).places] == [("1.5", "3.5"), ("2.5", "4.5")]


def test_the_one_field_of_a_phone_video_gives_a_point() -> None:
    (place,) = read_claims([_tag("Keys:GPSCoordinates", "x", "52.5163 13.3777 35.2", family="QuickTime")]).places
    assert (place.latitude, place.longitude, place.altitude_metres) == ("52.5163", "13.3777", "35.2")


def test_places_with_names_and_devices_are_claims_too() -> None:
    claims = read_claims([_tag("IPTC:City", "Oakland", family="IPTC"), _tag("IFD0:Make", "Apple")])
    assert claims.places[0].name == "Oakland"
    assert (claims.devices[0].kind, claims.devices[0].raw) == ("make", "Apple")


def test_a_real_photo_tells_place_time_and_serial_number(reader: MetadataReader) -> None:
    claims = _claims_of(reader, VECTORS / "gps-and-serial-number.jpg")
    assert ("40.6584191999722", "-73.9933542999722") in {(each.latitude, each.longitude) for each in claims.places}
    assert "2017-10-03T14:58:14Z" in {each.utc for each in claims.times}
    assert ("serial", "C3221324657219") in {(each.kind, each.raw) for each in claims.devices}


def test_every_position_of_the_ground_truth_is_found(reader: MetadataReader, corpus: CorpusFinder) -> None:
    folder = corpus("media-metadata")
    expected: list[tuple[str, str]] = []
    missing: list[tuple[str, str]] = []
    for truth in json.loads((folder / "truth.json").read_text(), parse_float=str, parse_int=str):
        positions = {tag: text for tag, text in truth["gps_decimal"].items() if text}
        if not positions:
            continue
        found = [
            (Decimal(place.latitude), Decimal(place.longitude))
            for place in _claims_of(reader, folder / truth["file"]).places
            if place.latitude is not None and place.longitude is not None
        ]
        for tag, text in positions.items():
            group, _, name = tag.partition(":")
            if name not in ("GPSLatitude", "GPSLongitude"):
                continue
            expected.append((truth["file"], tag))
            axis = 0 if name == "GPSLatitude" else 1
            # An EXIF field holds no sign of its own; the signed value is in the composite one.
            near = [abs(abs(point[axis]) - abs(Decimal(text))) < Decimal("1e-9") for point in found]
            signed = [abs(point[axis] - Decimal(text)) < Decimal("1e-9") for point in found]
            if not any(near if group == "GPS" else signed):
                missing.append((truth["file"], tag))
    assert len(expected) >= 30
    assert missing == []
