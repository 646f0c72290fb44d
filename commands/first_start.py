"""A server that finds no archive: it serves the page that sets one up, and the door as soon as one is there."""

import re
import secrets
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, Protocol

from archive.age.recovery import COLUMN_MARK, format_identity, split
from archive.errors import ConflictError
from archive.types import Role
from cli import Asked, Rooms
from commands.setting_up import found_archive
from custody.founding import Founded
from web.setup import HandedOut, Wishes

_SPACES = re.compile(r"(?<=\S) {2,}(?=\d)")
_PATH = "/setup/"
_TOKEN_OCTETS = 32


class Served(Protocol):
    """What a server serves: loaded in its worker, after the fork; closed there."""

    def load(self) -> Any: ...

    def close(self) -> None: ...


class FirstStart:
    """A WSGI application that is the set-up page first and the door afterwards. `token` ends the page's address."""

    def __init__(self, asked: Asked, door: Callable[[Asked], Served]) -> None:
        self.token = secrets.token_urlsafe(_TOKEN_OCTETS)
        self._asked = asked
        self._lock = Lock()
        self._make_door = door
        self._door: Served | None = None
        self._app: Any = None
        self._set_up: Any = None

    def load(self) -> "FirstStart":
        from web import create_setup_app

        settings = Rooms(self._asked).settings
        self._set_up = create_setup_app(self, settings, self.token, self._is_founded, str(self._asked.home))
        return self

    def close(self) -> None:
        """Close the door at the end of the server."""
        if self._door is not None:
            self._door.close()

    def end(self) -> None:
        """Take the set-up page away: the founder has the keys."""
        self._set_up = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        set_up, path = self._set_up, environ.get("PATH_INFO", "")
        if set_up is not None and (path.startswith((_PATH, "/static/")) or not self._is_founded()):
            answer: Iterable[bytes] = set_up(environ, start_response)
            return answer
        found: Iterable[bytes] = self._opened()(environ, start_response)
        return found

    def found(self, wishes: Wishes) -> HandedOut:
        """Found the archive as `testigo init` does. Raises: as `found_archive`; ConflictError `web/set-up-before`."""
        with self._lock:
            if self._is_founded():
                raise ConflictError("web/set-up-before", "This archive is set up already. Nothing was changed.")
            handed: list[HandedOut] = []
            found_archive(
                Rooms(self._asked),
                Role.COORDINATOR,
                wishes.counsel or None,
                wishes.passphrase,
                lambda founded: handed.append(_handed_out(founded, wishes.split)),
            )
        return handed[0]

    def _is_founded(self) -> bool:
        return Rooms(self._asked).catalogue_path.is_file()

    def _opened(self) -> Any:
        with self._lock:
            if self._app is None:
                self._door = self._make_door(self._asked)
                self._app = self._door.load()
            return self._app


def _handed_out(founded: Founded, parts: tuple[int, int] | None) -> HandedOut:
    """Write the keys for the page; what goes wrong here leaves no archive."""
    if parts is None:
        recovery: tuple[str, ...] = (format_identity(founded.recovery),)
    else:
        threshold, total = parts
        shares = split(founded.recovery, threshold=threshold, total=total)
        recovery = tuple(_SPACES.sub(f" {COLUMN_MARK} ", share.format()) for share in shares)
    counsel = format_identity(founded.counsel) if founded.counsel is not None else None
    return HandedOut(account=founded.founder.pseudonym, recovery=recovery, counsel=counsel)
