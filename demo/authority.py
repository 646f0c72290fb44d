"""A throw-away RFC 3161 time-stamp authority on loopback: it proves nothing outside this demonstration.

    python demo/authority.py FOLDER [--port 0] [--name demonstration]

Makes a root, an intermediate and a time-stamping certificate in FOLDER, answers RFC 3161 requests over HTTP on
127.0.0.1 with `openssl ts -reply`, prints one JSON line `{"url": …, "root": …}` when it is ready, and stops on
SIGTERM. Its certificates say what it is. Any number may run side by side, each with its own folder.

It stands alone: nothing of the archive is imported, and the archive never imports it.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LABEL = "throw-away, proves nothing outside this demonstration"
POLICY = "1.3.6.1.4.1.32473.3161"  # under the enterprise number that RFC 5612 keeps for documentation
LARGEST_REQUEST = 16 * 1024
LIFETIME = timedelta(days=30)

_CONFIGURATION = f"""
[tsa]
default_tsa = authority
[authority]
serial = serial
signer_cert = signer.pem
signer_key = signer.key
certs = intermediate.pem
signer_digest = sha256
default_policy = {POLICY}
digests = sha256, sha384, sha512
accuracy = secs:1, millisecs:500
clock_precision_digits = 3
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class ThrowAwayAuthority:
    """Keys, certificates and serial numbers of one authority, in a folder of its own; answers requests."""

    def __init__(self, folder: Path, name: str) -> None:
        """Make a new authority in `folder`. Raises: RuntimeError where there is no `openssl` program."""
        found = shutil.which("openssl")
        if found is None:
            raise RuntimeError("the program openssl is needed (Debian package: openssl)")
        self._openssl = found
        self._folder = folder
        self._one_at_a_time = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        root = _issue(f"{name}, root", None, [_CAN_SIGN_CERTIFICATES, _authority_of(None)])
        intermediate = _issue(f"{name}, intermediate", root, [_CAN_SIGN_CERTIFICATES, _authority_of(0)])
        signer = _issue(f"{name}, time-stamp authority", intermediate, [_CAN_SIGN, _TIME_STAMPING_ONLY])
        for file_name, issued in (("root.pem", root), ("intermediate.pem", intermediate), ("signer.pem", signer)):
            (folder / file_name).write_bytes(issued.certificate.public_bytes(Encoding.PEM))
        key = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "signer.key").touch(mode=0o600)
        (folder / "signer.key").write_bytes(key)
        (folder / "serial").write_text("01\n")
        (folder / "openssl.cnf").write_text(_CONFIGURATION)

    @property
    def root(self) -> Path:
        """The root certificate, PEM."""
        return self._folder / "root.pem"

    def reply(self, request: bytes) -> bytes:
        """Answer one DER TimeStampReq with a DER TimeStampResp; a bad request gets a rejection, as RFC 3161 asks."""
        with self._one_at_a_time, tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            query, answer = Path(scratch, "request.tsq"), Path(scratch, "reply.tsr")
            query.write_bytes(request)
            # openssl ends with 1 when it writes a rejection: its exit code says nothing that the reply does not.
            subprocess.run(
                [
                    self._openssl,
                    "ts",
                    "-reply",
                    "-config",
                    "openssl.cnf",
                    "-queryfile",
                    str(query),
                    "-out",
                    str(answer),
                ],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=30,
                check=False,
            )
            return answer.read_bytes()


_CAN_SIGN_CERTIFICATES = (
    x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    ),
    True,
)
_CAN_SIGN = (
    x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    ),
    True,
)
_TIME_STAMPING_ONLY = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)


def _authority_of(path_length: int | None) -> tuple[x509.ExtensionType, bool]:
    return x509.BasicConstraints(ca=True, path_length=path_length), True


def _issue(common_name: str, issuer: _Issued | None, extensions: list[tuple[x509.ExtensionType, bool]]) -> _Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, LABEL), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )
    issuer_name = issuer.certificate.subject if issuer else name
    issuer_key = issuer.key if issuer else key
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return _Issued(certificate=builder.sign(issuer_key, hashes.SHA256()), key=key)


class AuthorityServer(ThreadingHTTPServer):
    """Puts an authority on 127.0.0.1; port 0 takes a free one."""

    daemon_threads = True

    def __init__(
        self, authority: ThrowAwayAuthority, port: int, handler: type["TimeStampHandler"] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", port), handler or TimeStampHandler)
        self.authority = authority

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class TimeStampHandler(BaseHTTPRequestHandler):
    """RFC 3161, 3.4: a request is POSTed, a reply comes back. Keeps no access log."""

    server: AuthorityServer
    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_REQUEST:
            self.send_error(413)
            return
        if self.headers.get_content_type() != "application/timestamp-query":
            self.send_error(415)
            return
        self.answer(self.rfile.read(int(length)))

    def answer(self, request: bytes) -> None:
        self.send_reply(self.server.authority.reply(request))

    def send_reply(self, reply: bytes, content_type: str = "application/timestamp-reply") -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: a request's address and time are nobody's business."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where its keys and certificates go")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--name", default="demonstration", help="part of its certificates' common names")
    options = parser.parse_args()

    try:
        authority = ThrowAwayAuthority(options.folder.resolve(), options.name)
    except RuntimeError as missing:
        print(missing, file=sys.stderr)
        return 1
    server = AuthorityServer(authority, options.port)

    def stop(_number: int, _frame: FrameType | None) -> None:
        # shutdown() waits for serve_forever(), which runs in this very thread, so that it is called from another.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with server:
        print(json.dumps({"url": server.url, "root": str(server.authority.root)}), flush=True)
        server.serve_forever(poll_interval=0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
