"""Checking ProofMode proofs with the tools in confinement: those that lie beside a file, and those in a ZIP bundle."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from archive.errors import ConfigError, UnavailableError
from archive.types import Finding
from media.confined_python import ConfinedPython
from media.confinement import Confinement
from media.credentials import CredentialClaim
from media.openpgp import SignatureChecker
from media.options import MIB, MediaSettings
from media.proofmode import SIGNATURE, ProofParts, SignatureResult, ending_of, is_key_name, judge_proof, not_read
from media.ranges import RangeSource

_BUNDLE_MIB = 256
_MARKS = (b".proof.json", b".proof.csv")
_TAIL_OCTETS = 1 << 16


class ProofChecker:
    """Checks one proof at a time."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._signatures = SignatureChecker(confinement, settings)
        self._settings = settings
        self._python = ConfinedPython(confinement, settings, packages=())

    def check(self, proof: ProofParts, file: RangeSource | None) -> CredentialClaim | None:
        """Check a proof of one file; `file` is None where only its digest is at hand. None where there is no proof.

        Raises: what `file` raises.
        """
        results: dict[str, SignatureResult] = {}
        try:
            for ending, signature in proof.parts.items():
                signed = proof.parts.get(ending.removesuffix(SIGNATURE)) if ending != SIGNATURE else file
                if ending.endswith(SIGNATURE) and proof.key is not None and signed is not None:
                    results[ending] = self._signatures.check(proof.key, signature, signed)
        except ConfigError as error:
            return not_read(error.message)
        return judge_proof(proof, results, "")

    def check_bundle(self, source: RangeSource) -> CredentialClaim | None:
        """Check the proofs in a ZIP file; None where it holds none. Raises: what `source` raises."""
        if not self.may_be_bundle(source):
            return None
        if source.size > _BUNDLE_MIB * MIB:
            return not_read("the bundle is too large to be opened in the sandbox.")
        try:
            told = self._open(source)
        except (ConfigError, UnavailableError) as error:
            return not_read(error.message)
        if told is None:
            return not_read("the bundle is damaged or too large to be opened.")
        claims = [claim for proof in _proofs_in(told) if (claim := self.check(proof, None)) is not None]
        if not claims:
            return not_read("the bundle holds a proof and not the file that it is of.")
        # Of several proofs the worst is told, so that none hides behind another.
        order = (Finding.DOES_NOT_MATCH, Finding.CANNOT_TELL, Finding.MATCHES)
        return min(claims, key=lambda claim: order.index(claim.finding))

    @staticmethod
    def may_be_bundle(source: RangeSource) -> bool:
        """Tell cheaply whether a ZIP file names a part of a proof in its directory, which stands at its end."""
        tail = source.read_range(max(0, source.size - _TAIL_OCTETS), min(_TAIL_OCTETS, source.size))
        return any(mark in tail for mark in _MARKS)

    def _open(self, source: RangeSource) -> dict[str, Any] | None:
        answer = self._python.run(
            "proof_bundle",
            {"bundle": source},
            deadline=time.monotonic() + self._settings.wall_seconds,
            output_octets=self._settings.output_mib * MIB,
        )
        if answer.refusal is not None:
            return None
        try:
            told = json.loads(answer.output)
        except ValueError:
            return None
        return told if isinstance(told, dict) else None


def _proofs_in(told: Mapping[str, Any]) -> list[ProofParts]:
    parts = {str(name): base64.b64decode(str(content)) for name, content in (told.get("parts") or {}).items()}
    key = next((content for name, content in parts.items() if is_key_name(name)), None)
    proofs = []
    for file in told.get("files") or ():
        stems = (str(file.get("sha256")), str(file.get("name")), str(file.get("name")).rpartition(".")[0])
        own = {ending: content for name, content in parts.items() if (ending := ending_of(name, stems)) is not None}
        proofs.append(ProofParts(sha256=str(file.get("sha256")), parts=own, key=key, packed=True))
    return [proof for proof in proofs if proof.parts]
