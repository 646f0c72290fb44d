"""A bad network on loopback: slow, late, and cut when a test says so. It counts what the browser sent."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

_PIECE = 4096
_SMALL_BUFFER = 16 * 1024
_MOST_UNDER_WAY = 64


class WeakLine:
    """A TCP proxy to `port`. `rate` is octets a second from the browser, `latency` seconds on each way; 0 is none."""

    def __init__(self, port: int, *, rate: float = 0, down_rate: float = 0, latency: float = 0) -> None:
        self.rate, self.down_rate, self.latency = rate, down_rate, latency
        self.sent = 0
        self.received = 0
        self._target = port
        self._dead = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_SMALL_BUFFER))
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def cut(self) -> None:
        """Lose the signal: what is open breaks, what comes new is refused, until `mend`."""
        self._dead = True
        self._run(self._drop_all())

    def mend(self) -> None:
        self._dead = False

    def cut_for(self, seconds: float) -> None:
        self.cut()
        time.sleep(seconds)
        self.mend()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _end(self) -> None:
        self._server.close()
        await self._drop_all()

    async def _drop_all(self) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._dead:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        onward: asyncio.StreamWriter | None = None
        try:
            back, onward = await asyncio.open_connection("127.0.0.1", self._target, limit=_SMALL_BUFFER)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, onward, up=True))
                both.create_task(self._carry(back, writer, up=False))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            if onward is not None:
                onward.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_UNDER_WAY)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._depart(reader, under_way, up=up))
            both.create_task(self._arrive(under_way, writer, up=up))

    async def _depart(
        self, reader: asyncio.StreamReader, under_way: "asyncio.Queue[tuple[float, bytes]]", *, up: bool
    ) -> None:
        due = 0.0
        while piece := await reader.read(_PIECE):
            # Asked anew each time: a line that gets better does so for connections that are open, too.
            if rate := self.rate if up else self.down_rate:
                due = max(due, time.monotonic()) + len(piece) / rate
                await asyncio.sleep(max(0, due - time.monotonic()))
            await under_way.put((time.monotonic() + self.latency, piece))
        await under_way.put((0.0, b""))

    async def _arrive(
        self, under_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        while True:
            when, piece = await under_way.get()
            if not piece:
                break
            await asyncio.sleep(max(0, when - time.monotonic()))
            writer.write(piece)
            if up:
                self.sent += len(piece)
            else:
                self.received += len(piece)
            await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.write_eof()
