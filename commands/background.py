"""How the handlers of the rooms become workers; a part of the composition root."""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Protocol

from archive.age.agent import AgentClient
from archive.catalogue.database import Database
from archive.durable import make_folder_durably
from archive.jobs import JobKind, JobQueue
from archive.settings import Settings
from archive.types import Actor, Clock, NewId
from archive.vault import Vault
from archive.worker import Handler, Worker
from custody.ledger import Ledger
from custody.publication import Publisher
from custody.register import Register
from custody.stamping import Stamping
from ingest.arrival import ArrivalKey
from ingest.comparing import Comparing
from ingest.finishing import Finishing
from ingest.following import Following
from ingest.intake import Intake
from ingest.previewing import Previewing
from ingest.rescuing import Rescuing
from media.workbench import Workbench


class Parts(Protocol):
    """What of the rooms the workers need."""

    new_id: NewId
    clock: Clock

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
    @property
    def uploads_folder(self) -> Path: ...
    @property
    def intake(self) -> Intake: ...
    @property
    def settings(self) -> Settings: ...


class Workers:
    """The workers of one archive, each made when it is first needed."""

    def __init__(self, rooms: Parts) -> None:
        self._rooms = rooms

    @cached_property
    def rescue(self) -> Rescuing:
        """Finds the uploads whose senders are gone, and is the handler of their jobs."""
        rooms = self._rooms
        root = rooms.uploads_folder
        make_folder_durably(root)
        finishing = Finishing(
            root=root,
            database=rooms.database,
            ledger=rooms.ledger,
            intake=rooms.intake,
            arrival=ArrivalKey(rooms.database, rooms.ledger.keyrings),
            following=Following(root=root, intake=rooms.intake, room=lambda: 0),  # Nothing arrives here.
        )
        return Rescuing(
            root=root,
            database=rooms.database,
            ledger=rooms.ledger,
            vault=rooms.vault,
            jobs=rooms.jobs,
            finishing=finishing,
            actor=lambda: rooms.actor,
            unfinished=timedelta(hours=rooms.settings.ingest.unfinished_hours),
            clock=rooms.clock,
        )

    @cached_property
    def stamping(self) -> Worker:
        """Does time-stamps alone: whoever waits for one must not wait for other work."""
        return self._worker({JobKind.TIMESTAMP: self._rooms.stamping}, settle=lambda: None)

    @cached_property
    def rescuing(self) -> Worker:
        """Makes items of what vanished senders left, alone: an unlock does not wait for other work."""
        return self._worker({JobKind.RESCUE: self.rescue}, settle=self._rooms.publisher.publish)

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
            JobKind.RESCUE: self.rescue,
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
