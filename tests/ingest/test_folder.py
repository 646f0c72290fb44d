"""What a source shows: files in order, companions together, everything else refused by name."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import InputError, IntegrityError
from ingest.folder import FoundFile, Listing, list_source, open_source_file, put_in_order

LARGEST = 1 << 40


def _list(source: Path) -> Listing:
    return list_source(source, max_file_octets=LARGEST)


def _fill(source: Path, *names: str) -> Path:
    for name in names:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return source


def test_links_devices_pipes_and_sockets_are_refused_by_name_and_never_opened(tmp_path: Path) -> None:
    _fill(tmp_path, "real.jpg")
    (tmp_path / "link.jpg").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))
    listing = _list(tmp_path)
    assert [file.path for file in listing.files] == ["real.jpg"]
    assert {skip.path: skip.error.code for skip in listing.skipped} == {
        "link.jpg": "batch/symbolic-link",
        "loop": "batch/symbolic-link",
        "pipe.jpg": "batch/not-a-file",
        "socket.jpg": "batch/not-a-file",
    }


def test_what_belongs_together_stays_together(tmp_path: Path) -> None:
    _fill(
        tmp_path,
        "DCIM/IMG_0001.HEIC",
        "DCIM/IMG_0001.MOV",
        "DCIM/IMG_0001.xmp",
        "DCIM/IMG_0002.JPG",
        "DCIM/IMG_0002.JPG.xmp",
        "DCIM/clip.mp4",
        "DCIM/clip.mp4.asc",
        "DCIM/clip.mp4.proof.json",
        "other/IMG_0001.MOV",
    )
    mains = {file.path: file.main for file in _list(tmp_path).files}
    assert mains == {
        "DCIM/IMG_0001.HEIC": None,
        "DCIM/IMG_0001.MOV": "DCIM/IMG_0001.HEIC",
        "DCIM/IMG_0001.xmp": "DCIM/IMG_0001.HEIC",
        "DCIM/IMG_0002.JPG": None,
        "DCIM/IMG_0002.JPG.xmp": "DCIM/IMG_0002.JPG",
        "DCIM/clip.mp4": None,
        "DCIM/clip.mp4.asc": "DCIM/clip.mp4",
        "DCIM/clip.mp4.proof.json": "DCIM/clip.mp4",
        "other/IMG_0001.MOV": None,
    }


def test_companions_stand_right_behind_what_they_belong_to(tmp_path: Path) -> None:
    _fill(tmp_path, "a.jpg", "b.jpg", "a.xmp", "c.jpg")
    assert [file.path for file in _list(tmp_path).files] == ["a.jpg", "a.xmp", "b.jpg", "c.jpg"]


def test_companions_of_companions_stand_behind_the_first_however_long_the_chain(tmp_path: Path) -> None:
    names = [
        "IMG_1.HEIC",
        "IMG_1.MOV",
        "IMG_1.MOV.asc",
        "IMG_1.MOV.proof.json",
        "IMG_1.MOV.proof.json.asc",
        "IMG_1.MOV.proof.json.asc.ots",
        "a.jpg",
        "a.jpg.xmp",
        "a.jpg.xmp.asc",
        "a.jpg.xmp.asc.ots",
    ]
    listing = _list(_fill(tmp_path, *names))
    assert [file.path for file in listing.files] == names
    assert [file.main for file in listing.files] == [None, *["IMG_1.HEIC"] * 5, None, *["a.jpg"] * 3]
    assert listing.seen == len(names)


_STEMS = st.sampled_from(["IMG_1", "img_1", "a", "İ", "ß.x", "x.", ".", "..a", "a b", "\udcff"])
_ENDINGS = (
    ".HEIC .jpg .JPG .MOV .mp4 .xmp .XMP .thm .proof.json .proof.csv .asc .ots .gst .aae .g\ufb06 .devicechec\u212a"
)
_ENDS = st.lists(st.sampled_from(_ENDINGS.split()), max_size=6)
_NAMES = st.builds(lambda stem, ends: stem + "".join(ends), _STEMS, _ENDS)
_PATHS = st.builds(lambda folder, name: folder + name, st.sampled_from(["", "d/", "D/", "d.MOV/", "d/e.xmp/"]), _NAMES)


@given(st.sets(_PATHS | st.text("aA1./\n \udcff", min_size=1, max_size=9), max_size=12))
def test_whatever_the_names_every_file_of_a_walk_comes_out_once_and_behind_a_main_file(paths: set[str]) -> None:
    given_ = [FoundFile(path=path, size=1, modified_ns=2) for path in sorted(paths)]
    ordered = list(put_in_order(given_))
    assert sorted(file.path for file in ordered) == sorted(paths)
    mains = {file.path for file in ordered if file.main is None}
    before = ""
    for file in ordered:
        before = file.path if file.main is None else before
        assert file.main in (None, before)
        assert before in mains


def test_a_list_that_lost_or_doubled_a_file_is_refused() -> None:
    one = FoundFile(path="a.jpg", size=1, modified_ns=2)
    for files, seen in (((one,), 2), ((one, one), 2), ((one, one), 1), ((), 1)):
        with pytest.raises(IntegrityError) as caught:
            Listing(files=files, skipped=(), mounted_read_only=True, seen=seen)
        assert caught.value.code == "batch/listing-differs"


def test_hostile_names_are_listed_as_they_are(tmp_path: Path) -> None:
    names = [b"new\nline.jpg", b"-delete.jpg", b"\xff\xfe.jpg", b"a'$(id).jpg", "‮gpj.exe".encode()]
    for name in names:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(b"x")
    assert sorted(os.fsencode(file.path) for file in _list(tmp_path).files) == sorted(names)


def test_a_file_that_changed_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    _fill(tmp_path, "a.jpg")
    listed = _list(tmp_path).files[0]
    (tmp_path / "a.jpg").write_bytes(b"something else, longer")
    with pytest.raises(InputError) as caught:
        open_source_file(tmp_path, listed)
    assert caught.value.code == "batch/changed"


def test_a_file_that_grows_while_it_is_read_is_refused_at_its_end(tmp_path: Path) -> None:
    _fill(tmp_path, "a.jpg")
    listed = _list(tmp_path).files[0]
    with open_source_file(tmp_path, listed) as stream:
        assert stream.read(3)
        with (tmp_path / "a.jpg").open("ab") as other:
            other.write(b"more")
        with pytest.raises(InputError) as caught:
            while stream.read(1024):
                pass
    assert caught.value.code == "batch/changed"


def test_a_link_put_in_a_listed_files_place_is_not_followed(tmp_path: Path) -> None:
    _fill(tmp_path, "a.jpg")
    listed = _list(tmp_path).files[0]
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "a.jpg").symlink_to("/etc/passwd")
    with pytest.raises(InputError) as caught:
        open_source_file(tmp_path, listed)
    assert caught.value.code == "batch/unreadable"


def test_reading_leaves_the_source_as_it_was(tmp_path: Path) -> None:
    _fill(tmp_path, "a.jpg")
    before = (tmp_path / "a.jpg").stat()
    with open_source_file(tmp_path, _list(tmp_path).files[0]) as stream:
        assert stream.read() == b"a.jpg"
    after = (tmp_path / "a.jpg").stat()
    assert (before.st_atime_ns, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_atime_ns,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def test_folders_nested_too_deep_are_refused_not_walked_for_ever(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 70)
    deep.mkdir(parents=True)
    (deep / "a.jpg").write_bytes(b"x")
    listing = _list(tmp_path)
    assert listing.files == ()
    assert [skip.error.code for skip in listing.skipped] == ["batch/too-deep"]


def test_a_file_over_the_limit_is_refused_with_that_reason(tmp_path: Path) -> None:
    _fill(tmp_path, "small.jpg", "much-too-large-for-this.jpg")
    listing = list_source(tmp_path, max_file_octets=10)
    assert [file.path for file in listing.files] == ["small.jpg"]
    assert [skip.error.code for skip in listing.skipped] == ["ingest/too-large"]


def test_a_folder_that_is_never_to_be_read_is_refused_by_whichever_name_it_is_met(tmp_path: Path) -> None:
    _fill(tmp_path, "card/a.jpg", "card/b/ours/keys/k.age", "card/b/c.jpg")
    (tmp_path / "other-name").symlink_to(tmp_path / "card" / "b" / "ours")
    listing = list_source(tmp_path / "card", max_file_octets=LARGEST, never=[tmp_path / "other-name", tmp_path / "no"])
    assert [file.path for file in listing.files] == ["a.jpg", "b/c.jpg"]
    assert [(skip.path, skip.error.code) for skip in listing.skipped] == [("b/ours", "batch/own-folder")]


def test_a_missing_source_says_what_to_check(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        _list(tmp_path / "nothing")
    assert caught.value.code == "batch/no-such-source"


def test_one_file_alone_is_a_source_too(tmp_path: Path) -> None:
    _fill(tmp_path, "a.jpg")
    source = tmp_path / "a.jpg"
    listing = _list(source)
    with open_source_file(source, listing.files[0]) as stream:
        assert stream.read() == b"a.jpg"
