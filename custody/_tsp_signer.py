"""Who signed a time-stamp token, and whether that may be believed at the token's own time.

Standard: RFC 3161 2.3, RFC 5652 5.4 and 5.6, RFC 5816 2.2.1, RFC 5280 6. Signatures: RSA PKCS #1 v1.5 from 2048 bits
and ECDSA, over SHA-256, SHA-384 or SHA-512; RSASSA-PSS and EdDSA are refused. Revocation is not asked for (see
`timestamps`). No I/O.
"""

from datetime import datetime
from hashlib import sha1, sha256, sha384, sha512

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from custody._tsp import (
    CONTENT_TYPE,
    MESSAGE_DIGEST,
    SHA1,
    SHA256,
    SHA384,
    SHA512,
    TST_INFO,
    CertificateId,
    Reason,
    Refused,
    Token,
    read_certificate_ids,
    read_identifier,
    read_octets,
)

_LEAST_RSA_BITS = 2048
_HASHES = {SHA256: sha256, SHA384: sha384, SHA512: sha512}
_SIGNATURE_HASHES: dict[str, hashes.HashAlgorithm] = {
    SHA256: hashes.SHA256(),
    SHA384: hashes.SHA384(),
    SHA512: hashes.SHA512(),
}
_RSA = "1.2.840.113549.1.1.1"
_RSA_WITH = {SHA256: "1.2.840.113549.1.1.11", SHA384: "1.2.840.113549.1.1.12", SHA512: "1.2.840.113549.1.1.13"}
_ECDSA_WITH = {SHA256: "1.2.840.10045.4.3.2", SHA384: "1.2.840.10045.4.3.3", SHA512: "1.2.840.10045.4.3.4"}


def digest_by(algorithm: str, content: bytes) -> bytes:
    """Digest with the algorithm of this OID. Raises: Refused `form` for anything but SHA-256, SHA-384 and SHA-512."""
    if algorithm not in _HASHES:
        raise Refused(Reason.FORM, f"the digest algorithm {algorithm} is not taken")
    return _HASHES[algorithm](content).digest()


def identify_signer(token: Token, others: tuple[x509.Certificate, ...]) -> x509.Certificate:
    """Find the certificate that SignerInfo names and that ESSCertID or ESSCertIDv2 commits to.

    Issuer and serial alone do not identify it: whoever hands on a token may put another certificate with the same ones
    into the bag, and only the certificate's digest among the signed attributes tells the two apart.
    """
    candidates = [
        each
        for each in (*token.certificates, *others)
        if each.serial_number == token.issuer_serial and each.issuer.public_bytes() == token.issuer
    ]
    if not candidates:
        raise Refused(Reason.SIGNER_MISSING, "the signer's certificate is neither in the token nor beside it")
    identifiers = read_certificate_ids(token)
    if not identifiers:
        raise Refused(Reason.CERTIFICATE_ID, "no signed attribute says which certificate signed")
    for candidate in candidates:
        if all(_identifies(each, candidate) for each in identifiers):
            return candidate
    raise Refused(Reason.CERTIFICATE_ID, "the signed digest of a certificate is not that of the signer's")


def verify_signature(token: Token, signer: x509.Certificate) -> None:
    """Prove that `signer` signed exactly this content. Raises: Refused `signature`, or `form`."""
    if read_identifier(_only_value(token, CONTENT_TYPE)) != TST_INFO:
        raise Refused(Reason.SIGNATURE, "the signed content type is not time-stamp information")
    if read_octets(_only_value(token, MESSAGE_DIGEST)) != digest_by(token.digest_algorithm, token.content):
        raise Refused(Reason.SIGNATURE, "the signed digest is not that of the time-stamp information")
    stated, algorithm = token.signature_algorithm, token.digest_algorithm
    hash_algorithm = _SIGNATURE_HASHES[algorithm]
    try:
        match signer.public_key():
            case rsa.RSAPublicKey() as key if key.key_size >= _LEAST_RSA_BITS and stated in (
                _RSA,
                _RSA_WITH[algorithm],
            ):
                key.verify(token.signature, token.signed, padding.PKCS1v15(), hash_algorithm)
            case ec.EllipticCurvePublicKey() as key if stated == _ECDSA_WITH[algorithm]:
                key.verify(token.signature, token.signed, ec.ECDSA(hash_algorithm))
            case _:
                raise Refused(Reason.SIGNATURE, f"the signature algorithm {stated} is not taken with this key")
    except InvalidSignature:
        raise Refused(Reason.SIGNATURE, "the signature does not verify") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refused(Reason.SIGNATURE, f"the signer's key cannot be used: {error}") from error


