"""Entries and the run of an item through the log: what is missing is named."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import IntegrityError
from archive.types import ItemId, Outcome
from custody.canonical import Json, canonical_bytes
from custody.commitments import Disclosure, commit
from custody.entries import MAX_DISCLOSURES, Entry, EventKind, RunLink, RunStep, check_disclosure, verify_run
from custody.merkle import leaf_hash

ITEM = ItemId(UUID("6d1f3f0e-3a39-4c2b-9a39-7d8d1f4f6a01"))
OTHER = ItemId(UUID("6d1f3f0e-3a39-4c2b-9a39-7d8d1f4f6a02"))
DIGEST = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", min_size=43, max_size=43)
ENTRIES = st.builds(
    Entry,
    seq=st.integers(0, 2**53 - 1),
    event=st.sampled_from(EventKind),
    outcome=st.sampled_from(Outcome),
    sd=st.sets(DIGEST, max_size=5).map(lambda digests: tuple(sorted(digests))),
)


def _form(**changes: Json) -> bytes:
    form: dict[str, Json] = {
        "_sd": [],
        "_sd_alg": "sha-256",
        "event": "ingestion",
        "outcome": "success",
        "seq": 17,
        "v": 1,
    }
    return canonical_bytes(form | changes)


@given(ENTRIES)
def test_a_leaf_is_the_canonical_form_of_its_entry_and_reads_back(entry: Entry) -> None:
    assert entry.leaf() == _form(_sd=entry.sd, event=entry.event, outcome=entry.outcome, seq=entry.seq)
    assert Entry.parse(entry.leaf()) == entry


def test_the_example_of_the_format_reads() -> None:
    leaf = b'{"_sd":[],"_sd_alg":"sha-256","event":"ingestion","outcome":"success","seq":17,"v":1}'
    assert Entry.parse(leaf) == Entry(seq=17, event=EventKind.INGESTION, outcome=Outcome.SUCCESS, sd=())


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"[]",
        b"null",
        _form() + b"\n",
        _form(extra=1),
        _form(v=2),
        _form(v=True),
        _form(v="1"),
        _form(_sd_alg="sha-512"),
        _form(_sd_alg=[1]),
        _form(seq=-1),
        _form(seq=True),
        _form(seq="1"),
        _form(event="theft"),
        _form(event=1),
        _form(event=[]),
        _form(outcome="fine"),
        _form(_sd="x"),
        _form(_sd=[1]),
        _form(_sd=["short"]),
        _form(_sd=["a" * 43 + "\n"]),
        _form(_sd=["+" * 43]),
        _form(_sd=["b" * 43, "a" * 43]),
        _form(_sd=["a" * 43, "a" * 43]),
        b'{"_sd":[],"_sd_alg":"sha-256","event":"ingestion","outcome":"success","seq":17}',
    ],
    ids=repr,
)
def test_a_leaf_that_would_not_have_been_written_is_refused(leaf: bytes) -> None:
    with pytest.raises(IntegrityError) as caught:
        Entry.parse(leaf)
    assert caught.value.code == "custody/bad-entry"


@given(ENTRIES, st.data())
def test_a_leaf_with_any_byte_changed_is_refused_or_has_another_hash(entry: Entry, data: st.DataObject) -> None:
    leaf = bytearray(entry.leaf())
    place, octet = data.draw(st.integers(0, len(leaf) - 1)), data.draw(st.integers(0, 255))
    leaf[place] = octet
    try:
        read = Entry.parse(bytes(leaf))
    except IntegrityError:
        return
    assert read.leaf() == bytes(leaf)
    assert (leaf_hash(bytes(leaf)) == leaf_hash(entry.leaf())) == (read == entry)


def test_the_largest_entry_fits_a_bundle_and_a_larger_one_is_refused() -> None:
    disclosures = commit([("actor", number) for number in range(MAX_DISCLOSURES)])
    last = Entry.make(
        seq=2**53 - 1, event=EventKind.METADATA_MODIFICATION, outcome=Outcome.SUCCESS, disclosures=disclosures
    )
    assert len(last.leaf()) < 2**16
    with pytest.raises(ValueError, match="several entries"):
        Entry.make(
            seq=0, event=EventKind.ACCESS, outcome=Outcome.SUCCESS, disclosures=[*disclosures, *commit([("a", 1)])]
        )


def test_a_disclosure_opens_only_the_entry_that_committed_to_it() -> None:
    disclosure, other = commit([("actor", "observer 7"), ("actor", "observer 8")])
    entry = Entry.make(seq=0, event=EventKind.ACCESS, outcome=Outcome.SUCCESS, disclosures=[disclosure])
    assert check_disclosure(entry, disclosure) == ("actor", "observer 7")
    with pytest.raises(IntegrityError) as caught:
        check_disclosure(entry, other)
    assert caught.value.code == "custody/not-committed"


def test_a_committed_text_that_is_no_disclosure_is_refused() -> None:
    garbage = Disclosure("garbage")
    entry = Entry.make(seq=0, event=EventKind.ACCESS, outcome=Outcome.SUCCESS, disclosures=[garbage])
    with pytest.raises(IntegrityError) as caught:
        check_disclosure(entry, garbage)
    assert caught.value.code == "custody/bad-disclosure"


@given(st.uuids(), st.integers(2, 2**53 - 1), st.binary(min_size=32, max_size=32))
def test_a_link_reads_back(item: UUID, number: int, previous: bytes) -> None:
    for link in (
        RunLink(item=ItemId(item), number=number, previous=previous),
        RunLink(item=ItemId(item), number=1, previous=None),
    ):
        assert RunLink.from_value(link.value()) == link


HEX = "ab" * 32


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"item": str(ITEM), "number": 1},
        {"item": str(ITEM), "number": 1, "previous": None, "extra": 1},
        {"item": str(ITEM), "number": 0, "previous": None},
        {"item": str(ITEM), "number": True, "previous": None},
        {"item": str(ITEM), "number": "1", "previous": None},
        {"item": str(ITEM), "number": 1, "previous": HEX},
        {"item": str(ITEM), "number": 2, "previous": None},
        {"item": str(ITEM), "number": 2, "previous": HEX.upper()},
        {"item": str(ITEM), "number": 2, "previous": HEX[:-2]},
        {"item": str(ITEM), "number": 2, "previous": 5},
        {"item": str(ITEM).upper(), "number": 1, "previous": None},
        {"item": ITEM.hex, "number": 1, "previous": None},
        {"item": "{" + str(ITEM) + "}", "number": 1, "previous": None},
        {"item": "no", "number": 1, "previous": None},
        {"item": 5, "number": 1, "previous": None},
    ],
    ids=repr,
)
def test_a_link_that_would_not_have_been_written_is_refused(value: Json) -> None:
    with pytest.raises(IntegrityError) as caught:
        RunLink.from_value(value)
    assert caught.value.code == "custody/bad-entry"


def _run(length: int, item: ItemId = ITEM) -> list[RunStep]:
    """An item's run of `length` entries, every third entry of the log."""
    steps: list[RunStep] = []
    previous: bytes | None = None
    for number in range(1, length + 1):
        link = RunLink(item=item, number=number, previous=previous)
        disclosures = commit([("run", link.value()), ("actor", "observer 7")])
        entry = Entry.make(seq=3 * number, event=EventKind.ACCESS, outcome=Outcome.SUCCESS, disclosures=disclosures)
        opened = dict(check_disclosure(entry, disclosure) for disclosure in disclosures)
        assert RunLink.from_value(opened["run"]) == link
        previous = leaf_hash(entry.leaf())
        steps.append(RunStep(seq=entry.seq, leaf_hash=previous, link=link))
    return steps


