"""`serve`, and the application that it serves."""

import ctypes
import gc
import hashlib
import hmac
import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archive.access import Action, require
from archive.catalogue.accounts import read_secret
from archive.errors import ConfigError, InputError
from cli import Asked, Rooms
from commands.door import common
from commands.drop_rooms import DropRooms
from commands.setting_up import own_folder
from commands.talk import Talk

if TYPE_CHECKING:
    from flask import Flask

    from commands.first_start import Served

_GRACE_S = 30
_OPEN_FILES = 16384
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
    return create_app(web_rooms, rooms.settings)


@click.command("serve")
@click.option("--listen", help="Address and port (default from the settings; loopback).")
@click.option("--threads", type=click.IntRange(4, 1024), help="Requests at once (default from the settings).")
@click.option("--set-up-from-network", is_flag=True, help="Let a first start be set up from another machine.")
@common
def serve(rooms: Rooms, listen: str | None, threads: int | None, set_up_from_network: bool) -> int:
    """Open the door for observers: drop links, uploads, receipts.

    Where there is no archive yet, a page sets one up; its address is printed here, once.

    \b
    Example:
      testigo serve --listen 127.0.0.1:8080
    """
    talk = Talk(rooms.asked)
    web = rooms.settings.web
    address = listen or web.listen
    if not rooms.places.has_begun():
        return _first_start(rooms, address, threads or web.threads, from_network=set_up_from_network)
    require(rooms.actor, Action.RUN_JOBS)
    if not address.startswith(_LOOPBACK):
        talk.warn("This address is reached from the network without TLS. Put a proxy in front (docs/operations.md).")
    _ = rooms.present_key_files, rooms.store  # What is missing is told now, not to the first observer.
    talk.say(f"Serving on http://{address} (end with Ctrl-C).")
    rooms.close()  # Nothing that is open may cross the fork.
    run_server(Door(rooms.asked), rooms.run_folder, address, threads or web.threads)
    return 0


def _first_start(rooms: Rooms, address: str, threads: int, *, from_network: bool) -> int:
    """Serve the page that sets up an archive, and the door once it is there.

    Raises: InputError `web/set-up-on-loopback`.
    """
    from commands.first_start import FirstStart

    talk = Talk(rooms.asked)
    if address.startswith("unix:") or not (from_network or address.startswith(_LOOPBACK)):
        raise InputError(
            "web/set-up-on-loopback",
            "There is no archive here yet, and the page that sets one up shows its keys: not over a network. Nothing "
            "was made. Serve on 127.0.0.1 for this once, or use `testigo init`; --set-up-from-network insists.",
        )
    own_folder(rooms.home)
    start = FirstStart(rooms.asked, Door)
    talk.say(f"There is no archive in {rooms.home} yet. To set it up, open this address, once, in a browser here:")
    talk.say(f"  http://{address}/setup/{start.token}")
    talk.say("Whoever has the address can set it up. End with Ctrl-C.")
    run_server(start, rooms.home, address, threads)
    return 0


class Door:
    """The door of an archive that is there. Nothing of it is opened before `load`: nothing open may cross the fork."""

    def __init__(self, asked: Asked) -> None:
        self._rooms = Rooms(asked)
        self._drop = DropRooms(self._rooms)

    def load(self) -> "Flask":
        return application(self._rooms, self._drop)

    def close(self) -> None:
        """Let what is being made an item come to its end, then give back what was opened."""
        self._drop.close()
        self._rooms.close()


def run_server(served: "Served", run_folder: Path, address: str, threads: int) -> None:
    """Run gunicorn in this process until it is told to end."""
    from gunicorn.app.base import BaseApplication

    _share_memory()

    class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
        def load_config(self) -> None:
            for name, value in _options(run_folder, address, threads).items():
                self.cfg.set(name, value)
            self.cfg.set("worker_exit", lambda _server, _worker: served.close())

        def load(self) -> Any:
            loaded = served.load()
            gc.freeze()  # What was loaded stays: no collection goes through it again.
            return loaded

    Server().run()


def _share_memory() -> None:
    """Have all threads take memory from two places; by itself the C library keeps one for each and gives none back."""
    with suppress(AttributeError, OSError):  # Not every C library has this, and none needs it.
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _options(run_folder: Path, address: str, threads: int) -> dict[str, Any]:
    # gunicorn keeps a heartbeat file per worker; like everything of ours it lies in the archive's own folder.
    if not os.access(run_folder, os.W_OK):
        raise ConfigError("web/no-run-folder", "The archive's run folder cannot be written. Nothing was started.")
    return {
        "bind": address,
        "worker_class": "commands.patience.PatientWorker",
        "logger_class": "commands.patience.QuietLogger",
        "workers": 1,
        "threads": threads,
        "worker_connections": _connections(),
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


def _connections() -> int:
    """Open as many files as this process may; return how many connections that allows. One that waits costs little."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(hard if hard != resource.RLIM_INFINITY else _OPEN_FILES, _OPEN_FILES)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most) // 2


COMMANDS: dict[str, click.Command] = {"serve": serve}
