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
from tests.memory import own_peak_kib


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
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_kib": own_peak_kib(), "stored": closing.stored}))


if __name__ == "__main__":
    main(*sys.argv[1:])
