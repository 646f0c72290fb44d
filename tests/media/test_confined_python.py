"""Our own code on hostile files runs in confinement, wherever the checkout lies."""

import shutil
import sys
import time
from pathlib import Path

import pytest

from archive.errors import UnavailableError
from media import confined_python
from media.confined_python import ConfinedPython
from media.confinement import Confinement, open_confinement
from tests.media.conftest import SETTINGS

MODULE = """
import os, sys
from media.confined.child import Refusal, answer

def work(inputs, arguments):
    if arguments[0] == "refuse":
        raise Refusal("signed")
    if arguments[0] == "die":
        os._exit(7)
    if arguments[0] == "spin":
        while True:
            pass
    if arguments[0] == "eat":
        return bytes(2 << 30)
    if arguments[0] == "flood":
        return bytes(3 << 20)
    import lxml.etree, pikepdf
    return bytes(inputs["file"]) + pikepdf.__name__.encode() + lxml.etree.__name__.encode()

def main(arguments):
    return answer(arguments, work)
"""


@pytest.fixture(scope="module")
def python(confinement: Confinement, tmp_path_factory: pytest.TempPathFactory) -> ConfinedPython:
    """A runner whose code holds one more module, which does what the test says."""
    folder = tmp_path_factory.mktemp("code") / "confined"
    shutil.copytree(Path(confined_python.__file__).with_name("confined"), folder)
    (folder / "subject.py").write_text(MODULE)
    patch = pytest.MonkeyPatch()
    patch.setattr(confined_python, "_CODE", folder)
    with patch.context():
        opened = ConfinedPython(confinement, SETTINGS)
    patch.undo()
    return opened


def _run(python: ConfinedPython, word: str, seconds: float = 20) -> confined_python.Answer:
    return python.run(
        "subject", {"file": b"bytes of a file "}, [word], deadline=time.monotonic() + seconds, output_octets=2 << 20
    )


def test_a_child_reads_its_input_with_the_libraries_and_answers(python: ConfinedPython) -> None:
    assert _run(python, "echo").output == b"bytes of a file pikepdflxml.etree"


def test_a_child_refuses_with_one_word(python: ConfinedPython) -> None:
    assert _run(python, "refuse").refusal == "signed"


def test_a_child_that_eats_memory_refuses_and_harms_nobody(python: ConfinedPython) -> None:
    assert _run(python, "eat").refusal == "too-complex"


@pytest.mark.parametrize(
    ("word", "code"), [("die", "media/tool-died"), ("spin", "media/time-limit"), ("flood", "media/output-limit")]
)
def test_a_child_that_misbehaves_is_stopped(python: ConfinedPython, word: str, code: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        _run(python, word, seconds=3)
    assert caught.value.code == code


def test_a_child_runs_where_the_checkout_is_closed_to_the_tools_user(
    python: ConfinedPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout in root's home: the folder of the libraries is not even bound into the sandbox."""
    monkeypatch.setattr(confined_python, "readable_by_tools", lambda _folder, _user: False)
    with open_confinement(SETTINGS) as confinement:
        other = ConfinedPython(confinement, SETTINGS)
        other._code = python._code
        assert _run(other, "echo").output == b"bytes of a file pikepdflxml.etree"
        assert all("site-packages" not in str(folder) for folder in other._prepared().folders)


def test_libraries_that_the_tools_user_cannot_reach_are_copied_for_a_while(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    (closed / "a_library").mkdir(parents=True)
    (closed / "a_library" / "__init__.py").write_text("")
    closed.chmod(0o700)
    monkeypatch.setattr(sys, "path", [*sys.path, str(closed)])
    monkeypatch.setattr(confined_python, "readable_by_tools", lambda folder, _user: folder != closed)
    with open_confinement(SETTINGS) as confinement:
        (copy,) = ConfinedPython(confinement, SETTINGS, packages=("a_library",))._prepared().libraries
        assert copy != closed
        assert (copy / "a_library" / "__init__.py").exists()
        assert copy.stat().st_mode & 0o777 == 0o755
    assert not copy.exists()
