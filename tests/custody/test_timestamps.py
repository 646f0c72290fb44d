"""A token counts only when the right authority signed these bytes with a certificate that was good at that time."""

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import ConfigError, IntegrityError, UnavailableError
from archive.settings import AuthoritySettings
from archive.types import Finding
from custody.timestamps import (
    AttestedTime,
    Authority,
    TimestampRequest,
    attest,
    build_request,
    chain_pem,
    fetch,
    load_authority,
    verify_token,
)
from demo.authority import LABEL, POLICY
from tests.custody.token_checks import openssl_accepts, reason_of
from tests.custody.token_maker import TIME_STAMPING, certify, make_token
from tests.running_authority import Behaviour, RunningAuthority, StartAuthority

pytest_plugins = ("tests.authority_fixture",)

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "rfc3161"
CHECKPOINT = b"testigo.example/log\n17\nnot a real root\n\n"


def chain_of(folder: str) -> list[bytes]:
    pem = (VECTORS / folder / "ts_chain.pem").read_bytes()
    return [each.public_bytes(Encoding.PEM) for each in x509.load_pem_x509_certificates(pem)]


def verify_vector(name: str, *, chain: bytes = b"", nonce: int | None = None) -> AttestedTime:
    roots = (chain_of(name.partition("/")[0])[-1],)
    return verify_token((VECTORS / name).read_bytes(), b"hello", roots, request_nonce=nonce, chain=chain)


# Vectors made by others.


@pytest.mark.parametrize(
    "name",
    [f"sigstage/response-{digest}.tsr" for digest in ("sha256", "sha384", "sha512")] + ["test_tsa/response.tsr"],
)
def test_tokens_of_other_authorities_verify(name: str) -> None:
    attested = verify_vector(name, chain=b"".join(chain_of(name.partition("/")[0])))
    assert attested.trust is Finding.MATCHES
    assert attested.gen_time.utcoffset() == timedelta(0)
    assert attested.accuracy_ms == 1000
    assert list(attested.chain) == chain_of(name.partition("/")[0])


def test_a_token_with_a_wrong_signature_is_refused() -> None:
    assert reason_of(lambda: verify_vector("sigstage/response-invalid-signature.tsr")) == "signature"


def test_a_token_without_certificates_needs_the_chain_from_beside_it() -> None:
    name = "sigstage/response-no-embedded-cert.tsr"
    assert reason_of(lambda: verify_vector(name)) == "signer-missing"
    kept = b"".join(chain_of("sigstage"))
    assert verify_vector(name, chain=kept).authority == "CN=sigstore-tsa,O=sigstore.dev"


def test_the_authority_is_named_after_the_signer_and_not_after_what_lies_in_the_bag() -> None:
    token = (VECTORS / "test_tsa/response-injected-certs.tsr").read_bytes()
    assert b"Spoofed TSA" in token
    attested = verify_vector("test_tsa/response-injected-certs.tsr", chain=b"".join(chain_of("test_tsa")))
    assert attested.authority == "CN=Test TSA Timestamping,O=local"
    assert b"Spoofed" not in b"".join(
        each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(chain_pem(attested))
    )


def test_the_reply_to_another_request_is_refused() -> None:
    nonce = 0x36A44F9F4A391FD3  # of test_tsa/request.der, says `openssl ts -query -text`
    chain = b"".join(chain_of("test_tsa"))
    assert verify_vector("test_tsa/response.tsr", nonce=nonce, chain=chain).imprint.hex.startswith("9b71d224bd62f378")
    assert reason_of(lambda: verify_vector("test_tsa/other_response.tsr", nonce=nonce, chain=chain)) == "nonce"


# A real authority on loopback.


def test_an_authority_attests_a_checkpoint_and_openssl_agrees(authority: RunningAuthority) -> None:
    attested = attest(authority.settings(policy=POLICY), CHECKPOINT)
    assert LABEL.replace(",", "\\,") in attested.authority
    assert attested.trust is Finding.MATCHES
    assert attested.policy == POLICY
    assert attested.accuracy_ms == 1500
    assert len(attested.chain) == 3
    assert openssl_accepts(attested.token, CHECKPOINT, authority.root, chain_pem(attested))
    assert not openssl_accepts(attested.token, CHECKPOINT + b"!", authority.root, chain_pem(attested))


def test_two_authorities_attest_side_by_side_and_do_not_vouch_for_each_other(start_authority: StartAuthority) -> None:
    one, two = start_authority("one"), start_authority("two")
    attested = attest(one.settings(), CHECKPOINT)
    assert attest(two.settings(), CHECKPOINT).authority != attested.authority
    both = (one.root.read_bytes(), two.root.read_bytes())
    assert verify_token(attested.token, CHECKPOINT, both, request_nonce=None) == attested
    # Each check has a verifier of its own: the root that was known a moment ago is not remembered.
    assert reason_of(lambda: verify_token(attested.token, CHECKPOINT, both[1:], request_nonce=None)) == "chain"


