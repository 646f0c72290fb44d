"""A copy that is made in memory: for what is small, and for what a person asked to see."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from media.ranges import BytesRanges, RangeSource


class MemoryCopy:
    """A `media.cleaners.port.Copy` that nothing but this process ever sees."""

    def __init__(self) -> None:
        self.sink = io.BytesIO()

    @contextmanager
    def reading(self) -> Iterator[RangeSource]:
        yield BytesRanges(self.sink.getvalue())
