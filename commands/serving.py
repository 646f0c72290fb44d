"""`serve`, and the application that it serves."""

import ctypes
import hashlib
import hmac
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archive.access import Action, require
from archive.catalogue.accounts import read_secret
from archive.errors import ConfigError
from cli import Asked, Rooms
from commands.door import common
from commands.drop_rooms import DropRooms
from commands.talk import Talk

if TYPE_CHECKING:
    from flask import Flask

_GRACE_S = 30
_M_ARENA_MAX = -8
_LOOPBACK = ("127.", "[::1]", "localhost", "unix:")


def application(rooms: Rooms, drop: DropRooms) -> "Flask":
    """Put the doors before the rooms of one archive."""
    from web import WebRooms, create_app

    with rooms.database.reading() as session:
        intake_key = read_secret(session, "intake-key")
    session_key = hmac.digest(intake_key, b"testigo web session\0", hashlib.sha256)
    web_rooms = WebRooms(
        links=drop.links,
        visits=drop.visits,
        uploads=drop.uploads,
        handing_over=drop.handing_over,
        returning=drop.returning,
        session_key=session_key,
    )
    return create_app(web_rooms, rooms.settings, rooms.clock)


@click.command("serve")
@click.option("--listen", help="Address and port (default from the settings; loopback).")
@click.option("--threads", type=click.IntRange(4, 1024), help="Requests at once (default from the settings).")
@common
def serve(rooms: Rooms, listen: str | None, threads: int | None) -> int:
    """Open the door for observers: drop links, uploads, receipts.

    \b
    Example:
      testigo serve --listen 127.0.0.1:8080
    """
    talk = Talk(rooms.asked)
    require(rooms.actor, Action.RUN_JOBS)
    web = rooms.settings.web
    address = listen or web.listen
    if not address.startswith(_LOOPBACK):
        talk.warn("This address is reached from the network without TLS. Put a proxy in front (docs/operations.md).")
    _ = rooms.present_key_files, rooms.store  # What is missing is told now, not to the first observer.
    talk.say(f"Serving on http://{address} (end with Ctrl-C).")
    rooms.close()  # Nothing that is open may cross the fork.
    run_server(rooms.asked, rooms.run_folder, address, threads or web.threads)
    return 0


def run_server(asked: Asked, run_folder: Path, address: str, threads: int) -> None:
    """Run gunicorn in this process until it is told to end.

    The rooms are built after the fork, in the worker: nothing that is open may cross it.
    """
    from gunicorn.app.base import BaseApplication

    _share_memory()
    rooms = Rooms(asked)
    drop = DropRooms(rooms)

    class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
        def load_config(self) -> None:
            for name, value in _options(run_folder, address, threads).items():
                self.cfg.set(name, value)
            self.cfg.set("worker_exit", lambda _server, _worker: _close(rooms, drop))

        def load(self) -> Any:
            return application(rooms, drop)

    Server().run()


def _share_memory() -> None:
    """Have all threads take memory from two places; by itself the C library keeps one for each and gives none back."""
    with suppress(AttributeError, OSError):  # Not every C library has this, and none needs it.
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _close(rooms: Rooms, drop: DropRooms) -> None:
    """Let what is being made an item come to its end, then give back what was opened."""
    drop.close()
    rooms.close()


def _options(run_folder: Path, address: str, threads: int) -> dict[str, Any]:
    # gunicorn keeps a heartbeat file per worker; like everything of ours it lies in the archive's own folder.
    if not os.access(run_folder, os.W_OK):
        raise ConfigError("web/no-run-folder", "The archive's run folder cannot be written. Nothing was started.")
    return {
        "bind": address,
        "worker_class": "gthread",
        "workers": 1,
        "threads": threads,
        "worker_connections": threads * 4,
        "graceful_timeout": _GRACE_S,
        "timeout": 120,
        "keepalive": 15,
        "worker_tmp_dir": str(run_folder),
        "control_socket_disable": True,
        "accesslog": None,  # Who came from where is written nowhere.
        "errorlog": "-",
        "loglevel": "warning",
        "forwarded_allow_ips": "",
        "proc_name": "testigo",
    }


COMMANDS: dict[str, click.Command] = {"serve": serve}
