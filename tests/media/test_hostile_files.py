"""Whatever a file is made of, examining and cleaning it end in time, within memory, and with a value or a refusal.

A sample runs by default, every file of the corpora under `long`.
"""

import io
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import pytest

from archive.errors import InputError, UnavailableError
from media.preview_parts import NotMade, Part, Preview, Streamed
from media.ranges import BytesRanges
from media.workbench import Workbench
from tests.conftest import CorpusFinder
from tests.media.cleaned import cleaned
from tests.media.conftest import VECTORS

CORPORA = ("hostile-media", "hostile-pdf", "hostile-archives", "polyglots", "tiny-valid-files", "xml-attacks")
NO_CASES = ("README.md", "MANIFEST.sha256", "LICENSE")
SAMPLE_OF = 24
SECONDS = 30
CHANGED = 5000
SEED = 2
MOST_OCTETS = 1_500_000
GIBIBYTE = 1 << 30
SECOND_FORMATS = (b"PK\x03\x04", b"%PDF-", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c")
OWN_MARKS = {b"PK\x03\x04": ("officedocument", "opendocument"), b"%PDF-": ("application/pdf",)}


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in NO_CASES)


@dataclass(slots=True)
class Watch:
    """Looks a hundred times a second at the memory of every process that came out of this one."""

    highest: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.01):
            for process in _children_of(os.getpid()):
                self.highest = max(self.highest, _peak_of(process))


def _children_of(process: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{process}/task").iterdir()
        numbers = [int(child) for each in children for child in (each / "children").read_text().split()]
    except OSError:
        return
    for number in numbers:
        yield number
        yield from _children_of(number)


def _peak_of(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


def try_everything(workbench: Workbench, path: Path) -> str:
    """Examine, clean and preview one file; give what came of it. Anything but a value or a refusal fails the test."""
    content = path.read_bytes()
    started = time.monotonic()
    source = BytesRanges(content)
    for preview in workbench.previews(source, workbench.examine(source)):
        _take(preview)
    assert time.monotonic() - started < SECONDS, path.name
    return try_cleaning(workbench, path)


def try_cleaning(workbench: Workbench, path: Path) -> str:
    """Examine and clean one file; give what came of it."""
    content = path.read_bytes()
    started = time.monotonic()
    try:
        verdict, copy = cleaned(workbench, content)
        came = f"clean: {verdict.mime_type}"
        for mark in SECOND_FORMATS:
            own = any(word in verdict.mime_type for word in OWN_MARKS.get(mark, ()))
            assert own or mark not in copy, f"{path.name} holds {mark!r} in a copy that is called clean"
    except (InputError, UnavailableError) as error:
        assert error.message.endswith((".", "is kept as it is."))
        came = error.code
    assert time.monotonic() - started < SECONDS, path.name
    return came


def _take(preview: Preview) -> None:
    """Make a preview to its end; a large one is written and thrown away."""
    match preview:
        case Streamed():
            try:
                preview.write(io.BytesIO())
            except (InputError, UnavailableError) as error:
                assert error.message.endswith(".")
        case NotMade():
            assert preview.problem.reason.endswith(".")
        case Part():
            assert preview.content


@pytest.mark.parametrize("name", CORPORA)
def test_a_sample_of_hostile_files_ends_in_a_value_or_a_refusal(
    workbench: Workbench, corpus: CorpusFinder, name: str
) -> None:
    came = [try_everything(workbench, path) for path in files_of(corpus(name))[::SAMPLE_OF]]
    assert len(came) > 0


@pytest.mark.long
@pytest.mark.parametrize("name", CORPORA)
def test_every_hostile_file_ends_in_a_value_or_a_refusal(workbench: Workbench, corpus: CorpusFinder, name: str) -> None:
    with Watch() as watch:
        came = [try_everything(workbench, path) for path in files_of(corpus(name))]
    counts = {word: came.count(word) for word in sorted(set(came))}
    print(f"{name}: {len(came)} files, child peak {watch.highest >> 20} MiB, {counts}")
    assert 0 < watch.highest < GIBIBYTE


@pytest.mark.long
def test_files_changed_at_random_end_in_a_value_or_a_refusal(
    workbench: Workbench, corpus: CorpusFinder, tmp_path: Path
) -> None:
    names = (*CORPORA, "media-metadata", "c2pa", "redaction-pdf")
    originals = [path for name in names for path in files_of(corpus(name)) if path.stat().st_size < MOST_OCTETS]
    random = Random(SEED)  # noqa: S311 - the same each time, on purpose
    changed = tmp_path / "changed"
    came: list[str] = []
    with Watch() as watch:
        for number in range(CHANGED):
            original, other = (random.choice(originals).read_bytes() for _ in range(2))
            changed.write_bytes(changed_at_random(random, original, other))
            try:
                came.append(try_everything(workbench, changed))
            except BaseException:
                print(f"number {number} with seed {SEED}")
                raise
    counts = {word: came.count(word) for word in sorted(set(came))}
    print(f"{len(came)} changed files, child peak {watch.highest >> 20} MiB, {counts}")
    assert 0 < watch.highest < GIBIBYTE


def changed_at_random(random: Random, original: bytes, other: bytes) -> bytes:
    """Turn octets, cut, leave out, repeat, overwrite a length, or go on with another file's end."""
    data = bytearray(original)
    at, length = random.randrange(len(data) + 1), random.choice((1, 4, 8, 64, 1000))
    match random.randrange(6):
        case 0:
            for place in random.choices(range(len(data)), k=random.choice((1, 3, 20, 200))) if data else ():
                data[place] = random.randrange(256)
        case 1:
            del data[at:]
        case 2:
            del data[at : at + length]
        case 3:
            data[at:at] = data[at : at + length] * random.choice((1, 2, 50))
        case 4:
            data[at : at + 4] = random.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\x80\0\0\0"))
        case _:
            data[at:] = other[random.randrange(len(other) + 1) :]
    return bytes(data)


def test_no_second_format_survives_in_what_is_called_clean(workbench: Workbench, corpus: CorpusFinder) -> None:
    polyglots = [path for path in files_of(corpus("polyglots")) if path.parent.name == "files"]
    came = [try_cleaning(workbench, path) for path in polyglots]
    assert len(came) >= 40
    # Each is one file as two formats: whatever its cleaner, the second must not go on.
    assert {word.partition(":")[0] for word in came} <= {"clean", "media/cannot-clean", "media/not-clean"}


@pytest.mark.parametrize("member", ["word/document.xml", "content.xml", "svg"])
def test_an_xml_attack_inside_a_document_is_refused_at_once(
    workbench: Workbench, corpus: CorpusFinder, member: str
) -> None:
    attacks = [path for path in corpus("xml-attacks").glob("*.xml") if b"<!ENTITY" in path.read_bytes()]
    assert len(attacks) >= 5
    for path in attacks:
        attack = path.read_bytes()
        content = attack if member == "svg" else _document_with(member, attack)
        started = time.monotonic()
        with pytest.raises(InputError):
            cleaned(workbench, content)
        assert time.monotonic() - started < 10, path.name


def _document_with(member: str, content: bytes) -> bytes:
    """Give the sample DOCX, or a bare ODT, with one member replaced."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        if member == "content.xml":
            archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
            archive.writestr(member, content)
        else:
            with zipfile.ZipFile(VECTORS / "document.docx") as sample:
                for name in sample.namelist():
                    archive.writestr(name, content if name == member else sample.read(name))
    return made.getvalue()
