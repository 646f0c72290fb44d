"""What the time-stamps in a receipt prove: judged as `verify.py` judges them, under the roots that the reader names."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from archive.errors import IntegrityError
from archive.types import Finding
from custody.receipt import Receipt, ReceiptTimestamp
from custody.timestamps import AttestedTime, verify_token


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeVerdict:
    """What one time-stamp proves. `root` is the SHA-256 (hex) of the root that it leads to, or empty."""

    authority: str
    finding: Finding
    words: str
    root: str = ""


def judge_timestamps(receipt: Receipt, roots: Sequence[bytes]) -> tuple[TimeVerdict, ...]:
    """Judge each time-stamp of a receipt.

    Shapes: `roots` are the self-signed certificates that the reader trusts, PEM; without any, the root that came along
    is taken, and whether to trust it is the reader's decision. With some, a token that leads to another root counts
    against the receipt, unless one leads to theirs.
    """
    found = [_judge(stamp, receipt.checkpoint, tuple(roots)) for stamp in receipt.timestamps]
    if roots and not any(verdict.finding is Finding.MATCHES for verdict in found):
        found = [_against(verdict) if verdict.root else verdict for verdict in found]
    return tuple(found)


def read_root(pem: bytes) -> bytes:
    """Return the root certificates of a file that was given for a check. Raises: ValueError where it has none."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise ValueError("not a certificate in PEM") from error
    return b"".join(each.public_bytes(Encoding.PEM) for each in found)


def _judge(stamp: ReceiptTimestamp, note: bytes, roots: tuple[bytes, ...]) -> TimeVerdict:
    chain = stamp.chain.encode("utf-8", "replace")
    own = _own_roots(chain)
    try:
        attested = verify_token(stamp.token, note, roots or own, request_nonce=None, chain=chain)
    except IntegrityError as error:
        if not roots:
            return TimeVerdict(authority=stamp.authority, finding=Finding.DOES_NOT_MATCH, words=error.message)
        try:
            attested = verify_token(stamp.token, note, own, request_nonce=None, chain=chain)
        except IntegrityError:
            return TimeVerdict(authority=stamp.authority, finding=Finding.DOES_NOT_MATCH, words=error.message)
        if own:
            return _found(stamp, attested, Finding.CANNOT_TELL, "; it leads to another root than those that were given")
        words = "; its root did not come along, and those that were given do not stand for it"
        return _found(stamp, attested, Finding.CANNOT_TELL, words, root=False)
    if attested.trust is Finding.MATCHES:
        return _found(stamp, attested, Finding.MATCHES, "")
    return _found(
        stamp, attested, Finding.CANNOT_TELL, "; its root did not come along: give it with --root", root=False
    )


def _found(
    stamp: ReceiptTimestamp, attested: AttestedTime, finding: Finding, more: str, *, root: bool = True
) -> TimeVerdict:
    return TimeVerdict(
        authority=stamp.authority,
        finding=finding,
        words=f"attested {attested.gen_time:%Y-%m-%d %H:%M:%S} UTC{more}",
        root=_fingerprint(attested.chain[-1]) if root else "",
    )


def _against(verdict: TimeVerdict) -> TimeVerdict:
    return TimeVerdict(
        authority=verdict.authority, finding=Finding.DOES_NOT_MATCH, words=verdict.words, root=verdict.root
    )


def _own_roots(chain: bytes) -> tuple[bytes, ...]:
    """Give what of a chain is a root by its own word. What cannot be read is left to `verify_token` to refuse."""
    try:
        found = x509.load_pem_x509_certificates(chain)
    except ValueError:
        return ()
    return tuple(each.public_bytes(Encoding.PEM) for each in found if each.subject == each.issuer)


def _fingerprint(pem: bytes) -> str:
    return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()
