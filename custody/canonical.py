"""One spelling for every value: RFC 8785 canonical JSON, narrowed to what two programs can never read differently.

Knows objects, arrays, strings, integers within ±(2^53 - 1), true, false and null. Refuses floats (their printing is
where implementations part), and reading refuses any bytes that it would not have written itself: other spacing, other
order, repeated members, `-0`, needless escapes. No I/O.
"""

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import TypeAlias

from archive.errors import IntegrityError

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 64


def canonical_bytes(value: Json) -> bytes:
    """Write `value` in its one canonical form.

    Standard: RFC 8785, without floats.
    Raises: ValueError for a float, an integer beyond ±(2^53 - 1), a member name that is no string, a string that is no
    Unicode text, nesting deeper than `MAX_DEPTH`, and any type that JSON does not have.
    """
    return _write(value, MAX_DEPTH).encode("utf-8")


def parse_canonical(data: bytes) -> Json:
    """Read canonical JSON back.

    Raises: IntegrityError `custody/not-canonical` for bytes that `canonical_bytes` would not have written.
    """
    try:
        value: Json = json.loads(data.decode("utf-8"))
        # Writing it again is the strictest reader there is: a repeated member, a float, `-0`, other spacing or other
        # order cannot come back as the same bytes.
        written = canonical_bytes(value)
    except (ValueError, RecursionError) as error:
        raise _not_canonical(data) from error
    if written != data:
        raise _not_canonical(data)
    return value


def _write(value: object, depth: int) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise ValueError("an integer beyond 2^53 - 1 has no canonical form; write it as a string")
        return int.__repr__(value)
    if depth == 0:
        raise ValueError(f"a value nested deeper than {MAX_DEPTH} is refused")
    if isinstance(value, dict):
        members = [encode_basestring(name) + ":" + _write(value[name], depth - 1) for name in _sorted_names(value)]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join([_write(member, depth - 1) for member in value]) + "]"
    raise ValueError(f"{type(value).__name__} has no canonical form here")


def _sorted_names(members: dict[str, object]) -> list[str]:
    try:
        ascii_only = "".join(members).isascii()
    except TypeError as error:
        raise ValueError("a member name must be a string") from error
    if ascii_only:
        return sorted(members)
    # RFC 8785, 3.2.3: the order of UTF-16 units, which is not that of code points once surrogates are about.
    return sorted(members, key=lambda name: name.encode("utf-16-be"))


def _not_canonical(data: bytes) -> IntegrityError:
    return IntegrityError(
        "custody/not-canonical",
        "A record of the log is not written in its canonical form. Nothing was changed; "
        "keep the file and have it looked at.",
        evidence={"start": data[:256], "size": len(data)},
    )
