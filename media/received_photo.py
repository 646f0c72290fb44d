"""Signs of how a picture came about. No I/O."""

from collections.abc import Iterator

from media.received_facts import EDITED, Facts, GradedReason, moment_of, span
from media.received_signs import MESSENGER_QUALITIES, MESSENGER_SIDES, OWN_TABLES, PHONE_SCREENS
from media.sentences import message

_CAMERA, _MESSENGER, _DOWNLOAD = "camera file", "messenger", "download or re-encode"
_SCREEN, _CONVERTED = "screen recording", "phone-converted"
_EXIF = ("IFD0", "ExifIFD")
_SLACK_SECONDS = 5
_SAME_SHAPE = 0.015
_LEAST_BITS_A_PIXEL = 0.1
_LEAST_PIXELS = 300_000
_LEAST_NOTES = 4
_LEAST_EXPOSURE = 3
_RAW = frozenset(
    {"image/x-adobe-dng", "image/x-nikon-nef", "image/x-canon-cr2", "image/x-canon-cr3", "image/x-sony-arw"}
)


def photo_signs(facts: Facts) -> Iterator[GradedReason]:
    """Give every sign of a picture's way; those for a camera's own file last."""
    against = [*_edits(facts), *_rewriting(facts)]
    yield from against
    if not against:
        yield from _without_camera(facts)
        yield from _camera(facts)


def picture_size(facts: Facts) -> tuple[int, int]:
    """Give width and height as stored; zeros where unknown. Of a raw file's pictures the largest counts."""
    if facts.format.mime_type in _RAW:
        widths = [(facts.number("ImageWidth", place), facts.number("ImageHeight", place)) for place in facts.places]
        return max(widths, default=(0, 0))
    places = ("File", "PNG", "GIF", "RIFF", "QuickTime", "IFD0", "XMP-tiff")
    return facts.number("ImageWidth", *places), facts.number("ImageHeight", *places)


def _edits(facts: Facts) -> Iterator[GradedReason]:
    if "HistoryAction" in facts.by_name or "HistorySoftwareAgent" in facts.by_name or "History" in facts.by_name:
        yield EDITED, message("received/history", source="XMP-xmpMM:History"), True
    parts = sorted(facts.families & {"Photoshop", "APP14", "Ducky"})
    if parts and facts.format.mime_type == "image/jpeg":
        yield EDITED, message("received/adobe-parts", parts=", ".join(parts)), False
    width, height = picture_size(facts)
    taken = facts.number("ExifImageWidth"), facts.number("ExifImageHeight")
    if width and height and all(taken) and {width, height} != set(taken):
        sizes = {"width": width, "height": height, "taken_width": taken[0], "taken_height": taken[1]}
        long, short = max(width, height) / min(width, height), max(taken) / min(taken)
        if abs(long - short) < _SAME_SHAPE * short and max(width, height) > 100:
            yield _DOWNLOAD, message("received/size-changed", **sizes), False
        else:
            yield EDITED, message("received/shape-changed", **sizes), False
    made, changed = moment_of(facts.text("DateTimeOriginal", *_EXIF)), moment_of(facts.text("ModifyDate", "IFD0"))
    later = (changed - made).total_seconds() if made and changed else 0
    if later > _SLACK_SECONDS:
        yield EDITED, message("received/changed-later", later=span(later)), False
    written = moment_of(facts.text("CreateDate", "ExifIFD"))
    if later < -_SLACK_SECONDS or (made and written and abs((written - made).total_seconds()) > _SLACK_SECONDS):
        yield None, message("received/times-differ"), False


def _rewriting(facts: Facts) -> Iterator[GradedReason]:
    """Signs that another program than the camera's wrote the file's parts anew."""
    jpeg = facts.jpeg
    if jpeg is None:
        return
    if jpeg.jfif_first and "EXIF" in facts.families and (facts.device or facts.maker_notes):
        yield _DOWNLOAD, message("received/rewritten"), False
    if jpeg.by_ffmpeg:
        yield _DOWNLOAD, message("received/ffmpeg-tables"), False
    if jpeg.quality and facts.make and facts.make.lower().startswith(OWN_TABLES):
        yield _DOWNLOAD, message("received/common-tables", quality=jpeg.quality, make=facts.make), False


