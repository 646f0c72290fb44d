"""The recovery key on paper: lines that tell where a copy was mistyped, or shares of SLIP-39 words for several people.

Standard: SLIP-0039 for the words (one group, no passphrase). Knows nothing of printers and terminals; whoever shows
these texts answers for where they go. No I/O.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from shamir_mnemonic import (  # type: ignore[import-untyped]  # It ships no types.
    MnemonicError,
    Share,
    combine_mnemonics,
    generate_mnemonics,
)
from shamir_mnemonic.wordlist import WORDLIST  # type: ignore[import-untyped]  # It ships no types.

from archive.age import bech32
from archive.age.recipients import HybridIdentity, KeyIdentity, KeyKind, X25519Identity, parse_identity
from archive.errors import InputError

_ALPHABET = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
_HEADS = ("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-PQ-1")
_NO_KEY = "This is no recovery key"
_LINE = 16
_GROUP = 4
_MEANT = str.maketrans({"O": "0", "I": "L", "1": "L", "B": "8"})
"""What a reader takes for a character that the alphabet has, precisely because it lacks these."""

COLUMN_MARK = "·"
"""May stand between the columns of words, where a page cannot keep them apart by spaces."""

_WORD_COLUMNS = 3
_SHARES_MAX = 16
_WORD_OF_START = {word[:4]: word for word in WORDLIST}
"""SLIP-39 words differ in their first four letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryShare:
    """One person's part of a split recovery key; any `threshold` of the `total` give it back."""

    kind: KeyKind
    number: int
    threshold: int
    total: int
    words: tuple[str, ...] = field(repr=False)

    def format(self) -> str:
        """Write the share for paper; `combine` reads it with or without the comments and the numbers."""
        head = (
            f"# Testigo recovery key, share {self.number} of {self.total}. Any {self.threshold} of them give it back.",
            f"# kind: {self.kind}",
        )
        cells = [f"{place:2} {word:10}" for place, word in enumerate(self.words, start=1)]
        rows = ["  ".join(cells[row :: _rows(len(cells))]).rstrip() for row in range(_rows(len(cells)))]
        return "\n".join((*head, *rows)) + "\n"


def format_identity(identity: KeyIdentity) -> str:
    """Write an identity for paper: numbered lines of four groups, each ended by two characters that check it."""
    head, body = _parts(identity.secret_text())
    lines = [body[start : start + _LINE] for start in range(0, len(body), _LINE)]
    rows = [f"{number}: {_grouped(line)} - {_check(number, line)}" for number, line in enumerate(lines, start=1)]
    return "\n".join((head, *rows)) + "\n"


def read_identity(text: str) -> KeyIdentity:
    """Read what `format_identity` wrote, as someone typed it, or an age identity in one line.

    Raises: InputError `keys/mistyped`, which names the line.
    """
    head, *rows = [line.strip().upper() for line in text.splitlines() if line.strip()] or [""]
    if rows:
        head = head.replace(" ", "")
        if head not in _HEADS:
            raise _mistyped(f"The first line must be {_HEADS[0]} or {_HEADS[1]}")
        head += "".join(_lines(rows))
    try:
        return parse_identity(head)
    except InputError as error:
        raise _mistyped("The last line is missing, or a line is of another copy" if rows else _NO_KEY) from error


def split(identity: KeyIdentity, *, threshold: int, total: int) -> tuple[RecoveryShare, ...]:
    """Split an identity so that any `threshold` of `total` shares give it back and fewer tell nothing.

    Raises: InputError `keys/bad-split`.
    """
    if not 2 <= threshold <= total <= _SHARES_MAX:
        raise InputError(
            "keys/bad-split",
            f"A recovery key is split into 2 to {_SHARES_MAX} shares, of which at least 2 and at most all are needed.",
        )
    _, seed = bech32.decode(identity.secret_text())
    (mnemonics,) = generate_mnemonics(1, [(threshold, total)], seed)
    return tuple(
        RecoveryShare(
            kind=identity.kind, number=number, threshold=threshold, total=total, words=tuple(mnemonic.split())
        )
        for number, mnemonic in enumerate(mnemonics, start=1)
    )


def combine(texts: Sequence[str], kind: KeyKind) -> KeyIdentity:
    """Give back the identity of this kind whose shares these are; more than are needed are checked against each other.

    Shapes: a text is the words of one share, or what `RecoveryShare.format` wrote. Four letters of a word are enough.
    Raises: InputError `keys/bad-share`, `keys/too-few-shares`, `keys/shares-do-not-match`, naming the share by its
    place among `texts`, from 1.
    """
    shares = [_read_share(place, text) for place, text in enumerate(texts, start=1)]
    needed = _agreed_threshold(shares)
    mnemonics = [share.mnemonic() for share in shares]
    seed = _seed(mnemonics[:needed], "The shares do not belong together.")
    for place in range(needed + 1, len(shares) + 1):
        again = _seed([*mnemonics[: needed - 1], mnemonics[place - 1]], _of_another_set(place))
        if again != seed:
            raise InputError("keys/shares-do-not-match", _of_another_set(place))
    match kind:
        case KeyKind.HYBRID:
            return HybridIdentity(seed)
        case KeyKind.X25519:
            return X25519Identity(seed)
    raise ValueError(f"unknown kind of key: {kind}")


