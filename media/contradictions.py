"""Where the claims of one file contradict each other, or the clock by which it was received. No I/O.

A contradiction is a reason to ask, and no proof of anything: cameras' clocks are wrong, zones are not written, and
programs fill in fields badly. Each is told with the two values and their fields; slack is given for what each field
cannot know.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from media.recorded import ReadTime, plain_span, read_times
from media.sentences import Message, message

_SLACK = timedelta(seconds=90)
_ZONES = timedelta(hours=14)
_QUARTER = timedelta(minutes=15)
_FAR_KILOMETRES = 5.0
_TAKEN = frozenset({"DateTimeOriginal", "CreateDate", "DateCreated", "CreationDate", "DateTimeDigitized"})
_CHANGED = frozenset({"ModifyDate", "MetadataDate"})
_SATELLITE = frozenset({"GPSDateStamp", "GPSDateTime"})
_MOST = 20


def contradictions(embedded: Mapping[str, Any], received: datetime | None = None) -> tuple[Message, ...]:
    """List what in the recorded claims does not go together; `received` is when the archive took the file in."""
    times = [time for time in read_times(embedded) if time.of_the_file]
    found = [
        *_impossible(embedded),
        *_future(times, received),
        *_satellite(times),
        *_changed_before(times),
        *_taken(times),
        *_small_copy(times),
        *_tracks(times),
        *_places(embedded),
    ]
    return tuple(dict.fromkeys(found))[:_MOST]


def _impossible(embedded: Mapping[str, Any]) -> Iterator[Message]:
    for claim in embedded.get("times") or ():
        if claim.get("note") == "no such time":
            yield message("contradiction/no-such-time", raw=claim.get("raw"), source=claim.get("source"))


def _future(times: Sequence[ReadTime], received: datetime | None) -> Iterator[Message]:
    """A time whose zone is not written may be up to fourteen hours ahead and still be past."""
    for time in times:
        if received is not None and time.moment - received > time.uncertainty + _SLACK:
            apart = plain_span(time.moment - received)
            yield message("contradiction/future", claimed=_written(time), source=time.source, apart=apart)


def _satellite(times: Sequence[ReadTime]) -> Iterator[Message]:
    satellite = next((time for time in times if time.name in _SATELLITE and time.known), None)
    camera = next((time for time in times if time.name == "DateTimeOriginal"), None)
    if satellite is None or camera is None:
        return
    apart = abs(camera.moment - satellite.moment)
    told = {"gps": _written(satellite), "camera": _written(camera), "apart": plain_span(apart)}
    # A receiver may keep its last fix for minutes; an hour is no delay.
    if camera.known and apart > timedelta(hours=1):
        yield message("contradiction/gps-time", **told)
    elif not camera.known and apart > _ZONES + timedelta(hours=1):
        yield message("contradiction/gps-date-only-zone", **told)


def _changed_before(times: Sequence[ReadTime]) -> Iterator[Message]:
    made = next((time for time in times if time.name == "DateTimeOriginal"), None) or next(
        (time for time in times if time.name == "CreateDate"), None
    )
    for time in times:
        if made is None or time.name not in _CHANGED or time.known != made.known or time.place == "IFD1":
            continue
        if time.moment + _SLACK < made.moment and not _zone_apart(made.moment - time.moment, time, made):
            yield message("contradiction/modified-before", changed=_cited(time), made=_cited(made))
            return


def _taken(times: Sequence[ReadTime]) -> Iterator[Message]:
    """Compare what several standards in one file say of the taking, like with like."""
    taken = [time for time in times if time.name in _TAKEN and not time.place.startswith("Track")]
    for one, other in combinations(taken[:8], 2):
        if one.known != other.known:
            continue
        apart = abs(one.moment - other.moment)
        if apart > _SLACK:
            if _zone_apart(apart, one, other):
                yield message("contradiction/zones", one=_cited(one), other=_cited(other))
            else:
                yield message(
                    "contradiction/taken-times",
                    one=_written(one),
                    one_source=one.source,
                    other=_written(other),
                    other_source=other.source,
                    apart=plain_span(apart),
                )
            return
        if not apart and one.fraction and other.fraction and not _same_fraction(one.fraction, other.fraction):
            yield message("contradiction/fraction", one=_cited(one), other=_cited(other))
            return


def _same_fraction(one: str, other: str) -> bool:
    """Whether two decimal fractions are one, as far as the shorter goes, rounded or cut."""
    digits = min(len(one), len(other)) - 1
    return abs(float(f"0{one}") - float(f"0{other}")) < 10.0**-digits


def _zone_apart(apart: timedelta, one: ReadTime, other: ReadTime) -> bool:
    """Whether a time zone could lie between two readings, of which one is not sure of its zone."""
    unsure = max(one.uncertainty, other.uncertainty) > timedelta(hours=1)
    rest = apart % _QUARTER
    return unsure and one.known and apart <= _ZONES and min(rest, _QUARTER - rest) <= timedelta(seconds=5)


def _small_copy(times: Sequence[ReadTime]) -> Iterator[Message]:
    copy = next((time for time in times if time.place == "IFD1" and not time.known), None)
    main = next((time for time in times if time.place == "IFD0" and not time.known and time.name == "ModifyDate"), None)
    if copy is not None and main is not None and abs(copy.moment - main.moment) > _SLACK:
        yield message("contradiction/thumbnail-time", thumbnail=_cited(copy), picture=_cited(main))


def _tracks(times: Sequence[ReadTime]) -> Iterator[Message]:
    film = next((time for time in times if time.source == "QuickTime:CreateDate"), None)
    for time in times:
        if film is not None and time.place.startswith("Track") and time.name in ("TrackCreateDate", "MediaCreateDate"):
            apart = abs(time.moment - film.moment)
            if apart > _SLACK:
                told = {"film": _written(film), "track": time.place, "time": _written(time)}
                yield message("contradiction/track-times", apart=plain_span(apart), **told)
                return


def _places(embedded: Mapping[str, Any]) -> Iterator[Message]:
    """Only places of the whole file: a track of points is meant to move."""
    points = [
        (float(claim["latitude"]), float(claim["longitude"]), f"{claim['latitude'][:9]}, {claim['longitude'][:10]}")
        for claim in embedded.get("places") or ()
        if claim.get("latitude") and claim.get("longitude") and ":Doc" not in str(claim.get("source"))
    ]
    for one, other in combinations(points[:6], 2):
        apart = _kilometres(one[:2], other[:2])
        if apart > _FAR_KILOMETRES:
            yield message("contradiction/places", apart=f"{apart:.0f}", one=one[2], other=other[2])
            return


def _kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Great-circle distance (haversine), on a sphere of 6,371 km."""
    north, south = math.radians(one[0]), math.radians(other[0])
    east = math.radians(other[1] - one[1])
    chord = math.sin((south - north) / 2) ** 2 + math.cos(north) * math.cos(south) * math.sin(east / 2) ** 2
    return 2 * 6371.0 * math.asin(min(1.0, math.sqrt(chord)))


def _written(time: ReadTime) -> str:
    return f"{time.moment:%Y-%m-%d %H:%M:%S}" + (" UTC" if time.known else " local time")


def _cited(time: ReadTime) -> str:
    return f"{_written(time)}{time.fraction and f' ({time.fraction} s)'} [{time.source}]"
