"""What lies where no program shows it is gone from a copy that is called clean, or there is no copy."""

import zlib
from pathlib import Path

import pytest

from archive.errors import InputError
from archive.types import Audience
from media.workbench import Workbench
from tests.media import odd_places
from tests.media.cleaned import cleaned, left_in
from tests.media.odd_places import NEEDLE, TEXT

pytestmark = pytest.mark.usefixtures("sandbox")

WRITTEN = {
    name: content
    for made in (odd_places.jpegs, odd_places.pngs, odd_places.gifs, odd_places.office, odd_places.pdfs)
    for name, content in made()
}
REFUSED = {
    "JPEG, a long restart interval",
    "MP3, a tag within a frame",
    "MP4, more in the parameters of its sound",
    "MP4, words within MPEG-4 pictures",
}
"""What cannot be taken out by what cleans such files; everything else is cleaned, and not only refused."""


def _in_samples(copy: bytes) -> bool:
    """Look into the packed samples of a PNG too."""
    at = copy.find(b"IDAT")
    if not copy.startswith(b"\x89PNG") or at < 0:
        return False
    return NEEDLE in zlib.decompressobj().decompress(copy[at + 4 :])


def _check(workbench: Workbench, name: str, content: bytes) -> None:
    assert left_in(content, [TEXT]) or NEEDLE in content or _in_samples(content), "the needle is not even in it"
    if name in REFUSED:
        with pytest.raises(InputError) as caught:
            cleaned(workbench, content, Audience.PUBLIC)
        assert caught.value.code in ("media/cannot-clean", "media/not-clean")
        return
    _, copy = cleaned(workbench, content, Audience.PUBLIC)
    assert not left_in(copy, [TEXT]) and not _in_samples(copy)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_picture_or_a_document_keeps_nothing_in_odd_places(workbench: Workbench, name: str) -> None:
    _check(workbench, name, WRITTEN[name])


def test_sound_and_film_keep_nothing_in_odd_places(workbench: Workbench, tmp_path: Path) -> None:
    made = [*odd_places.sounds(tmp_path), *odd_places.films(tmp_path)]
    assert REFUSED - set(WRITTEN) < {name for name, _ in made}
    for name, content in made:
        _check(workbench, name, content)
