"""What a file gives away, in plain language: sentences over what the log recorded of it, for a person who must decide.

Message ids and parameters, so that another language needs another table and nothing else. What is seen and heard in the
file is not looked at here, and the sentences say so. No I/O.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from media.places import Place, nearest
from media.sentences import Message, message

Values = Mapping[str, Any]

_WHEN = ("DateTimeOriginal", "CreationDate", "GPSDate", "GPSDateTime", "CreateDate", "Date", "")
_SEEN_OR_HEARD = frozenset({"video", "audio", "subtitle"})
_MOST_PERSONS = 5
_LONGEST = 120


def risks(format_values: Values, embedded: Values, extraction: Values | None = None, *, credentials: bool = False,
          copy_differs: bool | None = None, places: Sequence[Place] = ()) -> tuple[Message, ...]:  # fmt: skip
    """Say what a file gives away, the gravest first; always at least one sentence.

    The values are those that an item's first entry recorded (`format`, `claims.embedded`, `extraction`); `copy_differs`
    is what comparing a small copy with the picture gave, where they were compared; `places` are those that the operator
    has listed.
    """
    found = [
        *_places(embedded.get("places") or (), int(embedded.get("places_found") or 0), places),
        *_times(embedded.get("times") or ()),
        *_devices(embedded.get("devices") or ()),
        *_persons(embedded.get("persons") or ()),
        *_copies(embedded.get("copies") or (), copy_differs),
        *_tracks(format_values.get("streams") or ()),
        *_more(format_values, credentials),
    ]
    unread = [
        message("risk/not-read", reason=problem.get("reason"))
        for problem in (extraction or {}).get("not_processed") or ()
    ]
    return tuple(dict.fromkeys(found)) + tuple(unread) or (message("risk/none-found"),)


def _places(claims: Sequence[Values], in_all: int, known: Sequence[Place]) -> Iterator[Message]:
    points = [claim for claim in claims if claim.get("latitude")]
    if points:
        accuracy = points[0].get("accuracy_metres")
        told = f", ±{float(accuracy):.0f} m as it says itself" if accuracy else ""
        yield message("risk/place", place=_point(points[0]), accuracy=told)
        near = nearest(known, float(points[0]["latitude"]), float(points[0].get("longitude") or 0))
        if near is not None:
            yield message("risk/place-near", name=_cut(near[0]), kilometres=near[1])
    track = [claim for claim in points if ":Doc" in str(claim.get("source"))]
    if len(track) > 1:
        # A record holds the first places alone, and how many there are.
        yield message("risk/track", count=len(track) + max(0, in_all - len(claims)), first=_point(track[0]))
    for name in list(dict.fromkeys(str(claim["name"]) for claim in claims if claim.get("name")))[:_MOST_PERSONS]:
        yield message("risk/place-name", name=_cut(name))


def _times(claims: Sequence[Values]) -> Iterator[Message]:
    readable = [claim for claim in claims if claim.get("utc") or claim.get("local")]

    def rank(claim: Values) -> int:
        source = str(claim.get("source"))
        return next(i for i, word in enumerate(_WHEN) if word in source) + len(_WHEN) * ("Modif" in source)

    if readable:
        first = min(readable, key=rank)
        text = str(first.get("utc") or first.get("local")).replace("T", " ")
        shown = f"{text[:19].rstrip('Z')} UTC" if first.get("utc") else f"{text[:19]}, local time"
        yield message("risk/time", time=shown)


def _devices(claims: Sequence[Values]) -> Iterator[Message]:
    by_kind: dict[str, list[str]] = {}
    for claim in claims:
        texts = by_kind.setdefault(str(claim.get("kind")), [])
        if claim.get("raw") not in texts:
            texts.append(str(claim.get("raw")))
    make, model = by_kind.get("make", [""])[0], by_kind.get("model", [""])[0]
    if make or model:
        yield message(
            "risk/device", device=_cut(model if model.lower().startswith(make.lower()) else f"{make} {model}")
        )
    if by_kind.get("serial"):
        yield message("risk/serial", serial=_cut(", ".join(by_kind["serial"][:3])))
    if by_kind.get("software"):
        yield message("risk/software", software=_cut(", ".join(by_kind["software"][:3])))


def _persons(claims: Sequence[Values]) -> Iterator[Message]:
    for claim in claims[:_MOST_PERSONS]:
        yield message("risk/owner", name=_cut(str(claim.get("raw"))), source=claim.get("source"))


def _copies(copies: Sequence[Values], differs: bool | None) -> Iterator[Message]:
    if differs:
        yield message("risk/thumbnail-differs")
    elif copies:
        sized = next((copy for copy in copies if copy.get("width")), None)
        size = f"{sized['width']} × {sized['height']}" if sized else str(copies[0].get("source"))
        other = differs is None and any(copy.get("other_shape") for copy in copies)
        yield message("risk/thumbnail-other-shape" if other else "risk/thumbnail", size=size)


def _tracks(streams: Sequence[Values]) -> Iterator[Message]:
    hidden = [
        f"{stream.get('kind')} {stream.get('codec')}" for stream in streams if stream.get("kind") not in _SEEN_OR_HEARD
    ]
    if hidden:
        yield message("risk/extra-tracks", tracks=_cut(", ".join(hidden)))


def _more(format_values: Values, credentials: bool) -> Iterator[Message]:
    if format_values.get("polyglot_signs"):
        yield message("risk/hidden-format", formats=", ".join(map(str, format_values["polyglot_signs"])))
    if credentials:
        yield message("risk/credentials")


def _point(claim: Values) -> str:
    return f"{_five(str(claim.get('latitude')))}, {_five(str(claim.get('longitude')))}"


def _five(degrees: str) -> str:
    """Five decimals are about a metre: more says nothing to a person."""
    whole, _, rest = degrees.partition(".")
    return f"{whole}.{rest[:5]}" if rest else whole


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
