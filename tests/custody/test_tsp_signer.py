"""Tokens that no honest authority gives, and some that old ones do: judged as OpenSSL judges them, or more strictly."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from archive.types import Finding
from custody.timestamps import verify_token
from tests.custody.token_checks import openssl_accepts, reason_of
from tests.custody.token_maker import (
    CODE_SIGNING,
    MOMENT,
    TIME_STAMPING,
    Party,
    certify,
    ess_v1,
    ess_v2,
    ess_v2_naming_another_issuer,
    make_rejection,
    make_token,
)

CHECKPOINT = b"testigo.example/log\n17\nnot a real root\n\n"
ROOT = certify("root", authority=True)
MIDDLE = certify("middle", ROOT, authority=True, path_length=0)
SIGNER = certify("signer", MIDDLE, purposes=[TIME_STAMPING])
SAME_SERIAL = certify("impostor", MIDDLE, purposes=[TIME_STAMPING], serial=SIGNER.certificate.serial_number)
NOT_AUTHORITY = certify("not an authority", ROOT, authority=False)
BELOW_NOT_AUTHORITY = certify("below", NOT_AUTHORITY, purposes=[TIME_STAMPING])
TOO_DEEP_ISSUER = certify("too deep", MIDDLE, authority=True)
TOO_DEEP = certify("deep", TOO_DEEP_ISSUER, purposes=[TIME_STAMPING])
OLD_MIDDLE = certify("old middle", ROOT, authority=True, around=MOMENT - timedelta(days=20))
BELOW_OLD_MIDDLE = certify("below old", OLD_MIDDLE, purposes=[TIME_STAMPING])
OWN_ROOT = certify("own root", authority=True)
BELOW_OWN_ROOT = certify("below own root", OWN_ROOT, purposes=[TIME_STAMPING])
SHORT_RSA = 1024
P384 = certify("p384", MIDDLE, key=ec.generate_private_key(ec.SECP384R1()), purposes=[TIME_STAMPING])
RSA_2048 = certify("rsa", MIDDLE, key=rsa.generate_private_key(65537, 2048), purposes=[TIME_STAMPING])
RSA_1024 = certify("short", MIDDLE, key=rsa.generate_private_key(65537, SHORT_RSA), purposes=[TIME_STAMPING])
NO_PURPOSE = certify("no purpose", MIDDLE)
OTHER_PURPOSE = certify("code", MIDDLE, purposes=[CODE_SIGNING])
TWO_PURPOSES = certify("two", MIDDLE, purposes=[TIME_STAMPING, CODE_SIGNING])
UNCRITICAL = certify("uncritical", MIDDLE, purposes=[TIME_STAMPING], critical=False)


def made(signer: Party, *bag: Party, **options: object) -> bytes:
    return make_token(signer, CHECKPOINT, bag=(signer, *bag), **options)  # type: ignore[arg-type]


GOOD: dict[str, bytes] = {
    "an ordinary token, its certificates long expired": made(SIGNER, MIDDLE),
    "the bag in another order": make_token(SIGNER, CHECKPOINT, bag=(MIDDLE, SIGNER)),
    "the root in the bag": made(SIGNER, MIDDLE, ROOT),
    "the old form of the certificate identifier": made(SIGNER, MIDDLE, identifiers=[ess_v1(SIGNER)]),
    "both forms": made(SIGNER, MIDDLE, identifiers=[ess_v1(SIGNER), ess_v2(SIGNER)]),
    "the identifier over SHA-512": made(SIGNER, MIDDLE, identifiers=[ess_v2(SIGNER, "sha512")]),
    "P-384": made(P384, MIDDLE, digest="sha384"),
    "RSA": made(RSA_2048, MIDDLE),
}

BAD: dict[str, tuple[str, bytes]] = {
    "a certificate without purpose": ("usage", made(NO_PURPOSE, MIDDLE)),
    "a certificate for signing code": ("usage", made(OTHER_PURPOSE, MIDDLE)),
    "a certificate for two purposes": ("usage", made(TWO_PURPOSES, MIDDLE)),
    "a purpose that is not critical": ("usage", made(UNCRITICAL, MIDDLE)),
    "a time after the certificate's end": ("validity", made(SIGNER, MIDDLE, moment=MOMENT + timedelta(days=16))),
    "a time before its beginning": ("validity", made(SIGNER, MIDDLE, moment=MOMENT - timedelta(days=16))),
    "an issuer out of date at that time": ("chain", made(BELOW_OLD_MIDDLE, OLD_MIDDLE)),
    "an issuer that is no authority": ("chain", made(BELOW_NOT_AUTHORITY, NOT_AUTHORITY)),
    "a chain longer than its authority allows": ("chain", made(TOO_DEEP, TOO_DEEP_ISSUER, MIDDLE)),
    "a root that it brings along itself": ("chain", made(BELOW_OWN_ROOT, OWN_ROOT)),
    "no issuer in the bag": ("chain", made(SIGNER)),
    "no word on which certificate signed": ("certificate-id", made(SIGNER, MIDDLE, identifiers=[])),
    "a word on another certificate": ("certificate-id", made(SIGNER, MIDDLE, identifiers=[ess_v2(P384)])),
    "another certificate in the old form": ("certificate-id", made(SIGNER, MIDDLE, identifiers=[ess_v1(P384)])),
    "two words that differ": ("certificate-id", made(SIGNER, MIDDLE, identifiers=[ess_v1(P384), ess_v2(SIGNER)])),
    "another serial number": (
        "certificate-id",
        made(SIGNER, MIDDLE, identifiers=[ess_v2_naming_another_issuer(SIGNER)]),
    ),
    "a digest of other content": ("signature", made(SIGNER, MIDDLE, signed_content=b"other")),
    "a key of another pair": ("signature", made(replace(SIGNER, key=P384.key), MIDDLE)),
    "other bytes": ("imprint", make_token(SIGNER, b"other bytes", bag=(SIGNER, MIDDLE))),
    "two signers": ("signer", made(SIGNER, MIDDLE, signers=2)),
    "no": ("status", make_rejection()),
}

STRICTER_THAN_OPENSSL: dict[str, tuple[str, bytes]] = {
    "granted with changes": ("status", made(SIGNER, MIDDLE, status=1)),
    "an RSA key of 1024 bits": ("signature", made(RSA_1024, MIDDLE)),
}


def openssl_accepts_made(token: bytes, folder: Path, moment: float) -> bool:
    (folder / "root.pem").write_bytes(ROOT.pem)
    return openssl_accepts(token, CHECKPOINT, folder / "root.pem", b"", moment)


@pytest.mark.parametrize("case", GOOD)
def test_a_good_token_verifies_and_openssl_agrees(case: str, tmp_path: Path) -> None:
    attested = verify_token(GOOD[case], CHECKPOINT, (ROOT.pem,), request_nonce=7)
    assert attested.gen_time == MOMENT
    assert attested.accuracy_ms == 2011  # 2 s, 10 ms and 1 µs, rounded up
    assert attested.chain[1:] == (MIDDLE.pem, ROOT.pem)
    assert openssl_accepts_made(GOOD[case], tmp_path, MOMENT.timestamp())


@pytest.mark.parametrize("case", BAD)
def test_a_bad_token_is_refused_and_openssl_agrees(case: str, tmp_path: Path) -> None:
    reason, token = BAD[case]
    assert reason_of(lambda: verify_token(token, CHECKPOINT, (ROOT.pem,), request_nonce=7)) == reason
    moment = MOMENT + timedelta(days=16) * (1 if "after" in case else -1 if "before" in case else 0)
    assert not openssl_accepts_made(token, tmp_path, moment.timestamp())


@pytest.mark.parametrize("case", STRICTER_THAN_OPENSSL)
def test_some_tokens_are_refused_here_alone(case: str) -> None:
    reason, token = STRICTER_THAN_OPENSSL[case]
    assert reason_of(lambda: verify_token(token, CHECKPOINT, (ROOT.pem,), request_nonce=7)) == reason


@pytest.mark.parametrize("bag", [(SAME_SERIAL, SIGNER, MIDDLE), (SIGNER, SAME_SERIAL, MIDDLE)])
def test_a_certificate_with_the_signers_issuer_and_serial_does_not_take_its_place(bag: tuple[Party, ...]) -> None:
    token = make_token(SIGNER, CHECKPOINT, bag=bag)
    assert verify_token(token, CHECKPOINT, (ROOT.pem,), request_nonce=7).authority == "CN=signer"


def test_a_kept_chain_completes_a_token_but_never_becomes_a_root() -> None:
    bare = make_token(SIGNER, CHECKPOINT)
    kept = SIGNER.pem + MIDDLE.pem + ROOT.pem
    assert verify_token(bare, CHECKPOINT, (ROOT.pem,), request_nonce=7, chain=kept).trust is Finding.MATCHES
    assert verify_token(bare, CHECKPOINT, (), request_nonce=7, chain=kept).trust is Finding.CANNOT_TELL
    for chain in (kept, b"not a certificate"):
        refused = reason_of(
            lambda chain=chain: verify_token(bare, CHECKPOINT, (OWN_ROOT.pem,), request_nonce=7, chain=chain)  # type: ignore[misc]
        )
        assert refused == "chain"


def test_without_a_root_a_bad_token_is_still_refused() -> None:
    for case in ("a certificate for signing code", "a key of another pair", "a time after the certificate's end"):
        reason, token = BAD[case]
        assert reason_of(lambda token=token: verify_token(token, CHECKPOINT, (), request_nonce=7)) == reason  # type: ignore[misc]
