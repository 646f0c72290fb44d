"""The review copy: even frames for stepping, and a table that says which of the original's frames each shows."""

import base64
import io
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from media.frame_times import frame_times
from media.moving_previews import proxy_rate
from media.preview_parts import Streamed
from media.ranges import BytesRanges
from media.workbench import Workbench
from tests.media.made_videos import ffmpeg, iphone_like, number_in, numbered, shown_numbers, tone

CHROMIUM = shutil.which("chromium")
SEEKS = 40
_SHOW = """
async ([time]) => {
  const video = document.querySelector("video");
  const shown = new Promise((done) => video.requestVideoFrameCallback(done));
  video.currentTime = time;
  await new Promise((done) => video.addEventListener("seeked", done, { once: true }));
  await shown;
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const points = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const green = new Uint8Array(points.length / 4);
  for (let at = 0; at < green.length; at++) green[at] = points[4 * at + 1];
  let text = "";
  for (let at = 0; at < green.length; at += 8192) text += String.fromCharCode(...green.subarray(at, at + 8192));
  return [canvas.width, canvas.height, btoa(text)];
}
"""


@dataclass(frozen=True)
class Review:
    """A review copy with its table and facts."""

    video: bytes
    table: dict[str, list[int]]
    rate: Fraction


def review_of(path: Path, workbench: Workbench) -> Review:
    source = BytesRanges(path.read_bytes())
    examination = workbench.examine(source)
    proxy = next(each for each in workbench.previews(source, examination) if isinstance(each, Streamed))
    made = io.BytesIO()
    facts, beside = proxy.write(made)
    return Review(video=made.getvalue(), table=json.loads(beside[0].content), rate=Fraction(str(facts["frame_rate"])))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed; scripts/setup does that")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=root)
        yield browser.new_page()
        browser.close()


def test_a_telephones_video_plays_in_a_browser_and_each_of_40_seeks_shows_the_right_frame(
    tmp_path: Path, workbench: Workbench, page: Page
) -> None:
    made = iphone_like(tmp_path, seconds=4, begin=0.5)
    review = review_of(made, workbench)
    original = shown_numbers(made)
    page.set_content(f'<video muted src="data:video/mp4;base64,{base64.b64encode(review.video).decode()}"></video>')
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    frames = review.table["source_frames"]
    assert original[0] == 15, "the edit list hides the first frames"
    right = 0
    for place in random.Random(40).sample(range(len(frames)), SEEKS):  # noqa: S311 - chosen frames must be repeatable
        width, height, points = page.evaluate(_SHOW, [float((place + Fraction(1, 2)) / review.rate)])
        shown = number_in(_turned_back(base64.b64decode(points), width, height), height, width)
        assert shown == original[frames[place]], f"at frame {place}"
        right += 1
    assert right == SEEKS
    page.evaluate("document.querySelector('video').play()")
    page.wait_for_function("document.querySelector('video').currentTime > 0.2 || document.querySelector('video').ended")


def _turned_back(luma: bytes, width: int, height: int) -> bytes:
    """Turn a picture clockwise by a right angle: the telephone's video is shown turned the other way."""
    return b"".join(
        bytes(luma[(height - 1 - row) * width + column] for row in range(height)) for column in range(width)
    )


def test_the_copy_is_made_for_stepping(tmp_path: Path, workbench: Workbench) -> None:
    made, copy = tmp_path / "made.mp4", tmp_path / "copy.mp4"
    ffmpeg(
        *numbered("1280x720", "30000/1001", 3), *tone(3), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "3", made
    )
    review = review_of(made, workbench)
    copy.write_bytes(review.video)
    ask = ["-show_entries", "stream=codec_name,width,height,has_b_frames,r_frame_rate,avg_frame_rate:packet=pts,flags"]
    said = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v", *ask, "-of", "json", str(copy)],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    told = json.loads(said)
    (stream,) = told["streams"]
    assert (stream["codec_name"], stream["width"], stream["height"], stream["has_b_frames"]) == ("h264", 960, 540, 0)
    assert stream["r_frame_rate"] == stream["avg_frame_rate"] == "30000/1001"
    keys = [number for number, packet in enumerate(told["packets"]) if packet["flags"].startswith("K")]
    assert keys == list(range(0, len(told["packets"]), 15))
    apart = {later["pts"] - sooner["pts"] for sooner, later in zip(told["packets"], told["packets"][1:], strict=False)}
    assert len(apart) == 1
    assert len(told["packets"]) == len(review.table["source_frames"])
    original = shown_numbers(made)
    assert shown_numbers(copy) == [original[frame] for frame in review.table["source_frames"]]


def test_frames_at_uneven_times_are_found_by_the_table(tmp_path: Path, workbench: Workbench) -> None:
    """As telephones do in poor light: frames are missing, and come when they can."""
    made, copy = tmp_path / "made.mp4", tmp_path / "copy.mp4"
    dropped = ["-vf", "select='not(eq(mod(n,5),2))*not(eq(mod(n,7),3))'", "-vsync", "vfr"]
    source = numbered("320x180", "24", 4)
    source[-1] += "," + dropped[1]
    ffmpeg(*source, "-vsync", "vfr", "-c:v", "libx264", "-preset", "ultrafast", made)
    review = review_of(made, workbench)
    copy.write_bytes(review.video)
    original = shown_numbers(made)
    assert shown_numbers(copy) == [original[frame] for frame in review.table["source_frames"]]


def test_the_table_follows_the_rule_of_the_nearest() -> None:
    listing = (
        b"#tb 0: 1/600\n0, 0, 0, 20, 5, 0x0\n0, 20, 60, 20, 5, 0x0\n0, 40, 25, 20, 5, 0x0\n0, 60, -20, 20, 5, 0x0\n"
    )
    table = frame_times(listing, Fraction(30))
    assert table.source_frames == (0, 1, 1, 2)
    assert table.source_times == (0, 25, 25, 60)


@pytest.mark.parametrize(
    ("told", "rate"),
    [("30000/1001", "30000/1001"), ("25/1", "25"), ("60/1", "30"), ("120000/1001", "30000/1001"), (None, "30"),
     ("2997/100", "30000/1001"), ("18/1", "30"), ("1000/1", "30")],
)  # fmt: skip
def test_the_rate_is_the_originals_own_where_it_is_a_usual_one(told: str | None, rate: str) -> None:
    assert proxy_rate(told) == Fraction(rate)
