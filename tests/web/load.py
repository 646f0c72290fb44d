"""Many phones at once over the real server: what each waits, what the server holds. Run by a long test, and by hand."""

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.web.cutting_proxy import CuttingProxy
from tests.web.served import Served, new_token

_PIECE = 1 << 20


@dataclass
class Load:
    """What was measured. Units: seconds, octets, mebibytes."""

    errors: list[str] = field(default_factory=list)
    heads: list[float] = field(default_factory=list)
    memory_mib: float = 0.0
    seconds: float = 0.0
    fast_rate: float = 0.0

    def p99(self) -> float:
        return sorted(self.heads)[int(len(self.heads) * 0.99)] if self.heads else 0.0


def run_load(served: Served, *, phones: int, size: int, rate: float) -> Load:
    """Have many phones send at once, each at its own rate, one fast client beside them, and someone asking HEAD."""
    load, over = Load(), threading.Event()
    data = os.urandom(size)
    begun = time.monotonic()
    threads = [threading.Thread(target=_phone, args=(served, load, data, rate)) for _ in range(phones)]
    fast = threading.Thread(target=_fast, args=(served, load))
    beside = [threading.Thread(target=each, args=(served, load, over)) for each in (_ask, _watch)]
    for thread in [*threads, fast, *beside]:
        thread.start()
    for thread in [*threads, fast]:
        thread.join()
    load.seconds = time.monotonic() - begun
    over.set()
    for thread in beside:
        thread.join()
    return load


def _phone(served: Served, load: Load, data: bytes, rate: float) -> None:
    try:
        with CuttingProxy(served.port, up_rate=rate) as line:
            answer = served.create(len(data), new_token())
            if answer.status != 201:
                load.errors.append(f"create: {answer.status}")
                return
            where, offset = answer.headers["Location"], 0
            near = Served.__new__(Served)
            near.port = line.port
            while offset < len(data):
                answer = near.patch(where, offset, data[offset : offset + _PIECE])
                if answer.status != 204:
                    load.errors.append(f"patch: {answer.status}")
                    return
                offset = int(answer.headers["Upload-Offset"])
    except OSError as error:
        load.errors.append(repr(error))


def _fast(served: Served, load: Load) -> None:
    data = os.urandom(32 << 20)
    where = served.create(len(data), new_token()).headers["Location"]
    begun = time.monotonic()
    answer = served.patch(where, 0, data)
    load.fast_rate = len(data) / (time.monotonic() - begun)
    if answer.status != 204:
        load.errors.append(f"fast: {answer.status}")


def _ask(served: Served, load: Load, over: threading.Event) -> None:
    where = served.create(1000, new_token()).headers["Location"]
    while not over.is_set():
        begun = time.monotonic()
        if served.head(where).status != 200:
            load.errors.append("head")
        load.heads.append(time.monotonic() - begun)
        time.sleep(0.05)


def _watch(served: Served, load: Load, over: threading.Event) -> None:
    """Add up the server's own memory: its processes, not the media tools that it starts."""
    assert served.process is not None
    leader = served.process.pid
    while not over.is_set():
        total = 0
        for path in Path("/proc").glob("[0-9]*"):
            try:
                status = (path / "status").read_text()
                command = (path / "cmdline").read_bytes()
            except OSError:
                continue
            if f"\nPPid:\t{leader}\n" in status or f"\nPid:\t{leader}\n" in status:
                if b"cli.py" in command:
                    total += int(status.partition("VmRSS:")[2].split()[0])
        load.memory_mib = max(load.memory_mib, total / 1024)
        time.sleep(0.2)
