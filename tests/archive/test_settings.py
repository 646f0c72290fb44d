"""The settings stop the program at the first thing they do not know."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import ConfigError
from archive.settings import (
    AuthoritySettings,
    Confinement,
    KeyKind,
    Settings,
    load_settings,
    parse_settings,
)

EXAMPLE = Path(__file__).resolve().parents[2] / "config.example.toml"
ONE_AUTHORITY = """
[[custody.authorities]]
name = "one"
url = "https://tsa.example.org/"
roots = ["one.pem", "/etc/other.pem"]
"""


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, folder=Path("/etc/testigo"))
    return caught.value


def keys_of(section: Any, where: str = "") -> set[str]:
    """Every key that a section knows, written with dots."""
    names: set[str] = set()
    for known in fields(section):
        value = getattr(section, known.name)
        names |= keys_of(value, f"{where}{known.name}.") if is_dataclass(value) else {f"{where}{known.name}"}
    return names


def test_no_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_settings(None) == load_settings(tmp_path / "config.toml") == Settings()


def test_the_example_holds_every_key_with_its_default() -> None:
    assert load_settings(EXAMPLE) == Settings()
    table = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert set(paths_of(table)) == keys_of(Settings())


def paths_of(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from paths_of(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_the_example_says_of_every_key_what_it_lets_someone_do() -> None:
    paragraphs = re.split(r"\n\s*\n", EXAMPLE.read_text(encoding="utf-8"))
    for key in keys_of(Settings()):
        name = key.rpartition(".")[2]
        (home,) = [each for each in paragraphs if re.search(rf"^{name} = ", each, re.MULTILINE)]
        comment = " ".join(line for line in home.splitlines() if line.startswith("#"))
        assert re.search(r"[Ww]hoever|someone who|[Ss]omeone with", comment), f"{key}: say what changing it allows"


def test_the_example_explains_every_field_of_an_authority() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    for known in fields(AuthoritySettings):
        assert re.search(rf"^#   {known.name} ", text, re.MULTILINE), known.name


def test_a_misspelt_key_is_refused_with_the_right_one() -> None:
    error = refused("[archive]\norigan = 'x'\n")
    assert error.code == "config/unknown-key"
    assert "Did you mean origin?" in error.message
    assert dict(error.evidence) == {"section": "archive", "key": "origan"}


def test_a_misspelt_section_is_refused_with_the_right_one() -> None:
    assert "Did you mean custody?" in refused("[custodi]\n").message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[media]\nworkers = '2'\n", "config/wrong-type"),
        ("[media]\nworkers = 2.0\n", "config/wrong-type"),
        ("[media]\nworkers = true\n", "config/wrong-type"),
        ("[archive]\nintake_equality = 1\n", "config/wrong-type"),
        ("[archive]\nstore = ''\n", "config/wrong-type"),
        ("archive = 3\n", "config/wrong-type"),
        ("[custody]\nauthorities = ['one']\n", "config/wrong-type"),
        ("[media]\nworkers = 0\n", "config/out-of-range"),
        ("[archive]\nbackup_days_max = 36\n", "config/out-of-range"),
        ("[media]\nconfinement = 'none'\n", "config/out-of-range"),
        ("[keys]\nscrypt_work_factor = 10\n", "config/out-of-range"),
        ("[[custody.authorities]]\nname = 'one'\n", "config/missing-key"),
        (ONE_AUTHORITY + "colour = 'red'\n", "config/unknown-key"),
        (ONE_AUTHORITY + ONE_AUTHORITY, "config/two-authorities-one-name"),
        ("[archive]\norigin = 'two words'\n", "config/bad-origin"),
        ("[archive]\norigin = ''\n", "config/bad-origin"),
        ("[web]\ntime_zone = 'Mars'\n", "config/no-such-time-zone"),
        ("[web]\ntime_zone = '../../etc/passwd'\n", "config/no-such-time-zone"),
        ("[web]\ntime_zone = ''\n", "config/no-such-time-zone"),
        ("[archive\n", "config/not-toml"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, code: str) -> None:
    assert refused(text).code == code


def test_a_time_zone_is_named_as_the_iana_does_and_a_slip_is_told() -> None:
    assert parse_settings("[web]\ntime_zone = 'America/Chicago'\n", folder=Path("/")).web.time_zone == "America/Chicago"
    assert "Did you mean America/Chicago?" in refused("[web]\ntime_zone = 'Americas/Chicago'\n").message


def test_a_file_that_cannot_be_read_is_not_taken_for_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "config.toml"):
        with pytest.raises(ConfigError) as caught:
            load_settings(path)
        assert caught.value.code == "config/unreadable"


def test_an_authority_keeps_its_roots_beside_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(ONE_AUTHORITY, encoding="utf-8")
    (authority,) = load_settings(tmp_path / "config.toml").custody.authorities
    assert authority.roots == (tmp_path / "one.pem", Path("/etc/other.pem"))
    assert authority.policy is None


def test_choices_become_members_of_their_vocabulary() -> None:
    settings = parse_settings("[archive]\nkey_kind = 'x25519'\n[media]\nconfinement = 'rlimits-only'\n", folder=Path())
    assert settings.archive.key_kind is KeyKind.X25519
    assert settings.media.confinement is Confinement.RLIMITS_ONLY


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().media.workers = 9  # type: ignore[misc]  # the point of the test


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1))
def test_no_key_outside_the_list_is_ever_taken(key: str) -> None:
    known = {name.rpartition(".")[2] for name in keys_of(Settings()) if name.startswith("media.")}
    if key not in known:
        assert refused(f"[media]\n{key} = 1\n").code == "config/unknown-key"


def test_the_example_takes_authorities_in_either_form_that_it_tells_of(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    one = '{ name = "one", url = "https://tsa.example.org/tsr", roots = ["one.pem"] }'
    section = '\n[[custody.authorities]]\nname = "one"\nurl = "https://tsa.example.org/tsr"\nroots = ["one.pem"]\n'
    assert text.count("\nauthorities = []\n") == 1
    for written in (
        text.replace("\nauthorities = []\n", f"\nauthorities = [{one}]\n"),
        text.replace("\nauthorities = []\n", "\n") + section,
    ):
        (tmp_path / "config.toml").write_text(written, encoding="utf-8")
        (authority,) = load_settings(tmp_path / "config.toml").custody.authorities
        assert (authority.name, authority.roots) == ("one", (tmp_path / "one.pem",))
