"""A copy's settings hold where the copy lies: with the files that they name, and never with the archive's places."""

import tomllib
from pathlib import Path

import pytest

from archive.places import Places
from archive.settings import Settings, load_settings
from archive.settings_copy import copy_settings

AUTHORITY = '[[custody.authorities]]\nname = "one"\nurl = "http://127.0.0.1/"\nroots = [{roots}]\n'


def written(places: Places, folder: Path, *, to_itself: bool = True) -> Settings:
    """Write the copy as a backup does, and read it as whoever checks that one."""
    for name, content in copy_settings(places, to_itself=to_itself).files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return load_settings(folder / "config.toml")


def of(file: Path, home: Path) -> Places:
    return Places.of(home, load_settings(file), file)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / "authorities").mkdir(parents=True)
    (tmp_path / "home" / "authorities" / "root.pem").write_text("root one")
    (tmp_path / "elsewhere.pem").write_text("root two")
    return tmp_path / "home"


def test_without_a_settings_file_there_is_nothing_to_copy(home: Path) -> None:
    assert copy_settings(of(home / "config.toml", home), to_itself=True).files == {}


def test_settings_that_hold_anywhere_are_copied_octet_for_octet_with_what_they_name(home: Path, tmp_path: Path) -> None:
    text = '# ours\n[archive]\nstore = "store"\n' + AUTHORITY.format(roots='"authorities/root.pem"')
    (home / "config.toml").write_text(text)
    settings = written(of(home / "config.toml", home), tmp_path / "copy")
    assert (tmp_path / "copy" / "config.toml").read_text() == text
    (root,) = settings.custody.authorities[0].roots
    assert (root, root.read_text()) == (tmp_path / "copy" / "authorities" / "root.pem", "root one")
    assert not (tmp_path / "copy" / "config-as-it-was.toml").exists()


def test_places_elsewhere_become_the_copys_own_and_every_other_value_stays(home: Path, tmp_path: Path) -> None:
    (home / "list.csv").write_text("1,2,here\n")
    text = (
        f'[archive]\nstore = "{tmp_path}/disk"\nkeys = "../keys-of-it"\norganisation = "Réseau \\"Ü\\" \\u007f\\\\"\n'
        f'intake_equality = false\n[media]\nplaces = "{home}/list.csv"\nworkers = 3\n'
        '[policy]\nrules = [{ kind = "photo", audience = "press", metadata = "time", handling = "strip" }]\n'
        '[policy.at_ingest]\nphoto = "strip"\n' + AUTHORITY.format(roots=f'"../elsewhere.pem", "{home}/gone.pem"')
    )
    (home / "config.toml").write_text(text)
    ours = of(home / "config.toml", home)
    assert copy_settings(ours, to_itself=True).lacking == (home / "gone.pem",)
    settings = written(ours, tmp_path / "copy")
    there = Places.of(tmp_path / "copy", settings, tmp_path / "copy" / "config.toml")
    assert (there.store, there.keys) == (tmp_path / "copy" / "store", tmp_path / "copy" / "keys")
    assert there.known is not None and there.known.read_text() == "1,2,here\n"
    assert there.known.is_relative_to(there.home)
    first, gone = there.roots
    assert first.read_text() == "root two" and first.is_relative_to(there.home)
    assert gone == home / "gone.pem"  # Where it is not, so that it is told; never a list without it.
    assert (tmp_path / "copy" / "config-as-it-was.toml").read_text() == text
    before, after = tomllib.loads(text), tomllib.loads((tmp_path / "copy" / "config.toml").read_text())
    for table in (before, after):
        del table["archive"]["store"], table["archive"]["keys"], table["media"]["places"]
        del table["custody"]["authorities"][0]["roots"]
    assert after == before


@pytest.mark.parametrize("named", ["secrets/root.pem", "store/root.pem", "keys/root.pem", ".partial/root.pem"])
def test_a_file_named_among_the_archives_own_never_lands_among_the_copys(
    home: Path, tmp_path: Path, named: str
) -> None:
    (home / named).parent.mkdir()
    (home / named).write_text("root one")
    (home / "config.toml").write_text(AUTHORITY.format(roots=f'"{named}"'))
    settings = written(of(home / "config.toml", home), tmp_path / "copy")
    (root,) = settings.custody.authorities[0].roots
    assert root.read_text() == "root one"
    assert root.relative_to(tmp_path / "copy").parts[0] == "named-by-settings"


def test_a_settings_file_from_elsewhere_finds_its_roots_from_the_home_too(home: Path, tmp_path: Path) -> None:
    given = tmp_path / "etc" / "testigo.toml"
    (given.parent / "authorities").mkdir(parents=True)
    (given.parent / "authorities" / "root.pem").write_text("root of etc")
    given.write_text('[archive]\nkeys = "../keys-of-it"\n' + AUTHORITY.format(roots='"authorities/root.pem"'))
    settings = written(of(given, home), home, to_itself=False)
    assert settings.archive.keys == Path("../keys-of-it")
    assert settings.custody.authorities[0].roots[0].read_text() == "root of etc"
    assert (home / "authorities" / "root.pem").read_text() == "root one"
