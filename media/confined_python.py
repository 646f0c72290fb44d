"""Our own Python code on hostile files, run in confinement: a child for each file, which sees code and bytes only.

The child's code is the folder `media/confined`, given as one sealed archive; the files it works on are sealed memory
files; what it makes comes back on its output. It never learns a name. Libraries (pikepdf, lxml) are seen read-only;
where the user that tools run as may not enter their folder (a checkout in root's home), a copy without any
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
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from archive.errors import ConfigError, UnavailableError
from media.confinement import Confinement, Limits, end_process, open_confinement, readable_by_tools
from media.conversation import Bounds, converse
from media.options import MIB, MediaSettings
from media.ranges import RangeSource, sealed_memory_file

REFUSED = 3
_REASON = re.compile(r"^refused: ([a-z0-9-]{1,40})$", re.M)
_CODE = Path(__file__).with_name("confined")
_SYSTEM_PYTHON = Path("/usr/bin/python3")
_PROCESSES = 8
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


class ConfinedPython:
    """Runs modules of `media/confined`; a context manager. `packages` are the libraries that they import.

    Raises: ConfigError `media/cannot-confine`, `media/no-python` where no interpreter may be run by the tools' user.
    """

    def __init__(self, settings: MediaSettings, packages: Sequence[str] = ("pikepdf", "lxml", "packaging")) -> None:
        self._settings = settings
        self._closing = ExitStack()
        try:
            self._python, views = _interpreter(settings)
            libraries = self._libraries(packages, settings)
            views = [*views, *libraries]
            self._confinement: Confinement = self._closing.enter_context(open_confinement(settings, folders=views))
        except BaseException:
            self._closing.close()
            raise
        self._path = [str(folder) for folder in libraries]
        self._code = _archive_of_code()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the confinement and of the copy of the libraries, where one was needed."""
        self._closing.close()

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

        Raises: UnavailableError as `media.conversation` has it, and `media/tool-died` for any end but 0 and 3; what a
        source raises.
        """
        with ExitStack() as closing:
            files = {}
            for name, content in {"code": self._code, **inputs}.items():
                files[name] = sealed_memory_file(content)
                closing.callback(os.close, files[name])
            path = ":".join([f"/proc/self/fd/{files.pop('code')}", *self._path])
            named = [f"{name}={descriptor}" for name, descriptor in files.items()]
            descriptors = [int(path.split(":")[0].rpartition("/")[2]), *files.values()]
            process = self._confinement.start(
                [self._python, "-I", "-S", "-B", "-c", _START, path, module, *named, *arguments],
                limits=Limits(
                    memory_octets=memory_octets or self._settings.memory_mib * MIB,
                    cpu_seconds=self._settings.wall_seconds,
                    processes=_PROCESSES,
                ),
                inherit=descriptors,
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

    def _libraries(self, packages: Sequence[str], settings: MediaSettings) -> list[Path]:
        """Give the folders that hold the libraries, where the tools' user can read them."""
        homes: dict[Path, list[str]] = {}
        for package in packages:
            spec = importlib.util.find_spec(package)
            if spec is None or spec.origin is None:
                raise ConfigError(
                    "media/no-python",
                    "A Python library that reads documents in the sandbox is not installed. Run scripts/setup.",
                    evidence={"package": package},
                )
            origin = Path(spec.origin)
            homes.setdefault(origin.parent.parent, []).append(package)
        folders = []
        for home, names in homes.items():
            if readable_by_tools(home, settings.run_as):
                folders.append(home)
                continue
            copy = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="testigo-libraries-")))
            copy.chmod(0o755)
            for name in names:
                for part in (name, f"{name}.libs"):
                    if (home / part).is_dir():
                        shutil.copytree(home / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            folders.append(copy)
        return folders


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
    return packed.getvalue()
