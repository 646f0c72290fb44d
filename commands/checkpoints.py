"""`checkpoint show`, `checkpoint prove`."""

import sys
from pathlib import Path

import click

from archive.access import Action, require
from archive.durable import write_durably
from cli import Rooms
from commands.door import GivenPath, common, printable, refuse_output
from commands.talk import Talk, counted
from custody.checkpoint import Checkpoint
from custody.outside_files import read_outside
from custody.proving import ConsistencyProof, newest_note, prove_consistency
from custody.signed_note import SignedNote

_OUTPUT = click.option("-o", "--output", type=GivenPath(), help="Write it to this file instead of printing it.")


@click.group("checkpoint")
def checkpoint() -> None:
    """Give out the log's newest checkpoint, and the proof that it extends an earlier one.

    \b
    Example:
      testigo checkpoint show -o checkpoint-48
      testigo checkpoint prove --since checkpoint-47 -o proof
    """


@checkpoint.command("show")
@_OUTPUT
@common
def show(rooms: Rooms, output: Path | None) -> int:
    """Print the newest signed checkpoint, to be kept outside the archive. Needs no key.

    \b
    Example:
      testigo checkpoint show -o checkpoint-48
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.READ_LOG)
    if output is not None:
        refuse_output(rooms, output)
    note = newest_note(rooms.store)
    _give(talk, note, output)
    newest = Checkpoint.parse(SignedNote.parse(note).text)
    talk.document(
        {
            "ok": True,
            "origin": newest.origin,
            "size": newest.size,
            "root": newest.root.hex(),
            "checkpoint": note.decode("utf-8"),
            "output": str(output) if output is not None else None,
        }
    )
    return 0


@checkpoint.command("prove")
@click.option(
    "--since",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="The earlier checkpoint: its file, or a receipt, proof file or packet that holds one.",
)
@click.option(
    "--to",
    "until",
    type=click.Path(path_type=Path, exists=True),
    help="The other checkpoint, for instance a packet's folder (default: the newest here).",
)
@_OUTPUT
@common
def prove(rooms: Rooms, since: Path, until: Path | None, output: Path | None) -> int:
    """Print the consistency proof (RFC 9162) from a checkpoint that somebody kept to a later one. Needs no key.

    \b
    Example:
      testigo checkpoint prove --since checkpoint-47 -o proof
      testigo checkpoint prove --since checkpoint-47 --to packet/ -o proof
      python3 -I verify.py --older-checkpoint checkpoint-47 --consistency proof      (in the packet)

    The digests stand in base64, one a line. Of two checkpoints of the same size the proof is empty: their roots must be
    the same.
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.READ_LOG)
    if output is not None:
        refuse_output(rooms, output)
    other = read_outside(until) if until is not None else None
    proof = prove_consistency(rooms.store, rooms.verifier_keys, read_outside(since), other)
    _give(talk, proof.to_lines(), output)
    talk.aside(
        f"From {counted(proof.older.size, 'entry', 'entries')} to {proof.newer.size:,}, "
        f"root {proof.newer.root.hex()}: nothing was changed in between."
    )
    talk.document(_document(proof, output))
    return 0


def _document(proof: ConsistencyProof, output: Path | None) -> dict[str, object]:
    return {
        "ok": True,
        "origin": proof.newer.origin,
        "from": {"size": proof.older.size, "root": proof.older.root.hex()},
        "to": {"size": proof.newer.size, "root": proof.newer.root.hex()},
        "proof": proof.to_lines().decode("ascii").split(),
        "output": str(output) if output is not None else None,
    }


def _give(talk: Talk, content: bytes, output: Path | None) -> None:
    if output is not None:
        write_durably(output, content)
        talk.say(f"Written to {printable(str(output))}")
    elif not talk.speaks_json:
        sys.stdout.write(content.decode("utf-8"))


COMMANDS: dict[str, click.Command] = {"checkpoint": checkpoint}
