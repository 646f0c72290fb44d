"""A request for a time-stamp written, a response taken apart.

Standard: RFC 3161; its forms stand in `_tsp_forms`. Judges nothing: `_tsp_signer` does. No I/O.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from custody._tsp_forms import (
    Accuracy,
    AlgorithmIdentifier,
    Attribute,
    IssuerSerial,
    MessageImprint,
    SignerInfo,
    SigningCertificate,
    SigningCertificateV2,
    TimeStampReq,
    TimeStampResp,
    TstInfo,
)

LARGEST_RESPONSE = 128 * 1024
_MOST_CERTIFICATES = 32

SHA1 = "1.3.14.3.2.26"
SHA256 = "2.16.840.1.101.3.4.2.1"
SHA384 = "2.16.840.1.101.3.4.2.2"
SHA512 = "2.16.840.1.101.3.4.2.3"

TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"


class Reason(StrEnum):
    """Why a token was refused; `signer-missing` is the one that a certificate from elsewhere may cure."""

    FORM = "form"
    STATUS = "status"
    IMPRINT = "imprint"
    NONCE = "nonce"
    POLICY = "policy"
    SIGNER = "signer"
    SIGNER_MISSING = "signer-missing"
    CERTIFICATE_ID = "certificate-id"
    SIGNATURE = "signature"
    USAGE = "usage"
    VALIDITY = "validity"
    CHAIN = "chain"


class Refused(Exception):
    """Stays inside this room: `timestamps` turns it into the IntegrityError that callers see."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateId:
    """What a signed attribute says of the signer's certificate; `issuer` is the DER of a Name."""

    algorithm: str
    digest: bytes
    issuer: bytes | None
    serial: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A time-stamp token taken apart. Nothing of it is checked but its form.

    Shapes: algorithms and policy are dotted OIDs; `issuer` is the DER of a Name; `signed` is the DER of the signed
    attributes as the SET OF that was signed; `attributes` has one pair for each value of each of them.
    """

    policy: str
    imprint_algorithm: str
    imprint: bytes
    serial: int
    gen_time: datetime
    accuracy_ms: int | None
    nonce: int | None
    content: bytes
    certificates: tuple[x509.Certificate, ...]
    issuer: bytes
    issuer_serial: int
    digest_algorithm: str
    signed: bytes
    attributes: tuple[tuple[str, bytes], ...]
    signature_algorithm: str
    signature: bytes


def write_request(imprint: bytes, nonce: int, policy: str | None) -> bytes:
    """Write a TimeStampReq over a SHA-256 imprint that asks for the signer's certificates."""
    algorithm = AlgorithmIdentifier(algorithm=ObjectIdentifier(SHA256), parameters=asn1.Null())
    request = TimeStampReq(
        version=1,
        message_imprint=MessageImprint(hash_algorithm=algorithm, hashed_message=imprint),
        req_policy=None if policy is None else ObjectIdentifier(policy),
        nonce=nonce,
        cert_req=True,
    )
    return asn1.encode_der(request)


def read_status(response: bytes) -> tuple[int, str]:
    """Read the status of a response, and the words beside it. Raises: Refused `form`."""
    status = _decode(TimeStampResp, response).status
    return status.status, "; ".join(status.text or ())


def read_token(response: bytes) -> Token:
    """Take a granted response apart. Raises: Refused `form`, `status` or `signer`."""
    if len(response) > LARGEST_RESPONSE:
        raise Refused(Reason.FORM, "the response is too long")
    parsed = _decode(TimeStampResp, response)
    if parsed.status.status != 0 or parsed.token is None:
        raise Refused(Reason.STATUS, f"the authority answered with status {parsed.status.status}")
    content = parsed.token.content
    signers = content.signers.as_list()
    if len(signers) != 1:
        raise Refused(Reason.SIGNER, f"a token has one signer, this one has {len(signers)}")
    algorithms = [each.algorithm for each in content.digest_algorithms.as_list()]
    if (
        parsed.token.content_type.dotted_string != _SIGNED_DATA
        or content.encapsulated.content_type.dotted_string != TST_INFO
        or (content.version, signers[0].version) != (3, 1)
        or algorithms != [signers[0].digest_algorithm.algorithm]
    ):
        raise Refused(Reason.FORM, "the token is not signed time-stamp information")
    return _token(content.encapsulated.content, content.certificates or [], signers[0])


