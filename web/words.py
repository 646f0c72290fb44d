"""Sizes and times as pages write them: Western digits in all languages, local time with UTC beside it."""

from datetime import UTC, datetime

from flask_babel import format_datetime, to_user_timezone


def size_words(octets: int) -> str:
    """Write a size: `118.4 MB`, in powers of ten as phones do."""
    size = float(octets)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def utc_words(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def local_words(moment: datetime) -> str:
    """Write a moment as the reader's language does, in the archive's own time zone."""
    words = format_datetime(moment, "medium")
    western = words.translate({0x09E6 + digit: str(digit) for digit in range(10)})
    return f"{western} {to_user_timezone(moment):%Z}"
