"""Small copies of pictures with more than eight bits a colour show the same greys as the picture itself."""

import io

import pytest
from PIL import Image

from media.confined.preview_photo import work


def shown(picture: Image.Image, kind: str) -> tuple[int, int]:
    """Give the darkest and the lightest grey of the small copy."""
    content = io.BytesIO()
    picture.save(content, kind)
    made = work({"file": content.getvalue()}, ["64"])
    with Image.open(io.BytesIO(made.partition(b"\n")[2])) as small:
        low, high = small.convert("L").getextrema()
    assert isinstance(low, int) and isinstance(high, int)
    return low, high


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_an_even_grey_of_sixteen_bits_is_shown_as_that_grey(kind: str) -> None:
    assert shown(Image.new("I;16", (64, 48), 0x7474), kind) == (0x74, 0x74)
    assert shown(Image.new("I;16", (64, 48), 0x0101), kind) == (1, 1)
    assert shown(Image.new("I;16", (64, 48), 0xFFFF), kind) == (255, 255)


def test_greys_of_an_unknown_range_are_shown_by_their_own() -> None:
    picture = Image.new("F", (64, 48), -4.0)
    picture.paste(12.0, (0, 0, 32, 48))
    low, high = shown(picture, "TIFF")
    assert low <= 8 and high >= 247
    assert shown(Image.new("F", (64, 48), 0.5), "TIFF") == (127, 127)
