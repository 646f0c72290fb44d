"""The counts of the last test uploads, in memory alone."""

from collections import OrderedDict
from threading import Lock

_MOST_KNOWN = 64


class Probes:
    """How many octets of each of the last probes have come."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: OrderedDict[str, int] = OrderedDict()

    def add(self, name: str, octets: int) -> None:
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + octets
            while len(self._counts) > _MOST_KNOWN:
                self._counts.popitem(last=False)

    def count(self, name: str) -> int | None:
        with self._lock:
            return self._counts.get(name)
