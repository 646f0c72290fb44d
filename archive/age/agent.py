"""The key agent, from outside: starting it, and asking it.

`start_agent` leaves a process behind that alone holds the vault identity (`agent_process`); `AgentClient` is how the
command line and the web workers get owner keys from it. Where no agent runs, the archive is locked.
"""

import base64
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NoReturn, Self
from uuid import UUID

from archive.age.agent_process import AgentProcess, Guard, Owns, Permit, leave_session
from archive.age.agent_wire import check_peer, no_answer, parse_error, read_line, send_line, socket_address
from archive.age.recipients import KeyIdentity, parse_identity
from archive.errors import AccessError, ConfigError, ConflictError, InputError, LockedError
from archive.types import Clock, parse_utc

__all__ = ["AgentClient", "AgentStatus", "Permit", "Owns", "start_agent"]

_START_S = 30.0
_ANSWER_S = 60.0
_BACKLOG = 128
_KEYS_AT_ONCE = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """A running agent. `memory_locked` tells whether its memory is kept from swap; `given` counts keys given out."""

    pid: int
    recipient: str
    since: datetime
    until: datetime
    memory_locked: bool
    given: int

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read what the agent says. Raises: UnavailableError `keys/agent-no-answer`."""
        match value:
            case {
                "pid": int(pid),
                "recipient": str(recipient),
                "since": str(since),
                "until": str(until),
                "memory_locked": bool(memory_locked),
                "given": int(given),
            }:
                with suppress(ValueError):
                    return cls(
                        pid=pid,
                        recipient=recipient,
                        since=parse_utc(since),
                        until=parse_utc(until),
                        memory_locked=memory_locked,
                        given=given,
                    )
        raise no_answer()


class AgentClient:
    """Asks the agent at `socket_path`. Holds nothing open; several threads may use one."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path

    def status(self) -> AgentStatus | None:
        """Return what runs, or None while the archive is locked."""
        try:
            return AgentStatus.parse(self._ask({"do": "status"}).get("status"))
        except LockedError:
            return None

    def unwrap(self, owner_id: UUID, sealed: bytes, entry: int) -> KeyIdentity:
        """Have one key file opened; as `unwrap_many`."""
        return self.unwrap_many(((owner_id, sealed),), entry)[owner_id]

    def unwrap_many(self, keys: Sequence[tuple[UUID, bytes]], entry: int) -> dict[UUID, KeyIdentity]:
        """Have the key files of owners opened, all of them or none, on the strength of one entry.

        Raises: LockedError `archive/locked`; AccessError `keys/not-permitted`; UnavailableError `keys/agent-no-answer`;
        the errors of opening an age file.
        """
        opened: dict[UUID, KeyIdentity] = {}
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            opened |= self._unwrap_group(keys[start : start + _KEYS_AT_ONCE], entry)
        return opened

    def lock(self) -> None:
        """End the agent. On return it holds no key; where none runs, nothing happens."""
        with suppress(LockedError):
            self._ask({"do": "lock"}, until_gone=True)

    def _unwrap_group(self, keys: Sequence[tuple[UUID, bytes]], entry: int) -> dict[UUID, KeyIdentity]:
        wanted = [
            {"owner": str(owner_id), "sealed": base64.b64encode(sealed).decode("ascii")} for owner_id, sealed in keys
        ]
        match self._ask({"do": "unwrap", "keys": wanted, "entry": entry}):
            case {"identities": list(texts)} if len(texts) == len(keys):
                with suppress(InputError):
                    return {
                        owner_id: parse_identity(str(text)) for (owner_id, _), text in zip(keys, texts, strict=True)
                    }
        raise no_answer()

    def _ask(self, request: dict[str, object], *, until_gone: bool = False) -> dict[str, object]:
        with self._connected() as connection:
            try:
                with suppress(BrokenPipeError):  # A refusal may have been sent before the whole request was read.
                    send_line(connection, request)
                answer = read_line(connection)
                if until_gone:
                    while connection.recv(1):
                        pass
            except (ConnectionError, TimeoutError) as error:
                raise self._ended() or no_answer() from error
            except InputError as error:
                raise no_answer() from error
        if answer is None:
            raise self._ended() or no_answer()
        if "error" in answer:
            raise parse_error(answer["error"])
        return answer

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_S)
            try:
                with socket_address(self._path) as address:
                    connection.connect(address)
            except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
                raise _locked() from error
            except PermissionError as error:
                raise AccessError(
                    "keys/another-user", "The key agent runs as another system user. No key was given."
                ) from error
            except OSError as error:
                raise no_answer() from error
            check_peer(connection)
            yield connection

    def _ended(self) -> LockedError | None:
        """An agent that went in the middle of a request was locked, and took its socket along."""
        return None if self._path.exists() else _locked()


