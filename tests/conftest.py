"""Shared fixtures: where the independent material lies, and a closed network."""

import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from media.confinement import ConfinementLevel, probe_confinement
from media.options import MediaSettings

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"

CorpusFinder = Callable[[str], Path]


@pytest.fixture(scope="session")
def corpus() -> CorpusFinder:
    """Return a function from a corpus name to its folder; a test whose corpus is not here says so and is skipped."""

    def find(name: str) -> Path:
        folder = CORPORA / name
        if not folder.is_dir():
            pytest.skip(f"corpus {name} is not beside this checkout (../shared/corpora)")
        return folder

    return find


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skip, saying so loudly, where bubblewrap cannot run."""
    status = probe_confinement(MediaSettings())
    if status.level is not ConfinementLevel.BUBBLEWRAP:
        pytest.skip(f"THE SANDBOX WAS NOT TESTED: {status.reason}")


@pytest.fixture(autouse=True)
def closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0] if isinstance(address, tuple) else ""
            if host not in ("127.0.0.1", "::1", "localhost"):
                raise AssertionError(f"a test tried to reach {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the browser tests, which wait more than they work, among the others, so that no process ends with them."""
    waiting: dict[Path, list[pytest.Item]] = {}
    working: dict[Path, list[pytest.Item]] = {}
    for item in items:
        kind = waiting if "web" in item.path.relative_to(Path(__file__).parent).parts else working
        kind.setdefault(item.path, []).append(item)
    spread, left = [], list(waiting.values())
    for count, some in enumerate(working.values()):
        while left and (len(waiting) - len(left)) * 3 * len(working) <= count * 4 * len(waiting):
            spread += left.pop(0)
        spread += some
    items[:] = spread + [item for some in left for item in some]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List, under each reason, the tests that were not run: what nobody tested must not look like what passed."""
    not_run: dict[str, Counter[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        not_run.setdefault(reason.removeprefix("Skipped: "), Counter())[report.nodeid.partition("[")[0]] += 1
    for reason, tests in not_run.items():
        terminalreporter.section(f"NOT RUN: {tests.total()}", red=True, bold=True)
        terminalreporter.line(reason)
        for test, times in tests.items():
            terminalreporter.line(f"  {test}{f'  ({times} cases)' if times > 1 else ''}")
