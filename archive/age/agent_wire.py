"""How a client and the key agent talk: lines of JSON over a Unix socket, between processes of one system user.

A folder of mode 0700 and a socket of mode 0600 keep others away; the kernel is asked all the same who is at the other
end (SO_PEERCRED). Addresses go through an open folder, because a socket's path may hold only 107 octets.
"""

import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from archive.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    InputError,
    IntegrityError,
    LockedError,
    NotFoundError,
    TestigoError,
    UnavailableError,
)

LINE_LIMIT = 8 << 20
"""Units: octets. About a thousand key files of a hybrid keyring."""

_PEER = struct.Struct("=iII")
_BLOCK = 1 << 16
_CLASSES: Mapping[str, type[TestigoError]] = {
    error.__name__: error
    for error in (
        AccessError,
        ConfigError,
        ConflictError,
        InputError,
        IntegrityError,
        LockedError,
        NotFoundError,
        UnavailableError,
    )
}


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Yield an address for the socket at `path` that is short enough whatever the path's length."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def check_peer(connection: socket.socket) -> None:
    """Refuse whoever is neither this system user nor root. Raises: AccessError `keys/another-user`."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    uid = _PEER.unpack(peer)[1]
    if uid not in (0, os.geteuid()):
        raise AccessError(
            "keys/another-user",
            "The key agent and its user must be the same system user. No key was given.",
            evidence={"uid": uid},
        )


def send_line(connection: socket.socket, value: Mapping[str, object]) -> None:
    """Send one value as a line of JSON."""
    connection.sendall(json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n")


def read_line(connection: socket.socket) -> dict[str, object] | None:
    """Read one line of JSON, or None where the other end closed without one.

    Raises: InputError `keys/agent-bad-line`; OSError of the socket.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        block = connection.recv(_BLOCK)
        if not block:
            return None
        line += block
        if len(line) > LINE_LIMIT:
            raise bad_line("it is too long")
    try:
        value = json.loads(line)
    except ValueError as error:
        raise bad_line("it is not JSON") from error
    if not isinstance(value, dict):
        raise bad_line("it is not an object")
    return value


def format_error(error: TestigoError) -> dict[str, object]:
    """Write an error for the other end. Evidence stays behind: it may hold what the asker was just refused."""
    return {"error": {"class": type(error).__name__, "code": error.code, "message": error.message}}


def parse_error(value: object) -> TestigoError:
    """Read what `format_error` wrote."""
    match value:
        case {"class": str(name), "code": str(code), "message": str(message)} if name in _CLASSES:
            return _CLASSES[name](code, message)
    return no_answer()


def bad_line(why: str) -> InputError:
    """Return the error for a line that is not one of the protocol's."""
    return InputError("keys/agent-bad-line", f"The key agent was sent something it does not understand: {why}.")


def no_answer() -> UnavailableError:
    """Return the error for an agent that gives no answer, or none that can be read."""
    return UnavailableError(
        "keys/agent-no-answer",
        "The key agent does not answer. Nothing was opened. Run testigo lock, then unlock again.",
    )
