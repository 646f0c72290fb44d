"""Fast uploads are sealed as objects while they still arrive: steps 1 and 2, on the second core.

Without this a fast upload waits twice, once while it comes and once while it goes through the seven steps. What is made
here is half an object in the store's staging: no name, no entry, its key in this process's memory alone. When the last
octet is durable, `Finishing` takes it and goes on with step 2; in every other case (the sender is gone or slow, another
process goes on, no room) it is dropped, and the upload ends as all others do, read anew from where it waits.
"""

import io
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Condition, Lock
from typing import BinaryIO, cast

from archive.segments import SegmentReader, upload_name
from archive.uploadtold import told_by_address
from ingest.intake import Intake
from ingest.reception import Begun
from ingest.told import Told

LEAST_OCTETS = 16 << 20
"""What is smaller is read anew faster than it is worth watching."""
FAST_OCTETS = 4 << 20
FAST_S = 0.5
"""Fast is a request that brings its first `FAST_OCTETS` in this time: no phone on a mobile network does."""
MOST_BEHIND = 64 << 20
"""Who would have to read more than this to catch up does not begin."""
PATIENCE_S = 2.0
"""So long the one waits for the other: whoever brings octets, and the thread that follows."""
MOST_AT_ONCE = 2
_MOST_PIECES = 4


class Following:
    """Follows a few fast uploads of this process. `room` tells how many octets the disk takes beyond its reserve."""

    def __init__(self, *, root: Path, intake: Intake, room: Callable[[], int]) -> None:
        self._root = root
        self._intake = intake
        self._room = room
        self._lock = Lock()
        self._followed: dict[str, _Followed] = {}
        self._pool = ThreadPoolExecutor(max_workers=MOST_AT_ONCE + 1, thread_name_prefix="follow")

    def watch(self, address: bytes, *, declared: int, offset: int) -> "Watch":
        """Watch one request that goes on with an upload at `offset`."""
        name = upload_name(address)
        followed = self._of(name)
        if followed is not None and followed.offset != offset:
            self.drop(name)  # A request in between went another way, or octets that were not sealed are to come again.
            followed = None
        return Watch(self, address, followed, declared=declared, offset=offset)

    def begin(self, address: bytes, *, declared: int, offset: int) -> "_Followed | None":
        """Follow an upload of which `offset` octets are sealed, where nothing speaks against it."""
        if not self._intake.keeps_whole or self._room() < 2 * declared - offset:
            return None
        if Told.parse(told_by_address(self._root, address)).plain_size is not None:
            return None  # Sealed on the phone: the file in it is what goes through the steps.
        name = upload_name(address)
        with self._lock:
            if name in self._followed or len(self._followed) >= MOST_AT_ONCE:
                return None
            followed = self._followed[name] = _Followed(SegmentReader.by_address(self._root, address), offset)
            followed.begun = self._pool.submit(self._seal, name, followed)
        self._pool.submit(self._intake.make_ready)
        return followed

    def whole(self, name: str, offset: int) -> None:
        """Say that all `offset` octets of an upload are here and durable."""
        if (followed := self._of(name)) is not None:
            followed.end(offset)

    def take(self, name: str) -> Begun | None:
        """Give what was begun of an upload that is whole; None where it was not followed to its end."""
        with self._lock:
            followed = self._followed.pop(name, None)
        return followed.taken() if followed is not None else None

    def drop(self, name: str) -> None:
        """Drop what was begun of an upload, if anything was."""
        with self._lock:
            followed = self._followed.pop(name, None)
        if followed is not None:
            followed.drop()

    def close(self) -> None:
        """Drop everything and wait until it is gone."""
        for name in tuple(self._followed):
            self.drop(name)
        self._pool.shutdown()

    def _of(self, name: str) -> "_Followed | None":
        with self._lock:
            return self._followed.get(name)

    def _seal(self, name: str, followed: "_Followed") -> Begun:
        try:
            return self._intake.begin(cast(BinaryIO, followed))
        except BaseException:  # Raised again; its place is for another.
            with self._lock:
                if self._followed.get(name) is followed:
                    del self._followed[name]
            followed.drop()
            raise