def _without_camera(facts: Facts) -> Iterator[GradedReason]:
    if facts.device or facts.maker_notes or facts.exposure:
        return
    width, height = picture_size(facts)
    long = max(width, height)
    if (long, min(width, height)) in PHONE_SCREENS:
        yield _SCREEN, message("received/screen-size", width=width, height=height), False
        return
    quality = facts.jpeg.quality if facts.jpeg is not None else None
    bare = facts.jpeg is not None and not facts.families & {"EXIF", "XMP", "IPTC"}
    if bare and quality in MESSENGER_QUALITIES and long in MESSENGER_SIDES:
        yield _MESSENGER, message("received/messenger-size", pixels=long, by=MESSENGER_SIDES[long]), False
        yield _MESSENGER, message("received/library-tables", quality=quality), False
        yield _MESSENGER, message("received/stripped"), False
    elif bare and quality:
        yield _DOWNLOAD, message("received/library-tables", quality=quality), False
        yield _DOWNLOAD, message("received/stripped"), False
    else:
        yield None, message("received/stripped"), False


def _camera(facts: Facts) -> Iterator[GradedReason]:
    """What speaks for a camera's own file, or what is wanting for it."""
    if not facts.device and not facts.maker_notes:
        return
    width, height = picture_size(facts)
    lacking = [
        *([] if facts.device else ["the camera's name"]),
        *([] if facts.text("DateTimeOriginal", *_EXIF) else ["the time of taking"]),
        *([] if facts.exposure >= _LEAST_EXPOSURE else ["the exposure"]),
        *([] if width * height >= _LEAST_PIXELS else ["a camera's number of pixels"]),
    ]
    if width * height and facts.size * 8 < width * height * _LEAST_BITS_A_PIXEL:
        yield None, message("received/too-small", octets=facts.size, pixels=width * height), False
    structure = _structure(facts)
    if not structure:
        lacking.append("the maker's notes in a camera's structure")
    if facts.jpeg is not None and not facts.jpeg.as_cameras_write:
        yield None, message("received/tables-apart"), False
    if parts := _written_afterwards(facts):
        yield None, message("received/written-beside", parts=", ".join(parts)), False
    if lacking:
        told = facts.device or "by its notes"
        yield None, message("received/missing-notes", device=told, lacking=", ".join(lacking)), False
        return
    if _converted_by_phone(facts):
        yield _CONVERTED, message("received/converted-picture", model=facts.model), False
        return
    if facts.jpeg is not None and "ThumbnailImage" not in facts.by_name:
        yield None, message("received/no-small-copy", make=facts.make), False
    yield from structure
    yield _CAMERA, message("received/exposure", device=facts.device, count=facts.exposure), False
    if facts.number("ExifImageWidth"):
        yield _CAMERA, message("received/same-size", width=width, height=height), False


def _written_afterwards(facts: Facts) -> list[str]:
    """Name the parts of a JPEG that programs put beside a camera's own: whoever wrote these may have written others."""
    words = facts.jpeg is not None and facts.text("Comment", "File")
    press = facts.jpeg is not None and ("APP13" in facts.jpeg.parts or "IPTC" in facts.families)
    return [*(["a comment"] if words else []), *(["the press agencies' fields (IPTC)"] if press else [])]


def _structure(facts: Facts) -> list[GradedReason]:
    """The maker's notes with the size that the camera took, in a file whose parts stand as a camera writes them.

    The order of the parts alone shows nothing: whoever puts a camera's EXIF in front of another picture has it too.
    """
    jpeg, raw = facts.jpeg, facts.format.mime_type in _RAW
    if facts.maker_notes < _LEAST_NOTES or not (raw or facts.number("ExifImageWidth")):
        return []
    notes: GradedReason = (
        _CAMERA,
        message("received/maker-notes", make=facts.make, count=facts.maker_notes),
        False,
    )
    if jpeg is not None:
        return [notes, (_CAMERA, message("received/camera-order"), False)] if jpeg.exif_first else []
    # Phones keep a HEIC as a grid of tiles; programs that convert write one picture.
    return [notes] if raw or (b"grid" in facts.head and b"hvc1" in facts.head) else []


def _converted_by_phone(facts: Facts) -> bool:
    if facts.jpeg is None or not facts.make.lower().startswith("apple"):
        return False
    return "ICC_Profile" in facts.families and "ThumbnailImage" not in facts.by_name
