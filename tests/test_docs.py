"""What the documents say is there is there."""

import ast
import hashlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "demo" / "samples"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "demo").glob("*.md")])
ROOMS = ("archive", "custody", "media", "ingest", "export", "web", "commands")
OWN_FOLDERS = (*ROOMS, "tests", "docs", "demo", "scripts")

in_code = re.compile(r"`([^`\n]+)`")
link = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))


def names_of_tests() -> set[str]:
    return {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_path_of_a_page_leads_somewhere(page: Path) -> None:
    broken = [target for target in link.findall(text_of(page)) if not (page.parent / target).exists()]
    for name in in_code.findall(text_of(page)):
        if re.fullmatch(rf"(?:{'|'.join(OWN_FOLDERS)})/[\w./-]*\w\.\w+", name) and not (ROOT / name).exists():
            broken.append(name)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = {name for name in in_code.findall(text_of(page)) if re.fullmatch(r"test_\w+", name)}
    assert not named - names_of_tests()


def test_every_promise_names_a_test() -> None:
    rows = re.findall(r"^\| (\d) \| \*\*.*\|(.*)\|$", text_of(ROOT / "docs" / "threat-model.md"), re.MULTILINE)
    assert [number for number, _ in rows] == list("1234567")
    assert all("`test_" in held_by for _, held_by in rows)


def test_the_readme_gives_the_two_commands_and_what_they_presume() -> None:
    readme = text_of(ROOT / "README.md")
    commands = re.search(r"```\n(make demo)\n(make test)\n```", readme)
    assert commands
    assert "with `git` and `make`" in readme
    assert "make test" in text_of(ROOT / ".ci" / "run")


def test_every_make_target_that_a_page_names_exists_and_explains_itself() -> None:
    named = {target for page in PAGES for target in re.findall(r"`make ([a-z]+)`", text_of(page))}
    assert named <= make_targets()
    explained = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"make {target} " in explained for target in make_targets())


def test_every_command_that_a_page_names_exists() -> None:
    from commands.summaries import SUMMARIES

    named = {
        name
        for page in PAGES
        for name in re.findall(r"^testigo ([a-z][a-z-]*)|`testigo ([a-z][a-z-]*)", text_of(page), re.M)
    }
    assert {first or second for first, second in named} <= set(SUMMARIES)


def test_every_error_code_is_documented_and_no_other() -> None:
    code = re.compile(r"^\| `([a-z]+/[a-z0-9-]+)` \|", re.MULTILINE)
    printed = subprocess.run(["scripts/error-codes"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    documented = code.findall(text_of(ROOT / "docs" / "formats.md").partition("## 7.")[2])
    assert documented == code.findall(printed), "put what scripts/error-codes prints into docs/formats.md, section 7"


def test_the_locks_name_hashes_and_no_host() -> None:
    for path in ROOT.glob("requirements*.txt"):
        text = text_of(path)
        assert "://" not in text, path.name
        for block in re.split(r"\n(?=\S)", text.strip()):
            assert block.startswith("#") or "--hash=sha256:" in block, f"{path.name}: {block.splitlines()[0]}"
    interop = text_of(ROOT / "tests" / "interop" / "package-lock.json")
    assert '"resolved"' not in interop
    assert '"integrity": "sha512-' in interop


def test_what_the_program_needs_is_the_same_in_both_locks() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9-]+==\S+)", text_of(ROOT / name), re.MULTILINE))

    assert pins("requirements.txt") <= pins("requirements-dev.txt")


def test_every_direct_dependency_is_locked() -> None:
    import tomllib

    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    direct = project["project"]["dependencies"]
    locked = text_of(ROOT / "requirements.txt")
    assert all(re.search(rf"^{re.split('[<>=]', each)[0]}==", locked, re.MULTILINE) for each in direct)


def test_every_sample_has_an_origin_and_is_as_it_came() -> None:
    rows = dict(
        re.findall(r"^\| `([^`]+)` \|.*`([0-9a-f]{64})` \|$", text_of(ROOT / "demo" / "ORIGINS.md"), re.MULTILINE)
    )
    found = {
        str(path.relative_to(SAMPLES)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in SAMPLES.rglob("*")
        if path.is_file()
    }
    assert found == rows
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 15_000_000


def test_the_licence_is_the_whole_text() -> None:
    known = "0d96a4ff68ad6d4b6f1f30f713b18d5184912ba8dd389f86aa7710db079abcb0"
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == known
