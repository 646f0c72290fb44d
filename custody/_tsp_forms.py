"""The forms of RFC 3161 and of what it rests on, as their ASN.1 modules write them.

Standard: RFC 3161 (TSP), RFC 5652 (CMS), RFC 2634 and RFC 5035 (ESSCertID, ESSCertIDv2). Read as strict DER, save that
the certificates of a token may stand in any order: OpenSSL, and many authorities with it, do not sort them. No I/O.
"""

from typing import Annotated

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier


@asn1.sequence
class AlgorithmIdentifier:
    # Only algorithms whose parameters are absent or NULL are read; RSASSA-PSS is refused as a form.
    algorithm: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class MessageImprint:
    hash_algorithm: AlgorithmIdentifier
    hashed_message: bytes


@asn1.sequence
class TimeStampReq:
    version: int
    message_imprint: MessageImprint
    req_policy: ObjectIdentifier | None
    nonce: int
    cert_req: bool


@asn1.sequence
class Accuracy:
    seconds: int | None
    millis: Annotated[int | None, asn1.Implicit(0)]
    micros: Annotated[int | None, asn1.Implicit(1)]


@asn1.sequence
class Extension:
    identifier: ObjectIdentifier
    critical: Annotated[bool, asn1.Default(False)]
    value: bytes


@asn1.sequence
class TstInfo:
    version: int
    policy: ObjectIdentifier
    message_imprint: MessageImprint
    serial_number: int
    gen_time: asn1.GeneralizedTime
    accuracy: Accuracy | None
    ordering: Annotated[bool, asn1.Default(False)]
    nonce: int | None
    tsa: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    extensions: Annotated[list[Extension] | None, asn1.Implicit(1)]


@asn1.sequence
class IssuerAndSerialNumber:
    issuer: asn1.TLV
    serial_number: int


@asn1.sequence
class Attribute:
    identifier: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class SignerInfo:
    version: int
    signer: IssuerAndSerialNumber
    digest_algorithm: AlgorithmIdentifier
    # SEQUENCE OF under the tag of the SET OF, so that the octets that were signed are kept in the order they came in.
    signed_attributes: Annotated[list[asn1.TLV], asn1.Implicit(0)]
    signature_algorithm: AlgorithmIdentifier
    signature: bytes
    unsigned_attributes: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]


@asn1.sequence
class EncapsulatedContent:
    content_type: ObjectIdentifier
    content: Annotated[bytes, asn1.Explicit(0)]


@asn1.sequence
class SignedData:
    version: int
    digest_algorithms: asn1.SetOf[AlgorithmIdentifier]
    encapsulated: EncapsulatedContent
    certificates: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    revocations: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]
    signers: asn1.SetOf[SignerInfo]


@asn1.sequence
class ContentInfo:
    content_type: ObjectIdentifier
    content: Annotated[SignedData, asn1.Explicit(0)]


@asn1.sequence
class StatusInfo:
    status: int
    text: list[str] | None
    failures: asn1.BitString | None


@asn1.sequence
class TimeStampResp:
    status: StatusInfo
    token: ContentInfo | None


@asn1.sequence
class IssuerSerial:
    issuer: list[asn1.TLV]
    serial_number: int


@asn1.sequence
class EssCertId:
    cert_hash: bytes
    issuer_serial: IssuerSerial | None


@asn1.sequence
class EssCertIdV2:
    hash_algorithm: AlgorithmIdentifier | None
    cert_hash: bytes
    issuer_serial: IssuerSerial | None


@asn1.sequence
class SigningCertificate:
    certs: list[EssCertId]
    policies: list[asn1.TLV] | None


@asn1.sequence
class SigningCertificateV2:
    certs: list[EssCertIdV2]
    policies: list[asn1.TLV] | None
