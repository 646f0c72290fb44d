"""Bech32 without its length limit, against BIP 173's own examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.age import bech32

VALID = [
    "A12UEL5L",
    "a12uel5l",
    "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
    "11qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqc8247j",
    "?1ezyfcl",
]
INVALID = [
    "\x201nwldj5",
    "\x7f1axkwrx",
    "\x801eym55h",
    "pzry9x0s0muk",
    "1pzry9x0s0muk",
    "x1b4n0q5v",
    "li1dgmt3",
    "de1lg7wt\xff",
    "A1G7SGD8",
    "10a06t8",
    "1qzzfhee",
    "A12uEL5L",
    "age1 2uel5l",
    "",
]


@pytest.mark.parametrize("text", VALID)
def test_what_bip_173_calls_valid_is_read(text: str) -> None:
    prefix, _ = bech32.decode(text)
    assert text.startswith(prefix)


@pytest.mark.parametrize("text", INVALID)
def test_what_bip_173_calls_invalid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        bech32.decode(text)


@given(st.binary(max_size=1300))
def test_what_was_written_is_read_back_in_either_case(payload: bytes) -> None:
    text = bech32.encode("age1pq", payload)
    assert bech32.decode(text) == ("age1pq", payload)
    assert bech32.decode(text.upper()) == ("AGE1PQ", payload)


@given(st.binary(min_size=1, max_size=60), st.data())
def test_one_changed_character_is_noticed(payload: bytes, data: st.DataObject) -> None:
    text = bech32.encode("age", payload)
    place = data.draw(st.integers(4, len(text) - 1))
    other = data.draw(st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l").filter(lambda c: c != text[place]))
    with pytest.raises(ValueError, match="checksum"):
        bech32.decode(text[:place] + other + text[place + 1 :])


def test_bits_left_over_must_be_zero() -> None:
    # One symbol alone carries five bits and no octet; a checksum that matches does not make it one.
    symbols = bytes([1])
    rest = bech32._polymod(bech32._expand("age") + symbols + bytes(6)) ^ 1
    text = "age1p" + "".join("qpzry9x8gf2tvdw0s3jn54khce6mua7l"[rest >> 5 * (5 - place) & 31] for place in range(6))
    with pytest.raises(ValueError, match="left over"):
        bech32.decode(text)
