"""Bags: ours are accepted by others, others are judged as the conformance suite says, no half bag is ever visible."""

import gzip
import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from archive.errors import ConflictError, IntegrityError, UnavailableError
from export.bag import BagWriter
from tests.export.bag_judge import verify_bag
from tests.way_in import unpack

SUITE = Path(__file__).parents[1] / "vectors" / "bagit" / "bagit-conformance-suite.tar.gz"
INFO = (("Source-Organization", "Testigo test"), ("Bagging-Date", "2026-11-22"))

# The suite calls these valid with a warning. Each lists a file that is simply not there on a computer where names
# differ by case and by Unicode form. Listed evidence that is missing is never passed over: here they are incomplete.
INCOMPLETE_HERE = {
    "duplicate-file-with-different-case",
    "same-filename-listed-twice-with-different-normalization",
    "special-system-files",
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bags")
    unpack(gzip.decompress(SUITE.read_bytes()), folder)
    return folder


def bag_names() -> list[str]:
    with tarfile.open(SUITE) as tar:
        parts = {tuple(member.name.removeprefix("./").split("/")[:3]) for member in tar if member.name.count("/") > 3}
    return sorted("/".join(name) for name in parts if name[0].startswith("v"))


def write(folder: Path, payload: dict[str, bytes] | None = None) -> Path:
    with BagWriter(folder) as writer:
        for name, content in (payload or {"data/exhibits/E-2026-00001.jpg": b"one", "data/index.csv": b""}).items():
            writer.add_payload(name, [content[:2], content[2:]])
        writer.finish_payload()
        writer.add_tag("verify.txt", b"how to verify\n")
        writer.add_tag("metadata/checkpoint", b"note")
        return writer.finish(INFO)


def test_the_conformance_suite_is_here_whole() -> None:
    kinds = [name.split("/")[1] for name in bag_names()]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "valid": 27,
        "invalid": 15,
        "warning": 6,
        "linux-only": 6,
        "windows-only": 6,
    }


@pytest.mark.parametrize("name", bag_names())
def test_each_bag_of_the_conformance_suite_is_judged_rightly(suite: Path, name: str) -> None:
    kind, own = name.split("/")[1:]
    if kind == "valid" or (kind == "warning" and own not in INCOMPLETE_HERE):
        checked = verify_bag(suite / name, strict=False)
        assert checked.warnings or kind == "valid"
        return
    # The windows-only bags lead out of the bag only on Windows; our rules for paths are the same on every computer.
    with pytest.raises(IntegrityError) as refused:
        verify_bag(suite / name, strict=False)
    assert refused.value.code == "export/bag-differs"


def test_an_independent_reader_accepts_what_we_write(tmp_path: Path) -> None:
    folder = write(tmp_path / "packet")
    run = [sys.executable, "-W", "ignore", "-m", "bagit", "--validate", str(folder)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for algorithm in ("sha256", "sha512"):
        for manifest in (f"manifest-{algorithm}.txt", f"tagmanifest-{algorithm}.txt"):
            command = [f"{algorithm}sum", "--check", "--strict", "--quiet", manifest]
            assert subprocess.run(command, cwd=folder, timeout=60, check=False).returncode == 0


def test_what_is_written_is_what_the_strict_check_asks_for(tmp_path: Path) -> None:
    folder = write(tmp_path / "packet")
    checked = verify_bag(folder)
    assert checked.warnings == ()
    assert (folder / "bagit.txt").read_bytes() == b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    expected = "Source-Organization: Testigo test\nBagging-Date: 2026-11-22\nPayload-Oxum: 3.2\n"
    assert (folder / "bag-info.txt").read_text() == expected
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(checked.files)


def test_digests_come_from_the_bytes_as_they_flow(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "packet") as writer:
        written = writer.add_payload("data/a.bin", iter([b"one", b"", b"two"]))
        assert (written.size, written.sha256.hex) == (6, hashlib.sha256(b"onetwo").hexdigest())
        assert written.sha512.hex == hashlib.sha512(b"onetwo").hexdigest()
        manifests = writer.finish_payload()
        folder = writer.finish(())
    content = (folder / "manifest-sha512.txt").read_bytes()
    assert content == f"{hashlib.sha512(b'onetwo').hexdigest()}  data/a.bin\n".encode()
    assert manifests.of_sha512_manifest.hex == hashlib.sha512(content).hexdigest()
    assert manifests.of_sha256_manifest.hex == hashlib.sha512((folder / "manifest-sha256.txt").read_bytes()).hexdigest()


def test_no_half_packet_is_visible_and_what_fails_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "packet"
    with pytest.raises(RuntimeError, match="the disk was taken away"), BagWriter(folder) as writer:
        writer.add_payload("data/a.bin", [b"one"])
        assert not folder.exists()
        raise RuntimeError("the disk was taken away")
    assert list(tmp_path.iterdir()) == []


def test_a_packet_never_replaces_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "packet")
    for name in ("packet", "other"):
        (tmp_path / "other.partial").mkdir(exist_ok=True)
        with pytest.raises(ConflictError) as refused:
            BagWriter(tmp_path / name)
        assert refused.value.code == "export/packet-exists"
    with pytest.raises(UnavailableError) as failed:
        BagWriter(tmp_path / "packet" / "verify.txt" / "below-a-file")
    assert failed.value.code == "export/cannot-write"


