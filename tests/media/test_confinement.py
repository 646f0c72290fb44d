"""A tool is taken for hostile: what it tries is held, as root and as an ordinary user."""

import os
import pickle
import pwd
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from media.confinement import Confinement, ConfinementLevel, Limits, end_process, find_tool
from tests.media import probes

pytestmark = pytest.mark.usefixtures("sandbox")

LIMITS = Limits(memory_octets=768 << 20, cpu_seconds=1)
MARKER = "4f1c5b-marker-of-a-secret"
Ran = tuple[int, str, str]


def _run(code: str) -> Ran:
    """Run a Perl program confined; give its status, output and complaint."""
    with Confinement(ConfinementLevel.BUBBLEWRAP, run_as="nobody") as confinement:
        process = confinement.start([find_tool("perl"), "-e", code], limits=LIMITS)
        try:
            output, complaint = process.communicate(timeout=30)
        finally:
            end_process(process)
    return process.returncode, output.decode(), complaint.decode()


def _as_ordinary_user(work: Callable[[], Ran]) -> Ran:
    """Run `work` in a child that has stopped being root, which it cannot become again."""
    if os.geteuid() != 0:
        return work()
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            user = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os.write(sending, pickle.dumps(work()))
            status = 0
        finally:
            os._exit(status)
    os.close(sending)
    with os.fdopen(receiving, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    assert answer, "the child that is an ordinary user could not run the tool"
    result: Ran = pickle.loads(answer)  # noqa: S301  # our own child wrote it
    return result


def _as_root(work: Callable[[], Ran]) -> Ran:
    if os.geteuid() != 0:
        pytest.skip("not started as root, so dropping from root was not tested")
    return work()


STARTED_AS = {"root": _as_root, "ordinary user": _as_ordinary_user}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prey:
    """What there is to reach outside, if the confinement fails."""

    home: Path
    secret: Path
    port: int
    abstract: str


@pytest.fixture(scope="module")
def prey() -> Iterator[Prey]:
    abstract = f"testigo-probe-{os.getpid()}"
    with (
        tempfile.TemporaryDirectory() as name,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as nameless,
    ):
        # Every user may read and write it: nothing but the confinement keeps a tool out.
        home, secret = Path(name), Path(name, "key")
        home.chmod(0o777)
        secret.write_text(MARKER)
        secret.chmod(0o666)
        nameless.bind(f"\0{abstract}")
        nameless.listen()
        yield Prey(home=home, secret=secret, port=server.getsockname()[1], abstract=abstract)


@pytest.fixture(scope="module", params=sorted(STARTED_AS))
def findings(request: pytest.FixtureRequest, prey: Prey) -> dict[str, str]:
    """Try every quiet probe in one confined program."""
    code = probes.quiet_program(
        probes.QUIET_PROBES,
        port=prey.port,
        abstract=prey.abstract,
        secret=prey.secret,
        home=prey.home,
        parent=os.getpid(),
        marker=MARKER,
        outside="192.0.2.1",
    )
    os.environ["TESTIGO_PROBE_SECRET"] = MARKER
    try:
        status, output, complaint = STARTED_AS[request.param](lambda: _run(code))
    finally:
        del os.environ["TESTIGO_PROBE_SECRET"]
    assert status == 0, complaint
    return dict(line.rsplit(": ", 1) for line in output.splitlines())


@pytest.mark.parametrize("probe", probes.QUIET_PROBES)
def test_a_tool_that_was_taken_over_is_held(findings: dict[str, str], probe: str) -> None:
    assert findings[probe] == "HELD"


def test_the_probes_do_escape_where_nothing_holds_them(prey: Prey) -> None:
    harmless = [
        "connects to a service of this machine",
        "connects to a socket without a file",
        "reads a key of the archive",
        "reads the accounts of this machine",
        "writes into the home of the archive",
        "sees the process of the archive",
        "signals the process of the archive",
        "can gain privileges",
        "asks the kernel of its network by a socket",
    ]
    values = {"abstract": prey.abstract, "secret": prey.secret, "home": prey.home, "marker": MARKER}
    code = probes.quiet_program(harmless, port=prey.port, parent=os.getpid(), **values)
    free = subprocess.run([find_tool("perl"), "-e", code], capture_output=True, text=True, check=True, timeout=30)
    found = dict(line.rsplit(": ", 1) for line in free.stdout.splitlines())
    assert found == dict.fromkeys(harmless, "ESCAPED")


@pytest.mark.parametrize("started_as", sorted(STARTED_AS))
def test_a_fork_bomb_stops_early_and_leaves_nothing_behind(started_as: str) -> None:
    _, output, _ = STARTED_AS[started_as](lambda: _run(probes.FORK_BOMB))
    assert int(output or 0) < LIMITS.processes
    time.sleep(0.1)
    assert not _processes_with(probes.FORK_BOMB_NAME)


@pytest.mark.parametrize("started_as", sorted(STARTED_AS))
def test_a_gibibyte_of_memory_is_refused(started_as: str) -> None:
    status, output, _ = STARTED_AS[started_as](lambda: _run(probes.MEMORY))
    assert status != 0
    assert output == ""


@pytest.mark.parametrize("started_as", sorted(STARTED_AS))
def test_an_endless_loop_ends_by_its_processor_time(started_as: str) -> None:
    status, _, _ = STARTED_AS[started_as](lambda: _run(probes.BUSY_LOOP))
    assert status != 0


def test_the_limit_on_processes_counts_only_what_runs_in_the_sandbox() -> None:
    def crowded() -> Ran:
        crowd = [subprocess.Popen(["sleep", "20"]) for _ in range(LIMITS.processes * 2)]
        try:
            return _run("print 'started'")
        finally:
            for process in crowd:
                process.kill()
                process.wait()

    _, output, complaint = _as_ordinary_user(crowded)
    assert output == "started", complaint


def test_ending_a_tool_ends_everything_that_it_started(confinement: Confinement) -> None:
    sleep = "sleep 31.41592653"
    process = confinement.start(["/bin/sh", "-c", f"setsid {sleep} & setsid {sleep} & echo up; wait"], limits=LIMITS)
    assert process.stdout is not None
    assert process.stdout.read(2) == b"up"
    assert _processes_with("31.41592653")
    end_process(process)
    time.sleep(0.1)
    assert not _processes_with("31.41592653")


def test_a_tool_outlives_the_thread_that_asked_for_it(confinement: Confinement) -> None:
    with ThreadPoolExecutor(max_workers=1) as brief:
        process = brief.submit(confinement.start, ["/bin/cat"], limits=LIMITS).result()
    time.sleep(0.1)
    try:
        assert process.poll() is None
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"alive")
        assert process.stdout.read(5) == b"alive"
    finally:
        end_process(process)


def _processes_with(text: str) -> list[str]:
    """Give the command lines on this machine that hold a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            if text in line:
                found.append(line)
    return found
