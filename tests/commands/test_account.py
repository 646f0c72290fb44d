"""The account is that of whoever typed the command, also through sudo; a variable or a name decides nothing."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from commands import account
from commands.account import os_user

OURS = pwd.getpwuid(os.geteuid()).pw_name
OTHER = "nobody"
needs_sudo = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("sudo") is None, reason="needs root and the program sudo"
)


def _parent(folder: Path, name: str, users: str) -> Path:
    (folder / "status").write_text(f"Name:\t{name}\nState:\tS (sleeping)\nUid:\t{users}\nGid:\t0\t0\t0\t0\n")
    return folder


def test_without_sudo_the_account_is_that_of_the_process(tmp_path: Path) -> None:
    assert os_user() == OURS
    assert os_user(_parent(tmp_path, "bash", "65534\t65534\t65534\t65534")) == OURS
    assert os_user(tmp_path / "gone") == OURS


def test_through_sudo_the_account_is_that_of_whoever_called_it(tmp_path: Path) -> None:
    nobody = pwd.getpwnam(OTHER).pw_uid
    assert os_user(_parent(tmp_path, "sudo", f"{nobody}\t0\t0\t0")) == OTHER
    assert os_user(_parent(tmp_path, "sudo", "4000000001\t0\t0\t0")) == "uid-4000000001"


def test_neither_a_program_named_sudo_nor_its_variables_make_anyone_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SUDO_UID", "SUDO_USER"):
        monkeypatch.setenv(name, "0")
    assert os_user(_parent(tmp_path, "sudo", "65534\t65534\t65534\t65534")) == OURS
    assert os_user(_parent(tmp_path, "sudo", "65534")) == OURS


@needs_sudo
def test_the_kernel_says_who_called_the_real_sudo() -> None:
    source = Path(account.__file__).read_text(encoding="utf-8") + "\nprint(os_user())\n"
    line = ["sudo", "-n", "-u", OTHER, "python3", "-"]
    said = subprocess.run(line, input=source, capture_output=True, text=True, check=True, cwd="/").stdout
    assert said.strip() == "root"
