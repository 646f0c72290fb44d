"""The demonstration's time-stamp authority as a program."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from cryptography import x509

from custody.timestamps import Authority, attest, chain_pem
from demo.authority import LABEL
from tests.custody.token_checks import openssl_accepts

PROGRAM = Path(__file__).resolve().parents[2] / "demo" / "authority.py"
CHECKPOINT = b"testigo.example/log\n17\nnot a real root\n\n"


def test_the_demonstrations_authority_starts_says_where_it_is_and_stops(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), str(tmp_path / "keys"), "--name", "first"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as program:
        assert program.stdout is not None
        try:
            ready = json.loads(program.stdout.readline())
            root = Path(ready["root"])
            authority = Authority(name="first", url=ready["url"], roots=(root.read_bytes(),), policy=None, timeout_s=10)
            attested = attest(authority, CHECKPOINT)
        finally:
            program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=10) == 0
    assert "first" in attested.authority
    assert LABEL.encode() in x509.load_pem_x509_certificate(root.read_bytes()).subject.public_bytes()
    assert (tmp_path / "keys" / "signer.key").stat().st_mode & 0o077 == 0
    assert openssl_accepts(attested.token, CHECKPOINT, root, chain_pem(attested))
