"""The textual header of an age file: its stanzas, its MAC, and the strict grammar of both.

Knows lines and base64; knows nothing of keys beyond the MAC's. Whatever the grammar does not allow is refused.
Standard: C2SP age, header.
"""

import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self

from archive.errors import InputError, IntegrityError

FILE_KEY_OCTETS = 16
HEADER_LIMIT = 1 << 20
"""Units: octets. About 600 hybrid recipients; the format itself sets no limit."""

_VERSION_LINE = b"age-encryption.org/v1\n"
_STANZA_MARK = b"-> "
_ARGUMENT_LINE = re.compile(rb"->(?: [\x21-\x7e]+)+\n")
_MAC_MARK = b"---"
_COLUMNS = 64
_MAC_LINE_OCTETS = len(b"--- ") + 43 + 1


class LineReader(Protocol):
    """The one method of a binary file that a header is read through."""

    def readline(self, limit: int = -1, /) -> bytes: ...


def bad_header(message: str) -> InputError:
    """Return the error for a header that breaks the format."""
    return InputError("age/bad-header", f"This is not a well-formed age file: {message}.")


def encode_base64(octets: bytes) -> bytes:
    """Write canonical base64 without padding (RFC 4648, section 4)."""
    return binascii.b2a_base64(octets, newline=False).rstrip(b"=")


def decode_base64(text: bytes) -> bytes:
    """Read canonical base64 without padding. Raises: ValueError on any other spelling of the same octets."""
    octets = binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    if encode_base64(octets) != text:
        raise ValueError("the base64 is not canonical")
    return octets


def derive_key(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Derive 32 octets by HKDF-SHA-256 (RFC 5869); one block, so extract and expand are one HMAC each."""
    return hmac.digest(hmac.digest(salt or bytes(32), secret, "sha256"), info + b"\x01", "sha256")


@dataclass(frozen=True, slots=True)
class Stanza:
    """The file key, wrapped for one recipient.

    Shapes: `arguments` holds at least the stanza's type; each is printable ASCII without spaces.
    """

    arguments: tuple[str, ...]
    body: bytes

    @property
    def type(self) -> str:
        return self.arguments[0]

    def format(self) -> bytes:
        """Write the argument line and the body, wrapped at 64 columns and ended by a shorter line."""
        text = encode_base64(self.body)
        lines = [text[start : start + _COLUMNS] for start in range(0, len(text) + 1, _COLUMNS)]
        return b"\n".join((_STANZA_MARK + " ".join(self.arguments).encode("ascii"), *lines, b""))


@dataclass(frozen=True, slots=True)
class Header:
    """A header as it stands in a file.

    Shapes: `text` is all of it, from the version line to the line feed after the MAC.
    """

    stanzas: tuple[Stanza, ...]
    mac: bytes
    text: bytes

    @classmethod
    def build(cls, stanzas: Iterable[Stanza], file_key: bytes) -> Self:
        """Make the header that binds these stanzas to the file key."""
        kept = tuple(stanzas)
        bound = b"".join((_VERSION_LINE, *(stanza.format() for stanza in kept), _MAC_MARK))
        mac = _mac(bound, file_key)
        return cls(stanzas=kept, mac=mac, text=bound + b" " + encode_base64(mac) + b"\n")

    @classmethod
    def parse(cls, reader: LineReader) -> Self:
        """Read a header and leave the reader at the first octet of the payload.

        Raises: InputError `age/bad-header`.
        """
        lines = _Lines(reader)
        if lines.next() != _VERSION_LINE:
            raise bad_header("it does not begin with the line of version 1")
        stanzas: list[Stanza] = []
        while (line := lines.next()).startswith(_STANZA_MARK):
            stanzas.append(Stanza(_arguments(line), _body(lines)))
        if not stanzas:
            raise bad_header("it has no recipient")
        return cls(stanzas=tuple(stanzas), mac=_mac_of_line(line), text=b"".join(lines.read))

    def verify_mac(self, file_key: bytes) -> None:
        """Prove that whoever wrote this header knew the file key.

        Raises: IntegrityError `age/header-mac`.
        """
        expected = _mac(self.text[: -_MAC_LINE_OCTETS + len(_MAC_MARK)], file_key)
        if not hmac.compare_digest(expected, self.mac):
            raise IntegrityError(
                "age/header-mac",
                "The header of a sealed file was changed after it was sealed. Nothing of it was opened.",
                evidence={"header_sha256": hashlib.sha256(self.text).hexdigest()},
            )


def _mac(bound: bytes, file_key: bytes) -> bytes:
    return hmac.digest(derive_key(file_key, b"", b"header"), bound, "sha256")


class _Lines:
    """Lines with their line feed, remembered; refuses a header without end."""

    def __init__(self, reader: LineReader) -> None:
        self._reader = reader
        self._left = HEADER_LIMIT
        self.read: list[bytes] = []

    def next(self) -> bytes:
        line = bytes(self._reader.readline(self._left))
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise bad_header("its header ends too early" if self._left else "its header is too long")
        self.read.append(line)
        return line


def _arguments(line: bytes) -> tuple[str, ...]:
    if not _ARGUMENT_LINE.fullmatch(line):
        raise bad_header("a recipient has an empty argument or one that cannot be printed")
    return tuple(line[len(_STANZA_MARK) : -1].decode("ascii").split(" "))


def _body(lines: _Lines) -> bytes:
    text = b""
    while True:
        line = lines.next()[:-1]
        if len(line) > _COLUMNS:
            raise bad_header("a line of a recipient is too long")
        text += line
        if len(line) < _COLUMNS:
            break
    try:
        return decode_base64(text)
    except ValueError as error:
        raise bad_header("a recipient is not written in canonical base64") from error


def _mac_of_line(line: bytes) -> bytes:
    if not line.startswith(_MAC_MARK + b" ") or len(line) != _MAC_LINE_OCTETS:
        raise bad_header("neither a recipient nor the closing line stands where one must")
    try:
        return decode_base64(line[len(_MAC_MARK) + 1 : -1])
    except ValueError as error:
        raise bad_header("the closing line is not written in canonical base64") from error
