"""Standard output that tells of its own failing: a full disk that took half a list is not the archive's trouble."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from archive.errors import InputError


class OutputLostError(OSError):
    """Standard output cannot be written to; an error of its own, for a disk of the archive fails in the same way."""


class _Watched:
    """A stream whose failures say that they are its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._telling():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._telling():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise  # Nobody reads any more; that is no trouble.
        except OSError as error:
            raise OutputLostError(error.errno or errno.EBADF, error.strerror or "it is closed") from error


@contextmanager
def watched_output() -> Iterator[None]:
    """Watch standard output. One that was closed before this program began takes nothing: keys are shown only once."""
    before = sys.stdout
    stream = before or Path(os.devnull).open(encoding="utf-8")  # To read from, so that whoever writes to it is told.
    sys.stdout = cast(TextIO, _Watched(stream))
    try:
        yield
    finally:
        sys.stdout = before
        if before is None:
            stream.close()


def silence() -> None:
    """Send what standard output still holds nowhere, or the interpreter would say the same again at its very end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def end_without_output(error: OutputLostError) -> NoReturn:
    """Say on standard error what became of the output, and end."""
    silence()
    found = InputError(
        "cli/output-lost",
        f"The output cannot be written to where it was sent ({error.strerror}). What was entered or made before stays; "
        "what was to be read here is lost. Send it elsewhere, or free some space there.",
    )
    sys.stderr.write(f"{found.message}\n({found.code}, exit 1)\n")
    sys.exit(1)
