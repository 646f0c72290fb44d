"""The recovery key on paper: every typing error is found and placed; any m of n shares give the key back."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shamir_mnemonic import generate_mnemonics  # type: ignore[import-untyped]  # It ships no types.

from archive.age.recipients import KeyKind, generate_identity
from archive.age.recovery import combine, format_identity, read_identity, split
from archive.errors import InputError

_IDENTITY = {kind: generate_identity(kind) for kind in KeyKind}
_ALPHABET = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
_KINDS = pytest.mark.parametrize("kind", KeyKind)


@_KINDS
def test_a_printed_key_reads_back(kind: KeyKind) -> None:
    identity = _IDENTITY[kind]
    printed = format_identity(identity)
    assert read_identity(printed).secret_text() == identity.secret_text()
    assert read_identity(identity.secret_text() + "\n").secret_text() == identity.secret_text()
    assert max(len(line) for line in printed.splitlines()) <= 32


@_KINDS
def test_a_printed_key_is_read_as_people_type(kind: KeyKind) -> None:
    identity = _IDENTITY[kind]
    typed = format_identity(identity).lower().replace(" - ", " ").replace("0", "o").replace("8", "b")
    head, *lines = typed.splitlines()
    sloppy = "\n\n".join((f"  {head}", *(line.replace(" ", "", 2) for line in reversed(lines))))
    assert read_identity(sloppy).secret_text() == identity.secret_text()


@given(place=st.integers(0, 57), other=st.sampled_from(_ALPHABET), kind=st.sampled_from(KeyKind))
@settings(deadline=None, max_examples=200)
def test_a_wrong_character_is_found(place: int, other: str, kind: KeyKind) -> None:
    head, *lines = format_identity(_IDENTITY[kind]).splitlines()
    number, inside = divmod(place, 16)
    places = [at for at, character in enumerate(lines[number]) if at > 2 and character in _ALPHABET][:-2]
    at = places[inside]
    if lines[number][at] == other:
        return
    lines[number] = lines[number][:at] + other + lines[number][at + 1 :]
    with pytest.raises(InputError) as refused:
        read_identity("\n".join((head, *lines)))
    assert refused.value.code == "keys/mistyped"


def test_the_line_with_the_error_is_named() -> None:
    lines = format_identity(_IDENTITY[KeyKind.HYBRID]).splitlines()
    # Two groups swapped: each character is right, and the line is still found.
    number, one, two, *rest = lines[3].split(" ")
    assert one != two
    swapped = [*lines[:3], " ".join((number, two, one, *rest)), *lines[4:]]
    with pytest.raises(InputError, match="Line 3 is mistyped"):
        read_identity("\n".join(swapped))
    with pytest.raises(InputError, match="Line 2 is missing"):
        read_identity("\n".join((*lines[:2], *lines[3:])))
    with pytest.raises(InputError, match="last line is missing"):
        read_identity("\n".join(lines[:-1]))
    with pytest.raises(InputError, match="first line"):
        read_identity("\n".join(("AGE-SECRET-1", *lines[1:])))
    with pytest.raises(InputError, match="number and a colon"):
        read_identity("\n".join((*lines[:1], *(line.partition(" ")[2] for line in lines[1:]))))


def test_lines_of_two_keys_make_no_key() -> None:
    one = format_identity(generate_identity(KeyKind.X25519)).splitlines()
    two = format_identity(generate_identity(KeyKind.X25519)).splitlines()
    with pytest.raises(InputError, match="another copy"):
        read_identity("\n".join((*one[:2], *two[2:])))


@pytest.mark.parametrize("text", ["", "\n\n", "nothing", "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1\n1:", "\x00"])
def test_other_text_is_no_key(text: str) -> None:
    with pytest.raises(InputError) as refused:
        read_identity(text)
    assert refused.value.code == "keys/mistyped"


@_KINDS
def test_any_three_of_five_shares_give_the_key_back(kind: KeyKind) -> None:
    identity = _IDENTITY[kind]
    shares = split(identity, threshold=3, total=5)
    assert [(share.number, share.threshold, share.total, share.kind) for share in shares] == [
        (number, 3, 5, kind) for number in range(1, 6)
    ]
    assert {len(share.words) for share in shares} == {33}
    for some in combinations(shares, 3):
        assert combine([" ".join(share.words) for share in some], kind).secret_text() == identity.secret_text()
    assert combine([share.format() for share in shares], kind).secret_text() == identity.secret_text()


def test_four_letters_of_each_word_are_enough() -> None:
    identity = _IDENTITY[KeyKind.HYBRID]
    texts = [" ".join(word[:4].upper() for word in share.words) for share in split(identity, threshold=2, total=3)[1:]]
    assert combine(texts, KeyKind.HYBRID).secret_text() == identity.secret_text()


def test_too_few_shares_are_counted() -> None:
    shares = split(_IDENTITY[KeyKind.X25519], threshold=3, total=4)
    with pytest.raises(InputError, match="2 of the 3 shares") as refused:
        combine([share.format() for share in shares[:2]], KeyKind.X25519)
    assert refused.value.code == "keys/too-few-shares"
    with pytest.raises(InputError):
        combine([], KeyKind.X25519)


def test_a_wrong_word_is_named_by_share_and_place() -> None:
    one, two = split(_IDENTITY[KeyKind.X25519], threshold=2, total=2)
    unknown = [*two.words]
    unknown[13] = "zzzz"
    with pytest.raises(InputError, match="Share 2 .*word 14"):
        combine([one.format(), " ".join(unknown)], KeyKind.X25519)
    exchanged = [*one.words]
    exchanged[5] = "academic" if exchanged[5] != "academic" else "acid"
    with pytest.raises(InputError, match="Share 1 .*a word is wrong") as refused:
        combine([" ".join(exchanged), two.format()], KeyKind.X25519)
    assert refused.value.code == "keys/bad-share"
    assert "academic" not in refused.value.message
    with pytest.raises(InputError, match="Share 2"):
        combine([one.format(), " ".join(two.words[:-1])], KeyKind.X25519)
    with pytest.raises(InputError, match="number every word"):
        combine([one.format(), two.format().replace(" 7 ", " ")], KeyKind.X25519)


def test_a_share_of_another_set_is_named() -> None:
    mine = split(_IDENTITY[KeyKind.HYBRID], threshold=3, total=3)
    other = split(_IDENTITY[KeyKind.HYBRID], threshold=3, total=3)
    with pytest.raises(InputError, match="Share 2 belongs to another set") as refused:
        combine([mine[0].format(), other[1].format(), mine[2].format()], KeyKind.HYBRID)
    assert refused.value.code == "keys/shares-do-not-match"


def test_the_same_share_twice_is_not_two_shares() -> None:
    one, _ = split(_IDENTITY[KeyKind.HYBRID], threshold=2, total=2)
    with pytest.raises(InputError, match="Shares 1 and 2 are the same"):
        combine([one.format(), one.format()], KeyKind.HYBRID)


def test_shares_of_a_wallet_are_refused() -> None:
    ((small, smaller),) = generate_mnemonics(1, [(2, 2)], bytes(16))
    with pytest.raises(InputError, match="something else"):
        combine([small, smaller], KeyKind.HYBRID)


@pytest.mark.parametrize(("threshold", "total"), [(1, 1), (1, 3), (0, 2), (4, 3), (2, 17)])
def test_a_split_that_protects_nothing_is_refused(threshold: int, total: int) -> None:
    with pytest.raises(InputError) as refused:
        split(_IDENTITY[KeyKind.HYBRID], threshold=threshold, total=total)
    assert refused.value.code == "keys/bad-split"


def test_no_word_stands_in_the_repr_of_a_share() -> None:
    share = split(_IDENTITY[KeyKind.HYBRID], threshold=2, total=2)[0]
    assert not any(word in repr(share) for word in share.words if len(word) > 5)
