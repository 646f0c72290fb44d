"""A manifest is claims per file, read whole or refused whole."""

import json
from pathlib import Path

import pytest

from archive.errors import InputError
from ingest.manifest import read_manifest
from tests.conftest import CorpusFinder


def _refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_manifest(path)
    assert caught.value.code == "batch/bad-manifest"
    return caught.value.message


def test_csv_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text('path,title,taken\n./DCIM/a.jpg,"Door, front",2026-11-21 05:40\nb.jpg,,\n')
    rows = [{"path": "DCIM/a.jpg", "title": "Door, front", "taken": "2026-11-21 05:40"}, {"path": "b.jpg"}]
    (tmp_path / "m.json").write_text(json.dumps(rows))
    assert read_manifest(tmp_path / "m.csv") == read_manifest(tmp_path / "m.json")
    assert read_manifest(tmp_path / "m.csv")["DCIM/a.jpg"] == {"title": "Door, front", "taken": "2026-11-21 05:40"}


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbfpath,title\na.jpg,x\n")
    assert read_manifest(tmp_path / "m.csv") == {"a.jpg": {"title": "x"}}


@pytest.mark.parametrize(
    "text",
    ["", "title\nx\n", "path,path\na,b\n", "path,title\na.jpg\n", "path\na.jpg\na.jpg\n", 'path\n"a.jpg\n', "path\n\n"],
)
def test_a_broken_csv_is_refused_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    assert "Nothing was imported" in _refused(tmp_path / "m.csv")


@pytest.mark.parametrize(
    "text", ["", "{}", '[{"path":1}]', '[{"path":"a","path":"b"}]', '["a"]', '[{"title":"x"}]', "[" * 100_000]
)
def test_a_broken_json_is_refused_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    _refused(tmp_path / "m.json")


def test_a_name_under_which_an_import_claims_something_itself_is_refused_and_another_is_offered(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,file_modified\na.jpg,2026-11-21 05:40\n")
    (tmp_path / "m.json").write_text('[{"path":"b.jpg"},{"path":"a.jpg","file_modified":"2026-11-21 05:40"}]')
    assert "line 2 claims `file_modified`" in _refused(tmp_path / "m.csv")
    told = _refused(tmp_path / "m.json")
    assert "entry 2 claims `file_modified`" in told
    assert "`file_modified_told`" in told


def test_a_missing_manifest_is_no_traceback(tmp_path: Path) -> None:
    _refused(tmp_path / "none.csv")


def test_every_file_of_the_json_test_suite_is_read_or_refused(corpus: CorpusFinder, tmp_path: Path) -> None:
    for vector in sorted((corpus("json-parsing") / "test_parsing").glob("*.json")):
        path = tmp_path / "m.json"
        path.write_bytes(vector.read_bytes())
        try:
            read_manifest(path)
        except InputError as error:
            assert error.code == "batch/bad-manifest"
