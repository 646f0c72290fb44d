"""ExifTool's answer is text from hostile files: it is read, or refused as a whole."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import InputError
from media.claims import read_claims
from media.tags import parse_tags


def test_numbers_stay_the_text_that_was_printed() -> None:
    (tag,) = parse_tags(b'[{"EXIF:GPS:Main::GPSLatitude":{"desc":"x","num":39.0513444444444000,"val":"39 deg"}}]')
    assert tag.number == "39.0513444444444000"
    assert tag.source == "GPS:GPSLatitude"


def test_sub_documents_and_copies_are_told_apart() -> None:
    raw = b'[{"GoPro:Track4:Doc1:Copy2:GPSSpeed":{"val":1.5},"GoPro:Track4:Main::GPSSpeed":{"val":2}}]'
    first, second = parse_tags(raw)
    assert (first.document, first.copy, first.source) == ("Doc1", "Copy2", "Track4:Doc1:GPSSpeed")
    assert (second.document, second.copy, second.text) == ("", "", "2")


def test_a_structure_is_walked_with_its_paths() -> None:
    raw = b'[{"XMP:XMP-iptcExt:Main::LocationShown":{"val":[{"City":"Berlin","Names":["a","b"]}]}}]'
    (tag,) = parse_tags(raw)
    assert tag.fields == (("[1]/City", "Berlin"), ("[1]/Names[1]", "a"), ("[1]/Names[2]", "b"))


def test_half_a_surrogate_pair_is_replaced_because_no_record_can_hold_it() -> None:
    (tag,) = parse_tags(b'[{"XMP:XMP-dc:Main::Title":{"val":"a\\ud800b"}}]')
    tag.text.encode("utf-8")
    assert tag.text == "a?b"


@pytest.mark.parametrize(
    "raw",
    [b"not json", b"{}", b"[]", b"[1]", b"[{},{}]", b'[{"a":1', b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000],
)
def test_an_answer_that_cannot_be_read_is_refused_as_a_whole(raw: bytes) -> None:
    with pytest.raises(InputError) as caught:
        parse_tags(raw)
    assert caught.value.code == "media/unreadable-answer"


def test_a_structure_nested_too_deep_to_walk_is_refused() -> None:
    raw = b'[{"XMP:XMP-x:Main::Deep":{"val":' + b"[" * 900 + b"1" + b"]" * 900 + b"}}]"
    try:
        parse_tags(raw)
    except InputError as error:
        assert error.code == "media/unreadable-answer"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
_NAMES = st.sampled_from(
    ["GPSLatitude", "GPSLongitude", "GPSCoordinates", "CreateDate", "GPSDateStamp", "Make", "City", "OffsetTime", "Lat"]
)
_KEYS = st.builds(lambda name, copy: f"EXIF:ExifIFD:Main:{copy}:{name}", _NAMES, st.sampled_from(["", "Copy1"]))
_VALUES = st.fixed_dictionaries({"val": _JSON}, optional={"num": _JSON})


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=6))
def test_whatever_the_values_are_claims_are_text_and_whole_numbers(members: dict[str, object]) -> None:
    claims = read_claims(parse_tags(json.dumps([members]).encode()))
    told = [asdict(claim) for claim in claims.times] + [asdict(claim) for claim in claims.places]
    for value in (each for claim in told for each in claim.values()):
        assert value is None or isinstance(value, str | int)
        if isinstance(value, str):
            value.encode("utf-8")
