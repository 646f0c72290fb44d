"""Project Wycheproof's vectors for the primitives that sealing and signing stand on, as this archive calls them."""

import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from archive.age.header import derive_key
from tests.conftest import CorpusFinder

Case = dict[str, Any]


def cases(corpus: CorpusFinder, name: str) -> Iterator[tuple[Case, Case]]:
    document = json.loads((Path(corpus("wycheproof")) / "vectors" / f"{name}_test.json").read_text())
    count = 0
    for group in document["testGroups"]:
        for case in group["tests"]:
            count += 1
            yield group, case
    assert count == document["numberOfTests"]


def octets(case: Case, *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


def test_chacha20_poly1305_seals_and_opens_into_buffers_as_the_vectors_say(corpus: CorpusFinder) -> None:
    for _, case in cases(corpus, "chacha20_poly1305"):
        key, nonce, aad, message, sealed, tag = octets(case, "key", "iv", "aad", "msg", "ct", "tag")
        opened = bytearray(len(sealed))
        if case["result"] == "invalid":
            with pytest.raises((InvalidTag, ValueError)):
                ChaCha20Poly1305(key).decrypt_into(nonce, sealed + tag, aad, opened)
            continue
        again = bytearray(len(message) + 16)
        ChaCha20Poly1305(key).encrypt_into(nonce, message, aad, again)
        assert again == sealed + tag
        ChaCha20Poly1305(key).decrypt_into(nonce, sealed + tag, aad, opened)
        assert opened == message


def test_x25519_refuses_exactly_the_shares_without_a_secret(corpus: CorpusFinder) -> None:
    for _, case in cases(corpus, "x25519"):
        public, private, shared = octets(case, "public", "private", "shared")
        mine, theirs = X25519PrivateKey.from_private_bytes(private), X25519PublicKey.from_public_bytes(public)
        if "ZeroSharedSecret" in case["flags"]:
            with pytest.raises(ValueError, match="shared key"):
                mine.exchange(theirs)
        else:
            assert case["result"] in ("valid", "acceptable")
            assert mine.exchange(theirs) == shared


def test_one_block_of_hkdf_is_what_the_vectors_say(corpus: CorpusFinder) -> None:
    checked = 0
    for _, case in cases(corpus, "hkdf_sha256"):
        ikm, salt, info, okm = octets(case, "ikm", "salt", "info", "okm")
        if case["result"] == "valid":
            assert derive_key(ikm, salt, info)[: case["size"]] == okm[:32]
            checked += 1
    assert checked == 83


def test_hmac_gives_the_tags_of_the_vectors(corpus: CorpusFinder) -> None:
    for group, case in cases(corpus, "hmac_sha256"):
        key, message, tag = octets(case, "key", "msg", "tag")
        ours = hmac.digest(key, message, "sha256")[: group["tagSize"] // 8]
        assert hmac.compare_digest(ours, tag) is (case["result"] == "valid")


def test_ml_kem_768_expands_seeds_and_decapsulates_as_the_vectors_say(corpus: CorpusFinder) -> None:
    for _, case in cases(corpus, "mlkem_768"):
        seed, sealed = octets(case, "seed", "c")
        if case["result"] == "invalid":
            with pytest.raises(ValueError, match="ML-KEM"):
                MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(sealed)
            continue
        private = MLKEM768PrivateKey.from_seed_bytes(seed)
        assert private.public_key().public_bytes_raw() == bytes.fromhex(case["ek"])
        assert private.decapsulate(sealed) == bytes.fromhex(case["K"])


def test_ed25519_accepts_and_refuses_as_the_vectors_say(corpus: CorpusFinder) -> None:
    for group, case in cases(corpus, "ed25519"):
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"]))
        message, signature = octets(case, "msg", "sig")
        if case["result"] == "valid":
            public.verify(signature, message)
        else:
            with pytest.raises(InvalidSignature):
                public.verify(signature, message)
