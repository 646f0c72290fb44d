"""What a file claims about when, where and with what it was made: read from its metadata, never believed. No I/O.

Each claim keeps the raw value and the field it stood in. Coordinates are decimal text, south and west negative; points
of timed tracks are claims like any other.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from media.claimed_times import TimeClaim, claimed_times
from media.tags import Tag

_LONGEST_TEXT = 1000
_DECIMAL = re.compile(r"[+-]?\d{1,3}(\.\d{1,20})?([eE]-\d{1,2})?")
_ANY_DECIMAL = re.compile(r"[+-]?\d{1,9}(\.\d{1,20})?")
_DEGREES = re.compile(r"(\d{1,3}) deg (?:(\d{1,2})' )?(?:(\d{1,2}(?:\.\d{1,12})?)\" ?)?([NSEW])?")
_LATITUDE = re.compile(r"(?P<before>.*?)(?P<word>Latitude|Lat)")
_OF_A_POINT = re.compile(r"GPS|Lat|Lon|LocationInformation")
_PARTNER = {"Latitude": "Longitude", "Lat": "Lon"}
_BOTH_IN_ONE = frozenset({"GPSCoordinates", "GPSPosition", "LocationInformation"})
_PLACE_NAMES = frozenset(
    {
        "City",
        "State",
        "Province-State",
        "Country",
        "Country-PrimaryLocationName",
        "CountryCode",
        "Location",
        "Sub-location",
        "LocationName",
        "GPSAreaInformation",
        "ContentLocationName",
        "CountryName",
    }  # fmt: skip
)
_DEVICE_FIELDS = {
    "Make": "make", "Model": "model", "AndroidMake": "make", "AndroidModel": "model", "UniqueCameraModel": "model",
    "DeviceManufacturer": "make", "DeviceModelName": "model", "HostComputer": "model",
    "LensMake": "lens", "LensModel": "lens", "LensID": "lens", "SerialNumber": "serial", "BodySerialNumber": "serial",
    "CameraSerialNumber": "serial", "InternalSerialNumber": "serial", "LensSerialNumber": "serial",
    "DeviceSerialNo": "serial", "Software": "software", "CreatorTool": "software", "AndroidVersion": "software",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceClaim:
    """One claimed place: a point (decimal degrees as text) or a name. `accuracy_metres` where the file states one."""

    source: str
    raw: str
    latitude: str | None
    longitude: str | None
    altitude_metres: str | None = None
    accuracy_metres: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClaim:
    """One thing said of the device or program: `kind` is make, model, lens, serial or software."""

    kind: str
    source: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """All that a file claims."""

    times: tuple[TimeClaim, ...] = ()
    places: tuple[PlaceClaim, ...] = ()
    devices: tuple[DeviceClaim, ...] = ()


def read_claims(tags: Sequence[Tag]) -> Claims:
    """Gather every claimed time, place and device from a file's metadata."""
    return Claims(
        times=claimed_times(tags),
        places=tuple(dict.fromkeys((*_points(tags), *_named_places(tags)))),
        devices=tuple(dict.fromkeys(_devices(tags))),
    )


def decimal_degrees(text: str, reference: str = "") -> str | None:
    """Write an angle as decimal text; None where it is none. `reference` (N, S, E, W) may give the sign."""
    stripped = text.strip()
    if _DECIMAL.fullmatch(stripped):
        angle = Decimal(stripped)
    elif (match := _DEGREES.fullmatch(stripped)) is not None:
        angle = Decimal(match[1]) + Decimal(match[2] or 0) / 60 + Decimal(match[3] or 0) / 3600
        angle = round(angle, 12)
        reference = match[4] or reference
    else:
        return None
    if reference[:1].upper() in ("S", "W") and angle > 0:
        angle = -angle
    return format(angle, "f") if abs(angle) <= 180 else None


# ── points ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Place:
    """The tags of one place in one sub-document, by name and copy."""

    def __init__(self) -> None:
        self.by_name: dict[str, dict[str, Tag]] = defaultdict(dict)

    def number(self, name: str, copy: str) -> str:
        copies = self.by_name.get(name, {})
        tag = copies.get(copy) or copies.get("")
        return tag.number if tag is not None else ""


