"""Proofs that arrive beside a file: which parts of a group belong to which file of it, and what they show.

ProofMode names its parts after the file's SHA-256 or its name. They are small, so their first 64 KiB, which are still
in memory, are all of them; the file itself is read through its seal.
"""

from collections.abc import Sequence

from archive.sealing import HEAD_OCTETS
from archive.vault import Vault
from ingest.entering import Taken
from media.proofmode import ProofParts, ending_of, is_key_name
from media.ranges import as_ranges
from media.workbench import Workbench


def check_proofs(fresh: Sequence[Taken], group: Sequence[Taken], vault: Vault, workbench: Workbench) -> None:
    """Check the proof of every new file that has one in its group, and keep what it shows with the file."""
    small = [(each, _name(each)) for each in group if each.original.sealed.size <= HEAD_OCTETS]
    named = [(each, name) for each, name in small if name.lower().endswith((".asc", ".proof.json", ".proof.csv"))]
    if not named:
        return
    for main in fresh:
        if any(main is each for each, _ in named):
            continue  # A part of a proof is proved together with what it is of.
        own = _name(main)
        stems = (main.original.sealed.sha256.hex, own, own.rpartition(".")[0])
        parts = {
            ending: each.original.sealed.head
            for each, name in named
            if each is not main and _folder(each) == _folder(main) and (ending := ending_of(name, stems)) is not None
        }
        if not parts:
            continue
        beside = [each for each, name in named if is_key_name(name) and _folder(each) == _folder(main)]
        key = beside[0].original.sealed.head if beside else None
        proof = ProofParts(sha256=main.original.sealed.sha256.hex, parts=parts, key=key)
        with vault.reopen(main.original) as source:
            main.proof = workbench.check_proof(proof, as_ranges(source))


def _name(taken: Taken) -> str:
    return taken.arrival.untrusted_name


def _folder(taken: Taken) -> str:
    return taken.arrival.untrusted_path.rpartition("/")[0]
