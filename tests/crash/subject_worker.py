"""The worker as a subject: run it over an archive with waiting previews, until nothing is left or it is killed.

Run as a program: `subject_worker.py HOME LEASE_SECONDS`. It is the command line's own worker with a shorter lease, so
that a test need not wait a minute for each job of a killed one.
"""

import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

from archive.jobs import Job, JobQueue, JobState
from cli import Asked, Rooms, utc_now


def open_rooms(home: Path, lease: timedelta) -> Rooms:
    asked = Asked(home=home, config=None, json=False, quiet=True, yes=True, dry_run=False, explain=False)
    rooms = Rooms(asked)
    rooms.clock = utc_now
    rooms.jobs = partial(JobQueue, lease=lease)(rooms.database, rooms.clock)
    return rooms


def main() -> None:
    rooms = open_rooms(Path(sys.argv[1]), timedelta(seconds=float(sys.argv[2])))

    def watch(job: Job, state: JobState, words: str) -> None:
        print(job.subject, state, words, flush=True)

    print("begun", flush=True)
    rooms.workers.every_kind.work(watch)
    rooms.close()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
