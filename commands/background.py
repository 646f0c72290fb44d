"""What `cli.py` puts together in more than a line: workers from the handlers of the rooms, the workbench's options."""

import os
from collections.abc import Callable, Mapping

from archive.age.agent import AgentClient
from archive.catalogue.database import Database
from archive.jobs import JobKind, JobQueue
from archive.settings import Confinement
from archive.settings import MediaSettings as Asked
from archive.types import NewId
from archive.vault import Vault
from archive.worker import Handler, Worker
from custody.ledger import Ledger
from custody.register import Register
from ingest.comparing import Comparing
from media.options import MediaSettings
from media.workbench import Workbench


def make_worker(
    jobs: JobQueue,
    agent: AgentClient,
    handlers: Mapping[JobKind, Handler],
    *,
    new_id: NewId,
    settle: Callable[[], object],
) -> Worker:
    """Make a worker with a name that no other has, on this host or another."""
    return Worker(
        jobs=jobs,
        handlers=handlers,
        name=f"{os.uname().nodename[:30]}/{os.getpid()}/{new_id().hex[:8]}",
        unlocked=lambda: agent.status() is not None,
        settle=settle,
    )


def every_handler(
    stamping: Handler,
    database: Database,
    vault: Vault,
    ledger: Ledger,
    register: Register,
    *,
    workbench: Callable[[], Workbench],
    new_id: NewId,
) -> dict[JobKind, Handler]:
    """Give the handler of each kind of work; media tools start when the first job needs them."""
    comparing = Comparing(
        database=database, vault=vault, ledger=ledger, register=register, workbench=workbench, new_id=new_id
    )
    return {JobKind.TIMESTAMP: stamping, JobKind.COMPARE: comparing}


def media_options(asked: Asked) -> MediaSettings:
    """Map the operator's settings to the workbench's own value, which has no settings file."""
    return MediaSettings(
        workers=asked.workers,
        memory_mib=asked.memory_mib,
        wall_seconds=asked.wall_seconds,
        small_file_mib=asked.small_file_mib,
        rlimits_only=asked.confinement is Confinement.RLIMITS_ONLY,
        run_as=asked.run_as,
    )
