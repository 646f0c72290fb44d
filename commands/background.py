"""How the handlers of the rooms become workers; a part of the composition root."""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Protocol

from archive.age.agent import AgentClient
from archive.jobs import JobKind, JobQueue
from archive.types import NewId
from archive.worker import Handler, Worker
from custody.publication import Publisher
from custody.stamping import Stamping


class Parts(Protocol):
    """What of the rooms the workers need."""

    new_id: NewId

    @property
    def jobs(self) -> JobQueue: ...
    @property
    def agent(self) -> AgentClient: ...
    @property
    def publisher(self) -> Publisher: ...
    @property
    def stamping(self) -> Stamping: ...


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
        return self._worker({JobKind.TIMESTAMP: self._rooms.stamping}, settle=lambda: None)

    def _worker(self, handlers: Mapping[JobKind, Handler], *, settle: Callable[[], object]) -> Worker:
        return Worker(
            jobs=self._rooms.jobs,
            handlers=handlers,
            name=f"{os.uname().nodename[:30]}/{os.getpid()}/{self._rooms.new_id().hex[:8]}",
            unlocked=lambda: self._rooms.agent.status() is not None,
            settle=settle,
        )
