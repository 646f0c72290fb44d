"""How the handlers of the rooms become workers; a part of the composition root."""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Protocol

from archive.age.agent import AgentClient
from archive.catalogue.database import Database
from archive.jobs import JobKind, JobQueue
from archive.types import Actor, NewId
from archive.vault import Vault
from archive.worker import Handler, Worker
from custody.ledger import Ledger
from custody.publication import Publisher
from custody.register import Register
from custody.stamping import Stamping
from ingest.comparing import Comparing
from ingest.previewing import Previewing
from media.workbench import Workbench


class Parts(Protocol):
    """What of the rooms the workers need."""

    new_id: NewId

    @property
    def actor(self) -> Actor: ...
    @property
    def jobs(self) -> JobQueue: ...
    @property
    def database(self) -> Database: ...
    @property
    def vault(self) -> Vault: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def workbench(self) -> Workbench: ...
    @property
    def agent(self) -> AgentClient: ...
    @property
    def publisher(self) -> Publisher: ...
    @property
    def stamping(self) -> Stamping: ...
    @property
    def register(self) -> Register: ...


class Workers:
    """The workers of one archive, each made when it is first needed."""

    def __init__(self, rooms: Parts) -> None:
        self._rooms = rooms

    @cached_property
    def stamping(self) -> Worker:
        """Does time-stamps alone: whoever waits for one must not wait for other work."""
        return self._worker({JobKind.TIMESTAMP: self._rooms.stamping}, settle=lambda: None)

    @cached_property
    def every_kind(self) -> Worker:
        """Does all there is, and publishes what was entered."""
        rooms = self._rooms
        previewing = Previewing(
            vault=rooms.vault,
            ledger=rooms.ledger,
            workbench=lambda: rooms.workbench,
            database=rooms.database,
            actor=lambda: rooms.actor,
            new_id=rooms.new_id,
        )
        comparing = Comparing(
            database=rooms.database,
            vault=rooms.vault,
            ledger=rooms.ledger,
            register=rooms.register,
            workbench=lambda: rooms.workbench,
            new_id=rooms.new_id,
        )
        handlers: dict[JobKind, Handler] = {
            JobKind.TIMESTAMP: rooms.stamping,
            JobKind.PREVIEW: previewing,
            JobKind.COMPARE: comparing,
        }
        return self._worker(handlers, settle=rooms.publisher.publish)

    def _worker(self, handlers: Mapping[JobKind, Handler], *, settle: Callable[[], object]) -> Worker:
        return Worker(
            jobs=self._rooms.jobs,
            handlers=handlers,
            name=f"{os.uname().nodename[:30]}/{os.getpid()}/{self._rooms.new_id().hex[:8]}",
            unlocked=lambda: self._rooms.agent.status() is not None,
            settle=settle,
        )
