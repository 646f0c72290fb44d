"""Why a file, or a part of it, was not processed: a value that is recorded, never a log line. No I/O."""

from dataclasses import dataclass

from archive.errors import TestigoError

NOT_READ = "media/not-read"
"""The code of a file that ExifTool did not read at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What was not done and why. `code` is stable; `reason` is a plain sentence that is safe to show."""

    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"

    @classmethod
    def of(cls, error: TestigoError) -> "Problem":
        return cls(code=error.code, reason=error.message)
