"""The cleaner of pictures: rebuilds each from what it needs to be shown, and puts back what the policy keeps.

Rebuilding by a list of what may stay leaves no place for what nobody thought of, which deleting what is known does:
measured over the samples, ExifTool's own deletion leaves one value in eight. ExifTool, confined, then puts back the
single EXIF, XMP and IPTC fields of the classes that stay. Maker's notes are never put back: nobody can tell what is in
them. Camera raw files are refused: their pictures cannot be developed without their maker's fields.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from types import MappingProxyType

from archive.errors import InputError
from media.cleaners.port import Cleaned, CleanRequest, Sink
from media.cleaners.put_back import FieldWriter, fields_to_put_back
from media.confinement import Confinement
from media.identify import Format
from media.options import MIB, MediaSettings
from media.pictures import gif, heif, jp2, jpeg, jxl, png, tiff, webp
from media.pictures.icc import BadProfileError
from media.policy import ALWAYS_KEPT

TOOL = "Testigo picture rebuilder"
_BIG_TIFF = "image/x-tiff-big"
LARGEST_PICTURE = 256 * MIB

_REBUILDERS: Mapping[str, Callable[[bytes, Sequence[str]], bytes]] = MappingProxyType(
    {
        "image/jpeg": jpeg.rebuild,
        "image/png": png.rebuild,
        "image/apng": png.rebuild,
        "image/gif": gif.rebuild,
        "image/webp": webp.rebuild,
        "image/tiff": tiff.rebuild,
        "image/heic": heif.rebuild,
        "image/heif": heif.rebuild,
        "image/avif": heif.rebuild,
        "image/jp2": jp2.rebuild,
        "image/jxl": jxl.rebuild,
    }
)


class PhotoCleaner:
    """Cleans JPEG, PNG, GIF, WebP, TIFF, HEIC, AVIF, JPEG 2000 and JPEG XL."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        self._writer = FieldWriter(confinement, settings)

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type in _REBUILDERS

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned:
        """Rebuild a picture. Raises: as `Cleaner.clean`."""
        if request.source.size > LARGEST_PICTURE:
            raise InputError(
                "media/cannot-clean",
                "This picture cannot be cleaned: it is larger than 256 MiB. The original is kept as it is.",
            )
        original = request.source.read_range(0, request.source.size)
        mime_type = request.format.mime_type
        try:
            copy = _REBUILDERS[mime_type](original, request.traces)
        except (BadProfileError, IndexError, ValueError, struct.error) as error:
            raise InputError(
                "media/cannot-clean",
                "This picture cannot be cleaned: it does not keep to its own format. The original is kept as it is.",
            ) from error
        wanted = fields_to_put_back(request.fields, request.keep - ALWAYS_KEPT)
        if wanted:
            copy = self._writer.put_back(wanted, original, copy, deadline=request.deadline)
        sink.write(copy)
        return Cleaned(tool=TOOL, version=version("testigo"), mime_type=mime_type)


class RawRefuser:
    """Takes the raw files of cameras, and says why they are not cleaned."""

    def __init__(self, confinement: Confinement, settings: MediaSettings) -> None:
        del confinement, settings  # Every cleaner is made the same way.

    def takes(self, format: Format) -> bool:  # noqa: A002  # the field's own word
        return format.mime_type.startswith("image/x-") and format.mime_type not in ("image/x-xbitmap", "image/x-ms-bmp")

    def clean(self, request: CleanRequest, sink: Sink) -> Cleaned:
        if request.format.mime_type == _BIG_TIFF:
            raise InputError(
                "media/cannot-clean",
                "This file cannot be cleaned: it is a BigTIFF, a kind for pictures of more than 4 GB. "
                "Save it as an ordinary TIFF and take that. The original is kept as it is.",
                evidence={"written": sink.tell()},
            )
        raise InputError(
            "media/cannot-clean",
            f"This file cannot be cleaned: it is a camera's raw file ({request.format.name}), whose picture depends on "
            "fields that also hold serial numbers. Make a JPEG of it and take that. The original is kept as it is.",
            evidence={"written": sink.tell()},
        )
