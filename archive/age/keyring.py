"""Keyrings: the recipients that something is sealed to, each with the part it plays; and owner keys, sealed to one.

The vault keyring and the identity keyring are the same kind of value with other members. The text form is a recipients
file that any age client takes (`age -R`). Knows which recipients belong together; knows no folder. No I/O.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from archive.age.recipients import KeyIdentity, KeyKind, KeyRecipient, parse_identity, parse_recipient
from archive.age.stream import open_bytes, seal_bytes
from archive.age.wrapping import Identity
from archive.errors import InputError, IntegrityError

_PART_MARK = "# part: "
_PART = re.compile(r"[a-z][a-z0-9-]{0,31}")
_KEYRING_LIMIT = 1 << 18
"""Units: characters; over a hundred hybrid recipients."""


class KeyringWarning(StrEnum):
    """What is allowed but should be said to whoever makes the keyring."""

    ONLY_ONE_RECIPIENT = "one lost key would close everything for ever: add a recovery recipient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """Recipients of one kind.

    Shapes: `parts` names the part of each recipient (`office`, `recovery`, `counsel`, …), or is empty.
    Raises: InputError `keys/empty-keyring`, `keys/mixed-keyring`, `keys/repeated-recipient`, `keys/bad-part`.
    """

    kind: KeyKind
    recipients: tuple[KeyRecipient, ...]
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.recipients:
            raise InputError("keys/empty-keyring", "A keyring needs at least one recipient; nothing could be opened.")
        if any(recipient.kind is not self.kind for recipient in self.recipients):
            raise InputError(
                "keys/mixed-keyring",
                "The recipients of a keyring must all be hybrid or all be X25519: the weaker would undo the stronger.",
            )
        if len({str(recipient) for recipient in self.recipients}) != len(self.recipients):
            raise InputError("keys/repeated-recipient", "The same recipient stands twice in the keyring.")
        if self.parts and len(self.parts) != len(self.recipients):
            raise ValueError("name the part of every recipient or of none")
        if any(not _PART.fullmatch(part) for part in self.parts):
            raise InputError(
                "keys/bad-part", "The part of a recipient is one word of lower-case letters, digits and hyphens."
            )

    @property
    def warnings(self) -> tuple[KeyringWarning, ...]:
        return (KeyringWarning.ONLY_ONE_RECIPIENT,) if len(self.recipients) < 2 else ()

    def part_of(self, recipient: KeyRecipient) -> str:
        """Return the part that a member plays, or an empty text where the keyring names none.

        Raises: InputError `keys/not-in-keyring`.
        """
        texts = [str(member) for member in self.recipients]
        if str(recipient) not in texts:
            raise InputError("keys/not-in-keyring", "This key is not one of the keyring's. Nothing was changed.")
        return self.parts[texts.index(str(recipient))] if self.parts else ""

    def format(self) -> str:
        """Write one recipient a line, under a comment that names its part."""
        parts = self.parts or ("",) * len(self.recipients)
        lines: list[str] = []
        for part, recipient in zip(parts, self.recipients, strict=True):
            lines += [f"{_PART_MARK}{part}"] if part else []
            lines.append(str(recipient))
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `format` wrote, or any age recipients file whose recipients may share a keyring.

        Raises: InputError `keys/bad-keyring`, `keys/bad-recipient`, and those of the keyring itself.
        """
        if len(text) > _KEYRING_LIMIT:
            raise _bad_keyring("it is too long")
        recipients: list[KeyRecipient] = []
        parts: list[str] = []
        part = ""
        for line in text.splitlines():
            if line.startswith(_PART_MARK):
                if part:
                    raise _bad_keyring("a part is named where no recipient follows")
                part = line.removeprefix(_PART_MARK)
            elif line and not line.startswith("#"):
                recipients.append(parse_recipient(line))
                parts += [part] if part else []
                part = ""
        if part or len(parts) not in (0, len(recipients)):
            raise _bad_keyring("it must name the part of every recipient or of none")
        if not recipients:
            raise _bad_keyring("it has no recipient")
        return cls(kind=recipients[0].kind, recipients=tuple(recipients), parts=tuple(parts))


def seal_identity(identity: KeyIdentity, recipients: Sequence[KeyRecipient]) -> bytes:
    """Seal an identity as key files hold it: one line (docs/formats.md, 2.2)."""
    return seal_bytes(identity.secret_text().encode("ascii") + b"\n", recipients)


def open_identity(sealed: bytes, identities: Sequence[Identity]) -> KeyIdentity:
    """Open what `seal_identity` sealed.

    Raises: IntegrityError `keys/not-a-key-file`; the errors of opening an age file.
    """
    text = open_bytes(sealed, identities)
    if not text.endswith(b"\n") or text.count(b"\n") != 1 or not text.isascii():
        raise _not_a_key_file()
    try:
        return parse_identity(text[:-1].decode("ascii"))
    except InputError as error:
        raise _not_a_key_file() from error


def _not_a_key_file() -> IntegrityError:
    return IntegrityError("keys/not-a-key-file", "A key file was opened and holds something else than one key.")


def _bad_keyring(why: str) -> InputError:
    return InputError("keys/bad-keyring", f"This is not a keyring: {why}.")