def read_certificate_ids(token: Token) -> tuple[CertificateId, ...]:
    """Read who signed, in the new form and the old; the first of each list is the signer's (RFC 5035, 3 and 4)."""
    found: list[CertificateId] = []
    for name, value in token.attributes:
        if name == _SIGNING_CERTIFICATE_V2:
            for new in _decode(SigningCertificateV2, value).certs[:1]:
                algorithm = SHA256 if new.hash_algorithm is None else new.hash_algorithm.algorithm.dotted_string
                found.append(_certificate_id(algorithm, new.cert_hash, new.issuer_serial))
        elif name == _SIGNING_CERTIFICATE:
            for old in _decode(SigningCertificate, value).certs[:1]:
                found.append(_certificate_id(SHA1, old.cert_hash, old.issuer_serial))
    return tuple(found)


def read_fully(certificate: x509.Certificate) -> x509.Certificate:
    """Read what the library leaves unread until it is asked for. Raises: ValueError."""
    if not certificate.issuer.rdns or not certificate.subject.rdns:
        raise ValueError("a certificate without names")
    if certificate.serial_number <= 0 or certificate.not_valid_before_utc > certificate.not_valid_after_utc:
        raise ValueError("a certificate with an impossible serial number or validity")
    return certificate


def read_octets(value: bytes) -> bytes:
    """Read an OCTET STRING. Raises: Refused `form`."""
    return _decode(bytes, value)


def read_identifier(value: bytes) -> str:
    """Read an OBJECT IDENTIFIER. Raises: Refused `form`."""
    return _decode(ObjectIdentifier, value).dotted_string


_Form = TypeVar("_Form")


def _decode(form: type[_Form], value: bytes) -> _Form:
    try:
        return asn1.decode_der(form, value)
    except ValueError as error:
        raise Refused(Reason.FORM, f"the DER cannot be read: {error}") from error


def _token(content: bytes, bag: list[asn1.TLV], signer: SignerInfo) -> Token:
    info = _decode(TstInfo, content)
    if info.version != 1 or any(each.critical for each in info.extensions or ()):
        raise Refused(Reason.FORM, "the time-stamp information has a version or an extension that is not known here")
    signed = b"".join(asn1.encode_der(each) for each in signer.signed_attributes)
    attributes = [_decode(Attribute, asn1.encode_der(each)) for each in signer.signed_attributes]
    return Token(
        policy=info.policy.dotted_string,
        imprint_algorithm=info.message_imprint.hash_algorithm.algorithm.dotted_string,
        imprint=info.message_imprint.hashed_message,
        serial=info.serial_number,
        gen_time=info.gen_time.as_datetime(),
        accuracy_ms=_milliseconds(info.accuracy),
        nonce=info.nonce,
        content=content,
        certificates=_certificates(bag),
        issuer=asn1.encode_der(signer.signer.issuer),
        issuer_serial=signer.signer.serial_number,
        digest_algorithm=signer.digest_algorithm.algorithm.dotted_string,
        # The tag on the wire is [0]; the signature is over the tag of a SET OF (RFC 5652, 5.4).
        signed=b"\x31" + _der_length(len(signed)) + signed,
        attributes=tuple(
            (each.identifier.dotted_string, asn1.encode_der(value))
            for each in attributes
            for value in each.values.as_list()
        ),
        signature_algorithm=signer.signature_algorithm.algorithm.dotted_string,
        signature=signer.signature,
    )


def _certificates(bag: list[asn1.TLV]) -> tuple[x509.Certificate, ...]:
    if len(bag) > _MOST_CERTIFICATES:
        raise Refused(Reason.FORM, "the token carries too many certificates")
    try:
        return tuple(read_fully(x509.load_der_x509_certificate(asn1.encode_der(each))) for each in bag)
    except (ValueError, x509.InvalidVersion) as error:
        raise Refused(Reason.FORM, f"a certificate in the token cannot be read: {error}") from error


def _certificate_id(algorithm: str, digest: bytes, issuer_serial: IssuerSerial | None) -> CertificateId:
    if issuer_serial is None:
        return CertificateId(algorithm=algorithm, digest=digest, issuer=None, serial=None)
    # GeneralNames of one directoryName [4]; anything else cannot name the issuer of an X.509 certificate.
    names = [bytes(each.data) for each in issuer_serial.issuer if each.tag_bytes == b"\xa4"]
    issuer = names[0] if len(names) == len(issuer_serial.issuer) == 1 else b""
    return CertificateId(algorithm=algorithm, digest=digest, issuer=issuer, serial=issuer_serial.serial_number)


def _milliseconds(accuracy: Accuracy | None) -> int | None:
    """Whole milliseconds, rounded up: the interval must not claim more than the authority does."""
    if accuracy is None:
        return None
    parts = (accuracy.seconds or 0, accuracy.millis or 0, accuracy.micros or 0)
    if min(parts) < 0:
        raise Refused(Reason.FORM, "an accuracy below zero")
    return parts[0] * 1000 + parts[1] + -(-parts[2] // 1000)


def _der_length(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([0x80 | len(octets)]) + octets
