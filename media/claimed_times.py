"""Times that a file claims for itself, read into UTC where the claim allows it. No I/O.

A camera's clock may be wrong and its zone unknown; what is written is kept raw, and nothing is added to it but what the
file itself says: an offset beside the time, or a field whose standard fixes UTC.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from media.tags import Tag

FOURTEEN_HOURS = 14 * 3600
_DAY = 24 * 3600
_TIME = re.compile(
    r"(?P<year>\d{4})[:-](?P<month>\d\d)[:-](?P<day>\d\d)"
    r"(?:[ T](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?P<fraction>\.\d{1,9})?)?)?"
    r"(?P<offset>Z|[+-]\d\d:?\d\d)?"
)
_DATE = re.compile(r"\d{4}[:-]\d\d[:-]\d\d")
_OFFSET = re.compile(r"Z|[+-]\d\d:\d\d")
_SUBSECOND = re.compile(r"\d{1,9}")
# Composite values are computed from the others; a colour profile's date is that of the profile.
_NOT_CLAIMS = frozenset({"Composite", "ICC_Profile"})
_DATE_AND_TIME = {
    "GPSDateStamp": "GPSTimeStamp",
    "DateCreated": "TimeCreated",
    "DigitalCreationDate": "DigitalCreationTime",
    "Date": "Time",
}
_EXIF_COMPANIONS = {
    "DateTimeOriginal": ("OffsetTimeOriginal", "SubSecTimeOriginal"),
    "CreateDate": ("OffsetTimeDigitized", "SubSecTimeDigitized"),
    "ModifyDate": ("OffsetTime", "SubSecTime"),
}
_BESIDE = frozenset(_DATE_AND_TIME.values()).union(*_EXIF_COMPANIONS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeClaim:
    """One claimed time. `utc` only where the offset is known or fixed by the field's standard, else `local` alone.

    Units: `uncertainty_seconds` is how far from the truth the reading may lie for reasons that the file shows: the
    precision of what is written, and the unknown offset. A wrong clock is not in it.
    """

    source: str
    raw: str
    utc: str | None
    local: str | None
    uncertainty_seconds: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What is written: a time, with what stands beside it."""

    source: str
    raw: str
    text: str
    offset: str = ""
    fraction: str = ""
    note: str = ""
    always_utc: bool = False
    said_utc: bool = False


def claimed_times(tags: Sequence[Tag]) -> tuple[TimeClaim, ...]:
    """Read every time in a file's metadata, in the order of the fields."""
    candidates = [tag for tag in tags if tag.fields or _DATE.match(tag.text)]
    if not candidates:
        return ()
    beside = {(tag.place, tag.document, tag.copy, tag.name): tag.text for tag in tags if tag.name in _BESIDE}
    written = (each for tag in candidates if tag.family not in _NOT_CLAIMS for each in _written(tag, beside))
    return tuple(dict.fromkeys(claim for each in written if (claim := _claim(each)) is not None))


def _written(tag: Tag, beside: Mapping[tuple[str, str, str, str], str]) -> Iterator[_Written]:
    for path, text in tag.fields:
        if _TIME.fullmatch(text):
            yield _Written(source=f"{tag.source}/{path}", raw=text, text=text)
    if tag.fields or not _TIME.fullmatch(tag.text):
        return
    time_field = _DATE_AND_TIME.get(tag.name, "")
    time = beside.get((tag.place, tag.document, tag.copy, time_field), "")
    if time and _TIME.fullmatch(f"{tag.text} {time}"):
        both, source = f"{tag.text} {time}", f"{tag.source}+{time_field}"
        yield _Written(source=source, raw=both, text=both, always_utc=tag.name == "GPSDateStamp")
    elif tag.family == "EXIF" and tag.name in _EXIF_COMPANIONS:
        offset_field, fraction_field = _EXIF_COMPANIONS[tag.name]
        offset = beside.get(("ExifIFD", tag.document, "", offset_field), "").strip()
        fraction = beside.get(("ExifIFD", tag.document, "", fraction_field), "").strip()
        known = _OFFSET.fullmatch(offset) is not None
        yield _Written(
            source=tag.source,
            raw=tag.text,
            text=tag.text,
            offset=offset if known else "",
            fraction=f".{fraction}" if _SUBSECOND.fullmatch(fraction) else "",
            note=f"offset {offset} from ExifIFD:{offset_field}" if known else "",
        )
    else:
        yield _Written(
            source=tag.source,
            raw=tag.text,
            text=tag.text,
            always_utc=tag.name == "GPSDateTime",
            said_utc=tag.family == "QuickTime" and tag.name.endswith(("CreateDate", "ModifyDate")),
        )


def _claim(written: _Written) -> TimeClaim | None:
    """Read what is written; None for the zeros that many programs write where they know no time."""
    match = _TIME.fullmatch(written.text)
    if match is None or match["year"] == "0000" or (match["month"], match["day"]) == ("00", "00"):
        return None
    moment = _moment(match)
    if moment is None:
        return TimeClaim(
            source=written.source, raw=written.raw, utc=None, local=None, uncertainty_seconds=0, note="no such time"
        )
    fraction = match["fraction"] or written.fraction if match["second"] else ""
    precision = 1 if match["second"] else 60 if match["minute"] else _DAY
    offset = match["offset"] or written.offset or ("Z" if written.always_utc or written.said_utc else "")
    utc = _in_utc(moment, offset) if offset and match["minute"] else None
    note = written.note
    if written.said_utc and not match["offset"]:
        note = "the format says UTC, but many cameras write local time"
    elif not offset:
        note = "offset unknown"
    sure = bool(offset) and not (written.said_utc and not match["offset"])
    pattern = "%Y-%m-%dT%H:%M:%S" if match["minute"] else "%Y-%m-%d"
    return TimeClaim(
        source=written.source,
        raw=written.raw,
        utc=f"{utc.strftime(pattern)}{fraction}Z" if utc is not None else None,
        local=f"{_four_digits(moment.strftime(pattern))}{fraction}" if utc is None else None,
        uncertainty_seconds=precision if sure else precision + FOURTEEN_HOURS,
        note=note,
    )


def _moment(match: re.Match[str]) -> datetime | None:
    try:
        return datetime(
            int(match["year"]),
            int(match["month"]),
            int(match["day"]),
            int(match["hour"] or 0),
            int(match["minute"] or 0),
            int(match["second"] or 0),
            tzinfo=UTC,  # A placeholder: the offset, where one is known, is applied afterwards.
        )
    except ValueError:
        return None


def _in_utc(moment: datetime, offset: str) -> datetime | None:
    if offset == "Z":
        return moment
    digits = offset[1:].replace(":", "")
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    try:
        return moment.replace(tzinfo=timezone(-away if offset[0] == "-" else away)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _four_digits(text: str) -> str:
    return text.rjust(len("2026-01-01") if "T" not in text else len("2026-01-01T00:00:00"), "0")
