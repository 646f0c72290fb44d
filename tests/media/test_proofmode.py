"""ProofMode proofs, made here as the app writes them and signed by GnuPG: what holds, what does not, what is untold."""

import csv
import hashlib
import io
import json
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.types import Finding
from ingest.reception import Stored
from media.confinement import Confinement
from media.credentials import CredentialClaim
from media.openpgp import dearmored, read_status
from media.proof_checking import ProofChecker
from media.proofmode import ProofParts
from media.ranges import BytesRanges
from media.sentences import english
from tests.media.conftest import SETTINGS
from tests.media.received_samples import NOKIA
from tests.way_in import WayIn, arrival

PICTURE = NOKIA.read_bytes()
DIGEST = hashlib.sha256(PICTURE).hexdigest()
FIELDS = {
    "File Hash SHA256": DIGEST,
    "File Modified": "2026-01-12T10:11:12Z",
    "Location.Latitude": "34.0536",
    "Location.Longitude": "-118.2772",
    "Manufacturer": "HMD Global",
    "Hardware": "Nokia 8.3 5G",
}
Bundle = dict[str, bytes]


class Signer:
    """A key of a phone, in a GnuPG home of its own."""

    def __init__(self, home: Path) -> None:
        self._base = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
        self._gpg("--passphrase", "", "--quick-generate-key", "noone@proofmode.witness.org", "rsa2048", "sign")
        self.key = self._gpg("--armor", "--export")

    def _gpg(self, *words: str, given: bytes = b"") -> bytes:
        return subprocess.run([*self._base, *words], input=given, check=True, capture_output=True, timeout=60).stdout

    def sign(self, content: bytes) -> bytes:
        return self._gpg("--armor", "--detach-sign", "--output", "-", given=content)


@pytest.fixture(scope="module")
def signers() -> Iterator[tuple[Signer, Signer]]:
    # A socket of GnuPG's must have a short path.
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        yield Signer(Path(one)), Signer(Path(other))
        for home in (one, other):
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False, timeout=30)


@pytest.fixture(scope="module")
def bundle(signers: tuple[Signer, Signer]) -> Bundle:
    """The files as the app shares them, by their endings."""
    signer = signers[0]
    table = io.StringIO()
    csv.writer(table).writerows([list(FIELDS), list(FIELDS.values())])
    listed, tabled = json.dumps(FIELDS).encode(), table.getvalue().encode()
    return {
        ".asc": signer.sign(PICTURE),
        ".proof.json": listed,
        ".proof.json.asc": signer.sign(listed),
        ".proof.csv": tabled,
        ".proof.csv.asc": signer.sign(tabled),
        "pubkey.asc": signer.key,
    }


@pytest.fixture
def checker(confinement: Confinement) -> ProofChecker:
    return ProofChecker(confinement, SETTINGS)


def check(checker: ProofChecker, bundle: Bundle, picture: bytes = PICTURE) -> CredentialClaim | None:
    parts = {ending: content for ending, content in bundle.items() if ending != "pubkey.asc"}
    proof = ProofParts(sha256=hashlib.sha256(picture).hexdigest(), parts=parts, key=bundle.get("pubkey.asc"))
    return checker.check(proof, BytesRanges(picture))


def test_a_proof_that_holds_says_that_it_does_not_say_who(checker: ProofChecker, bundle: Bundle) -> None:
    claim = check(checker, bundle)
    assert claim is not None and claim.finding is Finding.MATCHES
    words = " ".join(english(reason) for reason in claim.reasons)
    assert "this proves only that the parts belong together, not who made them" in words
    assert "noone@proofmode.witness.org" in claim.signer
    assert ("Location.Latitude", "34.0536") in claim.says


def test_another_picture_does_not_match(checker: ProofChecker, bundle: Bundle) -> None:
    claim = check(checker, bundle, PICTURE + b"x")
    assert claim is not None and claim.finding is Finding.DOES_NOT_MATCH


@pytest.mark.parametrize("ending", [".proof.json", ".proof.csv"])
def test_a_changed_field_does_not_match(checker: ProofChecker, bundle: Bundle, ending: str) -> None:
    changed = bundle | {ending: bundle[ending].replace(b"34.0536", b"34.0537")}
    claim = check(checker, changed)
    assert claim is not None and claim.finding is Finding.DOES_NOT_MATCH
    assert any("does not hold" in english(reason) for reason in claim.reasons)


def test_a_signature_by_another_key_cannot_be_told(
    checker: ProofChecker, bundle: Bundle, signers: tuple[Signer, Signer]
) -> None:
    claim = check(checker, bundle | {"pubkey.asc": signers[1].key})
    assert claim is not None and claim.finding is Finding.CANNOT_TELL


