"""The verifier's time-stamps and receipts: tokens by `openssl ts`, by other authorities, and certificates set wrong."""

import base64
import copy
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from export import packet_verifier as verifier
from export.packet_verifier import DIFFERS, MATCHES, UNCLEAR, CannotTell, DoesNotMatch, Options
from tests.changed_receipts import changes_of, older_forms
from tests.export.packet_fixture import Authority, Changes, Parts, ec_key, make_parts, make_receipt, rsa_key

CHECKPOINT = "metadata/checkpoint"
VECTORS = Path(__file__).parents[1] / "vectors" / "rfc3161"
MakeAuthority = Callable[..., Authority]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "tsa")


@pytest.fixture(scope="module")
def pristine() -> Parts:
    return make_parts()


def packet(pristine: Parts, folder: Path, **stamps: tuple[bytes, bytes]) -> Path:
    parts = copy.copy(pristine)
    parts.tags = dict(pristine.tags)
    for name, (token, chain) in stamps.items():
        parts.tags[f"metadata/timestamps/{name}.tsr"] = token
        parts.tags[f"metadata/timestamps/{name}.pem"] = chain
    return parts.write(folder)


def judge(token: bytes, stamped: bytes, chain: bytes, *roots: bytes) -> tuple[str, str]:
    """Judge one token over one checkpoint as the check of a packet does; returns verdict and words."""
    report = verifier.Report()
    checkpoint = verifier.Checkpoint(stamped, "o", 1, b"", [], [])
    options = Options(roots=[found for root in roots for found in verifier.read_pem(root)])
    verifier.judge_timestamps([("token", token, chain)], checkpoint, [], options, report)
    return report.verdict, " ".join(finding.words for finding in report.findings)


@pytest.mark.parametrize(
    "make_key",
    [ec_key, rsa_key, lambda: ec_key(ec.SECP384R1()), lambda: ec_key(ec.SECP521R1())],
    ids=["P-256", "RSA", "P-384", "P-521"],
)
def test_tokens_of_each_kind_of_key_match(tmp_path: Path, make_key: Callable[[], ec.EllipticCurvePrivateKey]) -> None:
    authority = Authority(tmp_path / "tsa", make_key)
    token = authority.stamp(b"checkpoint")
    verdict, words = judge(token, b"checkpoint", authority.chain_pem)
    assert (verdict, "Test stamper" in words) == (MATCHES, True)
    assert judge(token, b"checkpoint", authority.chain_pem, authority.root_pem)[0] == MATCHES
    assert judge(token, b"checkpoint", b"", authority.root_pem)[0] == MATCHES


def test_a_whole_packet_with_two_authorities_matches(pristine: Parts, tmp_path: Path, authority: Authority) -> None:
    second = Authority(tmp_path / "second", rsa_key, "Second")
    note = pristine.tags[CHECKPOINT]
    stamps = {name: (one.stamp(note), one.chain_pem) for name, one in (("first", authority), ("second", second))}
    folder = packet(pristine, tmp_path / "packet", **stamps)
    report = verifier.verify_packet(folder, Options())
    assert report.verdict == MATCHES
    assert [stamp["file"] for stamp in report.facts["timestamps"]] == [f"metadata/timestamps/{n}.tsr" for n in stamps]
    assert any("whether you trust it is your decision" in note for note in report.notes)
    only_first = verifier.verify_packet(folder, Options(roots=verifier.read_pem(authority.root_pem)))
    assert only_first.verdict == UNCLEAR
    assert [finding.subject for finding in only_first.of(UNCLEAR)] == ["metadata/timestamps/second.tsr"]


def test_a_token_of_another_checkpoint_is_refused(authority: Authority) -> None:
    token = authority.stamp(b"another checkpoint")
    assert judge(token, b"checkpoint", authority.chain_pem) == (
        DIFFERS,
        "is a time-stamp of something else, not of this checkpoint",
    )


def test_a_root_that_the_reader_does_not_trust_is_refused(tmp_path: Path, authority: Authority) -> None:
    stranger = Authority(tmp_path / "tsa")
    verdict, words = judge(authority.stamp(b"x"), b"x", authority.chain_pem, stranger.root_pem)
    assert verdict == DIFFERS
    assert "not to the one you gave" in words


