"""The requests of this process for one upload, in line: a newer one lets the older finish what it was brought.

A cut line leaves octets that the kernel has received and nobody has read. Whoever took the turn at once would have
them sent again: megabytes, where the disk is slow. So the older request is told to take what is there and end. This is
a courtesy: who may write is decided by `archive.turns`, across processes, whether the older one has ended or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock
from typing import Protocol

from archive.turns import retired

_PATIENCE_S = 5.0
"""So long a newer request waits for the older one. A slow disk may need it; a line that hangs ends in an instant."""


class Source(Protocol):
    """The body of a request. `readinto` takes what has come, one octet at least; 0 is the end.

    `cut_short`, which another thread calls, has it give what has come and then break off.
    """

    def readinto(self, buffer: memoryview, /) -> int: ...

    def cut_short(self) -> None: ...


class Line:
    """The requests in line, each upload known by its name."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: dict[str, _Request] = {}

    @contextmanager
    def joined(self, name: str, source: Source | None = None) -> Iterator[None]:
        """Go on once the request before has ended, which is told to; not later than after a short while.

        Raises: ConflictError `uploads/retired` in place of an `OSError`, where a newer request has had this one end.
        """
        me = _Request(source)
        with self._lock:
            older, self._last[name] = self._last.get(name), me
        try:
            if older is not None:
                older.finish()
            yield
        except OSError as error:
            if me.is_cut_short:
                raise retired() from error
            raise
        finally:
            me.ended.set()
            with self._lock:
                if self._last.get(name) is me:
                    del self._last[name]


class _Request:
    def __init__(self, source: Source | None) -> None:
        self._source = source
        self.is_cut_short = False
        self.ended = Event()

    def finish(self) -> None:
        if self._source is not None:
            self.is_cut_short = True
            self._source.cut_short()
        self.ended.wait(_PATIENCE_S)