def _points(tags: Sequence[Tag]) -> list[PlaceClaim]:
    places: dict[tuple[str, str, str], _Place] = defaultdict(_Place)
    for tag in tags:
        if tag.fields or _OF_A_POINT.search(tag.name):
            places[tag.family, tag.place, tag.document].by_name[tag.name][tag.copy] = tag
    written = [place for (family, _, _), place in places.items() if family != "Composite"]
    points = [point for place in written for point in _points_of(place)]
    if not points:
        # A field that we do not know by name may still have been understood by the tool.
        points = [point for place in places.values() for point in _points_of(place)]
    return points


def _points_of(place: _Place) -> Iterator[PlaceClaim]:
    for name, copies in place.by_name.items():
        match = _LATITUDE.fullmatch(name)
        if match is not None:
            partner = match["before"] + _PARTNER[match["word"]]
            for copy, tag in copies.items():
                other = place.by_name.get(partner, {}).get(copy)
                if other is not None:
                    yield from _point(place, tag, other)
        for tag in copies.values():
            if name in _BOTH_IN_ONE:
                yield from _coordinates(tag)
            if tag.fields:
                yield from _points_in_structure(tag)


def _point(place: _Place, north: Tag, east: Tag) -> Iterator[PlaceClaim]:
    latitude = decimal_degrees(north.number, place.number(f"{north.name}Ref", north.copy))
    longitude = decimal_degrees(east.number, place.number(f"{east.name}Ref", east.copy))
    if latitude is None or longitude is None or abs(Decimal(latitude)) > 90:
        return
    altitude = _decimal(place.number("GPSAltitude", north.copy))
    if altitude is not None and place.number("GPSAltitudeRef", north.copy) == "1" and not altitude.startswith("-"):
        altitude = f"-{altitude}"
    yield PlaceClaim(
        source=f"{north.source}+{east.name}",
        raw=f"{north.text}, {east.text}",
        latitude=latitude,
        longitude=longitude,
        altitude_metres=altitude,
        accuracy_metres=_decimal(place.number("GPSHPositioningError", "")),
    )


def _coordinates(tag: Tag) -> Iterator[PlaceClaim]:
    """One field that holds latitude, longitude and perhaps altitude, as phones write it into videos."""
    parts = tag.number.split()
    if len(parts) not in (2, 3):
        return
    latitude, longitude = decimal_degrees(parts[0]), decimal_degrees(parts[1])
    if latitude is not None and longitude is not None and abs(Decimal(latitude)) <= 90:
        altitude = _decimal(parts[2]) if len(parts) == 3 else None
        yield PlaceClaim(
            source=tag.source, raw=tag.text, latitude=latitude, longitude=longitude, altitude_metres=altitude
        )


def _points_in_structure(tag: Tag) -> Iterator[PlaceClaim]:
    fields = dict(tag.fields)
    for path, text in tag.fields:
        if path.endswith("GPSLatitude"):
            other = fields.get(path.removesuffix("GPSLatitude") + "GPSLongitude", "")
            latitude, longitude = decimal_degrees(text), decimal_degrees(other)
            if latitude is not None and longitude is not None:
                raw = f"{text}, {other}"
                yield PlaceClaim(source=f"{tag.source}/{path}", raw=raw, latitude=latitude, longitude=longitude)


def _decimal(text: str) -> str | None:
    try:
        return format(Decimal(text), "f") if _ANY_DECIMAL.fullmatch(text) else None
    except InvalidOperation:
        return None


# ── names and devices ────────────────────────────────────────────────────────────────────────────────────────────────


def _named_places(tags: Iterable[Tag]) -> Iterator[PlaceClaim]:
    for tag in tags:
        if tag.fields:
            named = [(f"/{path}", text) for path, text in tag.fields if re.split(r"[/\[]", path)[-1] in _PLACE_NAMES]
        else:
            named = [("", tag.text)] if tag.name in _PLACE_NAMES else []
        for path, text in named:
            cut = text.strip()[:_LONGEST_TEXT]
            if cut:
                yield PlaceClaim(source=f"{tag.source}{path}", raw=cut, latitude=None, longitude=None, name=cut)


def _devices(tags: Iterable[Tag]) -> Iterator[DeviceClaim]:
    for tag in tags:
        kind = _DEVICE_FIELDS.get(tag.name)
        if kind and tag.text.strip() and tag.family not in ("Composite", "ICC_Profile"):
            yield DeviceClaim(kind=kind, source=tag.source, raw=tag.text.strip()[:_LONGEST_TEXT])
