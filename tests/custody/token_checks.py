"""What the tests of time-stamps ask: why a token was refused, and whether OpenSSL takes it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.errors import IntegrityError


def reason_of(act: Callable[[], object]) -> str:
    with pytest.raises(IntegrityError) as caught:
        act()
    assert caught.value.code == "custody/token-refused"
    assert isinstance(caught.value.evidence["response"], bytes)
    return str(caught.value.evidence["reason"])


def openssl_accepts(token: bytes, content: bytes, root: Path, untrusted: bytes, at: float | None = None) -> bool:
    """Ask the independent program, which reads the files as anybody with a packet would."""
    folder = root.parent / "asked"
    folder.mkdir(exist_ok=True)
    (folder / "token.tsr").write_bytes(token)
    (folder / "checkpoint").write_bytes(content)
    (folder / "chain.pem").write_bytes(untrusted)
    command = ["openssl", "ts", "-verify", "-in", "token.tsr", "-data", "checkpoint", "-CAfile", str(root)]
    command += ["-untrusted", "chain.pem"] if untrusted else []
    command += ["-attime", str(int(at))] if at is not None else []
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
