"""Content credentials: every file of the independent set is judged as its expected report says, and offline."""

import json
import time
from pathlib import Path

import pytest

from archive.types import Finding
from media.confinement import Confinement, ConfinementLevel
from media.credentials import CredentialReader, find_system_python, judge, may_hold_credentials
from media.ranges import BytesRanges
from media.sentences import english
from media.workbench import Workbench
from tests.conftest import CorpusFinder
from tests.media.conftest import SETTINGS

UNTRUSTED = "signingCredential.untrusted"


@pytest.fixture(scope="module")
def files(corpus: CorpusFinder) -> list[Path]:
    return sorted((corpus("c2pa") / "public-testfiles").glob("*.jp*g"))


def expected(path: Path) -> Finding | None:
    """What the report that came with the set says: None where the file has no credentials."""
    report = path.parent / "manifests" / path.stem / "manifest_store.json"
    if not report.is_file():
        return None
    status = json.loads(report.read_bytes()).get("validation_status") or []
    broken = [each for each in status if each["code"] != UNTRUSTED]
    return Finding.DOES_NOT_MATCH if broken else Finding.MATCHES


def test_every_file_of_the_set_is_judged_as_its_report_says(workbench: Workbench, files: list[Path]) -> None:
    judged = {}
    for path in files:
        claim = workbench.examine(BytesRanges(path.read_bytes())).credentials
        judged[path.name] = claim.finding if claim is not None else None
    assert judged == {path.name: expected(path) for path in files}
    assert {*judged.values()} == {None, Finding.MATCHES, Finding.DOES_NOT_MATCH}


def test_a_signature_that_holds_never_says_who_signed(workbench: Workbench, files: list[Path]) -> None:
    intact = next(path for path in files if path.stem.endswith("-CA") and "E-" not in path.stem)
    claim = workbench.examine(BytesRanges(intact.read_bytes())).credentials
    assert claim is not None and claim.finding is Finding.MATCHES
    words = " ".join(english(reason) for reason in claim.reasons)
    assert "Who signed is not known" in words and "C2PA Test Signing Cert" in words
    assert claim.signed_time.startswith("2023-01-24T14:48:56")
    assert claim.edits == ("c2pa.opened", "c2pa.color_adjustments")


@pytest.mark.parametrize("place", [0.6, 0.8, 0.97])
def test_one_changed_octet_of_the_picture_is_found(workbench: Workbench, files: list[Path], place: float) -> None:
    content = bytearray(next(path for path in files if path.stem.endswith("-C")).read_bytes())
    content[int(len(content) * place)] ^= 1
    claim = workbench.examine(BytesRanges(bytes(content))).credentials
    assert claim is not None and claim.finding is not Finding.MATCHES


def test_credentials_that_are_cut_or_absurd_cannot_be_told(confinement: Confinement, files: list[Path]) -> None:
    reader = CredentialReader(confinement, SETTINGS)
    content = next(path for path in files if path.stem.endswith("-C")).read_bytes()
    deadline = time.monotonic() + 60
    for damaged in (content[:20_000], content[:3], b"", b"\xff\xd8\xff\xeb\xff\xffJP" + b"\0" * 70_000):
        claim = reader.read(BytesRanges(damaged), "image/jpeg", deadline=deadline)
        assert claim is None or claim.finding is not Finding.MATCHES
    reader.close()


def test_no_answer_means_cannot_tell_and_says_so(confinement: Confinement, files: list[Path]) -> None:
    reader = CredentialReader(confinement, SETTINGS)
    content = BytesRanges(files[0].read_bytes())
    claim = reader.read(content, "image/jpeg", deadline=time.monotonic() + 0.01)
    assert claim is not None and claim.finding is Finding.CANNOT_TELL
    assert "could not be checked" in english(claim.reasons[0])
    reader.close()


def test_the_library_works_without_anything_of_the_checkout_in_sight(sandbox: None, files: list[Path]) -> None:  # noqa: ARG001
    """The sandbox shows /usr alone; the interpreter is the system's and the library came by memory files."""
    assert find_system_python().startswith("/usr/")
    with Confinement(ConfinementLevel.BUBBLEWRAP, run_as=SETTINGS.run_as) as bare:
        reader = CredentialReader(bare, SETTINGS)
        claim = reader.read(BytesRanges(files[0].read_bytes()), "image/jpeg", deadline=time.monotonic() + 60)
        reader.close()
    assert claim is not None and claim.finding is not Finding.CANNOT_TELL


def test_a_file_without_credentials_starts_no_process() -> None:
    assert not may_hold_credentials(b"\xff\xd8\xff\xe0" + b"picture" * 100, ())
    assert may_hold_credentials(b"\0\0\0\x20jumb", ())


def test_a_state_that_is_not_known_is_never_valid() -> None:
    for answer in (b'{"state":"Splendid"}', b'{"state":null}', b'{"state":"Valid","failures":[{"code":"x.y"}]}'):
        claim = judge(answer)
        assert claim is not None and claim.finding is Finding.DOES_NOT_MATCH