def test_a_token_without_any_root_cannot_be_told(authority: Authority) -> None:
    verdict, words = judge(authority.stamp(b"x"), b"x", b"")
    assert verdict == UNCLEAR
    assert "give it with --timestamp-root" in words


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        (Changes(leaf_usages=(ExtendedKeyUsageOID.CODE_SIGNING,)), DIFFERS, "not for time-stamps alone"),
        (Changes(leaf_usages=(ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)), DIFFERS, "alone"),
        (Changes(leaf_usage_critical=False), DIFFERS, "not for time-stamps alone"),
        (Changes(leaf_until=datetime(2021, 1, 1, tzinfo=UTC)), DIFFERS, "was not valid at the time it states"),
        (Changes(middle_may_issue=False), DIFFERS, "may issue none"),
        (Changes(extra_critical=True), UNCLEAR, "critical extension that this program does not know"),
    ],
)
def test_certificates_that_may_not_stamp_are_refused(
    tmp_path: Path, authority: Authority, changes: Changes, verdict: str, words: str
) -> None:
    wrong = Authority(tmp_path / "tsa", changes=changes)
    # `openssl ts` itself refuses to stamp with such certificates; the token is made with right ones for the same key.
    token = resigned(authority, wrong)
    assert judge(token, b"x", wrong.chain_pem)[0] == verdict
    assert words in judge(token, b"x", wrong.chain_pem)[1]