@pytest.mark.parametrize(
    "name",
    [
        "data/../out",
        "data/./x",
        "data//x",
        "data/",
        "data/.hidden",
        "data/a b",
        "data/a\nb",
        "data/a%0Ab",
        "data/~x",
        "data/-x",
        "data/x.",
        "data/nul.txt",
        "data/COM1",
        "data/\u00e9",
        "data/a\\b",
        "data/" + "x" * 200,
        "exhibits/x",
        "/data/x",
        "",
    ],
)
def test_names_that_any_computer_could_misread_are_refused(tmp_path: Path, name: str) -> None:
    with BagWriter(tmp_path / "packet") as writer, pytest.raises(ValueError, match=r"name|payload"):
        writer.add_payload(name, [b""])


def test_calls_out_of_order_and_taken_names_are_wrong_use(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "packet") as writer:
        with pytest.raises(ValueError, match="after the payload"):
            writer.add_tag("verify.txt", b"")
        with pytest.raises(ValueError, match="not finished"):
            writer.finish(())
        writer.add_payload("data/index.csv", [b""])
        with pytest.raises(ValueError, match="differ in more than the case"):
            writer.add_payload("data/INDEX.csv", [b""])
        writer.finish_payload()
        for name in (
            "data/late",
            "bagit.txt",
            "bag-info.txt",
            "manifest-md5.txt",
            "tagmanifest-sha256.txt",
            "fetch.txt",
        ):
            with pytest.raises(ValueError, match="tag files"):
                writer.add_tag(name, b"")
        with pytest.raises(ValueError, match="payload"):
            writer.add_payload("data/late", [b""])
        with pytest.raises(ValueError, match="one line"):
            writer.finish([("Contact-Name", "two\nlines")])


def spoil(folder: Path, name: str, old: bytes, new: bytes) -> None:
    content = (folder / name).read_bytes()
    assert old in content or not old
    (folder / name).write_bytes(content.replace(old, new) if old else content + new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("bagit.txt", b"1.0", b"0.97"),
        ("bagit.txt", b"\n", b"\r\n"),
        ("bag-info.txt", b"3.2", b"3.1"),
        ("bag-info.txt", b"Payload-Oxum: 3.2\n", b""),
        ("manifest-sha256.txt", b"  data", b" *data"),
        ("manifest-sha512.txt", b"  data", b"\tdata"),
        ("tagmanifest-sha256.txt", b"  metadata", b"  ./metadata"),
        ("tagmanifest-sha512.txt", b"", b"\n"),
        ("manifest-sha256.txt", b"", b"0" * 64 + b"  data/missing\n"),
        ("manifest-sha256.txt", b"", b"0" * 64 + b"  verify.txt\n"),
        ("tagmanifest-sha256.txt", b"", b"0" * 64 + b"  data/index.csv\n"),
        ("data/index.csv", b"", b"x"),
        ("verify.txt", b"how", b"who"),
    ],
)
def test_whatever_is_not_in_the_form_of_a_packet_is_refused(tmp_path: Path, name: str, old: bytes, new: bytes) -> None:
    folder = write(tmp_path / "packet")
    spoil(folder, name, old, new)
    with pytest.raises(IntegrityError) as refused:
        verify_bag(folder)
    assert name in str(refused.value.evidence["findings"])


def test_a_digest_that_nobody_here_knows_cannot_be_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "packet")
    (folder / "manifest-whirlpool.txt").write_bytes(b"00  data/index.csv\n")
    (folder / "tagmanifest-sha256.txt").unlink()
    (folder / "tagmanifest-sha512.txt").unlink()
    with pytest.raises(IntegrityError) as refused:
        verify_bag(folder, strict=False)
    assert refused.value.code == "export/bag-unclear"