@pytest.mark.parametrize(
    "lacking",
    [("pubkey.asc",), (".asc", ".proof.json.asc", ".proof.csv.asc")],
    ids=["no key", "no signature"],
)
def test_what_is_wanting_is_said_and_is_no_match(
    checker: ProofChecker, bundle: Bundle, lacking: tuple[str, ...]
) -> None:
    claim = check(checker, {ending: content for ending, content in bundle.items() if ending not in lacking})
    assert claim is not None and claim.finding is Finding.CANNOT_TELL


@pytest.mark.parametrize(
    "junk",
    [b"", b"\0" * 100, b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n", b"{" * 5000],
    ids=["empty", "zeros", "cut", "deep"],
)
def test_junk_in_any_part_never_matches(checker: ProofChecker, bundle: Bundle, junk: bytes) -> None:
    for ending in (".proof.json.asc", "pubkey.asc", ".asc"):
        claim = check(checker, bundle | {ending: junk})
        assert claim is not None and claim.finding is not Finding.MATCHES
    claim = check(checker, {".proof.json": junk, "pubkey.asc": bundle["pubkey.asc"]})
    assert claim is not None and claim.finding is not Finding.MATCHES


def test_no_parts_are_no_proof(checker: ProofChecker) -> None:
    assert check(checker, {}) is None


def zipped(bundle: Bundle, picture: bytes = PICTURE) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("IMG_0001.jpg", picture)
        for ending, content in bundle.items():
            archive.writestr(ending if ending == "pubkey.asc" else f"{DIGEST}{ending}", content)
    return packed.getvalue()


def test_a_bundle_is_checked_without_being_unpacked(sandbox: None, checker: ProofChecker, bundle: Bundle) -> None:  # noqa: ARG001
    claim = checker.check_bundle(BytesRanges(zipped(bundle)))
    assert claim is not None and claim.finding is Finding.MATCHES, claim and claim.reasons
    assert any("was not checked, since the file lies packed" in english(reason) for reason in claim.reasons)
    forged = checker.check_bundle(BytesRanges(zipped(bundle, PICTURE + b"x")))
    assert forged is not None and forged.finding is not Finding.MATCHES
    cut = checker.check_bundle(BytesRanges(zipped(bundle)[200_000:]))
    assert cut is not None and cut.finding is Finding.CANNOT_TELL


def test_an_ordinary_zip_is_not_looked_into(checker: ProofChecker) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "a")
    assert checker.check_bundle(BytesRanges(packed.getvalue())) is None


def test_a_proof_beside_a_picture_is_recorded_with_it(tmp_path: Path, bundle: Bundle) -> None:
    named = {name if name == "pubkey.asc" else f"{DIGEST}{name}": content for name, content in bundle.items()}
    with WayIn(tmp_path / "archive") as archive:
        arrivals = [arrival(name, content) for name, content in named.items()]
        first, *_ = archive.take_in([arrival(NOKIA.name, NOKIA), *arrivals])
        assert isinstance(first, Stored)
        (receipt,) = archive.log_of(first.item)
        (claim,) = receipt.all("credentials")
        assert (claim["kind"], claim["finding"]) == ("proofmode", "MATCHES")
        # The same key comes with every bundle of a phone, so the second time it is here already.
        later = PICTURE + b"\0"
        digest = hashlib.sha256(later).hexdigest()
        second, *_ = archive.take_in(
            [
                arrival("b.jpg", later),
                arrival(f"{digest}.proof.json", bundle[".proof.json"] + b" "),
                arrival(f"{digest}.proof.json.asc", bundle[".proof.json.asc"] + b"\n"),
                arrival("pubkey.asc", bundle["pubkey.asc"]),
            ]
        )
        assert isinstance(second, Stored)
        (receipt,) = archive.log_of(second.item)
        (claim,) = receipt.all("credentials")
        assert claim["finding"] == "DOES NOT MATCH"


def test_the_words_of_gpgv_alone_are_not_enough() -> None:
    good = "[GNUPG:] GOODSIG 0123 someone\n[GNUPG:] VALIDSIG ABCDEF0123456789 2026-01-01 1767225600 0\n"
    assert read_status(good, 0).holds is True
    assert read_status(good, 1).holds is None
    assert read_status("[GNUPG:] GOODSIG 0123 someone\n", 0).holds is None
    assert read_status(good + "[GNUPG:] BADSIG 0123 someone\n", 1).holds is False


def test_only_a_key_is_a_key() -> None:
    assert dearmored(b"no key") == b""
    assert dearmored(b"\x99\x01\x0d\x04") == b"\x99\x01\x0d\x04"