def _parts(secret_text: str) -> tuple[str, str]:
    head, separator, body = secret_text.rpartition("1")
    return head + separator, body


def _grouped(line: str) -> str:
    return " ".join(line[start : start + _GROUP] for start in range(0, len(line), _GROUP))


def _check(number: int, line: str) -> str:
    digest = hashlib.sha256(f"testigo recovery line {number} {line}".encode("ascii")).digest()
    return _ALPHABET[digest[0] & 31] + _ALPHABET[digest[1] & 31]


def _lines(rows: Sequence[str]) -> list[str]:
    numbered: dict[int, str] = {}
    for row in rows:
        number_text, colon, rest = row.partition(":")
        if not colon or not number_text.strip().isdecimal():
            raise _mistyped("Each line after the first begins with its number and a colon")
        number = int(number_text)
        typed = rest.replace(" ", "").replace("-", "").translate(_MEANT)
        line, check = typed[:-2], typed[-2:]
        if number in numbered or not set(typed) <= set(_ALPHABET) or _check(number, line) != check:
            raise _mistyped(f"Line {number} is mistyped")
        numbered[number] = line
    for number in range(1, max(numbered) + 1):
        if number not in numbered:
            raise _mistyped(f"Line {number} is missing")
    return [numbered[number] for number in sorted(numbered)]


def _mistyped(what: str) -> InputError:
    return InputError("keys/mistyped", f"{what}. Compare it with the paper and type it again; nothing was changed.")


def _rows(count: int) -> int:
    return -(-count // _WORD_COLUMNS)


def _read_share(place: int, text: str) -> Share:
    typed = [
        token.strip(".,;:").lower()
        for line in text.splitlines()
        if not line.lstrip().startswith("#")
        for token in line.replace(COLUMN_MARK, " ").split()
    ]
    numbered = any(token.isdecimal() for token in typed)
    words = _in_order(place, typed) if numbered else typed
    found: list[str] = []
    for position, word in enumerate(words, start=1):
        meant = _WORD_OF_START.get(word[:4])
        if meant is None or not meant.startswith(word):
            raise _bad_share(place, f"word {position} is none of the words that shares are made of")
        found.append(meant)
    try:
        share = Share.from_mnemonic(" ".join(found))
    except MnemonicError as error:
        raise _bad_share(place, "a word is wrong, missing or too many") from error
    if share.group_count != 1 or share.member_threshold < 2 or len(share.value) != 32:
        raise _bad_share(place, "it is a share of something else")
    return share


def _in_order(place: int, typed: Sequence[str]) -> list[str]:
    """Read the words of numbered columns by their numbers."""
    numbered: dict[int, str] = {}
    for before, token in pairwise(typed):
        if before.isdecimal() and not token.isdecimal():
            numbered[int(before)] = token
    if len(numbered) * 2 != len(typed) or sorted(numbered) != list(range(1, len(numbered) + 1)):
        raise _bad_share(place, "number every word from 1, or none")
    return [numbered[number] for number in sorted(numbered)]


def _agreed_threshold(shares: Sequence[Share]) -> int:
    if not shares:
        raise InputError("keys/too-few-shares", "No share was given.")
    sets = Counter(_set_of(share) for share in shares)
    usual = sets.most_common(1)[0][0]
    seen: dict[int, int] = {}
    for place, share in enumerate(shares, start=1):
        if _set_of(share) != usual:
            raise InputError("keys/shares-do-not-match", _of_another_set(place))
        if share.index in seen:
            raise InputError(
                "keys/shares-do-not-match", f"Shares {seen[share.index]} and {place} are the same share given twice."
            )
        seen[share.index] = place
    needed = int(shares[0].member_threshold)
    if len(shares) < needed:
        raise InputError("keys/too-few-shares", f"{len(shares)} of the {needed} shares that are needed were given.")
    return needed


def _set_of(share: Share) -> tuple[object, ...]:
    return tuple(share.group_parameters())


def _seed(mnemonics: Sequence[str], message: str) -> bytes:
    try:
        return bytes(combine_mnemonics(mnemonics))
    except MnemonicError as error:
        raise InputError("keys/shares-do-not-match", message) from error


def _of_another_set(place: int) -> str:
    return f"Share {place} belongs to another set than the others."


def _bad_share(place: int, why: str) -> InputError:
    return InputError("keys/bad-share", f"Share {place} cannot be used: {why}. Compare it with the paper.")
