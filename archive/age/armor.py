"""Reading the ASCII form of an age file, as people paste it. Testigo never writes it.

Standard: C2SP age, ASCII armor; RFC 7468, figure 3. No I/O.
"""

import binascii
import re

from archive.errors import InputError

_BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
_END = b"-----END AGE ENCRYPTED FILE-----"
_WHITESPACE = b" \t\r\n"
_FULL_LINE = re.compile(rb"[A-Za-z0-9+/]{64}")
_LAST_LINE = re.compile(rb"(?:[A-Za-z0-9+/]{4}){0,15}(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)")


def is_armored(beginning: bytes) -> bool:
    """Tell from its first octets whether a file claims to be armored."""
    return beginning.lstrip(_WHITESPACE).startswith(_BEGIN[:10])


def read_armor(text: bytes) -> bytes:
    """Return the binary file that the armor holds; whitespace may stand around it, nothing else may.

    Raises: InputError `age/bad-armor`.
    """
    lines = [line.removesuffix(b"\r") for line in text.strip(_WHITESPACE).split(b"\n")]
    if len(lines) < 2 or lines[0] != _BEGIN or lines[-1] != _END:
        raise _bad_armor("its first or its last line is not what it must be")
    body = lines[1:-1]
    if not all(_FULL_LINE.fullmatch(line) for line in body[:-1]) or not all(map(_LAST_LINE.fullmatch, body[-1:])):
        raise _bad_armor("a line has a foreign character or the wrong length")
    coded = b"".join(body)
    octets = binascii.a2b_base64(coded)
    if binascii.b2a_base64(octets, newline=False) != coded:
        raise _bad_armor("its base64 is not canonical")
    return octets


def _bad_armor(why: str) -> InputError:
    return InputError("age/bad-armor", f"This is not a well-formed armored age file: {why}.")
