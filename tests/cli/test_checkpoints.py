"""Checkpoints leave the archive, and whoever kept one gets the proof that a later one extends it."""

import hashlib
import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from cli import main
from custody.checkpoint import Checkpoint, sign_checkpoint
from custody.signed_note import KeyType, SignedNote, SigningKey
from export.request import PacketRequest
from tests.way_in import AN_HOUR_AGO, YEAR, WayIn, arrival

Run = Callable[..., Result]


def tree(leaves: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    cut = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + tree(leaves[:cut]) + tree(leaves[cut:])).digest()


def subproof(size: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 9162, 2.1.4.1, word for word."""
    if size == len(leaves):
        return [] if whole else [tree(leaves)]
    cut = 1 << (len(leaves) - 1).bit_length() - 1
    if size <= cut:
        return [*subproof(size, leaves[:cut], whole), tree(leaves[cut:])]
    return [*subproof(size - cut, leaves[cut:], False), tree(leaves[:cut])]


def leaves_of(archive: WayIn) -> list[bytes]:
    return [entry.leaf for entry in archive.rooms.register.open(list(range(archive.rooms.register.size())), {})]


def size_of(note: Path) -> int:
    return Checkpoint.parse(SignedNote.parse(note.read_bytes()).text).size


def test_a_kept_checkpoint_is_proved_to_be_the_beginning_of_the_newest_and_of_a_packets_log(
    run: Run, unlocked: WayIn, tmp_path: Path
) -> None:
    kept, proof = tmp_path / "kept", tmp_path / "proof"
    assert run("checkpoint", "show", "-o", str(kept)).exit_code == 0
    assert kept.read_bytes() == (unlocked.home / "store" / "log" / "checkpoint").read_bytes()
    for n in range(5):
        unlocked.take_in([arrival(f"{n}.txt", str(n).encode())])
    packet = tmp_path / "packet"
    request = PacketRequest(
        actor=unlocked.actor,
        recipient="A. Ortiz",
        legal_basis="client file",
        destination=packet,
        items=(f"E-{YEAR}-00002",),
    )
    unlocked.rooms.disclosure.build_legal(request, lambda _: None)
    for n in range(5, 9):
        unlocked.take_in([arrival(f"{n}.txt", str(n).encode())])

    result = run("checkpoint", "prove", "--since", str(kept), "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    leaves = leaves_of(unlocked)
    assert told["from"] == {"size": size_of(kept), "root": tree(leaves[: size_of(kept)]).hex()}
    assert told["to"] == {"size": len(leaves), "root": tree(leaves).hex()}
    assert [b64decode(step) for step in told["proof"]] == subproof(size_of(kept), leaves, True)

    assert run("checkpoint", "prove", "--since", str(kept), "--to", str(packet), "-o", str(proof)).exit_code == 0
    verify = [sys.executable, "-I", "-S", "verify.py", "--json", "--older-checkpoint", str(kept)]
    unproved = subprocess.run(verify, cwd=packet, capture_output=True, text=True, check=False)
    assert "testigo checkpoint prove" in unproved.stdout
    checked = subprocess.run(
        [*verify, "--consistency", str(proof)], cwd=packet, capture_output=True, text=True, check=False
    )
    assert json.loads(checked.stdout)["subjects"]["your older checkpoint"] == "MATCHES"
    lines = proof.read_text().splitlines()
    proof.write_text("\n".join([("B" if lines[0][0] == "A" else "A") + lines[0][1:], *lines[1:]]) + "\n")
    checked = subprocess.run(
        [*verify, "--consistency", str(proof)], cwd=packet, capture_output=True, text=True, check=False
    )
    assert json.loads(checked.stdout)["subjects"]["your older checkpoint"] == "DOES NOT MATCH"


def test_proofs_are_given_from_every_size_to_every_later_one(run: Run, unlocked: WayIn) -> None:
    for n in range(6):
        unlocked.take_in([arrival(f"{n}.txt", str(n).encode())])
    notes = sorted((unlocked.home / "store" / "log" / "checkpoints").iterdir())
    leaves = leaves_of(unlocked)
    assert len(notes) > 5
    for older in notes[::2]:
        for newer in notes:
            if size_of(older) <= size_of(newer):
                told = json.loads(
                    run("checkpoint", "prove", "--since", str(older), "--to", str(newer), "--json").stdout
                )
                expected = subproof(size_of(older), leaves[: size_of(newer)], True)
                assert [b64decode(step) for step in told["proof"]] == expected


def test_it_works_while_locked_and_writes_nothing(run: Run, home: Path) -> None:
    first = sorted((home / "store" / "log" / "checkpoints").iterdir())[0]
    before = run("log", "--closed", "--json").stdout
    assert run("checkpoint", "prove", "--since", str(first)).exit_code == 0
    assert run("checkpoint", "show").stdout.startswith("archive.example.org/log\n")
    assert run("log", "--closed", "--json").stdout == before


def test_no_proof_is_given_for_a_checkpoint_that_is_not_of_this_logs_past(run: Run, home: Path, tmp_path: Path) -> None:
    store = home / "store" / "log"
    newest = Checkpoint.parse(SignedNote.parse((store / "checkpoint").read_bytes()).text)
    forged = tmp_path / "forged"

    def sign(origin: str, size: int) -> None:
        keys = [SigningKey.generate(origin, KeyType.ED25519)]
        forged.write_bytes(sign_checkpoint(Checkpoint(origin=origin, size=size, root=bytes(32)), keys, AN_HOUR_AGO))

    for origin, size, status, code in (
        (newest.origin, newest.size - 1, 4, "custody/inconsistent"),
        (newest.origin, newest.size + 5, 4, "custody/rolled-back"),
        ("other.example.org/log", 2, 1, "custody/other-log"),
        (newest.origin, 0, 1, "custody/empty-checkpoint"),
    ):
        sign(origin, size)
        refused = run("checkpoint", "prove", "--since", str(forged), "-o", str(tmp_path / "proof"))
        assert refused.exit_code == status, refused.stderr
        assert code in refused.stderr
        assert not (tmp_path / "proof").exists()


def test_help_names_the_command() -> None:
    assert "checkpoint" in CliRunner().invoke(main, ["--help"]).stdout
