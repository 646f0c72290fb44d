"""Taking what one program writes by FTP: each seek is an aborted transfer and a new one that begins at another place.

Standard: RFC 959 and RFC 2428, as far as FFmpeg speaks them. Only the program inside the sandbox can connect; what it
says moves the place of the next octets and nothing else, and where they may still be put `HeldBack` decides.
"""

import select
import socket
from collections.abc import Sequence

from media.doors import TARGET
from media.held_back import HeldBack

_PIECE_OCTETS = 1 << 18
_LONGEST_LINE = 1 << 14
_MOST_CONNECTIONS = 8
_ACCEPT_MILLISECONDS = 5000
_ANSWERS = {
    "USER": "331 go on",
    "PASS": "230 go on",
    "PWD": '257 "/"',
    "TYPE": "200 binary",
    "CWD": "250 there",
    "SIZE": "550 not there yet",
    "QUIT": "221 bye",
}


class CopyTaker:
    """A `media.doors.Server` that brings octets to `target`. Raises of `serve`: as `HeldBack.write_at`; what its sink
    raises."""

    doors = (TARGET, "DATA")

    def __init__(self, target: HeldBack) -> None:
        self._target = target
        self._poll = select.poll()
        self._controls: dict[int, tuple[socket.socket, bytearray]] = {}
        self._data: socket.socket | None = None
        self._place = 0
        """Where in the copy the next octets belong."""
        self._piece = memoryview(bytearray(_PIECE_OCTETS))

    def serve(self, doors: Sequence[socket.socket], stop: int, /) -> None:
        """Take until `stop` is readable and the last octets have come."""
        commands, self._data_door = doors
        self._poll.register(commands, select.POLLIN)
        self._poll.register(stop, select.POLLIN)
        stopped = False
        try:
            while not (stopped and self._data is None):
                for descriptor, _ in self._poll.poll():
                    if descriptor == stop:
                        # The program has ended, so all that it sent is here already.
                        stopped = True
                        self._poll.unregister(stop)
                    elif self._data is not None and descriptor == self._data.fileno():
                        self._take(self._data)
                    elif descriptor == commands.fileno():
                        self._accept_control(commands)
                    elif descriptor in self._controls:
                        self._listen(*self._controls[descriptor])
        finally:
            for client, _ in self._controls.values():
                client.close()
            if self._data is not None:
                self._data.close()

    def _accept_control(self, door: socket.socket) -> None:
        try:
            client, _ = door.accept()
        except OSError:
            return
        if len(self._controls) >= _MOST_CONNECTIONS:
            client.close()
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._controls[client.fileno()] = (client, bytearray())
        self._poll.register(client, select.POLLIN)
        _say(client, "220 ready")

    def _listen(self, client: socket.socket, said: bytearray) -> None:
        try:
            piece = client.recv(4096)
        except (BlockingIOError, ConnectionResetError):
            piece = b""
        said += piece
        if not piece or len(said) > _LONGEST_LINE:
            self._poll.unregister(client)
            del self._controls[client.fileno()]
            client.close()
            return
        while b"\n" in said:
            line, _, rest = said.partition(b"\n")
            said[:] = rest
            _say(client, self._obey(line.decode("ascii", "replace").strip()))

    def _obey(self, line: str) -> str:
        verb, _, argument = line.partition(" ")
        match verb.upper():
            case "REST" if argument.isascii() and argument.isdigit() and len(argument) <= 18:
                self._place = int(argument)
                return "350 from there"
            case "EPSV" | "PASV" as way:
                self._take_all()
                port = self._data_door.getsockname()[1]
                return f"229 there (|||{port}|)" if way == "EPSV" else f"227 there (127,0,0,1,{port >> 8},{port & 255})"
            case "STOR":
                self._accept_data()
                return "150 send"
            case "ABOR":
                self._take_all()  # What was sent before the abort belongs to the copy.
                self._place = 0
                return "226 taken"
            case known:
                return _ANSWERS.get(known, "502 not here")

    def _accept_data(self) -> None:
        """Take the connection that the program made before it said so; one that never comes is not waited for."""
        waiting = select.poll()
        waiting.register(self._data_door, select.POLLIN)
        if self._data is None and waiting.poll(_ACCEPT_MILLISECONDS):
            self._data, _ = self._data_door.accept()
            self._data.setblocking(True)
            self._poll.register(self._data, select.POLLIN)

    def _take_all(self) -> None:
        while self._data is not None:
            self._take(self._data)

    def _take(self, data: socket.socket) -> None:
        """Take what has come of the copy, straight to its place where that is the end."""
        room = self._target.room() if self._place == self._target.size else self._piece
        try:
            count = data.recv_into(room)
        except ConnectionResetError:
            count = 0
        if not count:
            self._poll.unregister(data)
            data.close()
            self._data = None
        elif room is self._piece:
            self._target.write_at(self._place, self._piece[:count])
        else:
            self._target.appended(count)
        self._place += count


def _say(client: socket.socket, line: str) -> None:
    try:
        client.send(f"{line}\r\n".encode("ascii"))
    except OSError:
        pass  # It listens no more; its end will be seen.
