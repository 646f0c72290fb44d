"""The payload of an age file as arithmetic: chunk numbers, nonces, lengths, and one chunk sealed or opened.

Knows one key and one number at a time. No I/O.
Standard: C2SP age, payload.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from archive.age.header import derive_key
from archive.errors import IntegrityError

Octets = bytes | bytearray | memoryview

CHUNK_OCTETS = 64 * 1024
TAG_OCTETS = 16
SEALED_CHUNK_OCTETS = CHUNK_OCTETS + TAG_OCTETS
PAYLOAD_NONCE_OCTETS = 16


def derive_payload_key(file_key: bytes, nonce: bytes) -> bytes:
    """Derive the key of one payload."""
    return derive_key(file_key, nonce, b"payload")


def payload_octets(plain_octets: int) -> int:
    """Return the length of a payload, its nonce included."""
    return PAYLOAD_NONCE_OCTETS + plain_octets + TAG_OCTETS * max(1, -(-plain_octets // CHUNK_OCTETS))


def chunk_failed(number: int, why: str) -> IntegrityError:
    """Return the error for a chunk that is not what was sealed."""
    return IntegrityError(
        "age/chunk-failed",
        "A sealed file is damaged or changed. What stands before the damage is good; nothing after it is released.",
        evidence={"chunk": number, "why": why},
    )


class ChunkCipher:
    """Seals and opens chunks under one payload key; who calls it answers for never sealing a number twice."""

    __slots__ = ("_cipher",)

    def __init__(self, payload_key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(payload_key)

    def seal_into(self, number: int, chunk: Octets, out: Octets, *, final: bool) -> int:
        """Seal a chunk. Shapes: `out` is exactly `TAG_OCTETS` longer than `chunk`."""
        return self._cipher.encrypt_into((number << 8 | final).to_bytes(12), chunk, None, out)

    def open_into(self, number: int, sealed: Octets, out: memoryview, *, final: bool) -> int:
        """Open a chunk. Shapes: `out` is exactly `TAG_OCTETS` shorter than `sealed`.

        Raises: IntegrityError `age/chunk-failed`; `out` is then all zeros.
        """
        if len(sealed) < TAG_OCTETS:
            raise chunk_failed(number, "shorter than its tag")
        if len(sealed) == TAG_OCTETS and number:
            raise chunk_failed(number, "an empty chunk after others")
        try:
            return self._cipher.decrypt_into((number << 8 | final).to_bytes(12), sealed, None, out)
        except InvalidTag as error:
            # The cipher writes before it knows whether the tag matches.
            out[:] = bytes(len(out))
            raise chunk_failed(number, "its tag does not match") from error
