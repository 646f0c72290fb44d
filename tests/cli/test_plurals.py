"""Counts with their nouns, alone and in what commands say."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from commands.talk import counted
from tests.way_in import YEAR

Run = Callable[..., Result]
ONE_OF_MANY = re.compile(
    r"(?<![\d,.])1 (?:new |log |unfinished |key )*(?:items|entries|files|objects|exhibits|jobs|uploads|days|minutes|"
    r"checkpoints|tiles|bundles|rows|owners|originals|time-stamps|octets|acts|previews|writes)\b"
)


def test_one_is_not_many() -> None:
    said = [counted(n, "entry", "entries") for n in (0, 1, 2, 1234)] + [counted(1, "item"), counted(2, "item")]
    assert said == ["0 entries", "1 entry", "2 entries", "1,234 entries", "1 item", "2 items"]


@pytest.mark.parametrize("text", ["1 items", "  1 log entries", "for 1 minutes.", "1 key files"])
def test_the_pattern_finds_a_wrong_plural(text: str) -> None:
    assert ONE_OF_MANY.search(text)
    assert not ONE_OF_MANY.search(text.replace("1", "21"))


@pytest.mark.usefixtures("unlocked")
def test_no_command_says_one_items(run: Run, tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "one.txt").write_bytes(b"x")
    item = f"E-{YEAR}-00004"
    lines = [
        ["import", str(tmp_path / "card"), "-i", f"I-{YEAR}-0001", "-n", "--explain"],
        ["import", str(tmp_path / "card"), "-i", f"I-{YEAR}-0001"],
        ["show", item],
        ["verify", "-v", item],
        ["verify", "--full", "-v"],
        ["verify", "--sweep"],
        ["jobs"],
        ["worker", "--once"],
        ["worker", "-n"],
        ["packet", "build", item, "--to", "A", "--basis", "b", str(tmp_path / "packet"), "-n", "--explain"],
        ["packet", "build", item, "--to", "A", "--basis", "b", str(tmp_path / "packet")],
        ["packet", "check", str(tmp_path / "packet"), "--all"],
        ["hold", "add", item, "--title", "t", "--trigger", "subpoena"],
        ["backup", str(tmp_path / "copy")],
        ["backup", str(tmp_path / "copy"), "--keys-to", str(tmp_path / "keys")],
        ["exposure"],
        ["drop", "rescue"],
        ["lock"],
        ["unlock", "--minutes", "1"],
        ["lock"],
        ["doctor"],
    ]
    wrong = {" ".join(words): found[0] for words in lines if (found := ONE_OF_MANY.search(run(*words).output))}
    assert not wrong
