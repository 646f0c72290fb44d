"""Signs of how a film or a sound came about. No I/O."""

from collections.abc import Iterator

from media.received_facts import EDITED, Facts, GradedReason, moment_of, span
from media.received_signs import PHONE_SCREENS
from media.sentences import message

_CAMERA, _SCREEN, _CONVERTED, _MESSENGER = "camera file", "screen recording", "phone-converted", "messenger"
_SLACK_SECONDS = 60
_LEAST_MAKER_FIELDS = 3
# Each maker's own atoms, as the metadata tool names the places where it finds them.
_MAKERS = {
    "GoPro": "GoPro", "Canon": "Canon", "Sony": "Sony", "DJI": "DJI", "Panasonic": "Panasonic", "Samsung": "Samsung",
    "Nikon": "Nikon", "Olympus": "Olympus", "Pentax": "Pentax", "FujiFilm": "FUJIFILM", "Insta360": "Insta360",
}  # fmt: skip


def film_signs(facts: Facts) -> Iterator[GradedReason]:
    """Give every sign of a film's or a sound's way."""
    against = [*_screen(facts), *_changes(facts)]
    yield from against
    if against or facts.marks:
        return
    if _apple(facts):
        yield from _by_apple(facts)
    elif facts.text("AndroidVersion"):
        yield from _by_android(facts)
    else:
        yield from _by_maker(facts)


def _sizes(facts: Facts) -> tuple[int, int]:
    for stream in facts.streams.streams if facts.streams is not None else ():
        if stream.kind == "video" and stream.width and stream.height:
            return max(stream.width, stream.height), min(stream.width, stream.height)
    return 0, 0


def _screen(facts: Facts) -> Iterator[GradedReason]:
    long, short = _sizes(facts)
    if (long, short) in PHONE_SCREENS and not facts.device:
        yield _SCREEN, message("received/screen-size", width=long, height=short), False


def _changes(facts: Facts) -> Iterator[GradedReason]:
    if b"beam" in facts.head and "UserData" in facts.places and "Unknown_beam" in facts.by_name:
        yield _MESSENGER, message("received/service", by="WhatsApp", source="UserData:beam"), True
    created, modified = (
        moment_of(facts.text("CreateDate", "QuickTime")),
        moment_of(facts.text("ModifyDate", "QuickTime")),
    )
    if created and modified and facts.streams is not None:
        later = (modified - created).total_seconds() - float(facts.streams.duration or 0)
        if later > _SLACK_SECONDS:
            yield EDITED, message("received/modified-long-after", later=span(later)), False


def _apple(facts: Facts) -> bool:
    return any(tag.text.startswith("Core Media") for tag in facts.by_name.get("HandlerDescription", ()))


def _by_apple(facts: Facts) -> Iterator[GradedReason]:
    timed = any(tag.text == "Core Media Metadata" for tag in facts.by_name.get("HandlerDescription", ()))
    named = facts.make.lower() == "apple" and facts.model
    if named and timed and facts.text("CreationDate"):
        fields = "make, model, creation date, timed metadata"
        yield _CAMERA, message("received/maker-atoms", make="Apple", fields=fields), False
        yield from _agreement(facts)
    else:
        yield _CONVERTED, message("received/apple-library"), False


def _by_android(facts: Facts) -> Iterator[GradedReason]:
    version = facts.text("AndroidVersion")
    if facts.device and facts.text("AndroidCaptureFPS"):
        fields = "make, model, capture rate"
        yield _CAMERA, message("received/maker-atoms", make=facts.make or facts.model, fields=fields), False
        yield from _agreement(facts)
    else:
        yield None, message("received/phone-muxer", version=version), False


def _by_maker(facts: Facts) -> Iterator[GradedReason]:
    maker = next((name for place, name in _MAKERS.items() if place in facts.places), "")
    fields = sum(tag.place in _MAKERS or tag.family == "MakerNotes" for tags in facts.by_name.values() for tag in tags)
    if not maker or fields < _LEAST_MAKER_FIELDS:
        if facts.device:
            lacking = "the maker's tracks and fields"
            yield None, message("received/missing-notes", device=facts.device, lacking=lacking), False
        return
    if facts.format.mime_type not in ("video/mp4", "video/quicktime") or facts.streams is None:
        yield None, message("received/missing-notes", device=facts.device or maker, lacking="a whole film"), False
        return
    handlers = [tag.text.strip() for tag in facts.by_name.get("HandlerDescription", ())]
    own = [text for text in handlers if maker.lower() in text.lower()]
    if len(own) >= 2 and facts.text("FirmwareVersion"):
        told = ", ".join(dict.fromkeys((*own[:3], "firmware version")))
        yield _CAMERA, message("received/maker-atoms", make=maker, fields=told), False
        yield from _agreement(facts)
    else:
        yield None, message("received/missing-notes", device=facts.device or maker, lacking="its own tracks"), False


def _agreement(facts: Facts) -> Iterator[GradedReason]:
    film = facts.text("CreateDate", "QuickTime")
    tracks = [tag.text for tag in facts.by_name.get("TrackCreateDate", ())]
    moment = moment_of(film)
    apart = [abs((other - moment).total_seconds()) for text in tracks if moment and (other := moment_of(text))]
    if apart and max(apart) <= _SLACK_SECONDS:
        yield _CAMERA, message("received/times-agree"), False
