"""Attested times: RFC 3161 tokens from outside authorities over the archive's checkpoints (docs/formats.md 4.4).

An authority sees the SHA-256 of a checkpoint and when it was asked, nothing else. A token proves that these bytes
existed before its time, as far as the authority's key was its own then; hence several authorities.

Whether a certificate had been revoked is neither asked nor known: no CRL and no OCSP answer is fetched. Asking would
tell an outsider what is verified and when, and years later nobody answers.

I/O: `fetch` and `attest` alone speak to the network, and only to the authority's URL; `load_authority` reads
certificates.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from archive.errors import ConfigError, IntegrityError, UnavailableError
from archive.settings import AuthoritySettings
from archive.types import Digest, DigestAlgorithm, Finding
from custody._tsp import (
    LARGEST_RESPONSE,
    SHA256,
    SHA384,
    SHA512,
    Reason,
    Refused,
    Token,
    read_fully,
    read_status,
    read_token,
    write_request,
)
from custody._tsp_http import NoAnswer, post_query
from custody._tsp_signer import (
    digest_by,
    follow_issuers,
    identify_signer,
    verify_path,
    verify_signature,
    verify_usage,
)

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_POLICY = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,18})){1,31}")
_NONCE_OCTETS = 8
_RECORDED_ALGORITHMS = {
    SHA256: DigestAlgorithm.SHA256,
    SHA384: DigestAlgorithm.SHA384,
    SHA512: DigestAlgorithm.SHA512,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A time-stamp authority that the settings name. Raises: ConfigError `custody/bad-authority`.

    Shapes: `name` becomes a file name: lower-case letters, digits and hyphens, at most 32. `roots` are self-signed
    certificates, PEM; without any, no token of this authority can be more than CANNOT TELL. `policy` is a dotted OID
    that tokens must carry.
    """

    name: str
    url: str
    roots: tuple[bytes, ...]
    policy: str | None
    timeout_s: int

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise _bad_authority(self, "name: lower-case letters, digits and hyphens, at most 32, a letter first")
        if self.policy is not None and not _POLICY.fullmatch(self.policy):
            raise _bad_authority(self, "policy: an object identifier such as 1.2.3.4")
        if not 1 <= self.timeout_s <= 120:
            raise _bad_authority(self, "timeout_s: from 1 to 120")
        try:
            address = urlsplit(self.url)
            readable = bool(address.hostname) and address.port != 0
        except ValueError:
            readable = False
        if (
            not readable
            or address.scheme not in ("http", "https")
            or "@" in address.netloc
            or address.fragment
            or not self.url.isascii()
            or not self.url.isprintable()
            or " " in self.url
        ):
            raise _bad_authority(self, "url: http:// or https://, without user, fragment or blanks")
        try:
            certificates = _load(self.roots)
        except (ValueError, x509.InvalidVersion) as error:
            raise _bad_authority(self, "roots: certificates in PEM") from error
        if any(each.issuer != each.subject for each in certificates):
            raise _bad_authority(self, "roots: self-signed certificates, not intermediate ones")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampRequest:
    """A request ready to send, DER; the nonce must come back in the token."""

    encoded: bytes
    nonce: int
    imprint: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedTime:
    """A verified token: these bytes existed at `gen_time`, says `authority`.

    Shapes: `authority` is the subject of the certificate that signed (RFC 4514 text), `token` the whole response as it
    came, good for `<authority>.tsr`; `chain` is one PEM certificate each, the signer first, the root last where it is
    known.
    Units: `gen_time` is aware, in UTC; `accuracy_ms` milliseconds either way, None where the authority does not say.
    `trust` is MATCHES where the chain ends in a configured root, CANNOT TELL where none is configured.
    """

    authority: str
    gen_time: datetime
    accuracy_ms: int | None
    serial: int
    policy: str
    imprint: Digest
    chain: tuple[bytes, ...]
    trust: Finding
    token: bytes


def load_authority(settings: AuthoritySettings) -> Authority:
    """Read an authority's root certificates as the settings name them. Raises: ConfigError `custody/bad-authority`."""
    try:
        roots = tuple(path.read_bytes() for path in settings.roots)
    except OSError as error:
        raise ConfigError(
            "custody/bad-authority",
            "A root certificate of a time-stamp authority cannot be read. Nothing was started. Correct `roots`.",
            evidence={"authority": settings.name, "roots": [str(path) for path in settings.roots]},
        ) from error
    return Authority(
        name=settings.name, url=settings.url, roots=roots, policy=settings.policy, timeout_s=settings.timeout_s
    )


def load_authorities(
    settings: Sequence[AuthoritySettings],
) -> tuple[tuple[Authority, ...], dict[str, ConfigError]]:
    """Load those that can be used, and say by name what is wrong with the others: one must not end the use of all."""
    usable: list[Authority] = []
    unusable: dict[str, ConfigError] = {}
    for one in settings:
        try:
            usable.append(load_authority(one))
        except ConfigError as error:
            unusable[one.name] = error
    return tuple(usable), unusable


def build_request(checkpoint: bytes, *, policy: str | None = None) -> TimestampRequest:
    """Ask for a time over the SHA-256 of the checkpoint file's bytes, with a fresh nonce, and for the certificates."""
    nonce = int.from_bytes(os.urandom(_NONCE_OCTETS))
    imprint = sha256(checkpoint).digest()
    return TimestampRequest(
        encoded=write_request(imprint, nonce, policy), nonce=nonce, imprint=Digest(DigestAlgorithm.SHA256, imprint)
    )


