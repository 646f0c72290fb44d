"""A second, naive maker of packets: the format of docs/formats.md 3 to 6 written down once more, by hand.

It shares no code with `custody` or with the verifier: trees are built recursively from the definitions of RFC 6962,
JSON is written by the rfc8785 package, signatures come from `cryptography`, time-stamps from the `openssl ts` command.
Parts of a packet are kept as plain dictionaries, so that a test can change anything and write every manifest anew, as a
forger would.
"""

import base64
import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORIGIN = "evidence.example/log"
CertificateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
ITEMS = (
    "11111111-1111-4111-8111-111111111111",
    "22222222-2222-4222-8222-222222222222",
    "33333333-3333-4333-8333-333333333333",
)
PACKET_ID = "99999999-9999-4999-8999-999999999999"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf)


def split(count: int) -> int:
    """Return the largest power of two below `count`."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def tree_root(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return sha256(b"\x01" + tree_root(hashes[:k]) + tree_root(hashes[k:]))


def inclusion(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if index < k:
        return [*inclusion(index, hashes[:k]), tree_root(hashes[k:])]
    return [*inclusion(index - k, hashes[k:]), tree_root(hashes[:k])]


def consistency(older: int, hashes: Sequence[bytes], whole: bool = True) -> list[bytes]:
    if older == len(hashes):
        return [] if whole else [tree_root(hashes)]
    k = split(len(hashes))
    if older <= k:
        return [*consistency(older, hashes[:k], whole), tree_root(hashes[k:])]
    return [*consistency(older - k, hashes[k:], False), tree_root(hashes[:k])]


class LogKeys:
    """The two signing keys of a log."""

    def __init__(self, origin: str = ORIGIN) -> None:
        self.origin = origin
        self.ed25519 = ed25519.Ed25519PrivateKey.generate()
        self.mldsa = mldsa.MLDSA44PrivateKey.generate()

    def _material(self) -> tuple[bytes, bytes]:
        return (
            b"\x01" + self.ed25519.public_key().public_bytes_raw(),
            b"\x06" + self.mldsa.public_key().public_bytes_raw(),
        )

    def verifier_keys(self) -> list[str]:
        return [f"{self.origin}+{self._id(material).hex()}+{b64(material)}" for material in self._material()]

    def _id(self, material: bytes) -> bytes:
        return sha256(self.origin.encode() + b"\n" + material)[:4]

    def checkpoint(self, hashes: Sequence[bytes], moment: int = 1_790_000_000) -> bytes:
        root, name = tree_root(hashes), self.origin.encode()
        text = f"{self.origin}\n{len(hashes)}\n{b64(root)}\n"
        stated = moment.to_bytes(8, "big")
        message = b"subtree/v1\n\x00" + bytes([len(name)]) + name + stated + bytes([len(name)]) + name
        message += bytes(8) + len(hashes).to_bytes(8, "big") + root
        classic, later = self._material()
        lines = [
            b64(self._id(classic) + self.ed25519.sign(text.encode())),
            b64(self._id(later) + stated + self.mldsa.sign(message)),
        ]
        return (text + "\n" + "".join(f"\u2014 {self.origin} {line}\n" for line in lines)).encode()

    def note(self, text: str) -> str:
        """A note whose text both keys sign as it stands."""
        classic, later = self._material()
        lines = [
            b64(self._id(classic) + self.ed25519.sign(text.encode())),
            b64(self._id(later) + self.mldsa.sign(text.encode())),
        ]
        return text + "\n" + "".join(f"\u2014 {self.origin} {line}\n" for line in lines)


@dataclass
class NaiveLog:
    """A custody log as a list of leaves, each with what may be opened of it."""

    leaves: list[bytes] = field(default_factory=list)
    opened: list[dict[str, list[str]]] = field(default_factory=list)
    runs: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(
        self,
        event: str,
        *,
        items: dict[str, list[tuple[str, object]]] | None = None,
        general: Sequence[tuple[str, object]] = (),
        outcome: str = "success",
    ) -> int:
        seq = len(self.leaves)
        moment = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=seq)
        values = {"": [("recorded_time", moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")), ("actor", "k4-heron"), *general]}
        for item, own in (items or {}).items():
            number, previous = self.runs.get(item, (0, None))
            values[item] = [("run", {"item": item, "number": number + 1, "previous": previous}), *own]
        disclosures = {
            owner: [b64url(rfc8785.dumps([b64url(os.urandom(16)), name, value])) for name, value in pairs]  # type: ignore[list-item]
            for owner, pairs in values.items()
        }
        commitments = sorted(b64url(sha256(text.encode())) for texts in disclosures.values() for text in texts)
        record = {"_sd": commitments, "_sd_alg": "sha-256", "event": event, "outcome": outcome, "seq": seq, "v": 1}
        leaf = rfc8785.dumps(record)  # type: ignore[arg-type]
        self.leaves.append(leaf)
        self.opened.append(disclosures)
        for item in items or {}:
            self.runs[item] = (self.runs.get(item, (0, ""))[0] + 1, leaf_hash(leaf).hex())
        return seq

    def hashes(self) -> list[bytes]:
        return [leaf_hash(leaf) for leaf in self.leaves]

    def line(self, seq: int, items: Sequence[str]) -> bytes:
        texts = [text for owner in ("", *items) for text in self.opened[seq].get(owner, [])]
        return rfc8785.dumps({"disclosures": texts, "leaf": self.leaves[seq].decode()}) + b"\n"

    def naming(self, items: Sequence[str]) -> list[int]:
        return [seq for seq, opened in enumerate(self.opened) if any(item in opened for item in items)]


@dataclass
class Parts:
    """A packet taken apart: payload and tag files by name, without manifests."""

    payload: dict[str, bytes]
    tags: dict[str, bytes]
    log: NaiveLog
    keys: LogKeys
    items: tuple[str, ...]

    def write(self, folder: Path) -> Path:
        """Write the bag with all manifests made anew, whatever the parts now say."""
        tags = dict(self.tags)
        for algorithm in ("sha256", "sha512"):
            tags[f"manifest-{algorithm}.txt"] = manifest(self.payload, algorithm)
        tags["bagit.txt"] = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
        oxum = f"{sum(map(len, self.payload.values()))}.{len(self.payload)}"
        tags["bag-info.txt"] = f"Bagging-Date: 2026-11-22\nPayload-Oxum: {oxum}\n".encode()
        manifests = {f"tagmanifest-{name}.txt": manifest(tags, name) for name in ("sha256", "sha512")}
        for name, content in {**self.payload, **tags, **manifests}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    def lines(self) -> list[bytes]:
        return self.tags["metadata/custody-log.jsonl"].splitlines(keepends=True)

    def set_lines(self, lines: Sequence[bytes]) -> None:
        self.tags["metadata/custody-log.jsonl"] = b"".join(lines)

    def prove(self, checkpoint: bytes | None = None) -> None:
        """Write checkpoint and proofs anew from the log as it now stands."""
        hashes = self.log.hashes()
        note = self.keys.checkpoint(hashes) if checkpoint is None else checkpoint
        self.tags["metadata/checkpoint"] = note
        self.tags["metadata/verifier-keys"] = "".join(f"{key}\n" for key in self.keys.verifier_keys()).encode()
        for name in [name for name in self.tags if name.startswith("metadata/proofs/")]:
            del self.tags[name]
        for seq in self.log.naming(self.items):
            siblings = "".join(f"{b64(digest)}\n" for digest in inclusion(seq, hashes))
            text = f"c2sp.org/tlog-proof@v1\nindex {seq}\n{siblings}\n".encode()
            self.tags[f"metadata/proofs/{seq}.tlog-proof"] = text + note


def manifest(files: dict[str, bytes], algorithm: str) -> bytes:
    return "".join(f"{hashlib.new(algorithm, files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()


def release(log: NaiveLog, items: Sequence[str], payload: dict[str, bytes], number: str = "P-2026-0001") -> int:
    digest = hashlib.sha512(manifest(payload, "sha512")).hexdigest()
    stated = {"id": PACKET_ID, "number": number, "type": "legal", "payload_manifest_sha512": digest}
    packet = {**stated, "recipient": "counsel", "legal_basis": "subpoena"}
    return log.add("dissemination", items={item: [] for item in items}, general=[("packet", packet)])


def fixity(item: str, content: bytes) -> tuple[str, object]:
    return "fixity", {"item": item, "stage": "receipt", "sha256": sha256(content).hex(), "size": len(content)}


def make_parts(*, accesses: int = 3) -> Parts:
    """A packet of two items out of a log that also speaks of a third, without time-stamps."""
    files = {
        ITEMS[0]: b"\xff\xd8\xff first photograph" * 40,
        ITEMS[1]: b"%PDF-1.7 a statement" * 30,
        ITEMS[2]: b"not in it",
    }
    log, keys = NaiveLog(), LogKeys()
    log.add("unlock")
    for item, content in files.items():
        log.add(
            "ingestion", items={item: [fixity(item, content), ("original_name", {"item": item, "name": "IMG.JPG"})]}
        )
    for _ in range(accesses):
        for item in ITEMS:
            log.add("access", items={item: []}, general=[("purpose", "review")])
    log.add("fixity check", items={item: [] for item in ITEMS})
    items = ITEMS[:2]
    names = {ITEMS[0]: "data/exhibits/E-2026-00001.jpg", ITEMS[1]: "data/exhibits/E-2026-00002.pdf"}
    payload = {names[item]: files[item] for item in items} | {
        "data/index.csv": b"number,original name\r\nE-2026-00001,IMG.JPG\r\n",
        "data/index.json": b'[{"number":"E-2026-00001"}]',
        "data/metadata/E-2026-00001.json": b'{"EXIF:Make":"Canon"}',
        "data/metadata/E-2026-00002.json": b"{}",
    }
    seq = release(log, items, payload)
    log.add("lock")
    listed = [
        {
            "item": item,
            "number": names[item][14:26],
            "path": names[item],
            "sha256": sha256(files[item]).hex(),
            "size": len(files[item]),
        }
        for item in items
    ]
    packet = {
        "v": 1,
        "packet": "P-2026-0001",
        "packet_id": PACKET_ID,
        "type": "legal",
        "origin": ORIGIN,
        "release": seq,
        "items": listed,
    }
    tags = {
        "read-me-first.html": b"<!doctype html><title>What is proved</title>",
        "verify.txt": b"python3 verify.py\n",
        "verify.py": b"print('not run by the tests')\n",
        "metadata/packet.json": rfc8785.dumps(packet),  # type: ignore[arg-type]
        "metadata/custody-log.jsonl": b"".join(log.line(n, items) for n in log.naming(items)),
    }
    parts = Parts(payload=payload, tags=tags, log=log, keys=keys, items=items)
    parts.prove()
    return parts


def make_receipt(parts: Parts, stamps: Sequence[dict[str, str]] = ()) -> dict[str, object]:
    """A receipt for the two items, in the form of formats.md 5."""
    hashes = parts.log.hashes()
    listed = []
    for place, item in enumerate(parts.items, start=1):
        seq = next(n for n, opened in enumerate(parts.log.opened) if item in opened)
        general, own = parts.log.opened[seq][""], parts.log.opened[seq][item]
        content = list(parts.payload.values())[place - 1]
        listed.append(
            {
                "number": f"E-2026-0000{place}",
                "leaf": parts.log.leaves[seq].decode(),
                "index": seq,
                "disclosures": [general[0], own[0], own[1]],
                "proof": [b64(digest) for digest in inclusion(seq, hashes)],
                "sha256": sha256(content).hex(),
                "size": len(content),
            }
        )
    unsigned: dict[str, object] = {
        "v": 3,
        "use": None,
        "receipt": "R-2026-0001",
        "received_time": "2026-11-01T00:01:00.000000Z",
        "items": listed,
        "checkpoint": parts.tags["metadata/checkpoint"].decode(),
        "verifier_keys": parts.keys.verifier_keys(),
        "timestamps": list(stamps),
    }
    digest = sha256(rfc8785.dumps(unsigned)).hex()  # type: ignore[arg-type]
    return {**unsigned, "signed": parts.keys.note(f"testigo-receipt/3\nsha256 {digest}\n")}


# --- A time-stamp authority: certificates by `cryptography`, tokens by `openssl ts` ---------------

CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/leaf.pem
certs = {folder}/middle.pem
signer_key = {folder}/leaf.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_chain = no
ess_cert_id_alg = sha256
accuracy = secs:1
"""

