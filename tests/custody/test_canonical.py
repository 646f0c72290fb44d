"""Canonical JSON against the vectors of RFC 8785's authors, and against a slower independent writer."""

import json
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import IntegrityError
from custody.canonical import MAX_DEPTH, MAX_INTEGER, Json, canonical_bytes, parse_canonical

VECTORS = Path(__file__).parents[1] / "vectors" / "jcs-rfc8785"
NAMES = sorted(path.name for path in (VECTORS / "input").glob("*.json"))

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def test_all_vectors_are_here() -> None:
    assert len(NAMES) == 6


@pytest.mark.parametrize("name", NAMES)
def test_the_library_beneath_writes_every_vector(name: str) -> None:
    assert (
        rfc8785.dumps(json.loads((VECTORS / "input" / name).read_bytes())) == (VECTORS / "output" / name).read_bytes()
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_without_floats_is_written_and_one_with_floats_is_refused(name: str) -> None:
    value = json.loads((VECTORS / "input" / name).read_bytes())
    if _has_float(value):
        with pytest.raises(ValueError, match="float has no canonical form"):
            canonical_bytes(value)
    else:
        assert canonical_bytes(value) == (VECTORS / "output" / name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_canonical_form_of_a_vector_is_read_and_refused_where_it_holds_floats(name: str) -> None:
    canonical = (VECTORS / "output" / name).read_bytes()
    if _has_float(json.loads(canonical)):
        with pytest.raises(IntegrityError, match="canonical form"):
            parse_canonical(canonical)
    else:
        assert parse_canonical(canonical) == json.loads(canonical)


@given(VALUES)
def test_both_writers_agree_and_reading_gives_the_value_back(value: Json) -> None:
    written = canonical_bytes(value)
    assert written == rfc8785.dumps(value)
    assert parse_canonical(written) == value


def test_names_beyond_the_basic_plane_sort_by_utf16() -> None:
    assert canonical_bytes({"\uff61": 1, "a\U0001f600": 2, "\U0001f600": 3, "a\ufb33": 4}).decode() == (
        '{"a\U0001f600":2,"a\ufb33":4,"\U0001f600":3,"\uff61":1}'
    )


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), 2**53, -(2**53), {1: "a"}, {"a": b"x"}, b"x", {"a"}, "\ud800", {"\ud800": 1}, {"a": 0.5}],
    ids=repr,
)
def test_what_two_programs_could_read_differently_is_not_written(value: Json) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each of several messages
        canonical_bytes(value)


def _nested(depth: int) -> Json:
    value: Json = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_nesting_ends_at_a_stated_depth() -> None:
    assert parse_canonical(canonical_bytes(_nested(MAX_DEPTH))) == _nested(MAX_DEPTH)
    with pytest.raises(ValueError, match="nested deeper"):
        canonical_bytes(_nested(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" 1",
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b"1.0",
        b"1e3",
        b"-0",
        b"NaN",
        b"Infinity",
        b"9007199254740992",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\ud800"',
        b'"\xff"',
        b"\xef\xbb\xbf1",
        b"1\n",
        "1".encode("utf-16"),
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"1" * 10_000,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_bytes_that_would_not_have_been_written_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_canonical(data)
    assert caught.value.code == "custody/not-canonical"


def test_hostile_json_of_others_is_refused_or_is_canonical(corpus) -> None:  # type: ignore[no-untyped-def]
    for path in sorted((corpus("json-parsing") / "test_parsing").glob("*.json")):
        data = path.read_bytes()
        try:
            value = parse_canonical(data)
        except IntegrityError:
            assert not path.name.startswith("y_") or data != _library_form(data)
        else:
            assert canonical_bytes(value) == data
            assert not path.name.startswith("n_")


def _library_form(data: bytes) -> bytes | None:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return None if _has_float(value) else rfc8785.dumps(value)


def _has_float(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_float(member) for member in value.values())
    if isinstance(value, list):
        return any(_has_float(member) for member in value)
    return isinstance(value, float) or (isinstance(value, int) and abs(value) > MAX_INTEGER)