def start_agent(
    socket_path: Path,
    identity: KeyIdentity,
    *,
    lifetime_s: float,
    permit: Permit,
    owns: Owns,
    clock: Clock,
) -> AgentStatus:
    """Leave an agent behind that answers at `socket_path` and holds `identity`, and return once it answers.

    Promises: the folder of the socket is of mode 0700 and the socket of mode 0600.
    Raises: ConflictError `keys/agent-running`; ConfigError `keys/agent-folder-open`; UnavailableError.
    """
    socket_path = socket_path.absolute()
    _own_folder(socket_path.parent)
    lock = _only_agent(socket_path)
    try:
        with _listener(socket_path) as listener:
            heard, told = os.pipe()
            child = os.fork()
            if child == 0:
                guard = Guard(identity=identity, permit=permit, owns=owns)
                _in_child(socket_path, listener, told, lock, guard, lifetime_s, clock)
            os.close(told)
            os.waitpid(child, 0)
            return _hear(heard)
    finally:
        os.close(lock)


def _own_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ConfigError(
            "keys/agent-folder-open",
            "The folder of the key agent's socket must belong to this system user alone (mode 0700). "
            "Nothing was unlocked.",
            evidence={"folder": str(folder), "mode": oct(found.st_mode), "uid": found.st_uid},
        )


def _only_agent(socket_path: Path) -> int:
    """Take the lock that an agent keeps for as long as it lives, and return its descriptor."""
    path = socket_path.with_name(socket_path.name + ".lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    patience = time.monotonic() + _START_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError as error:
            # An agent that is just ending has no socket any more and lets go within a moment.
            if time.monotonic() > patience or AgentClient(socket_path).status() is not None:
                os.close(lock)
                raise ConflictError(
                    "keys/agent-running", "The archive is unlocked already: a key agent runs. It was left as it is."
                ) from error
            time.sleep(0.02)


@contextmanager
def _listener(socket_path: Path) -> Iterator[socket.socket]:
    # Whoever holds the lock is alone, so a socket that is here was left by an agent that was killed.
    socket_path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, socket_address(socket_path) as address:
        before = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(before)
        listener.listen(_BACKLOG)
        yield listener


def _in_child(
    socket_path: Path, listener: socket.socket, told: int, lock: int, guard: Guard, lifetime_s: float, clock: Clock
) -> NoReturn:
    """Become the agent, serve, and end; never return into the caller's frames."""
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        leave_session(frozenset({listener.fileno(), told, lock}))
        agent = AgentProcess(listener, guard, lifetime_s=lifetime_s, clock=clock)
        os.write(told, json.dumps(agent.status()).encode("ascii"))
        os.close(told)
        agent.serve()
    finally:
        with suppress(OSError):
            socket_path.unlink()
        os._exit(0)


def _hear(heard: int) -> AgentStatus:
    """Return what the agent said once it was ready; it says nothing when it could not start."""
    with os.fdopen(heard, "rb") as pipe:
        told = pipe.read()
    try:
        return AgentStatus.parse(json.loads(told))
    except ValueError as error:
        raise no_answer() from error


def _locked() -> LockedError:
    return LockedError("archive/locked", "The archive is locked. Run testigo unlock, then do the same again.")
