"""What a muxer writes at places of its own choosing, brought into the order that a sealing sink can take.

A muxer goes back to patch sizes: at the file's start, and inside the index that it is just writing at the end. The
start the sink can change itself; the end is held back here, so that the last megabytes can still be changed before they
are sealed. What lies between is gone and refused.
"""

import io
from collections import deque

from archive.errors import InputError, UnavailableError
from media.cleaners.port import Sink

WINDOW_OCTETS = 16 << 20
_BLOCK_OCTETS = 1 << 17
"""Small enough to be in the processor's cache still when it is sealed or written."""


class HeldBack:
    """Passes writes on to `sink`; the last `WINDOW_OCTETS` stay changeable. `most` bounds the whole.

    What is held lies in blocks, which are filled in place and used again, so that octets are copied once.
    Raises of `write_at` and `appended`: InputError `media/cannot-patch` for a place that can be changed no more;
    UnavailableError `media/output-limit`; what the sink raises.
    """

    def __init__(self, sink: Sink, *, most: int) -> None:
        self._sink = sink
        self._most = most
        self._passed = 0
        self._held = 0
        self._blocks: deque[bytearray] = deque()
        self._free: list[bytearray] = []

    @property
    def size(self) -> int:
        return self._passed + self._held

    def room(self) -> memoryview:
        """Give room at the end, to be filled from its start; `appended` says how far it was."""
        if self._held == len(self._blocks) * _BLOCK_OCTETS:
            self._blocks.append(self._free.pop() if self._free else bytearray(_BLOCK_OCTETS))
        return memoryview(self._blocks[-1])[self._held % _BLOCK_OCTETS :]

    def appended(self, count: int) -> None:
        """Take what was put into the room into the copy."""
        if self.size + count > self._most:
            raise UnavailableError(
                "media/output-limit",
                "A media tool answered more than is allowed for one file and was stopped. The original is kept.",
            )
        self._held += count
        while self._held >= WINDOW_OCTETS + _BLOCK_OCTETS:
            self._pass_on(_BLOCK_OCTETS)

    def write_at(self, offset: int, piece: bytes | memoryview) -> None:
        """Put octets at their place: at the end, or over what was written."""
        left = memoryview(piece)
        if offset > self.size:
            raise _cannot_patch(offset, self.size)
        if offset < self._passed:
            into_start = left[: self._passed - offset]
            self._change_start(offset, into_start)
            left, offset = left[len(into_start) :], self._passed
        while left and offset < self.size:
            number, inside = divmod(offset - self._passed, _BLOCK_OCTETS)
            count = min(len(left), _BLOCK_OCTETS - inside, self.size - offset)
            self._blocks[number][inside : inside + count] = left[:count]
            left, offset = left[count:], offset + count
        while left:
            room = self.room()
            count = min(len(left), len(room))
            room[:count] = left[:count]
            left = left[count:]
            self.appended(count)

    def finish(self) -> None:
        """Pass on all that was held back."""
        while self._held:
            self._pass_on(min(self._held, _BLOCK_OCTETS))

    def _change_start(self, offset: int, piece: bytes | memoryview) -> None:
        try:
            self._sink.seek(offset)
            self._sink.write(piece)
        except io.UnsupportedOperation as error:
            raise _cannot_patch(offset, self.size) from error
        finally:
            self._sink.seek(self._passed)

    def _pass_on(self, length: int) -> None:
        block = self._blocks.popleft()
        self._sink.write(memoryview(block)[:length])
        self._free.append(block)
        self._passed += length
        self._held -= length


def _cannot_patch(offset: int, size: int) -> InputError:
    return InputError(
        "media/cannot-patch",
        "A copy of this file would have to be changed in its middle after that was sealed; its index is too large. "
        "No copy was made. The original is kept.",
        evidence={"offset": offset, "size": size},
    )
