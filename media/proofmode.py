"""ProofMode proofs: what came beside a photo or film to prove it, checked offline for what it can show.

A proof is a list of fields with the file's SHA-256 (`….proof.json`, `….proof.csv`), detached OpenPGP signatures over
the list and the file (`.asc`), and the public key, all named after the file's digest or its name. The key comes with
the rest, so signatures that hold show that the parts belong together and were not changed since, not who made them.
No I/O.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archive.types import Finding
from media.credentials import CredentialClaim
from media.sentences import Message, message

TOOL = "gpgv"
LISTS = (".proof.json", ".proof.csv")
SIGNATURE = ".asc"
_DIGEST_FIELDS = frozenset({"file hash sha256", "filehashsha256", "hash"})
_MOST_FIELDS = 60
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofParts:
    """What came with one file: its proof's lists and signatures by their ending (`.proof.json.asc`), and a key.

    `packed` says that the file itself lies inside a bundle, so that only its digest is at hand.
    """

    sha256: str
    parts: Mapping[str, bytes]
    key: bytes | None
    packed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureResult:
    """How one signature ended: `holds` is None where it could not be told; `signer` is the key's own word."""

    holds: bool | None
    signer: str = ""
    time: str = ""


def is_key_name(name: str) -> bool:
    """Whether a file is named as ProofMode names the public key."""
    return name.lower().endswith(SIGNATURE) and "pubkey" in name.lower()


def ending_of(name: str, stems: Sequence[str]) -> str | None:
    """Give the ending of a proof's part for a file of that digest or name; None where it is no part of it."""
    for stem in stems:
        rest = name[len(stem) :].lower()
        if stem and name.lower().startswith(stem.lower()) and rest in _ENDINGS:
            return rest
    return None


_ENDINGS = frozenset({*LISTS, SIGNATURE, *(ending + SIGNATURE for ending in LISTS)})


def judge_proof(found: ProofParts, signatures: Mapping[str, SignatureResult], version: str) -> CredentialClaim | None:
    """Judge a proof by its digest and the signatures, given by their endings; None where there is no proof."""
    lists = [ending for ending in LISTS if ending in found.parts]
    if not lists and SIGNATURE not in found.parts:
        return None
    fields = [pair for ending in lists for pair in _fields(ending, found.parts[ending])]
    reasons = [*_digest(found, fields, bool(lists)), *_signed(found, signatures)]
    findings = [finding for finding, _ in reasons]
    wrong = Finding.DOES_NOT_MATCH in findings
    holds = Finding.MATCHES in findings and Finding.CANNOT_TELL not in findings
    results = [result for result in signatures.values() if result.signer or result.time]
    return CredentialClaim(
        kind="proofmode",
        finding=Finding.DOES_NOT_MATCH if wrong else Finding.MATCHES if holds else Finding.CANNOT_TELL,
        reasons=tuple(dict.fromkeys(reason for _, reason in reasons)),
        tool=TOOL,
        version=version,
        signer=results[0].signer if results else "",
        signed_time=results[0].time if results else "",
        says=tuple(dict.fromkeys((name, value) for name, value in fields if value))[:_MOST_FIELDS],
    )


def not_read(reason: str) -> CredentialClaim:
    """Say that a proof came and could not be checked."""
    return CredentialClaim(
        kind="proofmode",
        finding=Finding.CANNOT_TELL,
        reasons=(message("proofmode/not-read", reason=reason),),
        tool=TOOL,
        version="",
    )


Judged = tuple[Finding, Message]


def _digest(found: ProofParts, fields: Sequence[tuple[str, str]], listed: bool) -> Iterator[Judged]:
    named = {value.strip().lower() for name, value in fields if name.lower() in _DIGEST_FIELDS}
    if named == {found.sha256}:
        yield Finding.MATCHES, message("proofmode/digest")
    elif named:
        yield Finding.DOES_NOT_MATCH, message("proofmode/other-digest")
    elif listed:
        yield Finding.CANNOT_TELL, message("proofmode/not-read", reason="its list names no SHA-256 of a file.")


def _signed(found: ProofParts, signatures: Mapping[str, SignatureResult]) -> Iterator[Judged]:
    wanted = [ending for ending in found.parts if ending.endswith(SIGNATURE)]
    if not wanted:
        yield Finding.CANNOT_TELL, message("proofmode/no-signature")
    elif found.key is None:
        yield Finding.CANNOT_TELL, message("proofmode/no-key")
    else:
        for ending in sorted(wanted):
            yield from _one_signature(ending, found, signatures.get(ending))
        yield Finding.MATCHES, message("proofmode/key-from-bundle")


def _one_signature(ending: str, found: ProofParts, result: SignatureResult | None) -> Iterator[Judged]:
    part = {".asc": "the file", ".proof.json.asc": "the list of fields", ".proof.csv.asc": "the table of fields"}[
        ending
    ]
    if ending == SIGNATURE and found.packed:
        yield Finding.MATCHES, message("proofmode/packed")
    elif result is None or result.holds is None:
        reason = f"the signature over {part} could not be read, or its key is another than the one that came."
        yield Finding.CANNOT_TELL, message("proofmode/not-read", reason=reason)
    elif result.holds:
        yield Finding.MATCHES, message("proofmode/signed", part=part)
    else:
        yield Finding.DOES_NOT_MATCH, message("proofmode/bad-signature", part=part)


def _fields(ending: str, raw: bytes) -> Iterator[tuple[str, str]]:
    """Read a list of fields; a list that cannot be read has none."""
    text = raw.decode("utf-8-sig", "replace")
    try:
        told: Any = json.loads(text) if ending == ".proof.json" else _first_row(text)
    except (ValueError, RecursionError, csv.Error):
        return
    for each in told if isinstance(told, list) else [told]:
        if isinstance(each, dict):
            for name, value in each.items():
                if isinstance(value, str | int | float | bool):
                    yield str(name)[:_LONGEST], str(value)[:_LONGEST]


def _first_row(text: str) -> dict[str, str]:
    rows = list(csv.reader(io.StringIO(text)))[:2]
    return dict(zip(rows[0], rows[1], strict=False)) if len(rows) == 2 else {}
