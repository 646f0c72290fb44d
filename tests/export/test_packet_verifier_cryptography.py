"""The verifier's plain-Python primitives against independent vectors and against `cryptography`."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from export import packet_verifier as verifier
from export.packet_verifier import CannotTell, DoesNotMatch
from tests.conftest import CorpusFinder

VECTORS = Path(__file__).parents[1] / "vectors"
JsonRecord = dict[str, Any]


def accepted(check: Callable[[], object]) -> bool:
    try:
        check()
    except (DoesNotMatch, CannotTell):
        return False
    return True


def wycheproof(folder: Path, name: str) -> Iterator[tuple[JsonRecord, JsonRecord]]:
    content = json.loads((folder / "vectors" / name).read_text(encoding="utf-8"))
    for group in content["testGroups"]:
        for test in group["tests"]:
            yield group, test


def as_expected(test: JsonRecord, passed: bool) -> bool:
    """Strictness is free to refuse what Wycheproof calls acceptable."""
    return passed == (test["result"] == "valid") or (test["result"] == "acceptable" and not passed)


def judge_ed25519(group: JsonRecord, test: JsonRecord) -> bool:
    key, message, signature = (bytes.fromhex(text) for text in (group["publicKey"]["pk"], test["msg"], test["sig"]))
    return as_expected(test, accepted(lambda: verifier.verify_ed25519(key, message, signature)))


def judge_ecdsa(group: JsonRecord, test: JsonRecord) -> bool:
    curve = {"secp256r1": "1.2.840.10045.3.1.7", "secp384r1": "1.3.132.0.34"}[group["publicKey"]["curve"]]
    key, signature = bytes.fromhex(group["publicKey"]["uncompressed"]), bytes.fromhex(test["sig"])
    digest = hashlib.new(group["sha"].replace("-", "").lower(), bytes.fromhex(test["msg"])).digest()
    return as_expected(test, accepted(lambda: verifier.verify_ecdsa(verifier.CURVES[curve], key, digest, signature)))


def judge_rsa(group: JsonRecord, test: JsonRecord) -> bool:
    key, signature = bytes.fromhex(group["publicKeyAsn"]), bytes.fromhex(test["sig"])
    digest = hashlib.sha256(bytes.fromhex(test["msg"])).digest()
    return as_expected(test, accepted(lambda: verifier.verify_rsa(key, "sha256", digest, signature)))


SETS = {
    "ed25519_test.json": (judge_ed25519, 151, 1),
    "ecdsa_secp256r1_sha256_test.json": (judge_ecdsa, 484, 12),
    "ecdsa_secp384r1_sha384_test.json": (judge_ecdsa, 1, 25),
    "rsa_signature_2048_sha256_test.json": (judge_rsa, 259, 1),
    "rsa_signature_3072_sha256_test.json": (judge_rsa, 1, 1),
    "rsa_signature_4096_sha256_test.json": (judge_rsa, 1, 1),
}


@pytest.mark.parametrize("name", SETS)
def test_signatures_are_judged_as_wycheproof_says(corpus: CorpusFinder, name: str) -> None:
    judge, least, step = SETS[name]
    tests = list(wycheproof(corpus("wycheproof"), name))
    assert len(tests) >= least
    assert [test["tcId"] for group, test in tests[::step] if not judge(group, test)] == []


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in SETS if name.startswith("ecdsa")])
def test_all_elliptic_curve_signatures_are_judged_as_wycheproof_says(corpus: CorpusFinder, name: str) -> None:
    judge = SETS[name][0]
    assert [t["tcId"] for g, t in wycheproof(corpus("wycheproof"), name) if not judge(g, t)] == []


@pytest.mark.parametrize("oid", verifier.CURVES)
def test_each_base_point_is_on_its_curve_and_has_the_stated_order(oid: str) -> None:
    curve = verifier.CURVES[oid]
    reached, base = None, (curve.x, curve.y)
    assert (curve.y**2 - curve.x**3 + 3 * curve.x - curve.b) % curve.p == 0
    for bit in bin(curve.n)[2:]:
        reached = verifier.curve_add(curve, reached, reached)
        reached = verifier.curve_add(curve, reached, base) if bit == "1" else reached
    assert reached is None


def test_the_oldest_trick_against_ed25519_fails() -> None:
    """A key of small order makes one signature good for any text in checkers that are not strict."""
    key = (1).to_bytes(32, "little")
    signature = key + bytes(32)
    with pytest.raises(DoesNotMatch, match="under which any text would pass"):
        verifier.verify_ed25519(key, b"any text", signature)


@pytest.mark.parametrize("content", [b"", b"checkpoint", bytes(5000)], ids=len)
def test_ml_dsa_44_agrees_with_cryptography_and_refuses_every_change(content: bytes) -> None:
    private = mldsa.MLDSA44PrivateKey.generate()
    key, signature = private.public_key().public_bytes_raw(), private.sign(content)
    verifier.verify_ml_dsa_44(key, content, signature)
    assert not accepted(lambda: verifier.verify_ml_dsa_44(key, content + b"x", signature))
    for at in (0, 31, 32, 1000, 2335, 2336, 2400, 2419):
        changed = bytearray(signature)
        changed[at] ^= 1
        assert not accepted(lambda changed=changed: verifier.verify_ml_dsa_44(key, content, bytes(changed)))  # type: ignore[misc]
    for at in (0, 40, 1311):
        other = bytearray(key)
        other[at] ^= 1
        assert not accepted(lambda other=other: verifier.verify_ml_dsa_44(bytes(other), content, signature))  # type: ignore[misc]


@pytest.mark.long
def test_ml_dsa_44_agrees_with_cryptography_200_times() -> None:
    for number in range(200):
        private, content = mldsa.MLDSA44PrivateKey.generate(), number.to_bytes(2, "big") * number
        verifier.verify_ml_dsa_44(private.public_key().public_bytes_raw(), content, private.sign(content))


@pytest.mark.parametrize("size", [2048, 3073])
@pytest.mark.parametrize(("name", "digest"), [("sha256", hashes.SHA256()), ("sha512", hashes.SHA512())])
def test_rsa_pss_agrees_with_cryptography(size: int, name: str, digest: hashes.HashAlgorithm) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=size)
    key = private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    length = digest.digest_size
    signature = private.sign(b"text", padding.PSS(padding.MGF1(digest), length), digest)
    right = hashlib.new(name, b"text").digest()
    verifier.verify_rsa_pss(key, name, length, right, signature)
    for wrong in (hashlib.new(name, b"texts").digest(), right[::-1]):
        assert not accepted(lambda wrong=wrong: verifier.verify_rsa_pss(key, name, length, wrong, signature))  # type: ignore[misc]
    assert not accepted(lambda: verifier.verify_rsa_pss(key, name, length - 1, right, signature))
    assert not accepted(lambda: verifier.verify_rsa_pss(key, name, length, right, signature[:-1] + b"\x00"))


def test_p521_agrees_with_cryptography() -> None:
    private = ec.generate_private_key(ec.SECP521R1())
    key = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    signature = private.sign(b"text", ec.ECDSA(hashes.SHA512()))
    curve, digest = verifier.CURVES["1.3.132.0.35"], hashlib.sha512(b"text").digest()
    verifier.verify_ecdsa(curve, key, digest, signature)
    assert not accepted(lambda: verifier.verify_ecdsa(curve, key, digest[::-1], signature))


MERKLE = sorted((VECTORS / "merkle-rfc6962").rglob("*.json"))


def test_all_196_merkle_vectors_are_judged_rightly() -> None:
    assert len(MERKLE) == 196
    wrong = []
    for path in MERKLE:
        case = json.loads(path.read_text(encoding="utf-8"))
        fields = {key: base64.b64decode(case.get(key) or "") for key in ("root", "root1", "root2", "leafHash")}
        proof = [base64.b64decode(digest) for digest in case["proof"] or []]
        if "leafIdx" in case:
            arguments: tuple[Any, ...] = (fields["leafHash"], case["leafIdx"], case["treeSize"], proof, fields["root"])
            passed = accepted(lambda arguments=arguments: verifier.verify_inclusion(*arguments))  # type: ignore[misc]
        else:
            arguments = (case["size1"], fields["root1"], case["size2"], fields["root2"], proof)
            passed = accepted(lambda arguments=arguments: verifier.verify_consistency(*arguments))  # type: ignore[misc]
        if passed == case["wantErr"]:
            wrong.append(path.name)
    assert wrong == []


def test_all_27_signed_note_vectors_are_judged_rightly() -> None:
    cases = json.loads((VECTORS / "signed-note" / "signed-note.json").read_text(encoding="utf-8"))
    wrong = [
        case["vkey"]
        for case in cases["vkeys"]
        if accepted(lambda case=case: verifier.read_verifier_key(case["vkey"])) != case["accept"]  # type: ignore[misc]
    ]
    for case in cases["notes"]:
        keys = [verifier.read_verifier_key(text) for text in case["trusted_keys"]]
        content = base64.b64decode(case["note_base64"])
        if accepted(lambda content=content, keys=keys: verifier.open_note(content, keys)) != case["accept"]:  # type: ignore[misc]
            wrong.append(case["name"])
    assert wrong == []
    assert len(cases["vkeys"]) + len(cases["notes"]) == 27


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_canonical_json_is_that_of_rfc_8785(value: Any) -> None:
    written = rfc8785.dumps(value)
    assert verifier.canonical_json(value) == written
    assert verifier.read_canonical_json(written) == value


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
def test_random_bytes_are_read_as_json_in_one_spelling_or_refused(content: bytes) -> None:
    try:
        value = verifier.read_canonical_json(content)
    except DoesNotMatch:
        return
    assert rfc8785.dumps(value) == content


@given(st.binary(max_size=200))
def test_random_bytes_are_no_note_no_proof_and_no_keys(content: bytes) -> None:
    for read in (
        verifier.read_note,
        verifier.read_proof,
        verifier.read_verifier_keys,
        verifier.read_packet,
        verifier.read_pem,
    ):
        assert not accepted(lambda read=read: read(content))  # type: ignore[misc]
