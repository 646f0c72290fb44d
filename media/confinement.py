"""Every media tool runs here: without network, keys or write access, with limits on memory, time, processes and output.

A tool reads hostile files, so it is taken for hostile itself. What holds it, from the outside in:

1. Started as root, it becomes an unprivileged user first, because the limit on processes does not bind root.
2. Limits on address space, processor time, file size (nothing may be written) and open files; no core dump.
3. bubblewrap: own user, process, network, IPC and host-name spaces; a read-only `/usr` and nothing else of this
   machine; no capability; no further user namespace; death when the archive's process dies.
4. A filter of system calls (`system_calls.py`), for what no namespace divides: keyrings, sockets to a machine beneath.
5. A limit on processes, counted inside that user namespace.
6. The caller's deadline and output limit (`conversation.py`), and the end of the whole group.

It refuses to know what a tool says. Where bubblewrap cannot run, starting is refused unless the settings accept limits
alone; those leave the tool able to read what its user may read and to reach the network.
"""

import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from archive.errors import ConfigError, UnavailableError
from media.options import MIB, MediaSettings
from media.ranges import sealed_memory_file
from media.system_calls import filter_program

_PROBE_SECONDS = 10
_END_SECONDS = 5
_SANDBOX_TMP_OCTETS = 1 << 20
_PROCESSES_OF_THE_USER = 512
"""Where no user namespace counts a tool's processes apart: all that its user runs, threads too, are counted as one."""
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "TZ": "UTC"}
_TOP_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_LOOKED_UP = ("/etc/ld.so.cache", "/etc/alternatives")


class ConfinementLevel(StrEnum):
    """What holds a tool."""

    BUBBLEWRAP = "bubblewrap"
    RLIMITS_ONLY = "rlimits-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfinementStatus:
    """What this machine can do, for `doctor` and for start-up. `level` is None where tools must not run at all."""

    level: ConfinementLevel | None
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process of a tool may use. `processes` are counted over the whole sandbox, where there is one."""

    memory_octets: int
    cpu_seconds: int
    processes: int = 16
    open_files: int = 64
    written_octets: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What stands before a tool's own command line, in two parts: a filter of system calls goes between them."""

    before: Sequence[str]
    after: Sequence[str]


Process = subprocess.Popen[bytes]


class Confinement:
    """Starts tools at one level; a context manager.

    One thread of its own starts them all: the kernel ties "die with your parent" to the thread that started a process,
    and the threads that ask for files to be examined come and go.
    """

    def __init__(self, level: ConfinementLevel, *, run_as: str, tools: Sequence[Path] = ()) -> None:
        self.level = level
        self._user = _unprivileged_user(run_as) if os.geteuid() == 0 else None
        self._prlimit = find_tool("prlimit")
        self._setpriv = find_tool("setpriv")
        self._bwrap = find_tool("bwrap") if level is ConfinementLevel.BUBBLEWRAP else None
        self._call_filter = filter_program(os.uname().machine) if self._bwrap else None
        self._folders = tuple(tool.resolve().parent for tool in tools)
        self.closing = ExitStack()
        """What lives as long as this confinement and no longer."""
        self.copies: dict[tuple[str, ...], Path] = {}
        """Copies of libraries that the tools' user could not reach where they lie."""
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="confinement")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the starting thread go; whatever still runs dies with it."""
        self._starter.shutdown(wait=True)
        self.closing.close()

    def start(
        self,
        command: Sequence[str],
        *,
        limits: Limits,
        inherit: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        folders: Sequence[Path] = (),
    ) -> Process:
        """Start a tool with pipes for its three streams; it inherits nothing else but the descriptors named.

        Beside `/usr` and the folders of the tools it sees `folders`, read-only.

        Raises: UnavailableError `media/cannot-start`.
        """
        variables = _ENVIRONMENT | dict(environment or {})
        line = self._command_line(limits, variables, folders)
        # bubblewrap reads the filter to its end, so each start needs one of its own.
        calls = sealed_memory_file(self._call_filter) if self._call_filter else None
        try:
            filtering = [] if calls is None else ["--seccomp", str(calls)]
            whole = [*line.before, *filtering, *line.after, *command]
            passed = inherit if calls is None else (*inherit, calls)
            return self._starter.submit(self._open, whole, variables, passed).result()
        except OSError as error:
            raise UnavailableError(
                "media/cannot-start",
                "A media tool could not be started; memory or processes may have run out. The originals are kept.",
                evidence={"errno": error.errno},
            ) from error
        finally:
            if calls is not None:
                os.close(calls)

    def _open(self, line: Sequence[str], variables: Mapping[str, str], inherit: Sequence[int]) -> Process:
        return subprocess.Popen(  # noqa: S603  # the whole line is made here, from names that we chose
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=variables,
            pass_fds=tuple(inherit),
            start_new_session=True,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=() if self._user else None,
        )

    def _command_line(self, limits: Limits, variables: Mapping[str, str], folders: Sequence[Path]) -> "_Line":
        line = [
            self._prlimit,
            "--core=0",
            f"--as={limits.memory_octets}",
            f"--cpu={limits.cpu_seconds}",
            f"--fsize={limits.written_octets}",
            f"--nofile={limits.open_files}",
            "--",
        ]
        if self._bwrap is None:
            # The count stops a bomb only: a tool's own few would forbid it what its neighbours have started.
            held = [self._setpriv, "--no-new-privs", "--pdeathsig", "KILL", "--"]
            bounded = [self._prlimit, f"--nproc={_PROCESSES_OF_THE_USER}", "--"] if self._user else []
            return _Line(before=line, after=[*bounded, *held])
        line += [self._bwrap, "--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent"]
        line += ["--new-session", "--cap-drop", "ALL", "--clearenv", *_read_only_view((*self._folders, *folders))]
        for name, value in variables.items():
            line += ["--setenv", name, value]
        return _Line(before=line, after=["--chdir", "/", "--", self._prlimit, f"--nproc={limits.processes}", "--"])


def end_process(process: Process) -> None:
    """Kill a tool with its whole group, wait for it, close its streams. Inside bubblewrap nobody survives."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        pass  # It waits for the kernel, unkillable; its limits still hold it.
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def probe_confinement(settings: MediaSettings) -> ConfinementStatus:
    """Try what this machine can do, by running the smallest tool the way the others are run."""
    failure = _try_level(ConfinementLevel.BUBBLEWRAP, settings)
    if failure is None:
        return ConfinementStatus(
            level=ConfinementLevel.BUBBLEWRAP, reason="Media tools run inside bubblewrap, with limits.", remedy=""
        )
    remedy = (
        "Install bubblewrap and allow unprivileged user namespaces (outside a container, or in one that permits them). "
        'Where that cannot be, the setting media.confinement = "rlimits-only" accepts limits without a sandbox: a file '
        "that takes over a tool could then read what the tool's user may read and reach the network."
    )
    if not settings.rlimits_only:
        return ConfinementStatus(level=None, reason=f"bubblewrap cannot run here: {failure}", remedy=remedy)
    second = _try_level(ConfinementLevel.RLIMITS_ONLY, settings)
    if second is not None:
        return ConfinementStatus(level=None, reason=f"Not even limits can be set here: {second}", remedy=remedy)
    return ConfinementStatus(
        level=ConfinementLevel.RLIMITS_ONLY,
        reason=f"Media tools run WITHOUT a sandbox, with resource limits alone. bubblewrap cannot run here: {failure}",
        remedy=remedy,
    )


