"""The nearest place that the operator listed is named in words, from the list alone."""

from pathlib import Path

import pytest

from archive.errors import ConfigError
from archive.places import Places
from archive.settings import parse_settings
from commands.known_places import places_of
from media.places import nearest, parse_places
from media.risk import risks

LIST = """
# for the tests
40.7128, -74.0060, New York
34.0522,-118.2437,Los Angeles   # a remark
-16.5, 179.9, Labasa, Fiji
"""


@pytest.mark.parametrize(
    ("latitude", "longitude", "found"),
    [
        (40.70, -74.01, ("New York", 1)),
        (34.0, -118.3, ("Los Angeles", 8)),
        (-16.5, -179.9, ("Labasa, Fiji", 21)),
        (51.5, 0.0, None),
    ],
)
def test_the_nearest_place_is_found_and_what_is_far_is_not(
    latitude: float, longitude: float, found: tuple[str, int] | None
) -> None:
    assert nearest(parse_places(LIST), latitude, longitude) == found
    assert nearest((), latitude, longitude) is None


@pytest.mark.parametrize("line", ["40.7, New York", "91,0,North", "0,181,East", "1,2,", "a,b,c", f"1,2,{'x' * 81}"])
def test_a_line_that_is_no_place_is_named(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_places(f"1,2,good\n{line}\n")
    assert caught.value.code == "config/bad-places" and "Line 2 " in caught.value.message


def test_a_file_that_says_where_it_was_taken_is_said_to_be_near_a_place() -> None:
    claims = {"places": [{"latitude": "40.70", "longitude": "-74.01", "source": "EXIF:GPS"}], "places_found": 1}
    told = {each.id: dict(each.parameters) for each in risks({}, claims, places=parse_places(LIST))}
    assert told["risk/place-near"] == {"name": "New York", "kilometres": "1"}
    assert "risk/place-near" not in {each.id for each in risks({}, claims)}


def test_the_list_lies_where_the_settings_say_or_there_is_none(tmp_path: Path) -> None:
    def lying(settings: str) -> Places:
        return Places.of(tmp_path, parse_settings(settings, folder=tmp_path), tmp_path / "config.toml")

    ours = lying('[media]\nplaces = "places.txt"\n')
    with pytest.raises(ConfigError) as caught:
        places_of(ours)
    assert caught.value.code == "config/bad-places"
    (tmp_path / "places.txt").write_text(LIST, encoding="utf-8")
    assert len(places_of(ours)) == 3
    assert places_of(lying("")) == ()
