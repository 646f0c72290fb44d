"""The common options stand before a command, after it, or between; what stands last counts."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import main
from tests.archives import SmallArchive


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("common") / "home"
    with SmallArchive(home) as archive:
        archive.receive(archive.incident(), [("one.txt", b"one")])
    return home


def run(*words: object, **environment: str) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], env=environment, prog_name="testigo")


@pytest.mark.parametrize(
    "words",
    [
        ("--home", "HOME", "--json", "incident", "ls"),
        ("incident", "--home", "HOME", "--json", "ls"),
        ("incident", "ls", "--home", "HOME", "--json"),
        ("--json", "incident", "--home", "HOME", "ls"),
        ("--home", "/nothing/here", "incident", "ls", "--home", "HOME", "--json"),
        ("--home", "/nothing/here", "incident", "--home", "HOME", "ls", "--json"),
    ],
)
def test_a_common_option_counts_wherever_it_stands_and_the_last_wins(home: Path, words: tuple[str, ...]) -> None:
    for nobody in ({}, {"TESTIGO_HOME": "/nothing/there"}):
        done = run(*(str(home) if word == "HOME" else word for word in words), **nobody)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["items"] == 1


def test_the_environment_counts_where_no_home_is_given(home: Path) -> None:
    assert run("ls", TESTIGO_HOME=str(home)).exit_code == 0
    assert run("--home", "/nothing/here", "ls", TESTIGO_HOME=str(home)).exit_code == 10


def test_quiet_before_the_command_is_quiet(tmp_path: Path) -> None:
    with SmallArchive(tmp_path / "home"):
        pass
    assert "No incidents yet" in run("incident", "ls", "--home", tmp_path / "home").stderr
    assert run("-q", "incident", "ls", "--home", tmp_path / "home").stderr == ""


def test_verbose_tells_each_finding_and_goes_with_neither_quiet_nor_json(home: Path) -> None:
    plain, verbose = run("verify", "--home", home), run("-v", "verify", "--home", home)
    assert (plain.exit_code, plain.stderr) == (0, "")
    assert verbose.stdout == plain.stdout
    assert "MATCHES        log  entries stand as they were written" in verbose.stderr
    assert run("verify", "-v", "--json", "--home", home).stderr == ""
    assert run("-v", "verify", "-q", "--home", home).exit_code == 2


def test_what_stands_before_a_command_is_checked_as_after_it(home: Path) -> None:
    for words in (
        ["--home", "", "ls"],
        ["--homes", home, "ls"],
        ["--config", home / "none.toml", "--home", home, "ls"],
    ):
        assert run(*words).exit_code == 2, words
