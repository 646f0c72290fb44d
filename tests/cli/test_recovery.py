"""The recovery key at the command line: from an archive that nobody can unlock to one that opens again."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run, at_a_terminal

NEW = "a new passphrase after the old one"


@pytest.fixture
def shares(run: Run, tmp_path: Path) -> list[Path]:
    """Set up an archive in `new`, whose recovery key is split in three; return the files of its shares."""
    made = run("init", "--home", str(tmp_path / "new"), "--print-recovery", "--split", "2of3")
    texts = re.findall(r"(?s)# Testigo recovery key, share [123].*?\n\n", made.stdout)
    files = [tmp_path / f"share-{number}.txt" for number in (1, 2, 3)]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    assert run("incident", "new", "--title", "first", "--home", str(tmp_path / "new")).exit_code == 0
    (tmp_path / "new-passphrase").write_text(NEW + "\n")
    return files


def test_an_archive_that_nobody_can_unlock_opens_again(run: Run, tmp_path: Path, shares: list[Path]) -> None:
    at = ("--home", str(tmp_path / "new"))
    mine = ("--passphrase-file", str(tmp_path / "new-passphrase"))
    forgotten = run("unlock", *mine, *at)
    assert (forgotten.exit_code, "testigo keys rotate --recovery" in forgotten.stderr) == (12, True)
    planned = run("keys", "rotate", "--recovery", str(shares[0]), "-n", *at)
    assert "with the recovery key, under your new passphrase" in planned.stdout, planned.output
    one = run("keys", "rotate", "--recovery", str(shares[0]), *mine, *at)
    assert (one.exit_code, "1 of the 2 shares that are needed were given" in one.stderr) == (1, True)
    (tmp_path / "weak").write_text("weak\n")
    both = ("--recovery", str(shares[0]), "--recovery", str(shares[2]))
    weak = run("keys", "rotate", *both, "--passphrase-file", str(tmp_path / "weak"), *at)
    assert (weak.exit_code, "keys/weak-passphrase" in weak.stderr) == (1, True)
    done = run("keys", "rotate", *both, *mine, *at)
    assert done.exit_code == 0 and "It opens with your new passphrase" in done.stdout, done.output
    assert run("unlock", *at).exit_code == 12, "with the passphrase of before"
    assert run("unlock", *mine, *at).exit_code == 0
    try:
        checked = run("verify", "--full", *at)
        assert checked.exit_code == 0 and "DOES NOT MATCH" not in checked.stdout, checked.output
        assert "vault keyring rotated with the recovery key" in run("log", "--json", *at).stdout
    finally:
        run("lock", *at)
    assert run("keys", "recovery", str(shares[1]), str(shares[2]), *at).exit_code == 0
    assert run("keys", "rotate", *mine, *at).exit_code == 0


def test_without_catalogue_and_passphrase_the_recovery_key_brings_all_back(
    run: Run, tmp_path: Path, shares: list[Path]
) -> None:
    at = ("--home", str(tmp_path / "new"))
    mine = ("--passphrase-file", str(tmp_path / "new-passphrase"))
    both = ("--recovery", str(shares[1]), "--recovery", str(shares[2]))
    (tmp_path / "new" / "catalogue.sqlite").rename(tmp_path / "lost.sqlite")
    assert run("rebuild", *both, *at).exit_code == 0
    assert run("keys", "rotate", *both, *mine, *at).exit_code == 0
    assert run("unlock", *mine, *at).exit_code == 0
    checked = run("verify", "--full", *at)
    run("lock", *at)
    assert checked.exit_code == 0, checked.output
    (tmp_path / "new" / "catalogue.sqlite").rename(tmp_path / "lost-again.sqlite")
    assert run("rebuild", *mine, *at).exit_code == 0


def test_at_a_terminal_each_part_is_asked_for_and_then_the_new_passphrase_twice(
    tmp_path: Path, shares: list[Path]
) -> None:
    keys = {f"part {place} of 2": shares[place - 1].read_bytes() + b"\x04" for place in (1, 2)}
    keys |= {"Your new passphrase: ": NEW.encode() + b"\n", "The same again: ": NEW.encode() + b"\n"}
    words = ("keys", "rotate", "--recovery", "-", "--recovery", "-", "--home", str(tmp_path / "new"))
    shown, code = at_a_terminal(*words, keys=keys)
    assert (code, "sealed anew" in shown, NEW in shown) == (0, True, False), shown
