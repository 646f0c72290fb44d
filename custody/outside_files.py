"""Reading what somebody outside has kept: a checkpoint, a receipt, a proof file, or a packet's folder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from archive.errors import InputError, IntegrityError
from custody.checkpoint import Checkpoint
from custody.commitments import Disclosure
from custody.entries import RUN, Entry
from custody.outside import KnownEntry, Outside
from custody.receipt import MAX_RECEIPT_OCTETS, parse_receipt
from custody.signed_note import SignedNote, VerifierKey
from custody.tlog_proof import EXTENSION, TlogProof

_SIGNATURE = "\n\n\u2014 ".encode()
"""What stands before the first signature of every signed note."""


def read_outside(path: Path) -> Outside:
    """Read one piece of evidence, told by what is in it and not by its name.

    Raises: InputError `custody/not-evidence`; IntegrityError where it was altered or cut.
    """
    try:
        if path.is_dir():
            return _packet(path)
        with path.open("rb") as file:
            data = file.read(MAX_RECEIPT_OCTETS + 1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "custody/not-evidence",
            "What was given to compare with cannot be read: it must be a checkpoint, a receipt, a proof file or a "
            "packet's folder. Nothing was compared with it.",
            evidence={"path": str(path), "reason": str(error)},
        ) from error
    if data.startswith(b"{"):
        return _receipt(path.name, data)
    if _SIGNATURE not in data:
        raise InputError(
            "custody/not-evidence",
            "What was given to compare with is none of these: a checkpoint, a receipt, a proof file, a packet's "
            "folder. Nothing was compared with it.",
            evidence={"path": str(path), "reason": "it bears no signature of a log"},
        )
    if data.startswith(b"c2sp.org/tlog-proof"):
        proof = TlogProof.parse(data)
        known = KnownEntry(index=proof.index, leaf=None, proof=proof.hashes)
        return _outside(path.name, proof.checkpoint, (), (known,))
    return _outside(path.name, data, (), ())


def _outside(
    name: str,
    note: bytes,
    keys: tuple[VerifierKey, ...],
    known: tuple[KnownEntry, ...],
    numbers: Mapping[UUID, str] | None = None,
) -> Outside:
    checkpoint = Checkpoint.parse(SignedNote.parse(note).text)
    return Outside(name=name, checkpoint=checkpoint, note=note, keys=keys, entries=known, numbers=numbers or {})


def _receipt(name: str, data: bytes) -> Outside:
    receipt = parse_receipt(data)
    known = tuple(
        KnownEntry(index=item.index, leaf=item.leaf, proof=item.proof, label=item.number) for item in receipt.items
    )
    numbers = {
        item_id: item.number
        for item in receipt.items
        for item_id in _opened_items([disclosure.text for disclosure in item.disclosures])
    }
    return _outside(name, receipt.checkpoint, receipt.verifier_keys, known, numbers)


def _packet(folder: Path) -> Outside:
    metadata = folder / "metadata"
    keys = tuple(map(VerifierKey.parse, (metadata / "verifier-keys").read_text("utf-8").splitlines()))
    numbers = {each["item"]: each["number"] for each in json.loads((metadata / "packet.json").read_bytes())["items"]}
    lines = (metadata / "custody-log.jsonl").read_text("utf-8").splitlines()
    known = tuple(_line(json.loads(line), metadata / "proofs", numbers) for line in lines)
    by_id = {UUID(item): number for item, number in numbers.items()}
    return _outside(folder.name, (metadata / "checkpoint").read_bytes(), keys, known, by_id)


def _line(line: dict[str, Any], proofs: Path, numbers: dict[str, str]) -> KnownEntry:
    leaf = line["leaf"].encode("ascii")
    seq = Entry.parse(leaf).seq
    file = proofs / f"{seq}{EXTENSION}"
    proof = TlogProof.parse(file.read_bytes()).hashes if file.is_file() else None
    items = {str(item) for item in _opened_items(line["disclosures"])}
    label = ", ".join(sorted({numbers[item] for item in items if item in numbers}))
    return KnownEntry(index=seq, leaf=leaf, proof=proof, label=label)


def _opened_items(disclosures: Sequence[str]) -> Iterator[UUID]:
    """Give the items whose runs are opened here."""
    for text in disclosures:
        try:
            opened = Disclosure(text).parse()
        except IntegrityError:
            continue  # The packet's own verifier says so; here only the entry counts.
        match opened.name, opened.value:
            case "run", {"item": str(item)} if opened.name == RUN:
                with suppress(ValueError):
                    yield UUID(item)
