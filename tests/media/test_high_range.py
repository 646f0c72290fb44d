"""A film of high dynamic range has previews as bright as it was seen, not darker."""

from pathlib import Path

import pytest

from media.confinement import Confinement
from media.preview_parts import Part
from media.previews import Previews
from media.ranges import BytesRanges
from media.workbench import Workbench
from tests.media.conftest import SETTINGS
from tests.media.made_videos import ffmpeg, luma_of

# What ITU-R BT.2408 says of grey card and white paper: the share of the range in each kind of high range, and about
# where a screen of standard range shows it.
_GREY, _WHITE = range(95, 120), range(205, 240)


@pytest.mark.parametrize(
    ("transfer", "level", "shown"),
    [
        ("arib-std-b67", 0.38, _GREY),
        ("arib-std-b67", 0.75, _WHITE),
        ("smpte2084", 0.38, _GREY),
        ("smpte2084", 0.58, _WHITE),
    ],
)
def test_grey_and_white_are_shown_as_grey_and_white(
    tmp_path: Path, confinement: Confinement, transfer: str, level: float, shown: range
) -> None:
    made, poster = tmp_path / "made.mp4", tmp_path / "poster.jpg"
    picture = (
        f"color=black:size=320x180:rate=5:duration=2,format=yuv420p10le,geq=lum={64 + 876 * level:.0f}:cb=512:cr=512"
    )
    colours = f"log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", colours, made)
    source, settings = BytesRanges(made.read_bytes()), SETTINGS
    with Workbench(settings) as workbench:
        examination = workbench.examine(source)
    for each in Previews(confinement, settings).make(source, examination.format, examination.streams):
        if isinstance(each, Part) and each.purpose == "poster":
            poster.write_bytes(each.content)
            break
    assert luma_of(poster) in shown
