"""The process of the key agent: it alone holds the vault identity, and gives out the owner keys that an entry permits.

It has no terminal, no core dumps, and memory that is kept from swap where the system allows it. No other process of the
same system user can attach to it. It forgets the identity by ending: the kernel clears its pages before anyone else has
them, while Python cannot overwrite its own values.
"""

import base64
import ctypes
import gc
import os
import resource
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from archive.age.agent_wire import bad_line, check_peer, format_error, read_line, send_line
from archive.age.keyring import open_identity
from archive.age.recipients import KeyIdentity
from archive.errors import AccessError, LockedError, TestigoError, UnavailableError
from archive.types import Clock, utc_text

Permit = Callable[[int, UUID], bool]
"""Takes an entry number and an owner id; tells whether that entry is committed, is of an access and names that owner.

It is called in the agent's process, from several threads, and must open its own connections there, not before."""

Owns = Callable[[UUID, KeyIdentity], bool]
"""Takes an owner id and an opened key; tells whether it is that owner's. Called as `Permit` is.

Without it, whoever may open one owner's key could hand in another's key file under the first one's id, and an access
to the second would never be in the log. May raise IntegrityError where the records contradict the key."""

_PLACES = 64
_TALK_S = 10.0
_LOOK_AGAIN_S = 5.0
_STACK_OCTETS = 1 << 20
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_ENOUGH_TO_LOCK = 1 << 30

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The vault identity, and what decides over giving an owner key out."""

    identity: KeyIdentity = field(repr=False)
    permit: Permit
    owns: Owns

    def unwrap(self, owner_id: UUID, sealed: bytes, entry: int) -> KeyIdentity:
        """Open a key file. Raises: AccessError `keys/not-permitted`; those of `Owns` and of opening an age file."""
        opened = open_identity(sealed, [self.identity])
        if not self.owns(owner_id, opened) or not self.permit(entry, owner_id):
            raise AccessError(
                "keys/not-permitted", "No entry of the log permits this key to be given out. It stays closed."
            )
        return opened


def leave_session(kept: frozenset[int]) -> None:
    """Cut the process off from its terminal, folder and descriptors, except those kept."""
    os.chdir("/")
    os.umask(0o077)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    # What was inherited must not be closed a second time by a finaliser, when its number may be another file's.
    gc.freeze()
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number not in kept:
            with suppress(OSError):
                os.close(number)


def close_memory() -> bool:
    """Let nobody read this process's memory: no core dump, no debugger. Tell whether it is kept from swap too."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise UnavailableError(
            "keys/agent-not-started", "The system does not let the key agent close its memory. Nothing was unlocked."
        )
    _libc.prctl(_PR_SET_NAME, b"testigo-agent", 0, 0, 0)
    _, most = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if os.geteuid() != 0 and most != resource.RLIM_INFINITY and most < _ENOUGH_TO_LOCK:
        return False  # A lock within a tight limit would make a later allocation fail.
    if os.geteuid() != 0:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (most, most))
    return bool(_libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)


class AgentProcess:
    """The agent's loop and its answers. Runs in the main thread of its own process."""

    def __init__(self, listener: socket.socket, guard: Guard, *, lifetime_s: float, clock: Clock) -> None:
        self._listener = listener
        self._guard = guard
        self._recipient = str(guard.identity.recipient)
        self._clock = clock
        self._since = clock()
        self._until = self._since + timedelta(seconds=lifetime_s)
        # The boot clock goes on while the machine sleeps and cannot be set back; whichever ends first counts.
        self._boot_until = _boot_seconds() + lifetime_s
        self._memory_locked = close_memory()
        self._places = threading.BoundedSemaphore(_PLACES)
        self._given = 0
        self._ending = threading.Event()
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        # Before anyone is told that the agent runs: from now on being told to end takes the socket away too.
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: self._ending.set())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def status(self) -> Mapping[str, object]:
        """Return what anyone who may ask is told."""
        return {
            "pid": os.getpid(),
            "recipient": self._recipient,
            "since": utc_text(self._since),
            "until": utc_text(self._until),
            "memory_locked": self._memory_locked,
            "given": self._given,
        }

    def serve(self) -> None:
        """Answer until the time is over, `lock` is asked or the process is told to end."""
        threading.stack_size(_STACK_OCTETS)
        self._listener.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._is_over():
                left = self._boot_until - _boot_seconds()
                for key, _ in selector.select(timeout=max(0.0, min(left, _LOOK_AGAIN_S))):
                    if key.fileobj is self._listener:
                        self._accept()

    def _is_over(self) -> bool:
        return self._ending.is_set() or _boot_seconds() >= self._boot_until or self._clock() >= self._until

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # The client went away before it was let in, or descriptors ran out for the moment.
        if not self._places.acquire(blocking=False):
            connection.close()
            return
        threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError):
                connection.settimeout(_TALK_S)
                try:
                    check_peer(connection)
                    while (request := read_line(connection)) is not None:
                        send_line(connection, self._answer(request))
                        if self._ending.is_set():
                            break
                except TestigoError as error:
                    send_line(connection, format_error(error))
                if self._is_over():
                    self._wake.send(b"\0")
                    self._stay_until_the_end(connection)
        finally:
            self._places.release()

    def _stay_until_the_end(self, connection: socket.socket) -> None:
        """Keep the connection open until the process ends, so that its closing says that no key is held any more."""
        with suppress(OSError):
            connection.recv(1)

    def _answer(self, request: Mapping[str, object]) -> Mapping[str, object]:
        if self._is_over():
            raise LockedError("archive/locked", "The archive is locked. Run testigo unlock, then do the same again.")
        match request:
            case {"do": "status", **rest} if not rest:
                return {"status": self.status()}
            case {"do": "lock", **rest} if not rest:
                self._ending.set()
                return {"locked": True}
            case {"do": "unwrap", "keys": list(keys), "entry": int(entry), **rest} if not rest:
                identities = [self._unwrap(key, entry) for key in keys]
                self._given += len(identities)
                return {"identities": identities}
        raise bad_line("there is no such request")

    def _unwrap(self, key: object, entry: int) -> str:
        match key:
            case {"owner": str(owner), "sealed": str(sealed), **rest} if not rest:
                try:
                    owner_id, octets = UUID(owner), base64.b64decode(sealed, validate=True)
                except ValueError as error:
                    raise bad_line("an owner or a sealed file cannot be read") from error
                return self._guard.unwrap(owner_id, octets, entry).secret_text()
        raise bad_line("a key to unwrap has an owner and a sealed file")


def _boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