def resigned(right: Authority, wrong: Authority) -> bytes:
    """A token whose signer is `wrong`'s certificate: openssl's structure, its signed parts made again by hand."""
    from asn1crypto import cms, tsp, x509
    from cryptography.hazmat.primitives import hashes, serialization

    leaf, middle = (x509.Certificate.load(c.raw) for c in verifier.read_pem(wrong.chain_pem)[:2])
    response = tsp.TimeStampResp.load(right.stamp(b"x"))
    signed = response["time_stamp_token"]["content"]
    signed["certificates"] = [leaf, middle]
    signer = signed["signer_infos"][0]
    signer["sid"] = cms.SignerIdentifier(
        {"issuer_and_serial_number": {"issuer": leaf.issuer, "serial_number": leaf.serial_number}}
    )
    for attribute in signer["signed_attrs"]:
        if attribute["type"].native == "signing_certificate_v2":
            digest = hashlib.sha256(leaf.dump()).digest()
            attribute["values"] = [tsp.SigningCertificateV2({"certs": [{"cert_hash": digest}]})]
    key = serialization.load_pem_private_key((wrong.folder / "leaf.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    content = b"\x31" + signer["signed_attrs"].dump(force=True)[1:]
    signer["signature"] = key.sign(content, ec.ECDSA(hashes.SHA256()))
    return bytes(response.dump(force=True))


def test_tokens_of_another_authority_match_and_their_broken_kin_do_not() -> None:
    chain = (VECTORS / "sigstage" / "ts_chain.pem").read_bytes()
    for name in ("sha256", "sha384", "sha512"):
        token = (VECTORS / "sigstage" / f"response-{name}.tsr").read_bytes()
        assert judge(token, b"hello", chain)[0] == MATCHES
        assert judge(token, b"hullo", chain)[0] == DIFFERS
    broken = (VECTORS / "sigstage" / "response-invalid-signature.tsr").read_bytes()
    assert judge(broken, b"hello", chain)[0] == DIFFERS
    bare = (VECTORS / "sigstage" / "response-no-embedded-cert.tsr").read_bytes()
    assert judge(bare, b"hello", chain)[0] == MATCHES


def test_the_name_of_the_authority_is_the_signers_and_not_one_smuggled_into_the_bag() -> None:
    chain = verifier.read_pem((VECTORS / "test_tsa" / "ts_chain.pem").read_bytes())
    token = (VECTORS / "test_tsa" / "response-injected-certs.tsr").read_bytes()
    read = verifier.read_token(token)
    assert any("Spoofed" in certificate.name for certificate in read.certificates)
    signer = verifier.verify_signer_info(read, read.certificates + chain)
    assert "Spoofed" not in signer.name


def test_an_algorithm_whose_parts_are_empty_cannot_be_told() -> None:
    empty = verifier.read_one_der(bytes.fromhex("3006a000a100a200"), verifier.SEQUENCE, "algorithm")
    with pytest.raises(CannotTell):
        verifier.read_pss(empty)


def test_a_bare_token_and_a_whole_response_are_both_read(authority: Authority) -> None:
    response = authority.stamp(b"x")
    bare = verifier.read_one_der(response, verifier.SEQUENCE, "response").children()[1].raw
    assert judge(bare, b"x", authority.chain_pem)[0] == MATCHES


@settings(max_examples=30, deadline=None)
@given(at=st.floats(min_value=0, max_value=0.9999), new=st.binary(max_size=4), cut=st.integers(0, 4))
def test_a_damaged_token_never_passes_and_never_breaks_the_program(
    authority: Authority, at: float, new: bytes, cut: int
) -> None:
    token = TOKENS.setdefault("x", authority.stamp(b"x"))
    place = int(at * len(token))
    damaged = token[:place] + new + token[place + cut :]
    try:
        stamp = verifier.verify_token(damaged, b"x", [], verifier.read_pem(authority.root_pem))
    except (DoesNotMatch, CannotTell):
        return
    # What no signature covers (the status text, an unused certificate) may differ; what it says may not.
    assert stamp.moment == verifier.read_token(token).moment
    assert stamp.authority == "Test stamper"


TOKENS: dict[str, bytes] = {}


@given(st.binary(max_size=300))
def test_random_bytes_are_no_certificate_no_token_and_no_key(content: bytes) -> None:
    for read in (verifier.read_token, verifier.read_certificate, verifier.read_der):
        try:
            read(content)
        except (DoesNotMatch, CannotTell):
            continue


# --- Receipts ---------------------------------------------------------------------------------------


def receipt(parts: Parts, authority: Authority | None = None) -> dict[str, object]:
    stamps = []
    if authority is not None:
        token = base64.b64encode(authority.stamp(parts.tags[CHECKPOINT])).decode()
        stamps = [{"authority": "one", "token": token, "chain": authority.chain_pem.decode()}]
    return make_receipt(parts, stamps)


def written(receipt: dict[str, object]) -> bytes:
    return rfc8785.dumps(receipt)  # type: ignore[arg-type]  # all of it is text, numbers, lists and objects


def test_a_receipt_is_checked_alone(
    pristine: Parts, authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "receipt.json").write_bytes(written(receipt(pristine, authority)))
    assert verifier.main(["--receipt", str(tmp_path / "receipt.json")]) == 0
    text = capsys.readouterr().out
    assert "MATCHES         E-2026-00001" in text
    assert text.rstrip("\n").split("\n")[-1].startswith("MATCHES: receipt R-2026-0001 states")


def test_a_receipt_without_a_time_stamp_cannot_be_told_when(pristine: Parts) -> None:
    report = verifier.verify_receipt(written(receipt(pristine)), Options())
    assert (report.verdict, [finding.subject for finding in report.of(UNCLEAR)]) == (UNCLEAR, ["time-stamp"])


@pytest.mark.parametrize("member", ["leaf", "index", "disclosures", "proof", "sha256", "size"])
def test_a_receipt_changed_in_any_place_is_refused(pristine: Parts, member: str) -> None:
    changed = receipt(pristine)
    items = changed["items"]
    assert isinstance(items, list)
    items[0][member] = items[1][member]
    report = verifier.verify_receipt(written(changed), Options())
    assert report.verdict == DIFFERS
    assert report.of(DIFFERS)[0].subject == "item 1"


def test_a_receipt_with_any_member_changed_is_refused(pristine: Parts, authority: Authority) -> None:
    whole = written(receipt(pristine, authority))
    assert verifier.verify_receipt(whole, Options()).verdict == MATCHES
    names = set()
    for name, changed in changes_of(whole):
        names.add(name)
        # Of a version that is yet to come nothing can be told.
        assert verifier.verify_receipt(changed, Options()).verdict == (UNCLEAR if name == "v" else DIFFERS), name
    assert {"receipt", "received_time", "use", "items.0.number", "items without 1"} <= names


def test_a_receipt_of_an_older_form_is_not_proved_as_a_whole(pristine: Parts, authority: Authority) -> None:
    whole = written(receipt(pristine, authority))
    for version, older in older_forms(whole):
        report = verifier.verify_receipt(older, Options())
        assert [finding.subject for finding in report.of(UNCLEAR)] == ["the receipt as a whole"], version
        assert report.verdict == UNCLEAR


@settings(max_examples=30, deadline=None)
@given(at=st.floats(min_value=0, max_value=0.9999), new=st.binary(max_size=3), cut=st.integers(0, 3))
def test_a_damaged_receipt_is_judged_and_never_breaks_the_program(
    pristine: Parts, at: float, new: bytes, cut: int
) -> None:
    whole = written(receipt(pristine))
    place = int(at * len(whole))
    verifier.verify_receipt(whole[:place] + new + whole[place + cut :], Options())
