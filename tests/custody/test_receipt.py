"""Receipts: what they prove stands without the archive, and nothing hostile in one brings the checker down."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import IntegrityError
from archive.types import Digest, DigestAlgorithm, Finding, ItemId, Outcome, utc_text
from custody.canonical import Json, canonical_bytes
from custody.checkpoint import Checkpoint, sign_checkpoint
from custody.commitments import Disclosure, commit
from custody.entries import Entry, EventKind, RunLink
from custody.merkle import leaf_hash
from custody.receipt import (
    MAX_RECEIPT_OCTETS,
    Receipt,
    ReceiptItem,
    ReceiptTimestamp,
    build_receipt,
    parse_receipt,
    unsigned_octets,
)
from custody.receipt_checking import verify_receipt
from custody.receipt_head import sign_head
from custody.signed_note import KeyType, SigningKey
from custody.tiles import TileReader, grow_tiles

ORIGIN = "archive.example.org/log"
TIME = datetime(2026, 11, 22, 2, 3, 4, 5, tzinfo=UTC)
ED = SigningKey(name=ORIGIN, type=KeyType.ED25519, seed=bytes(range(32)))
PQ = SigningKey(name=ORIGIN, type=KeyType.MLDSA44, seed=bytes(range(32)))
KEYS = (ED.verifier_key, PQ.verifier_key)
ITEMS = [ItemId(UUID(int=number)) for number in (7, 8)]


def _values(item: ItemId, **changes: Json) -> list[tuple[str, Json]]:
    values: dict[str, Json] = {
        "fixity": {"item": str(item), "stage": "receipt", "sha256": "ab" * 32, "size": 1234},
        "recorded_time": utc_text(TIME),
        "run": RunLink(item=item, number=1, previous=None).value(),
        "actor": "observer 7",
    }
    return list((values | changes).items())


def _made(
    values: list[list[tuple[str, Json]]],
    *,
    event: EventKind = EventKind.INGESTION,
    opened: tuple[str, ...] = ("fixity", "run", "recorded_time"),
) -> Receipt:
    """Build a log of one entry for each list of values, and the receipt over all of them."""
    disclosures = [commit(each) for each in values]
    leaves = [
        Entry.make(seq=seq, event=event, outcome=Outcome.SUCCESS, disclosures=each).leaf()
        for seq, each in enumerate(disclosures)
    ]
    tiles = {tile.path: octets for tile, octets in grow_tiles(0, list(map(leaf_hash, leaves)), lambda _: None)}
    reader = TileReader(tiles.get, len(leaves))
    items = tuple(
        ReceiptItem(
            number=f"E-2026-{seq:05}",
            leaf=leaf,
            index=seq,
            disclosures=tuple(each for each in disclosures[seq] if each.parse().name in opened),
            proof=reader.inclusion_proof(seq),
            sha256=Digest(DigestAlgorithm.SHA256, b"\xab" * 32),
            size=1234,
        )
        for seq, leaf in enumerate(leaves)
    )
    checkpoint = Checkpoint(origin=ORIGIN, size=len(leaves), root=reader.root())
    receipt = Receipt(
        number="R-2026-00001",
        received_time=TIME,
        items=items,
        checkpoint=sign_checkpoint(checkpoint, (ED, PQ), TIME),
        verifier_keys=KEYS,
        timestamps=(ReceiptTimestamp(authority="demo", token=b"\x30\x00", chain="-----BEGIN CERTIFICATE-----\n"),),
    )
    return _signed(receipt)


def _signed(receipt: Receipt) -> Receipt:
    return replace(receipt, signed=sign_head(unsigned_octets(receipt), (ED, PQ)))


RECEIPT = _made([_values(item) for item in ITEMS])
WRITTEN = build_receipt(RECEIPT)


def _finding(receipt: Receipt) -> Finding:
    return verify_receipt(build_receipt(receipt), KEYS).finding


def test_a_receipt_reads_back() -> None:
    assert parse_receipt(WRITTEN) == RECEIPT


def test_a_receipt_proves_what_was_received_and_when() -> None:
    verdict = verify_receipt(WRITTEN, KEYS)
    assert verdict.finding is Finding.MATCHES
    assert verdict.keys == KEYS
    assert verdict.keys_were_given
    assert [(each.item, each.size, each.recorded_time) for each in verdict.items] == [
        (item, 1234, TIME) for item in ITEMS
    ]
    assert all(str(each.sha256) == "sha256:" + "ab" * 32 for each in verdict.items)


def test_without_a_trusted_key_the_verdict_says_on_which_key_it_rests() -> None:
    verdict = verify_receipt(WRITTEN, None)
    assert verdict.finding is Finding.MATCHES
    assert not verdict.keys_were_given
    assert [key.fingerprint for key in verdict.keys] == [key.fingerprint for key in KEYS]


def test_a_receipt_by_another_key_does_not_match_and_its_entries_cannot_be_placed() -> None:
    stranger = SigningKey.generate(ORIGIN, KeyType.ED25519)
    verdict = verify_receipt(WRITTEN, (stranger.verifier_key,))
    assert verdict.finding is Finding.DOES_NOT_MATCH
    assert [each.finding for each in verdict.items] == [Finding.CANNOT_TELL] * 2
    assert all(each.sha256 is None for each in verdict.items)


def test_a_receipt_stripped_of_its_second_signature_does_not_match() -> None:
    text, lines = RECEIPT.checkpoint.split(b"\n\n")
    stripped = replace(RECEIPT, checkpoint=text + b"\n\n" + lines.split(b"\n")[0] + b"\n")
    assert _finding(_signed(stripped)) is Finding.DOES_NOT_MATCH
    assert verify_receipt(build_receipt(_signed(stripped)), KEYS[:1]).finding is Finding.MATCHES


def test_a_receipt_that_states_another_digest_size_or_place_does_not_match() -> None:
    first, second = RECEIPT.items
    for forged in (
        replace(first, sha256=Digest(DigestAlgorithm.SHA256, bytes(32))),
        replace(first, size=1235),
        replace(first, index=1),
        replace(first, proof=second.proof),
        replace(first, proof=()),
        replace(first, proof=(b"short",)),
        replace(first, leaf=second.leaf),
        replace(first, leaf=b"{}"),
        replace(first, disclosures=second.disclosures),
        replace(first, disclosures=first.disclosures[:2]),
        replace(first, disclosures=(*first.disclosures, first.disclosures[0])),
        replace(first, disclosures=(*first.disclosures[:2], Disclosure("garbage"))),
    ):
        verdict = verify_receipt(build_receipt(replace(RECEIPT, items=(forged, second))), KEYS)
        assert verdict.finding is Finding.DOES_NOT_MATCH
        assert [each.finding for each in verdict.items] == [Finding.DOES_NOT_MATCH, Finding.MATCHES]
        assert verdict.items[0].sha256 is None


@pytest.mark.parametrize(
    "changes",
    [
        {"fixity": None},
        {"fixity": {"item": str(ITEMS[0]), "stage": "receipt", "sha256": "ab" * 32}},
        {"fixity": {"item": str(ITEMS[0]), "stage": "audit", "sha256": "ab" * 32, "size": 1234}},
        {"fixity": {"item": str(ITEMS[1]), "stage": "receipt", "sha256": "ab" * 32, "size": 1234}},
        {"fixity": {"item": "no", "stage": "receipt", "sha256": "ab" * 32, "size": 1234}},
        {"fixity": {"item": str(ITEMS[0]), "stage": "receipt", "sha256": "ab" * 32, "size": True}},
        {"fixity": {"item": str(ITEMS[0]), "stage": "receipt", "sha256": 5, "size": 1234}},
        {"recorded_time": "yesterday"},
        {"recorded_time": 5},
        {"recorded_time": "2026-11-22T02:03:04.000005+05:00Z"},
        {"run": {}},
    ],
    ids=str,
)
def test_an_entry_that_does_not_say_what_a_receipt_needs_does_not_match(changes: dict[str, Json]) -> None:
    assert _finding(_made([_values(ITEMS[0], **changes)])) is Finding.DOES_NOT_MATCH


def test_an_entry_of_another_kind_or_one_that_opens_more_does_not_match() -> None:
    values = [_values(ITEMS[0])]
    assert _finding(_made(values, event=EventKind.DUPLICATE_RECEIPT)) is Finding.MATCHES
    assert _finding(_made(values, event=EventKind.ACCESS)) is Finding.DOES_NOT_MATCH
    opens_more = _made(values, opened=("fixity", "run", "recorded_time", "actor"))
    assert _finding(opens_more) is Finding.DOES_NOT_MATCH


def _mutated(**changes: object) -> bytes:
    return canonical_bytes(json.loads(WRITTEN) | changes)


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xd8\xff\xe0",
        b"[" * 100_000,
        b'{"v":' * 100_000,
        WRITTEN + b"\n",
        WRITTEN[:-1],
        WRITTEN.replace(b'"v":3', b'"v":3.0'),
        WRITTEN.replace(b'"v":3', b'"v":3,"v":3'),
        b" " * (MAX_RECEIPT_OCTETS + 1),
        _mutated(v=2),
        _mutated(v=True),
        _mutated(extra=1),
        _mutated(receipt=None),
        _mutated(received_time="2026-11-22"),
        _mutated(received_time="2026-11-22T02:03:04Z"),
        _mutated(items=[]),
        _mutated(items={}),
        _mutated(items=[None]),
        _mutated(items="x"),
        _mutated(checkpoint=[]),
        _mutated(verifier_keys=["x"]),
        _mutated(verifier_keys=[{}]),
        _mutated(timestamps=[{"authority": "a", "token": "é", "chain": ""}]),
        _mutated(timestamps=[{"authority": "a", "token": "AB==", "chain": ""}]),
        _mutated(items=[json.loads(WRITTEN)["items"][0] | {"sha256": "AB" * 32}]),
        _mutated(items=[json.loads(WRITTEN)["items"][0] | {"leaf": "é"}]),
        _mutated(items=[json.loads(WRITTEN)["items"][0] | {"index": "0"}]),
    ],
    ids=lambda written: repr(written[:40]),
)
def test_what_is_no_receipt_is_a_finding_and_never_a_crash(written: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_receipt(written)
    assert caught.value.code == "custody/bad-receipt"
    verdict = verify_receipt(written, KEYS)
    assert verdict.finding is Finding.DOES_NOT_MATCH
    assert verdict.items == ()


@pytest.mark.parametrize("checkpoint", ["", "x", "é\n\n— a AAAAAAA=\n", "o\n1\nx\n\n— a AAAAAAA=\n"])
def test_a_receipt_without_a_readable_checkpoint_does_not_match(checkpoint: str) -> None:
    verdict = verify_receipt(_mutated(checkpoint=checkpoint), None)
    assert verdict.finding is Finding.DOES_NOT_MATCH
    assert verdict.keys == ()


def _proved(written: bytes, keys: tuple[object, ...] | None) -> tuple[object, ...] | None:
    verdict = verify_receipt(written, KEYS if keys else None)
    if verdict.finding is not Finding.MATCHES:
        return None
    return tuple((each.item, each.sha256, each.size, each.recorded_time) for each in verdict.items)


@given(st.integers(0, len(WRITTEN) - 1), st.integers(1, 255), st.booleans())
def test_a_receipt_with_any_byte_changed_is_refused_or_proves_the_same(place: int, turn: int, given_keys: bool) -> None:
    changed = bytearray(WRITTEN)
    changed[place] ^= turn
    keys = KEYS if given_keys else None
    assert _proved(bytes(changed), keys) in (None, _proved(WRITTEN, keys))


@given(st.integers(0, 5000), st.sampled_from([b"", b"{", b"9", b'"', b"\\u0000", b"[[", b"null", b"-"]))
def test_a_receipt_with_text_put_in_never_brings_the_checker_down(place: int, text: bytes) -> None:
    written = WRITTEN[:place] + text + WRITTEN[place:]
    assert (verify_receipt(written, KEYS).finding is Finding.MATCHES) == (written == WRITTEN)
