"""Checkpoints: both signature kinds, and no state but the signed one."""

import json
import struct
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import IntegrityError
from custody.checkpoint import Checkpoint, KeyType, SigningKey, sign_checkpoint, verify_checkpoint
from custody.signed_note import SignedNote

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "signed-note" / "signed-note.json").read_bytes())
ORIGIN = "archive.example.org/log"
TIME = datetime(2026, 11, 22, 2, 3, 4, 5, tzinfo=UTC)
ED = SigningKey(name=ORIGIN, type=KeyType.ED25519, seed=bytes(range(32)))
PQ = SigningKey(name=ORIGIN, type=KeyType.MLDSA44, seed=bytes(range(32)))
KEYS = (ED.verifier_key, PQ.verifier_key)
CHECKPOINT = Checkpoint(origin=ORIGIN, size=1234, root=bytes(range(32)))
NOTE = sign_checkpoint(CHECKPOINT, (ED, PQ), TIME)


def test_the_example_of_the_specification_reads_and_writes() -> None:
    text = VECTORS["checkpoint_example"]
    checkpoint = Checkpoint.parse(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == text


def test_a_signed_checkpoint_verifies_by_both_keys() -> None:
    verified = verify_checkpoint(NOTE, KEYS)
    assert verified.checkpoint == CHECKPOINT
    assert verified.keys == KEYS
    assert verified.key_types == {KeyType.ED25519, KeyType.MLDSA44}
    assert verified.cosigned_time == TIME.replace(microsecond=0)


def test_either_line_may_be_unknown_but_the_ed25519_line_must_be_there() -> None:
    alone = verify_checkpoint(NOTE, KEYS[:1])
    assert alone.key_types == {KeyType.ED25519}
    assert alone.cosigned_time is None
    with pytest.raises(IntegrityError) as caught:
        verify_checkpoint(NOTE, KEYS[1:])
    assert caught.value.code == "custody/bad-signature"


def test_the_ml_dsa_line_signs_the_message_of_the_specification() -> None:
    """The message is built here a second time, straight from C2SP tlog-cosignature."""
    line = SignedNote.parse(NOTE).signatures[1]
    seconds = int(TIME.timestamp())
    message = b"subtree/v1\n\x00"
    message += struct.pack(">B", len(ORIGIN)) + ORIGIN.encode() + struct.pack(">Q", seconds)
    message += struct.pack(">B", len(ORIGIN)) + ORIGIN.encode() + struct.pack(">QQ", 0, 1234) + bytes(range(32))
    assert line.signature[:8] == struct.pack(">Q", seconds)
    assert len(line.signature) == 8 + 2420
    MLDSA44PublicKey.from_public_bytes(PQ.verifier_key.public_key).verify(line.signature[8:], message)


def test_the_ed25519_line_signs_the_text_alone() -> None:
    ed_only = sign_checkpoint(CHECKPOINT, (ED,), TIME)
    assert ed_only == sign_checkpoint(CHECKPOINT, (ED,), TIME + timedelta(days=1))
    assert NOTE.startswith(ed_only)


def test_a_wrong_line_of_either_kind_refuses_the_whole_note() -> None:
    other = sign_checkpoint(Checkpoint(origin=ORIGIN, size=1235, root=CHECKPOINT.root), (ED, PQ), TIME)
    text, lines = NOTE.split(b"\n\n")
    ed_line, pq_line = lines.splitlines(keepends=True)
    other_ed, other_pq = other.split(b"\n\n")[1].splitlines(keepends=True)
    for mixed in (ed_line + other_pq, other_ed + pq_line, ed_line + pq_line + other_ed, other_pq + ed_line):
        with pytest.raises(IntegrityError) as caught:
            verify_checkpoint(text + b"\n\n" + mixed, KEYS)
        assert caught.value.code == "custody/bad-signature"


def test_a_trusted_key_of_another_log_does_not_vouch_for_this_one() -> None:
    stranger = SigningKey.generate("other.example.org/log", KeyType.ED25519)
    line = SignedNote.parse(NOTE).signatures[0]
    signature = stranger.sign(CHECKPOINT.text().encode())
    foreign = type(line)(name=stranger.name, key_id=stranger.verifier_key.key_id, signature=signature)
    note = SignedNote(text=CHECKPOINT.text(), signatures=(foreign,)).to_bytes()
    with pytest.raises(IntegrityError) as caught:
        verify_checkpoint(note, (stranger.verifier_key, *KEYS))
    assert caught.value.code == "custody/bad-signature"


def test_extension_lines_are_read_and_signed_by_the_ed25519_line() -> None:
    checkpoint = Checkpoint(origin=ORIGIN, size=1, root=bytes(32), extensions=("one", "two words"))
    note = sign_checkpoint(checkpoint, (ED,), TIME)
    assert verify_checkpoint(note, KEYS).checkpoint == checkpoint
    with pytest.raises(IntegrityError):
        verify_checkpoint(note.replace(b"two words", b"two worlds"), KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        "o\n1\n",
        "o\n1\nAAAA\n",
        "o\n01\n" + "A" * 43 + "=\n",
        "o\n+1\n" + "A" * 43 + "=\n",
        "o\n-1\n" + "A" * 43 + "=\n",
        "o\n1_0\n" + "A" * 43 + "=\n",
        "o\n١\n" + "A" * 43 + "=\n",
        "o\n" + "9" * 5000 + "\n" + "A" * 43 + "=\n",
        "o\n" + str(2**53) + "\n" + "A" * 43 + "=\n",
        "o\n1\n" + "A" * 42 + "B=\n",
        "o\n1\n" + "A" * 43 + "=",
        "o\n1\n" + "A" * 43 + "=\n\n",
        "o\n1\n" + "A" * 43 + "=\n\nx\n",
        "a b\n1\n" + "A" * 43 + "=\n",
        "x" * 256 + "\n1\n" + "A" * 43 + "=\n",
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_a_text_that_would_not_have_been_written_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        Checkpoint.parse(text)
    assert caught.value.code == "custody/bad-note"


@given(st.data())
def test_a_checkpoint_with_any_byte_changed_is_refused_or_says_the_same(data: st.DataObject) -> None:
    note = bytearray(NOTE)
    # Most of the note is the ML-DSA line; both halves are drawn alike.
    place = data.draw(st.integers(0, 250) | st.integers(0, len(note) - 1))
    note[place] = data.draw(st.integers(0, 255))
    try:
        verified = verify_checkpoint(bytes(note), KEYS)
    except IntegrityError:
        return
    assert verified.checkpoint == CHECKPOINT
    assert verified.cosigned_time in (None, TIME.replace(microsecond=0))


@given(st.integers(0, 2**53 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_reads_back(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=root)
    assert Checkpoint.parse(checkpoint.text()) == checkpoint
    assert b64decode(checkpoint.text().splitlines()[2]) == root


def test_wrong_use_is_refused_before_anything_is_signed() -> None:
    other = SigningKey.generate("other.example.org/log", KeyType.ED25519)
    with pytest.raises(ValueError, match="bear its origin"):
        sign_checkpoint(CHECKPOINT, (ED, other), TIME)
    with pytest.raises(ValueError, match="needs an Ed25519"):
        sign_checkpoint(CHECKPOINT, (PQ,), TIME)
    with pytest.raises(ValueError, match="aware"):
        sign_checkpoint(CHECKPOINT, (ED,), TIME.replace(tzinfo=None))
