"""Slowing whoever guesses codes. The memory of wrong guesses ends with the process, and so does the secret under which
callers are told apart in it.
"""

import hashlib
import hmac
import ipaddress
import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Semaphore

from archive.errors import NotFoundError, UnavailableError

_FREE_TRIES = 5
_LONGEST_WAIT_S = 4.0
_AT_ONCE = 16
_MOST_IN_LINE = 16
_PATIENCE_S = 10.0
_MOST_KNOWN = 10_000
_FORGET_ONE_S = 60.0
_FREE_OVERALL = 200
_FORGET_ONE_OVERALL_S = 3.0
_SUBSCRIBER_BITS = 64


class Pace:
    """Slows wrong answers, and those alone: who has a right code is answered at once, also after others' wrong ones.

    Callers from one address cannot be told apart: while one of them guesses at many codes at once, the others stand in
    line for a place, some seconds, unless their visit is known. Callers from other addresses never do. One address is
    one of IPv4, or all 2^64 of one line of IPv6, among which its holder chooses freely.

    What is wrong and not slowed by this is counted over all addresses. Beyond some hundreds such answers wait as well,
    the right ones never: so nobody is shut out, and guessing from many lines costs time. Some of them wait at once, so
    that uploads keep their threads; beyond these a wrong answer is given without a wait.
    """

    def __init__(self) -> None:
        self._secret = os.urandom(32)
        self._lock = Lock()
        self._wrong: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._places = Semaphore(_AT_ONCE)
        self._in_line = 0
        self._overall = (0.0, 0.0)
        self._held = Semaphore(_AT_ONCE)

    @contextmanager
    def looking_up(self, who: str) -> Iterator[None]:
        """Have the answer wait where the block raises NotFoundError and such guesses went before.

        Raises: UnavailableError `web/too-many-tries` where too many slowed guesses are under way.
        """
        key = hmac.digest(self._secret, line_of(who).encode("utf-8", "replace"), hashlib.sha256)
        with self._lock:
            is_slowed = self._count(key) >= _FREE_TRIES
        if is_slowed:
            self._take_place()
        try:
            yield
        except NotFoundError:
            wait = self._note(key)
            if is_slowed:
                time.sleep(wait)
            elif self._is_beyond_budget():
                self._hold()
            raise
        finally:
            if is_slowed:
                self._places.release()

    def _take_place(self) -> None:
        with self._lock:
            is_full = self._in_line >= _MOST_IN_LINE
            self._in_line += not is_full
        if is_full:
            raise _too_many()
        try:
            if not self._places.acquire(timeout=_PATIENCE_S):
                raise _too_many()
        finally:
            with self._lock:
                self._in_line -= 1

    def _count(self, key: bytes) -> float:
        """Each minute takes one wrong guess away; a right one takes none, for it may be the guesser's own."""
        return _left(self._wrong.get(key, (0.0, 0.0)), _FORGET_ONE_S)

    def _note(self, key: bytes) -> float:
        with self._lock:
            count = min(self._count(key) + 1, 64.0)
            self._wrong.pop(key, None)
            self._wrong[key] = (count, time.monotonic())
            while len(self._wrong) > _MOST_KNOWN:
                self._wrong.popitem(last=False)
        return float(min(_LONGEST_WAIT_S, 0.5 * 2.0 ** max(0.0, count - _FREE_TRIES - 1)))

    def _is_beyond_budget(self) -> bool:
        with self._lock:
            count = min(_left(self._overall, _FORGET_ONE_OVERALL_S) + 1, 2.0 * _FREE_OVERALL)
            self._overall = (count, time.monotonic())
        return count > _FREE_OVERALL

    def _hold(self) -> None:
        if self._held.acquire(blocking=False):
            try:
                time.sleep(_LONGEST_WAIT_S)
            finally:
                self._held.release()


def line_of(who: str) -> str:
    """Return what stands for everybody behind one line: an IPv4 address, or the first half of one of IPv6."""
    try:
        address = ipaddress.ip_address(who.partition("%")[0])
    except ValueError:
        return who
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _SUBSCRIBER_BITS), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def _left(counted: tuple[float, float], forget_one_s: float) -> float:
    count, last = counted
    return max(0.0, count - (time.monotonic() - last) / forget_one_s)


def _too_many() -> UnavailableError:
    return UnavailableError("web/too-many-tries", "Too many tries. Nothing was changed. Wait a little.")
