"""A bad line: a TCP proxy that throttles, delays and cuts, and counts what the client had to send.

Cutting closes both sides hard, as a phone that lost its network does not: see `freeze`, which lets a connection hang.
A line is no store: what the archive's side has no room for stays with the client, so little is kept to be passed on.
"""

import random
import selectors
import socket
import struct
import time
from threading import Event, Lock, Thread
from typing import Self

_PIECE = 16 * 1024
_UNDER_WAY = 32 * 1024


class CuttingProxy:
    """Listens on a loopback port. `up_rate` in octets a second; None is as fast as it goes.

    `cut_every` cuts the connection that brings octets after so many of them, with some chance; `cuts` counts.
    """

    def __init__(
        self,
        port: int,
        *,
        up_rate: float | None = None,
        delay: float = 0.0,
        cut_every: int | None = None,
        most_cuts: int = 1_000_000,
        freeze: bool = False,
        seed: int = 1,
    ) -> None:
        self._target = ("127.0.0.1", port)
        self._up_rate = up_rate
        self._delay = delay
        self._cut_every = cut_every
        self._most_cuts = most_cuts
        self._freeze = freeze
        self._chance = random.Random(seed)  # noqa: S311 - where to cut
        self._lock = Lock()
        self._stop = Event()
        self._until_cut = self._next_cut()
        self._frozen: list[socket.socket] = []
        self.octets_up = 0
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        self.down = False

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._listener.close()
        for each in self._frozen:
            each.close()

    def _next_cut(self) -> int:
        if self._cut_every is None:
            return 1 << 62
        return int(self._cut_every * self._chance.uniform(0.5, 1.5))

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.down:
                close_hard(client)
                continue
            Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, 30)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNDER_WAY)
        except OSError:
            close_hard(client)
            return
        pick = selectors.DefaultSelector()
        pick.register(client, selectors.EVENT_READ, (server, True))
        pick.register(server, selectors.EVENT_READ, (client, False))
        try:
            while not self._stop.is_set():
                for key, _ in pick.select(0.5):
                    source: socket.socket = key.fileobj  # type: ignore[assignment]  # what was registered
                    target, up = key.data
                    data = source.recv(_PIECE)
                    if not data:
                        return
                    if up and not self._pass_up(data):
                        if self._freeze:
                            self._frozen += [server]
                            close_hard(client)
                        else:
                            close_hard(client)
                            close_hard(server)
                        return
                    target.sendall(data)
        except OSError:
            return
        finally:
            pick.close()
            client.close()
            if server not in self._frozen:
                server.close()

    def _pass_up(self, data: bytes) -> bool:
        """Count and throttle; False where the line is to be cut here."""
        if self._delay:
            time.sleep(self._delay)
        if self._up_rate is not None:
            time.sleep(len(data) / self._up_rate)
        with self._lock:
            self.octets_up += len(data)
            self._until_cut -= len(data)
            if self._until_cut <= 0 and self.cuts < self._most_cuts:
                self.cuts += 1
                self._until_cut = self._next_cut()
                return False
        return True


def close_hard(connection: socket.socket) -> None:
    """Reset rather than end, as a line that broke."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    connection.close()