def attest(authority: Authority, checkpoint: bytes) -> AttestedTime:
    """Fetch a token over `checkpoint` and verify it. Raises: what `fetch` and `verify_token` raise."""
    request = build_request(checkpoint, policy=authority.policy)
    return verify_token(
        fetch(authority, request), checkpoint, authority.roots, request_nonce=request.nonce, policy=authority.policy
    )


def fetch(authority: Authority, request: TimestampRequest) -> bytes:
    """Send the request to the authority's URL and return the response, unverified.

    Promises: no proxy, no redirect, no other address; at most 128 KiB are read; once connected it ends after
    `timeout_s`, even when octets keep trickling in. Raises: UnavailableError `custody/authority-down` on any trouble on
    the way, `custody/authority-refused` when the authority answers that it gives no token.
    """
    try:
        response = post_query(authority.url, request.encoded, timeout_s=authority.timeout_s, most=LARGEST_RESPONSE)
        status, words = read_status(response)
    except (NoAnswer, Refused) as trouble:
        raise UnavailableError(
            "custody/authority-down",
            "A time-stamp authority does not answer as it should. The checkpoint is kept, its time-stamp is pending, "
            "and the request will be repeated.",
            evidence={"authority": authority.name, "url": authority.url, "trouble": str(trouble)},
        ) from trouble
    if status not in (0, 1):
        raise UnavailableError(
            "custody/authority-refused",
            "A time-stamp authority answered that it gives no token now. The checkpoint is kept, its time-stamp is "
            "pending, and the request will be repeated.",
            evidence={"authority": authority.name, "status": status, "words": words},
        )
    return response


def verify_token(
    response: bytes,
    checkpoint: bytes,
    roots: tuple[bytes, ...],
    *,
    request_nonce: int | None,
    policy: str | None = None,
    chain: bytes = b"",
) -> AttestedTime:
    """Prove that an authority signed the digest of `checkpoint` at the time it says, its certificate good at that time.

    Standard: RFC 3161, 2.4.2; ESSCertID and ESSCertIDv2 are compared with the certificate that signed (RFC 5816).
    Shapes: `roots` are the configured self-signed certificates, PEM; `chain` is the `<authority>.pem` that was kept,
    for tokens that carry no certificate. `request_nonce` is None where the request is no longer known: none is
    compared then.
    Raises: IntegrityError `custody/token-refused`, with `reason` (a `Reason`), `detail` and the response as received.
    """
    try:
        return _verify(response, checkpoint, _load(roots), _load_kept(chain), request_nonce, policy)
    except Refused as refused:
        raise IntegrityError(
            "custody/token-refused",
            f"A time-stamp token does not prove what it should ({refused.reason}). It counts for nothing; it and the "
            "checkpoint are kept as they are. Show this to whoever keeps the archive.",
            evidence={"reason": refused.reason, "detail": refused.detail, "response": response},
        ) from refused


def chain_pem(attested: AttestedTime) -> bytes:
    """Write the chain for `<authority>.pem`, which `openssl ts -verify` takes as `-untrusted`."""
    return b"".join(attested.chain)


def _verify(
    response: bytes,
    checkpoint: bytes,
    roots: tuple[x509.Certificate, ...],
    kept: tuple[x509.Certificate, ...],
    nonce: int | None,
    policy: str | None,
) -> AttestedTime:
    token = read_token(response)
    imprint = _imprint(token, checkpoint)
    if nonce is not None and token.nonce != nonce:
        raise Refused(Reason.NONCE, "the token answers another request")
    if policy is not None and token.policy != policy:
        raise Refused(Reason.POLICY, "the token was given under another policy than the configured one")
    signer = identify_signer(token, (*kept, *roots))
    verify_signature(token, signer)
    verify_usage(signer, token.gen_time)
    others = (*token.certificates, *kept)
    if roots:
        path, trust = verify_path(signer, others, roots, token.gen_time), Finding.MATCHES
    else:
        path, trust = follow_issuers(signer, others), Finding.CANNOT_TELL
    return AttestedTime(
        authority=signer.subject.rfc4514_string(),
        gen_time=token.gen_time,
        accuracy_ms=token.accuracy_ms,
        serial=token.serial,
        policy=token.policy,
        imprint=imprint,
        chain=tuple(each.public_bytes(Encoding.PEM) for each in path),
        trust=trust,
        token=response,
    )


def _imprint(token: Token, checkpoint: bytes) -> Digest:
    if token.imprint_algorithm not in _RECORDED_ALGORITHMS:
        raise Refused(Reason.IMPRINT, f"the imprint's algorithm {token.imprint_algorithm} is none that a record names")
    if token.imprint != digest_by(token.imprint_algorithm, checkpoint):
        raise Refused(Reason.IMPRINT, "the token is over other bytes than this checkpoint")
    return Digest(_RECORDED_ALGORITHMS[token.imprint_algorithm], token.imprint)


def _load(pems: tuple[bytes, ...]) -> tuple[x509.Certificate, ...]:
    return tuple(read_fully(each) for pem in pems for each in x509.load_pem_x509_certificates(pem))


def _load_kept(pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return _load((pem,)) if pem else ()
    except (ValueError, x509.InvalidVersion) as error:
        raise Refused(Reason.CHAIN, "the chain that was kept beside the token cannot be read") from error


def _bad_authority(authority: Authority, rule: str) -> ConfigError:
    return ConfigError(
        "custody/bad-authority",
        f"A time-stamp authority in the settings cannot be used ({rule}). Nothing was started. Correct its section.",
        evidence={"authority": authority.name, "url": authority.url},
    )