@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_a_complete_run_is_proved_in_whatever_order_it_is_given(length: int, random: object) -> None:
    steps = _run(length)
    shuffled = list(steps)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert verify_run(ITEM, shuffled, 3 * length) == tuple(steps)


@given(st.integers(1, 12).flatmap(lambda length: st.tuples(st.just(length), st.integers(1, length))))
def test_any_line_left_out_is_named(place: tuple[int, int]) -> None:
    length, missing = place
    steps = [step for step in _run(length) if step.link.number != missing]
    with pytest.raises(IntegrityError) as caught:
        verify_run(ITEM, steps, 3 * length)
    assert caught.value.code == "custody/run-gap"
    assert caught.value.evidence["missing"] == missing


def _broken_at(steps: list[RunStep], closing_seq: int) -> object:
    with pytest.raises(IntegrityError) as caught:
        verify_run(ITEM, steps, closing_seq)
    assert caught.value.code == "custody/run-broken"
    return caught.value.evidence["number"]


def test_a_line_of_another_run_put_in_is_named() -> None:
    steps, forged = _run(5), _run(5)
    assert _broken_at([*steps[:2], forged[2], *steps[3:]], 15) == 3
    assert _broken_at([*steps[:2], *forged[2:]], 15) == 3
    assert _broken_at([*steps[:2], *_run(5, OTHER)[2:]], 15) == 3


def test_two_lines_with_one_number_are_named() -> None:
    steps = _run(5)
    assert _broken_at([*steps, steps[2]], 15) == 3
    assert _broken_at([*steps, _run(3)[2]], 15) == 3


def test_a_line_after_the_closing_one_is_named() -> None:
    assert _broken_at(_run(5), 12) == 5


def test_a_line_that_stands_too_early_in_the_log_is_named() -> None:
    steps = _run(3)
    moved = RunStep(seq=2, leaf_hash=steps[1].leaf_hash, link=steps[1].link)
    assert _broken_at([steps[0], moved, steps[2]], 9) == 2


def test_a_run_that_ends_before_the_closing_entry_lacks_the_next_number() -> None:
    with pytest.raises(IntegrityError) as caught:
        verify_run(ITEM, _run(4), 15)
    assert caught.value.evidence["missing"] == 5
    with pytest.raises(IntegrityError) as caught:
        verify_run(ITEM, [], 15)
    assert caught.value.evidence["missing"] == 1
