"""Commitments: only the exact disclosure opens a digest."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import IntegrityError
from custody.canonical import Json
from custody.commitments import DIGEST_CHARACTERS, SALT_OCTETS, Disclosure, commit

NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | NAME,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=10,
)


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@given(st.binary(min_size=SALT_OCTETS, max_size=SALT_OCTETS), NAME, VALUES)
def test_a_disclosure_is_the_construction_of_the_standard(salt: bytes, name: str, value: Json) -> None:
    disclosure = Disclosure._from_parts(salt, name, value)
    assert disclosure.text == _b64(rfc8785.dumps([_b64(salt), name, value]))
    assert disclosure.digest == _b64(sha256(disclosure.text.encode("ascii")).digest())
    assert disclosure.parse() == (salt, name, value)


def test_the_digest_is_the_one_of_the_example_in_rfc_9901() -> None:
    """4.2.3: the disclosure and digest of `family_name` (its JSON has spaces, so that only the digest is compared)."""
    disclosure = Disclosure("WyI2cU1RdlJMNWhhaiIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0")
    assert disclosure.digest == "uutlBuYeMDyjLLTpf6Jxi7yNkEF35jdyWMn9U7b_RYY"
    with pytest.raises(IntegrityError):
        disclosure.parse()


def test_equal_values_are_closed_differently_each_time() -> None:
    one, two = Disclosure.make("fixity", 1), Disclosure.make("fixity", 1)
    assert one != two
    assert len({item.digest for item in (one, two, *commit([("fixity", 1)] * 50))}) == 52
    assert len(one.digest) == DIGEST_CHARACTERS


def test_many_are_closed_in_order() -> None:
    values: list[tuple[str, Json]] = [("a", 1), ("b", {"c": None}), ("a", "x")]
    assert [(item.parse().name, item.parse().value) for item in commit(values)] == values
    assert commit([]) == ()


@given(st.data())
def test_a_disclosure_with_any_character_changed_opens_nothing(data: st.DataObject) -> None:
    disclosure = Disclosure.make("actor", "observer 7")
    place = data.draw(st.integers(0, len(disclosure.text) - 1))
    character = data.draw(st.characters())
    changed = Disclosure(disclosure.text[:place] + character + disclosure.text[place + 1 :])
    assert (changed.digest == disclosure.digest) == (changed == disclosure)


SALT = _b64(bytes(16))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "é",
        "\ud800",
        "a",
        "====",
        _b64(rfc8785.dumps([SALT, "a", 1])) + "=",
        _b64(rfc8785.dumps([SALT, "a", 1])) + "\n",
        _b64(rfc8785.dumps([SALT, "a"])),
        _b64(rfc8785.dumps([SALT, "a", 1, 2])),
        _b64(rfc8785.dumps([SALT, "", 1])),
        _b64(rfc8785.dumps([SALT, 1, 1])),
        _b64(rfc8785.dumps([1, "a", 1])),
        _b64(rfc8785.dumps(["", "a", 1])),
        _b64(rfc8785.dumps([SALT + "AA", "a", 1])),
        _b64(rfc8785.dumps([SALT[:-1] + "B", "a", 1])),
        _b64(rfc8785.dumps([SALT, "a", 1.5])),
        _b64(rfc8785.dumps({"a": 1})),
        _b64(b'["' + SALT.encode() + b'", "a", 1]'),
        _b64(b"[" * 5000),
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_a_text_that_would_not_have_been_made_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        Disclosure(text).parse()
    assert caught.value.code == "custody/bad-disclosure"


def test_a_plus_does_not_stand_for_a_minus() -> None:
    disclosure = next(made for made in iter(lambda: Disclosure.make("a", "?>"), None) if "-" in made.text)
    assert urlsafe_b64decode(disclosure.text + "=" * (-len(disclosure.text) % 4))
    with pytest.raises(IntegrityError):
        Disclosure(disclosure.text.replace("-", "+")).parse()
