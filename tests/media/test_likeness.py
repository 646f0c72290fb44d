"""Hashes of what is seen: copies stay near, other scenes stay far, and what says nothing is never alike."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from media.likeness import PICTURE_OCTETS, SIDE, Likeness, alike, film_likeness, photo_likeness

pictures = st.binary(max_size=4).map(lambda seed: hashlib.shake_256(seed).digest(PICTURE_OCTETS))


@given(pictures)
def test_a_picture_is_like_itself_and_like_itself_turned(grey: bytes) -> None:
    upright = photo_likeness(grey, "camera file")
    turned = bytes(grey[(SIDE - 1 - x) * SIDE + y] for y in range(SIDE) for x in range(SIDE))
    if upright.pictures[0] is not None:
        for other in (upright, photo_likeness(turned, "messenger")):
            found = alike(upright, other)
            assert found is not None and dict(found.parameters)["differ"] == "0"


@given(st.integers(0, 255))
def test_a_picture_without_contrast_is_like_nothing(shade: int) -> None:
    blank = photo_likeness(bytes([shade]) * PICTURE_OCTETS, "camera file")
    assert alike(blank, blank) is None


@given(pictures, st.integers(-12, 12))
def test_brightness_alone_changes_nothing(grey: bytes, lighter: int) -> None:
    dimmed = bytes(40 + each // 2 for each in grey)
    shifted = bytes(each + lighter for each in dimmed)
    one, other = photo_likeness(dimmed, ""), photo_likeness(shifted, "")
    assert one.pictures == other.pictures


@given(st.lists(pictures, min_size=5, max_size=5), st.floats(0.1, 10_000))
def test_films_of_another_length_are_not_alike(greys: list[bytes], duration: float) -> None:
    film = film_likeness(greys, duration, "camera file")
    assert alike(film, film_likeness(greys, duration * 1.03 + 1.1, "messenger")) is None
    assert (alike(film, film) is None) == (sum(each is not None for each in film.pictures) < 3)


@given(st.lists(pictures, min_size=5, max_size=5), st.floats(0.1, 10_000), pictures)
def test_a_likeness_is_read_back_as_it_was_written(greys: list[bytes], duration: float, grey: bytes) -> None:
    for one in (film_likeness(greys, round(duration, 3), "edited"), photo_likeness(grey, "unknown")):
        assert Likeness.from_json(one.to_json()) == one


@given(st.binary(max_size=200) | st.sampled_from([b'{"v":1}', b"[]", b'{"v":2,"kind":"photo"}']))
def test_what_is_no_likeness_is_none(raw: bytes) -> None:
    assert Likeness.from_json(raw) is None
