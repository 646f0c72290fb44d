"""Our own Python code on hostile files, run in confinement: a child for each file, which sees code and bytes only.

The child's code is the folder `media/confined` (and `_SHARED`), given as one sealed archive; the files it works on are
sealed memory files; what it makes comes back on its output. It never learns a name. Libraries (pikepdf, lxml) are seen
read-only; where the user that tools run as may not enter their folder (a checkout in root's home), a copy without any
evidence in it is made for as long as this object lives.

A child ends with 0, or with 3 where it refuses the file, and then says one word why on its complaint stream; the
words shown to people are chosen outside, since a child that was taken over may say anything.
"""

import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from archive.errors import ConfigError, UnavailableError
from media.confinement import Confinement, Limits, end_process, readable_by_tools
from media.conversation import Bounds, converse
from media.options import MIB, MediaSettings
from media.ranges import RangeSource, sealed_memory_file

REFUSED = 3
_REASON = re.compile(r"^refused: ([a-z0-9-]{1,40})$", re.M)
_CODE = Path(__file__).with_name("confined")
_SHARED = ("pictures/__init__.py", "pictures/icc.py")
"""Modules without imports of ours that a child needs as well: colour profiles lie in PDFs as in pictures."""
_SYSTEM_PYTHON = Path("/usr/bin/python3")
_PROCESSES = 8
_BESIDE = {"PIL": ("pillow.libs",)}
"""Folders of compiled code that are not called as their library is."""
_VERSION_SECONDS = 20
_END_SECONDS = 10
_START = (
    "import sys; sys.path[:0] = sys.argv[1].split(':'); import importlib; "
    "sys.exit(importlib.import_module('media.confined.' + sys.argv[2]).main(sys.argv[3:]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a child gave: its output, or the one word why it refuses the file."""

    output: bytes
    refusal: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Which interpreter is run, which folders it sees beside `/usr`, and which of them it imports from."""

    python: str
    folders: tuple[Path, ...]
    libraries: tuple[Path, ...]


class ConfinedPython:
    """Runs modules of `media/confined`; `packages` are the libraries that they import.

    Nothing is prepared before the first run: an archive that cleans no documents needs none of this.
    """

    def __init__(
        self,
        confinement: Confinement,
        settings: MediaSettings,
        packages: Sequence[str] = ("pikepdf", "lxml", "packaging"),
    ) -> None:
        self._confinement = confinement
        self._settings = settings
        self._packages = tuple(packages)
        self._view: _View | None = None
        self._code = _archive_of_code()
        self._preparing = threading.Lock()

    def run(
        self,
        module: str,
        inputs: Mapping[str, RangeSource | bytes],
        arguments: Sequence[str] = (),
        *,
        deadline: float,
        output_octets: int,
        memory_octets: int | None = None,
    ) -> Answer:
        """Run one module of `media/confined` over some inputs; its arguments are `name=descriptor` and then ours.

        Raises: UnavailableError as `media.conversation` has it, and `media/tool-died` for any end but 0 and 3;
        ConfigError `media/no-python` where no interpreter may be run by the tools' user; what a source raises.
        """
        view = self._prepared()
        with ExitStack() as closing:
            files = {}
            for name, content in {"code": self._code, **inputs}.items():
                files[name] = sealed_memory_file(content)
                closing.callback(os.close, files[name])
            path = ":".join([f"/proc/self/fd/{files.pop('code')}", *map(str, view.libraries)])
            named = [f"{name}={descriptor}" for name, descriptor in files.items()]
            descriptors = [int(path.split(":")[0].rpartition("/")[2]), *files.values()]
            process = self._confinement.start(
                [view.python, "-I", "-S", "-B", "-c", _START, path, module, *named, *arguments],
                limits=Limits(
                    memory_octets=memory_octets or self._settings.memory_mib * MIB,
                    cpu_seconds=self._settings.wall_seconds,
                    processes=_PROCESSES,
                ),
                inherit=descriptors,
                folders=view.folders,
            )
            closing.callback(end_process, process)
            bounds = Bounds(deadline=deadline, output_octets=output_octets)
            reply = converse(process, source=None, ranges=None, bounds=bounds)
            try:
                status = process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                status = -1
            if status == 0:
                return Answer(output=reply.output, refusal=None)
            # The conversation ends with the output; what was said last on the other stream may still be in its pipe.
            complaint = reply.complaint + (process.stderr.read(1 << 14) or b"").decode("utf-8", "replace")  # type: ignore[union-attr]  # it was started with pipes
        said = _REASON.search(complaint)
        if status == REFUSED and said is not None:
            return Answer(output=b"", refusal=said.group(1))
        raise UnavailableError(
            "media/tool-died",
            "A media tool ended before it had answered; memory or time for one file may not have sufficed. "
            "The original is kept.",
            evidence={"complaint": complaint, "status": status},
        )

    def _prepared(self) -> _View:
        with self._preparing:
            if self._view is None:
                python, seen = _interpreter(self._settings)
                libraries = self._libraries()
                self._view = _View(python=python, folders=(*seen, *libraries), libraries=libraries)
            return self._view

    def _libraries(self) -> tuple[Path, ...]:
        """Give the folders that hold the libraries, where the tools' user can read them."""
        homes: dict[Path, list[str]] = {}
        for package in self._packages:
            spec = importlib.util.find_spec(package)
            if spec is None or spec.origin is None:
                raise ConfigError(
                    "media/no-python",
                    "A Python library that reads documents in the sandbox is not installed. Run scripts/setup.",
                    evidence={"package": package},
                )
            homes.setdefault(Path(spec.origin).parent.parent, []).append(package)
        readable = self._settings.run_as
        return tuple(
            home if readable_by_tools(home, readable) else self._copied(home, names) for home, names in homes.items()
        )

    def _copied(self, home: Path, names: Sequence[str]) -> Path:
        """Copy libraries to where everybody may read, for as long as the confinement lives."""
        known = self._confinement.copies.get((str(home), *names))
        if known is not None:
            return known
        folder = tempfile.TemporaryDirectory(prefix="testigo-libraries-")
        copy = Path(self._confinement.closing.enter_context(folder))
        copy.chmod(0o755)
        for part in (part for name in names for part in (name, f"{name}.libs", *_BESIDE.get(name, ()))):
            if (home / part).is_dir():
                shutil.copytree(home / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        self._confinement.copies[(str(home), *names)] = copy
        for module in (module for name in names for module in home.glob(f"_{name}.*.so")):
            shutil.copy(module, copy / module.name)
        return copy


def _interpreter(settings: MediaSettings) -> tuple[str, list[Path]]:
    """Give an interpreter of our own version that the tools' user may run, and the folders that it needs to see.

    The libraries hold compiled code, which fits one version. The system's own comes first: `/usr` is seen anyway.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    named = _SYSTEM_PYTHON.with_name(f"python{version}")
    for candidate in (named, _SYSTEM_PYTHON):
        if candidate.exists() and _version_of(candidate) == version:
            return str(candidate), []
    base = Path(sys.base_prefix)
    own = base / "bin" / f"python{version}"
    if own.exists() and readable_by_tools(base, settings.run_as):
        return str(own), [base]
    raise ConfigError(
        "media/no-python",
        "Documents are cleaned by a Python of the same version as the archive's own, which the media tools' user must "
        f"be able to run, and there is none. Install Python {version} for all users of this machine.",
    )


def _version_of(python: Path) -> str:
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    told = subprocess.run(  # noqa: S603  # the system's own interpreter, and a question of ours
        [python, "-I", "-S", "-c", ask], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
    )
    return told.stdout.strip()


def _archive_of_code() -> bytes:
    """Pack the child's modules, so that it can import them from a memory file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("media/__init__.py"), "")
        for path in sorted(_CODE.glob("*.py")):
            archive.writestr(zipfile.ZipInfo(f"media/confined/{path.name}"), path.read_bytes())
        for name in _SHARED:
            archive.writestr(zipfile.ZipInfo(f"media/{name}"), (Path(__file__).parent / name).read_bytes())
    return packed.getvalue()
