"""Whom a packet is sealed to: as the options say or, on a terminal, as a person chooses when they say nothing."""

import sys
from pathlib import Path

import click

from archive.age.passphrase import ScryptRecipient
from archive.age.recipients import parse_recipient
from archive.errors import InputError
from archive.keyfiles import strong_passphrase
from commands.door import printable
from commands.talk import Talk, ask_other_passphrase
from export.request import Seal

_OFFER = """This packet would stand IN CLEAR at {place}: whoever gets at it can read it.
Sealed, it is one file there that only its receiver opens, with any age client.
  r  seal it to the receiver's age recipient (best)
  p  seal it under a passphrase
  c  write it in clear
Anything else stops here. [r/p/c] """
_FOR_RECEIVER = "Passphrase for the receiver (tell it by another way than you send the packet): "


def offered_seal(talk: Talk, destination: Path) -> Seal | None:
    """Offer to seal before anything is built; None where it is to be in clear, or where nobody can be asked.

    Raises: InputError `export/not-chosen` where a person chose neither.
    """
    if not talk.asks:
        return None
    sys.stderr.write(_OFFER.format(place=printable(str(destination))))
    match sys.stdin.readline().strip().casefold():
        case "r":
            sys.stderr.write("The receiver's recipient (age1…): ")
            recipients = tuple(sys.stdin.readline().split())
            if recipients:
                return chosen_seal(recipients, ask=False, passphrase_file=None)
        case "p":
            return chosen_seal((), ask=True, passphrase_file=None)
        case "c":
            return None
    raise InputError("export/not-chosen", "No packet was built, no number was used up and nothing was written.")


def chosen_seal(recipients: tuple[str, ...], ask: bool, passphrase_file: Path | None) -> Seal | None:
    """Read whom to seal to. The passphrase of the archive itself is never taken for a packet."""
    if (bool(recipients), ask, passphrase_file is not None).count(True) > 1:
        raise click.UsageError("Give one of --seal-to, --passphrase and --passphrase-file.")
    if recipients:
        keys = tuple(parse_recipient(text) for text in recipients)
        if len({key.kind for key in keys}) > 1:
            raise click.UsageError(
                "The recipients of one packet must be all age1pq1… or none: the weaker would decide."
            )
        return Seal(recipients=keys, to=tuple(map(str, keys)))
    if not ask and passphrase_file is None:
        return None
    passphrase = strong_passphrase(ask_other_passphrase(passphrase_file, _FOR_RECEIVER))
    return Seal(recipients=(ScryptRecipient(passphrase),), to=("a passphrase",))
