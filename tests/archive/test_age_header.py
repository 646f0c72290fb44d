"""The header's grammar: what it writes, what it refuses, and that its MAC binds it."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.age.header import HEADER_LIMIT, Header, Stanza, decode_base64, derive_key, encode_base64
from archive.errors import InputError, IntegrityError

KEY = bytes(range(16))

arguments = st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1), min_size=1, max_size=4)
stanzas = st.lists(st.builds(Stanza, arguments.map(tuple), st.binary(max_size=200)), min_size=1, max_size=4)


@given(stanzas)
def test_a_header_is_read_as_it_was_written_and_no_octet_further(made: list[Stanza]) -> None:
    header = Header.build(made, KEY)
    reader = io.BytesIO(header.text + b"payload")
    read = Header.parse(reader)
    read.verify_mac(KEY)
    assert read == header
    assert read.stanzas == tuple(made)
    assert reader.read() == b"payload"


@given(stanzas, st.data())
def test_any_changed_octet_of_a_header_is_noticed(made: list[Stanza], data: st.DataObject) -> None:
    octets = bytearray(Header.build(made, KEY).text)
    place = data.draw(st.integers(0, len(octets) - 1))
    octets[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((InputError, IntegrityError)):
        Header.parse(io.BytesIO(octets)).verify_mac(KEY)


def test_another_file_key_does_not_fit_the_mac() -> None:
    header = Header.build([Stanza(("any",), b"")], KEY)
    with pytest.raises(IntegrityError) as caught:
        header.verify_mac(bytes(16))
    assert caught.value.code == "age/header-mac"
    assert "header_sha256" in caught.value.evidence
    with pytest.raises(IntegrityError):
        replace(header, mac=bytes(32)).verify_mac(KEY)


@pytest.mark.parametrize("cut", range(0, 120))
def test_a_header_cut_anywhere_is_malformed(cut: int) -> None:
    text = Header.build([Stanza(("X25519", "abc"), bytes(range(40)))], KEY).text
    with pytest.raises(InputError) as caught:
        Header.parse(io.BytesIO(text[: min(cut, len(text) - 1)]))
    assert caught.value.code == "age/bad-header"


def test_a_header_without_end_is_given_up() -> None:
    endless = b"age-encryption.org/v1\n" + b"-> a\n\n" * HEADER_LIMIT
    with pytest.raises(InputError, match="too long"):
        Header.parse(io.BytesIO(endless))
    with pytest.raises(InputError, match="too long"):
        Header.parse(io.BytesIO(b"age-encryption.org/v1\n-> " + b"a" * HEADER_LIMIT))


@pytest.mark.parametrize("text", [b"AA==", b"AB", b"A", b"AA\n", b" AAAA", b"AAA-", b"AAA=", b"\xff\xff"])
def test_only_canonical_base64_is_read(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_base64(text)


@given(st.binary(max_size=100))
def test_base64_is_read_as_it_was_written(octets: bytes) -> None:
    assert decode_base64(encode_base64(octets)) == octets


def test_keys_are_derived_as_rfc_5869_says() -> None:
    # RFC 5869, test case 3: no salt, no info; the first 32 octets.
    assert (
        derive_key(b"\x0b" * 22, b"", b"").hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    )
