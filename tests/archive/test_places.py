"""Where an archive's parts lie: resolved once, apart from each other, and never written over with what leaves it."""

from pathlib import Path

import pytest

from archive.errors import ConfigError, InputError
from archive.places import Places, lies_in
from archive.settings import parse_settings


def places(home: Path, settings: str = "") -> Places:
    return Places.of(home, parse_settings(settings, folder=home), home / "config.toml")


def test_relative_places_count_from_the_home_and_absolute_ones_stand_for_themselves(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert (places(home).store, places(home).keys) == (home / "store", home / "keys")
    elsewhere = places(home, f'[archive]\nstore = "{tmp_path}/disk/store"\nkeys = "../keys-of-it"\n')
    assert (elsewhere.store, elsewhere.keys) == (tmp_path / "disk" / "store", tmp_path / "keys-of-it")


@pytest.mark.parametrize(
    ("store", "keys"),
    [
        ("store", "store/keys"),
        ("same", "same"),
        ("keys/store", "keys"),
        ("store", "../home/store/keys"),
        ("store", "{home}/store/keys"),
        ("store", "./store/../store"),
        ("store", "link/keys"),
        ("link", "store"),
        ("{home}/keys/store", "link-to-home/keys"),
    ],
)
def test_keys_in_the_store_are_refused_however_their_paths_are_written(tmp_path: Path, store: str, keys: str) -> None:
    home = tmp_path / "home"
    (home / "store").mkdir(parents=True)
    (home / "link").symlink_to(home / "store")
    (home / "link-to-home").symlink_to(home)
    with pytest.raises(ConfigError) as refused:
        places(home, f'[archive]\nstore = "{store}"\nkeys = "{keys}"\n'.format(home=home))
    assert refused.value.code == "config/keys-inside-store"


@pytest.mark.parametrize("part", ["store", "keys"])
@pytest.mark.parametrize("place", [".", "..", "secrets", "run/x", "uploads", "catalogue.sqlite", "{home}", "/"])
def test_a_place_that_is_not_the_parts_own_is_refused(tmp_path: Path, part: str, place: str) -> None:
    home = tmp_path / "home"
    other = {"store": "keys", "keys": "store"}[part]
    with pytest.raises(ConfigError) as refused:
        settings = f'[archive]\n{part} = "{place}"\n{other} = "{tmp_path.parent}/elsewhere"\n'
        places(home, settings.format(home=home))
    assert refused.value.code in ("config/place-not-its-own", "config/keys-inside-store")


def test_the_same_folder_by_another_mount_is_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert lies_in(tmp_path / "link" / "inner" / "to-be", tmp_path / "a")
    assert lies_in(tmp_path / "a" / "to-be", tmp_path / "link")
    assert not lies_in(tmp_path / "ab", tmp_path / "a")
    assert not lies_in(tmp_path, tmp_path / "a")


def test_an_archive_has_begun_where_any_part_of_it_lies(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ours = places(home, f'[archive]\nstore = "{tmp_path}/disk/store"\nkeys = "../keys"\n')
    for folder in (home, ours.store / "lost+found", ours.keys):
        folder.mkdir(parents=True)
    assert not ours.has_begun()
    for mark in (ours.catalogue, ours.signing_keys, ours.store / "log" / "x", ours.keys / "generation.json"):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        assert ours.has_begun(), mark
        mark.unlink()
        if mark.parent.name == "log":
            mark.parent.rmdir()
        assert not ours.has_begun(), mark
    assert not places(home).has_begun()
    (home / "store").mkdir()
    assert places(home).has_begun()  # Nobody but an archive makes a store in its home.


def test_nothing_that_leaves_is_put_into_the_archives_folders_or_over_its_settings(tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "out"
    settings = (
        f'[archive]\nstore = "{tmp_path}/disk/store"\nkeys = "../keys"\n[media]\nplaces = "../places.csv"\n'
        '[[custody.authorities]]\nname = "one"\nurl = "http://127.0.0.1/"\nroots = ["../root.pem"]\n'
    )
    ours = places(home, settings)
    for folder in (home / "secrets", ours.store, ours.keys, out):
        folder.mkdir(parents=True)
    (out / "link").symlink_to(ours.store / "x")
    (out / "folder").symlink_to(ours.keys)
    inside = (
        home / "x",
        home / "secrets" / "x",
        ours.store / "x",
        ours.keys / "x",
        home,
        out / "link",
        out / "folder/x",
    )
    for place in inside:
        with pytest.raises(InputError) as refused:
            ours.refuse_output(place)
        assert refused.value.code == "export/inside-archive", place
    for place in (tmp_path / "places.csv", out / ".." / "root.pem"):
        with pytest.raises(InputError) as refused:
            ours.refuse_output(place)
        assert refused.value.code == "export/over-settings", place
    (out / "ring").symlink_to(out / "ring")
    ours.refuse_output(out / "ring")  # Whoever writes there says what is wrong with it.
    ours.refuse_output(out / "x")
    ours.refuse_output(tmp_path / "home-2")
