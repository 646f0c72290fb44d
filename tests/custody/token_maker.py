"""Makes RFC 3161 tokens that no honest authority would give: a DER writer, certificates and CMS, apart from the code
under test."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import new as new_hash
from hashlib import sha1, sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
MOMENT = datetime(2024, 6, 1, 12, 0, 0, tzinfo=UTC)
"""The time that made tokens carry unless told otherwise; their certificates are valid for 30 days around it, long
ago."""

_OIDS = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
    "ecdsa-sha256": "1.2.840.10045.4.3.2",
    "ecdsa-sha384": "1.2.840.10045.4.3.3",
    "rsa": "1.2.840.113549.1.1.1",
    "rsa-sha256": "1.2.840.113549.1.1.11",
}
_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def certify(
    common_name: str,
    issuer: Party | None = None,
    *,
    key: Key | None = None,
    authority: bool = False,
    path_length: int | None = None,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    critical: bool = True,
    serial: int | None = None,
    around: datetime = MOMENT,
) -> Party:
    """Issue a certificate that is valid for 30 days around a moment."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    signing_key = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(around - timedelta(days=15))
        .not_valid_after(around + timedelta(days=15))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
    return Party(certificate=builder.sign(signing_key, hashes.SHA256()), key=key)


def make_token(
    signer: Party,
    content: bytes,
    *,
    bag: Sequence[Party] = (),
    moment: datetime = MOMENT,
    nonce: int = 7,
    status: int = 0,
    digest: str = "sha256",
    imprint: str = "sha256",
    identifiers: Sequence[bytes] | None = None,
    signed_content: bytes | None = None,
    signers: int = 1,
) -> bytes:
    """Write a granted TimeStampResp over `content`.

    `bag` are the certificates that travel with it, `identifiers` the signing-certificate attributes (`ess_v2` of the
    signer when None), `signed_content` what the message digest is taken of instead of the token's own content.
    """
    info = _sequence(
        _integer(1),
        _oid("1.3.6.1.4.1.32473.1"),
        _sequence(_algorithm(imprint), _tlv(0x04, new_hash(imprint, content).digest())),
        _integer(99),
        _tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode()),
        _sequence(_integer(2), _tlv(0x80, b"\x0a"), _tlv(0x81, b"\x01")),
        _integer(nonce),
    )
    signed = b"".join(
        sorted(
            [
                _attribute("1.2.840.113549.1.9.3", _oid("1.2.840.113549.1.9.16.1.4")),
                _attribute("1.2.840.113549.1.9.4", _tlv(0x04, new_hash(digest, signed_content or info).digest())),
                *(identifiers if identifiers is not None else [ess_v2(signer)]),
            ]
        )
    )
    signer_info = _signer_info(signer, signed, digest)
    signed_data = _sequence(
        _integer(3),
        _tlv(0x31, _algorithm(digest)),
        _sequence(_oid("1.2.840.113549.1.9.16.1.4"), _tlv(0xA0, _tlv(0x04, info))),
        _tlv(0xA0, b"".join(each.der for each in bag)) if bag else b"",
        _tlv(0x31, signer_info * signers),
    )
    token = _sequence(_oid("1.2.840.113549.1.7.2"), _tlv(0xA0, signed_data))
    return _sequence(_sequence(_integer(status)), token)


def make_rejection() -> bytes:
    """Write a TimeStampResp that says no: status 2, no token."""
    return _sequence(_sequence(_integer(2), _sequence(_tlv(0x0C, b"not now"))))


def ess_v2(party: Party, digest: str = "sha256") -> bytes:
    """The SigningCertificateV2 attribute for this certificate, with issuer and serial (RFC 5035)."""
    algorithm = b"" if digest == "sha256" else _algorithm(digest)
    identifier = _sequence(algorithm, _tlv(0x04, new_hash(digest, party.der).digest()), _issuer_serial(party))
    return _attribute("1.2.840.113549.1.9.16.2.47", _sequence(_sequence(identifier)))


def ess_v1(party: Party) -> bytes:
    """The older SigningCertificate attribute, SHA-1 (RFC 2634)."""
    identifier = _sequence(_tlv(0x04, sha1(party.der, usedforsecurity=False).digest()))
    return _attribute("1.2.840.113549.1.9.16.2.12", _sequence(_sequence(identifier)))


def ess_v2_naming_another_issuer(party: Party) -> bytes:
    """The right digest beside a serial number that is not the certificate's."""
    names = _sequence(_tlv(0xA4, party.certificate.issuer.public_bytes()))
    identifier = _sequence(_tlv(0x04, sha256(party.der).digest()), _sequence(names, _integer(1)))
    return _attribute("1.2.840.113549.1.9.16.2.47", _sequence(_sequence(identifier)))


def _signer_info(signer: Party, signed: bytes, digest: str) -> bytes:
    message = _tlv(0x31, signed)
    match signer.key:
        case rsa.RSAPrivateKey() as key:
            algorithm, signature = "rsa", key.sign(message, padding.PKCS1v15(), _HASHES[digest])
        case ec.EllipticCurvePrivateKey() as key:
            algorithm, signature = f"ecdsa-{digest}", key.sign(message, ec.ECDSA(_HASHES[digest]))
    return _sequence(
        _integer(1),
        _sequence(signer.certificate.issuer.public_bytes(), _integer(signer.certificate.serial_number)),
        _algorithm(digest),
        _tlv(0xA0, signed),
        _algorithm(algorithm),
        _tlv(0x04, signature),
    )


def _issuer_serial(party: Party) -> bytes:
    names = _sequence(_tlv(0xA4, party.certificate.issuer.public_bytes()))
    return _sequence(names, _integer(party.certificate.serial_number))


def _attribute(identifier: str, value: bytes) -> bytes:
    return _sequence(_oid(identifier), _tlv(0x31, value))


def _algorithm(name: str) -> bytes:
    return _sequence(_oid(_OIDS[name]), b"" if name.startswith("ecdsa") else b"\x05\x00")


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    octets = b""
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | (arc & 0x7F))
        octets += bytes(reversed(groups))
    return _tlv(0x06, octets)


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, b"".join(parts))


def _tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content