def test_each_of_many_authorities_is_understood_whatever_the_order_of_its_certificates(tmp_path: Path) -> None:
    # OpenSSL writes the bag in the order of its configuration; a reader of strict DER sets refuses one half of them.
    for number in range(6):
        running = RunningAuthority(tmp_path / str(number), f"authority-{number}")
        try:
            attested = attest(running.settings(), CHECKPOINT)
            assert openssl_accepts(attested.token, CHECKPOINT, running.root, chain_pem(attested))
        finally:
            running.stop()


def test_a_request_is_what_openssl_reads_and_never_twice_the_same(tmp_path: Path) -> None:
    request = build_request(CHECKPOINT, policy="1.2.3.4")
    (tmp_path / "request.tsq").write_bytes(request.encoded)
    read = subprocess.run(
        ["openssl", "ts", "-query", "-in", "request.tsq", "-text"], cwd=tmp_path, capture_output=True, check=True
    ).stdout.decode()
    assert f"Nonce: 0x{request.nonce:016X}" in read
    assert "Policy OID: 1.2.3.4" in read
    assert "Certificate required: yes" in read
    assert "Hash Algorithm: sha256" in read
    assert len({build_request(CHECKPOINT).nonce for _ in range(100)}) == 100


def test_without_a_root_nobody_can_tell_whose_token_it_is(authority: RunningAuthority) -> None:
    attested = attest(authority.settings(rooted=False), CHECKPOINT)
    assert attested.trust is Finding.CANNOT_TELL
    assert [b"BEGIN CERTIFICATE" in each for each in attested.chain] == [True, True]


def test_other_bytes_another_nonce_and_another_policy_are_refused(authority: RunningAuthority) -> None:
    roots = authority.settings().roots
    request = build_request(CHECKPOINT)
    token = authority.reply(request.encoded)

    def verify(content: bytes = CHECKPOINT, nonce: int = request.nonce, policy: str = POLICY) -> AttestedTime:
        return verify_token(token, content, roots, request_nonce=nonce, policy=policy)

    assert verify().imprint == request.imprint
    assert reason_of(lambda: verify(content=CHECKPOINT + b" ")) == "imprint"
    assert reason_of(lambda: verify(nonce=request.nonce ^ 1)) == "nonce"
    assert reason_of(lambda: verify(policy="1.2.3.4")) == "policy"


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_no_octet_of_a_token_can_be_changed(authority: RunningAuthority) -> None:
    request = build_request(CHECKPOINT)
    token, roots = authority.reply(request.encoded), authority.settings().roots
    for place in range(len(token)):
        changed = token[:place] + bytes([token[place] ^ (1 << place % 8)]) + token[place + 1 :]
        with pytest.raises(IntegrityError):
            verify_token(changed, CHECKPOINT, roots, request_nonce=request.nonce)


