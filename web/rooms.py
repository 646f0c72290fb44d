"""What the doors reach of the building: the room objects, handed in by the composition root."""

from dataclasses import dataclass, field
from typing import cast

from flask import Flask, current_app

from archive.settings import Settings
from ingest.droplinks import DropLinks
from ingest.handing_over import HandingOver
from ingest.returning import Returning
from ingest.uploads import Uploads
from ingest.visits import Visits
from web.pace import Pace
from web.probes import Probes

_KEY = "testigo"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRooms:
    """The rooms that the doors use. `session_key` signs cookies; it opens nothing."""

    links: DropLinks
    visits: Visits
    uploads: Uploads
    handing_over: HandingOver
    returning: Returning
    session_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    rooms: WebRooms
    settings: Settings
    pace: Pace
    probes: Probes


def keep_rooms(app: Flask, rooms: WebRooms, settings: Settings) -> None:
    """Let the views of this application find its rooms."""
    app.extensions[_KEY] = _Kept(rooms=rooms, settings=settings, pace=Pace(), probes=Probes())


def rooms() -> WebRooms:
    return _kept().rooms


def settings() -> Settings:
    return _kept().settings


def pace() -> Pace:
    return _kept().pace


def probes() -> Probes:
    return _kept().probes


def _kept() -> _Kept:
    return cast(_Kept, current_app.extensions[_KEY])
