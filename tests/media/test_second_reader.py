"""No cleaner is believed: a copy that still holds anything is thrown away, whoever made it."""

import io
import zlib
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from archive.errors import InputError
from archive.types import Audience
from media.classify import class_of_name, classify
from media.cleaners.picture_inspector import PictureInspector
from media.cleaners.port import Cleaned, CleanRequest, Sink
from media.cleaning import Verdict, plan_copy
from media.confinement import Confinement
from media.copies import MemoryCopy
from media.identify import Format
from media.metadata_classes import MetadataClass
from media.options import MediaSettings
from media.pictures import jpeg
from media.ranges import BytesRanges
from media.tags import Tag
from media.workbench import Workbench
from tests.media.cleaned import cleaned
from tests.media.cleaned_corpus import POLICY
from tests.media.conftest import SETTINGS
from tests.media.test_pictures import SECRET, exif_of, picture, saved, srgb

ORIGINAL = saved(picture(), "JPEG", exif=exif_of(6), comment=SECRET)


class Liar:
    """Says that it cleaned, and gives what the test wants."""

    def __init__(self, make: Callable[[bytes], bytes]) -> None:
        self._make = make

    def __call__(self, confinement: Confinement, settings: MediaSettings) -> "Liar":
        del confinement, settings
        return self

    def takes(self, format: Format) -> bool:  # noqa: A002  # the port's own word
        return format.mime_type == "image/jpeg"

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned:
        sink.write(self._make(request.source.read_range(0, request.source.size)))
        return Cleaned(tool="a liar", version="1", mime_type="image/jpeg")


@pytest.fixture
def cleaned_by() -> Iterator[Callable[..., Verdict]]:
    opened: list[Workbench] = []

    def clean(make: Callable[[bytes], bytes], original: bytes = ORIGINAL, inspected: bool = True) -> Verdict:
        inspectors = (PictureInspector,) if inspected else ()
        workbench = Workbench(SETTINGS, cleaners=(Liar(make),), inspectors=inspectors)
        opened.append(workbench)
        source = BytesRanges(original)
        examination = workbench.examine(source)
        plan = plan_copy(POLICY, examination.format.kind, Audience.PRESS)
        return workbench.clean(source, examination, plan, MemoryCopy())

    yield clean
    for each in opened:
        each.close()


def refused(cleaned_by: Callable[..., Verdict], make: Callable[[bytes], bytes], **more: object) -> str:
    with pytest.raises(InputError) as caught:
        cleaned_by(make, **more)
    assert caught.value.code in ("media/not-clean", "media/cannot-clean")
    return caught.value.message


def honest(data: bytes) -> bytes:
    return jpeg.rebuild(data, ())


def test_what_an_honest_cleaner_makes_is_clean(cleaned_by: Callable[..., Verdict]) -> None:
    verdict = cleaned_by(honest)
    assert dict(verdict.removed)[MetadataClass.LOCATION] >= 1
    assert [each.text for each in verdict.generalised] == ["2026-11-24"]


LIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "the file as it was": (lambda data: data, "location: the field GPS:"),
    "a comment": (lambda data: honest(data)[:2] + b"\xff\xfe\x00\x06note" + honest(data)[2:], "a comment"),
    "bytes behind the end": (lambda data: honest(data) + b"\0" * 40, "after the end of the picture"),
    "a segment nobody knows": (
        lambda data: honest(data)[:2] + b"\xff\xeb\x00\x06note" + honest(data)[2:],
        "an application segment of its own (APP11)",
    ),
    "a value that was to go": (lambda data: honest(data)[:-2] + SECRET + b"\xff\xd9", "the value of a field"),
    "another format": (lambda _: saved(picture(), "PNG"), "another format (image/png)"),
    "a second format": (lambda data: honest(data) + b"PK\x03\x04xPK\x01\x02yPK\x05\x06" + bytes(18), "second format"),
    "a document inside": (lambda data: honest(data) + b"%PDF-1.4 hidden", "second format in the file (PDF)"),
    "nothing": (lambda _: b"", "another format"),
    "half a picture": (lambda data: honest(data)[:-200], "bytes that belong to no segment"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_copy_that_is_not_clean_is_refused_with_the_reason(cleaned_by: Callable[..., Verdict], lie: str) -> None:
    make, reason = LIES[lie]
    assert reason in refused(cleaned_by, make)


def test_a_format_that_no_inspector_knows_is_refused(cleaned_by: Callable[..., Verdict]) -> None:
    assert "piece by piece" in refused(cleaned_by, honest, inspected=False)


def test_a_file_that_is_two_files_is_not_even_cleaned(cleaned_by: Callable[..., Verdict]) -> None:
    original = ORIGINAL + b"PK\x03\x04xPK\x01\x02yPK\x05\x06" + bytes(18)
    assert "also a file of another kind" in refused(cleaned_by, honest, original=original)


@pytest.mark.parametrize(
    ("family", "place", "name", "about"),
    [
        ("EXIF", "GPS", "GPSLatitude", "location"),
        ("EXIF", "IFD0", "Orientation", "rendering"),
        ("EXIF", "IFD0", "Make", "device_model"),
        ("EXIF", "ExifIFD", "SerialNumber", "identity"),
        ("EXIF", "IFD1", "ThumbnailImage", "thumbnail"),
        ("MakerNotes", "Canon", "OwnerName", "identity"),
        ("MakerNotes", "Apple", "FocusPosition", "maker"),
        ("XMP", "XMP-photoshop", "City", "location"),
        ("XMP", "XMP-xmpMM", "DocumentID", "identity"),
        ("IPTC", "IPTC", "By-line", "identity"),
        ("QuickTime", "UserData", "GPSCoordinates", "location"),
        ("QuickTime", "Track1", "TrackCreateDate", "time"),
        ("QuickTime", "Keys", "Software", "software"),
        ("JUMBF", "JUMBF", "C2PAThumbnailClaimJpegData", "thumbnail"),
        ("XMP", "XMP-x", "WhoKnows", "unclassed"),
        ("XMP", "XMP-tiff", "Orientation", "unclassed"),
        ("PDF", "PDF", "Author", "identity"),
    ],
)
def test_a_field_belongs_to_its_class(family: str, place: str, name: str, about: str) -> None:
    assert classify(Tag(family, place, "", "", name, "x", "x")) is MetadataClass(about)


def test_a_field_of_a_timed_track_is_a_place_or_a_track() -> None:
    assert classify(Tag("QuickTime", "Track4", "Doc3", "", "GPSLatitude", "x", "x")) is MetadataClass.LOCATION
    assert classify(Tag("QuickTime", "Track4", "Doc3", "", "SampleTime", "x", "x")) is MetadataClass.TRACKS


@pytest.mark.parametrize(
    ("key", "about"),
    [
        ("com.apple.quicktime.location.ISO6709", "location"),
        ("com.apple.quicktime.model", "device_model"),
        ("creation_time", "time"),
        ("encoder", "software"),
        ("com.android.version", "software"),
        ("artist", "identity"),
    ],
)
def test_a_key_of_ffprobe_belongs_to_its_class(key: str, about: str) -> None:
    assert class_of_name(key) is MetadataClass(about)


def test_a_screenshot_with_a_named_colour_profile_is_cleaned_and_its_name_goes(workbench: Workbench) -> None:
    """As macOS writes them: the profile is the monitor's, its name is whatever its owner called it."""
    named = saved(picture(), "PNG", icc_profile=srgb()).replace(b"ICC Profile\0", b"Maria Mac 7\0")
    at = named.index(b"iCCP")
    size = int.from_bytes(named[at - 4 : at], "big")
    check = zlib.crc32(named[at : at + 4 + size]).to_bytes(4, "big")
    named = named[: at + 4 + size] + check + named[at + 8 + size :]
    verdict, copy = cleaned(workbench, named)
    assert MetadataClass.ORIGINAL_NAME in dict(verdict.removed)
    assert b"Maria Mac 7" not in copy and b"iCCPICC\0\0" in copy
    with Image.open(io.BytesIO(named)) as before, Image.open(io.BytesIO(copy)) as after:
        assert before.info["icc_profile"] == after.info["icc_profile"]
        assert before.tobytes() == after.tobytes()


def test_only_our_own_name_of_a_profile_passes_the_second_reader() -> None:
    tag = Tag("PNG", "PNG", "", "", "ProfileName", "ICC", "ICC")
    assert classify(tag) is MetadataClass.STRUCTURE
    assert classify(tag._replace(text="Maria's ICC")) is MetadataClass.ORIGINAL_NAME
