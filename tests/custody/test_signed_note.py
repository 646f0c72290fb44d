"""Signed notes and their keys against the facts of Go's implementation and of the specification."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import IntegrityError
from custody.signed_note import (
    MAX_NOTE_OCTETS,
    KeyType,
    NoteSignature,
    SignedNote,
    SigningKey,
    VerifierKey,
    verify_note,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "signed-note" / "signed-note.json").read_bytes())
KEY = SigningKey(name="example.org/log", type=KeyType.ED25519, seed=bytes(range(32)))
PQ_KEY = SigningKey(name="example.org/log", type=KeyType.MLDSA44, seed=bytes(range(32)))


def _note(text: str, *keys: SigningKey) -> bytes:
    lines = [
        NoteSignature(name=key.name, key_id=key.verifier_key.key_id, signature=key.sign(text.encode())) for key in keys
    ]
    return SignedNote(text=text, signatures=tuple(lines)).to_bytes()


def test_all_27_vectors_are_here() -> None:
    assert len(VECTORS["vkeys"]) + len(VECTORS["notes"]) == 27


@pytest.mark.parametrize("case", VECTORS["vkeys"], ids=lambda case: case.get("reason", "accepted"))
def test_a_verifier_key_is_judged_as_its_maker_says(case: dict[str, Any]) -> None:
    if case["accept"]:
        assert str(VerifierKey.parse(case["vkey"])) == case["vkey"]
    else:
        with pytest.raises(IntegrityError) as caught:
            VerifierKey.parse(case["vkey"])
        assert caught.value.code == "custody/bad-key"


@pytest.mark.parametrize("case", VECTORS["notes"], ids=lambda case: case["name"])
def test_a_note_is_judged_as_its_maker_says(case: dict[str, Any]) -> None:
    note = b64decode(case["note_base64"])
    keys = [VerifierKey.parse(text) for text in case["trusted_keys"]]
    if case["accept"]:
        assert verify_note(note, keys).to_bytes() == note
    else:
        with pytest.raises(IntegrityError) as caught:
            verify_note(note, keys)
        assert caught.value.code in ("custody/bad-note", "custody/bad-signature")


def test_the_private_key_of_go_s_own_tests_reads_and_has_its_public_key() -> None:
    text = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
    key = SigningKey.parse(text)
    assert str(key.verifier_key) == VECTORS["vkeys"][0]["vkey"]
    assert key.secret_text() == text


@pytest.mark.parametrize("key_type", KeyType)
def test_keys_read_back_and_keep_their_secret_out_of_sight(key_type: KeyType) -> None:
    key = SigningKey.generate("example.org/log", key_type)
    assert SigningKey.parse(key.secret_text()) == key
    assert VerifierKey.parse(str(key.verifier_key)) == key.verifier_key
    assert repr(key.seed) not in repr(key)
    assert key != SigningKey.generate("example.org/log", key_type)
    assert key.verifier_key.fingerprint.startswith(key.verifier_key.key_id.hex())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PRIVATE+KEY+",
        KEY.secret_text() + "\n",
        KEY.secret_text()[:-1],
        KEY.secret_text().replace("PRIVATE", "PUBLIC"),
        KEY.secret_text().replace("example.org", "example.com"),
        str(KEY.verifier_key),
    ],
)
def test_a_signing_key_that_was_altered_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        SigningKey.parse(text)
    assert caught.value.code == "custody/bad-key"
    assert caught.value.__cause__ is None
    assert dict(caught.value.evidence) == {"kind": "signing key"}


def test_at_least_sixteen_signatures_and_a_hundred_are_read() -> None:
    line = _note("a\n", KEY).split(b"\n\n")[1]
    assert len(SignedNote.parse(b"a\n\n" + line * 100).signatures) == 100
    with pytest.raises(IntegrityError, match="cannot be read"):
        SignedNote.parse(b"a\n\n" + line * 101)


def test_a_text_may_hold_empty_lines_and_what_looks_like_a_signature() -> None:
    text = "one\n\n— example.org/log AAAAAAA=\n\ntwo\n"
    assert verify_note(_note(text, KEY), [KEY.verifier_key]).text == text


def test_one_wrong_signature_by_a_known_key_refuses_the_whole_note() -> None:
    other = SigningKey.generate("example.org/other", KeyType.ED25519)
    wrong = NoteSignature(name=other.name, key_id=other.verifier_key.key_id, signature=bytes(64))
    note = _note("a\n", KEY) + str(wrong).encode()
    assert verify_note(note, [KEY.verifier_key]).text == "a\n"
    with pytest.raises(IntegrityError) as caught:
        verify_note(note, [KEY.verifier_key, other.verifier_key])
    assert caught.value.code == "custody/bad-signature"


def test_an_ml_dsa_key_alone_does_not_vouch_for_a_text() -> None:
    with pytest.raises(IntegrityError) as caught:
        verify_note(_note("a\n", PQ_KEY), [PQ_KEY.verifier_key])
    assert caught.value.code == "custody/bad-signature"


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n",
        b"a\n\n",
        b"a\n\n\n",
        b"a\r\n\n" + _note("a\n", KEY)[3:],
        _note("a\n", KEY) + b"\n",
        _note("a\n", KEY).replace(b"log ", b"log  "),
        _note("a\n", KEY).replace(b"org/log", b"org+log"),
        _note("a\n", KEY).replace(b"example.org/log", b""),
        _note("a\n", KEY).replace(b"org/log", b"org\xc2\xa0log"),
        "a\n\n— example.org/log AAAA\n".encode(),
        "a\n\n— example.org/log AAAAAAB=\n".encode(),
        b"a" * MAX_NOTE_OCTETS + _note("a\n", KEY),
    ],
    ids=lambda note: repr(note[:30]),
)
def test_a_malformed_note_is_refused(note: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        SignedNote.parse(note)
    assert caught.value.code == "custody/bad-note"


@given(st.data())
def test_a_note_with_any_byte_changed_is_refused_or_says_the_same(data: st.DataObject) -> None:
    note = bytearray(_note("Evidence is kept.\n", KEY, KEY))
    note[data.draw(st.integers(0, len(note) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = verify_note(bytes(note), [KEY.verifier_key])
    except IntegrityError:
        return
    assert read.text == "Evidence is kept.\n"
    assert read.to_bytes() == bytes(note)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x00b", "\ud800"])
def test_a_name_that_no_line_could_carry_is_refused(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # a surrogate fails in the encoder
        SigningKey(name=name, type=KeyType.ED25519, seed=bytes(32))
