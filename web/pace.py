"""Slowing whoever guesses codes. The memory of wrong guesses ends with the process, and so does the secret under which
callers are told apart in it.
"""

import hashlib
import hmac
import os
import time
from collections import OrderedDict
from threading import Lock

from archive.errors import UnavailableError

_FREE_TRIES = 5
_LONGEST_WAIT_S = 4.0
_MOST_WAITING = 32
_MOST_KNOWN = 10_000
_FORGET_S = 3600.0


class Pace:
    """Slows whoever keeps guessing wrong. Nobody is ever locked out, and nobody waits for another's guesses."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)
        self._lock = Lock()
        self._wrong: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self._waiting = 0

    def wait(self, who: str) -> None:
        """Wait as long as earlier wrong guesses call for.

        Raises: UnavailableError `web/too-many-tries` where too many slowed guesses wait already.
        """
        with self._lock:
            count, last = self._wrong.get(self._key(who), (0, 0.0))
            if count < _FREE_TRIES or time.monotonic() - last > _FORGET_S:
                return
            if self._waiting >= _MOST_WAITING:
                raise UnavailableError("web/too-many-tries", "Too many tries. Nothing was changed. Wait a little.")
            self._waiting += 1
        try:
            time.sleep(min(_LONGEST_WAIT_S, 0.5 * 2 ** (count - _FREE_TRIES)))
        finally:
            with self._lock:
                self._waiting -= 1

    def wrong(self, who: str) -> None:
        with self._lock:
            key, now = self._key(who), time.monotonic()
            count, last = self._wrong.pop(key, (0, now))
            self._wrong[key] = (1 if now - last > _FORGET_S else min(count + 1, 64), now)
            while len(self._wrong) > _MOST_KNOWN:
                self._wrong.popitem(last=False)

    def right(self, who: str) -> None:
        with self._lock:
            self._wrong.pop(self._key(who), None)

    def _key(self, who: str) -> bytes:
        return hmac.digest(self._secret, who.encode("utf-8", "replace"), hashlib.sha256)