def verify_usage(signer: x509.Certificate, moment: datetime) -> None:
    """Prove that the certificate is for time-stamping alone and was valid at `moment`.

    Raises: Refused `usage` or `validity`.
    """
    try:
        purposes = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        usages = [each.value for each in signer.extensions if isinstance(each.value, x509.KeyUsage)]
    except x509.ExtensionNotFound:
        raise Refused(Reason.USAGE, "the signer's certificate names no purpose") from None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise Refused(Reason.USAGE, f"the signer's certificate cannot be read: {error}") from error
    if not purposes.critical or list(purposes.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise Refused(Reason.USAGE, "the signer's certificate is not, critically, for time-stamping alone")
    if any(not (each.digital_signature or each.content_commitment) for each in usages):
        raise Refused(Reason.USAGE, "the signer's certificate is not for signing")
    if not signer.not_valid_before_utc <= moment <= signer.not_valid_after_utc:
        raise Refused(Reason.VALIDITY, "the signer's certificate was not valid at the token's time")


def verify_path(
    signer: x509.Certificate,
    others: tuple[x509.Certificate, ...],
    roots: tuple[x509.Certificate, ...],
    moment: datetime,
) -> tuple[x509.Certificate, ...]:
    """Return the chain from `signer` to one of `roots`, each certificate of it valid at `moment`.

    Promises: a verifier of its own for each call; what lies in `others` is never an anchor. Raises: Refused `chain`.
    """
    authorities = (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, _require_authority)
        .may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, _require_certificate_signing)
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(list(roots)))
        .time(moment)
        .extension_policies(ca_policy=authorities, ee_policy=verification.ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        return tuple(verifier.verify(signer, list(others)).chain)
    except verification.VerificationError as error:
        raise Refused(Reason.CHAIN, f"no chain to a known root at the token's time: {error}") from error


def follow_issuers(signer: x509.Certificate, others: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
    """Return `signer` and its issuers as far as they are here; this says nothing about trust."""
    chain = [signer]
    while chain[-1].issuer != chain[-1].subject:
        issuer = next((each for each in others if each not in chain and _issued(each, chain[-1])), None)
        if issuer is None:
            break
        chain.append(issuer)
    return tuple(chain)


def _identifies(identifier: CertificateId, certificate: x509.Certificate) -> bool:
    encoded = certificate.public_bytes(Encoding.DER)
    if identifier.algorithm == SHA1:
        # RFC 2634 knows no other digest here; an attacker would need a second preimage, which SHA-1 still withstands.
        digest = sha1(encoded).digest()  # noqa: S324  what RFC 3161 itself prescribes
    else:
        digest = digest_by(identifier.algorithm, encoded)
    return (
        identifier.digest == digest
        and identifier.issuer in (None, certificate.issuer.public_bytes())
        and identifier.serial in (None, certificate.serial_number)
    )


def _only_value(token: Token, attribute: str) -> bytes:
    """Return the value of a signed attribute that must be there once (RFC 5652, 11.1 and 11.2)."""
    values = [value for name, value in token.attributes if name == attribute]
    if len(values) != 1:
        raise Refused(Reason.SIGNATURE, f"the signed attribute {attribute} is there {len(values)} times")
    return values[0]


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _require_authority(
    _policy: verification.Policy, _certificate: x509.Certificate, constraints: x509.BasicConstraints
) -> None:
    if not constraints.ca:
        raise ValueError("an issuer is not a certificate authority")


def _require_certificate_signing(
    _policy: verification.Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an issuer may not sign certificates")