def test_a_cut_or_lengthened_token_is_refused(authority: RunningAuthority) -> None:
    token, roots = authority.reply(build_request(CHECKPOINT).encoded), authority.settings().roots
    for wrong in (b"", token[:-1], token + b"\x00", token[: len(token) // 2], bytes(200 * 1024)):
        assert reason_of(lambda wrong=wrong: verify_token(wrong, CHECKPOINT, roots, request_nonce=None)) == "form"  # type: ignore[misc]


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@settings(deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_whatever_break_the_reader(wrong: bytes) -> None:
    with pytest.raises(IntegrityError):
        verify_token(wrong, CHECKPOINT, (), request_nonce=None)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@settings(deadline=None)
@given(st.data())
def test_no_change_of_a_token_breaks_the_reader(data: st.DataObject) -> None:
    token = (VECTORS / "sigstage/response-sha256.tsr").read_bytes()
    place = data.draw(st.integers(0, len(token)))
    cut = data.draw(st.integers(0, 4))
    changed = token[:place] + data.draw(st.binary(max_size=4)) + token[place + cut :]
    try:
        attested = verify_token(changed, b"hello", (), request_nonce=None)
    except IntegrityError:
        return
    assert attested == replace(verify_token(token, b"hello", (), request_nonce=None), token=changed)


ROOT = certify("root", authority=True)
MIDDLE = certify("middle", ROOT, authority=True)


# The way to the authority.


def no_answer(authority: Authority, request: TimestampRequest | None = None) -> UnavailableError:
    with pytest.raises(UnavailableError) as caught:
        fetch(authority, request or build_request(CHECKPOINT))
    assert caught.value.evidence["authority"] == authority.name
    assert authority.name not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("behaviour", [Behaviour.DOWN, Behaviour.LOGIN_PAGE, Behaviour.REDIRECTS, Behaviour.ENDLESS])
def test_an_authority_that_does_not_answer_rightly_can_be_asked_again(
    authority: RunningAuthority, behaviour: Behaviour
) -> None:
    authority.behaviour = behaviour
    assert no_answer(authority.settings()).code == "custody/authority-down"
    assert authority.requests == 1
    authority.behaviour = Behaviour.ANSWERS
    assert attest(authority.settings(), CHECKPOINT).trust is Finding.MATCHES


def test_a_slow_authority_is_left_when_the_time_is_over(authority: RunningAuthority) -> None:
    authority.behaviour = Behaviour.SLOW
    began = time.monotonic()
    assert no_answer(authority.settings(timeout_s=1)).code == "custody/authority-down"
    assert time.monotonic() - began < 5


def test_a_closed_port_is_unavailable(authority: RunningAuthority) -> None:
    settings = authority.settings()
    authority.stop()
    assert no_answer(settings).code == "custody/authority-down"


def test_an_authority_with_an_unknown_tls_certificate_is_unavailable(tmp_path: Path) -> None:
    key = ROOT.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "pair.pem").write_bytes(ROOT.pem + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")

    def answer_once(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
            raise AssertionError("the client trusted a stranger")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_once, args=(listener,))
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        refused = no_answer(Authority(name="stranger", url=url, roots=(), policy=None, timeout_s=5))
        thread.join()
    assert refused.code == "custody/authority-down"
    assert "CERTIFICATE_VERIFY_FAILED" in str(refused.evidence["trouble"])


def test_an_authority_may_say_no_by_the_protocol(authority: RunningAuthority) -> None:
    authority.behaviour = Behaviour.REJECTS
    refused = no_answer(authority.settings())
    assert refused.code == "custody/authority-refused"
    assert refused.evidence["status"] == 2


@pytest.mark.parametrize(
    ("behaviour", "reason"), [(Behaviour.WRONG_REPLY, "signature"), (Behaviour.OTHER_REQUEST, "nonce")]
)
def test_a_false_answer_is_no_mere_outage(authority: RunningAuthority, behaviour: Behaviour, reason: str) -> None:
    authority.behaviour = behaviour
    assert reason_of(lambda: attest(authority.settings(), CHECKPOINT)) == reason


def test_a_proxy_in_the_environment_is_not_used(authority: RunningAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert attest(authority.settings(), CHECKPOINT).trust is Finding.MATCHES


# What the settings may say.


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "Free TSA"},
        {"name": "../../etc"},
        {"name": "a" * 33},
        {"url": "ftp://127.0.0.1/"},
        {"url": "file:///etc/passwd"},
        {"url": "http:///tsr"},
        {"url": "http://user:secret@127.0.0.1/"},
        {"url": "http://127.0.0.1:99999/"},
        {"url": "http://127.0.0.1/a b"},
        {"url": "http://127.0.0.1/\r\nX: y"},
        {"url": "http://[::1/"},
        {"policy": "not an identifier"},
        {"policy": "1.2.3.4; rm"},
        {"timeout_s": 0},
        {"roots": (b"not a certificate",)},
        {"roots": (MIDDLE.pem,)},
    ],
)
def test_an_authority_that_cannot_be_used_is_refused_at_the_start(wrong: dict[str, object]) -> None:
    good = Authority(name="free-tsa", url="https://127.0.0.1/tsr?x=1", roots=(ROOT.pem,), policy="1.2.3", timeout_s=5)
    with pytest.raises(ConfigError) as caught:
        replace(good, **wrong)  # type: ignore[arg-type]
    assert caught.value.code == "custody/bad-authority"
    assert "secret" not in str(caught.value)


def test_an_authority_is_read_from_the_settings(tmp_path: Path) -> None:
    signer = certify("signer", ROOT, purposes=[TIME_STAMPING])
    (tmp_path / "roots.pem").write_bytes(certify("an older root", authority=True).pem + ROOT.pem)
    settings = AuthoritySettings(name="one", url="http://127.0.0.1/", roots=(tmp_path / "roots.pem",))
    read = load_authority(settings)
    token = make_token(signer, CHECKPOINT, bag=[signer])
    assert verify_token(token, CHECKPOINT, read.roots, request_nonce=7).trust is Finding.MATCHES
    with pytest.raises(ConfigError) as caught:
        load_authority(replace(settings, roots=(tmp_path / "missing.pem",)))
    assert caught.value.code == "custody/bad-authority"
