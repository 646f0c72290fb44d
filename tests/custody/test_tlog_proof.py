"""Proof files: read, written, and worthless once altered."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import IntegrityError
from custody.checkpoint import Checkpoint, sign_checkpoint
from custody.merkle import leaf_hash
from custody.signed_note import KeyType, SigningKey
from custody.tiles import TileReader, grow_tiles
from custody.tlog_proof import TlogProof, verify_tlog_proof

ENTRIES = [b"entry %d" % number for number in range(13)]
KEY = SigningKey(name="archive.example.org/log", type=KeyType.ED25519, seed=bytes(range(32)))
KEYS = (KEY.verifier_key,)
TILES = {tile.path: octets for tile, octets in grow_tiles(0, list(map(leaf_hash, ENTRIES)), lambda _: None)}
READER = TileReader(TILES.get, len(ENTRIES))
CHECKPOINT = Checkpoint(origin=KEY.name, size=len(ENTRIES), root=READER.root())
NOTE = sign_checkpoint(CHECKPOINT, (KEY,), datetime(2026, 11, 22, tzinfo=UTC))


def _proof(index: int, extra: bytes | None = None) -> TlogProof:
    return TlogProof(index=index, hashes=READER.inclusion_proof(index), checkpoint=NOTE, untrusted_extra=extra)


@pytest.mark.parametrize("index", range(len(ENTRIES)))
@pytest.mark.parametrize("extra", [None, b"", b"anything"])
def test_every_entry_has_a_proof_file_that_verifies(index: int, extra: bytes | None) -> None:
    written = _proof(index, extra).to_bytes()
    assert TlogProof.parse(written) == _proof(index, extra)
    proof, verified = verify_tlog_proof(written, ENTRIES[index], KEYS)
    assert proof.index == index
    assert verified.checkpoint == CHECKPOINT


def test_the_file_is_laid_out_as_the_specification_shows() -> None:
    lines = _proof(12, b"\x00").to_bytes().decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra AA==", "index 12"]
    assert lines[5:8] == ["", "archive.example.org/log", "13"]


def test_the_only_entry_of_a_log_needs_no_hashes() -> None:
    checkpoint = Checkpoint(origin=KEY.name, size=1, root=leaf_hash(b"a"))
    note = sign_checkpoint(checkpoint, (KEY,), datetime(2026, 11, 22, tzinfo=UTC))
    written = TlogProof(index=0, hashes=(), checkpoint=note).to_bytes()
    assert written.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\narchive")
    assert verify_tlog_proof(written, b"a", KEYS)[1].checkpoint == checkpoint


def test_another_entry_or_another_place_is_refused() -> None:
    for written, leaf in (
        (_proof(3).to_bytes(), ENTRIES[4]),
        (_proof(3).to_bytes().replace(b"x 3", b"x 4"), ENTRIES[3]),
    ):
        with pytest.raises(IntegrityError) as caught:
            verify_tlog_proof(written, leaf, KEYS)
        assert caught.value.code == "custody/not-included"


def test_a_proof_under_a_key_that_is_not_trusted_is_refused() -> None:
    stranger = SigningKey.generate(KEY.name, KeyType.ED25519)
    with pytest.raises(IntegrityError) as caught:
        verify_tlog_proof(_proof(3).to_bytes(), ENTRIES[3], (stranger.verifier_key,))
    assert caught.value.code == "custody/bad-signature"


GOOD = _proof(3).to_bytes()


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"c2sp.org/tlog-proof@v1",
        b"c2sp.org/tlog-proof@v1\n",
        b"c2sp.org/tlog-proof@v1\nextra AA==",
        b"\n" + GOOD,
        GOOD.replace(b"@v1", b"@v2"),
        GOOD.replace(b"index 3", b"index 03"),
        GOOD.replace(b"index 3", b"index -3"),
        GOOD.replace(b"index 3", b"index +3"),
        GOOD.replace(b"index 3", b"index  3"),
        GOOD.replace(b"index 3", b"index " + b"9" * 5000),
        GOOD.replace(b"index 3\n", b"index 3\nextra AA==\n"),
        GOOD.replace(b"index 3\n", b"extra AA==\nextra AA==\nindex 3\n"),
        GOOD.replace(b"index 3\n", b"extra A\nindex 3\n"),
        GOOD.replace(b"index 3\n", b"index 3\nAA==\n"),
        GOOD.replace(b"index 3\n", b"index 3\r\n"),
        GOOD.replace(b"index 3\n", b"index 3\n" + b"A" * 43 + b"=\n" * 64),
        GOOD.replace(b"index", b"\xc3\xa9ndex"),
    ],
    ids=lambda written: repr(written[:50]),
)
def test_a_malformed_file_is_refused(written: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        verify_tlog_proof(written, ENTRIES[3], KEYS)
    assert caught.value.code == "custody/bad-proof"


@given(st.data())
def test_a_proof_file_with_any_byte_changed_is_refused_or_proves_the_same(data: st.DataObject) -> None:
    written = bytearray(GOOD)
    written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    try:
        proof, verified = verify_tlog_proof(bytes(written), ENTRIES[3], KEYS)
    except IntegrityError:
        return
    assert (proof.index, proof.hashes) == (3, _proof(3).hashes)
    assert verified.checkpoint == CHECKPOINT
