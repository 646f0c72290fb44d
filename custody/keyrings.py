"""The signed statement of whom this archive seals to: both keyrings and the staff compartment, under the log's keys.

The keyrings stand in the log's entries of founding and rotation, but closed, and in the catalogue's row, which whoever
writes to that file can change and put back. Sealing works while locked, so it goes by this note in the keys folder and
never by the row (formats.md 2.5). Its text begins as no checkpoint and no receipt does, so that no signature of one can
stand for another.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archive.age.keyring import Keyring
from archive.catalogue.records import Organisation
from archive.durable import storage_errors, write_durably
from archive.errors import InputError, IntegrityError
from custody.signed_note import KeyType, NoteSignature, SignedNote, SigningKey, VerifierKey

_FILE = "keyrings.note"
_FIRST_LINE = "testigo-keyrings/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyrings:
    """What owner keys are sealed to (`vault`), and what names and contacts are sealed to (`identity`).

    `staff` is the recipient of the staff compartment, which every entry is sealed to.
    """

    vault: Keyring
    identity: Keyring
    staff: str

    @classmethod
    def of(cls, ours: Organisation) -> "Keyrings":
        """Give the keyrings as a record has them."""
        return cls(
            vault=Keyring.parse(ours.vault_keyring),
            identity=Keyring.parse(ours.identity_keyring),
            staff=ours.staff_recipient,
        )

    def text(self) -> str:
        """Write what is signed. The second line is no number, so this is never a checkpoint."""
        value = {"identity": self.identity.format(), "staff": self.staff, "v": 1, "vault": self.vault.format()}
        return f"{_FIRST_LINE}\n{json.dumps(value, sort_keys=True, separators=(',', ':'))}\n"

    @classmethod
    def parse(cls, text: str) -> "Keyrings":
        """Read what `text` wrote. Raises: ValueError."""
        first, line = text.removesuffix("\n").split("\n")
        match json.loads(line):
            case {"v": 1, "vault": str(vault), "identity": str(identity), "staff": str(staff), **rest} if not rest:
                if first == _FIRST_LINE:
                    return cls(vault=Keyring.parse(vault), identity=Keyring.parse(identity), staff=staff)
        raise ValueError("not a statement of keyrings")


class KeyringStatement:
    """The statement in the folder of the key files, for whoever seals. `signers` are the log's."""

    def __init__(self, folder: Path, signers: Sequence[SigningKey]) -> None:
        self._folder = folder
        self._signers = tuple(signers)
        self._verified: tuple[bytes, Keyrings] | None = None

    def standing(self) -> Keyrings:
        """Return the keyrings to seal to. Raises: as `read_statement`."""
        note = _read(self._folder)
        # A note that was verified once is so for ever; any other octet is looked at anew.
        if self._verified is None or self._verified[0] != note:
            self._verified = note, _verify(note, [signer.verifier_key for signer in self._signers])
        return self._verified[1]

    def state(self, keyrings: Keyrings) -> None:
        """Sign the keyrings and keep the statement, in place of an earlier one."""
        text = keyrings.text()
        lines = tuple(
            NoteSignature(name=signer.name, key_id=signer.verifier_key.key_id, signature=signer.sign(text.encode()))
            for signer in self._signers
        )
        write_durably(self._folder / _FILE, SignedNote(text=text, signatures=lines).to_bytes())


def read_statement(folder: Path, keys: Iterable[VerifierKey]) -> Keyrings:
    """Return what the statement in a folder of key files says, each of `keys` having signed it.

    Raises: IntegrityError `keys/no-keyring-statement`, `keys/bad-keyring-statement`.
    """
    return _verify(_read(folder), keys)


def _read(folder: Path) -> bytes:
    with storage_errors(), suppress(FileNotFoundError):
        return (folder / _FILE).read_bytes()
    raise IntegrityError(
        "keys/no-keyring-statement",
        "The signed statement of whom this archive seals to is not in the keys folder. Nothing was sealed. Put "
        f"{_FILE} back from a backup of the keys; `testigo rebuild`, with the catalogue's file put aside, makes it "
        "anew from the log.",
    )


def _verify(note: bytes, keys: Iterable[VerifierKey]) -> Keyrings:
    try:
        read = SignedNote.parse(note)
    except IntegrityError as error:
        raise _bad("it is no signed note") from error
    message, is_signed = read.text.encode(), False
    for key in keys:
        lines = [line for line in read.signatures if line.is_by(key)]
        if not lines or not all(key.check(line.signature, message) for line in lines):
            raise _bad(f"the {key.type.name} key of the log did not sign this")
        is_signed = is_signed or key.type is KeyType.ED25519
    if not is_signed:
        raise _bad("no key of the log is known")
    try:
        return Keyrings.parse(read.text)
    except (ValueError, InputError) as error:
        raise _bad(str(error)) from error


def _bad(reason: str) -> IntegrityError:
    return IntegrityError(
        "keys/bad-keyring-statement",
        "The statement of whom this archive seals to is not what the log's keys signed: it was altered, or signed by "
        f"others. Nothing was sealed. Put {_FILE} back from a backup of the keys and find out who changed it.",
        evidence={"reason": reason},
    )
