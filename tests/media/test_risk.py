"""What a file gives away, said in words, over the values that the log would record."""

import json
import string
from pathlib import Path

import pytest

from media.english import ENGLISH
from media.ranges import BytesRanges
from media.risk import risks
from media.sentences import Message, english, english_of_value, message
from media.workbench import Workbench
from tests.conftest import CorpusFinder
from tests.media.received_samples import GOPRO, IPHONE, NOKIA, exiftool, ffmpeg


def said(workbench: Workbench, path: Path) -> dict[str, str]:
    found = workbench.examine(BytesRanges(path.read_bytes()))
    sentences = risks(
        found.format_values(),
        found.claim_values(),
        found.extraction_values(),
        credentials=found.credentials is not None,
    )
    return {each.id: english(each) for each in sentences}


def test_a_phone_picture_says_where_when_and_with_what(workbench: Workbench) -> None:
    told = said(workbench, IPHONE)
    assert told["risk/place"] == "This file says where it was taken: 40.44697, -3.72475."
    assert told["risk/time"] == "This file says when it was taken: 2015-04-10 20:12:23, local time."
    assert told["risk/device"] == "This file says with which device it was made: Apple iPhone 6."
    assert told["risk/thumbnail"] == "This file holds a small copy of the picture (160 × 120)."


def test_accuracy_is_the_files_own_word(workbench: Workbench) -> None:
    told = said(workbench, IPHONE.with_name("IMG_5195.HEIC"))
    assert "±39 m as it says itself" in told["risk/place"]


def test_a_film_says_its_serial_number_its_track_and_what_is_not_seen(workbench: Workbench) -> None:
    told = said(workbench, GOPRO)
    assert "C3353424500199" in told["risk/serial"]
    assert told["risk/track"].startswith("This file holds a track of 19")
    assert "data" in told["risk/extra-tracks"]


def test_an_owner_is_named(workbench: Workbench, tmp_path: Path) -> None:
    owned = tmp_path / "owned.jpg"
    owned.write_bytes(NOKIA.read_bytes())
    exiftool("-OwnerName=Ana Rivera", "-Artist=A. Rivera", owned)
    found = workbench.examine(BytesRanges(owned.read_bytes()))
    names = [english(each) for each in risks(found.format_values(), found.claim_values()) if each.id == "risk/owner"]
    assert any("Ana Rivera" in name for name in names) and any("A. Rivera" in name for name in names)


def test_a_small_copy_of_another_shape_is_said_to_be_one(workbench: Workbench, tmp_path: Path) -> None:
    """The picture was cropped to a strip; the small copy still shows all of it."""
    cropped, whole = tmp_path / "cropped.jpg", tmp_path / "whole.jpg"
    ffmpeg("-i", NOKIA, "-vf", "crop=800:1900", "-pix_fmt", "yuvj420p", cropped)
    ffmpeg("-i", NOKIA, "-vf", "scale=160:-1", "-pix_fmt", "yuvj420p", whole)
    exiftool(f"-ThumbnailImage<={whole}", cropped)
    assert "may be from before it was cropped" in said(workbench, cropped)["risk/thumbnail-other-shape"]


def test_a_file_that_says_nothing_is_not_called_safe(workbench: Workbench, corpus: CorpusFinder) -> None:
    told = said(workbench, corpus("media-metadata") / "forensics-samples" / "pic1" / "IMG-20191006-WA0002.jpg")
    assert list(told) == ["risk/none-found"]
    assert "What is seen and heard in it may" in told["risk/none-found"]


def test_every_file_of_the_ground_truth_with_a_place_is_said_to_have_one(
    workbench: Workbench, corpus: CorpusFinder
) -> None:
    """Independent oracle: the places that truth.json lists."""
    folder = corpus("media-metadata")
    truth = json.loads((folder / "truth.json").read_bytes())
    located = [row["file"] for row in truth if any(row["gps_decimal"].values())]
    assert located
    silent = [path for path in located if "risk/place" not in said(workbench, folder / path)]
    assert silent == []


def test_every_sentence_can_be_made_and_is_a_sentence() -> None:
    for id_, text in ENGLISH.items():
        gaps = {name for _, name, _, _ in string.Formatter().parse(text) if name}
        made = english(message(id_, **{name: "x" for name in gaps}))
        assert made[0].isupper() and made.endswith((".", ")", "x")), id_


def test_a_record_of_a_sentence_that_is_no_longer_known_keeps_its_words() -> None:
    assert english_of_value({"id": "risk/gone", "parameters": {}, "words": "As it was said."}) == "As it was said."
    assert english_of_value(message("risk/serial", serial="7").value()).endswith("7.")


def test_a_gap_that_is_left_open_is_an_error() -> None:
    with pytest.raises(KeyError):
        message("risk/serial")
    assert english(Message("risk/serial", (("serial", "7"),)), {"risk/serial": "Número {serial}."}) == "Número 7."
