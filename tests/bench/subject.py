"""One import in a process of its own, through the rooms that `testigo import` uses; prints its figures as JSON.

subject.py HOME INCIDENT SOURCE [--with-metadata]
"""

import json
import sys
import time
from pathlib import Path

from archive.catalogue.incidents import incident_by_number
from ingest.reconciliation import ImportRequest
from tests.bench.composition import FirstBytes, open_rooms


def main(home: str, number: str, source: str, *options: str) -> None:
    rooms = open_rooms(Path(home))
    if "--with-metadata" not in options:
        rooms.workbench = FirstBytes()  # type: ignore[assignment]  # the one part that is exchanged
    with rooms.database.reading() as session:
        incident, _ = incident_by_number(session, number)
    request = ImportRequest(source=Path(source), incident=incident, actor=rooms.actor, claims={})
    batch_import = rooms.batch_import
    wall, cpu = time.perf_counter(), time.process_time()
    closing = batch_import.run(batch_import.begin(request), request, lambda _step: None)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rooms.close()
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_kib": _peak_kib(), "stored": closing.stored}))


def _peak_kib() -> int:
    """The most memory that this program held; `getrusage` counts what the bench itself held when it started it, too."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