class Watch:
    """Tells from one request alone whether an upload is fast, and hands what it brings to whoever follows."""

    def __init__(
        self, following: Following, address: bytes, followed: "_Followed | None", *, declared: int, offset: int
    ) -> None:
        self._following = following
        self._address = address
        self._followed = followed
        self._declared = declared
        self._start = self._offset = offset
        self._since = time.monotonic()
        self._judged = followed is not None or declared < LEAST_OCTETS or offset > MOST_BEHIND

    @property
    def is_followed(self) -> bool:
        """Whether the upload is followed, so that what waits of it will hardly be read again."""
        return self._followed is not None and self._followed.is_going_on

    def took(self, buffer: memoryview, count: int, sealed_to: int) -> memoryview:
        """Take the next `count` octets, at the start of `buffer`, of an upload that is sealed up to `sealed_to`.

        Return the buffer to receive into next: this one, or another where this one is still to be read.
        """
        at, self._offset = self._offset, self._offset + count
        if self._followed is not None:
            return self._followed.give(buffer, count, at)
        # It begins where nothing waits in the writer's memory for the rest of its chunk.
        if not self._judged and self._offset - self._start >= FAST_OCTETS and sealed_to == self._offset:
            self._judged = True
            if time.monotonic() - self._since <= FAST_S:
                self._followed = self._following.begin(self._address, declared=self._declared, offset=sealed_to)
        return buffer


class _Followed(io.RawIOBase):
    """One upload as a stream, from its first octet on: what was sealed before, then what is given, then its end."""

    begun: "Future[Begun]"

    def __init__(self, sealed: SegmentReader, offset: int) -> None:
        self._sealed = sealed
        self._left_sealed = offset
        self._change = Condition()
        self._pieces: deque[tuple[memoryview, int]] = deque()
        self._free: list[memoryview] = []
        self._piece: tuple[memoryview, int] | None = None
        self._at = 0
        self._ended = self._dropped = False
        self.offset = offset

    # ── of whoever receives ──────────────────────────────────────────────────────────────────────────────────────────

    def give(self, buffer: memoryview, count: int, at: int) -> memoryview:
        """Hand over the first octets of a buffer, which stand at `at` in the upload; return one that is free."""
        with self._change:
            self._wait(lambda: len(self._pieces) < _MOST_PIECES)
            # An older request may hand over its last octets when a newer one has begun, which brings them again.
            if self._dropped or at != self.offset:
                self._dropped = True
                self._change.notify_all()
                return buffer
            self._pieces.append((buffer, count))
            self.offset += count
            self._change.notify_all()
            return self._free.pop() if self._free else memoryview(bytearray(len(buffer)))

    @property
    def is_going_on(self) -> bool:
        return not self._dropped

    def end(self, offset: int) -> None:
        with self._change:
            self._ended = self.offset == offset
            self._change.notify_all()

    def taken(self) -> Begun | None:
        with self._change:
            is_whole = self._ended and not self._dropped
        if not is_whole:
            self.drop()
            return None
        # Why it failed is not asked: reading anew comes upon the same, if it is still so, and tells it.
        return self.begun.result() if self.begun.exception() is None else None

    def drop(self) -> None:
        with self._change:
            self._dropped = True
            self._change.notify_all()
        self.begun.add_done_callback(_drop_staged)

    # ── of the thread that follows ───────────────────────────────────────────────────────────────────────────────────

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        """Raises: _DroppedError; IntegrityError `uploads/segment-changed`; `OSError` where the upload was removed."""
        out = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # typeshed's Buffer has no runtime name in 3.11
        if self._left_sealed:
            count = self._sealed.readinto(out[: self._left_sealed])
            self._left_sealed -= count
            if self._dropped or not count:
                raise _DroppedError
            return count
        if (piece := self._next()) is None:
            return 0
        whole, end = piece
        count = min(len(out), end - self._at)
        out[:count] = whole[self._at : self._at + count]
        self._at += count
        return count

    def _next(self) -> tuple[memoryview, int] | None:
        """Return the piece that is read now; None at the end."""
        if self._piece is not None and self._at < self._piece[1] and not self._dropped:
            return self._piece
        with self._change:
            if self._piece is not None:
                self._free.append(self._piece[0])
                self._piece, self._at = None, 0
            self._wait(lambda: bool(self._pieces) or self._ended)
            if self._dropped:
                raise _DroppedError
            if self._pieces:
                self._piece = self._pieces.popleft()
                self._change.notify_all()
            return self._piece

    def _wait(self, until: Callable[[], bool]) -> None:
        if not self._change.wait_for(lambda: until() or self._dropped, PATIENCE_S):
            self._dropped = True
            self._change.notify_all()


def _drop_staged(future: "Future[Begun]") -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().drop()


class _DroppedError(Exception):
    """Ends a thread that follows; never leaves this module."""