MakeKey = Callable[[], CertificateKey]


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Changes:
    """What a test may set wrong about an authority's certificates."""

    leaf_usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,)
    leaf_usage_critical: bool = True
    leaf_until: datetime = datetime(2036, 1, 1, tzinfo=UTC)
    middle_may_issue: bool = True
    middle_path_length: int | None = None
    extra_critical: bool = False


class Authority:
    """Root, intermediate and signer, and a folder from which `openssl ts -reply` answers."""

    def __init__(
        self, folder: Path, make_key: MakeKey = ec_key, name: str = "Test", changes: Changes | None = None
    ) -> None:
        self.folder, changes = folder, changes or Changes()
        folder.mkdir()
        keys = [make_key(), make_key(), make_key()]
        root = certificate(f"{name} root", keys[0], f"{name} root", keys[0], may_issue=True)
        middle = certificate(
            f"{name} issuer",
            keys[1],
            f"{name} root",
            keys[0],
            may_issue=changes.middle_may_issue,
            path_length=changes.middle_path_length,
        )
        leaf = certificate(f"{name} stamper", keys[2], f"{name} issuer", keys[1], may_issue=False, changes=changes)
        self.root_pem = root.public_bytes(serialization.Encoding.PEM)
        self.chain_pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (leaf, middle, root))
        (folder / "leaf.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        (folder / "middle.pem").write_bytes(middle.public_bytes(serialization.Encoding.PEM))
        (folder / "leaf.key").write_bytes(
            keys[2].private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / "serial").write_text("01\n")
        (folder / "tsa.conf").write_text(CONFIG.format(folder=folder))

    def stamp(self, content: bytes, algorithm: str = "sha256") -> bytes:
        (self.folder / "content").write_bytes(content)
        query, reply = self.folder / "query.tsq", self.folder / "reply.tsr"
        run = [
            "openssl",
            "ts",
            "-query",
            "-data",
            f"{self.folder}/content",
            f"-{algorithm}",
            "-cert",
            "-out",
            str(query),
        ]
        subprocess.run(run, check=True, capture_output=True)
        run = [
            "openssl",
            "ts",
            "-reply",
            "-config",
            f"{self.folder}/tsa.conf",
            "-queryfile",
            str(query),
            "-out",
            str(reply),
        ]
        subprocess.run(run, check=True, capture_output=True)
        return reply.read_bytes()


def certificate(
    subject: str,
    key: CertificateKey,
    issuer: str,
    issuer_key: CertificateKey,
    *,
    may_issue: bool,
    path_length: int | None = None,
    changes: Changes | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(changes.leaf_until if changes else datetime(2040, 1, 1, tzinfo=UTC))
        .add_extension(
            x509.BasicConstraints(ca=may_issue, path_length=path_length if may_issue else None), critical=True
        )
    )
    if changes is not None:
        usage = x509.ExtendedKeyUsage(changes.leaf_usages)
        builder = builder.add_extension(usage, critical=changes.leaf_usage_critical)
        if changes.extra_critical:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
            builder = builder.add_extension(unknown, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())
