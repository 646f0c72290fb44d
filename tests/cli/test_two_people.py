"""Two people at one machine share an archive, and what needs two people needs them indeed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

OTHER = "nobody"
_AS_SUDO_DOES = """
import os, pwd, subprocess, sys
other = pwd.getpwnam(sys.argv[1]).pw_uid
open("/proc/self/comm", "w").write("sudo")
os.setresuid(other, 0, 0)
sys.exit(subprocess.run(sys.argv[2:], preexec_fn=lambda: os.setresuid(0, 0, 0)).returncode)
"""
"""Starts a program with the identities that sudo gives itself and its child, without a rule for it on this machine."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be what sudo is")
def test_a_hold_is_lifted_by_two_people_who_share_an_archive(home: Path, passphrase: Path) -> None:
    program = [str(Path(sys.executable).with_name("testigo"))]
    through_sudo = [sys.executable, "-c", _AS_SUDO_DOES, OTHER, *program]

    def run(line: list[str], *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*line, *words, "--home", str(home)], capture_output=True, text=True, check=False)

    unknown = run(through_sudo, "hold", "ls")
    assert (unknown.returncode, "access/no-account" in unknown.stderr) == (6, True)
    assert run(program, "staff", "add", OTHER, "--role", "attorney").returncode == 0
    (incident,) = re.findall(r"I-\d{4}-0001", run(program, "incident", "ls").stdout)
    hold = run(program, "hold", "add", incident, "--title", "Doe", "--trigger", "subpoena").stdout.strip()
    lift = ("hold", "lift", hold, "--reason", "dismissed")
    assert run(program, *lift).returncode == 6
    assert run(program, *lift).returncode == 6, "one person is not two"
    assert run(through_sudo, *lift).returncode == 12, "who asked is read from the opened log"
    by = run(program, "unlock", "--passphrase-file", str(passphrase))
    assert by.returncode == 0, by.stderr
    try:
        lifted = run(through_sudo, *lift)
        assert (lifted.returncode, lifted.stdout) == (0, f"{hold} is lifted.\n"), lifted.stderr
        entries = run(program, "log", "--last", "9").stdout
    finally:
        run(program, "lock")
    accounts = set(re.findall(r"staff-\w{6}", entries))
    assert len(accounts) == 2, entries
