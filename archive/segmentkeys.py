"""The key of one segment of an unfinished upload, sealed under the upload's address, and the segment's place.

The address is 256 secret bits that only the client keeps; the archive keeps its digest, which names the upload and
opens nothing. The same key stands a second time in the segment's own age header, sealed to the vault keyring; whoever
comes by it either way can check that the segment lies where it was written. No I/O.
"""

import binascii
import hashlib
import hmac
import json
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from archive.age.header import derive_key
from archive.errors import IntegrityError

ADDRESS_OCTETS = 32
_SALT_OCTETS = 32
_ZERO_NONCE = bytes(12)
_ADDRESS_LABEL = b"testigo upload segment v1"
_PLACE_LABEL = b"testigo upload segment place v1"


def upload_name(address: bytes) -> str:
    """Return the name of the upload that an address opens. Raises: ValueError for what cannot be an address."""
    if len(address) != ADDRESS_OCTETS:
        raise ValueError("an upload's address has 32 octets")
    return hashlib.sha256(address).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentKey:
    """What lies beside a segment. Shapes: `number` counts from 1; `start` is where in the upload the segment begins."""

    upload: str
    number: int
    start: int
    salt: bytes
    sealed: bytes
    place_mac: bytes = field(repr=False)

    @classmethod
    def seal(cls, file_key: bytes, address: bytes, *, number: int, start: int) -> Self:
        """Seal a segment's fresh file key under the upload's address."""
        upload, salt = upload_name(address), os.urandom(_SALT_OCTETS)
        place = _place(upload, number, start)
        # A fresh salt gives each segment its own sealing key, so that the zero nonce is used once with it.
        sealed = ChaCha20Poly1305(derive_key(address, salt, _ADDRESS_LABEL)).encrypt(_ZERO_NONCE, file_key, place)
        return cls(upload=upload, number=number, start=start, salt=salt, sealed=sealed, place_mac=_mac(file_key, place))

    def open(self, address: bytes) -> bytes:
        """Return the file key. Raises: IntegrityError `uploads/segment-changed`."""
        cipher = ChaCha20Poly1305(derive_key(address, self.salt, _ADDRESS_LABEL))
        try:
            return cipher.decrypt(_ZERO_NONCE, self.sealed, _place(self.upload, self.number, self.start))
        except InvalidTag as error:
            raise segment_changed(self.number) from error

    def verify_place(self, file_key: bytes) -> None:
        """Prove that the segment was written for this place. Raises: IntegrityError `uploads/segment-changed`."""
        if not hmac.compare_digest(_mac(file_key, _place(self.upload, self.number, self.start)), self.place_mac):
            raise segment_changed(self.number)

    def format(self) -> bytes:
        """Write one line of JSON."""
        value = {
            "number": self.number,
            "place_mac": b64encode(self.place_mac).decode("ascii"),
            "salt": b64encode(self.salt).decode("ascii"),
            "sealed": b64encode(self.sealed).decode("ascii"),
            "start": self.start,
            "upload": self.upload,
            "v": 1,
        }
        return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"

    @classmethod
    def parse(cls, line: bytes, *, upload: str, number: int) -> Self:
        """Read what `format` wrote for this segment. Raises: IntegrityError `uploads/segment-changed`."""
        try:
            match json.loads(line):
                case {
                    "v": 1,
                    "number": int(found_number),
                    "place_mac": str(place_mac),
                    "salt": str(salt),
                    "sealed": str(sealed),
                    "start": int(start),
                    "upload": str(found_upload),
                    **rest,
                } if not rest and (found_upload, found_number) == (upload, number) and start >= 0:
                    return cls(
                        upload=upload,
                        number=number,
                        start=start,
                        salt=b64decode(salt, validate=True),
                        sealed=b64decode(sealed, validate=True),
                        place_mac=b64decode(place_mac, validate=True),
                    )
        except (ValueError, binascii.Error) as error:
            raise segment_changed(number) from error
        raise segment_changed(number)


def segment_changed(number: int) -> IntegrityError:
    """Return the error for a segment that is not, or not where, it was written."""
    return IntegrityError(
        "uploads/segment-changed",
        "A piece of an unfinished upload is damaged or was changed. Nothing after it can be used; what the archive has "
        "received is not affected. Ask the sender to send it again.",
        evidence={"segment": number},
    )


def _place(upload: str, number: int, start: int) -> bytes:
    return json.dumps([upload, number, start], separators=(",", ":")).encode("ascii")


def _mac(file_key: bytes, place: bytes) -> bytes:
    return hmac.digest(derive_key(file_key, b"", _PLACE_LABEL), place, "sha256")
