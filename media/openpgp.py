"""Checking a detached OpenPGP signature with a key that came with it, by gpgv in confinement.

Standard: RFC 4880. The key ring holds that one key and nothing of this machine; no key server is asked, and the sandbox
has no network to ask by.
"""

import base64
import binascii
import os
import re
import subprocess
import time
from contextlib import ExitStack
from datetime import UTC, datetime

from archive.errors import UnavailableError
from media.confinement import Confinement, Limits, end_process, find_tool
from media.conversation import Bounds, converse
from media.options import MIB, MediaSettings
from media.proofmode import SignatureResult
from media.ranges import RangeSource, sealed_memory_file

_PROCESSES = 4
_LARGEST_MIB = 256
_BLOCK = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.S)
_STATUS = re.compile(r"^\[GNUPG:\] ([A-Z_]+) ?(.*)$", re.M)
_END_SECONDS = 5


class SignatureChecker:
    """Checks one signature at a time; each check is a new process."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._confinement = confinement
        self._settings = settings
        self._limits = Limits(
            memory_octets=settings.memory_mib * MIB, cpu_seconds=settings.wall_seconds, processes=_PROCESSES
        )

    def check(self, key: bytes, signature: bytes, signed: RangeSource | bytes) -> SignatureResult:
        """Check one signature over `signed`. Raises: ConfigError `media/tool-missing`; what `signed` raises."""
        size = len(signed) if isinstance(signed, bytes) else signed.size
        ring = dearmored(key)
        if not ring or size > _LARGEST_MIB * MIB:
            return SignatureResult(holds=None)
        with ExitStack() as closing:
            names = []
            descriptors = []
            for content in (ring, signature, signed):
                descriptor = sealed_memory_file(content)
                closing.callback(os.close, descriptor)
                descriptors.append(descriptor)
                names.append(f"/proc/self/fd/{descriptor}")
            words = [find_tool("gpgv"), "--status-fd", "1", "--keyring", *names]
            try:
                process = self._confinement.start(words, limits=self._limits, inherit=descriptors)
                closing.callback(end_process, process)
                bounds = Bounds(deadline=time.monotonic() + self._settings.wall_seconds, output_octets=MIB)
                reply = converse(process, source=None, ranges=None, bounds=bounds)
                status = process.wait(_END_SECONDS)
            except (UnavailableError, subprocess.TimeoutExpired):
                return SignatureResult(holds=None)
        return read_status(reply.output.decode("utf-8", "replace"), status)


def read_status(told: str, status: int) -> SignatureResult:
    """Read gpgv's machine-readable words; a signature holds only where both they and the exit status say so."""
    lines = dict(_STATUS.findall(told))
    if "BADSIG" in lines:
        return SignatureResult(holds=False)
    if status == 0 and "VALIDSIG" in lines and "GOODSIG" in lines:
        words = lines["VALIDSIG"].split()
        when = int(words[2]) if len(words) > 2 and words[2].isdigit() else 0
        made = f"{datetime.fromtimestamp(when, UTC):%Y-%m-%dT%H:%M:%SZ}" if 0 < when < 1 << 36 else ""
        signer = lines["GOODSIG"].partition(" ")[2][:200]
        return SignatureResult(holds=True, signer=f"{signer} (key {words[0][-16:]})" if words else signer, time=made)
    return SignatureResult(holds=None)


def dearmored(key: bytes) -> bytes:
    """Give a key in binary form; empty where it is neither armored nor a key packet."""
    blocks = _BLOCK.findall(key.replace(b"\r", b""))
    if not blocks:
        return key if key[:1] and key[0] & 0xC0 in (0x80, 0xC0) else b""
    ring = b""
    for block in blocks:
        body = block.partition(b"\n\n")[2] or block
        lines = [line for line in body.split() if not line.startswith(b"=")]
        try:
            ring += base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error:
            return b""
    return ring
