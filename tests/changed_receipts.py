"""A receipt with one thing changed at a time, written as the archive writes it: what a careful forger hands in."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from custody.canonical import canonical_bytes


def changes_of(receipt: bytes) -> Iterator[tuple[str, bytes]]:
    """Give every change by its name: each value becomes another of its kind, each thing in a list is dropped, comes
    twice or changes places, each member is left out."""
    whole = json.loads(receipt)
    for name, changed in _changes(whole, ""):
        octets = canonical_bytes(changed)
        if octets != canonical_bytes(whole):
            yield name.strip(".") or "whole", octets
    yield "a byte order mark before it", b"\xef\xbb\xbf" + receipt
    yield "a line feed behind it", receipt + b"\n"


def older_forms(receipt: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the same receipt as versions 1 and 2 have it: whoever changes a receipt may take its signature away."""
    whole = json.loads(receipt)
    use = whole.pop("use")
    del whole["signed"]
    yield 1, canonical_bytes({**whole, "v": 1, "receipt": "R-2026-9999"})
    yield 2, canonical_bytes({**whole, "v": 2, "use": use or {"level": "public", "audiences": ["press"]}})


def _changes(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for member in value:
            yield f"{name} without {member}", {key: each for key, each in value.items() if key != member}
            for inner, changed in _changes(value[member], f"{name}.{member}"):
                yield inner, {**value, member: changed}
        yield f"{name} with one more", {**value, "more": 1}
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield f"{name} without {place}".strip("."), value[:place] + value[place + 1 :]
            yield f"{name} with {place} twice", [*value[:place], each, deepcopy(each), *value[place + 1 :]]
            for inner, changed in _changes(each, f"{name}.{place}"):
                yield inner, [*value[:place], changed, *value[place + 1 :]]
        yield f"{name} the other way round", value[::-1]
    elif value is None:
        yield name, {"level": "public", "audiences": ["press"]}
    elif isinstance(value, int):
        yield name, value + 1
    else:
        yield from _other_texts(value, name)


def _other_texts(text: str, name: str) -> Iterator[tuple[str, str]]:
    """One character of the text is another one: in the middle, and in each line of a signed note but the last.

    That one is the ML-DSA-44 signature, of which a checker without that algorithm can say nothing.
    """
    if name == ".signed":
        first, digest, empty, classic, *rest = text.split("\n")
        yield f"{name} (text)", "\n".join([first, _other(digest), empty, classic, *rest])
        yield f"{name} (Ed25519)", "\n".join([first, digest, empty, _other(classic), *rest])
        yield f"{name} (no line)", "\n".join([first, digest, empty, *rest])
        yield f"{name} (line twice)", "\n".join([first, digest, empty, classic, classic, *rest])
        yield f"{name} (other order)", "\n".join([first, digest, empty, *rest[:-1], classic, *rest[-1:]])
        yield f"{name} (a stranger's line too)", f"{text}\N{EM DASH} stranger.example {'A' * 92}\n"
        yield f"{name} (no line feed)", text[:-1]
        yield f"{name} (space)", "\n".join([first, digest, empty, f"{classic} ", *rest])
        yield f"{name} (spelling)", "\n".join([first, digest, empty, _spelt_otherwise(classic), *rest])
    else:
        yield name, _other(text)


def _spelt_otherwise(line: str) -> str:
    """The same octets in base64 with another last character: its lowest bits stand for nothing."""
    assert line.endswith("=") and not line.endswith("==")
    alphabet = _LARGE + _SMALL + _DIGITS + "+/"
    return line[:-2] + alphabet[alphabet.index(line[-2]) + 1] + "="


def _other(text: str) -> str:
    places = [place for place, character in enumerate(text) if character.isalnum() and character.isascii()]
    if not places:
        return text + "x"
    place = places[len(places) // 2]
    return text[:place] + _NEXT[text[place]] + text[place + 1 :]


_DIGITS, _SMALL, _LARGE = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NEXT = {row[place - 1]: row[place] for row in (_DIGITS, _SMALL, _LARGE) for place in range(len(row))}