def open_confinement(settings: MediaSettings, tools: Sequence[Path] = ()) -> Confinement:
    """Give the strongest confinement that works here and that the settings accept.

    Raises: ConfigError `media/cannot-confine`, saying what to do.
    """
    status = probe_confinement(settings)
    if status.level is None:
        raise ConfigError("media/cannot-confine", f"{status.reason} {status.remedy}")
    return Confinement(status.level, run_as=settings.run_as, tools=tools)


def find_tool(name: str) -> str:
    """Give the absolute path of a program. Raises: ConfigError `media/tool-missing`."""
    found = shutil.which(name)
    if found is None:
        raise ConfigError(
            "media/tool-missing",
            f"The program {Path(name).name} is not installed. "
            "On Debian: apt install libimage-exiftool-perl ffmpeg bubblewrap.",
            evidence={"tool": name},
        )
    return str(Path(found).absolute())


def readable_by_tools(folder: Path, run_as: str) -> bool:
    """Tell whether the user that tools run as can enter a folder and read in it."""
    if os.geteuid() != 0:
        return os.access(folder, os.R_OK | os.X_OK)
    user = _unprivileged_user(run_as)
    return all(_may(user, each, stat.S_IXOTH) for each in folder.parents) and _may(
        user, folder, stat.S_IROTH | stat.S_IXOTH
    )


def _may(user: pwd.struct_passwd, folder: Path, wanted: int) -> bool:
    """Tell from the bits for others, or for the owner where that is the user; groups are given up before the start."""
    known = folder.stat()
    bits = known.st_mode >> 6 if known.st_uid == user.pw_uid else known.st_mode
    return bits & wanted == wanted


def _try_level(level: ConfinementLevel, settings: MediaSettings) -> str | None:
    """Give None if a tool runs at this level, else why it does not."""
    limits = Limits(memory_octets=settings.memory_mib * MIB, cpu_seconds=_PROBE_SECONDS)
    try:
        with Confinement(level, run_as=settings.run_as) as confinement:
            process = confinement.start([find_tool("true")], limits=limits)
            try:
                _, complaint = process.communicate(timeout=_PROBE_SECONDS)
            finally:
                end_process(process)
    except (ConfigError, UnavailableError) as error:
        return error.message
    except subprocess.TimeoutExpired:
        return "it did not answer."
    if process.returncode == 0:
        return None
    lines = complaint.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else f"it ended with status {process.returncode}."


def _unprivileged_user(name: str) -> pwd.struct_passwd:
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(
            "media/no-such-user",
            "The user that media tools are to run as does not exist. Make it, or name another in the settings.",
            evidence={"user": name},
        ) from None
    if user.pw_uid == 0:
        raise ConfigError("media/no-such-user", "Media tools must not run as root. Name another user in the settings.")
    return user


def _read_only_view(folders: Sequence[Path]) -> list[str]:
    """Say what a tool sees: the programs and libraries of this machine, a tiny scratch folder, nothing of anybody's."""
    view = ["--ro-bind", "/usr", "/usr"]
    for name in _TOP_FOLDERS:
        folder = Path("/", name)
        if folder.is_symlink():
            view += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            view += ["--ro-bind", str(folder), str(folder)]
    for path in _LOOKED_UP:
        view += ["--ro-bind-try", path, path]
    view += ["--proc", "/proc", "--dev", "/dev"]
    view += ["--size", str(_SANDBOX_TMP_OCTETS), "--tmpfs", "/tmp"]  # noqa: S108  # the sandbox's own, in memory
    for folder in sorted(set(folders)):
        if not folder.is_relative_to("/usr"):
            view += ["--ro-bind", str(folder), str(folder)]
    return [*view, "--remount-ro", "/dev", "--remount-ro", "/"]
