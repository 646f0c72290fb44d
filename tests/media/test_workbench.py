"""The workbench: everything about a file in one value, and a reason for everything that is missing."""

import json
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rfc8785

from archive.errors import ConfigError
from archive.types import EvidenceKind
from media.options import MediaSettings
from media.ranges import BytesRanges
from media.workbench import RECORDED_CLAIMS, Examination, Workbench
from tests.conftest import CorpusFinder
from tests.media.conftest import SETTINGS, VECTORS

HOSTILE = ("hostile-media", "hostile-pdf", "hostile-archives", "polyglots", "tiny-valid-files", "xml-attacks")
LONGEST_SECONDS = 30


def _records(examination: Examination) -> bytes:
    values = {
        "format": examination.format_values(),
        "extraction": examination.extraction_values(),
        "claims": examination.claim_values(),
    }
    return rfc8785.dumps(values)  # type: ignore[arg-type]  # plain JSON by construction, which this line proves


def _examine_all(workbench: Workbench, paths: Sequence[Path]) -> dict[str, float]:
    """Examine files in several threads; give how long each took."""

    def examine(path: Path) -> tuple[str, float]:
        started = time.monotonic()
        examination = workbench.examine(BytesRanges(path.read_bytes()))
        _records(examination)
        json.loads(examination.report() or b"{}")
        assert examination.extraction.raw or examination.not_processed
        return path.name, time.monotonic() - started

    with ThreadPoolExecutor(max_workers=workbench.at_once) as pool:
        return dict(pool.map(examine, paths))


def test_a_photo_gives_format_extraction_and_claims(workbench: Workbench) -> None:
    content = (VECTORS / "gps-and-serial-number.jpg").read_bytes()
    examination = workbench.examine(BytesRanges(content), content[: 1 << 16])
    assert examination.format.kind is EvidenceKind.PHOTO
    assert examination.problems == ()
    assert examination.streams is None
    assert examination.claims.places[0].latitude == "40.6584191999722"
    assert examination.extraction_values()["tool"] == "ExifTool"


def test_a_video_gives_its_streams_too(workbench: Workbench) -> None:
    examination = workbench.examine(BytesRanges((VECTORS / "video-with-sound.mp4").read_bytes()))
    assert examination.streams is not None
    values = examination.format_values()
    assert values["duration"] == "5.568000"
    report = json.loads(examination.report())
    assert report["streams"]["told"]["streams"][0]["codec_name"] == "h264"
    assert json.loads(report["metadata"]["json"])[0]["QuickTime:QuickTime:Main::MajorBrand"]


def test_records_are_canonical_json_without_floats(workbench: Workbench) -> None:
    for path in VECTORS.iterdir():
        assert _records(workbench.examine(BytesRanges(path.read_bytes())))


def test_a_file_that_nothing_understands_is_a_value_with_a_reason(workbench: Workbench) -> None:
    examination = workbench.examine(BytesRanges(random.Random(1).randbytes(10_000)))  # noqa: S311  # no secret
    assert examination.format.mime_type == "application/octet-stream"
    assert [problem.code for problem in examination.not_processed] == ["media/not-read"]
    assert examination.problems[0].startswith("media/not-read: ")


def test_an_empty_file_is_examined(workbench: Workbench) -> None:
    assert workbench.examine(BytesRanges(b"")).format.mime_type == "application/x-empty"


def test_a_long_track_is_cut_in_the_record_and_counted(workbench: Workbench, corpus: CorpusFinder) -> None:
    content = (corpus("media-metadata") / "gopro" / "max-heromode.mp4").read_bytes()
    examination = workbench.examine(BytesRanges(content))
    values = examination.claim_values()
    assert len(examination.claims.places) > RECORDED_CLAIMS
    assert values["places_found"] == len(examination.claims.places)
    assert isinstance(values["places"], list)
    assert len(values["places"]) == RECORDED_CLAIMS


def test_more_threads_than_workers_share_the_workers(workbench: Workbench) -> None:
    content = (VECTORS / "tiny.png").read_bytes()
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(lambda _: workbench.examine(BytesRanges(content)).format.mime_type, range(24)))
    assert found == ["image/png"] * 24


def test_each_thread_gets_its_own_files_metadata(workbench: Workbench) -> None:
    names = ["gps-and-serial-number.jpg", "tiny.png", "document.docx"] * 8
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = list(pool.map(lambda name: workbench.examine(BytesRanges((VECTORS / name).read_bytes())), names))
    assert [bool(each.claims.places) for each in found] == [name.startswith("gps") for name in names]


@pytest.mark.parametrize("field", ["exiftool_path", "ffprobe_path"])
def test_a_missing_tool_stops_the_start_and_says_what_to_install(field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Workbench(MediaSettings(**{field: "no-such-tool-here"}))  # type: ignore[arg-type]  # one text field by name
    assert caught.value.code == "media/tool-missing"
    assert "apt install" in caught.value.message


@pytest.mark.parametrize("name", HOSTILE)
def test_a_sample_of_hostile_files_neither_hangs_nor_stops_the_workbench(
    workbench: Workbench, corpus: CorpusFinder, name: str
) -> None:
    paths = [path for path in sorted(corpus(name).rglob("*")) if path.is_file()]
    seconds = _examine_all(workbench, paths[::25])
    assert max(seconds.values()) < LONGEST_SECONDS


@pytest.mark.long
@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_file_of_any_corpus_hangs_or_stops_the_workbench(corpus: CorpusFinder, name: str) -> None:
    paths = [path for path in sorted(corpus(name).rglob("*")) if path.is_file()]
    with Workbench(SETTINGS) as workbench:
        seconds = _examine_all(workbench, paths)
        after = workbench.examine(BytesRanges((VECTORS / "tiny.png").read_bytes()))
    assert max(seconds.values()) < LONGEST_SECONDS
    assert after.problems == ()
